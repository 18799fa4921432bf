//! Deliveries that are due: written in the transaction of the event that causes them, sent by [`dispatch`], retried
//! as the target's policy says, and given to its dead-letter queue when all that has failed.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-event-delivery.html>

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use jiff::Timestamp;
use redb::WriteTransaction;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    Core,
    event::{Event, iso},
    matching::CompiledRule,
    model::{DeadLetterConfig, PRINCIPAL, RetryPolicy, RuleName, SqsParameters, Target},
    tally::Tally,
    transform::Given,
};
use crate::cloud::{
    delivery::{Attribute, Message, Sender},
    error::ApiError,
    store::{Step, Store, StoreError, Table},
};

/// By the time that they are due and a sequence.
const OUTBOX: Table<Delivery> = Table::new("events.outbox");

/// Deliveries sent in one transaction.
const BATCH: usize = 64;
/// Bytes of deliveries read for one transaction.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// "By default, EventBridge retries sending the event for 24 hours and up to 185 times."
const DEFAULT_RETRIES: i64 = 185;
/// The same, in seconds.
const DEFAULT_AGE: i64 = 24 * 3600;
/// Pause after a fault of the store.
const FAULT_PAUSE: Duration = Duration::from_secs(1);
/// Longest message of an error that goes to a dead-letter queue, in letters.
const ERROR_LETTERS: usize = 1024;

/// An event on its way to a target.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Delivery {
    rule: RuleName,
    target: String,
    role_arn: Option<String>,
    group: Option<String>,
    dead_letters: Option<String>,
    policy: RetryPolicy,
    event: String,
    /// What the target is given when it is not the event.
    body: Option<String>,
    /// Milliseconds since 1970.
    ingested: i64,
    retries: u32,
}

/// Delays between tries: exponential, with jitter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    pub first: Duration,
    pub most: Duration,
}

impl Default for Backoff {
    /// 185 retries take about a day.
    fn default() -> Self {
        Backoff { first: Duration::from_secs(1), most: Duration::from_secs(600) }
    }
}

impl Backoff {
    /// Half of the delay is for sure, the other half by chance.
    fn delay(&self, retries: u32) -> i64 {
        let delay = self.first.saturating_mul(1 << retries.min(16)).min(self.most);
        let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let chance = uuid::Uuid::new_v4().as_u64_pair().1 % (delay / 2 + 1);
        i64::try_from(delay - chance).unwrap_or(i64::MAX)
    }
}

/// Keys for the deliveries, and the way to wake who sends them.
pub(super) struct Outbox {
    sequence: AtomicU64,
    pub wake: Notify,
}

impl Outbox {
    pub fn open(store: &Store) -> Result<Outbox, StoreError> {
        // The clock keeps the order over restarts; where it was set back, what is stored does.
        let mut last = 0;
        store.read::<_, StoreError>(|tx| {
            OUTBOX.walk(tx, "", |key, _| {
                last = last.max(key.split_once('/').and_then(|(_, sequence)| sequence.parse().ok()).unwrap_or(0));
                Ok::<_, StoreError>(Step::Next)
            })
        })?;
        let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(0);
        Ok(Outbox { sequence: AtomicU64::new(now.max(last + 1)), wake: Notify::new() })
    }

    /// Transactions that write come one after the other, so keys grow in order of commit.
    fn key(&self, due: i64) -> String {
        format!("{:020}/{:020}", due.max(0), self.sequence.fetch_add(1, Ordering::Relaxed))
    }
}

/// Why a transaction of deliveries is given up.
enum Fault {
    /// The cloud's own.
    Internal(ApiError),
    /// A target failed after it may have written something: the deliveries are tried one by one.
    Torn,
    /// A target failed so alone.
    Failed(Box<(String, Delivery, ApiError)>),
    /// A dead-letter queue did.
    Stuck(Box<(String, Delivery, ApiError)>),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Internal(error.into())
    }
}

