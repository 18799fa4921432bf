//! What a crawler needs of S3, and nothing more of it.

use std::ops::Range;

use async_trait::async_trait;
use tokio::io::AsyncRead;

use crate::cloud::error::ApiError;

/// Where crawlers find objects (S3). Errors are S3's own (`NoSuchBucket`, `NoSuchKey`).
#[async_trait]
pub trait ObjectSource: Send + Sync {
    /// The bucket's objects whose keys begin with `prefix`, in the order of their keys, from the first one after
    /// the key `after` on: one page.
    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<ObjectPage, ApiError>;

    /// The bytes of `range`, as far as the object, as it is now, has them.
    async fn open(&self, bucket: &str, key: &str, range: Range<u64>) -> Result<OpenObject, ApiError>;
}

/// One page of a listing.
#[derive(Debug, Clone, Default)]
pub struct ObjectPage {
    /// In the order of their keys.
    pub objects: Vec<ObjectEntry>,
    /// The key to go on after, when there is more.
    pub next: Option<String>,
    /// The bucket's policy, as JSON.
    pub bucket_policy: Option<String>,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Its key.
    pub key: String,
    /// In bytes.
    pub size: u64,
    /// Without quotes.
    pub etag: String,
}

/// An object that is being read.
pub struct OpenObject {
    /// Of what is read: it may have been overwritten since it was listed.
    pub etag: String,
    /// Of the whole object, in bytes.
    pub size: u64,
    /// The bytes asked for.
    pub bytes: Box<dyn AsyncRead + Send + Unpin>,
}
