//! What was left behind: found, and driven on.
//!
//! A sweep remembers nothing of the one before. It looks at every marker, for their number and age are what the
//! alarms watch. Of sources, commit records and parked records it looks at a bounded number for each dataset, from a
//! place chosen by chance on, so that the cost of a sweep does not grow with the lake and every object's turn comes;
//! a dataset no larger than the bound is looked at whole. It begins with another dataset each time, and stops when its
//! time is nearly over.
//!
//! Sources are compared with the records by entity tag alone: times tell nothing of what has been heard of. So an
//! object whose event is still on its way may be found; its marker is then written twice, and it is converted once.

mod pending;
mod records;
mod sources;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    Invocation, crawl,
    ledger::{self, Found, Kind, Marker, Origin},
    ports::{Clock, CloudError, Condition, Crawlers, Events, Functions, Objects, Put},
    telling::Telling,
};
use crate::dataset::{CatalogMode, Dataset, Manifest};

/// What was written more recently than this is left to those who work on it, seconds. Longer than the pauses that
/// Lambda makes between the tries of an invocation: one minute, then two.
pub const GRACE_SECONDS: i64 = 300;

/// How long before its end an invocation begins nothing new.
const TIME_TO_END: SignedDuration = SignedDuration::from_secs(20);

/// Sources of a dataset that one sweep compares: about as many GET requests.
const SOURCES_MAX: usize = 10_000;

/// Commit records, and parked records, of a dataset that one sweep reads besides.
const RECORDS_MAX: u16 = 1000;

/// Objects that are looked at at the same time.
const CONCURRENT_OBJECTS_MAX: usize = 32;

/// What a sweep needs of the world.
pub trait Surroundings: Objects + Functions + Crawlers + Events + Clock {}

impl<T: Objects + Functions + Crawlers + Events + Clock> Surroundings for T {}

/// What a sweep found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Markers there are.
    pub pending: u64,
    /// Age of the oldest, seconds; 0 without one.
    pub oldest_pending_seconds: u64,
    /// Markers that were driven on: convert was invoked, or a crawl started.
    pub redriven: u64,
    /// Objects that no marker and no record told of.
    pub found: u64,
    /// Parked objects that were told of.
    pub told: u64,
    /// Datasets that were looked at to the end, in order.
    pub datasets: Vec<String>,
    /// Where the time was over; the next sweep begins elsewhere.
    pub stopped_at: Option<String>,
    /// What did not work; the rest was done.
    pub failures: Vec<String>,
}

/// Why a dataset was not looked at to its end.
enum Stop {
    /// The time is over.
    Time,
    /// It did not work.
    Failed(CloudError),
}

impl From<CloudError> for Stop {
    fn from(error: CloudError) -> Self {
        Stop::Failed(error)
    }
}

/// Sweeps every dataset of `manifest`. What fails is in the answer, and does not keep the rest from being done.
pub async fn sweep<C: Surroundings>(cloud: &C, manifest: &Manifest, invocation: &Invocation) -> Swept {
    sweep_older(cloud, manifest, invocation, SignedDuration::from_secs(GRACE_SECONDS)).await
}

/// [`sweep`] of what was written before `grace` began: for people who know that nobody works on the rest.
pub async fn sweep_older<C: Surroundings>(
    cloud: &C,
    manifest: &Manifest,
    invocation: &Invocation,
    grace: SignedDuration,
) -> Swept {
    let mut sweeper = Sweeper { cloud, manifest, invocation, grace, swept: Swept::default() };
    sweeper.all().await;
    sweeper.swept
}

struct Sweeper<'a, C> {
    cloud: &'a C,
    manifest: &'a Manifest,
    invocation: &'a Invocation,
    grace: SignedDuration,
    swept: Swept,
}

