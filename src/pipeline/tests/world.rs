//! A lake in memory. A [`World`] is the cloud; a [`Process`] is one invocation's connection to it, which may be
//! cut, die, or be told lies of the kind that real ones tell.

mod catalog;
mod crawler;
mod engine;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use crate::{
    dataset::{CatalogMode, Column, ColumnType, Dataset, Manifest, Partition, SchemaChange},
    executor::Report,
    pipeline::{
        Invocation,
        backfill::{self, ColumnChange, Driven},
        convert::{Answer, ConvertError, convert},
        intake::intake,
        ledger::{Commit, Committed, Kind, Marker, Parked, Role, Run, RunOutcome, parse},
        ports::*,
        telling::{JobState, Subject, Telling},
    },
};

pub use crawler::{CRAWLER, CrawlerSim};
pub use engine::{PLUGINS, column, columns_by, columns_of, transform};

use engine::{made_of, plugin_of_hash};

pub const RAW: &str = "raw-bucket";
pub const DATASET: &str = "flights";

/// What goes wrong at one call of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the call takes effect.
    DieBefore,
    /// The call takes effect; the process dies before it hears of it.
    DieAfter,
    /// The call fails and has no effect.
    Unavailable,
    /// The call takes effect, its answer is lost.
    AnswerLost,
    /// The SDK's retry meets the first try's write: takes effect, answers "condition not met".
    MeetsItself,
    /// 409.
    Conflict,
}

#[derive(Default)]
pub struct Inner {
    pub sources: BTreeMap<String, (String, String)>,
    pub objects: BTreeMap<String, (String, Bytes)>,
    pub uploads: BTreeMap<String, (String, Bytes)>,
    pub tables: BTreeMap<String, Table>,
    pub invoked: VecDeque<String>,
    pub now: Timestamp,
    pub conversions: u32,
    pub commits_decided: u32,
    pub catalog: Option<CatalogMode>,
    /// What the dataset is deployed with, by its name in [`PLUGINS`].
    pub plugin: Option<&'static str>,
    pub schema_change: Option<SchemaChange>,
    pub partition_by: &'static [&'static str],
    pub partitions: BTreeSet<Partition>,
    pub crawler: CrawlerSim,
    pub told: Vec<Telling>,
    /// Promises that were broken on the way, and cannot be seen at the end.
    pub violations: Vec<String>,
    counter: u64,
}

#[derive(Clone, Default)]
pub struct World(pub Arc<Mutex<Inner>>);

pub struct Process {
    world: World,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    calls: usize,
    faults: BTreeMap<usize, Fault>,
    dead: bool,
}

impl World {
    pub fn new() -> Self {
        let world = World::default();
        world.lock().now = "2025-01-02T03:04:05Z".parse().unwrap();
        world
    }

    /// A world whose dataset has a crawler.
    pub fn crawled() -> Self {
        let world = World::new();
        world.lock().catalog = Some(CatalogMode::Crawler);
        world
    }

    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub fn manifest(&self) -> Manifest {
        let dataset = Dataset::new(DATASET, "in/");
        let catalog = self.lock().catalog.unwrap_or(CatalogMode::Direct);
        let transform = self.lock().plugin.map(transform);
        let schema_change = self.lock().schema_change;
        let partition_by = self.lock().partition_by.iter().map(|&name| name.to_owned()).collect();
        Manifest::new(vec![Dataset { catalog, transform, schema_change, partition_by, ..dataset }])
    }

    pub fn dataset(&self) -> Dataset {
        self.manifest().datasets.remove(0)
    }

    /// An apply: from now on convert has the dataset with this plugin.
    pub fn deploy(&self, plugin: Option<&'static str>) {
        self.lock().plugin = plugin;
    }

    pub fn table_columns(&self) -> Vec<Column> {
        self.lock().tables[DATASET].shape.columns.clone()
    }

    /// The columns by which the dataset's files are read.
    pub fn source_columns(&self) -> Vec<Column> {
        let shape = self.lock().tables[DATASET].shape.clone();
        shape.source_columns.unwrap_or(shape.columns)
    }

    /// What a backfill would do.
    pub fn plan(&self) -> backfill::Plan {
        futures::executor::block_on(backfill::plan(&self.process(), &self.dataset())).unwrap()
    }

