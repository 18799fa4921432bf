//! An object as a source: one version of it, named by its ETag, however often and however long it is read.

use std::{
    io::{self, Read},
    time::Duration,
};

use aws_sdk_s3::{Client, error::ProvideErrorMetadata, operation::get_object::GetObjectOutput};
use bytes::{Buf, Bytes};
use tokio::{
    runtime::Handle,
    sync::mpsc::{Receiver, Sender, channel},
};

use super::{ObjectError, uri};
use crate::executor::Source;

/// Chunks of a body that wait between network and decoder (the HTTP client makes them up to 1 MiB, mostly 64 KiB).
pub const CHUNKS_IN_FLIGHT: usize = 16;
/// Times that a broken body is taken up again where it broke, without a byte in between.
pub const RESUMES_MAX: u32 = 4;
/// Pause before the first of them; it doubles each time.
const RESUME_PAUSE: Duration = Duration::from_millis(100);

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
        ObjectSource { client, handle, bucket, key, etag: etag.into(), size, name }
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

    /// Opens the body from `position` on.
    async fn get(&self, position: u64) -> Result<GetObjectOutput, ObjectError> {
        let range = (position > 0).then(|| format!("bytes={position}-"));
        let request = self.client.get_object().bucket(&self.bucket).key(&self.key).if_match(&self.etag);
        request.set_range(range).send().await.map_err(|error| {
            let status = error.raw_response().map(|response| response.status().as_u16());
            let name = self.name.clone();
            match (error.as_service_error(), status) {
                (Some(service), _) if service.is_no_such_key() => ObjectError::Gone { name },
                (Some(service), _) if service.code() == Some("PreconditionFailed") => ObjectError::Changed { name },
                (_, Some(412)) => ObjectError::Changed { name },
                (_, Some(404)) => ObjectError::Gone { name },
                _ => ObjectError::service("GetObject", &self.name, &error),
            }
        })
    }

    /// Sends the whole body, then one empty chunk: an end without it is no end.
    async fn pump(self, sender: Sender<Result<Bytes, ObjectError>>) {
        let result = self.pump_body(&sender).await.map(|()| Bytes::new());
        let _ = sender.send(result).await; // nobody reads any more: then nobody needs to know
    }

    async fn pump_body(&self, sender: &Sender<Result<Bytes, ObjectError>>) -> Result<(), ObjectError> {
        let mut position = 0;
        let mut resumes = 0;
        let mut length = None;
        loop {
            let output = self.get(position).await?;
            let expected =
                *length.get_or_insert_with(|| output.content_length().and_then(|length| u64::try_from(length).ok()));
            let mut body = output.body;
            let broken = loop {
                match body.next().await {
                    Some(Ok(bytes)) if bytes.is_empty() => {}
                    Some(Ok(bytes)) => {
                        position += bytes.len() as u64;
                        resumes = 0;
                        if sender.send(Ok(bytes)).await.is_err() {
                            return Ok(());
                        }
                    }
                    Some(Err(error)) => break error.to_string(),
                    None if expected.is_none_or(|expected| position == expected) => return Ok(()),
                    None => break "the body ended early".to_owned(),
                }
            };
            // All bytes were there and something is wrong nonetheless: their checksum. Asking again cannot help.
            if resumes == RESUMES_MAX || expected.is_some_and(|expected| position >= expected) {
                let message = format!("{broken}, at byte {position}");
                return Err(ObjectError::Service {
                    operation: "GetObject",
                    name: self.name.clone(),
                    code: None,
                    message,
                });
            }
            tokio::time::sleep(RESUME_PAUSE * 2u32.pow(resumes)).await;
            resumes += 1;
            tracing::debug!(object = self.name, position, resumes, broken, "taking a broken body up again");
        }
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
        let (sender, receiver) = channel(CHUNKS_IN_FLIGHT);
        self.handle.spawn(self.clone().pump(sender));
        Ok(Box::new(ObjectReader { receiver, chunk: Bytes::new(), ended: false }))
    }
}

/// Reads what a task pumps.
struct ObjectReader {
    receiver: Receiver<Result<Bytes, ObjectError>>,
    chunk: Bytes,
    ended: bool,
}

impl Read for ObjectReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.chunk.has_remaining() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Ok(chunk)) => {
                    self.ended = chunk.is_empty();
                    self.chunk = chunk;
                }
                Some(Err(error)) => return Err(error.into()),
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the download was stopped")),
            }
        }
        let length = self.chunk.remaining().min(into.len());
        self.chunk.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}
