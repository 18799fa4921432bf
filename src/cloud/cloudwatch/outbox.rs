//! What is on its way from CloudWatch to others: written with the change that causes it, handed over until it is
//! taken or refused for good.

use std::{sync::Arc, time::Duration};

use redb::WriteTransaction;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Core, alarm, history};
use crate::cloud::{
    delivery::{Exchange, Message, Sender, ServiceEvent},
    error::ApiError,
    store::{StoreError, Table},
};

/// What is to be handed over, by the time that it is due.
const OUTBOX: Table<Entry> = Table::new("cloudwatch.outbox");

/// Entries handed over in one go.
const BATCH_ENTRIES: usize = 100;
/// Most tries of one entry. With the delays between them that is about a day.
const TRIES: u32 = 150;
/// Pause after the first try that failed by no fault of the target; it doubles with each one, up to the longest.
const RETRY_DELAY: Duration = Duration::from_secs(1);
const RETRY_DELAY_MAX: Duration = Duration::from_secs(600);
/// How long the task waits when the store itself fails.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// One thing to hand over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Outgoing {
    /// An event for the default bus.
    Event { region: String, detail_type: String, resources: Vec<String>, detail: Value },
    /// An action of an alarm.
    Action { region: String, alarm: String, target: String, subject: Option<String>, body: String },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    outgoing: Outgoing,
    tries: u32,
}

fn key(due: i64) -> String {
    format!("{:016}-{}", due.max(0), uuid::Uuid::new_v4().simple())
}

fn due(key: &str) -> i64 {
    key.split('-').next().and_then(|due| due.parse().ok()).unwrap_or_default()
}

/// Puts something into the outbox as part of `tx`.
pub(super) fn put(tx: &WriteTransaction, outgoing: Outgoing, now: i64) -> Result<(), StoreError> {
    OUTBOX.put(tx, &key(now), &Entry { outgoing, tries: 0 })
}

impl Outgoing {
    fn send(&self, tx: &WriteTransaction, exchange: &Exchange) -> Result<(), ApiError> {
        match self {
            Outgoing::Event { region, detail_type, resources, detail } => {
                let (resources, detail) = (resources.clone(), detail.clone());
                exchange.emit(tx, region, ServiceEvent { source: "aws.cloudwatch", detail_type, resources, detail })
            }
            Outgoing::Action { region, alarm, target, subject, body } => {
                let sender = Sender::service(principal(target), alarm::arn(region, alarm));
                let message = Message { body: body.clone(), subject: subject.clone(), ..Message::default() };
                exchange.send(tx, target, &sender, &message)
            }
        }
    }

    /// Remembers in the alarm's history how it went.
    fn note(&self, tx: &WriteTransaction, failure: Option<&str>, now: i64) -> Result<(), StoreError> {
        match self {
            Outgoing::Event { .. } => Ok(()),
            Outgoing::Action { region, alarm, target, .. } => {
                history::action(tx, (region, alarm), target, failure, now)
            }
        }
    }
}

/// In whose name an action is carried out: functions know alarms by a principal of their own.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html>
fn principal(target: &str) -> &'static str {
    if target.starts_with("arn:aws:lambda:") {
        "lambda.alarms.cloudwatch.amazonaws.com"
    } else {
        "cloudwatch.amazonaws.com"
    }
}

/// Hands over until there is nothing more, then waits for [`Core::outgoing`] or for what is due next.
pub(super) async fn run(core: Arc<Core>) {
    loop {
        let wait = match deliver_due(&core).await {
            Ok(Some(next)) => Some(Duration::from_millis((next - core.now()).max(0).unsigned_abs())),
            Ok(None) => None,
            Err(error) => {
                tracing::error!(%error, "what alarms have to tell could not be handed over; it is tried again");
                Some(STORE_PAUSE)
            }
        };
        match wait {
            Some(wait) => tokio::select! {
                () = core.outgoing.notified() => {}
                () = tokio::time::sleep(wait) => {}
            },
            None => core.outgoing.notified().await,
        }
    }
}

/// Hands over what is due; gives the time at which the next entry is.
pub(super) async fn deliver_due(core: &Arc<Core>) -> Result<Option<i64>, StoreError> {
    loop {
        let entries = core.store.read(|tx| OUTBOX.scan(tx, "", None, BATCH_ENTRIES))?;
        let now = core.now();
        let Some((first, _)) = entries.first() else { return Ok(None) };
        if due(first) > now {
            return Ok(Some(due(first)));
        }
        for (key, entry) in entries.into_iter().filter(|(key, _)| due(key) <= now) {
            deliver(core, key, entry, now).await?;
        }
        core.exchange.wake();
    }
}

async fn deliver(core: &Arc<Core>, key: String, entry: Entry, now: i64) -> Result<(), StoreError> {
    let (owner, of, sent) = (Arc::clone(core), key.clone(), entry.outgoing.clone());
    let handed = core.store.commit(move |tx| {
        sent.send(tx, &owner.exchange)?;
        sent.note(tx, None, now)?;
        OUTBOX.delete(tx, &of)?;
        Ok::<_, ApiError>(())
    });
    let Err(error) = handed.await else { return Ok(()) };
    let Entry { outgoing, tries } = entry;
    // A refusal stays one: no such target, or no permission to reach it.
    let again = error.status.is_server_error() && tries + 1 < TRIES;
    if !again {
        tracing::warn!(%error, ?outgoing, "what an alarm had to tell was refused");
    }
    core.store
        .commit(move |tx| {
            OUTBOX.delete(tx, &key)?;
            if again {
                let delay = RETRY_DELAY.saturating_mul(1 << tries.min(16)).min(RETRY_DELAY_MAX);
                let due = now + i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
                return OUTBOX.put(tx, &self::key(due), &Entry { outgoing, tries: tries + 1 });
            }
            outgoing.note(tx, Some(&error.to_string()), now)
        })
        .await
}
