//! What a plugin may use up.

use std::time::{Duration, Instant};

use crate::dataset::Transform;

/// What one instance of a plugin may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of an instance, bytes.
    pub memory_bytes: u64,
    /// What one call may give back, bytes.
    pub output_bytes: u64,
    /// Time that one call may take.
    pub call: Duration,
}

impl Limits {
    /// Those that the dataset gives.
    pub fn of(transform: &Transform) -> Self {
        Limits {
            memory_bytes: u64::from(transform.memory_mb) << 20,
            call: Duration::from_secs(transform.call_seconds.into()),
            ..Limits::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits { memory_bytes: 128 << 20, output_bytes: 64 << 20, call: Duration::from_secs(60) }
    }
}

/// When all of it must be over: the end of the invocation, less what it takes to put things away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(pub Option<Instant>);

impl Deadline {
    /// No end but that of [`Limits::call`].
    pub const NEVER: Deadline = Deadline(None);
}
