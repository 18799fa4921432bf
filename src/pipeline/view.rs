//! Reading the ledger, never writing it: for `lake status`, `lake runs` and `lake put --wait`.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    ledger::{self, Commit, Kind, Marker, Parked, Run, Versioned, read, runs_prefix},
    ports::{CloudError, CloudErrorKind, Objects},
};

/// Records on a page.
pub const PAGE_RECORDS_MAX: u16 = 200;

/// Records that are read at the same time.
const CONCURRENT_READS_MAX: usize = 16;

/// Keys or folders that S3 lists at once.
const LIST_KEYS_MAX: u16 = 1000;

/// A page of records, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page<T> {
    /// The records.
    pub records: Vec<T>,
    /// Records that cannot be read, each with why.
    pub damaged: Vec<String>,
    /// Token of the next page; `None` on the last.
    pub next: Option<String>,
}

/// Markers of `dataset`: what waits or is worked on. [`Marker::live_claim`] tells which.
pub async fn pending(objects: &impl Objects, dataset: &str, page: Option<&str>) -> Result<Page<Marker>, CloudError> {
    records(objects, &Kind::Pending.prefix(dataset), page).await
}

/// Commit records of `dataset`.
pub async fn commits(objects: &impl Objects, dataset: &str, page: Option<&str>) -> Result<Page<Commit>, CloudError> {
    records(objects, &Kind::Commits.prefix(dataset), page).await
}

/// Parked objects of `dataset`, without those records that are void.
pub async fn parked(objects: &impl Objects, dataset: &str, page: Option<&str>) -> Result<Page<Parked>, CloudError> {
    let mut parked: Page<Parked> = records(objects, &Kind::Parked.prefix(dataset), page).await?;
    let keys = parked.records.iter().map(|parked| Kind::Commits.key(dataset, &parked.key)).collect();
    let committed: Page<Commit> = read_all(objects, keys).await?;
    let current = committed.records.into_iter().filter_map(|commit| Some((commit.key, commit.current?)));
    let current: HashMap<_, _> = current.collect();
    parked.records.retain(|parked| !parked.is_void(current.get(&parked.key)));
    Ok(parked)
}

/// How many markers of `dataset` there are, without reading them.
pub async fn count_pending(objects: &impl Objects, dataset: &str) -> Result<u64, CloudError> {
    count(objects, &Kind::Pending.prefix(dataset)).await
}

/// The newest run reports of `dataset`, newest first, `limit` at most.
pub async fn runs(objects: &impl Objects, dataset: &str, limit: usize) -> Result<Vec<Run>, CloudError> {
    let mut keys = Vec::new();
    let mut folders = vec![runs_prefix(dataset)];
    // Years, months and days are folders: walk them backwards, and no further than needed.
    while let Some(folder) = folders.pop() {
        let mut below = Vec::new();
        let mut reports = Vec::new();
        let mut page = None;
        loop {
            let listing = objects.list(&folder, true, page.as_deref(), LIST_KEYS_MAX).await?;
            below.extend(listing.folders);
            reports.extend(listing.keys);
            page = listing.next;
            if page.is_none() {
                break;
            }
        }
        folders.extend(below);
        keys.extend(reports.into_iter().rev());
        if keys.len() >= limit {
            break;
        }
    }
    keys.truncate(limit);
    let read = read_all(objects, keys).await?;
    for damaged in &read.damaged {
        tracing::warn!("{damaged}");
    }
    Ok(read.records)
}

/// All that the ledger knows of one source key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeyState {
    /// What waits or is worked on.
    pub marker: Option<Marker>,
    /// What is committed.
    pub commit: Option<Commit>,
    /// Why it was given up.
    pub parked: Option<Parked>,
}

/// Where one version of an object stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// No event of it has been heard yet, or it was deleted or overwritten before it was converted.
    Unknown,
    /// It waits for convert.
    Pending,
    /// It waits for a crawl that counts for it.
    AwaitingCrawl {
        /// About when that crawl began; `None` while one that does not count is under way, after which it begins.
        since: Option<Timestamp>,
        /// Crawls that have failed meanwhile.
        failures: u32,
    },
    /// Its crawl is over, and convert is told.
    Crawled {
        /// When that was noticed.
        at: Timestamp,
    },
    /// It is being converted.
    Converting {
        /// Request id of the invocation.
        owner: String,
        /// Since when.
        since: Timestamp,
    },
    /// It is decided and being finished.
    Finishing,
    /// Its rows are in the table.
    Committed {
        /// Id of the run report.
        run: String,
        /// Whether it was told of on the event bus.
        told: bool,
    },
    /// It was given up.
    Parked {
        /// Stable code of the reason.
        code: String,
        /// What is wrong, where, and what to do.
        message: String,
        /// Whether it was told of on the event bus.
        told: bool,
    },
}

