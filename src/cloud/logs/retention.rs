//! Retention: events older than their group keeps them go away.

use std::time::Duration;

use redb::WriteTransaction;

use super::model::{EVENTS, GROUPS, Position, STREAMS, below, invalid};
use crate::cloud::error::ApiError;

/// How often retention is applied.
pub(super) const SWEEP_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Days that a group may keep its events.
/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>
const ALLOWED_DAYS: [i32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Entries looked at in one step.
const PAGE: usize = 500;

pub(super) fn check_days(days: i32) -> Result<(), ApiError> {
    if ALLOWED_DAYS.contains(&days) {
        return Ok(());
    }
    Err(invalid(format!(
        "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: \
         Member must satisfy enum value set: {ALLOWED_DAYS:?}"
    )))
}

/// Time before which a group with this retention keeps nothing, in milliseconds.
pub(super) fn cutoff(retention_days: Option<i32>, now: i64) -> Option<i64> {
    retention_days.map(|days| now - i64::from(days) * DAY_MS)
}

/// Deletes what has outlived its group's retention; tells how many events that were.
pub(super) fn sweep(tx: &WriteTransaction, now: i64) -> Result<u64, ApiError> {
    let mut removed = 0;
    let mut after: Option<String> = None;
    loop {
        let groups = GROUPS.scan(tx, "", after.as_deref(), PAGE)?;
        let Some((last, _)) = groups.last() else { return Ok(removed) };
        after = Some(last.clone());
        for (key, group) in &groups {
            if let Some(cutoff) = cutoff(group.retention_days, now) {
                removed += sweep_group(tx, key, cutoff)?;
            }
        }
    }
}

/// A stream whose events are all gone goes as well, as on AWS.
fn sweep_group(tx: &WriteTransaction, group: &str, cutoff: i64) -> Result<u64, ApiError> {
    let mut removed = 0;
    let mut after: Option<String> = None;
    let (prefix, _) = below(group);
    loop {
        let streams = STREAMS.scan(tx, &prefix, after.as_deref(), PAGE)?;
        let Some((last, _)) = streams.last() else { return Ok(removed) };
        after = Some(last.clone());
        for (key, stream) in &streams {
            if stream.first_event.is_none_or(|first| first >= cutoff) {
                continue;
            }
            let (from, _) = below(key);
            let before = format!("{from}{}", Position { time: cutoff.max(0), sequence: 0 }.encode());
            removed += EVENTS.delete_range(tx, &from, &before)?;
            if stream.last_event.is_none_or(|last| last < cutoff) {
                STREAMS.delete(tx, key)?;
            } else {
                let mut stream = stream.clone();
                stream.first_event = Some(cutoff);
                STREAMS.put(tx, key, &stream)?;
            }
        }
    }
}