impl<C: Surroundings> Sweeper<'_, C> {
    async fn all(&mut self) {
        let datasets = self.rotated();
        // The markers of all come first: what is known to wait, and what the alarms watch.
        for dataset in &datasets {
            let done = self.pending(dataset).await;
            if self.is_over(dataset, done) {
                return;
            }
        }
        for dataset in &datasets {
            let done = self.beyond_markers(dataset).await;
            if self.is_over(dataset, done) {
                return;
            }
            self.swept.datasets.push(dataset.name.clone());
        }
    }

    async fn beyond_markers(&mut self, dataset: &Dataset) -> Result<(), Stop> {
        self.sources(dataset).await?;
        self.unfinished(dataset).await?;
        self.untold(dataset).await
    }

    /// Whether the sweep is; a failure is written down and is not the end.
    fn is_over(&mut self, dataset: &Dataset, done: Result<(), Stop>) -> bool {
        match done {
            Ok(()) => false,
            Err(Stop::Failed(error)) => {
                self.swept.failures.push(format!("{}: {error}", dataset.name));
                false
            }
            Err(Stop::Time) => {
                self.swept.stopped_at = Some(dataset.name.clone());
                true
            }
        }
    }

    /// The datasets, beginning with another one each time.
    fn rotated(&self) -> Vec<Dataset> {
        let mut datasets = self.manifest.datasets.clone();
        let chance = u64::from_str_radix(&self.chance()[..8], 16).unwrap_or_default();
        if let Some(first) = chance.checked_rem(datasets.len() as u64) {
            datasets.rotate_left(usize::try_from(first).unwrap_or_default());
        }
        datasets
    }

    /// 32 hex digits, others in every sweep.
    fn chance(&self) -> String {
        ledger::key_hash(&self.invocation.token)
    }

    fn check_time(&self) -> Result<(), Stop> {
        match self.cloud.now().duration_until(self.invocation.deadline) < TIME_TO_END {
            true => Err(Stop::Time),
            false => Ok(()),
        }
    }

    fn is_recent(&self, time: Timestamp) -> bool {
        self.cloud.now().duration_since(time) < self.grace
    }

    /// Writes a marker for an object that has none. `None`: it has one by now, and somebody drives that.
    async fn note(&self, dataset: &Dataset, key: &str) -> Result<Option<Found>, CloudError> {
        let marker = Marker::new(&dataset.name, key, Origin::Sweep, None, self.cloud.now());
        let marker = match dataset.catalog {
            CatalogMode::Crawler => marker.crawled(),
            CatalogMode::Direct => marker,
        };
        let key = Kind::Pending.key(&dataset.name, key);
        match self.cloud.put(&key, ledger::body(&marker), Condition::Absent).await? {
            Put::Written(etag) => Ok(Some(Found { key, marker, etag })),
            Put::Refused => Ok(None),
        }
    }

    /// Drives markers on: to convert, or to the crawler first. Tells how many.
    async fn drive(&mut self, dataset: &Dataset, markers: Vec<Found>) -> Result<u64, CloudError> {
        if dataset.catalog == CatalogMode::Direct {
            let keys: Vec<String> = markers.into_iter().map(|found| found.key).collect();
            return Ok(self.hand_over(dataset, &keys).await);
        }
        let owner = &self.invocation.request_id;
        let arranged = crawl::arrange(self.cloud, &dataset.name, owner, self.grace, markers).await?;
        self.fail(dataset, arranged.failures);
        let crawled = if arranged.started { arranged.crawled } else { 0 };
        let driven = crawled + self.hand_over(dataset, &arranged.ready).await;
        // The crawler's own event may have been lost. Should it come yet, it is told twice.
        if let Some(reason) = arranged.crawl_failure {
            let crawler = self.cloud.crawler_of_dataset(&dataset.name).unwrap_or_default();
            self.cloud.tell(&Telling::of_failed_crawl(&dataset.name, &crawler, &reason)).await?;
        }
        Ok(driven)
    }

    async fn hand_over(&mut self, dataset: &Dataset, keys: &[String]) -> u64 {
        let failures = crawl::hand_over(self.cloud, keys).await;
        let driven = (keys.len() - failures.len()) as u64;
        self.fail(dataset, failures);
        driven
    }

    fn fail(&mut self, dataset: &Dataset, errors: Vec<CloudError>) {
        self.swept.failures.extend(errors.into_iter().map(|error| format!("{}: {error}", dataset.name)));
    }
}
