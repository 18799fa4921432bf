//! What runs when an object lands: [`intake`] writes it down, [`convert`] converts and commits it. Both are thin:
//! they decide, the [`crate::executor`] does the work. Every promise rests on the [`ledger`]:
//!
//! - **No object is lost.** Intake writes a pending marker before anything else; it is cleared after everything
//!   else. What cannot be converted is parked with its reason, never dropped.
//! - **Committed once.** Whatever runs twice or at once, a conditional write of the commit record decides.
//! - **No reader sees part of a file.** Outputs are multipart uploads, completed after the decision.
//!
//! # What each function must be allowed to do
//!
//! `raw`, `processed`, `artifacts` are the lake's buckets, `<prefix>` the sources and `<dataset>` the names of its
//! datasets. `s3:ListBucket` is needed wherever "not there" must be told from "not allowed" (404 from 403).
//!
//! | function | actions | resources |
//! |---|---|---|
//! | both | `logs:CreateLogStream`, `logs:PutLogEvents` | the function's log group, `:*` |
//! | both | `s3:GetObject` | `artifacts/manifests/*` |
//! | intake | `s3:PutObject` | `processed/_lake/pending/*` |
//! | intake | `lambda:InvokeFunction` | convert |
//! | convert | `s3:GetObject` | `raw/<prefix>*` |
//! | convert | `s3:ListBucket` | `raw`, `processed` |
//! | convert | `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject`, `s3:AbortMultipartUpload` | `processed/_lake/*`, `processed/<dataset>/*` |
//! | convert | `glue:GetTable`, `glue:CreateTable`, `glue:UpdateTable` | the catalog, the database, `table/<database>/<dataset>` |
//!
//! `s3:PutObject` covers creating, filling and completing a multipart upload; a conditional PUT or DELETE needs
//! `s3:GetObject` besides. The processed bucket wants a lifecycle rule `AbortIncompleteMultipartUpload`: an
//! invocation that is killed before its decision leaves uploads that nobody refers to. An attempt whose uploads
//! the rule took away is rolled back and made again, so that its age may be short (7 days is ample).
//!
//! `lake status`, `runs`, `put --wait` read with `s3:GetObject` and `s3:ListBucket`; `lake retry` needs what
//! intake needs.

/// The ports over the AWS SDK.
pub mod aws;
/// Environment → handler loop: the process that Lambda starts.
pub mod bootstrap;
/// From a marker to a finished commit record.
pub mod convert;
/// What a run's time costs.
pub mod cost;
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
/// Reading the ledger: what is pending, committed, parked; what ran.
pub mod view;

mod finish;
mod park;
mod schema;

#[cfg(test)]
mod tests;

use jiff::Timestamp;

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

impl Failure {
    fn retriable(code: &str, message: impl Into<String>) -> Self {
        Failure { code: code.to_owned(), message: message.into(), permanent: false }
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
            EngineError::Retriable(message) => Failure::retriable("executor", message),
            EngineError::Changed => Failure::retriable("changed", error.to_string()),
        }
    }
}
