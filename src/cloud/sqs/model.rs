//! What is kept: queues, messages, and when each message may be received next.

use std::collections::BTreeMap;

use redb::WriteTransaction;
use serde::{Deserialize, Serialize};

use super::error::no_queue;
use crate::cloud::{
    delivery::Attribute,
    error::ApiError,
    service::ACCOUNT_ID,
    store::{Step, StoreError, Table, Transaction},
};

/// `region/name` → queue.
pub(super) const QUEUES: Table<Queue> = Table::new("sqs.queues");
/// `region/name` → when a queue of that name was deleted, in milliseconds since 1970.
pub(super) const DELETED: Table<i64> = Table::new("sqs.deleted");
/// `queue id/sent/sequence` → message.
const MESSAGES: Table<Stored> = Table::new("sqs.messages");
/// `queue id/due/sent/sequence` → whether a receiver holds the message until then.
const DUE: Table<bool> = Table::new("sqs.due");
const SEQUENCE: Table<u64> = Table::new("sqs.sequence");
/// Comes after every key that begins with an id and a slash.
const PAST_SLASH: char = '0';

/// A queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Queue {
    pub region: String,
    pub name: String,
    /// Names its messages: a queue made again under the same name has none of the old ones.
    pub id: String,
    /// Milliseconds since 1970.
    pub created: i64,
    pub modified: i64,
    pub purged: Option<i64>,
    /// What was set, by name; what was not has its default.
    pub attributes: BTreeMap<String, String>,
    pub tags: BTreeMap<String, String>,
}

/// Where messages go that were received too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redrive {
    pub target: String,
    pub max_receives: u32,
}

impl Queue {
    pub(super) fn arn(&self) -> String {
        arn(&self.region, &self.name)
    }

    pub(super) fn key(&self) -> String {
        key(&self.region, &self.name)
    }

    pub(super) fn policy(&self) -> Option<String> {
        self.attributes.get("Policy").cloned()
    }
}

pub(super) fn arn(region: &str, name: &str) -> String {
    format!("arn:aws:sqs:{region}:{ACCOUNT_ID}:{name}")
}

pub(super) fn key(region: &str, name: &str) -> String {
    format!("{region}/{name}")
}

/// Key of the queue that an ARN names.
pub(super) fn key_of_arn(arn: &str) -> Option<String> {
    let mut parts = arn.strip_prefix("arn:aws:sqs:")?.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(region), Some(ACCOUNT_ID), Some(name)) => Some(key(region, name)),
        _ => None,
    }
}

/// The queue that an ARN names.
pub(super) fn find_arn(tx: &impl Transaction, arn: &str) -> Result<Queue, ApiError> {
    let key = key_of_arn(arn).ok_or_else(no_queue)?;
    QUEUES.get(tx, &key)?.ok_or_else(no_queue)
}

/// A message in a queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stored {
    pub id: String,
    pub body: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, Attribute>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_header: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Unique id of who sent it.
    pub sender: String,
    /// When it was sent first, in milliseconds since 1970: what its retention counts from, in every queue.
    pub sent: i64,
    /// When it came into this queue.
    pub arrived: i64,
    pub first_received: Option<i64>,
    /// When it was received last.
    pub received: i64,
    pub receives: u32,
    /// When it may be received next.
    pub due: i64,
    /// Says which receive a handle is of.
    pub receipt: String,
    /// The queue that it comes from, in a dead-letter queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

impl Stored {
    /// Whether a receiver holds it now.
    pub(super) fn in_flight(&self, now: i64) -> bool {
        self.receives > 0 && self.due > now
    }
}

/// A message's place in its queue: `sent/sequence`.
pub(super) type Place = String;

fn due_key(queue: &str, due: i64, place: &str) -> String {
    format!("{queue}/{due:013}/{place}")
}

/// Puts a message into the queue `queue` (an id); gives its place.
pub(super) fn insert(tx: &WriteTransaction, queue: &str, message: &Stored) -> Result<Place, StoreError> {
    let sequence = SEQUENCE.get(tx, "")?.unwrap_or(0) + 1;
    SEQUENCE.put(tx, "", &sequence)?;
    let place = format!("{:013}/{sequence:016}", message.sent);
    MESSAGES.put(tx, &format!("{queue}/{place}"), message)?;
    DUE.put(tx, &due_key(queue, message.due, &place), &false)?;
    Ok(place)
}

