//! Outputs as multipart uploads. A conversion uploads all parts and leaves the upload open; whoever has decided that
//! this run counts completes it, and may do so again after a crash.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, Write},
    mem,
    sync::Arc,
};

use aws_sdk_s3::{
    Client,
    error::ProvideErrorMetadata,
    operation::head_object::HeadObjectError,
    primitives::ByteStream,
    types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart},
};
use serde::{Deserialize, Serialize};
use tokio::{runtime::Handle, sync::Semaphore, task::JoinHandle};
use uuid::Uuid;

use super::{ObjectError, uri};
use crate::{
    dataset::Partition,
    executor::{HELD_BACK_BYTES, Sink},
};

/// Bytes of a part (S3 takes 5 MiB to 5 GiB: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
pub const PART_BYTES: usize = HELD_BACK_BYTES;
/// Parts that are on their way at a time, those of all outputs of a conversion together: 32 MiB.
pub const PARTS_IN_FLIGHT: usize = 4;
/// Parts of an upload at most (S3's own limit).
pub const PARTS_MAX: i32 = 10_000;
/// Content type of the outputs.
const CONTENT_TYPE: &str = "application/vnd.apache.parquet";
/// Object metadata that says which upload made an object (`x-amz-meta-lake-upload`).
const TOKEN_KEY: &str = "lake-upload";

/// Where a conversion's outputs go: keys of a bucket.
pub struct ObjectSink {
    target: Arc<Target>,
    keys: Box<dyn OutputKeys>,
}

/// What the objects of a conversion are called.
pub trait OutputKeys: Send {
    /// Key of a data file: the `part`th of its partition.
    fn data(&self, partition: &Partition, part: u32) -> String;
    /// Key of the rejects file.
    fn rejects(&self) -> String;
}

#[derive(Debug)]
struct Target {
    client: Client,
    handle: Handle,
    bucket: String,
    metadata: HashMap<String, String>,
    /// One permit a part on its way.
    in_flight: Arc<Semaphore>,
}

impl ObjectSink {
    /// `metadata` goes on all objects. Requests are done on `handle`, from a blocking thread.
    pub fn new(
        client: Client,
        handle: Handle,
        bucket: impl Into<String>,
        keys: impl OutputKeys + 'static,
        metadata: HashMap<String, String>,
    ) -> Self {
        let in_flight = Arc::new(Semaphore::new(PARTS_IN_FLIGHT));
        let target = Arc::new(Target { client, handle, bucket: bucket.into(), metadata, in_flight });
        ObjectSink { target, keys: Box::new(keys) }
    }
}

impl Sink for ObjectSink {
    type Write = Upload;
    type Done = Uploaded;

    fn data(&mut self, partition: &Partition, part: u32) -> io::Result<Upload> {
        Upload::begin(&self.target, &self.keys.data(partition, part))
    }

    fn rejects(&mut self) -> io::Result<Upload> {
        Upload::begin(&self.target, &self.keys.rejects())
    }

    fn done(&mut self, write: Upload) -> io::Result<Uploaded> {
        write.finish_parts()
    }
}

/// A multipart upload whose parts are being written. Dropped, it is aborted.
#[derive(Debug)]
pub struct Upload {
    target: Arc<Target>,
    /// What it is to become; parts are added as they arrive.
    pending: PendingUpload,
    buffer: Vec<u8>,
    in_flight: VecDeque<JoinHandle<Result<UploadedPart, ObjectError>>>,
    next_part: i32,
    handed_over: bool,
}

/// A multipart upload whose parts are all there. Dropped before [`Uploaded::into_pending`], it is aborted.
#[derive(Debug)]
pub struct Uploaded(Upload);

impl Uploaded {
    /// Hands the upload over: from here on, completing or aborting it is the caller's.
    pub fn into_pending(mut self) -> PendingUpload {
        self.0.handed_over = true;
        let PendingUpload { key, upload_id, token, parts, bytes } = &mut self.0.pending;
        PendingUpload {
            key: mem::take(key),
            upload_id: mem::take(upload_id),
            token: mem::take(token),
            parts: mem::take(parts),
            bytes: *bytes,
        }
    }
}

/// An upload whose parts are all there and which is not completed. Plain data: a commit record holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingUpload {
    /// The object's key.
    pub key: String,
    /// S3's id of the upload.
    pub upload_id: String,
    /// Ours: it is in the object's metadata, so that a completed upload is known again.
    pub token: String,
    /// All parts, in order.
    pub parts: Vec<UploadedPart>,
    /// Size of the object.
    pub bytes: u64,
}

/// A part that S3 has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedPart {
    /// Its number, from 1.
    pub number: i32,
    /// Its ETag.
    pub etag: String,
    /// Its CRC-32 in base64, when S3 told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc32: Option<String>,
}

impl Upload {
    fn begin(target: &Arc<Target>, key: &str) -> io::Result<Self> {
        let token = Uuid::new_v4().to_string();
        let mut metadata = target.metadata.clone();
        metadata.insert(TOKEN_KEY.to_owned(), token.clone());
        let request = target
            .client
            .create_multipart_upload()
            .bucket(&target.bucket)
            .key(key)
            .content_type(CONTENT_TYPE)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .set_metadata(Some(metadata));
        let name = uri(&target.bucket, key);
        let created = target
            .handle
            .block_on(request.send())
            .map_err(|error| ObjectError::service("CreateMultipartUpload", &name, &error))?;
        let upload_id = created.upload_id.ok_or_else(|| io::Error::other("S3 gave the upload no id"))?;
        let pending = PendingUpload { key: key.to_owned(), upload_id, token, parts: Vec::new(), bytes: 0 };
        Ok(Upload {
            target: Arc::clone(target),
            pending,
            buffer: Vec::new(),
            in_flight: VecDeque::new(),
            next_part: 1,
            handed_over: false,
        })
    }

