//! What SQS tells CloudWatch, and the end of messages that were kept long enough.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html>

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    model::{self, QUEUES, Queue, now_ms},
    queues::forget_deleted,
};
use crate::cloud::{
    meter::{Datum, Meter},
    store::{Store, StoreError},
};

const NAMESPACE: &str = "AWS/SQS";
/// Every queue is measured this often, changed or not.
const EVERY: Duration = Duration::from_secs(60);
/// Changed queues are measured at most this often.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// Expired messages taken out in one transaction.
const EXPIRED_MESSAGES: usize = 500;
/// Messages looked at for the oldest one: a dead-letter queue is not ordered by arrival.
const OLDEST_MESSAGES: usize = 100;

/// Where the other parts report what they did.
pub(super) struct Gauge {
    meter: Meter,
    changed: Mutex<BTreeSet<String>>,
    news: Notify,
}

impl Gauge {
    pub(super) fn new(meter: Meter) -> Arc<Gauge> {
        Arc::new(Gauge { meter, changed: Mutex::default(), news: Notify::new() })
    }

    pub(super) fn sent(&self, queue: &Queue, messages: usize) {
        self.count(queue, "NumberOfMessagesSent", messages);
    }

    pub(super) fn received(&self, queue: &Queue, messages: usize) {
        self.count(queue, "NumberOfMessagesReceived", messages);
    }

    pub(super) fn deleted(&self, queue: &Queue, messages: usize) {
        self.count(queue, "NumberOfMessagesDeleted", messages);
    }

    /// Has the queue measured soon.
    pub(super) fn changed(&self, queue: &Queue) {
        self.note(queue.key());
    }

    pub(super) fn changed_arn(&self, arn: String) {
        if let Some(key) = model::key_of_arn(&arn) {
            self.note(key);
        }
    }

    fn note(&self, key: String) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        self.news.notify_one();
    }

    fn count(&self, queue: &Queue, name: &str, messages: usize) {
        if messages > 0 {
            self.record(queue, name, messages as f64, "Count");
        }
        self.changed(queue);
    }

    fn record(&self, queue: &Queue, name: &str, value: f64, unit: &'static str) {
        self.meter.record(Datum {
            region: queue.region.clone(),
            namespace: NAMESPACE.to_owned(),
            name: name.to_owned(),
            dimensions: vec![("QueueName".to_owned(), queue.name.clone())],
            value,
            unit,
            timestamp: now_ms(),
        });
    }

    fn measure(&self, store: &Store, queue: &Queue) -> Result<(), StoreError> {
        let now = now_ms();
        let (counts, oldest) = store.read::<_, StoreError>(|tx| {
            let first = model::sent_before(tx, &queue.id, i64::MAX, OLDEST_MESSAGES)?;
            let oldest = first.iter().map(|(_, message)| message.arrived).min();
            Ok((model::count(tx, &queue.id, now)?, oldest))
        })?;
        self.record(queue, "ApproximateNumberOfMessagesVisible", counts.visible as f64, "Count");
        self.record(queue, "ApproximateNumberOfMessagesNotVisible", counts.in_flight as f64, "Count");
        self.record(queue, "ApproximateNumberOfMessagesDelayed", counts.delayed as f64, "Count");
        let age = oldest.map_or(0, |oldest| (now - oldest).max(0) / 1000);
        self.record(queue, "ApproximateAgeOfOldestMessage", age as f64, "Seconds");
        Ok(())
    }

    /// Measures changed queues soon and every queue each minute, and takes expired messages out, until `stop`.
    pub(super) async fn run(self: Arc<Self>, store: Arc<Store>, stop: CancellationToken) {
        let mut minute = tokio::time::interval(EVERY);
        loop {
            let all = tokio::select! {
                () = stop.cancelled() => return,
                _ = minute.tick() => true,
                () = self.news.notified() => false,
            };
            let changed = std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner));
            let done = if all { self.tend(&store).await } else { self.measure_some(&store, &changed) };
            if let Err(error) = done {
                tracing::error!(%error, "queues could not be measured");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(AT_MOST_EVERY) => {}
            }
        }
    }

    fn measure_some(&self, store: &Store, keys: &BTreeSet<String>) -> Result<(), StoreError> {
        for key in keys {
            if let Some(queue) = store.read(|tx| QUEUES.get(tx, key))? {
                self.measure(store, &queue)?;
            }
        }
        Ok(())
    }

    async fn tend(&self, store: &Arc<Store>) -> Result<(), StoreError> {
        for (_, queue) in store.read(|tx| model::all(tx, ""))? {
            while expire(store, &queue).await? == EXPIRED_MESSAGES {}
            self.measure(store, &queue)?;
        }
        let now = now_ms();
        store.commit(move |tx| forget_deleted(tx, now)).await
    }
}

/// Takes out messages that are older than the queue keeps them; tells how many.
pub(super) async fn expire(store: &Arc<Store>, queue: &Queue) -> Result<usize, StoreError> {
    let before = now_ms() - i64::from(queue.number("MessageRetentionPeriod")) * 1000;
    let id = queue.id.clone();
    if store.read(|tx| model::sent_before(tx, &id, before, 1))?.is_empty() {
        return Ok(0);
    }
    store
        .commit(move |tx| {
            let expired = model::sent_before(tx, &id, before, EXPIRED_MESSAGES)?;
            for (place, message) in &expired {
                model::remove(tx, &id, place, message)?;
            }
            Ok(expired.len())
        })
        .await
}
