//! What runs when an object lands: [`intake`] writes it down and starts the dataset's crawler, [`convert`] hears of
//! the crawl's end, converts and commits, [`sweep`] drives what was left behind. All are thin: they decide, the
//! [`crate::executor`] does the work. Every promise rests on the [`ledger`]:
//!
//! - **No object is lost.** Intake writes a pending marker before anything else; it is cleared after everything
//!   else. What cannot be converted is parked with its reason, never dropped. What no event told of is swept up.
//! - **Committed once.** Whatever runs twice or at once, a conditional write of the commit record decides.
//! - **No reader sees part of a file.** Outputs are multipart uploads, completed after the decision.
//! - **Someone is told.** Every run, committed or parked, and every crawl that failed is an event on the default bus
//!   ([`telling`]); a record that has not been told of is told of by whoever finds it.
//!
//! # What each function must be allowed to do
//!
//! `raw`, `processed`, `artifacts` are the lake's buckets, `<prefix>` the sources and `<dataset>` the names of its
//! datasets, `<crawler>` the crawlers of those with `catalog = "crawler"`. `s3:ListBucket` is needed wherever "not
//! there" must be told from "not allowed" (404 from 403), and to list. Lines marked *c* are needed when a dataset has
//! a crawler, those marked *d* when one has none, those marked *t* when one has a transform.
//!
//! | function | actions | resources | what for |
//! |---|---|---|---|
//! | all | `logs:CreateLogStream`, `logs:PutLogEvents` | the function's log group, `:*` | its log, its metrics |
//! | all | `s3:GetObject` | `artifacts/manifests/*` | the manifest |
//! | all *c* | `s3:GetObject` | `artifacts/<LAKE_CRAWLERS>` | the crawlers' names |
//! | intake | `s3:PutObject` | `processed/_lake/pending/*` | markers |
//! | intake *c* | `s3:GetObject` | `processed/_lake/pending/*` | the note of a crawl is a PUT `If-Match` |
//! | intake *c* | `glue:GetCrawler`, `glue:StartCrawler` | `crawler/<crawler>` | to crawl what has come |
//! | intake *d* | `lambda:InvokeFunction` | convert | to convert what has come |
//! | convert | `s3:GetObject` | `raw/<prefix>*` | to read the sources |
//! | convert *t* | `s3:GetObject` | `artifacts/transforms/*` | plugins |
//! | convert | `s3:ListBucket` | `raw`, `processed` | 404s; the dataset's markers and commit records |
//! | convert | `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject`, `s3:AbortMultipartUpload` | `processed/_lake/*`, `processed/<dataset>/*` | ledger and outputs |
//! | convert | `glue:GetTable`, `glue:CreateTable`, `glue:UpdateTable` | the catalog, the database, `table/<database>/<dataset>` | the processed tables, their columns and what they are made of |
//! | convert | `events:PutEvents` if `events:source` is `lake.<lake>` | `event-bus/default` | to tell of runs and failed crawls |
//! | convert *c* | `glue:GetCrawler`, `glue:StartCrawler` | `crawler/<crawler>` | which crawl has ended; to start the next |
//! | convert *c* | `lambda:InvokeFunction` | convert, itself | one invocation for each of several markers |
//! | sweep | `s3:ListBucket` | `raw`, `processed` | what is there, what is known of it |
//! | sweep | `s3:GetObject` | `processed/_lake/pending/*`, `processed/_lake/commits/*`, `processed/_lake/parked/*` | the same |
//! | sweep | `s3:PutObject` | `processed/_lake/pending/*`, `processed/_lake/parked/*` | markers; that a parked object was told of |
//! | sweep | `lambda:InvokeFunction` | convert | to drive what was left |
//! | sweep | `events:PutEvents` if `events:source` is `lake.<lake>` | `event-bus/default` | parked objects and crawls nobody was told of |
//! | sweep *c* | `glue:GetCrawler`, `glue:StartCrawler` | `crawler/<crawler>` | to crawl what was left |
//!
//! `s3:PutObject` covers creating, filling and completing a multipart upload; a conditional PUT or DELETE needs
//! `s3:GetObject` besides. The processed bucket wants a lifecycle rule `AbortIncompleteMultipartUpload`: an
//! invocation that is killed before its decision leaves uploads that nobody refers to. An attempt whose uploads
//! the rule took away is rolled back and made again, so that its age may be short (7 days is ample).
//!
//! `lake status`, `runs`, `put --wait` read with `s3:GetObject` and `s3:ListBucket`; `lake retry` and
//! `lake backfill` write markers (`s3:PutObject`) and invoke convert (`lambda:InvokeFunction`), whatever the dataset's
//! catalog.
//!
//! # What each function is invoked with, and finds in its environment
//!
//! | function | handler | invoked by | event |
//! |---|---|---|---|
//! | intake | `intake` | the raw bucket's notifications | S3's |
//! | convert | `convert` | intake, sweep, itself, `lake retry`, `lake backfill` | `{"marker": "<key>"}` |
//! | convert | `convert` | rules on `aws.glue`, `Glue Crawler State Change`, state `Succeeded` and `Failed` | EventBridge's, whole |
//! | sweep | `sweep` | a schedule | any object; `{"grace_seconds": 0}` leaves nothing to those who work on it |
//!
//! | variable | function | value |
//! |---|---|---|
//! | `LAKE_NAME`, `LAKE_STACK` | all | the lake's and the stack's name |
//! | `LAKE_RAW_BUCKET`, `LAKE_PROCESSED_BUCKET`, `LAKE_ARTIFACTS_BUCKET` | all | the buckets' names |
//! | `LAKE_DATABASE` | all | the Glue database |
//! | `LAKE_MANIFEST` | all | key of the manifest in the artifacts bucket |
//! | `LAKE_CONVERT_FUNCTION` | intake, sweep | name of convert; convert itself knows it as `AWS_LAMBDA_FUNCTION_NAME` |
//! | `LAKE_CRAWLERS` | all *c* | key in the artifacts bucket of a JSON object: dataset → name of its crawler |
//! | `LAKE_CRAWLERS_VERSION` | all *c* | not read: another value makes Lambda start processes that read the object anew |
//!
//! Sweep's schedule wants to be five minutes or longer: what is younger than [`sweep::GRACE_SECONDS`] is left to those who
//! work on it.

