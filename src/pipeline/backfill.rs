//! Converting again what was made by another configuration or plugin than the dataset has now.
//!
//! [`plan`] reads all of the dataset's commit records and tells which of its objects are stale. [`drive`] puts a marker of
//! [`Origin::Backfill`] for each and tells convert; from there on they go the way of every object, each superseding the
//! generation before it. [`standing`] tells how far one has come.
//!
//! # The table's columns
//!
//! A transform may make columns of other types than the table has, or fewer of them. A Parquet file cannot change its
//! types, so a conversion on behalf of an event is refused then (`schema_conflict`), and nothing changes. A backfill with
//! [`ColumnChange::Allowed`] replaces the table's columns: the first object that the new transform has worked on does it,
//! between its conversion and the decision, on the condition that the table is still the one that was looked at. From
//! then on new objects are converted, too. Until all that is stale is converted, a column that has changed its type
//! cannot be read in the files that are not, and one that is gone is not seen; no file is lost by it. The same holds for
//! good for files whose sources are gone ([`Plan::gone`]): they cannot be converted, and stay as they are. So a backfill
//! of a part of the objects, or where some are gone, is better made with [`ColumnChange::Refused`].

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    ledger::{self, Committed, Decision, Kind, Marker, Origin, Staleness, Versioned, put_decisively, read},
    ports::{Clock, CloudError, CloudErrorKind, Condition, Functions, Objects},
    schema::SCHEMA_CONFLICT,
    view,
};
use crate::dataset::Dataset;

/// Objects that are looked at, or driven, at the same time.
const CONCURRENT_OBJECTS_MAX: usize = 16;

/// Keys of the raw bucket that are listed at once.
const LIST_KEYS_MAX: u16 = 1000;

/// Times that a marker which changes under us is looked at again.
const MARKER_TRIES_MAX: u32 = 5;

/// What a backfill would do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The dataset.
    pub dataset: String,
    /// Objects whose rows are in the table.
    pub committed: u64,
    /// Those of them that were made by another configuration or plugin, and whose sources are there, by key.
    pub stale: Vec<Stale>,
    /// Those of them whose sources are gone: their files stay as they are.
    pub gone: Vec<Stale>,
    /// Objects that were given up because the table's columns have other types than theirs, by key.
    pub conflicting: Vec<String>,
    /// Records that cannot be read, each with why.
    pub damaged: Vec<String>,
}

/// An object that was made by another configuration or plugin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stale {
    /// Key in the raw bucket.
    pub key: String,
    /// What has changed since.
    pub staleness: Staleness,
    /// What readers see of it.
    pub current: Committed,
}

impl Plan {
    /// What [`drive`] is to be given: all that is stale, and all that a change of the columns may set free.
    pub fn keys(&self) -> Vec<String> {
        let keys = self.stale.iter().map(|stale| &stale.key).chain(&self.conflicting);
        keys.cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Objects made by another plugin, those included whose sources are gone.
    pub fn by_plugin(&self) -> usize {
        self.stale.iter().chain(&self.gone).filter(|stale| stale.staleness.plugin).count()
    }

    /// Objects made by another configuration, those included whose sources are gone.
    pub fn by_config(&self) -> usize {
        self.stale.iter().chain(&self.gone).filter(|stale| stale.staleness.config).count()
    }

    /// [`ColumnChange::Allowed`] when every file can be converted.
    pub fn column_change(&self) -> ColumnChange {
        match self.gone.is_empty() && self.damaged.is_empty() {
            true => ColumnChange::Allowed,
            false => ColumnChange::Refused,
        }
    }
}

/// Whether the table's columns may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnChange {
    /// They become those that the dataset has now.
    Allowed,
    /// Columns are added; an object whose columns have other types than the table's is parked, and what is committed
    /// of it stays.
    Refused,
}

