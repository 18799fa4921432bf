//! What Lambda needs of its neighbours, and nothing more of them.

use std::time::Duration;

use async_trait::async_trait;
use redb::WriteTransaction;
use serde_json::Value;
use tokio::io::AsyncRead;

use crate::cloud::error::ApiError;

/// Who gives out the credentials that a function works with (STS).
#[async_trait]
pub trait CredentialIssuer: Send + Sync {
    /// Credentials of the role `role_arn` that are good for `ttl`.
    async fn issue(&self, role_arn: &str, session_name: &str, ttl: Duration) -> Result<TemporaryCredentials, ApiError>;
}

/// Credentials of an assumed role. They have no `Debug`, so that no log can hold them.
#[derive(Clone)]
pub struct TemporaryCredentials {
    /// `AWS_ACCESS_KEY_ID`
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`
    pub session_token: String,
}

/// Who knows roles (IAM).
pub trait Roles: Send + Sync {
    /// Whether the role exists and its trust policy lets the service `principal` assume it.
    fn assumable(&self, role_arn: &str, principal: &str) -> Result<bool, ApiError>;

    /// Whether the role may write the log stream.
    fn may_log(&self, role_arn: &str, region: &str, group: &str, stream: &str) -> Result<bool, ApiError>;
}

/// Where packages are fetched from (S3).
#[async_trait]
pub trait ObjectReader: Send + Sync {
    /// The object's bytes. Errors are S3's own (`NoSuchKey`, `NoSuchBucket`, `NoSuchVersion`).
    async fn open(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Box<dyn AsyncRead + Send + Unpin>, ApiError>;
}

/// Who has the queues that event source mappings poll (SQS).
#[async_trait]
pub trait Queues: Send + Sync {
    /// The queue's visibility timeout; `None` when there is no such queue.
    fn visibility_seconds(&self, tx: &WriteTransaction, queue_arn: &str) -> Result<Option<u32>, ApiError>;

    /// The first operation of those that polling takes (`ReceiveMessage`…) that the role may not call.
    fn refusal(&self, tx: &WriteTransaction, queue_arn: &str, role_arn: &str)
    -> Result<Option<&'static str>, ApiError>;

    /// Receives up to `most` messages as records of an event, waiting up to `wait_seconds` for the first.
    async fn receive(
        &self,
        queue_arn: &str,
        role_arn: &str,
        most: usize,
        wait_seconds: u32,
    ) -> Result<Vec<Value>, ApiError>;

    /// Deletes the messages that these receipt handles are of.
    async fn delete(&self, queue_arn: &str, role_arn: &str, handles: Vec<String>) -> Result<(), ApiError>;
}