impl Core {
    /// Makes a delivery to each target of a rule that `event` triggers.
    pub fn trigger(
        &self,
        tx: &WriteTransaction,
        event: &Event,
        rule: &CompiledRule,
        tally: &mut Tally,
    ) -> Result<(), ApiError> {
        tally.of(&rule.name).triggered += 1;
        let ingestion_time = iso(Timestamp::from_millisecond(event.ingested).unwrap_or_default());
        let given = Given {
            event: &event.value,
            rule_arn: &rule.arn,
            rule_name: &rule.name.name,
            ingestion_time: &ingestion_time,
        };
        for (target, input) in &rule.targets {
            let body = input.render(&given);
            let delivery = Delivery::new(&rule.name, target, event, body);
            OUTBOX.put(tx, &self.outbox.key(event.ingested), &delivery)?;
        }
        Ok(())
    }

    /// When the next delivery is due, in milliseconds since 1970.
    pub fn next_due(&self) -> Result<Option<i64>, StoreError> {
        let mut due = None;
        self.store.read::<_, StoreError>(|tx| {
            OUTBOX.walk(tx, "", |key, _| {
                due = due_of(key);
                Ok::<_, StoreError>(Step::Stop)
            })
        })?;
        Ok(due)
    }

    /// Deliveries that are not done.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        self.store.read(|tx| OUTBOX.scan(tx, "", None, usize::MAX)).unwrap().len()
    }

    /// Sends up to `limit` deliveries that are due.
    fn send(&self, tx: &WriteTransaction, now: i64, limit: usize) -> Result<Tally, Fault> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        OUTBOX.walk(tx, "", |key, entry| {
            if batch.len() == limit || bytes > BATCH_BYTES || due_of(key).is_none_or(|due| due > now) {
                return Ok(Step::Stop);
            }
            let delivery = entry.value()?;
            bytes += delivery.event.len() + delivery.body.as_ref().map_or(0, String::len);
            batch.push((key.to_owned(), delivery));
            Ok::<_, Fault>(Step::Next)
        })?;
        let (mut tally, alone) = (Tally::default(), batch.len() == 1);
        for (key, delivery) in batch {
            let sent = match delivery.invalid() {
                Some(error) => Err(error),
                None => self.exchange.send(tx, &delivery.target, &delivery.sender(), &delivery.message()),
            };
            match sent {
                Ok(()) => {
                    tally.of(&delivery.rule).invocations += 1;
                    OUTBOX.delete(tx, &key)?;
                }
                Err(error) if error.status.is_server_error() && alone => {
                    return Err(Fault::Failed(Box::new((key, delivery, error))));
                }
                Err(error) if error.status.is_server_error() => return Err(Fault::Torn),
                Err(error) => self.failed(tx, now, (key, delivery, error), &mut tally, alone)?,
            }
        }
        Ok(tally)
    }

    /// Puts off a delivery that has failed, or gives it up.
    fn failed(
        &self,
        tx: &WriteTransaction,
        now: i64,
        (key, mut delivery, error): (String, Delivery, ApiError),
        tally: &mut Tally,
        alone: bool,
    ) -> Result<(), Fault> {
        let code = error_code(&error);
        // "For errors that result from missing permissions to a target, or a target resource that no longer exists,
        // no retry attempts will happen."
        let retried = matches!(code, "THROTTLING" | "ERROR_FROM_TARGET");
        let due = now.saturating_add(self.backoff.delay(delivery.retries));
        let retries = delivery.policy.maximum_retry_attempts.unwrap_or(DEFAULT_RETRIES);
        let age = delivery.policy.maximum_event_age_in_seconds.unwrap_or(DEFAULT_AGE);
        let exhausted = match retried {
            true if i64::from(delivery.retries) >= retries => Some("MaximumRetryAttempts"),
            true if due - delivery.ingested > age.saturating_mul(1000) => Some("MaximumEventAgeInSeconds"),
            _ => None,
        };
        OUTBOX.delete(tx, &key)?;
        if retried && exhausted.is_none() {
            delivery.retries += 1;
            return Ok(OUTBOX.put(tx, &self.outbox.key(due), &delivery)?);
        }
        tracing::warn!(rule = delivery.rule.key(), target = delivery.target, %error, "an event is not delivered");
        tally.of(&delivery.rule).invocations += 1;
        tally.of(&delivery.rule).failed += 1;
        let Some(queue) = &delivery.dead_letters else { return Ok(()) };
        let sender = Sender::service(PRINCIPAL, delivery.rule.arn());
        match self.exchange.send(tx, queue, &sender, &delivery.dead_letter(code, &error, exhausted)) {
            Ok(()) => tally.of(&delivery.rule).to_dead_letters += 1,
            Err(fault) if fault.status.is_server_error() && alone => {
                return Err(Fault::Stuck(Box::new((key, delivery, fault))));
            }
            Err(fault) if fault.status.is_server_error() => return Err(Fault::Torn),
            Err(fault) => {
                tracing::warn!(rule = delivery.rule.key(), queue, error = %fault, "an event is lost: its dead-letter queue does not take it");
                tally.of(&delivery.rule).dead_letters_failed += 1;
            }
        }
        Ok(())
    }

    /// Keeps a delivery as it is for the longest delay.
    fn put_off(&self, tx: &WriteTransaction, now: i64, key: &str, delivery: &Delivery) -> Result<Tally, Fault> {
        OUTBOX.delete(tx, key)?;
        let due = now.saturating_add(i64::try_from(self.backoff.most.as_millis()).unwrap_or(i64::MAX));
        OUTBOX.put(tx, &self.outbox.key(due), delivery)?;
        Ok(Tally::default())
    }

    /// One transaction of deliveries; tells how many of the next ones have to be sent alone.
    async fn round(self: &Arc<Self>, alone: usize) -> usize {
        let (now, limit) = (self.clock.now_ms(), if alone > 0 { 1 } else { BATCH });
        let core = Arc::clone(self);
        let mut sent = self.store.commit(move |tx| core.send(tx, now, limit)).await;
        if let Err(Fault::Failed(failed)) = sent {
            let core = Arc::clone(self);
            let body = move |tx: &WriteTransaction| {
                let mut tally = Tally::default();
                core.failed(tx, now, *failed, &mut tally, true).map(|()| tally)
            };
            sent = self.store.commit(body).await;
        }
        if let Err(Fault::Stuck(stuck)) = sent {
            let core = Arc::clone(self);
            let (key, delivery, error) = *stuck;
            tracing::warn!(queue = delivery.dead_letters, %error, "a dead-letter queue failed; it is tried again");
            sent = self.store.commit(move |tx| core.put_off(tx, now, &key, &delivery)).await;
        }
        match sent {
            Ok(tally) => {
                tally.record(&self.meter, now);
                self.exchange.wake();
                alone.saturating_sub(1)
            }
            Err(Fault::Torn) => BATCH,
            Err(Fault::Internal(error)) => {
                tracing::error!(%error, "deliveries could not be written; they are tried again");
                tokio::time::sleep(FAULT_PAUSE).await;
                alone
            }
            // Dealt with above.
            Err(Fault::Failed(_) | Fault::Stuck(_)) => alone,
        }
    }
}