pub(super) fn get(tx: &impl Transaction, queue: &str, place: &str) -> Result<Option<Stored>, StoreError> {
    MESSAGES.get(tx, &format!("{queue}/{place}"))
}

/// Takes a message out of its queue.
pub(super) fn remove(tx: &WriteTransaction, queue: &str, place: &str, message: &Stored) -> Result<(), StoreError> {
    MESSAGES.delete(tx, &format!("{queue}/{place}"))?;
    DUE.delete(tx, &due_key(queue, message.due, place))?;
    Ok(())
}

/// Writes a message back that is due at another time than before.
pub(super) fn postpone(
    tx: &WriteTransaction,
    queue: &str,
    place: &str,
    message: &mut Stored,
    due: i64,
) -> Result<(), StoreError> {
    DUE.delete(tx, &due_key(queue, message.due, place))?;
    message.due = due;
    DUE.put(tx, &due_key(queue, due, place), &(message.receives > 0))?;
    MESSAGES.put(tx, &format!("{queue}/{place}"), message)
}

/// Places of up to `limit` messages that are due at `now`, the longest due first.
pub(super) fn due(tx: &impl Transaction, queue: &str, now: i64, limit: usize) -> Result<Vec<Place>, StoreError> {
    let mut places = Vec::new();
    let prefix = format!("{queue}/");
    DUE.walk::<StoreError>(tx, &prefix, |key, _| {
        let Some((due, place)) = key.strip_prefix(&prefix).and_then(|rest| rest.split_once('/')) else {
            return Ok(Step::Stop);
        };
        if places.len() == limit || due.parse::<i64>().is_ok_and(|due| due > now) {
            return Ok(Step::Stop);
        }
        places.push(place.to_owned());
        Ok(Step::Next)
    })?;
    Ok(places)
}

/// When the queue's next message is due.
pub(super) fn next_due(tx: &impl Transaction, queue: &str) -> Result<Option<i64>, StoreError> {
    let prefix = format!("{queue}/");
    let mut next = None;
    DUE.walk::<StoreError>(tx, &prefix, |key, _| {
        next = key.strip_prefix(&prefix).and_then(|rest| rest.split('/').next()?.parse().ok());
        Ok(Step::Stop)
    })?;
    Ok(next)
}

/// Takes all messages out of a queue.
pub(super) fn clear(tx: &WriteTransaction, queue: &str) -> Result<(), StoreError> {
    let (from, before) = (format!("{queue}/"), format!("{queue}{PAST_SLASH}"));
    MESSAGES.delete_range(tx, &from, &before)?;
    DUE.delete_range(tx, &from, &before)?;
    Ok(())
}

/// Up to `limit` messages that were sent before `before`, the oldest first.
pub(super) fn sent_before(
    tx: &impl Transaction,
    queue: &str,
    before: i64,
    limit: usize,
) -> Result<Vec<(Place, Stored)>, StoreError> {
    let prefix = format!("{queue}/");
    let page = MESSAGES.scan(tx, &prefix, None, limit)?;
    let old = page.into_iter().take_while(|(_, message)| message.sent < before);
    Ok(old.map(|(key, message)| (key[prefix.len()..].to_owned(), message)).collect())
}

/// How many messages a queue has, by what may be done with them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// May be received.
    pub visible: u64,
    /// Held by a receiver.
    pub in_flight: u64,
    /// Sent with a delay that is not over.
    pub delayed: u64,
}

pub(super) fn count(tx: &impl Transaction, queue: &str, now: i64) -> Result<Counts, StoreError> {
    let mut counts = Counts::default();
    let prefix = format!("{queue}/");
    DUE.walk::<StoreError>(tx, &prefix, |key, held| {
        let Some(due) = key.strip_prefix(&prefix).and_then(|rest| rest.split('/').next()) else {
            return Ok(Step::Stop);
        };
        let place = match due.parse::<i64>() {
            Ok(due) if due <= now => &mut counts.visible,
            _ if held.value()? => &mut counts.in_flight,
            _ => &mut counts.delayed,
        };
        *place += 1;
        Ok(Step::Next)
    })?;
    Ok(counts)
}

/// Every queue of every region.
pub(super) fn all(tx: &impl Transaction, prefix: &str) -> Result<Vec<(String, Queue)>, StoreError> {
    QUEUES.scan(tx, prefix, None, usize::MAX)
}

pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
