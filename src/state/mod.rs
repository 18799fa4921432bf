//! What lake has provisioned for a stack: the snapshot, what keeps it sound, where it lies and who may write it.

mod format;
mod snapshot;
pub mod store;
mod verify;

pub use format::FormatError;
pub use snapshot::{Intent, Recorded, Snapshot, Tombstone};
pub use verify::{Unsound, verify};