    /// A backfill of all that is stale; it is on its way then.
    pub fn backfill(&self) -> Vec<Driven> {
        let (dataset, keys) = (self.dataset(), self.plan().keys());
        futures::executor::block_on(backfill::drive(&self.process(), &dataset, &keys, ColumnChange::Allowed, |_| {}))
    }

    /// Puts a new version of an object; nobody is told yet.
    pub fn upload(&self, key: &str, content: &str) {
        let mut inner = self.lock();
        let etag = inner.next("source");
        inner.sources.insert(key.into(), (etag, content.into()));
    }

    pub fn delete(&self, key: &str) {
        self.lock().sources.remove(key);
    }

    pub fn advance(&self, time: SignedDuration) {
        let mut inner = self.lock();
        inner.now = inner.now.checked_add(time).unwrap();
    }

    pub fn process(&self) -> Process {
        self.process_with([])
    }

    pub fn process_with(&self, faults: impl IntoIterator<Item = (usize, Fault)>) -> Process {
        let plan = Plan { faults: faults.into_iter().collect(), ..Plan::default() };
        Process { world: self.clone(), plan: Mutex::new(plan) }
    }

    /// S3 tells intake of `key`; intake does its work without a fault.
    pub fn tell(&self, key: &str) {
        let event = event_of(&[key]);
        futures::executor::block_on(intake(&self.process(), &self.manifest(), RAW, &event)).unwrap();
    }

    pub fn put_and_tell(&self, key: &str, content: &str) {
        self.upload(key, content);
        self.tell(key);
    }

    pub fn invocation(&self, request_id: &str) -> Invocation {
        let now = self.lock().now;
        Invocation::new(request_id, now, now.checked_add(SignedDuration::from_mins(15)).unwrap(), 2048)
    }

    pub fn convert(&self, request_id: &str, key: &str) -> Result<Answer, ConvertError> {
        self.convert_on(&self.process(), request_id, key)
    }

    pub fn convert_on(&self, process: &Process, request_id: &str, key: &str) -> Result<Answer, ConvertError> {
        let (manifest, invocation) = (self.manifest(), self.invocation(request_id));
        let marker = Kind::Pending.key(DATASET, key);
        futures::executor::block_on(convert(process, &manifest, &invocation, &marker))
    }

    /// Everything that was invoked runs, crawls end and are heard of; what is left is swept up after its claims have
    /// died, until nothing is pending and a sweep finds nothing to do.
    pub fn settle(&self) {
        for _ in 0..20 {
            self.run_invoked();
            self.advance(SignedDuration::from_hours(1));
            let swept = self.sweep();
            assert_eq!(swept.failures, [""; 0]);
            let is_quiet = self.lock().invoked.is_empty() && !self.lock().crawler.is_busy();
            if self.markers().is_empty() && is_quiet {
                return;
            }
        }
        panic!("markers never come to rest: {:?}", self.markers());
    }

    /// Everything that was invoked runs, crawls end and are heard of, and Lambda tries again what failed.
    pub fn run_invoked(&self) {
        for round in 0..2_000 {
            let next = self.lock().invoked.pop_front();
            if let Some(marker) = next {
                let invocation = self.invocation(&format!("settle-{round}"));
                let _ = futures::executor::block_on(convert(&self.process(), &self.manifest(), &invocation, &marker));
            } else if !self.crawler_goes_on(&format!("settle-{round}")) {
                return;
            }
        }
        panic!("crawls and conversions never end");
    }

    pub fn markers(&self) -> Vec<String> {
        self.keys("_lake/pending/")
    }

    pub fn keys(&self, prefix: &str) -> Vec<String> {
        self.lock().objects.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    pub fn record<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        let body = self.lock().objects.get(key).map(|(_, body)| body.clone())?;
        Some(parse(key, &body).unwrap())
    }

    pub fn marker(&self, key: &str) -> Option<Marker> {
        self.record(&Kind::Pending.key(DATASET, key))
    }

    pub fn commit(&self, key: &str) -> Option<Commit> {
        self.record(&Kind::Commits.key(DATASET, key))
    }

    pub fn current(&self, key: &str) -> Option<Committed> {
        self.commit(key).and_then(|commit| commit.current)
    }

    pub fn parked(&self, key: &str) -> Option<Parked> {
        self.record(&Kind::Parked.key(DATASET, key))
    }