impl Stage {
    /// How far a marker has come at `now`.
    pub fn of_marker(marker: &Marker, now: Timestamp) -> Self {
        if let Some(claim) = marker.live_claim(now) {
            return Stage::Converting { owner: claim.owner.clone(), since: claim.since };
        }
        let Some(crawl) = &marker.crawl else { return Stage::Pending };
        match (&crawl.handed_over, &crawl.noted) {
            (Some(handed_over), _) => Stage::Crawled { at: handed_over.at },
            (None, noted) => {
                Stage::AwaitingCrawl { since: noted.as_ref().map(|noted| noted.at), failures: crawl.failures }
            }
        }
    }
}

impl KeyState {
    /// Where the version with `etag` (in its quotes) stands at `now`.
    pub fn stage(&self, etag: &str, now: Timestamp) -> Stage {
        let commit = self.commit.as_ref();
        if commit.and_then(|commit| commit.attempt.as_ref()).is_some_and(|attempt| attempt.etag == etag) {
            return Stage::Finishing;
        }
        if let Some(current) = commit.and_then(|commit| commit.current.as_ref()).filter(|it| it.etag == etag) {
            return Stage::Committed { run: current.run.clone(), told: current.told };
        }
        if let Some(marker) = &self.marker {
            return Stage::of_marker(marker, now);
        }
        match self.parked.as_ref().filter(|parked| parked.etag == etag) {
            Some(Parked { code, message, told, .. }) => {
                Stage::Parked { code: code.clone(), message: message.clone(), told: *told }
            }
            None => Stage::Unknown,
        }
    }
}

/// Looks one source key up.
pub async fn key_state(objects: &impl Objects, dataset: &str, source_key: &str) -> Result<KeyState, CloudError> {
    let keys = [Kind::Pending, Kind::Commits, Kind::Parked].map(|kind| kind.key(dataset, source_key));
    let (marker, commit, parked) = futures::try_join!(
        read::<Marker>(objects, &keys[0]),
        read::<Commit>(objects, &keys[1]),
        read::<Parked>(objects, &keys[2]),
    )?;
    fn value<T>(record: Option<Versioned<T>>) -> Option<T> {
        record.map(|record| record.value)
    }
    Ok(KeyState { marker: value(marker), commit: value(commit), parked: value(parked) })
}

/// The run report with that id, if it is there.
pub async fn run(objects: &impl Objects, dataset: &str, id: &str) -> Result<Option<Run>, CloudError> {
    let Some(key) = ledger::run_key(dataset, id) else { return Ok(None) };
    Ok(read::<Run>(objects, &key).await?.map(|record| record.value))
}

async fn count(objects: &impl Objects, prefix: &str) -> Result<u64, CloudError> {
    let (mut count, mut page) = (0, None);
    loop {
        let listing = objects.list(prefix, false, page.as_deref(), LIST_KEYS_MAX).await?;
        count += listing.keys.len() as u64;
        page = listing.next;
        if page.is_none() {
            return Ok(count);
        }
    }
}

async fn records<T: DeserializeOwned>(
    objects: &impl Objects,
    prefix: &str,
    page: Option<&str>,
) -> Result<Page<T>, CloudError> {
    let listing = objects.list(prefix, false, page, PAGE_RECORDS_MAX).await?;
    let read = read_all(objects, listing.keys).await?;
    Ok(Page { next: listing.next, ..read })
}

/// Reads records; one that has gone since it was listed is left out.
async fn read_all<T: DeserializeOwned>(objects: &impl Objects, keys: Vec<String>) -> Result<Page<T>, CloudError> {
    let read: Vec<Result<Option<T>, String>> = stream::iter(keys)
        .map(|key| async move {
            match read::<T>(objects, &key).await {
                Ok(record) => Ok(Ok(record.map(|record| record.value))),
                Err(error) if error.kind == CloudErrorKind::Damaged => Ok(Err(error.to_string())),
                Err(error) => Err(error),
            }
        })
        .buffered(CONCURRENT_READS_MAX)
        .try_collect()
        .await?;
    let mut page = Page { records: Vec::new(), damaged: Vec::new(), next: None };
    for record in read {
        match record {
            Ok(record) => page.records.extend(record),
            Err(damaged) => page.damaged.push(damaged),
        }
    }
    Ok(page)
}
