//! From an S3 event to markers. Nothing is decided here: what arrives is written down, then convert is told.

use std::collections::BTreeMap;

use aws_lambda_events::event::s3::S3EventRecord;
use futures::{StreamExt, stream};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;

use super::{
    ledger::{self, Event, Kind, Marker, Origin},
    ports::{Clock, CloudError, Condition, Functions, Objects},
};
use crate::dataset::Manifest;

/// Objects of one event that are written down at the same time.
const CONCURRENT_OBJECTS_MAX: usize = 16;

/// What became of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Noted {
    /// Keys that convert was told of.
    pub noted: Vec<String>,
    /// Records that are not the lake's business, each with why.
    pub ignored: Vec<String>,
}

/// An event that is not wholly written down. Lambda delivers it again; what was written is written again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} of the event's objects could not be noted; first: {}", failures.len(), failures[0])]
pub struct IntakeError {
    /// One a failed object or record; never empty.
    pub failures: Vec<String>,
}

/// One object that an event tells of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Arrival {
    dataset: String,
    key: String,
    event: Event,
}

/// Handles one event of S3: writes one marker a source key and invokes convert for each.
///
/// # Errors
/// When a record cannot be read, a marker not be written or convert not be invoked; the others are still handled.
pub async fn intake<C>(cloud: &C, manifest: &Manifest, raw_bucket: &str, event: &Value) -> Result<Noted, IntakeError>
where
    C: Objects + Functions + Clock,
{
    let mut answer = Noted::default();
    let mut failures = Vec::new();
    let mut arrivals = BTreeMap::new();
    for record in records(event) {
        match read_record(manifest, raw_bucket, record) {
            // Several events on one key make one marker: convert looks at the object as it is.
            Ok(Ok(arrival)) => drop(arrivals.insert(arrival.key.clone(), arrival)),
            Ok(Err(reason)) => answer.ignored.push(reason),
            Err(failure) => failures.push(failure),
        }
    }
    if arrivals.is_empty() && answer.ignored.is_empty() && failures.is_empty() {
        answer.ignored.push("the event has no records (S3 sends such a test when notifications are set up)".into());
    }
    let mut done = stream::iter(arrivals.into_values())
        .map(|arrival| async move { (note(cloud, &arrival).await, arrival.key) })
        .buffer_unordered(CONCURRENT_OBJECTS_MAX);
    while let Some((result, key)) = done.next().await {
        match result {
            Ok(()) => answer.noted.push(key),
            Err(error) => failures.push(format!("{key}: {error}")),
        }
    }
    answer.noted.sort();
    if failures.is_empty() { Ok(answer) } else { Err(IntakeError { failures }) }
}

/// Writes the marker, whatever is there, and only then tells convert.
async fn note<C: Objects + Functions + Clock>(cloud: &C, arrival: &Arrival) -> Result<(), CloudError> {
    let marker = Marker::new(&arrival.dataset, &arrival.key, Origin::Event, Some(arrival.event.clone()), cloud.now());
    drive(cloud, &marker).await
}

/// Writes `marker` over whatever marker its key has, then invokes convert for it.
pub(super) async fn drive<C: Objects + Functions>(cloud: &C, marker: &Marker) -> Result<(), CloudError> {
    let key = Kind::Pending.key(&marker.dataset, &marker.key);
    cloud.put(&key, ledger::body(marker), Condition::Always).await?;
    cloud.invoke_convert(&key).await
}

fn records(event: &Value) -> impl Iterator<Item = &Value> {
    event.get("Records").and_then(Value::as_array).into_iter().flatten()
}

/// Reads one record: the object it tells of, or why it is not the lake's business.
fn read_record(manifest: &Manifest, raw_bucket: &str, record: &Value) -> Result<Result<Arrival, String>, String> {
    let record: S3EventRecord = serde_json::from_value(record.clone())
        .map_err(|error| format!("a record of the event is not S3's: {error}"))?;
    let name = record.event_name.unwrap_or_default();
    let encoded = record.s3.object.key.ok_or("a record of the event has no key")?;
    let key = decode_key(&encoded)?;
    let bytes = record.s3.object.size.and_then(|size| u64::try_from(size).ok());
    // Through EventBridge and in older records the name begins with `s3:`.
    if !name.trim_start_matches("s3:").starts_with("ObjectCreated:") {
        return Ok(Err(format!("{key}: {name} is no creation")));
    }
    if record.s3.bucket.name.as_deref() != Some(raw_bucket) {
        return Ok(Err(format!("{key}: not in the bucket {raw_bucket}")));
    }
    if key.ends_with('/') && bytes.unwrap_or(0) == 0 {
        return Ok(Err(format!("{key}: a folder, not a file")));
    }
    let Some(dataset) = manifest.dataset_of_key(&key) else {
        return Ok(Err(format!("{key}: below no dataset's source")));
    };
    let time = jiff::Timestamp::from_millisecond(record.event_time.timestamp_millis()).ok();
    let event = Event { name, time, etag: record.s3.object.e_tag, bytes, sequencer: record.s3.object.sequencer };
    Ok(Ok(Arrival { dataset: dataset.name.clone(), key, event }))
}

/// Keys in S3 events are encoded as in a form: `+` is a space
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>).
fn decode_key(encoded: &str) -> Result<String, String> {
    let spaced = encoded.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| format!("the key {encoded} is not UTF-8"))
}
