//! What an interrupt does to a command that holds a lock: the lock is given back before the process ends.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::state::store::Locks;

use super::{console::Console, error::CliError};

/// What a shell adds to a signal's number to make an exit code of it.
const EXIT_SIGNALLED: i32 = 128;

/// Who sees to it when the user interrupts.
#[derive(Debug, Clone, Default)]
pub struct Interrupts {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Somebody waits for signals.
    watched: AtomicBool,
    /// Ctrl-C is somebody else's for now.
    taken: AtomicBool,
}

/// As long as it lives, Ctrl-C is its owner's.
#[derive(Debug)]
pub struct Taken(Arc<Inner>);

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::SeqCst);
    }
}

impl Interrupts {
    /// Interrupts that the command sees to of which this one is a part.
    pub fn of_another() -> Self {
        let inner = Inner { watched: AtomicBool::new(true), ..Inner::default() };
        Interrupts { inner: Arc::new(inner) }
    }

    /// Leaves Ctrl-C to the caller, who ends what is under way first. Other signals still end the process.
    pub fn take(&self) -> Taken {
        self.inner.taken.store(true, Ordering::SeqCst);
        Taken(Arc::clone(&self.inner))
    }

    /// From now on a signal gives back all `locks` and ends the process; a second one ends it at once.
    pub fn give_back(&self, locks: &Locks, console: &Console) -> Result<(), CliError> {
        if self.inner.watched.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hangup] = kinds.map(signal);
        let mut signals = Signals { interrupt: interrupt?, terminate: terminate?, hangup: hangup? };
        let (inner, locks, console) = (Arc::clone(&self.inner), locks.clone(), console.clone());
        tokio::spawn(async move {
            let number = loop {
                let kind = signals.next().await;
                if kind != SignalKind::interrupt() || !inner.taken.load(Ordering::SeqCst) {
                    break kind.as_raw_value();
                }
            };
            console.warn("interrupted: nothing more is begun, and the stack's lock is given back");
            tokio::select! {
                () = locks.abandon_all() => {}
                _ = signals.next() => {}
            }
            std::process::exit(EXIT_SIGNALLED + number);
        });
        Ok(())
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hangup.recv() => SignalKind::hangup(),
        }
    }
}
