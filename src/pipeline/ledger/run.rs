//! The report of one run: what was read, written and set aside, how long it took and about what it cost.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::runs_prefix;
use crate::{dataset::Column, executor::Report};

/// Report of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`super::LEDGER_FORMAT`].
    pub format: u32,
    /// Sorts by time: [`run_id`].
    pub id: String,
    /// Its dataset.
    pub dataset: String,
    /// Key in the raw bucket.
    pub key: String,
    /// Entity tag of the version that was read, in its quotes.
    pub etag: String,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Generation that it made, when it committed.
    pub generation: Option<u64>,
    /// Why not, when it did not: code and message.
    pub error: Option<(String, String)>,
    /// Columns that the table got for it. Those that a try before this one has added are not among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_columns: Vec<Column>,
    /// What was counted, and how long it took; zeros when it did not get that far.
    pub report: Report,
    /// Lambda's request id: its log lines bear it.
    pub request_id: String,
    /// Which attempt at this marker it was, from 1.
    pub attempt: u32,
    /// When the event was noted.
    pub noted_at: Timestamp,
    /// When the invocation began.
    pub started_at: Timestamp,
    /// When it was decided. Finishing comes after and is not in the duration.
    pub decided_at: Timestamp,
    /// Milliseconds from `started_at` to `decided_at`.
    pub duration_ms: u64,
    /// Estimated cost of the function's time, in US dollars: [`crate::pipeline::cost`].
    pub cost_usd: f64,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunOutcome {
    /// Its rows are in the table.
    Committed,
    /// Given up: [`super::Parked`].
    Parked,
}

impl Run {
    /// Key of the report: the id begins with the date.
    pub fn object_key(&self) -> String {
        run_key(&self.dataset, &self.id).unwrap_or_else(|| format!("{}{}.json", runs_prefix(&self.dataset), self.id))
    }
}

/// Key of the report with that id, which begins with the date; `None` when it is no run's id.
pub fn run_key(dataset: &str, id: &str) -> Option<String> {
    let (year, month, day) = (id.get(0..4)?, id.get(4..6)?, id.get(6..8)?);
    Some(format!("{}{year}/{month}/{day}/{id}.json", runs_prefix(dataset)))
}

/// An id that sorts by time, to the millisecond, and is random within it: `20250102T030405006Z-1a2b3c4d`.
pub fn run_id(now: Timestamp) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    let millisecond = now.as_millisecond().rem_euclid(1000);
    format!("{}{millisecond:03}Z-{}", now.strftime("%Y%m%dT%H%M%S"), &random[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_begin_with_their_time_and_sort_by_it() {
        let early = run_id("2025-01-02T03:04:05.006Z".parse().unwrap());
        let late = run_id("2025-01-02T03:04:05.1Z".parse().unwrap());
        assert!(early.starts_with("20250102T030405006Z-"), "{early}");
        assert!(early < late, "{early} {late}");
    }
}
