//! A Parquet file in S3, read in pieces: its footer and the pages that are asked for, never all of it.

use std::{
    collections::VecDeque,
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_s3::{Client, operation::head_object::HeadObjectError};
use bytes::{Bytes, BytesMut};
use parquet::{
    errors::ParquetError,
    file::reader::{ChunkReader, Length},
};
use tokio::runtime::Handle;

use super::{error::CliError, service_error};

/// Bytes of one request. Footers and first pages of most files lie in one or two of these.
const BLOCK_BYTES: u64 = 1024 * 1024;
/// Blocks that are kept for being asked for again: 32 MiB.
const BLOCKS_MAX: usize = 32;

/// One version of an object. Cheap to clone. Reading blocks: only on a thread that may.
#[derive(Clone)]
pub struct RangedObject(Arc<Object>);

struct Object {
    client: Client,
    handle: Handle,
    bucket: String,
    key: String,
    etag: String,
    bytes: u64,
    blocks: Mutex<VecDeque<(u64, Bytes)>>,
}

impl RangedObject {
    /// The object as it is now; `None` when it is not there.
    pub async fn open(client: &Client, bucket: &str, key: &str) -> Result<Option<Self>, CliError> {
        let head = match client.head_object().bucket(bucket).key(key).send().await {
            Ok(head) => head,
            Err(error) if error.as_service_error().is_some_and(HeadObjectError::is_not_found) => return Ok(None),
            Err(error) => return Err(service_error("s3:HeadObject", key, error)),
        };
        Ok(Some(RangedObject(Arc::new(Object {
            client: client.clone(),
            handle: Handle::current(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            etag: head.e_tag().unwrap_or_default().to_owned(),
            bytes: head.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or_default(),
            blocks: Mutex::default(),
        }))))
    }

    /// The block with that number.
    fn block(&self, number: u64) -> io::Result<Bytes> {
        let lock = || self.0.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, block)) = lock().iter().find(|(there, _)| *there == number) {
            return Ok(block.clone());
        }
        let block = self.0.handle.block_on(self.0.fetch(number))?;
        let mut blocks = lock();
        if blocks.len() == BLOCKS_MAX {
            blocks.pop_front();
        }
        blocks.push_back((number, block.clone()));
        Ok(block)
    }

    /// Bytes from `position` to the end of its block; none at the end of the object.
    fn from(&self, position: u64) -> io::Result<Bytes> {
        if position >= self.0.bytes {
            return Ok(Bytes::new());
        }
        let block = self.block(position / BLOCK_BYTES)?;
        let within = usize::try_from(position % BLOCK_BYTES).unwrap_or(usize::MAX).min(block.len());
        Ok(block.slice(within..))
    }
}

impl Object {
    async fn fetch(&self, number: u64) -> io::Result<Bytes> {
        let start = number * BLOCK_BYTES;
        let end = (start + BLOCK_BYTES).min(self.bytes);
        let get = self.client.get_object().bucket(&self.bucket).key(&self.key).if_match(&self.etag);
        let got = get.range(format!("bytes={start}-{}", end - 1)).send().await;
        let got = got.map_err(|error| io::Error::other(service_error("s3:GetObject", &self.key, error).to_string()))?;
        let bytes = got.body.collect().await.map_err(io::Error::other)?.into_bytes();
        match bytes.len() as u64 == end - start {
            true => Ok(bytes),
            false => Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{} ended early", self.key))),
        }
    }
}

impl Length for RangedObject {
    fn len(&self) -> u64 {
        self.0.bytes
    }
}

impl ChunkReader for RangedObject {
    type T = RangedReader;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(RangedReader { object: self.clone(), position: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut bytes = BytesMut::with_capacity(length);
        while bytes.len() < length {
            let more = self.from(start + bytes.len() as u64)?;
            if more.is_empty() {
                return Err(ParquetError::EOF(format!("{} has no {length} bytes at {start}", self.0.key)));
            }
            bytes.extend_from_slice(&more[..more.len().min(length - bytes.len())]);
        }
        Ok(bytes.freeze())
    }
}

/// Reads an object from a position on.
pub struct RangedReader {
    object: RangedObject,
    position: u64,
}

impl Read for RangedReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.object.from(self.position)?;
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        self.position += length as u64;
        Ok(length)
    }
}
