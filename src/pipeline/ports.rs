//! What the pipeline needs of the world, as small traits: objects with conditions, a catalog, crawlers, functions to
//! invoke, a bus for events, a clock, and an engine that converts. `aws/` implements them over the SDK, the tests in memory.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;

use super::telling::Telling;
use crate::{
    dataset::{Column, Dataset, Partition},
    executor::Report,
};

pub use crate::executor::object::PendingUpload as Upload;

/// All of it together: what a function of the pipeline runs on.
pub trait Cloud: Objects + Catalog + Crawlers + Functions + Events + Clock + Engine {}

impl<T: Objects + Catalog + Crawlers + Functions + Events + Clock + Engine> Cloud for T {}

/// An object's identity at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Entity tag, in its quotes, as S3 gives it.
    pub etag: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// A small object, read whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Entity tag, in its quotes.
    pub etag: String,
    /// Its content.
    pub body: Bytes,
}

/// The condition under which a PUT takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition<'a> {
    /// Whatever is there.
    Always,
    /// Only if nothing is there: `If-None-Match: *`.
    Absent,
    /// Only if this version is there: `If-Match`.
    Matches(&'a str),
}

/// Answer to a conditional PUT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// Written; the new entity tag.
    Written(String),
    /// The condition did not hold (412, or 404 for `If-Match` on an object that is gone). An SDK that retried may
    /// have met its own write, so read back before believing it.
    Refused,
}

/// Answer to a conditional DELETE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delete {
    /// Gone.
    Deleted,
    /// Another version is there, or none was.
    Refused,
}

/// Answer to completing a multipart upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Complete {
    /// The object is there.
    Completed,
    /// There is no such upload, and the object at its key is not its own: aborted, expired, or superseded since.
    Lost,
}

/// A page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Keys in byte order.
    pub keys: Vec<String>,
    /// Common prefixes, when listed as folders.
    pub folders: Vec<String>,
    /// Token of the next page.
    pub next: Option<String>,
}

/// A page of a bucket's objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Keys in byte order, each with its version.
    pub objects: Vec<(String, Head)>,
    /// There are more after the last.
    pub more: bool,
}

/// A call that failed, or whose answer was lost: it may have taken effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {target}: {message}")]
pub struct CloudError {
    /// AWS's name of the operation.
    pub operation: &'static str,
    /// What it was called on.
    pub target: String,
    /// Code and message of the service, or of the connection.
    pub message: String,
    /// What may be done about it.
    pub kind: CloudErrorKind,
}

/// What may be done about a [`CloudError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloudErrorKind {
    /// 409: another conditional write was going on. Ask again.
    Conflict,
    /// Throttled, 5xx, timed out, connection lost, or refused for now: the invocation may be tried again.
    Retriable,
    /// What is there cannot be read by this version of lake; trying again gives the same.
    Damaged,
}

/// S3, as far as the ledger goes: everything in the processed bucket, but for [`Objects::source`] and
/// [`Objects::sources`].
pub trait Objects: Send + Sync {
    /// HEAD of an object in the raw bucket; `None` when it is not there.
    fn source(&self, key: &str) -> impl Future<Output = Result<Option<Head>, CloudError>> + Send;
    /// One page of the raw bucket's objects below `prefix` whose keys come after `after`, `max` at most.
    fn sources(&self, prefix: &str, after: &str, max: u16) -> impl Future<Output = Result<Sources, CloudError>> + Send;
    /// GET of a small object in the processed bucket.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Object>, CloudError>> + Send;
    /// PUT under a condition.
    fn put(
        &self,
        key: &str,
        body: Bytes,
        condition: Condition<'_>,
    ) -> impl Future<Output = Result<Put, CloudError>> + Send;
    /// DELETE, of a certain version only where `if_match` says so.
    fn delete(&self, key: &str, if_match: Option<&str>) -> impl Future<Output = Result<Delete, CloudError>> + Send;
    /// One page of the keys below `prefix`, `max` at most; with `folders`, cut at the next `/`.
    fn list(
        &self,
        prefix: &str,
        folders: bool,
        page: Option<&str>,
        max: u16,
    ) -> impl Future<Output = Result<Listing, CloudError>> + Send;
    /// The first keys below `prefix` that come after `after`, `max` at most.
    fn list_after(
        &self,
        prefix: &str,
        after: &str,
        max: u16,
    ) -> impl Future<Output = Result<Vec<String>, CloudError>> + Send;
    /// Completes an upload; one that was completed before counts.
    fn complete(&self, upload: &Upload) -> impl Future<Output = Result<Complete, CloudError>> + Send;
    /// AbortMultipartUpload; an upload that is gone is no error.
    fn abort(&self, upload: &Upload) -> impl Future<Output = Result<(), CloudError>> + Send;
}

