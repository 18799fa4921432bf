//! State in S3: `s3://bucket/prefix/<stack>/` has `state.json` (the base), `journal/<name>/<number>` (a group each),
//! `lock`, and earlier bases under `history/`, whose journals stay where they are.
//!
//! Every write is conditional
//! (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>), so that a process which has lost
//! the lock and does not know it yet (stopped, asleep, cut off from the network) changes nothing:
//!
//! 1. A base names its journal in its first field, by its serial and a random number. No two bases are the same bytes,
//!    so an `If-Match` on the base's etag tells whether it is the one that was read.
//! 2. Journal objects are numbered without gaps, from 0 (the header), and written with `If-None-Match: *`. Whoever
//!    writes number n has read or written all before it. A journal is thus one sequence on which all writers agree,
//!    whoever they believe has the lock.
//! 3. Before a base is replaced its journal is **sealed**: the seal takes the next number, and behind a seal nobody
//!    writes. What the new base holds is then all that will ever be in that journal. Only then comes the base, with
//!    `If-Match`, and then the header of its own journal. A crash in between leaves a base with a sealed journal (the
//!    next writer replaces the base) or one without a journal (the same).
//! 4. Whoever takes the lock from a holder that did not give it back, or whose last write may still be under way,
//!    **fences** the journal before reading it: an empty object takes the next number. The earlier holder's next
//!    number is then taken; its next append is refused (2), and so is its seal, hence its base (3). If it has sealed
//!    already, nothing can be appended any more; its base may still come, once. Should it come before ours does, ours
//!    is refused by its `If-Match` before anything was done in the cloud; should ours come first, theirs is refused.
//!    After its fence the new holder looks whether the lock is still its own, so that of two that take over one after
//!    the other, only the later goes on.
//!
//! So an edit that was acknowledged is in the state of everyone who reads afterwards, and what is acknowledged to the
//! new holder cannot be written over by the old one. Neither clocks nor the heartbeat are needed for that: these keep
//! two commands from *working* at once, and the fence keeps them from *recording* at once.
//!
//! An answer may be lost, and whoever sends the request again (we, or the SDK by itself) then meets its own write as
//! a 412. Every object carries its writer's id as metadata: after a refusal, and after an error that leaves it open
//! whether the write took effect, the object is read back, and our id with our bytes is our own write.

mod lock;
mod log;
mod objects;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError, Weak, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_s3::Client;
use uuid::Uuid;

use super::{Files, Guard, HISTORY_MAX, Holder, Mark, Medium, Resumed, Standing, StateError};
use crate::{
    failpoint::{self, before_write},
    state::FormatError,
};
use lock::Lease;
use log::SEAL;
use objects::{Condition, Objects, Put};

/// The base.
const BASE: &str = "state.json";
/// A holder says that it lives this often.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A holder that has not been heard of for this long has ended.
const TTL: Duration = Duration::from_secs(60);

/// State in a bucket.
#[derive(Debug, Clone)]
pub struct S3 {
    objects: Objects,
    timing: Timing,
    inner: Arc<Mutex<Inner>>,
}

/// How a holder is told from one that has ended.
#[derive(Debug, Clone, Copy)]
struct Timing {
    heartbeat: Duration,
    ttl: Duration,
}

#[derive(Debug, Default)]
struct Inner {
    /// What was read last; a state that is created goes in its place.
    read: Option<Mark>,
    writer: Option<Writer>,
    lease: Weak<Lease>,
}

/// Where the next write goes, and whose it is.
#[derive(Debug, Clone)]
struct Writer {
    holder: Uuid,
    mark: Mark,
}

