//! S3.

use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{get_object::GetObjectError, head_object::HeadObjectError},
    primitives::ByteStream,
    types,
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;

use super::{Aws, failed, status};
use crate::{
    executor::object::{self, ObjectError},
    pipeline::ports::{
        CloudError, CloudErrorKind, Complete, Condition, Delete, Head, Listing, Object, Objects, Put, Sources, Upload,
    },
};

/// Size of the largest record that is read into memory, bytes. Records are a few kilobytes; the largest part of one
/// is the list of an upload's parts (10,000 at most).
const RECORD_BYTES_MAX: usize = 8 * 1024 * 1024;

impl Objects for Aws {
    async fn source(&self, key: &str) -> Result<Option<Head>, CloudError> {
        match self.s3.head_object().bucket(&self.names.raw_bucket).key(key).send().await {
            Ok(head) => Ok(Some(Head {
                bytes: head.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or_default(),
                etag: head.e_tag.ok_or_else(|| incomplete("HeadObject", key, "ETag"))?,
            })),
            Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => Ok(None),
            Err(error) => Err(failed("HeadObject", key, &error)),
        }
    }

    async fn sources(&self, prefix: &str, after: &str, max: u16) -> Result<Sources, CloudError> {
        let request = self.s3.list_objects_v2().bucket(&self.names.raw_bucket).prefix(prefix);
        let answer = request.set_start_after(start_after(after)).max_keys(i32::from(max)).send().await;
        let answer = answer.map_err(|error| failed("ListObjectsV2", prefix, &error))?;
        let source = |object: types::Object| {
            let bytes = object.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
            Some((object.key?, Head { etag: object.e_tag?, bytes }))
        };
        Ok(Sources {
            more: answer.is_truncated.unwrap_or(false),
            objects: answer.contents.unwrap_or_default().into_iter().filter_map(source).collect(),
        })
    }

    async fn get(&self, key: &str) -> Result<Option<Object>, CloudError> {
        let object = match self.s3.get_object().bucket(&self.names.processed_bucket).key(key).send().await {
            Ok(object) => object,
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => return Ok(None),
            Err(error) => return Err(failed("GetObject", key, &error)),
        };
        let etag = object.e_tag.ok_or_else(|| incomplete("GetObject", key, "ETag"))?;
        let mut chunks = object.body;
        let mut body = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| other("GetObject", key, error.to_string(), CloudErrorKind::Retriable))?;
            if body.len() + chunk.len() > RECORD_BYTES_MAX {
                let message = format!("a record of the ledger is never larger than {RECORD_BYTES_MAX} bytes");
                return Err(other("GetObject", key, message, CloudErrorKind::Damaged));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some(Object { etag, body: body.into() }))
    }

    async fn put(&self, key: &str, body: Bytes, condition: Condition<'_>) -> Result<Put, CloudError> {
        let request = self.s3.put_object().bucket(&self.names.processed_bucket).key(key);
        let request = match condition {
            Condition::Always => request,
            Condition::Absent => request.if_none_match("*"),
            Condition::Matches(etag) => request.if_match(etag),
        };
        match request.content_type("application/json").body(ByteStream::from(body)).send().await {
            Ok(written) => Ok(Put::Written(written.e_tag.ok_or_else(|| incomplete("PutObject", key, "ETag"))?)),
            Err(error) if is_refused(&error) => Ok(Put::Refused),
            Err(error) => Err(failed("PutObject", key, &error)),
        }
    }

    async fn delete(&self, key: &str, if_match: Option<&str>) -> Result<Delete, CloudError> {
        let request = self.s3.delete_object().bucket(&self.names.processed_bucket).key(key);
        match request.set_if_match(if_match.map(str::to_owned)).send().await {
            Ok(_) => Ok(Delete::Deleted),
            Err(error) if is_refused(&error) => Ok(Delete::Refused),
            Err(error) => Err(failed("DeleteObject", key, &error)),
        }
    }

    async fn list(&self, prefix: &str, folders: bool, page: Option<&str>, max: u16) -> Result<Listing, CloudError> {
        let request = self.s3.list_objects_v2().bucket(&self.names.processed_bucket).prefix(prefix);
        let request = request.set_delimiter(folders.then(|| "/".to_owned())).max_keys(i32::from(max));
        let answer = request.set_continuation_token(page.map(str::to_owned)).send().await;
        let answer = answer.map_err(|error| failed("ListObjectsV2", prefix, &error))?;
        Ok(Listing {
            keys: answer.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect(),
            folders: answer.common_prefixes.unwrap_or_default().into_iter().filter_map(|it| it.prefix).collect(),
            next: answer.next_continuation_token,
        })
    }

    async fn list_after(&self, prefix: &str, after: &str, max: u16) -> Result<Vec<String>, CloudError> {
        let request = self.s3.list_objects_v2().bucket(&self.names.processed_bucket).prefix(prefix);
        let answer = request.set_start_after(start_after(after)).max_keys(i32::from(max)).send().await;
        let answer = answer.map_err(|error| failed("ListObjectsV2", prefix, &error))?;
        Ok(answer.contents.unwrap_or_default().into_iter().filter_map(|object| object.key).collect())
    }

    async fn complete(&self, upload: &Upload) -> Result<Complete, CloudError> {
        match object::complete(&self.s3, &self.names.processed_bucket, upload).await {
            Ok(()) => Ok(Complete::Completed),
            Err(ObjectError::UploadLost { .. }) => Ok(Complete::Lost),
            Err(error) => Err(of_upload("CompleteMultipartUpload", upload, &error)),
        }
    }

    async fn abort(&self, upload: &Upload) -> Result<(), CloudError> {
        let aborted = object::abort(&self.s3, &self.names.processed_bucket, upload).await;
        aborted.map_err(|error| of_upload("AbortMultipartUpload", upload, &error))
    }
}

/// S3 takes no empty `start-after` for "from the beginning".
fn start_after(key: &str) -> Option<String> {
    (!key.is_empty()).then(|| key.to_owned())
}

/// The condition did not hold: 412, or 404 where a version was named and nothing is there.
fn is_refused<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    match status(error) {
        Some(412) => true,
        Some(404) => error.code() != Some("NoSuchBucket"),
        _ => false,
    }
}

fn of_upload(operation: &'static str, upload: &Upload, error: &ObjectError) -> CloudError {
    other(operation, &upload.key, error.to_string(), CloudErrorKind::Retriable)
}

fn incomplete(operation: &'static str, key: &str, field: &str) -> CloudError {
    other(operation, key, format!("the answer has no {field}"), CloudErrorKind::Retriable)
}

fn other(operation: &'static str, target: &str, message: String, kind: CloudErrorKind) -> CloudError {
    CloudError { operation, target: target.to_owned(), message, kind }
}