    /// What a query sees: the content of every data file of the table, sorted.
    pub fn rows(&self) -> Vec<String> {
        let inner = self.lock();
        let files = inner.objects.iter().filter(|(key, _)| key.starts_with("flights/"));
        let mut rows: Vec<String> = files.map(|(_, (_, body))| String::from_utf8(body.to_vec()).unwrap()).collect();
        rows.sort();
        rows
    }

    /// The promises, once nothing is pending: every source is committed in its present version or parked with it;
    /// the table's files are exactly those of the records; what is superseded is gone.
    pub fn assert_sound(&self) {
        assert_eq!(self.lock().violations, [""; 0]);
        assert_eq!(self.markers(), [""; 0], "something is still pending");
        let sources = self.lock().sources.clone();
        let mut expected = Vec::new();
        for (key, (etag, content)) in &sources {
            let current = self.current(key);
            if current.as_ref().is_some_and(|current| current.etag == *etag) {
                let current = current.unwrap();
                let made = made_of(plugin_of_hash(current.plugin_hash.as_deref()), content);
                let data = current.files.iter().find(|file| file.role == Role::Data);
                let body = data.and_then(|file| self.lock().objects.get(&file.key).map(|(_, body)| body.clone()));
                assert_eq!(body.as_deref(), made.as_deref().map(str::as_bytes), "{key}: its file holds other rows");
                self.assert_has_columns_of(content, key);
                let parked = self.parked(key);
                let void = parked.as_ref().is_none_or(|parked| parked.is_void(Some(&current)));
                let made_by = (&current.config_hash, &current.plugin_hash);
                let asked_by = |parked: &Parked| {
                    let Report { config_hash, plugin_hash, .. } = &parked.run.report;
                    (config_hash, plugin_hash) != made_by
                };
                let is_backfills = parked.as_ref().is_some_and(asked_by);
                assert!(void || is_backfills, "{key} is committed and parked: {parked:?}");
            } else {
                let parked = self.parked(key).unwrap_or_else(|| panic!("{key} is lost"));
                assert_eq!(parked.etag, *etag, "{key} is lost: another version is parked");
                assert!(parked.code != "not_csv" || content.starts_with(BAD), "{key} bears another version's fault");
                assert!(parked.told, "{key}: its record says that nobody was told");
                self.assert_told(&parked.run.id, JobState::Failed);
            }
        }
        for record in self.keys("_lake/commits/") {
            let commit: Commit = self.record(&record).unwrap();
            assert!(commit.attempt.is_none(), "{record} has an unfinished attempt");
            let Some(current) = commit.current else { continue };
            for file in current.files {
                assert!(self.lock().objects.contains_key(&file.key), "{} is missing", file.key);
                self.assert_registered(&file.key);
                expected.push(file.key);
            }
            assert_eq!(self.keys("_lake/runs/").iter().filter(|run| run.contains(&current.run)).count(), 1);
            self.assert_told(&current.run, JobState::Succeeded);
        }
        for report in self.keys("_lake/runs/") {
            let run: Run = self.record(&report).unwrap();
            let state = match run.outcome {
                RunOutcome::Committed => JobState::Succeeded,
                RunOutcome::Parked => JobState::Failed,
            };
            self.assert_told(&run.id, state);
        }
        let mut there = self.keys("flights/");
        there.extend(self.keys("_lake/rejects/"));
        expected.sort();
        there.sort();
        assert_eq!(there, expected, "files that no record names, or named ones missing");
    }
}

impl World {
    /// All that is there is committed by the plugin that is deployed, or parked for a fault of its own; the table has the
    /// columns of the files.
    pub fn assert_current(&self) {
        let plan = self.plan();
        let stale: Vec<&str> = plan.stale.iter().map(|stale| stale.key.as_str()).collect();
        let is_parked = |key: &&str| self.parked(key).is_some();
        assert_eq!(stale.iter().filter(|key| !is_parked(key)).count(), 0, "{stale:?} are stale");
        assert_eq!(plan.conflicting, [""; 0]);
        let plugin = self.lock().plugin;
        let columns = self.lock().tables.get(DATASET).map(|table| table.shape.columns.clone()).unwrap_or_default();
        let made_now = |current: &Committed| plugin_of_hash(current.plugin_hash.as_deref()) == plugin;
        let sources: Vec<String> = self.lock().sources.keys().cloned().collect();
        let has_rows = |current: &Committed| made_now(current) && !current.files.is_empty();
        if sources.iter().any(|key| self.current(key).as_ref().is_some_and(has_rows)) {
            for column in columns_by(plugin, &[column("a", ColumnType::Int64)]) {
                assert!(columns.contains(&column), "the table has {columns:?}, the files have {column:?}");
            }
        }
    }

