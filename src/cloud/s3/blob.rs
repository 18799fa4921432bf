//! Objects' bytes: small ones in the store, larger ones in files of their own under `blobs/`.
//!
//! A file is written under its final, random name, synced, and only then named by a transaction; so a reader never
//! sees part of one, and what a crash leaves behind is a file that nothing names: it is swept at the next start.
//! Files are counted by reference (a copy shares them). A file that somebody still reads is removed after that.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use bytes::Bytes;
use futures::StreamExt;
use redb::{ReadTransaction, WriteTransaction};
use s3s::{S3Error, S3Result, dto::StreamingBlob, s3_error};
use tokio::sync::mpsc;

use super::{
    checksum::{Digested, Digests},
    meta::{Object, Piece, Place},
};
use crate::{
    cloud::store::{BytesTable, Store, StoreError, Table},
    files,
};

/// Bytes up to this size are kept in the store: one fsync less a write.
pub(super) const INLINE_BYTES: usize = 64 * 1024;
/// Chunks on their way from the network to the writing thread, at most; a chunk is what one read of the socket
/// gives (a few 100 KiB at most).
const QUEUED_CHUNKS: usize = 8;

const INLINE: BytesTable = BytesTable::new("s3.inline");
/// Blob's id → how many pieces name it.
const REFERENCES: Table<u64> = Table::new("s3.blobs");

/// The folder of blobs and who reads them.
pub(super) struct Blobs {
    store: Arc<Store>,
    folder: PathBuf,
    /// Held (shared) from a look-up until what it found is pinned; taken (alone) before files are removed.
    looking: RwLock<()>,
    readers: Mutex<Readers>,
}

#[derive(Default)]
struct Readers {
    /// Blob's id → how many read it.
    pinned: HashMap<String, usize>,
    /// Blobs that no version names any more, to be removed by their last reader.
    doomed: HashSet<String>,
}

