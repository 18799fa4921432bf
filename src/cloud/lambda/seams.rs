//! What Lambda needs of its neighbours, and nothing more of them.

use std::time::Duration;

use async_trait::async_trait;
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