    /// Every column of a committed file is one that files are read by, unless its rows are set aside.
    fn assert_has_columns_of(&self, content: &str, key: &str) {
        let is_for_all = self.lock().schema_change != Some(SchemaChange::Reject);
        if has_rows(content) && is_for_all {
            let known = self.source_columns();
            for column in columns_of(content) {
                assert!(known.iter().any(|it| it.name == column.name), "{key}: {} is forgotten", column.name);
            }
        }
    }

    fn assert_told(&self, run: &str, state: JobState) {
        let is_it =
            |told: &Telling| told.state == state && matches!(&told.subject, Subject::Run { id, .. } if id == run);
        assert!(self.lock().told.iter().any(is_it), "nobody was told of the run {run}");
    }
}

impl Inner {
    fn next(&mut self, what: &str) -> String {
        self.counter += 1;
        format!("\"{what}-{}\"", self.counter)
    }
}

pub fn event_of(keys: &[&str]) -> serde_json::Value {
    let record = |key: &&str| {
        serde_json::json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
            "eventTime": "2025-01-02T03:04:05.000Z", "eventName": "ObjectCreated:Put",
            "userIdentity": {"principalId": "A"}, "requestParameters": {"sourceIPAddress": "127.0.0.1"},
            "responseElements": {},
            "s3": {"s3SchemaVersion": "1.0", "configurationId": "c",
                "bucket": {"name": RAW, "ownerIdentity": {"principalId": "A"}, "arn": "arn:aws:s3:::raw-bucket"},
                "object": {"key": key, "size": 10, "eTag": "e", "sequencer": "0055"}}
        })
    };
    serde_json::json!({ "Records": keys.iter().map(record).collect::<Vec<_>>() })
}

/// Content that begins so is not a CSV file.
pub const BAD: &str = "bad";
/// Content that begins so has a header and no row.
pub const HEADER_ONLY: &str = "header";

