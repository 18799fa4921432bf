//! From an S3 event to markers. Nothing is decided here: what arrives is written down, then the dataset's crawler is
//! started or, where there is none, convert is told.

use std::collections::BTreeMap;

use aws_lambda_events::event::s3::S3EventRecord;
use futures::{StreamExt, stream};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;

use super::{
    crawl,
    ledger::{self, Event, Found, Kind, Marker, Origin},
    ports::{Clock, CloudError, CloudErrorKind, Condition, Crawlers, Functions, Objects, Put},
};
use crate::dataset::{CatalogMode, Manifest};

/// Objects of one event that are written down at the same time.
const CONCURRENT_OBJECTS_MAX: usize = 16;

/// What became of an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Noted {
    /// Keys that are on their way: convert was told, or a crawl that ends sees to them.
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
    catalog: CatalogMode,
    key: String,
    event: Event,
}

/// Handles one event of S3: writes one marker a source key, and invokes convert for each or starts their crawlers.
///
/// # Errors
/// When a record cannot be read, a marker not be written, convert not be invoked or a crawler not be started; the
/// others are still handled.
pub async fn intake<C>(cloud: &C, manifest: &Manifest, raw_bucket: &str, event: &Value) -> Result<Noted, IntakeError>
where
    C: Objects + Functions + Crawlers + Clock,
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
        .map(|arrival| async move { (note(cloud, &arrival).await, arrival) })
        .buffer_unordered(CONCURRENT_OBJECTS_MAX);
    let mut to_crawl: BTreeMap<String, Vec<Found>> = BTreeMap::new();
    while let Some((result, arrival)) = done.next().await {
        match result {
            Ok(None) => answer.noted.push(arrival.key),
            Ok(Some(found)) => to_crawl.entry(arrival.dataset).or_default().push(found),
            Err(error) => failures.push(format!("{}: {error}", arrival.key)),
        }
    }
    for (dataset, found) in to_crawl {
        let keys = found.iter().map(|found| found.marker.key.clone()).collect();
        match crawl(cloud, &dataset, found).await {
            Ok(()) => answer.noted.extend::<Vec<String>>(keys),
            Err(error) => failures.push(format!("{}: {error}", keys.join(", "))),
        }
    }
    answer.noted.sort();
    if failures.is_empty() { Ok(answer) } else { Err(IntakeError { failures }) }
}

/// Writes the marker, whatever is there, and only then tells convert; the marker, when it is to be crawled first.
async fn note<C: Objects + Functions + Clock>(cloud: &C, arrival: &Arrival) -> Result<Option<Found>, CloudError> {
    let marker = Marker::new(&arrival.dataset, &arrival.key, Origin::Event, Some(arrival.event.clone()), cloud.now());
    match arrival.catalog {
        CatalogMode::Direct => drive(cloud, &marker).await.map(|()| None),
        CatalogMode::Crawler => {
            let (key, marker) = (Kind::Pending.key(&marker.dataset, &marker.key), marker.crawled());
            match cloud.put(&key, ledger::body(&marker), Condition::Always).await? {
                Put::Written(etag) => Ok(Some(Found { key, marker, etag })),
                Put::Refused => Err(refused(key)),
            }
        }
    }
}

/// Sees to it that the objects are crawled. Nobody can be handed over to convert here: the markers are new.
async fn crawl<C: Objects + Crawlers + Clock>(cloud: &C, dataset: &str, found: Vec<Found>) -> Result<(), CloudError> {
    let arranged = crawl::arrange(cloud, dataset, "intake", crawl::HAND_OVER_GRACE, found).await?;
    arranged.failures.into_iter().next().map_or(Ok(()), Err)
}

fn refused(target: String) -> CloudError {
    let message = "a PUT without a condition was refused for its condition".to_owned();
    CloudError { operation: "PutObject", target, message, kind: CloudErrorKind::Retriable }
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
    if is_folder(&key, bytes.unwrap_or(0)) {
        return Ok(Err(format!("{key}: a folder, not a file")));
    }
    let Some(dataset) = manifest.dataset_of_key(&key) else {
        return Ok(Err(format!("{key}: below no dataset's source")));
    };
    let time = jiff::Timestamp::from_millisecond(record.event_time.timestamp_millis()).ok();
    let event = Event { name, time, etag: record.s3.object.e_tag, bytes, sequencer: record.s3.object.sequencer };
    Ok(Ok(Arrival { dataset: dataset.name.clone(), catalog: dataset.catalog, key, event }))
}

/// What the console makes when somebody asks it for a folder.
pub(super) fn is_folder(key: &str, bytes: u64) -> bool {
    key.ends_with('/') && bytes == 0
}

/// Keys in S3 events are encoded as in a form: `+` is a space
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>).
fn decode_key(encoded: &str) -> Result<String, String> {
    let spaced = encoded.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| format!("the key {encoded} is not UTF-8"))
}