impl S3 {
    /// The state under `folder` in `bucket`. The folder has no slash at its end.
    pub fn new(client: Client, bucket: &str, folder: &str) -> Self {
        let timing = Timing { heartbeat: HEARTBEAT, ttl: TTL };
        S3 { objects: Objects::new(client, bucket, folder), timing, inner: Arc::default() }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fenced(&self) -> StateError {
        StateError::Fenced { place: self.name() }
    }

    fn damaged(&self, source: FormatError) -> StateError {
        StateError::Damaged { place: self.name(), source: Arc::new(source) }
    }

    /// What `guard` writes to; somebody else may have begun to write through the same value since.
    fn writer(&self, guard: &dyn Guard) -> Result<Mark, StateError> {
        guard.check()?;
        let inner = self.inner();
        let writer = inner.writer.as_ref().filter(|writer| writer.holder == guard.holder().id);
        writer.map(|writer| writer.mark.clone()).ok_or_else(|| self.fenced())
    }

    fn set_writer(&self, guard: &dyn Guard, mark: Mark) {
        self.inner().writer = Some(Writer { holder: guard.holder().id, mark });
    }

    /// Writes an object that nobody else may have written. Whoever is refused has lost the lock; after an error it is
    /// open whether the write still takes effect.
    async fn write(
        &self,
        guard: &dyn Guard,
        name: &str,
        body: Vec<u8>,
        condition: Condition<'_>,
    ) -> Result<String, StateError> {
        pass_failpoint(name)?;
        let put = self.objects.put(name, body, condition, guard.holder().id).await;
        let lease = self.inner().lease.upgrade().filter(|lease| lease.holder.id == guard.holder().id);
        match put {
            Ok(Put::Written(etag)) => Ok(etag),
            Ok(Put::Refused) => {
                if let Some(lease) = lease {
                    lease.lost.store(true, Ordering::SeqCst);
                }
                Err(self.fenced())
            }
            Err(error) => {
                if let Some(lease) = lease {
                    lease.doubtful.store(true, Ordering::SeqCst);
                }
                Err(error)
            }
        }
    }

    /// Where a base that is written now goes: in place of what its writer read.
    async fn place(&self, guard: &dyn Guard) -> Result<Mark, StateError> {
        if let Ok(mark) = self.writer(guard) {
            return Ok(mark);
        }
        guard.check()?;
        let read = self.inner().read.clone();
        if let Some(mark) = read {
            return Ok(mark);
        }
        self.read().await?;
        Ok(self.inner().read.clone().unwrap_or_default())
    }

    /// Closes the journal at `mark`, and keeps its base for the history.
    async fn retire(&self, guard: &dyn Guard, mark: &Mark, serial: u64) -> Result<(), StateError> {
        let Some(version) = &mark.version else { return Ok(()) };
        if let Some(journal) = mark.journal.as_ref().filter(|_| !mark.sealed) {
            self.write(guard, &log::object(journal, mark.next), SEAL.to_vec(), Condition::Absent).await?;
            self.set_writer(guard, Mark { sealed: true, next: mark.next + 1, ..mark.clone() });
        }
        pass_failpoint(BASE)?;
        if self.objects.copy(BASE, version, &historic(serial)).await? {
            return Ok(());
        }
        Err(self.fenced())
    }

    /// Writes a base in place of the one of that `version`, and the first object of its journal.
    async fn begin(
        &self,
        guard: &dyn Guard,
        version: Option<&str>,
        base: &[u8],
        header: &[u8],
        serial: u64,
    ) -> Result<(), StateError> {
        let journal = log::name(serial);
        let condition = version.map_or(Condition::Absent, Condition::Is);
        let version = self.write(guard, BASE, log::with_name(base, &journal)?, condition).await?;
        self.write(guard, &log::object(&journal, 0), header.to_owned(), Condition::Absent).await?;
        let length = header.len() as u64;
        let mark = Mark { version: Some(version), journal: Some(journal), next: 1, length, sealed: false };
        self.set_writer(guard, mark);
        Ok(())
    }

    /// Copies what is damaged to where nobody looks for a state.
    async fn set_aside(&self, name: &str, etag: &str, mark: &str) -> Result<(), StateError> {
        pass_failpoint(name)?;
        match self.objects.copy(name, etag, &format!("damaged/{mark}/{name}")).await? {
            true => Ok(()),
            false => Err(self.fenced()),
        }
    }

    /// Deletes what is beyond the history's end. Journals go before the base that names them.
    async fn prune(&self) -> Result<(), StateError> {
        let kept = self.history().await?;
        for serial in &kept[..kept.len().saturating_sub(HISTORY_MAX)] {
            let base = historic(*serial);
            if let Some(journal) = self.head(&base).await?.and_then(|head| head.journal) {
                self.objects.delete(&log::folder(&journal)).await?;
            }
            self.objects.delete(&base).await?;
        }
        Ok(())
    }
}

/// Passes the place where tests make a process die. An object is there as a whole or not at all: none is torn.
fn pass_failpoint(name: &str) -> Result<(), StateError> {
    match before_write().map_err(|source| StateError::io(name.as_ref(), source))? {
        failpoint::Write::Whole => Ok(()),
        failpoint::Write::Torn => failpoint::die(),
    }
}

/// The base that ends at `serial`.
fn historic(serial: u64) -> String {
    format!("history/{serial:010}.json")
}

#[async_trait]
impl Medium for S3 {
    fn name(&self) -> String {
        self.objects.url("")
    }

