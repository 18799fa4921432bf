//! S3 as its neighbours read from it, Lambda packages and Glue what it crawls: the same objects, without the wire.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use futures::TryStreamExt;
use http::StatusCode;
use s3s::S3Error;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::{
    blob::Blobs,
    list::{self, After, Query},
    meta, read, version,
};
use crate::cloud::{
    error::ApiError,
    glue::{ObjectEntry, ObjectPage, ObjectSource, OpenObject},
    lambda::ObjectReader,
    store::{Store, StoreError},
};

/// The objects of one folder. Cheap to clone.
#[derive(Clone)]
pub struct S3Objects(pub(super) Arc<Blobs>);

impl S3Objects {
    /// Opens the folder of blobs and removes files that nothing names.
    pub fn open(store: Arc<Store>) -> Result<Self, StoreError> {
        Blobs::open(store).map(S3Objects)
    }
}

#[async_trait]
impl ObjectReader for S3Objects {
    async fn open(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
    ) -> Result<Box<dyn AsyncRead + Send + Unpin>, ApiError> {
        let found = self.0.look_up(|tx| version::readable(tx, bucket, key, version), |(_, object)| object);
        let ((_, object), pin) = found.map_err(|error| in_plain_words(&error))?;
        let size = object.size;
        let stream = read::stream(&self.0, object.pieces, 0..size, pin).map_err(|error| in_plain_words(&error))?;
        Ok(Box::new(StreamReader::new(stream.map_err(std::io::Error::other))))
    }
}

#[async_trait]
impl ObjectSource for S3Objects {
    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<ObjectPage, ApiError> {
        let blobs = Arc::clone(&self.0);
        let bucket = bucket.to_owned();
        let after = after.map_or(After::Nothing, |key| After::Key(key.to_owned()));
        let query = Query { prefix: prefix.to_owned(), delimiter: None, after, limit: list::MAX_ENTRIES };
        let listed = tokio::task::spawn_blocking(move || {
            blobs.store().read(|tx| {
                let policy = meta::bucket(tx, &bucket)?.policy;
                Ok::<_, S3Error>((list::list_objects(tx, &bucket, &query)?, policy))
            })
        });
        let (page, bucket_policy) =
            listed.await.map_err(ApiError::internal)?.map_err(|error| in_plain_words(&error))?;
        let next = page.next.and(page.entries.last().map(|found| found.key.clone()));
        let entry = |found: list::Found<meta::Version>| {
            let object = found.value.object?;
            Some(ObjectEntry { key: found.key, size: object.size, etag: object.etag })
        };
        Ok(ObjectPage { objects: page.entries.into_iter().filter_map(entry).collect(), next, bucket_policy })
    }

    async fn open(&self, bucket: &str, key: &str, range: Range<u64>) -> Result<OpenObject, ApiError> {
        let found = self.0.look_up(|tx| version::readable(tx, bucket, key, None), |(_, object)| object);
        let ((_, object), pin) = found.map_err(|error| in_plain_words(&error))?;
        let range = range.start.min(object.size)..range.end.min(object.size);
        let (etag, size) = (object.etag, object.size);
        let stream = read::stream(&self.0, object.pieces, range, pin).map_err(|error| in_plain_words(&error))?;
        Ok(OpenObject { etag, size, bytes: Box::new(StreamReader::new(stream.map_err(std::io::Error::other))) })
    }
}

fn in_plain_words(error: &S3Error) -> ApiError {
    let status = error.status_code().unwrap_or(StatusCode::BAD_REQUEST);
    ApiError::with_status(status, error.code().as_str(), error.message().unwrap_or("S3 refused."))
}
