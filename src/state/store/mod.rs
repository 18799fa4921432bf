//! Where a stack's state lies: a [`Medium`] knows how to keep base, journal and lock, [`Store`] what they mean.

mod local;
mod lock;
#[cfg(test)]
pub(crate) mod memory;
mod s3;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;

pub use local::Local;
pub use lock::{Guard, Holder, Life, Lock, Locks, Replaced, Standing};
pub use s3::S3;

use super::{
    Edit, FormatError, Journal, Snapshot, Unsound,
    format::{self, Base},
};

/// Times that a state is read again because it was replaced while it was read.
pub(super) const READS_MAX: u32 = 5;
/// How many earlier bases are kept, with their journals.
const HISTORY_MAX: usize = 50;
/// Pause before a lock that somebody has is asked for again; doubles with each further time.
const LOCK_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause before a lock is asked for again.
const LOCK_PAUSE_MAX: Duration = Duration::from_secs(5);

/// A place for base, journal and lock of one stack.
///
/// What it promises: a write that has returned is durable; a base is replaced as a whole or not at all; a journal
/// holds what was appended, in order, and at its end perhaps part of an append that has not returned. Whoever has lost
/// the lock writes nothing more ([`StateError::Fenced`]).
#[async_trait]
pub trait Medium: fmt::Debug + Send + Sync {
    /// What people call the place: a path, a URL.
    fn name(&self) -> String;

    /// The base, and all that was appended since it was replaced.
    async fn read(&self) -> Result<Files, StateError>;

    /// Goes on with the journal that was read at `mark`, after its first `length` bytes: what is torn behind them is
    /// cut off. Called before the first append; a journal without a byte is never gone on with.
    async fn resume(&self, guard: &dyn Guard, mark: &Mark, length: u64) -> Result<Resumed, StateError>;

    /// Adds a group to the journal.
    async fn append(&self, guard: &dyn Guard, group: &[u8]) -> Result<(), StateError>;

    /// Replaces the base, and begins its journal with `header`. Those that were there go into the history, as the
    /// state up to `serial`.
    async fn replace(&self, guard: &dyn Guard, base: &[u8], header: &[u8], serial: u64) -> Result<(), StateError>;

    /// Replaces a base and a journal that are damaged or gone. What was there stays beside, under names with `mark` in
    /// them, and not in the history.
    async fn mend(&self, guard: &dyn Guard, base: &[u8], header: &[u8], mark: &str) -> Result<(), StateError>;

    /// Takes a damaged state out of the history; it stays beside, under a name with `mark` in it.
    async fn discard(&self, guard: &dyn Guard, serial: u64, mark: &str) -> Result<(), StateError>;

    /// Serials of the states in the history, the oldest first.
    async fn history(&self) -> Result<Vec<u64>, StateError>;

    /// Base and journal of the history that end at `serial`.
    async fn historic(&self, serial: u64) -> Result<(Vec<u8>, Vec<u8>), StateError>;

    /// Takes the lock for `holder`, whose fencing number is set to one above any before.
    async fn lock(&self, holder: Holder) -> Result<Box<dyn Guard>, StateError>;

    /// Who has the lock, and whether that one still lives; `None` when nobody has it.
    async fn standing(&self) -> Result<Option<Standing>, StateError>;

    /// Takes the lock from `holder`, whoever that is now refused everything; nothing happens when somebody else has it
    /// by now.
    async fn unlock(&self, holder: &Holder) -> Result<(), StateError>;
}

/// What lies in a medium.
#[derive(Debug, Clone)]
pub struct Files {
    /// The base, if there is one.
    pub base: Option<Vec<u8>>,
    /// What was appended since, header included; empty where nothing was.
    pub journal: Vec<u8>,
    /// Which of the medium's objects these were.
    pub mark: Mark,
}

/// What a medium read, where it has to know that again when it writes: nothing that was written since by others is
/// written over. A folder under its lock has no need of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// Version of the base.
    version: Option<String>,
    /// Name of its journal.
    journal: Option<String>,
    /// Number of the journal's next object.
    next: u64,
    /// Bytes of the journal.
    length: u64,
    /// Nothing may be appended to the journal any more.
    sealed: bool,
}

/// Whether a journal can be gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumed {
    /// What comes is appended.
    GoesOn,
    /// The base has to be replaced first.
    ReplaceBase,
}

