//! How far each object of a dataset has come: what the ledger knows, and what lies in the raw bucket.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    cli::{console::Style, deployed::Deployed, error::CliError, service_error},
    dataset::Dataset,
    pipeline::{
        ledger::{Commit, Marker, Parked},
        ports::CloudError,
        view::{self, Page, Stage},
    },
};

/// How far an object has come. In the order of how much it needs a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Given up, with a reason.
    Parked,
    /// In the raw bucket, and no function has heard of it.
    Unheard,
    /// Waits for a crawl that begins after it came.
    AwaitingCrawl,
    /// Its crawl is over, and convert is told.
    Crawled,
    /// Waits for convert.
    Pending,
    /// Being converted.
    Converting,
    /// Decided, and being finished.
    Finishing,
    /// Its rows are in the table.
    Committed,
    /// Its rows are in the table, and it is no longer in the raw bucket.
    SourceGone,
}

impl State {
    /// All of them, in their order.
    pub(super) const ALL: [State; 9] = [
        State::Parked,
        State::Unheard,
        State::AwaitingCrawl,
        State::Crawled,
        State::Pending,
        State::Converting,
        State::Finishing,
        State::Committed,
        State::SourceGone,
    ];

    /// For people.
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Parked => "parked",
            State::Unheard => "not noticed yet",
            State::AwaitingCrawl => "waiting for a crawl",
            State::Crawled => "crawled (waiting for convert)",
            State::Pending => "waiting for convert",
            State::Converting => "converting",
            State::Finishing => "finishing",
            State::Committed => "committed",
            State::SourceGone => "committed (file deleted)",
        }
    }

    /// For programs: as JSON has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Parked => "parked",
            State::Unheard => "unheard",
            State::AwaitingCrawl => "awaiting_crawl",
            State::Crawled => "crawled",
            State::Pending => "pending",
            State::Converting => "converting",
            State::Finishing => "finishing",
            State::Committed => "committed",
            State::SourceGone => "source_gone",
        }
    }

    pub(super) fn style(self) -> Style {
        match self {
            State::Parked => Style::Bad,
            State::Unheard | State::SourceGone => Style::Faint,
            State::AwaitingCrawl | State::Crawled | State::Pending | State::Converting | State::Finishing => {
                Style::Changed
            }
            State::Committed => Style::Good,
        }
    }
}

/// One object of the raw bucket, or one that was there.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Object {
    /// Key in the raw bucket.
    pub key: String,
    /// How far it has come.
    pub state: State,
    /// Whether the event of its end was sent, which alerts follow from; `None` before that end.
    pub told: Option<bool>,
    /// Size in the raw bucket; `None` when it is gone from there.
    pub bytes: Option<u64>,
    /// Rows that readers see.
    pub rows: u64,
    /// Rows that the transform left out.
    pub filtered: u64,
    /// Rows that were set aside.
    pub rejected: u64,
    /// When it came into this state.
    pub since: Option<jiff::Timestamp>,
    /// Crawls that would have counted for it and failed.
    pub crawls_failed: u32,
    /// What stands in its way.
    pub error: Option<String>,
}

impl Object {
    /// Its state for people.
    pub(super) fn word(&self) -> String {
        let told = if self.told == Some(true) { ", told" } else { "" };
        format!("{}{told}", self.state.word())
    }

    fn committed(commit: &Commit, here: Option<&Raw>) -> Option<Self> {
        let current = commit.current.as_ref();
        let (state, told, since) = match (&commit.attempt, current, here) {
            (Some(attempt), ..) => (State::Finishing, None, attempt.decided_at),
            (None, Some(current), None) => (State::SourceGone, Some(current.told), current.finished_at),
            (None, Some(current), Some(here)) if here.etag != current.etag => {
                (State::Unheard, None, current.finished_at)
            }
            (None, Some(current), Some(_)) => (State::Committed, Some(current.told), current.finished_at),
            (None, None, _) => return None,
        };
        Some(Object {
            key: commit.key.clone(),
            state,
            told,
            bytes: here.map(|here| here.bytes),
            rows: current.map_or(0, |current| current.rows),
            filtered: current.map_or(0, |current| current.filtered),
            rejected: current.map_or(0, |current| current.rejected),
            // Of a newer version that nobody has heard of it is not known since when it is there.
            since: (state != State::Unheard).then_some(since),
            crawls_failed: 0,
            error: None,
        })
    }

    fn unheard(key: &str, here: Option<&Raw>) -> Self {
        Object {
            key: key.to_owned(),
            state: State::Unheard,
            told: None,
            bytes: here.map(|here| here.bytes),
            rows: 0,
            filtered: 0,
            rejected: 0,
            since: None,
            crawls_failed: 0,
            error: None,
        }
    }

    fn park(&mut self, parked: &Parked) {
        self.state = State::Parked;
        self.told = Some(parked.told);
        self.since = Some(parked.parked_at);
        self.error = Some(format!("{}: {}", parked.code, parked.message));
    }

    fn mark(&mut self, marker: &Marker, now: jiff::Timestamp) {
        let (state, since, crawls_failed) = match Stage::of_marker(marker, now) {
            Stage::Converting { since, .. } => (State::Converting, since, 0),
            Stage::Crawled { at } => (State::Crawled, at, 0),
            Stage::AwaitingCrawl { failures, .. } => (State::AwaitingCrawl, marker.noted_at, failures),
            _ => (State::Pending, marker.noted_at, 0),
        };
        (self.state, self.since, self.crawls_failed, self.told) = (state, Some(since), crawls_failed, None);
        self.error.clone_from(&marker.last_error);
    }
}

