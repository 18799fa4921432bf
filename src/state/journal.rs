//! The write-ahead journal: what is about to be done is durable before it is done, and what was done before anything
//! that needs it begins.
//!
//! Four rules, as Pulumi's engine states them (docs/architecture/deployment-execution/state.md there): a step begins
//! only when its intent is durable; it counts as done only when its result is durable; what depends on it waits for
//! that; what does not, need not wait. Whoever appends while a write is under way waits for it to end, and then all
//! that have come are written and synced together, as one group.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::{
    Edit, Live, Run, Snapshot, format,
    store::{Loaded, Lock, Resumed, StateError, Store},
};

/// A base up to this size is written anew at the end of every command, in bytes: a small stack's state is one file
/// that people can read. Beyond it, a base is replaced only by a journal of half its size, so that what is written is
/// in proportion to what changes.
pub const BASE_ALWAYS_MAX: u64 = 1024 * 1024;

/// A stack's state, open for writing.
#[derive(Debug)]
pub struct Journal {
    store: Store,
    lock: Arc<Lock>,
    inner: Mutex<Inner>,
    /// Held by whoever writes.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Inner {
    live: Live,
    /// Serial as it was read.
    began: u64,
    group: u64,
    queue: Vec<Queued>,
    base_bytes: u64,
    journal_bytes: u64,
    /// Why nothing is written any more.
    stopped: Option<StateError>,
}

#[derive(Debug)]
struct Queued {
    line: Vec<u8>,
    written: oneshot::Sender<Result<(), StateError>>,
}

impl Journal {
    pub(super) async fn resume(store: Store, lock: Arc<Lock>, loaded: Loaded) -> Result<Self, StateError> {
        let Loaded { snapshot, mut base_bytes, length, mut group, mark } = loaded;
        let mut journal_bytes = length;
        let live = Live::new(snapshot)?;
        if store.medium().resume(lock.guard(), &mark, length).await? == Resumed::ReplaceBase {
            let (bytes, sha256) = format::encode(live.snapshot()).map_err(StateError::unwritable)?;
            let header = format::header(&sha256, live.snapshot().serial);
            store.medium().replace(lock.guard(), &bytes, &header, live.snapshot().serial).await?;
            (base_bytes, journal_bytes, group) = (bytes.len() as u64, header.len() as u64, 0);
        }
        let began = live.snapshot().serial;
        let inner = Inner { live, began, group, queue: Vec::new(), base_bytes, journal_bytes, stopped: None };
        Ok(Journal { store, lock, inner: Mutex::new(inner), writing: tokio::sync::Mutex::default() })
    }

