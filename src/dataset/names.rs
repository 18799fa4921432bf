//! Names by which the program's resources and the functions that run on them know the same thing.

/// Detail-type of every event that the lake sends.
pub const JOB_EVENT: &str = "Lake Job State Change";

/// Source of the events of `lake`.
pub fn event_source(lake: &str) -> String {
    format!("lake.{lake}")
}

/// Namespace of the lake's metrics.
pub const METRICS_NAMESPACE: &str = "lake";

/// Prefix of all that is the lake's own in the processed bucket.
pub const LEDGER_PREFIX: &str = "_lake/";

/// What the lake keeps of each dataset below [`LEDGER_PREFIX`], a folder each.
const LEDGER_FOLDERS: [&str; 5] = ["pending", "commits", "parked", "runs", "rejects"];

/// Prefixes of all that the lake keeps of `dataset` besides the table's files, in the processed bucket.
pub fn ledger_prefixes(dataset: &str) -> Vec<String> {
    LEDGER_FOLDERS.iter().map(|folder| format!("{LEDGER_PREFIX}{folder}/{dataset}/")).collect()
}