/// A dataset's objects, and records of them that cannot be read, each with why.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub objects: Vec<Object>,
    pub damaged: Vec<String>,
}

impl Objects {
    /// Every object of a dataset, those that need a look first.
    pub(super) async fn of(deployed: &Deployed, dataset: &Dataset) -> Result<Self, CliError> {
        let ledger = deployed.pipeline()?;
        let raw = raw_objects(deployed, dataset).await?;
        let (mut objects, mut damaged) = (BTreeMap::<String, Object>::new(), Vec::new());
        let (name, now) = (dataset.name.as_str(), jiff::Timestamp::now());
        // Later ones overrule earlier ones: a marker tells of what is newer than the record.
        for commit in all(&mut damaged, async |page| view::commits(&ledger, name, page).await).await? {
            let object = Object::committed(&commit, raw.get(&commit.key));
            objects.extend(object.map(|object| (commit.key, object)));
        }
        for parked in all(&mut damaged, async |page| view::parked(&ledger, name, page).await).await? {
            // A newer version than the one given up is on its way, or gone.
            if raw.get(&parked.key).is_none_or(|here| here.etag == parked.etag) {
                entry(&mut objects, &raw, &parked.key).park(&parked);
            }
        }
        for marker in all(&mut damaged, async |page| view::pending(&ledger, name, page).await).await? {
            entry(&mut objects, &raw, &marker.key).mark(&marker, now);
        }
        for key in raw.keys() {
            entry(&mut objects, &raw, key);
        }
        let mut objects: Vec<Object> = objects.into_values().collect();
        objects.sort_by(|a, b| (a.state, b.since, &a.key).cmp(&(b.state, a.since, &b.key)));
        Ok(Objects { objects, damaged })
    }
}

fn entry<'a>(objects: &'a mut BTreeMap<String, Object>, raw: &BTreeMap<String, Raw>, key: &str) -> &'a mut Object {
    objects.entry(key.to_owned()).or_insert_with(|| Object::unheard(key, raw.get(key)))
}

/// All records of a kind, page by page.
async fn all<T>(
    damaged: &mut Vec<String>,
    read: impl AsyncFn(Option<&str>) -> Result<Page<T>, CloudError>,
) -> Result<Vec<T>, CliError> {
    let (mut records, mut page) = (Vec::new(), None::<String>);
    loop {
        let read = read(page.as_deref()).await?;
        records.extend(read.records);
        damaged.extend(read.damaged);
        page = read.next;
        if page.is_none() {
            return Ok(records);
        }
    }
}

/// An object as the raw bucket lists it.
struct Raw {
    etag: String,
    bytes: u64,
}

async fn raw_objects(deployed: &Deployed, dataset: &Dataset) -> Result<BTreeMap<String, Raw>, CliError> {
    let list = deployed.connection.s3().list_objects_v2().bucket(&deployed.raw_bucket).prefix(&dataset.source);
    let mut pages = list.into_paginator().send();
    let mut objects = BTreeMap::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| service_error("s3:ListObjectsV2", &deployed.raw_bucket, error))?;
        for object in page.contents() {
            let (Some(key), Some(etag)) = (object.key(), object.e_tag()) else { continue };
            let bytes = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
            // A key that ends in a slash is a console's idea of a folder.
            if !key.ends_with('/') {
                objects.insert(key.to_owned(), Raw { etag: etag.to_owned(), bytes });
            }
        }
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::pipeline::ledger::{Claim, Crawl, HandOver, Note, Origin};

    fn marker() -> Marker {
        Marker::new("orders", "orders/a.csv", Origin::Event, None, Timestamp::UNIX_EPOCH)
    }

    fn state(marker: &Marker) -> (State, u32) {
        let mut object = Object::unheard(&marker.key, None);
        object.mark(marker, Timestamp::UNIX_EPOCH);
        assert_eq!(object.told, None);
        (object.state, object.crawls_failed)
    }

    #[test]
    fn a_marker_tells_what_its_object_waits_for() {
        let at = Timestamp::UNIX_EPOCH;
        assert_eq!(state(&marker()), (State::Pending, 0));
        assert_eq!(state(&marker().crawled()), (State::AwaitingCrawl, 0));
        let noted = Crawl { noted: Some(Note { seen_start: None, at }), failures: 2, handed_over: None };
        assert_eq!(state(&Marker { crawl: Some(noted.clone()), ..marker() }), (State::AwaitingCrawl, 2));
        let handed_over = HandOver { crawl: Some(at), at, by: "x".into() };
        let crawled = Crawl { handed_over: Some(handed_over), ..noted };
        assert_eq!(state(&Marker { crawl: Some(crawled.clone()), ..marker() }), (State::Crawled, 0));
        let claim =
            Claim { owner: "x".into(), token: "y".into(), since: at, deadline: at + SignedDuration::from_secs(9) };
        let claimed = Marker { crawl: Some(crawled), claim: Some(claim), ..marker() };
        assert_eq!(state(&claimed), (State::Converting, 0));
    }

    #[test]
    fn every_state_is_counted_under_the_name_that_json_has() {
        for state in State::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
    }
}