impl Blobs {
    /// Opens the folder and removes files that nothing names.
    pub fn open(store: Arc<Store>) -> Result<Arc<Blobs>, StoreError> {
        let folder = store.folder().join("blobs");
        let failed = |source| StoreError::Io { path: folder.clone(), source };
        files::create_private_folder(&folder).map_err(failed)?;
        files::sync_folder(store.folder()).map_err(failed)?;
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let known = match name.to_str() {
                Some(id) => store.read(|tx| REFERENCES.get(tx, id))?.is_some(),
                None => false,
            };
            if !known {
                fs::remove_file(entry.path()).map_err(|source| StoreError::Io { path: entry.path(), source })?;
                tracing::info!(file = %entry.path().display(), "removed a blob that nothing names");
            }
        }
        let (looking, readers) = Default::default();
        Ok(Arc::new(Blobs { store, folder, looking, readers }))
    }

    /// What remembers the objects.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Takes in a body: hashes it and puts it where it is to stay. Nothing names it before [`Draft::commit`]; a
    /// draft that is dropped is gone. Memory stays bounded whatever the body's size.
    pub async fn receive(
        self: &Arc<Self>,
        body: Option<StreamingBlob>,
        mut digests: Digests,
        limit: u64,
    ) -> S3Result<(Draft, Digested)> {
        let mut start = Vec::new();
        let mut body = body.map(StreamExt::fuse);
        while let Some(chunk) = next(body.as_mut()).await? {
            start.extend_from_slice(&chunk);
            if start.len() > INLINE_BYTES {
                let body = body.as_mut();
                return self.receive_file(start.into(), body, digests, limit).await;
            }
        }
        check_size(start.len() as u64, limit)?;
        digests.update(&start);
        Ok((Draft { size: start.len() as u64, kind: DraftKind::Inline(start) }, digests.finish()))
    }

    async fn receive_file<S>(
        self: &Arc<Self>,
        start: Bytes,
        mut body: Option<&mut S>,
        digests: Digests,
        limit: u64,
    ) -> S3Result<(Draft, Digested)>
    where
        S: futures::Stream<Item = Result<Bytes, s3s::StdError>> + Unpin,
    {
        let (sender, receiver) = mpsc::channel(QUEUED_CHUNKS);
        let blobs = Arc::clone(self);
        let writing = tokio::task::spawn_blocking(move || blobs.write_file(receiver, digests));
        let mut size = start.len() as u64;
        // A closed channel means that the writer failed: its own result says why.
        let mut open = sender.send(Message::Bytes(start)).await.is_ok();
        while open && let Some(chunk) = next(body.as_deref_mut()).await? {
            size += chunk.len() as u64;
            check_size(size, limit)?;
            open = sender.send(Message::Bytes(chunk)).await.is_ok();
        }
        let _closed = sender.send(Message::End).await;
        drop(sender);
        match writing.await {
            Ok(written) => {
                let (file, digested) = written?;
                Ok((Draft { size, kind: DraftKind::File(file) }, digested))
            }
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Writes what comes until the end is said. An end that is not said is a caller that went away.
    fn write_file(
        self: Arc<Self>,
        mut receiver: mpsc::Receiver<Message>,
        mut digests: Digests,
    ) -> S3Result<(DraftFile, Digested)> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let path = self.path(&id);
        let failed = |source| S3Error::from(StoreError::Io { path: path.clone(), source });
        let mut file = File::create_new(&path).map_err(failed)?;
        let draft = DraftFile { blobs: Arc::clone(&self), id, kept: false };
        loop {
            match receiver.blocking_recv() {
                Some(Message::Bytes(bytes)) => {
                    file.write_all(&bytes).map_err(failed)?;
                    digests.update(&bytes);
                }
                Some(Message::End) => break,
                None => return Err(s3_error!(RequestTimeout, "the request ended before its body did")),
            }
        }
        file.sync_all().map_err(failed)?;
        files::sync_folder(&self.folder).map_err(failed)?;
        Ok((draft, digests.finish()))
    }

    /// Looks something up and pins the files of the object found, so that they stay until the pin is dropped.
    pub fn look_up<R>(
        self: &Arc<Self>,
        find: impl FnOnce(&ReadTransaction) -> S3Result<R>,
        object: impl FnOnce(&R) -> &Object,
    ) -> S3Result<(R, Pin)> {
        let _looking = self.looking.read().unwrap_or_else(PoisonError::into_inner);
        let found = self.store.read(find)?;
        let pin = self.pin(object(&found));
        Ok((found, pin))
    }

    /// Pins the files of an object that is pinned already.
    pub fn pin(self: &Arc<Self>, object: &Object) -> Pin {
        let ids: Vec<String> = object
            .pieces
            .iter()
            .filter_map(|piece| match &piece.place {
                Place::File(id) => Some(id.clone()),
                Place::Inline(_) => None,
            })
            .collect();
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        for id in &ids {
            *readers.pinned.entry(id.clone()).or_default() += 1;
        }
        drop(readers);
        Pin { blobs: Arc::clone(self), ids }
    }

    /// The bytes of a blob kept in the store; `None` when it is gone.
    pub fn inline(&self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.read(|tx| INLINE.get(tx, id))
    }

    /// Where a blob's file is.
    pub fn path(&self, id: &str) -> PathBuf {
        self.folder.join(id)
    }

    /// Removes files that a committed transaction released. What is being read goes with its last reader.
    pub fn collect(&self, released: Released) {
        if released.files.is_empty() {
            return;
        }
        // Look-ups that began before the commit have pinned what they found once this is had.
        drop(self.looking.write().unwrap_or_else(PoisonError::into_inner));
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        for id in released.files {
            if readers.pinned.contains_key(&id) {
                readers.doomed.insert(id);
            } else {
                remove(&self.path(&id));
            }
        }
    }

    fn unpin(&self, ids: &[String]) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            let Some(count) = readers.pinned.get_mut(id) else { continue };
            *count -= 1;
            if *count == 0 {
                readers.pinned.remove(id);
                if readers.doomed.remove(id) {
                    remove(&self.path(id));
                }
            }
        }
    }
}

