//! Where a stack's state lies.

mod local;
mod lock;

pub use local::LocalStore;
pub use lock::{Holder, Lock};

use std::path::PathBuf;

use super::{FormatError, Snapshot};

/// Where a snapshot is loaded from and saved to. A save returns once the snapshot is on disk.
pub trait Store: Send + Sync {
    /// The snapshot; `None` for a stack that has none yet.
    fn load(&self) -> Result<Option<Snapshot>, StateError>;

    /// Replaces the snapshot, as a whole or not at all.
    fn save(&self, snapshot: &Snapshot) -> Result<(), StateError>;
}

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file is there and is not a sound state.
    #[error(
        "the state at {path} is refused: {source}\n\
         nothing was changed; put back a copy from {history}, or move the file away if the stack is gone"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where earlier states lie.
        history: PathBuf,
        /// What is wrong with it.
        source: Box<FormatError>,
    },
    /// A snapshot that must not be written.
    #[error("BUG: lake was about to write a state that is refused: {0}; nothing was written")]
    Unwritable(Box<FormatError>),
    /// The disk.
    #[error("the state at {path} failed: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Somebody else is at it.
    #[error("the stack is locked by {0}\nwait for it to end; the lock goes with its process")]
    Locked(Box<Holder>),
}
