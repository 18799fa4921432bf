//! The pending marker: one a source key, from the moment its event is heard until its outputs are committed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::LEDGER_FORMAT;
use crate::dataset::Dataset;

/// "This object waits to be converted."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// [`LEDGER_FORMAT`].
    pub format: u32,
    /// Dataset that the key belongs to.
    pub dataset: String,
    /// Key in the raw bucket.
    pub key: String,
    /// Random; tells two markers of one key apart.
    pub id: String,
    /// Why the marker is there.
    pub origin: Origin,
    /// What S3 said, for people. The object itself is always looked at as it is when it is converted.
    pub event: Option<Event>,
    /// When the marker was written.
    pub noted_at: Timestamp,
    /// Times that it was claimed.
    pub attempts: u32,
    /// What the last attempt ran into.
    pub last_error: Option<String>,
    /// Who works on it.
    pub claim: Option<Claim>,
    /// When it was last written, by whomever; `None` in markers of an earlier version of lake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// How far its crawl has come. `None` when it needs none, or nobody has looked yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crawl: Option<Crawl>,
    /// Of a backfill: the [`Dataset::version`] whose columns may take the place of the table's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns_of: Option<String>,
}

/// Why a marker is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// S3 told of an object.
    Event,
    /// A person asks for another try: a parked object is converted although it has not changed, and a committed
    /// one if the dataset's configuration or its plugin has.
    Retry,
    /// A person asks for the dataset's committed objects to be converted as it is now: as [`Origin::Retry`], and the
    /// object need not be crawled again.
    Backfill,
    /// The sweep found an object of which no event had been heard, or an attempt that nobody was finishing.
    Sweep,
}

/// The part of an S3 event that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Such as `ObjectCreated:Put`.
    pub name: String,
    /// When S3 says it happened.
    pub time: Option<Timestamp>,
    /// Entity tag, without quotes, as events carry it.
    pub etag: Option<String>,
    /// Size in bytes.
    pub bytes: Option<u64>,
    /// S3's order of events on one key.
    pub sequencer: Option<String>,
}

/// Who works on a marker, and until when others keep away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Lambda's request id. A retry of the same asynchronous invocation bears the same, and takes over at once.
    pub owner: String,
    /// Random, one an invocation: tells an invocation from a retry of it.
    pub token: String,
    /// When it was taken.
    pub since: Timestamp,
    /// When the invocation is ended by Lambda at the latest: the claim is dead from then on.
    pub deadline: Timestamp,
}

/// How far the crawl of a marker's object has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crawl {
    /// The crawler as it was when a crawl was started for this marker: a crawl counts if its start is another one.
    /// `None`: the crawler was running when the object came, and that crawl does not count.
    pub noted: Option<Note>,
    /// Crawls that would have counted and did not succeed.
    pub failures: u32,
    /// Convert may take the marker.
    pub handed_over: Option<HandOver>,
}

/// The crawler when it was ready, after the marker was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Start of its last crawl; `None` when it had had none.
    pub seen_start: Option<Timestamp>,
    /// When this was noted: about when the crawl began that counts.
    pub at: Timestamp,
}

/// A marker that has waited for its crawl long enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// Start of the crawl that counts; `None` when none would succeed, and the object is to be parked.
    pub crawl: Option<Timestamp>,
    /// When it was handed over.
    pub at: Timestamp,
    /// Request id of the invocation that hands it over: a retry of it does so again.
    pub by: String,
}

impl Marker {
    /// A marker nobody has claimed.
    pub fn new(dataset: &str, key: &str, origin: Origin, event: Option<Event>, now: Timestamp) -> Self {
        Marker {
            format: LEDGER_FORMAT,
            dataset: dataset.to_owned(),
            key: key.to_owned(),
            id: uuid::Uuid::new_v4().simple().to_string(),
            origin,
            event,
            noted_at: now,
            attempts: 0,
            last_error: None,
            claim: None,
            changed_at: Some(now),
            crawl: None,
            columns_of: None,
        }
    }

    /// The same, waiting for a crawl.
    pub fn crawled(self) -> Self {
        Marker { crawl: Some(Crawl::default()), ..self }
    }

    /// Whether a person asked for it: what is committed or parked already is looked at anew.
    pub fn is_asked_for(&self) -> bool {
        matches!(self.origin, Origin::Retry | Origin::Backfill)
    }

    /// Whether a conversion by `dataset` may replace the table's columns. A function that has the dataset in another
    /// version than the person had who asked may not.
    pub fn may_replace_columns(&self, dataset: &Dataset) -> bool {
        self.columns_of.as_ref().is_some_and(|version| *version == dataset.version())
    }

    /// Whether it is converted without a crawl: the version that a backfill converts was crawled before it was
    /// committed. A marker that waited for a crawl before the backfill found it goes on waiting.
    pub fn needs_no_crawl(&self) -> bool {
        self.origin == Origin::Backfill && self.crawl.is_none()
    }

    /// The claim, while it keeps others away.
    pub fn live_claim(&self, now: Timestamp) -> Option<&Claim> {
        self.claim.as_ref().filter(|claim| now < claim.deadline)
    }

    /// Whether its crawl is over, one way or the other.
    pub fn is_handed_over(&self) -> bool {
        self.crawl.as_ref().is_some_and(|crawl| crawl.handed_over.is_some())
    }

    /// When it was last written.
    pub fn last_written_at(&self) -> Timestamp {
        let claimed = self.claim.as_ref().map(|claim| claim.since);
        self.changed_at.into_iter().chain(claimed).fold(self.noted_at, Timestamp::max)
    }
}
