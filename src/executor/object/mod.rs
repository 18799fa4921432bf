//! The rim for S3: objects read as one version, outputs as multipart uploads that somebody else completes.
//!
//! The executor's core blocks, the SDK does not: everything here that implements `Read` or `Write` must be used on a
//! blocking thread (`tokio::task::spawn_blocking`), and does its requests on the runtime whose handle it was given.

mod describe;
mod fetch;
mod reader;
mod source;
mod upload;

use std::{error::Error as StdError, io};

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

pub use describe::describe;
pub use fetch::RESUMES_MAX;
pub use reader::CHUNKS_IN_FLIGHT;
pub use source::{ObjectSource, RANGE_BYTES, RANGES_IN_FLIGHT, READ_BEFORE_AHEAD_BYTES};
pub use upload::{
    ObjectSink, OutputKeys, PART_BYTES, PARTS_IN_FLIGHT, PARTS_MAX, PendingUpload, Upload, Uploaded, UploadedPart,
    abort, complete,
};

/// What can go wrong between the executor and S3. It travels inside `std::io::Error`; [`ObjectError::of`] finds it.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The object is not there (any more).
    #[error("{name} does not exist")]
    Gone {
        /// `s3://bucket/key`
        name: String,
    },
    /// The object's ETag is another one now: it was overwritten.
    #[error("{name} was overwritten while it was read")]
    Changed {
        /// `s3://bucket/key`
        name: String,
    },
    /// A multipart upload is not there and neither is its object.
    #[error("the multipart upload of {name} is gone and the object is not ours; convert again")]
    UploadLost {
        /// `s3://bucket/key`
        name: String,
    },
    /// The output would need more parts than S3 allows.
    #[error("{name} would be larger than {PARTS_MAX} parts of {PART_BYTES} bytes; split the input")]
    TooLarge {
        /// `s3://bucket/key`
        name: String,
    },
    /// S3 refused, or could not be reached.
    #[error("{operation} of {name} failed: {message}")]
    Service {
        /// The API operation.
        operation: &'static str,
        /// `s3://bucket/key`
        name: String,
        /// The service's error code, when it answered with one.
        code: Option<String>,
        /// What the service said, or why it did not answer: [`describe`].
        message: String,
    },
}

impl ObjectError {
    /// The object error inside another error, however deep: in [`super::Error::Read`], in the Parquet writer's
    /// error, in an `io::Error`.
    pub fn of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a ObjectError> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<ObjectError>() {
                return Some(found);
            }
            // The source of an `io::Error` is its payload's source, so the payload itself is asked for.
            next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(payload) => Some(payload),
                None => error.source(),
            };
        }
        None
    }

    fn service<E>(operation: &'static str, name: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        ObjectError::Service {
            operation,
            name: name.to_owned(),
            code: error.code().map(str::to_owned),
            message: describe(error),
        }
    }
}

impl From<ObjectError> for io::Error {
    fn from(error: ObjectError) -> Self {
        let kind = match error {
            ObjectError::Gone { .. } => io::ErrorKind::NotFound,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

fn uri(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}")
}

#[cfg(test)]
mod tests;