/// The ports over the AWS SDK.
pub mod aws;
/// Converting again what was made by another configuration or plugin.
pub mod backfill;
/// Environment → handler loop: the process that Lambda starts.
pub mod bootstrap;
/// From a marker to a finished commit record.
pub mod convert;
/// What a run's time costs.
pub mod cost;
/// Between a marker and its conversion: the dataset's crawler.
pub mod crawl;
/// From an S3 event to markers.
pub mod intake;
/// The records that decide.
pub mod ledger;
/// A run as one log line in CloudWatch's embedded metric format.
pub mod metrics;
/// What the pipeline needs of the world.
pub mod ports;
/// Trying again, by hand.
pub mod retry;
/// What was left behind: found, and driven on.
pub mod sweep;
/// What is told on the event bus.
pub mod telling;
/// Reading the ledger: what is pending, committed, parked; what ran.
pub mod view;

mod finish;
mod park;
mod schema;

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};

use self::ports::{CloudError, CloudErrorKind, EngineError};

/// One call of a function by Lambda.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Lambda's request id; the same for each retry of an asynchronous invocation.
    pub request_id: String,
    /// Random: tells a retry from the try before it.
    pub token: String,
    /// When the handler began.
    pub started_at: Timestamp,
    /// When Lambda ends it.
    pub deadline: Timestamp,
    /// Memory of the function, MB; what its time is billed by.
    pub memory_mb: u32,
}

impl Invocation {
    /// An invocation that begins now.
    pub fn new(request_id: impl Into<String>, started_at: Timestamp, deadline: Timestamp, memory_mb: u32) -> Self {
        let token = uuid::Uuid::new_v4().simple().to_string();
        Invocation { request_id: request_id.into(), token, started_at, deadline, memory_mb }
    }
}

/// What an invocation needs at its end to put things away: to abort uploads, and give its marker back.
const TIME_TO_PUT_AWAY: SignedDuration = SignedDuration::from_secs(10);

/// The part of a short invocation's time that is kept for that at most.
const TIME_TO_PUT_AWAY_PART: i32 = 5;

impl Invocation {
    /// When a transform must be done, so that there is time left to put things away.
    pub fn work_ends_at(&self) -> Timestamp {
        let time = self.started_at.duration_until(self.deadline);
        let margin = TIME_TO_PUT_AWAY.min(time / TIME_TO_PUT_AWAY_PART);
        self.deadline.checked_sub(margin).unwrap_or(self.deadline)
    }
}

/// Why a conversion did not come to an end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    /// Stable code.
    pub code: String,
    /// What is wrong, where, and what to do.
    pub message: String,
    /// Trying again gives the same: park the object at once.
    pub permanent: bool,
}

/// Code of a failure after the decision.
const UNFINISHED: &str = "unfinished";

impl Failure {
    fn retriable(code: &str, message: impl Into<String>) -> Self {
        Failure { code: code.to_owned(), message: message.into(), permanent: false }
    }

    /// What is decided could not be carried out to its end.
    fn unfinished(error: CloudError) -> Self {
        match error.kind {
            CloudErrorKind::Damaged => error.into(),
            CloudErrorKind::Conflict | CloudErrorKind::Retriable => Failure::retriable(UNFINISHED, error.to_string()),
        }
    }

    fn permanent(code: &str, message: impl Into<String>) -> Self {
        Failure { code: code.to_owned(), message: message.into(), permanent: true }
    }
}

impl From<CloudError> for Failure {
    fn from(error: CloudError) -> Self {
        match error.kind {
            CloudErrorKind::Damaged => Failure::permanent("damaged_record", error.to_string()),
            CloudErrorKind::Conflict | CloudErrorKind::Retriable => Failure::retriable("cloud", error.to_string()),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Input { code, message } => Failure { code, message, permanent: true },
            EngineError::UnknownColumns { message, .. } => Failure::permanent(schema::SCHEMA_MISMATCH, message),
            EngineError::Retriable(message) => Failure::retriable("executor", message),
            EngineError::Changed => Failure::retriable("changed", error.to_string()),
        }
    }
}