/// Reads all of the dataset's commit records. It takes about one request for each, and the listing of its sources.
///
/// # Errors
/// When a request fails. A record that cannot be read is in the answer.
pub async fn plan(cloud: &impl Objects, dataset: &Dataset) -> Result<Plan, CloudError> {
    let mut plan = Plan {
        dataset: dataset.name.clone(),
        committed: 0,
        stale: Vec::new(),
        gone: Vec::new(),
        conflicting: Vec::new(),
        damaged: Vec::new(),
    };
    let mut page = None;
    loop {
        let commits = view::commits(cloud, &dataset.name, page.as_deref()).await?;
        plan.damaged.extend(commits.damaged);
        for commit in commits.records {
            let Some(current) = commit.current else { continue };
            plan.committed += 1;
            if let Some(staleness) = current.stale_for(dataset) {
                plan.stale.push(Stale { key: commit.key, staleness, current });
            }
        }
        page = commits.next;
        if page.is_none() {
            break;
        }
    }
    plan.stale.sort_by(|a, b| a.key.cmp(&b.key));
    let gone = gone(cloud, dataset, &plan.stale).await?;
    (plan.gone, plan.stale) = plan.stale.into_iter().partition(|stale| gone.contains(&stale.key));
    plan.conflicting = conflicting(cloud, dataset).await?;
    Ok(plan)
}

/// Which of these objects are not in the raw bucket.
async fn gone(cloud: &impl Objects, dataset: &Dataset, stale: &[Stale]) -> Result<BTreeSet<String>, CloudError> {
    let mut missing: BTreeSet<String> = stale.iter().map(|stale| stale.key.clone()).collect();
    let mut after = String::new();
    while !missing.is_empty() {
        let page = cloud.sources(&dataset.source, &after, LIST_KEYS_MAX).await?;
        for (key, _) in &page.objects {
            missing.remove(key);
        }
        match page.objects.into_iter().last().filter(|_| page.more) {
            Some((last, _)) => after = last,
            None => break,
        }
    }
    // The dataset may have had another prefix when they came.
    let looked = stream::iter(missing)
        .map(async |key| Ok::<_, CloudError>((cloud.source(&key).await?, key)))
        .buffer_unordered(CONCURRENT_OBJECTS_MAX);
    let absent = looked.try_filter_map(async |(head, key)| Ok(head.is_none().then_some(key)));
    absent.try_collect().await
}

/// Objects that wait for the table's columns to change.
async fn conflicting(cloud: &impl Objects, dataset: &Dataset) -> Result<Vec<String>, CloudError> {
    let (mut keys, mut page) = (Vec::new(), None);
    loop {
        let parked = view::parked(cloud, &dataset.name, page.as_deref()).await?;
        let conflicting = parked.records.into_iter().filter(|parked| parked.code == SCHEMA_CONFLICT);
        keys.extend(conflicting.map(|parked| parked.key));
        page = parked.next;
        if page.is_none() {
            keys.sort();
            return Ok(keys);
        }
    }
}

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Driven {
    /// Key in the raw bucket.
    pub key: String,
    /// What was done.
    pub action: Action,
}

/// What was done about a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// It has a marker, and convert was told.
    Invoked,
    /// Somebody works on it, perhaps as the dataset was before; nothing was done. Drive it again when they are done,
    /// if it is stale then.
    InProgress {
        /// When that claim dies at the latest.
        until: Timestamp,
    },
    /// It did not work; the others were driven.
    Failed {
        /// Why.
        message: String,
    },
}

/// Has these objects converted again, and calls `done` for each as it is on its way. What fails is in the answer, in
/// the order of `keys`.
pub async fn drive<C: Objects + Functions + Clock>(
    cloud: &C,
    dataset: &Dataset,
    keys: &[String],
    columns: ColumnChange,
    done: impl Fn(&Driven) + Sync,
) -> Vec<Driven> {
    let driven = stream::iter(keys).map(async |key| {
        let action = match drive_one(cloud, dataset, key, columns).await {
            Ok(action) => action,
            Err(error) => Action::Failed { message: error.to_string() },
        };
        let driven = Driven { key: key.clone(), action };
        done(&driven);
        driven
    });
    driven.buffered(CONCURRENT_OBJECTS_MAX).collect().await
}

