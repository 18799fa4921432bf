//! What is kept of groups, streams and events, and how their keys sort.
//!
//! Neither a region, a group's name nor a stream's name may hold a colon, so it parts the keys:
//! `region:group`, `region:group:stream`, `region:group:stream:time:sequence`.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use redb::WriteTransaction;
use serde::{Deserialize, Serialize};

use crate::cloud::{
    error::ApiError,
    service::ACCOUNT_ID,
    store::{StoreError, Table, Transaction},
};

pub(super) const GROUPS: Table<Group> = Table::new("logs.groups");
pub(super) const STREAMS: Table<Stream> = Table::new("logs.streams");
pub(super) const EVENTS: Table<Event> = Table::new("logs.events");

/// Longest name of a group or stream, in characters.
const NAME_CHARACTERS: usize = 512;
/// Most entries of one page of groups or streams, which is also what a page holds when nothing is asked.
pub(super) const PAGE_ENTRIES: usize = 50;

/// A log group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Group {
    pub name: String,
    pub region: String,
    /// Milliseconds since 1970, as every time of this service.
    pub created: i64,
    pub retention_days: Option<i32>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    #[serde(default)]
    pub stored_bytes: u64,
}

/// A log stream.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stream {
    pub name: String,
    pub created: i64,
    pub first_event: Option<i64>,
    pub last_event: Option<i64>,
    pub last_ingestion: Option<i64>,
}

/// A log event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Event {
    #[serde(rename = "t")]
    pub timestamp: i64,
    #[serde(rename = "i")]
    pub ingestion: i64,
    #[serde(rename = "m")]
    pub message: String,
}

impl Group {
    pub(super) fn new(region: &str, name: &str) -> Group {
        Group {
            name: name.into(),
            region: region.into(),
            created: now_ms(),
            retention_days: None,
            tags: BTreeMap::new(),
            stored_bytes: 0,
        }
    }

    pub(super) fn key(&self) -> String {
        group_key(&self.region, &self.name)
    }

    pub(super) fn arn(&self) -> String {
        format!("arn:aws:logs:{}:{ACCOUNT_ID}:log-group:{}", self.region, self.name)
    }
}

impl Stream {
    pub(super) fn new(name: &str) -> Stream {
        Stream { name: name.into(), created: now_ms(), first_event: None, last_event: None, last_ingestion: None }
    }
}

/// Where an event stands within its stream; unique in the whole store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub time: i64,
    pub sequence: u64,
}

impl Position {
    /// The position of a new event at `time`.
    pub(super) fn next(time: i64) -> Position {
        static SEQUENCE: AtomicU64 = AtomicU64::new(0);
        // Beginning with the clock keeps the sequence growing over restarts.
        let nanoseconds = u64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(0);
        let last = SEQUENCE.fetch_max(nanoseconds, Ordering::Relaxed);
        let sequence = if last < nanoseconds { nanoseconds } else { SEQUENCE.fetch_add(1, Ordering::Relaxed) + 1 };
        Position { time, sequence }
    }

    pub(super) fn encode(self) -> String {
        format!("{:016}:{:020}", self.time, self.sequence)
    }

    pub(super) fn decode(text: &str) -> Option<Position> {
        let (time, sequence) = text.split_once(':')?;
        Some(Position { time: time.parse().ok()?, sequence: sequence.parse().ok()? })
    }

    /// The position that an event's key ends with.
    pub(super) fn of_key(key: &str) -> Option<Position> {
        let split = key.len().checked_sub(16 + 1 + 20)?;
        Position::decode(key.get(split..)?)
    }
}

pub(super) fn group_key(region: &str, group: &str) -> String {
    format!("{region}:{group}")
}

pub(super) fn stream_key(region: &str, group: &str, stream: &str) -> String {
    format!("{region}:{group}:{stream}")
}

/// First key past everything that lies below `key` (`;` follows `:`).
pub(super) fn below(key: &str) -> (String, String) {
    (format!("{key}:"), format!("{key};"))
}

/// The group, or AWS's refusal.
pub(super) fn find_group(tx: &impl Transaction, region: &str, name: &str) -> Result<Group, ApiError> {
    GROUPS.get(tx, &group_key(region, name))?.ok_or_else(|| missing("The specified log group does not exist."))
}

/// The stream, or AWS's refusal; its group is looked for first.
pub(super) fn find_stream(tx: &impl Transaction, region: &str, group: &str, name: &str) -> Result<Stream, ApiError> {
    find_group(tx, region, group)?;
    STREAMS
        .get(tx, &stream_key(region, group, name))?
        .ok_or_else(|| missing("The specified log stream does not exist."))
}

/// Appends events to a stream that is there. Returns the bytes added.
pub(super) fn append(
    tx: &WriteTransaction,
    region: &str,
    group: &mut Group,
    stream: &mut Stream,
    events: impl IntoIterator<Item = (i64, String)>,
) -> Result<(), StoreError> {
    let key = stream_key(region, &group.name, &stream.name);
    let ingestion = now_ms();
    for (timestamp, message) in events {
        group.stored_bytes += message.len() as u64;
        stream.first_event = Some(stream.first_event.map_or(timestamp, |first| first.min(timestamp)));
        stream.last_event = Some(stream.last_event.map_or(timestamp, |last| last.max(timestamp)));
        let position = Position::next(timestamp);
        EVENTS.put(tx, &format!("{key}:{}", position.encode()), &Event { timestamp, ingestion, message })?;
    }
    stream.last_ingestion = Some(ingestion);
    STREAMS.put(tx, &key, stream)?;
    GROUPS.put(tx, &group.key(), group)
}

pub(super) fn check_group_name(name: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-/#".contains(c);
    if (1..=NAME_CHARACTERS).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(constraint("logGroupName", name, "[\\.\\-_/#A-Za-z0-9]+"))
}

pub(super) fn check_stream_name(name: &str) -> Result<(), ApiError> {
    let characters = name.chars().count();
    if (1..=NAME_CHARACTERS).contains(&characters) && !name.contains([':', '*']) && !name.contains(char::is_control) {
        return Ok(());
    }
    Err(constraint("logStreamName", name, "[^:*]*"))
}

fn constraint(member: &str, value: &str, pattern: &str) -> ApiError {
    invalid(format!(
        "1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: \
         Member must satisfy regular expression pattern: {pattern} and have 1 to {NAME_CHARACTERS} characters"
    ))
}

/// A group named by its name or its ARN, as `logGroupIdentifier` and `resourceArn` do.
pub(super) fn group_of_identifier(identifier: &str) -> Result<&str, ApiError> {
    let Some(rest) = identifier.strip_prefix("arn:") else { return Ok(identifier) };
    rest.split_once(":log-group:")
        .map(|(_, name)| name.strip_suffix(":*").unwrap_or(name))
        .filter(|name| !name.contains(':'))
        .ok_or_else(|| invalid(format!("`{identifier}` is not the ARN of a log group")))
}

/// A page's size as asked for.
pub(super) fn page_size(limit: Option<i64>, most: usize) -> Result<usize, ApiError> {
    match limit.map(usize::try_from) {
        None => Ok(most),
        Some(Ok(limit)) if (1..=most).contains(&limit) => Ok(limit),
        Some(_) => Err(invalid(format!(
            "1 validation error detected: Value '{}' at 'limit' failed to satisfy constraint: \
             Member must have value between 1 and {most}",
            limit.unwrap_or_default()
        ))),
    }
}

pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidParameterException", message)
}

pub(super) fn missing(message: &str) -> ApiError {
    ApiError::client("ResourceNotFoundException", message)
}
