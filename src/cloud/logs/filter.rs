//! `FilterLogEvents`: the events of a group's streams, merged in order of time, that match a pattern.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Logs,
    events::{PAGE_BYTES, PAGE_EVENTS},
    model::{EVENTS, Event, Position, STREAMS, Stream, find_group, invalid, page_size, stream_key},
    pattern::Pattern,
    streams::{bad_token, requested_group},
};
use crate::cloud::{error::ApiError, json, service::Call, store::Transaction};

/// Events looked at by one call; a call that finds little ends with a token, as on AWS.
const SCANNED_EVENTS: usize = 100_000;
/// Events read ahead for each stream of the merge.
const READ_EVENTS: usize = 32;
/// Streams read in one step while looking for those of the time range.
const READ_STREAMS: usize = 1_000;
/// Most streams that a request may name.
const NAMED_STREAMS: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterLogEvents {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_names: Option<Vec<String>>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    #[serde(default)]
    filter_pattern: String,
    next_token: Option<String>,
    limit: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FoundEvent {
    log_stream_name: String,
    timestamp: i64,
    message: String,
    ingestion_time: i64,
    event_id: String,
}

impl Logs {
    pub(super) fn filter_events(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let input: FilterLogEvents = json::input(call)?;
        let group = requested_group(input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
        let limit = page_size(input.limit, PAGE_EVENTS)?;
        let pattern = Pattern::parse(&input.filter_pattern)?;
        if input.log_stream_names.is_some() && input.log_stream_name_prefix.is_some() {
            return Err(invalid("logStreamNames and logStreamNamePrefix are mutually exclusive."));
        }
        if input.log_stream_names.as_ref().is_some_and(|names| names.is_empty() || names.len() > NAMED_STREAMS) {
            return Err(invalid(format!("logStreamNames takes 1 to {NAMED_STREAMS} names.")));
        }
        let start = input.start_time.unwrap_or(0).max(0);
        let end = input.end_time.unwrap_or(i64::MAX);
        let after = match &input.next_token {
            Some(token) => Some(Position::decode(token).ok_or_else(bad_token)?),
            None => None,
        };
        let (found, next) = self.store.read::<_, ApiError>(|tx| {
            find_group(tx, &call.region, group)?;
            let streams = streams_of(tx, &call.region, group, &input, start, end)?;
            let merge = Merge::new(tx, &stream_key(&call.region, group, ""), streams, start, after);
            collect(merge, &pattern, end, limit)
        })?;
        let mut body = json!({ "events": found, "searchedLogStreams": [] });
        if let Some(next) = next {
            body["nextToken"] = next.encode().into();
        }
        json::output(&body)
    }
}

/// The streams asked for that may have events between `start` and `end`.
fn streams_of(
    tx: &impl Transaction,
    region: &str,
    group: &str,
    input: &FilterLogEvents,
    start: i64,
    end: i64,
) -> Result<Vec<Stream>, ApiError> {
    let overlaps = |stream: &Stream| {
        stream.first_event.is_some_and(|first| first <= end) && stream.last_event.is_some_and(|last| last >= start)
    };
    let mut found = Vec::new();
    if let Some(names) = &input.log_stream_names {
        for name in names {
            let stream = STREAMS.get(tx, &stream_key(region, group, name))?.ok_or_else(|| {
                ApiError::client("ResourceNotFoundException", "The specified log stream does not exist.")
            })?;
            found.push(stream);
        }
        found.retain(overlaps);
        return Ok(found);
    }
    let prefix = stream_key(region, group, input.log_stream_name_prefix.as_deref().unwrap_or_default());
    let mut after: Option<String> = None;
    loop {
        let page = STREAMS.scan(tx, &prefix, after.as_deref(), READ_STREAMS)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after = Some(last.clone());
        found.extend(page.into_iter().map(|(_, stream)| stream).filter(overlaps));
    }
}

/// The events of several streams in order of time. A stream is not read before its turn comes.
struct Merge<'a, T> {
    tx: &'a T,
    /// `region:group:`
    prefix: String,
    cursors: Vec<Cursor>,
    /// The next position of each cursor, or a lower bound of it.
    heap: BinaryHeap<Reverse<(Position, usize)>>,
}

struct Cursor {
    stream: String,
    /// Key of the last event read.
    after: String,
    read: VecDeque<(Position, Event)>,
}

impl<'a, T: Transaction> Merge<'a, T> {
    fn new(tx: &'a T, prefix: &str, streams: Vec<Stream>, start: i64, after: Option<Position>) -> Self {
        let mut heap = BinaryHeap::new();
        let mut cursors = Vec::new();
        let first = after.unwrap_or(Position { time: start, sequence: 0 });
        for (number, stream) in streams.into_iter().enumerate() {
            let bound = Position { time: stream.first_event.unwrap_or(start), sequence: 0 }.max(first);
            heap.push(Reverse((bound, number)));
            let after = format!("{prefix}{}:{}", stream.name, first.encode());
            cursors.push(Cursor { stream: stream.name, after, read: VecDeque::new() });
        }
        Merge { tx, prefix: prefix.to_owned(), cursors, heap }
    }

    fn next(&mut self) -> Result<Option<(Position, Event, &str)>, ApiError> {
        while let Some(Reverse((_, number))) = self.heap.pop() {
            let cursor = &mut self.cursors[number];
            if cursor.read.is_empty() {
                let stream = format!("{}{}:", self.prefix, cursor.stream);
                for (key, event) in EVENTS.scan(self.tx, &stream, Some(&cursor.after), READ_EVENTS)? {
                    if let Some(position) = Position::of_key(&key) {
                        cursor.read.push_back((position, event));
                    }
                    cursor.after = key;
                }
                if let Some((position, _)) = cursor.read.front() {
                    self.heap.push(Reverse((*position, number)));
                }
                continue;
            }
            let Some((position, event)) = cursor.read.pop_front() else { continue };
            // With nothing read ahead, the position just taken is a lower bound of the next one.
            let bound = cursor.read.front().map_or(position, |(next, _)| *next);
            self.heap.push(Reverse((bound, number)));
            return Ok(Some((position, event, &self.cursors[number].stream)));
        }
        Ok(None)
    }
}

type Found = (Vec<FoundEvent>, Option<Position>);

fn collect<T: Transaction>(
    mut merge: Merge<'_, T>,
    pattern: &Pattern,
    end: i64,
    limit: usize,
) -> Result<Found, ApiError> {
    let mut found = Vec::new();
    let mut bytes = 0;
    let mut last = None;
    for _ in 0..SCANNED_EVENTS {
        let Some((position, event, stream)) = merge.next()? else { return Ok((found, None)) };
        if event.timestamp > end {
            return Ok((found, None));
        }
        if pattern.matches(&event.message) {
            bytes += event.message.len();
            if found.len() == limit || (bytes > PAGE_BYTES && !found.is_empty()) {
                return Ok((found, last));
            }
            found.push(FoundEvent {
                log_stream_name: stream.to_owned(),
                timestamp: event.timestamp,
                ingestion_time: event.ingestion,
                event_id: format!("{:018}{:020}", position.time, position.sequence),
                message: event.message,
            });
        }
        last = Some(position);
    }
    Ok((found, last))
}
