//! An object as a source: one version of it, named by its ETag, however often and however long it is read.
//!
//! A large object is fetched in ranges, several at a time, and handed over in order
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html>: "Use byte-range
//! fetches", of 8 to 16 MB). One of unknown size, or from a server that does not know ranges, comes as one body.

use std::io::{self, Read};

use aws_sdk_s3::Client;
use tokio::runtime::Handle;

use super::{
    ObjectError,
    fetch::Fetch,
    reader::{ObjectReader, Ranges},
    uri,
};
use crate::executor::Source;

/// Bytes of a range.
pub const RANGE_BYTES: u64 = 8 * 1024 * 1024;
/// Ranges of one object that are fetched, or wait to be read, at a time: 32 MiB.
pub const RANGES_IN_FLIGHT: usize = 4;
/// Bytes that somebody must have read before more than one range is fetched. Whoever looks at the beginning alone does
/// not pay for more.
pub const READ_BEFORE_AHEAD_BYTES: u64 = 1024 * 1024;

/// One version of an object.
#[derive(Debug, Clone)]
pub struct ObjectSource {
    client: Client,
    handle: Handle,
    bucket: String,
    key: String,
    etag: String,
    size: Option<u64>,
    name: String,
    range_bytes: u64,
}

impl ObjectSource {
    /// The object when its ETag is `etag`, as S3 spells it (in quotes). Reading on a blocking thread does its requests
    /// on `handle`.
    pub fn new(
        client: Client,
        handle: Handle,
        bucket: impl Into<String>,
        key: impl Into<String>,
        etag: impl Into<String>,
        size: Option<u64>,
    ) -> Self {
        let (bucket, key) = (bucket.into(), key.into());
        let name = uri(&bucket, &key);
        ObjectSource { client, handle, bucket, key, etag: etag.into(), size, name, range_bytes: RANGE_BYTES }
    }

    /// The object as it is now, by a HeadObject.
    ///
    /// # Errors
    /// [`ObjectError::Gone`] when there is none, [`ObjectError::Service`] for the rest.
    pub async fn current(client: Client, bucket: &str, key: &str) -> Result<Self, ObjectError> {
        let name = uri(bucket, key);
        let head = client.head_object().bucket(bucket).key(key).send().await.map_err(|error| {
            match error.as_service_error() {
                Some(service) if service.is_not_found() => ObjectError::Gone { name: name.clone() },
                _ => ObjectError::service("HeadObject", &name, &error),
            }
        })?;
        let etag = head.e_tag().ok_or_else(|| ObjectError::Service {
            operation: "HeadObject",
            name: name.clone(),
            code: None,
            message: "the answer has no ETag, so one version cannot be told from another".to_owned(),
        })?;
        let size = head.content_length().and_then(|length| u64::try_from(length).ok());
        Ok(Self::new(client, Handle::current(), bucket, key, etag, size))
    }

    /// The version's ETag.
    pub fn etag(&self) -> &str {
        &self.etag
    }

    /// The same in ranges of another size.
    #[cfg(test)]
    pub(super) fn in_ranges(self, range_bytes: u64) -> Self {
        ObjectSource { range_bytes, ..self }
    }

    /// What it is cut into; nothing when it comes as one body.
    fn ranges(&self) -> Ranges {
        let size = self.size.filter(|&size| size > self.range_bytes).unwrap_or_default();
        Ranges { next: 0, size, bytes: self.range_bytes }
    }
}

impl Source for ObjectSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> Option<u64> {
        self.size
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        let fetch = Fetch {
            client: self.client.clone(),
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            etag: self.etag.clone(),
            name: self.name.clone(),
            size: self.size,
        };
        Ok(Box::new(ObjectReader::new(fetch, self.handle.clone(), self.ranges())))
    }
}
