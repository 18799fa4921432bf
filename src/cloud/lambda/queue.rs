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
    destinations::{self, Condition, Ended, Parting},
    environment::{Invocation, Outcome},
    event_config::{EVENT_CONFIGS, EventConfig},
    metrics,
    model::{Function, Reference},
    pool::{Permit, Pool},
    rest::invalid,
};
use crate::cloud::{
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

/// An event on its way to a function.
#[derive(Debug, Clone)]
pub(super) struct AsyncInvocation {
    /// The function's ARN, with or without a qualifier.
    pub function_arn: String,
    /// The event, as JSON.
    pub payload: Vec<u8>,
}

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
    /// Out of the queue, for nobody: its function is gone.
    Gone,
    /// Out of the queue: done, or failed for good.
    Done(Box<Done>),
    /// Tried again after a delay.
    Again(QueuedEvent),
    /// Left as it is for the next start of the cloud.
    Left,
}

/// An event that leaves the queue.
struct Done {
    function: Function,
    /// Why it failed, if it did.
    reason: Option<String>,
    /// What goes out with its end.
    partings: Vec<Parting>,
}

/// One try's material.
struct Try<'a> {
    event: QueuedEvent,
    payload: &'a str,
    config: &'a EventConfig,
    function: Function,
}

impl Try<'_> {
    /// The end of the event, with what its configuration wants to be told.
    fn end(self, condition: Condition, reason: Option<String>, response: Option<&[u8]>) -> Verdict {
        let Try { event, payload, config, function } = self;
        let ended = Ended {
            function: &function,
            request_id: &event.request_id,
            condition,
            invocations: event.failures + u32::from(condition == Condition::Success),
            request: payload,
            response,
        };
        let succeeded = condition == Condition::Success;
        let destination = if succeeded { &config.on_success } else { &config.on_failure };
        let dead_letters = function.settings.dead_letters.as_ref().filter(|_| !succeeded);
        let partings = destination.iter().map(|target| ended.to_destination(target));
        let partings = partings.chain(dead_letters.map(|target| ended.to_dead_letters(target))).collect();
        Verdict::Done(Box::new(Done { function, reason, partings }))
    }

    fn after_failure(mut self, delays: &[Duration], outcome: &Outcome) -> Verdict {
        self.event.failures += 1;
        let failures = self.event.failures;
        if failures > self.config.retries() {
            let reason = format!("the function failed on it {failures} times");
            return self.end(Condition::RetriesExhausted, Some(reason), Some(&outcome.payload));
        }
        let delay = delays[(delays.len() - 1).min(failures as usize - 1)];
        self.again(delay, Some(&outcome.payload))
    }

    /// Faults of the cloud itself do not count as the function's: the event is tried until it is too old.
    fn after_fault(mut self, error: &ApiError) -> Verdict {
        tracing::warn!(%error, request_id = self.event.request_id, "an asynchronous event is tried again later");
        let delay = FAULT_DELAY.saturating_mul(1 << self.event.faults.min(16)).min(FAULT_DELAY_MAX);
        self.event.faults += 1;
        self.again(delay, None)
    }

    fn again(mut self, delay: Duration, response: Option<&[u8]>) -> Verdict {
        self.event.due = now_ms() + millis(delay);
        if self.event.due - self.event.queued > self.config.max_age_ms() {
            let reason = "it would be older than the function's maximum event age at its next try";
            return self.end(Condition::EventAgeExceeded, Some(reason.into()), response);
        }
        Verdict::Again(self.event)
    }
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
            Verdict::Gone => {
                tracing::warn!(event = key, "the function of an asynchronous event is gone");
                (None, self.store.commit(move |tx| remove(tx, &owned)).await)
            }
            Verdict::Done(done) => {
                if let Some(reason) = &done.reason {
                    tracing::warn!(event = key, reason, "an asynchronous event has failed for good");
                    metrics::dropped(&meter, &done.function.arn());
                }
                (None, self.end(owned, *done).await)
            }
            Verdict::Again(event) => {
                let due = event.due;
                (Some(due), self.store.commit(move |tx| Ok(EVENTS.put(tx, &owned, &event)?)).await)
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

    /// Takes an event out; what goes out with its end is lost or kept together with that.
    async fn end(&self, key: String, done: Done) -> Result<(), ApiError> {
        let Done { function, partings, .. } = done;
        let host = &self.pool.host;
        let (exchange, role, sent) = (Arc::clone(&host.exchange), function.settings.role.clone(), !partings.is_empty());
        let failures = self
            .store
            .commit(move |tx| {
                remove(tx, &key)?;
                destinations::send(tx, &exchange, &role, &partings)
            })
            .await?;
        failures.into_iter().for_each(|failure| destinations::count(&host.meter, &function, failure));
        if sent {
            host.exchange.wake();
        }
        Ok(())
    }

    async fn attempt(&self, key: &str, permit: Permit) -> Result<Verdict, ApiError> {
        let found = self.store.read::<_, StoreError>(|tx| {
            let Some(event) = EVENTS.get(tx, key)? else { return Ok(None) };
            let config = EVENT_CONFIGS.get(tx, &event.function_arn)?.unwrap_or_default();
            Ok(Some((event, PAYLOADS.get(tx, key)?.unwrap_or_default(), config)))
        })?;
        let Some((event, payload, config)) = found else { return Ok(Verdict::Left) };
        let Some(function) = self.pool.function(&event.function_arn)? else {
            return Ok(Verdict::Gone);
        };
        let one = Try { event, payload: &payload, config: &config, function };
        if now_ms() - one.event.queued > config.max_age_ms() {
            let reason = "it is older than the function's maximum event age";
            return Ok(one.end(Condition::EventAgeExceeded, Some(reason.into()), None));
        }
        if one.event.failures + one.event.faults == 0 {
            metrics::waited(&self.pool.host.meter, &one.event.function_arn, now_ms() - one.event.queued);
        }
        let request_id = one.event.request_id.clone();
        let invocation = Invocation { request_id, payload: payload.clone().into(), client_context: None };
        let outcome = self.pool.run(permit, one.function.clone(), invocation).await;
        if self.pool.host.stop.is_cancelled() && !matches!(&outcome, Ok(outcome) if !outcome.failed) {
            return Ok(Verdict::Left);
        }
        Ok(match outcome {
            Ok(outcome) if !outcome.failed => one.end(Condition::Success, None, Some(&outcome.payload)),
            Ok(outcome) => one.after_failure(&self.pool.host.options.retry_delays, &outcome),
            Err(error) => one.after_fault(&error),
        })
    }
}

fn remove(tx: &WriteTransaction, key: &str) -> Result<(), ApiError> {
    EVENTS.delete(tx, key)?;
    PAYLOADS.delete(tx, key)?;
    Ok(())
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