/// Sends deliveries as they are due until `stop`, beginning with those that an earlier cloud has left.
pub(super) async fn dispatch(core: Arc<Core>, stop: CancellationToken) {
    let mut alone = 0;
    loop {
        let due = match core.next_due() {
            Ok(due) => due.and_then(|due| Timestamp::from_millisecond(due).ok()),
            Err(error) => {
                tracing::error!(%error, "the outbox of events could not be read");
                Timestamp::now().checked_add(FAULT_PAUSE).ok()
            }
        };
        if due.is_some_and(|due| due <= core.clock.now()) && !stop.is_cancelled() {
            alone = core.round(alone).await;
            continue;
        }
        let wait = async {
            match due {
                Some(due) => core.clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = core.outbox.wake.notified() => {}
            () = wait => {}
        }
    }
}

fn due_of(key: &str) -> Option<i64> {
    key.split_once('/')?.0.parse().ok()
}

impl Delivery {
    fn new(rule: &RuleName, target: &Target, event: &Event, body: Option<String>) -> Delivery {
        let group = |parameters: &SqsParameters| parameters.message_group_id.clone();
        let queue = |config: &DeadLetterConfig| config.arn.clone();
        Delivery {
            rule: rule.clone(),
            target: target.arn.clone(),
            role_arn: target.role_arn.clone(),
            group: target.sqs_parameters.as_ref().and_then(group),
            dead_letters: target.dead_letter_config.as_ref().and_then(queue),
            policy: target.retry_policy.unwrap_or_default(),
            event: event.text.clone(),
            body,
            ingested: event.ingested,
            retries: 0,
        }
    }

    fn service(&self) -> &str {
        self.target.split(':').nth(2).unwrap_or_default()
    }

    /// Lambda, SQS and SNS let EventBridge in by their resources' policies; a bus lets in the target's role.
    /// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html>
    fn sender(&self) -> Sender {
        match &self.role_arn {
            Some(arn) if self.service() == "events" => Sender::Role { arn: arn.clone() },
            _ => Sender::service(PRINCIPAL, self.rule.arn()),
        }
    }

    fn message(&self) -> Message {
        let body = self.body.as_ref().unwrap_or(&self.event).clone();
        Message { body, group: self.group.clone(), ..Message::default() }
    }

    /// A template's values are not escaped, so that what it makes may not be JSON; functions take nothing else.
    fn invalid(&self) -> Option<ApiError> {
        let body = self.body.as_ref().filter(|_| self.service() == "lambda")?;
        let error = serde_json::from_str::<IgnoredAny>(body).err()?;
        Some(ApiError::client(INVALID_JSON, format!("the target's input is no JSON: {error}")))
    }

    /// What the dead-letter queue gets: the event, and what went wrong.
    /// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-event-delivery.html#eb-rule-dlq>
    fn dead_letter(&self, code: &str, error: &ApiError, exhausted: Option<&str>) -> Message {
        let attribute = |data_type: &str, value: String| Attribute { data_type: data_type.to_owned(), value };
        let text = |value: &str| attribute("String", value.chars().take(ERROR_LETTERS).collect());
        let mut attributes = BTreeMap::from([
            ("RULE_ARN".to_owned(), text(&self.rule.arn())),
            ("TARGET_ARN".to_owned(), text(&self.target)),
            ("ERROR_CODE".to_owned(), text(code)),
            ("ERROR_MESSAGE".to_owned(), text(&error.message)),
            ("RETRY_ATTEMPTS".to_owned(), attribute("Number", self.retries.to_string())),
        ]);
        if let Some(condition) = exhausted {
            attributes.insert("EXHAUSTED_RETRY_CONDITION".to_owned(), text(condition));
        }
        Message { body: self.event.clone(), attributes, ..Message::default() }
    }
}

const INVALID_JSON: &str = "INVALID_JSON";

/// EventBridge's word for a target's refusal.
fn error_code(error: &ApiError) -> &'static str {
    let names = |parts: &[&str]| parts.iter().any(|part| error.code.contains(part));
    match error.status {
        _ if error.code == INVALID_JSON => INVALID_JSON,
        StatusCode::TOO_MANY_REQUESTS => "THROTTLING",
        _ if names(&["Throttl", "TooManyRequests", "OverLimit", "RequestLimitExceeded", "SlowDown"]) => "THROTTLING",
        status if status.is_server_error() => "ERROR_FROM_TARGET",
        StatusCode::NOT_FOUND => "NO_RESOURCE",
        _ if names(&["NotFound", "NonExistent", "DoesNotExist", "NoSuch"]) => "NO_RESOURCE",
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => "NO_PERMISSIONS",
        _ if names(&["AccessDenied", "NotAuthorized", "AuthorizationError"]) => "NO_PERMISSIONS",
        _ => "INVALID_PARAMETER",
    }
}
