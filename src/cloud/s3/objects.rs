//! S3 as Lambda reads packages from it: the same objects, without the wire.

use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use http::StatusCode;
use s3s::S3Error;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

use super::{blob::Blobs, read, version};
use crate::cloud::{
    error::ApiError,
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
        let ((_, object), pin) = found.map_err(|error| in_words_of_lambda(&error))?;
        let size = object.size;
        let stream = read::stream(&self.0, object.pieces, 0..size, pin).map_err(|error| in_words_of_lambda(&error))?;
        Ok(Box::new(StreamReader::new(stream.map_err(std::io::Error::other))))
    }
}

fn in_words_of_lambda(error: &S3Error) -> ApiError {
    let status = error.status_code().unwrap_or(StatusCode::BAD_REQUEST);
    ApiError::with_status(status, error.code().as_str(), error.message().unwrap_or("S3 refused."))
}