enum Message {
    Bytes(Bytes),
    End,
}

async fn next<S>(body: Option<&mut S>) -> S3Result<Option<Bytes>>
where
    S: futures::Stream<Item = Result<Bytes, s3s::StdError>> + Unpin,
{
    match body {
        None => Ok(None),
        Some(body) => body.next().await.transpose().map_err(|error| broken_body(&error)),
    }
}

/// `s3s` checks signatures and hashes while the body is read; its error types are private, their words are not.
fn broken_body(error: &s3s::StdError) -> S3Error {
    let text = error.to_string();
    if text.contains("SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch, "The signature of a chunk of the body does not match.")
    } else if text.contains("Sha256Mismatch") {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        super::meta::custom_error(http::StatusCode::BAD_REQUEST, "XAmzContentSHA256Mismatch", message)
    } else {
        s3_error!(IncompleteBody, "The body could not be read to its end: {text}")
    }
}

fn check_size(size: u64, limit: u64) -> S3Result<()> {
    if size > limit {
        return Err(s3_error!(
            EntityTooLarge,
            "Your proposed upload exceeds the maximum allowed size of {limit} bytes"
        ));
    }
    Ok(())
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(%error, file = %path.display(), "could not remove a blob; the next start tries again");
    }
}

/// Bytes that are in place but that nothing names yet.
pub(super) struct Draft {
    /// How many.
    pub size: u64,
    kind: DraftKind,
}

enum DraftKind {
    Inline(Vec<u8>),
    File(DraftFile),
}

struct DraftFile {
    blobs: Arc<Blobs>,
    id: String,
    kept: bool,
}

impl Drop for DraftFile {
    fn drop(&mut self) {
        if !self.kept {
            remove(&self.blobs.path(&self.id));
        }
    }
}

impl Draft {
    /// Names the bytes as part of `tx`; `None` when there are none. When the transaction fails after this, the
    /// file is left to the next start: whether the commit reached the disk is not known then.
    pub fn commit(self, tx: &WriteTransaction) -> Result<Option<Place>, StoreError> {
        match self.kind {
            DraftKind::Inline(bytes) if bytes.is_empty() => Ok(None),
            DraftKind::Inline(bytes) => put_inline(tx, &bytes).map(Some),
            DraftKind::File(mut file) => {
                REFERENCES.put(tx, &file.id, &1)?;
                file.kept = true;
                Ok(Some(Place::File(std::mem::take(&mut file.id))))
            }
        }
    }
}

fn put_inline(tx: &WriteTransaction, bytes: &[u8]) -> Result<Place, StoreError> {
    let id = uuid::Uuid::new_v4().simple().to_string();
    INLINE.put(tx, &id, bytes)?;
    Ok(Place::Inline(id))
}

/// Names the bytes of a piece a second time, for a copy. `None` when they are gone.
pub(super) fn share(tx: &WriteTransaction, piece: &Piece) -> Result<Option<Piece>, StoreError> {
    let place = match &piece.place {
        Place::Inline(id) => match INLINE.get(tx, id)? {
            Some(bytes) => put_inline(tx, &bytes)?,
            None => return Ok(None),
        },
        Place::File(id) => {
            let Some(count) = REFERENCES.get(tx, id)? else { return Ok(None) };
            REFERENCES.put(tx, id, &(count + 1))?;
            Place::File(id.clone())
        }
    };
    Ok(Some(Piece { place, ..piece.clone() }))
}

/// Files that a transaction took the last name from; they are removed after its commit.
#[derive(Debug, Default)]
#[must_use = "hand it to `Blobs::collect` after the commit"]
pub(super) struct Released {
    files: Vec<String>,
}

impl Released {
    /// Takes one name from the bytes at `place`.
    pub fn release(&mut self, tx: &WriteTransaction, place: &Place) -> Result<(), StoreError> {
        match place {
            Place::Inline(id) => {
                INLINE.delete(tx, id)?;
            }
            Place::File(id) => match REFERENCES.get(tx, id)? {
                Some(count) if count > 1 => REFERENCES.put(tx, id, &(count - 1))?,
                _ => {
                    REFERENCES.delete(tx, id)?;
                    self.files.push(id.clone());
                }
            },
        }
        Ok(())
    }
}

