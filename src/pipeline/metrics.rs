//! A run, and a sweep, as one log line in CloudWatch's embedded metric format: CloudWatch reads metrics out of it,
//! people and queries the rest
//! (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).

use serde_json::{Value, json};

use jiff::Timestamp;

use super::{
    ledger::{Run, RunOutcome},
    sweep::Swept,
};

pub use crate::dataset::METRICS_NAMESPACE as NAMESPACE;

/// Metrics of a run, each with its unit. `RowsWritten` counts the rows of the data file: those that were kept, and
/// those that a transform made besides.
const METRICS: &[(&str, &str)] = &[
    ("RowsRead", "Count"),
    ("RowsWritten", "Count"),
    ("RowsRejected", "Count"),
    ("BytesRead", "Bytes"),
    ("BytesWritten", "Bytes"),
    ("Duration", "Milliseconds"),
    ("Waited", "Milliseconds"),
    ("Committed", "Count"),
    ("Parked", "Count"),
];

/// The metric of runs through a transform besides: CloudWatch charges for each, and most datasets have none.
const TRANSFORM_METRIC: (&str, &str) = ("RowsFiltered", "Count");

/// Metrics of a sweep, each with its unit. Their dimensions are lake and stack.
const SWEEP_METRICS: &[(&str, &str)] = &[
    ("PendingObjects", "Count"),
    ("OldestPendingSeconds", "Seconds"),
    ("SweepRedriven", "Count"),
    ("SweepFound", "Count"),
];

fn declared<'a>(metrics: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Vec<Value> {
    metrics.into_iter().map(|(name, unit)| json!({ "Name": name, "Unit": unit })).collect()
}

/// The log line of a sweep that ended at `now`, without a newline at its end.
pub fn sweep_line(lake: &str, stack: &str, swept: &Swept, now: Timestamp) -> String {
    let line = json!({
        "_aws": {
            "Timestamp": now.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["lake", "stack"]],
                "Metrics": declared(SWEEP_METRICS),
            }],
        },
        "lake": lake,
        "stack": stack,
        "PendingObjects": swept.pending,
        "OldestPendingSeconds": swept.oldest_pending_seconds,
        "SweepRedriven": swept.redriven,
        "SweepFound": swept.found,
        "sweep": swept,
    });
    line.to_string()
}

/// The log line of `run`, without a newline at its end.
pub fn line(lake: &str, stack: &str, run: &Run) -> String {
    let waited = run.started_at.duration_since(run.noted_at).as_millis().max(0);
    let transform = run.report.plugin_hash.as_ref().map(|_| &TRANSFORM_METRIC);
    let mut line = json!({
        "_aws": {
            "Timestamp": run.decided_at.as_millisecond(),
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                "Dimensions": [["lake", "stack", "dataset"]],
                "Metrics": declared(METRICS.iter().chain(transform)),
            }],
        },
        "lake": lake,
        "stack": stack,
        "dataset": run.dataset,
        "RowsRead": run.report.read,
        "RowsWritten": run.report.kept + run.report.exploded,
        "RowsRejected": run.report.rejected,
        "BytesRead": run.report.bytes_read,
        "BytesWritten": run.report.bytes_written,
        "Duration": run.duration_ms,
        "Waited": u64::try_from(waited).unwrap_or(u64::MAX),
        "Committed": u8::from(run.outcome == RunOutcome::Committed),
        "Parked": u8::from(run.outcome == RunOutcome::Parked),
    });
    if transform.is_some() {
        line[TRANSFORM_METRIC.0] = json!(run.report.filtered);
    }
    line["run"] = serde_json::to_value(run).unwrap_or(Value::Null);
    line.to_string()
}