    /// Reads from the state as it is now; some of it may not be durable yet.
    pub fn read<R>(&self, body: impl FnOnce(&Snapshot) -> R) -> R {
        body(self.inner().live.snapshot())
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The beginning of `command`, for the stack's history.
    pub fn run(&self, command: &str) -> Edit {
        let holder = self.lock.holder();
        Edit::Run(Run {
            command: command.to_owned(),
            at: jiff::Timestamp::now(),
            host: holder.host.clone(),
            pid: holder.pid,
            fence: holder.fence,
        })
    }

    /// Changes the state by `edit`; returns once that is durable. After a write that failed every other fails too.
    pub async fn append(&self, edit: Edit) -> Result<(), StateError> {
        let mut written = self.inner().enqueue(&edit)?;
        let _writing = self.writing.lock().await;
        // Whoever wrote before may have written this too.
        if let Ok(result) = written.try_recv() {
            return result;
        }
        self.write().await;
        written.await.unwrap_or_else(|_| Err(StateError::unwritable("a write was given up")))
    }

    /// Writes all that has come, as one group.
    async fn write(&self) {
        let queue = {
            let mut inner = self.inner();
            inner.group += 1;
            std::mem::take(&mut inner.queue)
        };
        let group = queue.iter().map(|queued| queued.line.as_slice()).collect::<Vec<_>>().concat();
        let result = self.store.medium().append(self.lock.guard(), &group).await;
        match &result {
            Ok(()) => self.inner().journal_bytes += group.len() as u64,
            Err(error) => self.inner().stopped = Some(error.clone()),
        }
        #[cfg(test)]
        if result.is_ok() {
            self.check_replay().await;
        }
        for queued in queue {
            // Who has gone needs no answer.
            let _ = queued.written.send(result.clone());
        }
    }

    /// What is durable makes the state that is in memory.
    #[cfg(test)]
    async fn check_replay(&self) {
        let expected = {
            let inner = self.inner();
            if !inner.queue.is_empty() {
                return;
            }
            inner.live.snapshot().clone()
        };
        let read = self.store.load().await.unwrap().unwrap().snapshot;
        assert_eq!(read, expected, "base and journal make the state");
    }

    /// Ends writing. The base is replaced when the journal has grown in proportion to it, or the state is small. All is
    /// durable already: where that fails, it is left to the next command.
    pub async fn close(self) -> Result<Snapshot, StateError> {
        let Journal { store, lock, inner, .. } = self;
        let inner = inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(stopped) = inner.stopped {
            return Err(StateError::Stopped(Box::new(stopped)));
        }
        let snapshot = inner.live.into_snapshot();
        let small = inner.base_bytes <= BASE_ALWAYS_MAX;
        let changed = snapshot.serial != inner.began;
        if (changed && small) || inner.journal_bytes > inner.base_bytes / 2 + BASE_ALWAYS_MAX {
            let (base, sha256) = format::encode(&snapshot).map_err(StateError::unwritable)?;
            let header = format::header(&sha256, snapshot.serial);
            let replaced = store.medium().replace(lock.guard(), &base, &header, snapshot.serial).await;
            if let Err(error) = replaced {
                tracing::warn!(%error, "the journal is kept as it is");
            }
        }
        Ok(snapshot)
    }
}

impl Inner {
    fn enqueue(&mut self, edit: &Edit) -> Result<oneshot::Receiver<Result<(), StateError>>, StateError> {
        if let Some(stopped) = &self.stopped {
            return Err(StateError::Stopped(Box::new(stopped.clone())));
        }
        if let Err(unsound) = self.live.apply(edit) {
            // The snapshot in memory is half changed: nothing may follow from it.
            let error = StateError::from(unsound);
            self.stopped = Some(error.clone());
            return Err(error);
        }
        let serial = self.live.snapshot().serial;
        let line = format::entry(self.group + 1, serial, edit).map_err(StateError::unwritable)?;
        let (written, receiver) = oneshot::channel();
        self.queue.push(Queued { line, written });
        Ok(receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::store::memory::Memory;

    fn outputs(value: u32) -> Edit {
        Edit::Outputs([("out".to_owned(), value.into())].into())
    }

    async fn journal(memory: &Memory) -> Journal {
        let store = Store::new(memory.clone());
        let lock = Arc::new(store.lock("apply").await.unwrap());
        if store.load().await.unwrap().is_none() {
            store.create(&lock, &Snapshot::new("flights", "local")).await.unwrap();
        }
        let loaded = store.load().await.unwrap().unwrap();
        store.journal(lock, loaded).await.unwrap()
    }

    async fn state(memory: &Memory) -> Snapshot {
        Store::new(memory.clone()).load().await.unwrap().unwrap().snapshot
    }

    #[tokio::test]
    async fn what_was_appended_is_there_for_the_next_without_closing() {
        let memory = Memory::default();
        let first = journal(&memory).await;
        first.append(outputs(1)).await.unwrap();
        first.append(outputs(2)).await.unwrap();
        drop(first);
        let next = journal(&memory).await;
        assert_eq!(next.read(|snapshot| snapshot.outputs["out"].clone()), 2);
        next.append(outputs(3)).await.unwrap();
        assert_eq!(state(&memory).await.serial, 3);
    }

    #[tokio::test]
    async fn many_at_once_are_all_durable_and_in_order() {
        let memory = Memory::default();
        let journal = journal(&memory).await;
        let appends = (1..=50).map(|value| journal.append(outputs(value)));
        for result in futures::future::join_all(appends).await {
            result.unwrap();
        }
        assert_eq!(state(&memory).await.serial, 50);
        assert!(journal.inner().group < 50, "what comes meanwhile is written together");
    }

    #[tokio::test]
    async fn after_a_write_that_failed_nothing_is_written_any_more() {
        let memory = Memory::default();
        let journal = journal(&memory).await;
        journal.append(outputs(1)).await.unwrap();
        *memory.room.lock().unwrap() = Some(0);
        assert!(matches!(journal.append(outputs(2)).await, Err(StateError::Io { .. })));
        *memory.room.lock().unwrap() = None;
        assert!(matches!(journal.append(outputs(3)).await, Err(StateError::Stopped(_))));
        assert_eq!(state(&memory).await.serial, 1);
    }

    #[tokio::test]
    async fn a_small_state_is_one_file_when_its_command_has_ended() {
        let memory = Memory::default();
        let journal = journal(&memory).await;
        journal.append(outputs(1)).await.unwrap();
        journal.close().await.unwrap();
        let present = Store::new(memory).present().await.unwrap().unwrap();
        assert_eq!((present.base.serial, present.edits.len()), (1, 0));
    }
}
