//! The asynchronous side: events are queued durably, driven at least once, retried, and removed only when they have
//! succeeded or finally failed.
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html>

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redb::WriteTransaction;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, mpsc};

use super::{
    environment::Invocation,
    event_config::{EVENT_CONFIGS, EventConfig},
    metrics,
    model::Reference,
    pool::{Permit, Pool},
    rest::invalid,
};
use crate::cloud::{
    delivery::AsyncInvocation,
    error::ApiError,
    store::{Store, StoreError, Table},
};

/// Queued events by sequence.
const EVENTS: Table<QueuedEvent> = Table::new("lambda.queue");
/// Their payloads, apart, so that looking for what is due reads little.
const PAYLOADS: Table<String> = Table::new("lambda.queue.payloads");

/// Largest asynchronous event, in bytes.
pub(super) const EVENT_BYTES: usize = 1024 * 1024;
/// Keys are decimal digits.
const PAST_ALL_KEYS: &str = ":";
/// Events known to the dispatcher at one time; the others wait in the store.
const KNOWN_EVENTS: usize = 10_000;
/// Events read from the store in one step.
const READ_EVENTS: usize = 500;
/// First delay after a fault that is not the function's.
const FAULT_DELAY: Duration = Duration::from_secs(1);
/// Longest such delay.
const FAULT_DELAY_MAX: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct QueuedEvent {
    request_id: String,
    /// Without a qualifier.
    function_arn: String,
    /// Milliseconds since 1970.
    queued: i64,
    due: i64,
    /// How often the function has failed on it.
    failures: u32,
    /// How often something else has.
    faults: u32,
}

/// The queue.
pub(super) struct Queue {
    store: Arc<Store>,
    pool: Arc<Pool>,
    wake: Notify,
    sequence: AtomicU64,
}

/// What became of one try.
enum Verdict {
    /// Out of the queue: done, or failed for good with this reason.
    Done(Option<String>),
    /// Tried again after a delay.
    Again(QueuedEvent),
    /// Left as it is for the next start of the cloud.
    Left,
}

impl Queue {
    pub(super) fn new(store: Arc<Store>, pool: Arc<Pool>) -> Result<Arc<Queue>, StoreError> {
        // The clock keeps the order over restarts, and what is queued does when the clock has been set back.
        let now = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(0);
        let last = store.read(|tx| EVENTS.scan_back(tx, "", PAST_ALL_KEYS, 1))?;
        let after_last = last.first().and_then(|(key, _)| key.parse::<u64>().ok()).map_or(0, |last| last + 1);
        let sequence = AtomicU64::new(now.max(after_last));
        Ok(Arc::new(Queue { store, pool, wake: Notify::new(), sequence }))
    }

    /// Queues an event as part of `tx`; gives its request id.
    pub(super) fn enqueue(&self, tx: &WriteTransaction, invocation: AsyncInvocation) -> Result<String, ApiError> {
        if invocation.payload.len() > EVENT_BYTES {
            return Err(invalid(format!("an asynchronous event has at most {EVENT_BYTES} bytes")));
        }
        let payload = String::from_utf8(invocation.payload).map_err(|_| invalid("an event has to be UTF-8"))?;
        let now = now_ms();
        let event = QueuedEvent {
            request_id: uuid::Uuid::new_v4().to_string(),
            function_arn: Reference::of_arn(&invocation.function_arn)?.arn,
            queued: now,
            due: now,
            failures: 0,
            faults: 0,
        };
        // Transactions that write come one after the other, so keys grow in order of commit.
        let key = format!("{:020}", self.sequence.fetch_add(1, Ordering::Relaxed));
        EVENTS.put(tx, &key, &event)?;
        PAYLOADS.put(tx, &key, &payload)?;
        metrics::received(&self.pool.host.meter, &event.function_arn);
        Ok(event.request_id)
    }

