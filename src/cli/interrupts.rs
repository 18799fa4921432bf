//! What an interrupt does: what is under way ends in good order, and the stack's lock is given back before the process
//! ends.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

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
    /// Ctrl-C and SIGTERM are somebody else's for now.
    taken: AtomicBool,
}

/// As long as it lives, Ctrl-C and SIGTERM are its owner's.
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

    /// Leaves Ctrl-C and SIGTERM to the caller, who ends what is under way first.
    pub fn take(&self) -> Taken {
        self.inner.taken.store(true, Ordering::SeqCst);
        Taken(Arc::clone(&self.inner))
    }

    /// From now on a signal gives back all `locks` and ends the process; a second one ends it at once.
    pub fn give_back(&self, locks: &Locks, console: &Console) -> Result<(), CliError> {
        if self.inner.watched.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let mut signals = Signals::listen()?;
        let (inner, locks, console) = (Arc::clone(&self.inner), locks.clone(), console.clone());
        tokio::spawn(async move {
            let kind = loop {
                let kind = signals.next().await;
                if kind == SignalKind::hangup() || !inner.taken.load(Ordering::SeqCst) {
                    break kind;
                }
            };
            console.warn("interrupted: nothing more is begun, and the stack's lock is given back");
            signals.end(kind, &locks).await;
        });
        Ok(())
    }
}

/// Signals that no longer end the process by themselves.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    /// Waits for signals from now on.
    pub fn listen() -> std::io::Result<Self> {
        let [interrupt, terminate, hangup] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Signals { interrupt: interrupt?, terminate: terminate?, hangup: hangup? })
    }

    async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.hangup.recv() => SignalKind::hangup(),
        }
    }

    /// Gives back all `locks` and ends the process; a further signal ends it at once.
    async fn end(&mut self, kind: SignalKind, locks: &Locks) -> ! {
        tokio::select! {
            () = locks.abandon_all() => {}
            _ = self.next() => {}
        }
        std::process::exit(EXIT_SIGNALLED + kind.as_raw_value())
    }

    /// Waits for ever. The first Ctrl-C or SIGTERM cancels `cancel`, the second ends the process, and so does a
    /// terminal that is gone; `tell` says what comes, `true` being the end.
    pub async fn watch(mut self, cancel: &CancellationToken, locks: &Locks, tell: impl Fn(bool)) {
        loop {
            let kind = self.next().await;
            let is_end = cancel.is_cancelled() || kind == SignalKind::hangup();
            tell(is_end);
            if is_end {
                self.end(kind, locks).await;
            }
            cancel.cancel();
        }
    }
}
