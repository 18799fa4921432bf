//! What is on its way: written in the transaction that publishes, taken out in the one that delivers, tried again
//! as the delivery policies say, over restarts.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html>

use std::{sync::Arc, time::Duration};

use redb::WriteTransaction;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    mail::{Mail, Post},
    model::{now_ms, region_of, topic_name},
    subscriptions::forget_unconfirmed,
};
use crate::cloud::{
    delivery::{Exchange, Message, Sender},
    error::ApiError,
    meter::{Datum, Meter},
    store::{Step, Store, StoreError, Table, Transaction},
};

/// Messages to queues and functions.
pub(super) const DELIVERIES: Line<Delivery> = Line(Table::new("sns.deliveries"));
/// Mails.
pub(super) const MAILS: Line<Mail> = Line(Table::new("sns.mails"));

/// Deliveries made in one transaction, and mails looked up in one step.
const PAGE: usize = 64;
/// How often subscriptions that nobody confirmed are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(60 * 60);
/// The principal that resource policies name.
const PRINCIPAL: &str = "sns.amazonaws.com";
/// Pause after the store failed.
const FAULT_PAUSE: Duration = Duration::from_secs(5);

/// When a delivery is tried again: phases of so many tries, each after so many seconds.
struct Retries(&'static [(u32, u64)]);

/// Queues and functions: at once, then each second, then a longer time, then 20 s for 23 days.
const SERVICE_RETRIES: Retries = Retries(&[(3, 0), (2, 1), (3, 2), (3, 5), (4, 10), (100_000, 20)]);
/// Mail: twice after 10 s, ten times up to 10 minutes, then every 10 minutes for six hours.
const MAIL_RETRIES: Retries = Retries(&[(2, 10), (3, 30), (3, 120), (4, 300), (38, 600)]);

impl Retries {
    /// The pause after this many failed tries; `None` when there is no further one.
    fn pause(&self, failed: u32) -> Option<Duration> {
        let mut before = 0;
        self.0.iter().find_map(|(tries, seconds)| {
            before += tries;
            (failed <= before).then(|| Duration::from_secs(*seconds))
        })
    }
}

/// Something that waits, and how often it was tried.
#[derive(Serialize, Deserialize)]
struct Waiting<P> {
    parcel: P,
    failed: u32,
}

/// Parcels in the order of their time.
pub(super) struct Line<P>(Table<Waiting<P>>);

impl<P: Serialize + DeserializeOwned + Clone> Line<P> {
    /// Hands a parcel over as part of `tx`; [`Outbox::wake`] after the commit.
    pub(super) fn add(&self, tx: &WriteTransaction, parcel: &P) -> Result<(), StoreError> {
        self.put(tx, now_ms(), Waiting { parcel: parcel.clone(), failed: 0 })
    }

    fn put(&self, tx: &WriteTransaction, due: i64, waiting: Waiting<P>) -> Result<(), StoreError> {
        // Transactions that write come one after the other, so the clock keeps their order.
        let order = jiff::Timestamp::now().as_nanosecond();
        self.0.put(tx, &format!("{due:013}/{order:020}/{}", uuid::Uuid::new_v4()), &waiting)
    }

    fn due(&self, tx: &impl Transaction, now: i64) -> Result<Vec<(String, Waiting<P>)>, StoreError> {
        let page = self.0.scan(tx, "", None, PAGE)?;
        Ok(page.into_iter().take_while(|(key, _)| due_of(key) <= now).collect())
    }

    fn next_due(&self, tx: &impl Transaction) -> Result<Option<i64>, StoreError> {
        let mut next = None;
        self.0.walk::<StoreError>(tx, "", |key, _| {
            next = Some(due_of(key));
            Ok(Step::Stop)
        })?;
        Ok(next)
    }
}

fn due_of(key: &str) -> i64 {
    key.split('/').next().and_then(|due| due.parse().ok()).unwrap_or(0)
}

/// A message to a queue or a function.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Delivery {
    pub topic: String,
    /// ARN of the queue or the function.
    pub endpoint: String,
    pub message: Message,
    pub dead: Option<DeadLetter>,
}

/// Where a message goes that cannot be delivered, and as what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DeadLetter {
    pub queue: String,
    pub message: Message,
}

/// Drives what waits.
pub(super) struct Outbox {
    pub store: Arc<Store>,
    pub exchange: Arc<Exchange>,
    pub meter: Meter,
    pub post: Post,
    pub stop: CancellationToken,
    services: Notify,
    mails: Notify,
}