/// A stack's state, wherever it lies.
#[derive(Debug, Clone)]
pub struct Store {
    medium: Arc<dyn Medium>,
    locks: Locks,
}

/// A state as it was read, and where its journal ends.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The state.
    pub snapshot: Snapshot,
    /// Bytes of the base.
    pub(super) base_bytes: u64,
    /// Bytes of the journal that are whole; none when it has to be begun.
    pub(super) length: u64,
    /// Its last group.
    pub(super) group: u64,
    /// What it was read from.
    pub(super) mark: Mark,
}

/// A state in the history.
#[derive(Debug, Clone)]
pub struct Historic {
    /// The state at its beginning.
    pub base: Snapshot,
    /// What was done since, up to the next state in the history.
    pub edits: Vec<Edit>,
}

impl Store {
    /// The state in `medium`.
    pub fn new(medium: impl Medium + 'static) -> Self {
        Store { medium: Arc::new(medium), locks: Locks::default() }
    }

    /// The same state, whose locks are among `locks` while they are held.
    #[must_use]
    pub fn among(self, locks: &Locks) -> Self {
        Store { locks: locks.clone(), ..self }
    }

    /// What people call the place.
    pub fn name(&self) -> String {
        self.medium.name()
    }

    pub(super) fn medium(&self) -> &Arc<dyn Medium> {
        &self.medium
    }

    /// The state; `None` for a stack that has none yet.
    pub async fn load(&self) -> Result<Option<Loaded>, StateError> {
        let mut reads = 1;
        loop {
            match self.try_load().await {
                // Base and journal are two reads: a command may have replaced both in between.
                Err(StateError::Damaged { source, .. })
                    if matches!(*source, FormatError::Base { .. }) && reads < READS_MAX =>
                {
                    reads += 1;
                }
                result => return result,
            }
        }
    }

    async fn try_load(&self) -> Result<Option<Loaded>, StateError> {
        let Files { base, journal, mark } = self.medium.read().await?;
        let Some(base) = base else {
            // A stack whose base somebody has lost is not a new one: that would be made once more.
            let is_new = journal.is_empty() && self.medium.history().await?.is_empty();
            return if is_new { Ok(None) } else { Err(self.damaged(FormatError::Missing)) };
        };
        self.read(base, &journal, mark).map(Some).map_err(|error| self.damaged(error))
    }

    pub(super) fn read(&self, bytes: Vec<u8>, journal: &[u8], mark: Mark) -> Result<Loaded, FormatError> {
        let base_bytes = bytes.len() as u64;
        let base = format::decode(bytes)?;
        let replay = format::replay(journal, &base)?;
        let Base { snapshot, .. } = base;
        let Some(replay) = replay else {
            return Ok(Loaded { snapshot, base_bytes, length: 0, group: 0, mark });
        };
        let snapshot = format::replayed(snapshot, &replay.edits)?;
        let length = replay.length as u64;
        Ok(Loaded { snapshot, base_bytes, length, group: replay.group, mark })
    }

    pub(super) fn damaged(&self, source: FormatError) -> StateError {
        StateError::Damaged { place: self.name(), source: Arc::new(source) }
    }

    /// Takes the stack's lock for `command`.
    pub async fn lock(&self, command: &str) -> Result<Lock, StateError> {
        let _taking = self.locks.taking();
        let guard = self.medium.lock(Holder::this(command)).await?;
        Ok(Lock::new(guard.into(), self.locks.clone()))
    }

    /// [`Store::lock`] that waits up to `patience` for whoever has it; `waiting` is told once who that is.
    pub async fn lock_within(
        &self,
        command: &str,
        patience: Duration,
        waiting: impl FnOnce(&Holder),
    ) -> Result<Lock, StateError> {
        let deadline = tokio::time::Instant::now() + patience;
        let (mut pause, mut waiting) = (LOCK_PAUSE, Some(waiting));
        loop {
            let holder = match self.lock(command).await {
                Err(StateError::Locked(holder)) => holder,
                result => return result,
            };
            let left = deadline.saturating_duration_since(tokio::time::Instant::now());
            if left.is_zero() {
                return Err(StateError::Locked(holder));
            }
            if let Some(waiting) = waiting.take() {
                waiting(&holder);
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LOCK_PAUSE_MAX);
        }
    }

