//! What cloud and disk share: the moments at which a process can be killed, and what goes wrong.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::case::{Fault, Trouble};
use crate::plan::Plan;

/// One process: from the beginning of a command to its end, or its death.
#[derive(Debug, Default)]
pub struct Shared {
    trouble: Mutex<Trouble>,
    calls: Mutex<VecDeque<Fault>>,
    moments: AtomicU32,
    reads: AtomicU32,
    writes: AtomicU32,
    killed: AtomicBool,
    death: Notify,
    pub cancel: Mutex<CancellationToken>,
    /// What is being done.
    pub plan: Mutex<Option<Plan>>,
    /// What went against the rules.
    pub violations: Mutex<Vec<String>>,
}

impl Shared {
    /// A process begins, in which `trouble` comes.
    pub fn begin(&self, trouble: &Trouble) {
        *self.calls.lock().unwrap() = trouble.calls.iter().copied().collect();
        *self.trouble.lock().unwrap() = trouble.clone();
        for counter in [&self.moments, &self.reads, &self.writes] {
            counter.store(0, Ordering::Relaxed);
        }
        self.killed.store(false, Ordering::Relaxed);
        *self.cancel.lock().unwrap() = CancellationToken::new();
        *self.plan.lock().unwrap() = None;
    }

    /// Returns when the process is killed.
    pub async fn death(&self) {
        self.death.notified().await;
    }

    /// A moment at which the process may be killed, after which nothing of it goes on, or interrupted.
    pub async fn moment(&self) {
        self.moment_or(|| {}).await;
    }

    /// The same, where `torn` is what half of a write does.
    pub async fn moment_or(&self, torn: impl FnOnce()) {
        let now = self.moments.fetch_add(1, Ordering::Relaxed);
        let trouble = self.trouble.lock().unwrap().clone();
        let shuffled = (u32::from(trouble.seed) + 1).wrapping_mul(now.wrapping_add(17)).wrapping_mul(2_654_435_761);
        for _ in 0..(shuffled >> 24) % 4 {
            tokio::task::yield_now().await;
        }
        if trouble.cancel.map(u32::from) == Some(now) {
            self.cancel.lock().unwrap().cancel();
        }
        if self.killed.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if trouble.kill.map(u32::from) == Some(now) {
            self.killed.store(true, Ordering::Relaxed);
            if trouble.torn {
                torn();
            }
            self.death.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// What becomes of the next call that changes something.
    pub fn fault(&self) -> Fault {
        let mut calls = self.calls.lock().unwrap();
        match calls.pop_front() {
            Some(Fault::NotYet(times)) if times > 1 => {
                calls.push_front(Fault::NotYet(times - 1));
                Fault::NotYet(1)
            }
            fault => fault.unwrap_or(Fault::Works),
        }
    }

    /// Whether the next call that reads fails.
    pub fn read_fails(&self) -> bool {
        let now = self.reads.fetch_add(1, Ordering::Relaxed);
        self.trouble.lock().unwrap().read.map(u32::from) == Some(now)
    }

    /// Whether the disk has no room for the next write.
    pub fn is_full(&self) -> bool {
        let now = self.writes.fetch_add(1, Ordering::Relaxed);
        self.trouble.lock().unwrap().room.is_some_and(|room| u32::from(room) <= now)
    }

    /// Writes down what must not be.
    pub fn violation(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }
}
