//! One writer a stack: who holds its lock, and how that is told.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StateError;

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Tells this holder from any other.
    pub id: uuid::Uuid,
    /// Process id.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// The command.
    pub command: String,
    /// Since when.
    pub since: jiff::Timestamp,
    /// Rises with every holder: what an earlier one writes later is refused.
    #[serde(default)]
    pub fence: u64,
    /// When it was last heard of, where a holder has to say that it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<jiff::Timestamp>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`lake {}`, pid {} on {}, since {:.0}", self.command, self.pid, self.host, self.since)?;
        if let Some(heartbeat) = self.heartbeat {
            write!(f, ", last heard of at {heartbeat:.0}")?;
        }
        Ok(())
    }
}

impl Holder {
    /// This process, without a fencing number yet.
    pub fn this(command: &str) -> Self {
        Holder {
            id: uuid::Uuid::new_v4(),
            pid: std::process::id(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            command: command.to_owned(),
            since: jiff::Timestamp::now(),
            fence: 0,
            heartbeat: None,
        }
    }
}

/// A lock that is held.
#[async_trait]
pub trait Guard: fmt::Debug + Send + Sync {
    /// Who holds it, fencing number included.
    fn holder(&self) -> &Holder;

    /// Whether it is still ours; a writer asks before each write.
    fn check(&self) -> Result<(), StateError>;

    /// Gives it back.
    async fn release(&self) -> Result<(), StateError>;
}

/// The right to write a stack's state. It ends with [`Lock::release`], or with its process.
#[derive(Debug)]
pub struct Lock {
    guard: Box<dyn Guard>,
}

impl Lock {
    pub(super) fn new(guard: Box<dyn Guard>) -> Self {
        Lock { guard }
    }

    /// Who holds it.
    pub fn holder(&self) -> &Holder {
        self.guard.holder()
    }

    /// How writers show that they hold it.
    pub(crate) fn guard(&self) -> &dyn Guard {
        &*self.guard
    }

    /// Gives it back.
    pub async fn release(&self) -> Result<(), StateError> {
        self.guard.release().await
    }
}