/// What a table is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// Its columns. Those that it is partitioned by are the last ones, once it is in the catalog.
    pub columns: Vec<Column>,
    /// Names of those that it is partitioned by, outermost first.
    pub partition_by: Vec<String>,
    /// Columns of the CSV that a transform makes these of. `None`: they are the same, or nobody has said.
    pub source_columns: Option<Vec<Column>>,
}

/// A table as the catalog has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// What it is made of.
    pub shape: Shape,
    /// Version to name in an update.
    pub version: Option<String>,
}

/// The Glue Data Catalog, one table a dataset.
pub trait Catalog: Send + Sync {
    /// The dataset's table, if there is one. A column of a type that lake does not write is
    /// [`CloudErrorKind::Damaged`].
    fn table(&self, dataset: &Dataset) -> impl Future<Output = Result<Option<Table>, CloudError>> + Send;
    /// Creates the table; `false` when somebody else did.
    fn create_table(&self, dataset: &Dataset, shape: &Shape) -> impl Future<Output = Result<bool, CloudError>> + Send;
    /// Gives the version of the table that was read another shape, and keeps all else; `false` when it has changed
    /// since.
    /// Where it is to be partitioned otherwise, partitions that were registered are forgotten; their files stay.
    fn update_table(
        &self,
        dataset: &Dataset,
        table: &Table,
        shape: &Shape,
    ) -> impl Future<Output = Result<bool, CloudError>> + Send;
    /// Registers partitions of a table of this shape; those that are registered already count. None is ever removed.
    fn register_partitions(
        &self,
        dataset: &Dataset,
        shape: &Shape,
        partitions: &[Partition],
    ) -> impl Future<Output = Result<(), CloudError>> + Send;
}

/// A crawler as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crawler {
    /// What it does.
    pub state: CrawlerState,
    /// The last crawl that ended; `None` when none has.
    pub last: Option<LastCrawl>,
}

/// What a crawler does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrawlerState {
    /// Nothing: it can be started.
    Ready,
    /// It crawls.
    Running,
    /// It has crawled, and cannot be started yet.
    Stopping,
}

/// A crawl that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastCrawl {
    /// When it began: tells it from every other crawl of its crawler.
    pub start: Timestamp,
    /// How it ended.
    pub status: CrawlStatus,
    /// Why it did not succeed, as the crawler says.
    pub message: Option<String>,
}

/// How a crawl ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrawlStatus {
    /// The catalog is up to date.
    Succeeded,
    /// It is not.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

/// Answer to starting a crawler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartedCrawl {
    /// A crawl has begun.
    Started,
    /// `CrawlerRunningException`: one was under way, or is being stopped.
    AlreadyRunning,
}

/// Glue's crawlers, one a dataset.
pub trait Crawlers: Send + Sync {
    /// The dataset's crawler. One that is not there is an error that may pass: an apply makes it.
    fn crawler(&self, dataset: &str) -> impl Future<Output = Result<Crawler, CloudError>> + Send;
    /// Starts it.
    fn start_crawl(&self, dataset: &str) -> impl Future<Output = Result<StartedCrawl, CloudError>> + Send;
    /// The dataset whose crawler has that name.
    fn dataset_of_crawler(&self, crawler: &str) -> Option<String>;
    /// The name of the dataset's crawler.
    fn crawler_of_dataset(&self, dataset: &str) -> Option<String>;
}

/// The default event bus.
pub trait Events: Send + Sync {
    /// Sends one event. That it is sent twice is allowed, that it is not sent is an error.
    fn tell(&self, telling: &Telling) -> impl Future<Output = Result<(), CloudError>> + Send;
}

