//! What a run tells: live by counters, at its end by a report.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::Dialect;

/// Counters that somebody else may watch while a run goes on, and the flag that stops it. The counters go on over
/// several passes; they never go back.
#[derive(Debug, Default)]
pub struct Progress {
    bytes_read: AtomicU64,
    rows_read: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress {
    /// All zero, not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes taken from sources so far.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Rows found so far.
    pub fn rows_read(&self) -> u64 {
        self.rows_read.load(Ordering::Relaxed)
    }

    /// Asks the run to stop; it returns [`super::Error::Cancelled`] at its next batch.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked it to stop.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(super) fn add_bytes(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn add_rows(&self, rows: u64) {
        self.rows_read.fetch_add(rows, Ordering::Relaxed);
    }
}

/// What a conversion did. Written to `_lake/runs/`, shown by `lake runs` and `lake convert`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Rows found in the input, the header not counted.
    pub read: u64,
    /// Rows of the input that are in the data file; there may be several rows in it for one of these
    /// ([`Report::exploded`]).
    pub kept: u64,
    /// Rows of the input that the transform left out, as it is meant to.
    #[serde(default)]
    pub filtered: u64,
    /// Rows in the data file beyond one for each row kept: the data file has `kept + exploded`.
    #[serde(default)]
    pub exploded: u64,
    /// Rows in the rejects file.
    pub rejected: u64,
    /// Bytes taken from the input, as stored.
    pub bytes_read: u64,
    /// Bytes written to both outputs.
    pub bytes_written: u64,
    /// Rejected rows by code.
    pub rejects_by_code: BTreeMap<String, u64>,
    /// Columns of the table that an input does not have; null in its rows.
    pub missing_columns: Vec<String>,
    /// How the (last) input was read. `None` for an empty input.
    pub dialect: Option<Dialect>,
    /// Data files.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub files: u64,
    /// Partitions that they are in; none where the dataset has no partitions.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub partitions: u64,
    /// Row groups in the data files.
    pub row_groups: u64,
    /// Where the time went.
    pub stages: Stages,
    /// [`crate::dataset::Dataset::config_hash`] of the configuration that was used.
    pub config_hash: String,
    /// [`crate::dataset::Transform::plugin_hash`] of the plugin that rows went through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plugin_hash: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Time by stage in milliseconds, that of all threads together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// Finding out dialect and types; filled in by whoever called [`super::infer`].
    pub infer_ms: u64,
    /// Reading the input, unpacking it, and cutting it at ends of records.
    pub split_ms: u64,
    /// Records into typed columns.
    pub decode_ms: u64,
    /// In the transform.
    #[serde(default)]
    pub transform_ms: u64,
    /// Columns into Parquet pages, compression included.
    pub encode_ms: u64,
    /// Waiting for the outputs to take bytes.
    pub write_ms: u64,
}

/// The same, as it is measured.
#[derive(Debug, Default)]
pub(super) struct Timings {
    pub split: Duration,
    pub decode: Duration,
    pub transform: Duration,
    pub encode: Duration,
    pub write: Duration,
}

impl Timings {
    pub(super) fn stages(&self) -> Stages {
        let milliseconds = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Stages {
            infer_ms: 0,
            split_ms: milliseconds(self.split),
            decode_ms: milliseconds(self.decode),
            transform_ms: milliseconds(self.transform),
            encode_ms: milliseconds(self.encode),
            write_ms: milliseconds(self.write),
        }
    }
}