/// Keeps the files of an object while somebody reads them.
pub(super) struct Pin {
    blobs: Arc<Blobs>,
    ids: Vec<String>,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.blobs.unpin(&self.ids);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(chunks: Vec<Result<Vec<u8>, std::io::Error>>) -> Option<StreamingBlob> {
        Some(StreamingBlob::wrap(futures::stream::iter(chunks.into_iter().map(|chunk| chunk.map(Bytes::from)))))
    }

    fn blobs() -> (tempfile::TempDir, Arc<Blobs>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, Blobs::open(store).unwrap())
    }

    fn file_count(blobs: &Blobs) -> usize {
        fs::read_dir(&blobs.folder).unwrap().count()
    }

    async fn object(blobs: &Arc<Blobs>, size: usize) -> Object {
        let (draft, _) = blobs.receive(body(vec![Ok(vec![7; size])]), Digests::new(None), 1 << 30).await.unwrap();
        let place = blobs.store.write(|tx| draft.commit(tx)).unwrap().unwrap();
        let piece = Piece { place, size: size as u64, part: 0, checksum: None };
        Object { pieces: vec![piece], ..Object::default() }
    }

    #[tokio::test]
    async fn small_bodies_go_into_the_store_and_large_ones_into_files() {
        let (_folder, blobs) = blobs();
        assert!(matches!(object(&blobs, INLINE_BYTES).await.pieces[0].place, Place::Inline(_)));
        assert_eq!(file_count(&blobs), 0);
        assert!(matches!(object(&blobs, INLINE_BYTES + 1).await.pieces[0].place, Place::File(_)));
        assert_eq!(file_count(&blobs), 1);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_or_is_too_large_leaves_nothing() {
        let (_folder, blobs) = blobs();
        let broken = vec![Ok(vec![0; INLINE_BYTES + 1]), Err(std::io::Error::other("gone"))];
        assert!(blobs.receive(body(broken), Digests::new(None), 1 << 30).await.is_err());
        let large = vec![Ok(vec![0; INLINE_BYTES + 1]), Ok(vec![0; 10])];
        let error = blobs.receive(body(large), Digests::new(None), INLINE_BYTES as u64 + 5).await.err().unwrap();
        assert_eq!(error.code(), &s3s::S3ErrorCode::EntityTooLarge);
        // The writer notices on its own thread.
        let gone = async {
            while file_count(&blobs) > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(5), gone).await.expect("the files are removed");
    }

    #[tokio::test]
    async fn files_that_nothing_names_are_swept_at_the_next_start() {
        let (_folder, blobs) = blobs();
        let kept = object(&blobs, INLINE_BYTES + 1).await;
        fs::write(blobs.path("leftover"), b"part of an upload").unwrap();
        let store = Arc::clone(&blobs.store);
        drop(blobs);
        let blobs = Blobs::open(store).unwrap();
        assert_eq!(file_count(&blobs), 1);
        let Place::File(id) = &kept.pieces[0].place else { panic!("a file") };
        assert!(blobs.path(id).exists());
    }

    #[tokio::test]
    async fn a_file_goes_with_its_last_name_and_its_last_reader() {
        let (_folder, blobs) = blobs();
        let first = object(&blobs, INLINE_BYTES + 1).await;
        let second = blobs.store.write(|tx| share(tx, &first.pieces[0])).unwrap().unwrap();
        let release = |place: &Place| {
            let mut released = Released::default();
            blobs.store.write(|tx| released.release(tx, place)).unwrap();
            blobs.collect(released);
        };
        release(&first.pieces[0].place);
        assert_eq!(file_count(&blobs), 1, "the copy still names it");
        let pin = blobs.pin(&first);
        release(&second.place);
        assert_eq!(file_count(&blobs), 1, "somebody reads it");
        drop(pin);
        assert_eq!(file_count(&blobs), 0);
    }
}