/// Lambda.
pub trait Functions: Send + Sync {
    /// Invokes convert asynchronously (`InvocationType: Event`) for the marker at `marker_key`.
    fn invoke_convert(&self, marker_key: &str) -> impl Future<Output = Result<(), CloudError>> + Send;
}

/// Time. A port, so that tests own it.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Waits; used between tries of a conflicting write only.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;
}

/// An object in the raw bucket, as it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceObject {
    /// Key in the raw bucket.
    pub key: String,
    /// Its version: read with `If-Match`.
    pub head: Head,
}

/// What was found out about a source as a whole.
#[derive(Debug, Clone)]
pub struct Inferred<D> {
    /// Columns in file order; none for an empty file.
    pub columns: Vec<Column>,
    /// Rows besides the header.
    pub rows: u64,
    /// Spares the conversion finding it out again; `None` for an empty file.
    pub dialect: Option<D>,
}

/// One conversion.
#[derive(Debug, Clone)]
pub struct Job<'a, D> {
    /// Its dataset.
    pub dataset: &'a Dataset,
    /// What is read.
    pub source: &'a SourceObject,
    /// The columns of the CSV.
    pub columns: &'a [Column],
    /// When a transform must be done.
    pub work_ends_at: Timestamp,
    /// The dialect, where inference has found it.
    pub dialect: Option<D>,
    /// The generation that it makes, by which its files are named: [`super::ledger::data_key`], [`super::ledger::rejects_key`].
    pub generation: u64,
}

/// What a conversion has made: files that are uploaded and not yet completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// What was counted, and how long it took.
    pub report: Report,
    /// The data files; none without a row.
    pub data: Vec<Upload>,
    /// The rejects; `None` without a reject.
    pub rejects: Option<Upload>,
}

/// Why a source was not read or converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The object is not the version that was looked at: look again.
    #[error("the object changed while it was read")]
    Changed,
    /// The input's own fault: trying again gives the same.
    #[error("{code}: {message}")]
    Input {
        /// Stable code.
        code: String,
        /// What is wrong, where, and what to do.
        message: String,
    },
    /// The file has columns that it is not converted into: trying again with the same ones gives the same.
    #[error("{message}")]
    UnknownColumns {
        /// Their names, in file order.
        names: Vec<String>,
        /// What is there instead, and what to do.
        message: String,
    },
    /// Network, throttling, or a fault of ours: may pass.
    #[error("{0}")]
    Retriable(String),
}

impl EngineError {
    /// The same, naming the object that it stands in the way of.
    #[must_use]
    pub fn of_source(self, key: &str) -> Self {
        match self {
            EngineError::Changed => EngineError::Changed,
            EngineError::Input { code, message } => EngineError::Input { code, message: format!("{key}: {message}") },
            EngineError::UnknownColumns { names, message } => {
                EngineError::UnknownColumns { names, message: format!("{key}: {message}") }
            }
            EngineError::Retriable(message) => EngineError::Retriable(format!("{key}: {message}")),
        }
    }
}

/// The executor, as the pipeline calls it.
pub trait Engine: Send + Sync {
    /// What inference knows of the file's dialect.
    type Dialect: Clone + Send + Sync;
    /// Finds out the columns from the object as a whole. `known`: the columns of the CSV so far, by which its header
    /// is told from a row; none for the first object.
    fn infer(
        &self,
        dataset: &Dataset,
        source: &SourceObject,
        known: &[Column],
    ) -> impl Future<Output = Result<Inferred<Self::Dialect>, EngineError>> + Send;
    /// The table's columns that the dataset's transform makes of those of the CSV; the same without a transform.
    /// Whatever it takes is over at `work_ends_at`.
    fn open(
        &self,
        dataset: &Dataset,
        input: &[Column],
        work_ends_at: Timestamp,
    ) -> impl Future<Output = Result<Vec<Column>, EngineError>> + Send;
    /// Converts into uploads that are not completed. Columns of the file that are not asked for are refused
    /// ([`EngineError::UnknownColumns`]), or rows with a value in them set aside where the dataset says so
    /// ([`crate::dataset::SchemaChange::Reject`]). On an error it leaves no upload behind, as far as it can.
    fn convert(&self, job: Job<'_, Self::Dialect>) -> impl Future<Output = Result<Product, EngineError>> + Send;
}