    /// Sends what is left, and waits for all parts. Must be called on a blocking thread.
    ///
    /// # Errors
    /// A part that could not be uploaded; the upload is aborted then.
    pub fn finish_parts(mut self) -> io::Result<Uploaded> {
        if !self.buffer.is_empty() || self.next_part == 1 {
            self.send_part()?;
        }
        while !self.in_flight.is_empty() {
            self.await_oldest()?;
        }
        Ok(Uploaded(self))
    }

    fn send_part(&mut self) -> io::Result<()> {
        if self.next_part > PARTS_MAX {
            return Err(ObjectError::TooLarge { name: uri(&self.target.bucket, &self.pending.key) }.into());
        }
        // One that has failed is to be heard of before much more is made.
        while self.in_flight.front().is_some_and(JoinHandle::is_finished) {
            self.await_oldest()?;
        }
        let permits = Arc::clone(&self.target.in_flight);
        let permit = self.target.handle.block_on(permits.acquire_owned()).map_err(io::Error::other)?;
        let number = self.next_part;
        self.next_part += 1;
        let bytes = mem::take(&mut self.buffer);
        self.pending.bytes += bytes.len() as u64;
        let target = Arc::clone(&self.target);
        let (key, upload_id) = (self.pending.key.clone(), self.pending.upload_id.clone());
        self.in_flight.push_back(self.target.handle.spawn(async move {
            let request = target
                .client
                .upload_part()
                .bucket(&target.bucket)
                .key(&key)
                .upload_id(upload_id)
                .part_number(number)
                .checksum_algorithm(ChecksumAlgorithm::Crc32)
                .body(ByteStream::from(bytes));
            let sent = request.send().await;
            drop(permit);
            let part = sent.map_err(|error| ObjectError::service("UploadPart", &uri(&target.bucket, &key), &error))?;
            Ok(UploadedPart { number, etag: part.e_tag.unwrap_or_default(), crc32: part.checksum_crc32 })
        }));
        Ok(())
    }

    fn await_oldest(&mut self) -> io::Result<()> {
        if let Some(oldest) = self.in_flight.pop_front() {
            let part = self.target.handle.block_on(oldest).map_err(io::Error::other)??;
            self.pending.parts.push(part);
        }
        Ok(())
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == PART_BYTES {
            self.send_part()?;
        }
        let taken = bytes.len().min(PART_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Nothing: parts have a smallest size, so bytes leave when a part is full.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.handed_over {
            return;
        }
        let parts = mem::take(&mut self.in_flight);
        let (target, pending) = (Arc::clone(&self.target), self.pending.clone());
        self.target.handle.spawn(async move {
            // First the parts: one that arrives after the upload was aborted stays, and is paid for
            // (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html>).
            for part in parts {
                part.abort();
                let _ = part.await;
            }
            if let Err(error) = abort(&target.client, &target.bucket, &pending).await {
                tracing::warn!(%error, "an upload that is not needed stays until the bucket's lifecycle rule takes it");
            }
        });
    }
}

/// Makes the object appear. May be repeated: an upload that is gone because it was completed counts as done.
///
/// # Errors
/// [`ObjectError::UploadLost`] when the upload is gone and the object at its key is not its own;
/// [`ObjectError::Service`] for the rest.
pub async fn complete(client: &Client, bucket: &str, upload: &PendingUpload) -> Result<(), ObjectError> {
    let name = uri(bucket, &upload.key);
    let parts = upload.parts.iter().map(|part| {
        CompletedPart::builder()
            .part_number(part.number)
            .e_tag(&part.etag)
            .set_checksum_crc32(part.crc32.clone())
            .build()
    });
    let request = client
        .complete_multipart_upload()
        .bucket(bucket)
        .key(&upload.key)
        .upload_id(&upload.upload_id)
        .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build());
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("NoSuchUpload") => {
            if is_completed(client, bucket, upload).await? {
                Ok(())
            } else {
                Err(ObjectError::UploadLost { name })
            }
        }
        Err(error) => Err(ObjectError::service("CompleteMultipartUpload", &name, &error)),
    }
}

/// Whether the object at the upload's key was made by this upload.
async fn is_completed(client: &Client, bucket: &str, upload: &PendingUpload) -> Result<bool, ObjectError> {
    match client.head_object().bucket(bucket).key(&upload.key).send().await {
        Ok(head) => {
            let token = head.metadata().and_then(|metadata| metadata.get(TOKEN_KEY));
            Ok(token.is_some_and(|token| *token == upload.token))
        }
        Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => Ok(false),
        Err(error) => Err(ObjectError::service("HeadObject", &uri(bucket, &upload.key), &error)),
    }
}

/// Drops an upload and its parts. May be repeated: one that is gone counts as dropped (it may have been completed;
/// the object is not touched).
///
/// # Errors
/// [`ObjectError::Service`].
pub async fn abort(client: &Client, bucket: &str, upload: &PendingUpload) -> Result<(), ObjectError> {
    let request = client.abort_multipart_upload().bucket(bucket).key(&upload.key).upload_id(&upload.upload_id);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("NoSuchUpload") => Ok(()),
        Err(error) => Err(ObjectError::service("AbortMultipartUpload", &uri(bucket, &upload.key), &error)),
    }
}