    async fn read(&self) -> Result<Files, StateError> {
        let files = self.read_whole(BASE).await?;
        self.inner().read = Some(files.mark.clone());
        Ok(files)
    }

    async fn resume(&self, guard: &dyn Guard, mark: &Mark, length: u64) -> Result<Resumed, StateError> {
        guard.check()?;
        self.set_writer(guard, mark.clone());
        if length == 0 || mark.sealed || mark.journal.is_none() {
            return Ok(Resumed::ReplaceBase);
        }
        match length == mark.length {
            true => Ok(Resumed::GoesOn),
            false => Err(self.damaged(FormatError::End { length })),
        }
    }

    async fn append(&self, guard: &dyn Guard, group: &[u8]) -> Result<(), StateError> {
        let mark = self.writer(guard)?;
        let journal = mark.journal.as_ref().filter(|_| !mark.sealed);
        let journal = journal.ok_or_else(|| StateError::unwritable("a group behind the end of its journal"))?;
        self.write(guard, &log::object(journal, mark.next), group.to_owned(), Condition::Absent).await?;
        self.set_writer(guard, Mark { next: mark.next + 1, length: mark.length + group.len() as u64, ..mark });
        Ok(())
    }

    async fn replace(&self, guard: &dyn Guard, base: &[u8], header: &[u8], serial: u64) -> Result<(), StateError> {
        let mark = self.place(guard).await?;
        self.retire(guard, &mark, serial).await?;
        self.begin(guard, mark.version.as_deref(), base, header, serial).await?;
        if let Err(error) = self.prune().await {
            tracing::warn!(%error, "the oldest states stay in the history for now");
        }
        Ok(())
    }

    async fn mend(&self, guard: &dyn Guard, base: &[u8], header: &[u8], mark: &str) -> Result<(), StateError> {
        guard.check()?;
        let there = self.objects.get(BASE).await?;
        if let Some(there) = &there {
            self.set_aside(BASE, &there.etag, mark).await?;
        }
        self.begin(guard, there.as_ref().map(|there| there.etag.as_str()), base, header, 0).await
    }

    async fn discard(&self, guard: &dyn Guard, serial: u64, mark: &str) -> Result<(), StateError> {
        guard.check()?;
        let name = historic(serial);
        let Some(there) = self.objects.get(&name).await? else { return Ok(()) };
        self.set_aside(&name, &there.etag, mark).await?;
        self.objects.delete(&name).await
    }

    async fn history(&self) -> Result<Vec<u64>, StateError> {
        let listed = self.objects.list("history/").await?;
        let serial = |name: &str| name.strip_prefix("history/")?.strip_suffix(".json")?.parse().ok();
        let mut serials: Vec<u64> = listed.iter().filter_map(|listed| serial(&listed.name)).collect();
        serials.sort_unstable();
        Ok(serials)
    }

    async fn historic(&self, serial: u64) -> Result<(Vec<u8>, Vec<u8>), StateError> {
        let Files { base, journal, .. } = self.read_whole(&historic(serial)).await?;
        let base = base.ok_or_else(|| self.objects.failed(format!("it has no state of serial {serial}")))?;
        Ok((base, journal))
    }

    async fn lock(&self, holder: Holder) -> Result<Box<dyn Guard>, StateError> {
        let held = self.acquire(holder).await?;
        self.inner().lease = Arc::downgrade(&held.lease);
        if held.has_to_fence {
            // One that was stopped between taking the lock and the fence may have lost it, and must not go on behind
            // the fence of whoever has it now.
            let fenced = async {
                self.fence(held.lease.holder.id).await?;
                held.lease.confirm().await
            };
            if let Err(error) = fenced.await {
                if let Err(error) = held.abandon().await {
                    tracing::warn!(%error, "the lock could not be given back: it will be found stale");
                }
                return Err(error);
            }
        }
        Ok(Box::new(held))
    }

    async fn standing(&self) -> Result<Option<Standing>, StateError> {
        self.standing_of_lock().await
    }

    async fn unlock(&self, holder: &Holder) -> Result<(), StateError> {
        if self.take_from(holder).await? {
            self.fence(Uuid::new_v4()).await?;
        }
        Ok(())
    }
}