impl Outbox {
    pub(super) fn new(
        store: Arc<Store>,
        exchange: Arc<Exchange>,
        meter: Meter,
        post: Post,
        stop: CancellationToken,
    ) -> Arc<Outbox> {
        let (services, mails) = (Notify::new(), Notify::new());
        Arc::new(Outbox { store, exchange, meter, post, stop, services, mails })
    }

    /// Tells that a commit may have left something to deliver.
    pub(super) fn wake(&self) {
        self.services.notify_one();
        self.mails.notify_one();
    }

    pub(super) fn record(&self, topic: &str, name: &str, value: f64, unit: &'static str) {
        self.meter.record(Datum {
            region: region_of(topic).to_owned(),
            namespace: "AWS/SNS".to_owned(),
            name: name.to_owned(),
            dimensions: vec![("TopicName".to_owned(), topic_name(topic).to_owned())],
            value,
            unit,
            timestamp: now_ms(),
        });
    }

    /// Delivers to queues and functions until the cloud stops.
    pub(super) async fn run_services(self: Arc<Self>) {
        loop {
            match self.deliver_due().await {
                Ok(true) => {}
                Ok(false) => {
                    let next = self.store.read(|tx| DELIVERIES.next_due(tx)).unwrap_or_default();
                    if !self.pause(&self.services, next).await {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "notifications could not be delivered; they are tried again");
                    if !self.pause(&self.services, Some(now_ms() + FAULT_PAUSE.as_millis() as i64)).await {
                        return;
                    }
                }
            }
        }
    }

    /// Sends mail until the cloud stops.
    pub(super) async fn run_mails(self: Arc<Self>) {
        loop {
            let page = self.store.read(|tx| MAILS.due(tx, now_ms()));
            let page = page.unwrap_or_else(|error| {
                tracing::error!(%error, "the mails that wait could not be read");
                Vec::new()
            });
            for (key, waiting) in &page {
                if self.stop.is_cancelled() {
                    return;
                }
                if let Err(error) = self.send_mail(key, waiting).await {
                    tracing::error!(%error, "what became of a mail could not be written; it is sent again");
                    tokio::time::sleep(FAULT_PAUSE).await;
                }
            }
            if page.is_empty() {
                let next = self.store.read(|tx| MAILS.next_due(tx)).unwrap_or_default();
                if !self.pause(&self.mails, next).await {
                    return;
                }
            }
        }
    }

