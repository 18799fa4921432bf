//! What lake has provisioned for a stack: the snapshot, what changes it, what keeps it sound, where it lies and who
//! may write it.
//!
//! State is a **base** (a snapshot as a whole) and a **journal** of the edits since. An edit is durable before
//! anything that follows from it is done ([`journal`]); replaying the edits on the base is the state ([`format`](self)).

mod edit;
mod format;
mod history;
pub mod journal;
mod live;
mod repair;
mod snapshot;
pub mod store;
mod verify;

pub use edit::{Difference, Edit, Removed, Run};
pub use format::FormatError;
pub use history::{History, Open, Summary};
pub use journal::Journal;
pub use live::Live;
pub use repair::{Diagnosis, Remedy};
pub use snapshot::{Intent, Outputs, Recorded, Snapshot, Tombstone};
pub use verify::{Unsound, verify};
