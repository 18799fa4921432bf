//! Puts events. Calls that come while a commit is under way share the next one: a commit costs the disk's patience,
//! not the number of events in it.

use std::sync::Arc;

use http::StatusCode;
use redb::WriteTransaction;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{Core, event::Event, model::bus_exists, tally::Tally};
use crate::cloud::error::ApiError;

/// Calls that wait for a commit; more wait to be let in.
const WAITING_CALLS: usize = 1024;
/// Calls in one commit.
const CALLS_PER_COMMIT: usize = 64;

/// A call's events, and who waits for them to be kept.
struct Call {
    events: Vec<Event>,
    kept: oneshot::Sender<Result<(), ApiError>>,
}

/// The way to the writer.
pub(super) struct Writer(mpsc::Sender<Call>);

impl Writer {
    pub fn start(core: Arc<Core>, stop: CancellationToken) -> (Writer, tokio::task::JoinHandle<()>) {
        let (calls, waiting) = mpsc::channel(WAITING_CALLS);
        (Writer(calls), tokio::spawn(write(core, waiting, stop)))
    }

    /// Keeps events with all deliveries that they cause. Returns once they are on disk.
    pub async fn put(&self, events: Vec<Event>) -> Result<(), ApiError> {
        if events.is_empty() {
            return Ok(());
        }
        let (kept, outcome) = oneshot::channel();
        let stopping = || {
            ApiError::with_status(
                StatusCode::SERVICE_UNAVAILABLE,
                "InternalException",
                "the embedded cloud is stopping",
            )
        };
        self.0.send(Call { events, kept }).await.map_err(|_| stopping())?;
        outcome.await.map_err(|_| stopping())?
    }
}

async fn write(core: Arc<Core>, mut waiting: mpsc::Receiver<Call>, stop: CancellationToken) {
    let mut calls = Vec::new();
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = waiting.recv_many(&mut calls, CALLS_PER_COMMIT) => received,
        };
        if received == 0 {
            return;
        }
        let (events, waiters): (Vec<_>, Vec<_>) = calls.drain(..).map(|call| (call.events, call.kept)).unzip();
        let putter = Arc::clone(&core);
        let written = core.store.commit(move |tx| {
            let mut tally = Tally::default();
            for event in events.iter().flatten() {
                putter.put(tx, event, &mut tally)?;
            }
            Ok::<_, ApiError>(tally)
        });
        let outcome = written.await.map(|tally| tally.record(&core.meter, core.clock.now_ms()));
        core.outbox.wake.notify_one();
        for waiter in waiters {
            // Whoever does not wait any more does not want to know.
            let _ = waiter.send(outcome.clone());
        }
    }
}

impl Core {
    /// Triggers the rules that `event` matches. On a bus that is not there it is dropped, as AWS does.
    pub fn put(&self, tx: &WriteTransaction, event: &Event, tally: &mut Tally) -> Result<(), ApiError> {
        if !bus_exists(tx, &event.region, &event.bus)? {
            tracing::debug!(bus = event.bus, "an event for a bus that is not there is dropped");
            return Ok(());
        }
        let bus = self.matching.bus(tx, &event.region, &event.bus)?;
        let matches = |pattern: &super::pattern::Pattern| pattern.matches(&event.value);
        let mut matched = false;
        for rule in bus.rules.iter().filter(|rule| rule.pattern.as_ref().is_some_and(matches)) {
            matched = true;
            self.trigger(tx, event, rule, tally)?;
        }
        if matched {
            tally.matched(&event.region);
        }
        Ok(())
    }
}
