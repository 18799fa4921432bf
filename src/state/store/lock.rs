//! One writer a stack: who holds its lock, and how that is told.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, task::JoinHandle};

use super::StateError;

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Tells this holder from any other.
    pub id: uuid::Uuid,
    /// Process id.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// The command.
    pub command: String,
    /// Since when.
    pub since: jiff::Timestamp,
    /// Rises with every holder: what an earlier one writes later is refused.
    #[serde(default)]
    pub fence: u64,
    /// When it was last heard of, where a holder has to say that it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat: Option<jiff::Timestamp>,
    /// Where its process id means something: this start of the machine, and its namespace of processes. Host names
    /// alone are often the same in different containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`lake {}`, pid {} on {}, since {:.0}", self.command, self.pid, self.host, self.since)?;
        if let Some(heartbeat) = self.heartbeat {
            write!(f, ", last heard of at {heartbeat:.0}")?;
        }
        Ok(())
    }
}

impl Holder {
    /// This process, without a fencing number yet.
    pub fn this(command: &str) -> Self {
        Holder {
            id: uuid::Uuid::new_v4(),
            pid: std::process::id(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            command: command.to_owned(),
            since: jiff::Timestamp::now(),
            fence: 0,
            heartbeat: None,
            machine: machine(),
        }
    }

    /// Whether its process is known to have ended: it ran where this one runs, and is not there any more.
    pub fn has_ended(&self) -> bool {
        let here = self.machine.is_some() && self.machine == machine();
        let pid = i32::try_from(self.pid).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw);
        here && pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
    }
}

/// What tells this start of this machine, and this namespace of processes, from every other; `None` where the system
/// does not say.
fn machine() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// Whether the holder of a lock still lives, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// It has to be taken for alive.
    Lives(String),
    /// It has ended without giving its lock back.
    Ended(String),
}

/// The holder of a lock, as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Who it is.
    pub holder: Holder,
    /// Whether it lives.
    pub life: Life,
}

/// A holder that had ended without giving its lock back, and whose lock was taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Who it was.
    pub holder: Holder,
    /// How it is known that it has ended.
    pub why: String,
}

/// A lock that is held.
#[async_trait]
pub trait Guard: fmt::Debug + Send + Sync {
    /// Who holds it, fencing number included.
    fn holder(&self) -> &Holder;

    /// Whether it is still ours; a writer asks before each write.
    fn check(&self) -> Result<(), StateError>;

    /// Gives it back, after all that was written under it.
    async fn release(&self) -> Result<(), StateError>;

    /// Gives it back when a write may still be under way, because the command was cut off.
    async fn abandon(&self) -> Result<(), StateError> {
        self.release().await
    }

    /// Whether it would stay when its process ends without giving it back.
    fn outlives(&self) -> bool {
        false
    }

    /// Whose lock was taken over, if anybody's.
    fn replaced(&self) -> Option<&Replaced> {
        None
    }
}

/// The right to write a stack's state. It ends with [`Lock::release`]; one that is dropped is given back all the same
/// ([`Locks::settled`]).
#[derive(Debug)]
pub struct Lock {
    guard: Arc<dyn Guard>,
    locks: Locks,
    released: AtomicBool,
}

impl Lock {
    pub(super) fn new(guard: Arc<dyn Guard>, locks: Locks) -> Self {
        locks.enter(&guard);
        Lock { guard, locks, released: AtomicBool::new(false) }
    }

    /// Who holds it.
    pub fn holder(&self) -> &Holder {
        self.guard.holder()
    }

    /// Whose lock was taken over, if anybody's.
    pub fn replaced(&self) -> Option<&Replaced> {
        self.guard.replaced()
    }

    /// How writers show that they hold it.
    pub(crate) fn guard(&self) -> &dyn Guard {
        &*self.guard
    }

    /// Gives it back.
    pub async fn release(&self) -> Result<(), StateError> {
        let released = self.guard.release().await;
        self.released.store(true, Ordering::SeqCst);
        released
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.released.load(Ordering::SeqCst) && self.guard.outlives() {
            self.locks.abandon(Arc::clone(&self.guard));
        }
    }
}

/// Longest wait for a lock that is just being taken, before the process ends.
const TAKING_MAX: Duration = Duration::from_secs(10);

/// The locks that a process holds. A command that fails half-way only drops its lock; what has to be asked of a
/// service to give it back is asked then, and whoever ends the process waits for that.
#[derive(Debug, Clone, Default)]
pub struct Locks {
    inner: Arc<Mutex<Inner>>,
    /// How many are just being taken.
    taking: watch::Sender<usize>,
}

/// A lock is being taken as long as it lives.
#[derive(Debug)]
pub(super) struct Taking(watch::Sender<usize>);

impl Drop for Taking {
    fn drop(&mut self) {
        self.0.send_modify(|taking| *taking -= 1);
    }
}

#[derive(Debug, Default)]
struct Inner {
    held: Vec<Weak<dyn Guard>>,
    giving_back: Vec<JoinHandle<()>>,
}

impl Locks {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever ends the process waits for the lock that is being taken from here on.
    pub(super) fn taking(&self) -> Taking {
        self.taking.send_modify(|taking| *taking += 1);
        Taking(self.taking.clone())
    }

    fn enter(&self, guard: &Arc<dyn Guard>) {
        let mut inner = self.inner();
        inner.held.retain(|held| held.strong_count() > 0);
        inner.held.push(Arc::downgrade(guard));
    }

    fn abandon(&self, guard: Arc<dyn Guard>) {
        // Without a runtime there is nobody left to ask: the lock is found to be stale.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let task = runtime.spawn(async move { abandon(&*guard).await });
        self.inner().giving_back.push(task);
    }

    /// Returns once every lock that was dropped is given back, or cannot be.
    pub async fn settled(&self) {
        let tasks = std::mem::take(&mut self.inner().giving_back);
        for task in tasks {
            // One that panicked has said so.
            let _ = task.await;
        }
    }

    /// Gives back every lock that is held, because the process is about to end.
    pub async fn abandon_all(&self) {
        // One that is written already may not be among those that are held yet.
        let mut taking = self.taking.subscribe();
        let _ = tokio::time::timeout(TAKING_MAX, taking.wait_for(|taking| *taking == 0)).await;
        let held: Vec<_> = self.inner().held.iter().filter_map(Weak::upgrade).collect();
        for guard in held.iter().filter(|guard| guard.outlives()) {
            abandon(&**guard).await;
        }
        self.settled().await;
    }
}

async fn abandon(guard: &dyn Guard) {
    if let Err(error) = guard.abandon().await {
        tracing::warn!(%error, "the lock could not be given back: it will be found stale");
    }
}