    /// Events that are not done.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.store.read(|tx| EVENTS.scan(tx, "", None, usize::MAX)).unwrap().len()
    }

    /// Tells the dispatcher to look.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Drives events until the cloud stops. Begins with all that an earlier process has left.
    pub(super) async fn dispatch(self: Arc<Self>) {
        let stop = self.pool.host.stop.clone();
        let mut known = Known::default();
        let (again, mut tried) = mpsc::channel(self.pool.host.options.concurrency.max(1));
        loop {
            if let Err(error) = known.fill(&self.store) {
                tracing::error!(%error, "the queue of asynchronous events could not be read");
            }
            let wait = known.heap.peek().map(|Reverse((due, _))| (due - now_ms()).max(0).unsigned_abs());
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => known.complete = false,
                Some(result) = tried.recv() => known.running_ended(result),
                permit = self.pool.permit(), if wait == Some(0) => {
                    let (Ok(permit), Some(key)) = (permit, known.pop()) else { return };
                    let (queue, again) = (Arc::clone(&self), again.clone());
                    tokio::spawn(async move {
                        let due = queue.drive(&key, permit).await;
                        let _ = again.send(due.map(|due| (due, key))).await; // no dispatcher: the cloud stops
                    });
                }
                () = tokio::time::sleep(Duration::from_millis(wait.unwrap_or(0))), if wait.is_some_and(|wait| wait > 0) => {}
            }
        }
    }

    /// One try; gives the time of the next one.
    async fn drive(&self, key: &str, permit: Permit) -> Option<i64> {
        let verdict = match self.attempt(key, permit).await {
            Ok(verdict) => verdict,
            Err(error) => {
                tracing::error!(%error, event = key, "an asynchronous event could not be driven; it is tried again");
                return Some(now_ms() + millis(FAULT_DELAY_MAX));
            }
        };
        let (owned, meter) = (key.to_owned(), self.pool.host.meter.clone());
        let (due, written) = match verdict {
            Verdict::Left => return None,
            Verdict::Done(reason) => {
                let dropped = reason.is_some();
                if let Some(reason) = reason {
                    tracing::warn!(event = key, reason, "an asynchronous event has failed for good");
                }
                let written = self
                    .store
                    .commit(move |tx| {
                        if let Some(event) = EVENTS.get(tx, &owned)?.filter(|_| dropped) {
                            metrics::dropped(&meter, &event.function_arn);
                        }
                        EVENTS.delete(tx, &owned)?;
                        PAYLOADS.delete(tx, &owned)?;
                        Ok::<_, StoreError>(())
                    })
                    .await;
                (None, written)
            }
            Verdict::Again(event) => {
                let due = event.due;
                (Some(due), self.store.commit(move |tx| EVENTS.put(tx, &owned, &event)).await)
            }
        };
        match written {
            Ok(()) => due,
            Err(error) => {
                tracing::error!(%error, event = key, "what became of an event could not be written; it is tried again");
                Some(now_ms() + millis(FAULT_DELAY_MAX))
            }
        }
    }

    async fn attempt(&self, key: &str, permit: Permit) -> Result<Verdict, ApiError> {
        let found = self.store.read::<_, StoreError>(|tx| {
            let Some(event) = EVENTS.get(tx, key)? else { return Ok(None) };
            let config = EVENT_CONFIGS.get(tx, &event.function_arn)?.unwrap_or_default();
            Ok(Some((event, PAYLOADS.get(tx, key)?.unwrap_or_default(), config)))
        })?;
        let Some((event, payload, config)) = found else { return Ok(Verdict::Left) };
        let Some(function) = self.pool.function(&event.function_arn)? else {
            return Ok(Verdict::Done(Some(format!("the function {} is gone", event.function_arn))));
        };
        if now_ms() - event.queued > config.max_age_ms() {
            return Ok(Verdict::Done(Some("it is older than the function's maximum event age".into())));
        }
        if event.failures + event.faults == 0 {
            metrics::waited(&self.pool.host.meter, &event.function_arn, now_ms() - event.queued);
        }
        let request_id = event.request_id.clone();
        let invocation = Invocation { request_id, payload: payload.into(), client_context: None };
        let outcome = self.pool.run(permit, function, invocation).await;
        if self.pool.host.stop.is_cancelled() && !matches!(&outcome, Ok(outcome) if !outcome.failed) {
            return Ok(Verdict::Left);
        }
        Ok(match outcome {
            Ok(outcome) if !outcome.failed => Verdict::Done(None),
            Ok(_) => self.after_failure(event, &config),
            Err(error) => after_fault(event, &config, &error),
        })
    }

    fn after_failure(&self, mut event: QueuedEvent, config: &EventConfig) -> Verdict {
        event.failures += 1;
        if event.failures > config.retries() {
            return Verdict::Done(Some(format!("the function failed on it {} times", event.failures)));
        }
        let delays = &self.pool.host.options.retry_delays;
        let delay = delays[(delays.len() - 1).min(event.failures as usize - 1)];
        again(event, config, delay)
    }
}

/// Faults of the cloud itself do not count as the function's: the event is tried until it is too old.
fn after_fault(mut event: QueuedEvent, config: &EventConfig, error: &ApiError) -> Verdict {
    tracing::warn!(%error, request_id = event.request_id, "an asynchronous event is tried again later");
    let delay = FAULT_DELAY.saturating_mul(1 << event.faults.min(16)).min(FAULT_DELAY_MAX);
    event.faults += 1;
    again(event, config, delay)
}

fn again(mut event: QueuedEvent, config: &EventConfig, delay: Duration) -> Verdict {
    event.due = now_ms() + millis(delay);
    if event.due - event.queued > config.max_age_ms() {
        return Verdict::Done(Some("it would be older than the function's maximum event age at its next try".into()));
    }
    Verdict::Again(event)
}

/// What the dispatcher knows of the queue: a bounded part, the due ones first.
#[derive(Default)]
struct Known {
    heap: BinaryHeap<Reverse<(i64, String)>>,
    running: usize,
    /// Last key read from the store.
    after: Option<String>,
    /// Whether all there was has been read.
    complete: bool,
}

impl Known {
    fn fill(&mut self, store: &Store) -> Result<(), StoreError> {
        while !self.complete && self.heap.len() + self.running < KNOWN_EVENTS {
            let page = store.read(|tx| EVENTS.scan(tx, "", self.after.as_deref(), READ_EVENTS))?;
            self.complete = page.len() < READ_EVENTS;
            for (key, event) in page {
                self.after = Some(key.clone());
                self.heap.push(Reverse((event.due, key)));
            }
        }
        Ok(())
    }

    fn pop(&mut self) -> Option<String> {
        let Reverse((_, key)) = self.heap.pop()?;
        self.running += 1;
        Some(key)
    }

    fn running_ended(&mut self, again: Option<(i64, String)>) {
        self.running -= 1;
        self.heap.extend(again.map(Reverse));
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