    /// Forgets subscriptions that were not confirmed in time, until the cloud stops.
    pub(super) async fn run_forgetting(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(FORGET_EVERY);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let now = now_ms();
            if let Err(error) = self.store.commit(move |tx| forget_unconfirmed(tx, now)).await {
                tracing::error!(%error, "subscriptions that were not confirmed could not be removed");
            }
        }
    }

    /// Waits for news or for the time `next`; `false` when the cloud stops.
    async fn pause(&self, news: &Notify, next: Option<i64>) -> bool {
        let until = next.map(|next| Duration::from_millis((next - now_ms()).max(0).unsigned_abs()));
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = news.notified() => true,
            () = tokio::time::sleep(until.unwrap_or_default()), if until.is_some() => true,
        }
    }

    /// One step; tells whether there was something to do.
    async fn deliver_due(self: &Arc<Self>) -> Result<bool, ApiError> {
        let page = self.store.read(|tx| DELIVERIES.due(tx, now_ms()))?;
        if page.is_empty() {
            return Ok(false);
        }
        let keys: Vec<_> = page.into_iter().map(|(key, _)| key).collect();
        if self.deliver(keys.clone()).await.is_ok() {
            return Ok(true);
        }
        // Something failed that is not the receiver's fault: one by one, so that it holds up nothing else.
        for key in keys {
            if let Err(error) = self.deliver(vec![key.clone()]).await {
                tracing::warn!(%error, "a notification is tried again later");
                self.store.commit(move |tx| postpone(tx, &key)).await?;
            }
        }
        Ok(true)
    }

    /// Delivers these in one transaction.
    async fn deliver(self: &Arc<Self>, keys: Vec<String>) -> Result<(), ApiError> {
        let exchange = Arc::clone(&self.exchange);
        let outcomes = self
            .store
            .commit(move |tx| {
                let mut outcomes = Vec::with_capacity(keys.len());
                for key in keys {
                    let Some(Waiting { parcel, .. }) = DELIVERIES.0.get(tx, &key)? else { continue };
                    DELIVERIES.0.delete(tx, &key)?;
                    let sender = Sender::service(PRINCIPAL, &parcel.topic);
                    match exchange.send(tx, &parcel.endpoint, &sender, &parcel.message) {
                        Ok(()) => outcomes.push((parcel.topic, true)),
                        Err(error) if error.status.is_server_error() => return Err(error),
                        Err(error) => {
                            // What the receiver refuses, it refuses again.
                            tracing::warn!(%error, endpoint = parcel.endpoint, "a notification was refused");
                            bury(tx, &exchange, &parcel.topic, parcel.dead)?;
                            outcomes.push((parcel.topic, false));
                        }
                    }
                }
                Ok::<_, ApiError>(outcomes)
            })
            .await?;
        self.exchange.wake();
        for (topic, delivered) in outcomes {
            self.tell(&topic, delivered);
        }
        Ok(())
    }

    fn tell(&self, topic: &str, delivered: bool) {
        let name = if delivered { "NumberOfNotificationsDelivered" } else { "NumberOfNotificationsFailed" };
        self.record(topic, name, 1.0, "Count");
    }

    /// One try to send a mail.
    async fn send_mail(&self, key: &str, waiting: &Waiting<Mail>) -> Result<(), ApiError> {
        let (mail, failed) = (&waiting.parcel, waiting.failed + 1);
        let sent = self.post.send(mail).await;
        let pause = match &sent {
            Err(refusal) if refusal.temporary => MAIL_RETRIES.pause(failed),
            _ => None,
        };
        let (key, parcel, exchange) = (key.to_owned(), mail.clone(), Arc::clone(&self.exchange));
        let given_up = sent.is_err() && pause.is_none();
        if let Err(refusal) = &sent {
            tracing::warn!(to = mail.to, reason = refusal.reason, again = pause.is_some(), "a mail was not sent");
        }
        self.store
            .commit(move |tx| {
                MAILS.0.delete(tx, &key)?;
                if let Some(pause) = pause {
                    MAILS.put(tx, now_ms() + pause.as_millis() as i64, Waiting { parcel, failed })?;
                } else if given_up {
                    bury(tx, &exchange, &parcel.topic, parcel.dead)?;
                }
                Ok::<_, ApiError>(())
            })
            .await?;
        if given_up {
            self.exchange.wake();
        }
        if mail.counted && pause.is_none() {
            self.tell(&mail.topic, sent.is_ok());
        }
        Ok(())
    }
}

fn postpone(tx: &WriteTransaction, key: &str) -> Result<(), ApiError> {
    let Some(mut waiting) = DELIVERIES.0.get(tx, key)? else { return Ok(()) };
    DELIVERIES.0.delete(tx, key)?;
    waiting.failed += 1;
    match SERVICE_RETRIES.pause(waiting.failed) {
        Some(pause) => DELIVERIES.put(tx, now_ms() + pause.as_millis() as i64, waiting)?,
        None => tracing::error!(endpoint = waiting.parcel.endpoint, "a notification is given up after all its tries"),
    }
    Ok(())
}

/// Sends what cannot be delivered to the subscription's dead-letter queue.
/// <https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html>
fn bury(tx: &WriteTransaction, exchange: &Exchange, topic: &str, dead: Option<DeadLetter>) -> Result<(), ApiError> {
    let Some(DeadLetter { queue, message }) = dead else { return Ok(()) };
    match exchange.send(tx, &queue, &Sender::service(PRINCIPAL, topic), &message) {
        Err(error) if error.status.is_server_error() => Err(error),
        Err(error) => {
            tracing::warn!(%error, queue, "the dead-letter queue of a subscription refused a message");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_is_tried_fifty_times_over_more_than_six_hours() {
        let pauses: Vec<_> = (1..).map_while(|failed| MAIL_RETRIES.pause(failed)).collect();
        assert_eq!(pauses.len(), 50);
        assert_eq!(pauses[0], Duration::from_secs(10));
        assert!(pauses.iter().sum::<Duration>() > Duration::from_secs(6 * 60 * 60));
    }

    #[test]
    fn services_are_tried_at_once_and_then_for_days() {
        assert_eq!(SERVICE_RETRIES.pause(1), Some(Duration::ZERO));
        assert_eq!(SERVICE_RETRIES.pause(4), Some(Duration::from_secs(1)));
        assert_eq!(SERVICE_RETRIES.pause(100_015), Some(Duration::from_secs(20)));
        assert_eq!(SERVICE_RETRIES.pause(100_016), None);
    }
}
