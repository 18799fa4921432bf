//! What a plugin may use up.

use std::time::{Duration, Instant};

use wasmtime::ResourceLimiter;

use crate::dataset::Transform;

/// Elements of all tables of an instance: pointers, outside of its memory.
const TABLE_ELEMENTS_MAX: usize = 256 * 1024;
/// Core instances of a component. One that is wrapped has three or four.
const INSTANCES_MAX: usize = 64;
/// Tables of a component.
const TABLES_MAX: usize = 64;
/// Linear memories of a component; each reserves 4 GiB of address space.
const MEMORIES_MAX: usize = 16;
/// Fuel for each millisecond that a call may take: more than any processor burns, so that the same rows end the same
/// way on all of them.
const FUEL_PER_MILLISECOND: u64 = 4_000_000;

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

    /// Fuel of one call, where fuel is measured.
    pub(super) fn fuel(&self) -> u64 {
        u64::try_from(self.call.as_millis()).unwrap_or(u64::MAX).saturating_mul(FUEL_PER_MILLISECOND)
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

/// Gives an instance memory and tables, as far as they go.
pub(super) struct Quota {
    memory_bytes: u64,
    memory: u64,
    elements: usize,
    /// What was granted last, bytes and elements: an engine may fail to give it.
    granted: (u64, usize),
    /// It was refused memory in the call that is under way.
    refused: bool,
    /// It was refused elements of tables.
    refused_elements: bool,
}

impl Quota {
    pub fn new(limits: &Limits) -> Quota {
        Quota {
            memory_bytes: limits.memory_bytes,
            memory: 0,
            elements: 0,
            granted: (0, 0),
            refused: false,
            refused_elements: false,
        }
    }

    /// A call begins.
    pub fn begin(&mut self) {
        self.refused = false;
    }

    /// What to say of an instance that failed after it was refused memory.
    pub fn refusal(&self) -> Option<String> {
        self.refused.then(|| format!("it needed more than {} MiB of memory (memory_mb)", self.memory_bytes >> 20))
    }
}

/// What to say of an error that comes of too many instances, memories or tables, or too large ones; wasmtime has no type
/// for it.
pub(super) fn is_too_much(quota: &Quota, reason: &str) -> bool {
    quota.refused_elements || reason.contains("resource limit exceeded")
}

impl ResourceLimiter for Quota {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        let granted = self.memory.saturating_add(more) <= self.memory_bytes;
        self.granted.0 = if granted { more } else { 0 };
        self.memory += self.granted.0;
        self.refused |= !granted;
        Ok(granted)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory -= std::mem::take(&mut self.granted.0);
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let granted = self.elements.saturating_add(more) <= TABLE_ELEMENTS_MAX;
        self.granted.1 = if granted { more } else { 0 };
        self.elements += self.granted.1;
        self.refused_elements |= !granted;
        Ok(granted)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.elements -= std::mem::take(&mut self.granted.1);
        Ok(())
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}
