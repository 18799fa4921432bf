//! The ledger: small JSON objects under `_lake/` in the processed bucket, changed by S3's conditional requests
//! only. It is what makes "not lost" and "once" true on top of events that come twice, late, or never.
//!
//! | key | what | written |
//! |---|---|---|
//! | `_lake/pending/<dataset>/<hash>.json` | [`Marker`]: work to do, how far its crawl is, and who does it | intake: always; sweep: `If-None-Match`; all: `If-Match` |
//! | `_lake/commits/<dataset>/<hash>.json` | [`Commit`]: the decision which files hold a source's rows | `If-Match`, `If-None-Match` |
//! | `_lake/parked/<dataset>/<hash>.json` | [`Parked`]: a source that waits for a person | `If-Match`, `If-None-Match` |
//! | `_lake/runs/<dataset>/<yyyy>/<mm>/<dd>/<id>.json` | [`Run`]: report of one run | once, repeatable |

mod claim;
mod commit;
mod marker;
mod parked;
mod run;

pub use claim::{Claimed, Cleared, Found, Taken, clear, release, take};
pub use commit::{Attempt, Commit, Committed, File, Role, Staleness};
pub use marker::{Claim, Crawl, Event, HandOver, Marker, Note, Origin};
pub use parked::Parked;
pub use run::{Run, RunOutcome, run_id, run_key};

use std::time::Duration;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::ports::{Clock, CloudError, CloudErrorKind, Condition, Objects, Put};
use crate::dataset::Partition;

/// Version of every record below `_lake/`. A record of another version is left alone and reported.
pub const LEDGER_FORMAT: u32 = 1;

pub use crate::dataset::LEDGER_PREFIX;

/// Hex digits of the hash that stands for a source key: 128 bits.
const KEY_HASH_DIGITS: usize = 32;

/// Tries of a conditional write that S3 answers with 409 (`ConditionalRequestConflict`) each time.
pub const CONFLICT_TRIES_MAX: u32 = 6;

/// Pause before the second try; doubles with each further one.
const CONFLICT_PAUSE: Duration = Duration::from_millis(20);

/// The name by which the ledger knows a source key: the first 32 hex digits of its SHA-256.
pub fn key_hash(source_key: &str) -> String {
    let mut hash = hex::encode(Sha256::digest(source_key.as_bytes()));
    hash.truncate(KEY_HASH_DIGITS);
    hash
}

/// A kind of record that a source key has one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// [`Marker`].
    Pending,
    /// [`Commit`].
    Commits,
    /// [`Parked`].
    Parked,
}

impl Kind {
    /// Prefix of the records of `dataset`.
    pub fn prefix(self, dataset: &str) -> String {
        format!("{LEDGER_PREFIX}{}/{dataset}/", self.folder())
    }

    /// Key of the record of the same source key as the marker at `marker_key`, which need not be there any more;
    /// `None` when that is no marker's key.
    pub fn key_beside(self, marker_key: &str) -> Option<String> {
        let rest = marker_key.strip_prefix(LEDGER_PREFIX)?.strip_prefix("pending/")?;
        Some(format!("{LEDGER_PREFIX}{}/{rest}", self.folder()))
    }

    fn folder(self) -> &'static str {
        match self {
            Kind::Pending => "pending",
            Kind::Commits => "commits",
            Kind::Parked => "parked",
        }
    }

    /// Key of the record of `source_key`.
    pub fn key(self, dataset: &str, source_key: &str) -> String {
        format!("{}{}.json", self.prefix(dataset), key_hash(source_key))
    }
}

/// Key of a data file that generation `generation` of a source becomes: the `part`th of its partition.
pub fn data_key(dataset: &str, source_key: &str, generation: u64, partition: &Partition, part: u32) -> String {
    let (folders, hash) = (partition.path(), key_hash(source_key));
    match part {
        0 => format!("{dataset}/{folders}{hash}-{generation}.parquet"),
        part => format!("{dataset}/{folders}{hash}-{generation}-{part}.parquet"),
    }
}

/// Key of the rows that generation `generation` of a source sets aside.
pub fn rejects_key(dataset: &str, source_key: &str, generation: u64) -> String {
    format!("{LEDGER_PREFIX}rejects/{dataset}/{}-{generation}.parquet", key_hash(source_key))
}

/// Prefix of the run reports of `dataset`.
pub fn runs_prefix(dataset: &str) -> String {
    format!("{LEDGER_PREFIX}runs/{dataset}/")
}

