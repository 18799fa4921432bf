//! Names by which the program's resources and the functions that run on them know the same thing, and what names of
//! columns look like to both.

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

/// Longest column name in the Glue Data Catalog
/// (<https://docs.aws.amazon.com/glue/latest/webapi/API_Column.html>).
pub const COLUMN_NAME_MAX: usize = 255;

/// `[a-z_][a-z0-9_]*`: what Athena, Spark and Hive all take without quotes.
///
/// # Errors
/// What is wrong with the name.
pub fn column_name(name: &str) -> Result<(), String> {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    match name.as_bytes() {
        [] => Err("it is empty".into()),
        [head, rest @ ..] if !inside(*head) || head.is_ascii_digit() || !rest.iter().all(|byte| inside(*byte)) => {
            Err("allowed are lower-case letters, digits and underscores, beginning with a letter or underscore".into())
        }
        all if all.len() > COLUMN_NAME_MAX => {
            Err(format!("it has {} characters; at most {COLUMN_NAME_MAX} are allowed", all.len()))
        }
        _ => Ok(()),
    }
}

/// What the lake keeps of each dataset below [`LEDGER_PREFIX`], a folder each.
const LEDGER_FOLDERS: [&str; 5] = ["pending", "commits", "parked", "runs", "rejects"];

/// Prefixes of all that the lake keeps of `dataset` besides the table's files, in the processed bucket.
pub fn ledger_prefixes(dataset: &str) -> Vec<String> {
    LEDGER_FOLDERS.iter().map(|folder| format!("{LEDGER_PREFIX}{folder}/{dataset}/")).collect()
}
