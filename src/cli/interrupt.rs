//! Ctrl-C, or SIGTERM: once, what is under way ends in good order; the second time, the process ends.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit codes after a second signal: 128 and the signal's number, as shells have it.
const EXIT_INTERRUPTED: i32 = 130;
const EXIT_TERMINATED: i32 = 143;

/// Signals that are waited for, from [`Interrupts::listen`] on.
#[derive(Debug)]
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// From now on signals do not end the process by themselves.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Interrupts { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for ever. The first signal cancels `cancel`; `tell` says what each leads to, `true` being the second.
    pub async fn watch(mut self, cancel: &CancellationToken, tell: impl Fn(bool)) {
        loop {
            let code = tokio::select! {
                Some(()) = self.interrupt.recv() => EXIT_INTERRUPTED,
                Some(()) = self.terminate.recv() => EXIT_TERMINATED,
                else => return std::future::pending().await,
            };
            let again = cancel.is_cancelled();
            tell(again);
            if again {
                std::process::exit(code);
            }
            cancel.cancel();
        }
    }
}