    /// Who has the lock.
    pub async fn holder(&self) -> Result<Option<Holder>, StateError> {
        Ok(self.standing().await?.map(|standing| standing.holder))
    }

    /// Who has the lock, and whether that one still lives.
    pub async fn standing(&self) -> Result<Option<Standing>, StateError> {
        self.medium.standing().await
    }

    /// Takes the lock from `holder`.
    pub async fn unlock(&self, holder: &Holder) -> Result<(), StateError> {
        self.medium.unlock(holder).await
    }

    /// Writes the first state of a stack, or one in place of a state that has nothing in it.
    pub async fn create(&self, lock: &Lock, snapshot: &Snapshot) -> Result<(), StateError> {
        let (base, sha256) = format::encode(snapshot).map_err(StateError::unwritable)?;
        let header = format::header(&sha256, snapshot.serial);
        self.medium.replace(lock.guard(), &base, &header, snapshot.serial).await
    }

    /// The journal that goes on from `loaded`, which was read under `lock`.
    pub async fn journal(&self, lock: Arc<Lock>, loaded: Loaded) -> Result<Journal, StateError> {
        Journal::resume(self.clone(), lock, loaded).await
    }

    /// Serials of the states in the history, the oldest first.
    pub async fn history(&self) -> Result<Vec<u64>, StateError> {
        self.medium.history().await
    }

    /// The state of the history that ends at `serial`, by its beginning and what was done since.
    pub async fn historic(&self, serial: u64) -> Result<Historic, StateError> {
        let (base, journal) = self.medium.historic(serial).await?;
        self.read_historic(base, &journal).map_err(|error| self.damaged(error))
    }

    /// The present state, by its base and what was done since.
    pub async fn present(&self) -> Result<Option<Historic>, StateError> {
        let Files { base, journal, .. } = self.medium.read().await?;
        let Some(base) = base else { return Ok(None) };
        self.read_historic(base, &journal).map(Some).map_err(|error| self.damaged(error))
    }

    fn read_historic(&self, base: Vec<u8>, journal: &[u8]) -> Result<Historic, FormatError> {
        let base = format::decode(base)?;
        let edits = format::replay(journal, &base)?.map_or_else(Vec::new, |replay| replay.edits);
        Ok(Historic { base: base.snapshot, edits })
    }
}

/// Why the state cannot be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StateError {
    /// It is there and is not a sound state.
    #[error(
        "the state at {place} is refused: {source}\nnothing was changed; `lake state repair` tells what can be done"
    )]
    Damaged {
        /// Where it lies.
        place: String,
        /// What is wrong with it.
        source: Arc<FormatError>,
    },
    /// A state that must not be written.
    #[error("BUG: lake was about to write a state that is refused: {0}; nothing was written")]
    Unwritable(String),
    /// The disk.
    #[error("the state at {path} failed: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: Arc<std::io::Error>,
    },
    /// The service that keeps the state.
    #[error("the state at {place} failed: {message}")]
    Service {
        /// Where it lies.
        place: String,
        /// What the service says.
        message: String,
    },
    /// The bucket that is to keep the state.
    #[error("the bucket `{bucket}`, which is to keep the state, does not exist")]
    NoBucket {
        /// Its name.
        bucket: String,
    },
    /// Somebody else is at it.
    #[error(
        "the stack is locked by {0}\n\
         wait for it to end (`--lock-timeout 60` does); `lake state unlock` tells whether it still lives"
    )]
    Locked(Box<Holder>),
    /// Somebody has taken the lock away.
    #[error(
        "somebody has taken this stack's lock away ({place}): nothing more is written\n\
         run the command again; it goes on from what is recorded"
    )]
    Fenced {
        /// Where the state lies.
        place: String,
    },
    /// An earlier write failed, so that this one was not tried.
    #[error("the state is not written any more, because an earlier write failed: {0}")]
    Stopped(Box<StateError>),
}

impl StateError {
    pub(crate) fn unwritable(error: impl fmt::Display) -> Self {
        StateError::Unwritable(error.to_string())
    }

    pub(crate) fn io(path: &std::path::Path, source: std::io::Error) -> Self {
        StateError::Io { path: path.to_owned(), source: Arc::new(source) }
    }
}

impl From<Unsound> for StateError {
    fn from(unsound: Unsound) -> Self {
        StateError::unwritable(unsound)
    }
}