/// A record and the version it was read at.
#[derive(Debug, Clone, PartialEq)]
pub struct Versioned<T> {
    /// What it says.
    pub value: T,
    /// Entity tag to name in the next write.
    pub etag: String,
}

/// Reads a record; `None` when there is none.
pub async fn read<T: DeserializeOwned>(objects: &impl Objects, key: &str) -> Result<Option<Versioned<T>>, CloudError> {
    match objects.get(key).await? {
        None => Ok(None),
        Some(object) => Ok(Some(Versioned { value: parse(key, &object.body)?, etag: object.etag })),
    }
}

/// Reads a record's JSON. Its format is looked at first: another one is reported as such.
pub fn parse<T: DeserializeOwned>(key: &str, body: &[u8]) -> Result<T, CloudError> {
    #[derive(serde::Deserialize)]
    struct Format {
        format: u32,
    }
    let damaged = |message: String| CloudError {
        operation: "GetObject",
        target: key.to_owned(),
        message,
        kind: CloudErrorKind::Damaged,
    };
    let Format { format } =
        serde_json::from_slice(body).map_err(|error| damaged(format!("not a record of the ledger: {error}")))?;
    if format != LEDGER_FORMAT {
        return Err(damaged(format!("the record has format {format}, this version of lake reads {LEDGER_FORMAT}")));
    }
    serde_json::from_slice(body).map_err(|error| damaged(format!("not a record of the ledger: {error}")))
}

/// A record's JSON.
pub fn body(record: &impl Serialize) -> Bytes {
    serde_json::to_vec(record).expect("the ledger's records are plain data and always serialise").into()
}

/// Who wrote what is there after a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// We did; the version that is there now.
    Won(String),
    /// Somebody else decided first. Look again.
    Lost,
}

/// PUTs `body` under `condition` and finds out whether it took effect, also when the answer was lost or when a
/// retry inside the SDK met the first try's write: after a 412, a 404 or an error, the object is read back and
/// `mine` decides whose it is. An error that remains means "not known": the write may still take effect.
pub async fn put_decisively<C: Objects + Clock>(
    cloud: &C,
    key: &str,
    body: Bytes,
    condition: Condition<'_>,
    mine: impl Fn(&[u8]) -> bool + Send + Sync,
) -> Result<Decision, CloudError> {
    let mut pause = CONFLICT_PAUSE;
    let mut tries = 1;
    loop {
        let failure = match cloud.put(key, body.clone(), condition).await {
            Ok(Put::Written(etag)) => return Ok(Decision::Won(etag)),
            Ok(Put::Refused) => None,
            Err(error) if error.kind == CloudErrorKind::Conflict && tries < CONFLICT_TRIES_MAX => {
                tries += 1;
                cloud.sleep(pause).await;
                pause *= 2;
                continue;
            }
            Err(error) => Some(error),
        };
        let there = cloud.get(key).await?;
        return match (there, failure) {
            (Some(object), _) if mine(&object.body) => Ok(Decision::Won(object.etag)),
            (_, Some(error)) => Err(error),
            (_, None) => Ok(Decision::Lost),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_by_the_first_128_bits_of_the_source_keys_hash() {
        let hash = "2cf24dba5fb0a30e26e83b2ac5b9e29e"; // sha256("hello")
        assert_eq!(key_hash("hello"), hash);
        assert_eq!(Kind::Pending.key("flights", "hello"), format!("_lake/pending/flights/{hash}.json"));
        assert_eq!(Kind::Commits.key("flights", "hello"), format!("_lake/commits/flights/{hash}.json"));
        assert_eq!(Kind::Parked.key("flights", "hello"), format!("_lake/parked/flights/{hash}.json"));
        assert_eq!(
            Kind::Commits.key_beside(&Kind::Pending.key("flights", "hello")),
            Some(Kind::Commits.key("flights", "hello"))
        );
        let none = Partition::default();
        assert_eq!(data_key("flights", "hello", 3, &none, 0), format!("flights/{hash}-3.parquet"));
        let january = Partition::new([("month".to_owned(), Some("1".to_owned()))]);
        assert_eq!(data_key("flights", "hello", 3, &january, 2), format!("flights/month=1/{hash}-3-2.parquet"));
        assert_eq!(rejects_key("flights", "hello", 3), format!("_lake/rejects/flights/{hash}-3.parquet"));
    }

    #[test]
    fn a_record_of_a_later_format_is_reported_as_such_and_not_misread() {
        let error = parse::<Parked>("k", br#"{"format":9}"#).unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::Damaged);
        assert!(error.message.contains("format 9"), "{error}");
    }
}