async fn drive_one<C: Objects + Functions + Clock>(
    cloud: &C,
    dataset: &Dataset,
    source_key: &str,
    columns: ColumnChange,
) -> Result<Action, CloudError> {
    let key = Kind::Pending.key(&dataset.name, source_key);
    for _ in 0..MARKER_TRIES_MAX {
        let there: Option<Versioned<Marker>> = read(cloud, &key).await?;
        let now = cloud.now();
        if let Some(claim) = there.as_ref().and_then(|there| there.value.live_claim(now)) {
            return Ok(Action::InProgress { until: claim.deadline });
        }
        let fresh = Marker::new(&dataset.name, source_key, Origin::Backfill, None, now);
        let columns_of = (columns == ColumnChange::Allowed).then(|| dataset.version());
        let fresh = Marker { columns_of, ..fresh };
        let condition = there.as_ref().map_or(Condition::Absent, |there| Condition::Matches(&there.etag));
        // One that waits stands for a version that may be newer, and need not have been crawled.
        let marker = match &there {
            Some(Versioned { value: there, .. }) => Marker {
                id: there.id.clone(),
                event: there.event.clone(),
                crawl: there.crawl.clone(),
                noted_at: there.noted_at,
                ..fresh
            },
            None => fresh,
        };
        let bytes = ledger::body(&marker);
        if let Decision::Won(_) = put_decisively(cloud, &key, bytes.clone(), condition, |there| there == bytes).await? {
            cloud.invoke_convert(&key).await?;
            return Ok(Action::Invoked);
        }
    }
    Err(CloudError {
        operation: "PutObject",
        target: key,
        message: format!("the marker changed under us {MARKER_TRIES_MAX} times"),
        kind: CloudErrorKind::Retriable,
    })
}

/// How far the backfill of an object has come.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// It waits for convert.
    Waiting,
    /// It is being converted, or finished.
    Converting,
    /// What readers see is made by the dataset as it is now.
    Done(Box<Committed>),
    /// It was given up; what readers see is made by the dataset as it was.
    Parked {
        /// Stable code of the reason.
        code: String,
        /// What is wrong, where, and what to do.
        message: String,
    },
    /// Its source is gone; its files stay as they are.
    Gone,
    /// Nobody is at it, and what readers see is stale: it was not driven, an event that came twice took the place of
    /// its marker, or convert has the dataset in another version. Drive it again, after an apply.
    Stale,
}

/// Looks an object up.
///
/// # Errors
/// When a request fails or a record cannot be read.
pub async fn standing(cloud: &(impl Objects + Clock), dataset: &Dataset, key: &str) -> Result<Standing, CloudError> {
    // The marker is cleared last: read before the others, its absence means that they are as they will be.
    let marker: Option<Versioned<Marker>> = read(cloud, &Kind::Pending.key(&dataset.name, key)).await?;
    if let Some(marker) = marker {
        let is_claimed = marker.value.live_claim(cloud.now()).is_some();
        return Ok(if is_claimed { Standing::Converting } else { Standing::Waiting });
    }
    let state = view::key_state(cloud, &dataset.name, key).await?;
    if state.commit.as_ref().is_some_and(|commit| commit.attempt.is_some()) {
        return Ok(Standing::Converting);
    }
    let current = state.commit.and_then(|commit| commit.current);
    let parked = state.parked.filter(|parked| {
        let report = &parked.run.report;
        report.config_hash == dataset.config_hash() && report.plugin_hash.as_deref() == dataset.plugin_hash()
    });
    if let Some(parked) = parked.filter(|parked| !parked.is_void(current.as_ref())) {
        return Ok(Standing::Parked { code: parked.code, message: parked.message });
    }
    match current {
        Some(current) if current.stale_for(dataset).is_none() => Ok(Standing::Done(Box::new(current))),
        _ if cloud.source(key).await?.is_none() => Ok(Standing::Gone),
        _ => Ok(Standing::Stale),
    }
}