fn has_rows(content: &str) -> bool {
    !content.is_empty() && !content.starts_with(HEADER_ONLY)
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn failed(operation: &'static str, target: &str, kind: CloudErrorKind) -> CloudError {
    CloudError { operation, target: target.into(), message: "injected".into(), kind }
}

impl Process {
    pub fn calls(&self) -> usize {
        self.plan.lock().unwrap().calls
    }

    /// One call: others may run before it, it takes effect at once, and what its caller hears may be a lie.
    async fn call<T>(
        &self,
        operation: &'static str,
        target: &str,
        refused: Option<T>,
        effect: impl FnOnce(&mut Inner) -> T,
    ) -> Result<T, CloudError> {
        yield_once().await;
        let fault = {
            let mut plan = self.plan.lock().unwrap();
            let number = plan.calls;
            plan.calls += 1;
            let fault = if plan.dead { Some(Fault::DieBefore) } else { plan.faults.get(&number).copied() };
            plan.dead |= matches!(fault, Some(Fault::DieBefore | Fault::DieAfter));
            fault
        };
        let error = |kind| Err(failed(operation, target, kind));
        match fault {
            Some(Fault::DieBefore | Fault::Unavailable) => return error(CloudErrorKind::Retriable),
            Some(Fault::Conflict) if operation == "PutObject" => return error(CloudErrorKind::Conflict),
            _ => {}
        }
        let answer = effect(&mut self.world.lock());
        match (fault, refused) {
            (Some(Fault::DieAfter | Fault::AnswerLost), _) => error(CloudErrorKind::Retriable),
            (Some(Fault::MeetsItself), Some(refused)) => Ok(refused),
            _ => Ok(answer),
        }
    }
}

impl Objects for Process {
    async fn source(&self, key: &str) -> Result<Option<Head>, CloudError> {
        let head = |(etag, content): &(String, String)| Head { etag: etag.clone(), bytes: content.len() as u64 };
        self.call("HeadObject", key, None, |inner| inner.sources.get(key).map(head)).await
    }

    async fn sources(&self, prefix: &str, after: &str, max: u16) -> Result<Sources, CloudError> {
        self.call("ListObjectsV2", prefix, None, |inner| {
            let max = usize::from(max);
            let there = inner.sources.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
            let head = |(etag, content): &(String, String)| Head { etag: etag.clone(), bytes: content.len() as u64 };
            let objects = there.clone().take(max).map(|(key, source)| (key.clone(), head(source))).collect();
            Sources { objects, more: there.count() > max }
        })
        .await
    }

    async fn list_after(&self, prefix: &str, after: &str, max: u16) -> Result<Vec<String>, CloudError> {
        self.call("ListObjectsV2", prefix, None, |inner| {
            let there = inner.objects.keys().filter(|key| key.starts_with(prefix) && key.as_str() > after);
            there.take(usize::from(max)).cloned().collect()
        })
        .await
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, CloudError> {
        let object = |(etag, body): &(String, Bytes)| Object { etag: etag.clone(), body: body.clone() };
        self.call("GetObject", key, None, |inner| inner.objects.get(key).map(object)).await
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition<'_>) -> Result<Put, CloudError> {
        let refused = (condition != Condition::Always).then_some(Put::Refused);
        self.call("PutObject", key, refused, |inner| {
            let there = inner.objects.get(key).map(|(etag, _)| etag.as_str());
            let holds = match condition {
                Condition::Always => true,
                Condition::Absent => there.is_none(),
                Condition::Matches(etag) => there == Some(etag),
            };
            if !holds {
                return Put::Refused;
            }
            if key.starts_with("_lake/commits/") && parse::<Commit>(key, &body).unwrap().attempt.is_some() {
                inner.commits_decided += 1;
            }
            inner.watch_marker(key, &body);
            let etag = inner.next("object");
            inner.objects.insert(key.into(), (etag.clone(), body));
            Put::Written(etag)
        })
        .await
    }

    async fn delete(&self, key: &str, if_match: Option<&str>) -> Result<Delete, CloudError> {
        let refused = if_match.map(|_| Delete::Refused);
        self.call("DeleteObject", key, refused, |inner| {
            let there = inner.objects.get(key).map(|(etag, _)| etag.as_str());
            if if_match.is_some() && if_match != there {
                return Delete::Refused;
            }
            inner.objects.remove(key);
            Delete::Deleted
        })
        .await
    }

    async fn list(&self, prefix: &str, folders: bool, page: Option<&str>, max: u16) -> Result<Listing, CloudError> {
        self.call("ListObjectsV2", prefix, None, |inner| {
            let mut listing = Listing::default();
            let after = page.unwrap_or_default();
            for key in inner.objects.keys().filter(|key| key.starts_with(prefix) && key.as_str() > after) {
                let rest = &key[prefix.len()..];
                if let Some(end) = rest.find('/').filter(|_| folders) {
                    let folder = format!("{prefix}{}", &rest[..=end]);
                    if listing.folders.last() != Some(&folder) {
                        listing.folders.push(folder);
                    }
                    continue;
                }
                if listing.keys.len() == usize::from(max) {
                    listing.next = listing.keys.last().cloned();
                    break;
                }
                listing.keys.push(key.clone());
            }
            listing
        })
        .await
    }

    async fn complete(&self, upload: &Upload) -> Result<Complete, CloudError> {
        self.call("CompleteMultipartUpload", &upload.key, None, |inner| match inner.uploads.remove(&upload.upload_id) {
            Some((key, body)) => {
                inner.objects.insert(key, (upload.token.clone(), body));
                Complete::Completed
            }
            None if inner.objects.get(&upload.key).is_some_and(|(etag, _)| *etag == upload.token) => {
                Complete::Completed
            }
            None => Complete::Lost,
        })
        .await
    }

    async fn abort(&self, upload: &Upload) -> Result<(), CloudError> {
        self.call("AbortMultipartUpload", &upload.key, None, |inner| drop(inner.uploads.remove(&upload.upload_id)))
            .await
    }
}

impl Functions for Process {
    async fn invoke_convert(&self, marker_key: &str) -> Result<(), CloudError> {
        self.call("Invoke", marker_key, None, |inner| inner.invoked.push_back(marker_key.into())).await
    }
}

impl Clock for Process {
    fn now(&self) -> Timestamp {
        let mut inner = self.world.lock();
        inner.now = inner.now.checked_add(SignedDuration::from_millis(1)).unwrap();
        inner.now
    }

    fn sleep(&self, _: Duration) -> impl Future<Output = ()> + Send {
        yield_once()
    }
}
