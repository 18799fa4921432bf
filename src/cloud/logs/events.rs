//! `PutLogEvents` and `GetLogEvents`.
//! <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html>

use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Logs, embedded,
    model::{EVENTS, Event, Position, append, below, find_group, find_stream, invalid, now_ms, page_size, stream_key},
    retention,
    streams::{bad_token, requested_group},
};
use crate::cloud::{error::ApiError, json, service::Call, store::Transaction};

/// Most events of one batch or one page.
pub(super) const PAGE_EVENTS: usize = 10_000;
/// Largest page of events, in bytes of messages.
pub(super) const PAGE_BYTES: usize = 1024 * 1024;
/// Largest batch, in bytes, counting [`EVENT_OVERHEAD_BYTES`] for each event.
const BATCH_BYTES: usize = 1_048_576;
const EVENT_OVERHEAD_BYTES: usize = 26;
/// How far in the future an event may lie, in milliseconds.
const FUTURE_MS: i64 = 2 * 60 * 60 * 1000;
/// How old an event may be, in milliseconds.
const PAST_MS: i64 = 14 * 24 * 60 * 60 * 1000;
/// Longest span of one batch, in milliseconds.
const SPAN_MS: i64 = 24 * 60 * 60 * 1000;
/// Events read from the store in one step.
const READ_EVENTS: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PutLogEvents {
    log_group_name: String,
    log_stream_name: String,
    log_events: Vec<InputEvent>,
}

#[derive(Deserialize)]
struct InputEvent {
    timestamp: i64,
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetLogEvents {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name: String,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<i64>,
    #[serde(default)]
    start_from_head: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventView {
    timestamp: i64,
    message: String,
    ingestion_time: i64,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Rejected {
    #[serde(skip_serializing_if = "Option::is_none")]
    too_new_log_event_start_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    too_old_log_event_end_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired_log_event_end_index: Option<usize>,
}

impl Logs {
    pub(super) async fn put_events(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let input: PutLogEvents = json::input(call)?;
        check_batch(&input.log_events)?;
        let (region, meters) = (call.region.clone(), self.meter.is_some());
        let (rejected, data) = self
            .store
            .commit(move |tx| {
                let mut stream = find_stream(tx, &region, &input.log_group_name, &input.log_stream_name)?;
                let mut group = find_group(tx, &region, &input.log_group_name)?;
                let (kept, rejected) = sort_out(input.log_events, group.retention_days);
                let messages = kept.iter().map(|(_, message)| message.as_str());
                let data = if meters { embedded::metrics(&region, &group.name, messages) } else { Vec::new() };
                append(tx, &region, &mut group, &mut stream, kept)?;
                Ok::<_, ApiError>((rejected, data))
            })
            .await?;
        if let Some(meter) = &self.meter {
            data.into_iter().for_each(|datum| meter.record(datum));
        }
        let mut body = json!({ "nextSequenceToken": "0" });
        if let Some(rejected) = rejected {
            body["rejectedLogEventsInfo"] = serde_json::to_value(rejected).map_err(ApiError::internal)?;
        }
        json::output(&body)
    }

    pub(super) fn get_events(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let input: GetLogEvents = json::input(call)?;
        let group = requested_group(input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
        let limit = page_size(input.limit, PAGE_EVENTS)?;
        let window = Window::new(&input)?;
        let page = self.store.read::<_, ApiError>(|tx| {
            find_stream(tx, &call.region, group, &input.log_stream_name)?;
            window.page(tx, &stream_key(&call.region, group, &input.log_stream_name), limit)
        })?;
        let (backward, forward) = match (page.first(), page.last()) {
            (Some((first, _)), Some((last, _))) => (*first, *last),
            _ => window.rest(),
        };
        let events: Vec<_> = page
            .into_iter()
            .map(|(_, Event { timestamp, ingestion, message })| EventView {
                timestamp,
                message,
                ingestion_time: ingestion,
            })
            .collect();
        json::output(&json!({
            "events": events,
            "nextForwardToken": format!("f/{}/s", forward.encode()),
            "nextBackwardToken": format!("b/{}/s", backward.encode()),
        }))
    }
}

fn check_batch(events: &[InputEvent]) -> Result<(), ApiError> {
    if events.is_empty() || events.len() > PAGE_EVENTS {
        return Err(invalid(format!(
            "1 validation error detected: Value at 'logEvents' failed to satisfy constraint: \
             Member must have length between 1 and {PAGE_EVENTS}"
        )));
    }
    if events.iter().any(|event| event.message.is_empty() || event.timestamp < 0) {
        return Err(invalid("Every log event needs a message of one character at least and a timestamp from 0 on."));
    }
    let bytes: usize = events.iter().map(|event| event.message.len() + EVENT_OVERHEAD_BYTES).sum();
    if bytes > BATCH_BYTES {
        return Err(invalid(format!("Upload too large: {bytes} bytes exceeds limit of {BATCH_BYTES}")));
    }
    if events.windows(2).any(|pair| pair[0].timestamp > pair[1].timestamp) {
        return Err(invalid("Log events in a single PutLogEvents request must be in chronological order."));
    }
    if let (Some(first), Some(last)) = (events.first(), events.last())
        && last.timestamp - first.timestamp > SPAN_MS
    {
        return Err(invalid(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
        ));
    }
    Ok(())
}

/// Parts a batch in order of time into what is kept, and AWS's account of what is not.
fn sort_out(events: Vec<InputEvent>, retention_days: Option<i32>) -> (Vec<(i64, String)>, Option<Rejected>) {
    let now = now_ms();
    let expired = retention::cutoff(retention_days, now).unwrap_or(0);
    let count = |edge: i64| events.iter().take_while(|event| event.timestamp < edge).count();
    let (too_old, expired, too_new) = (count(now - PAST_MS), count(expired), count(now + FUTURE_MS + 1));
    let rejected = Rejected {
        too_new_log_event_start_index: (too_new < events.len()).then_some(too_new),
        too_old_log_event_end_index: (too_old > 0).then_some(too_old),
        expired_log_event_end_index: (expired > 0).then_some(expired),
    };
    let any = too_new < events.len() || too_old > 0 || expired > 0;
    let kept = events.into_iter().take(too_new).skip(too_old.max(expired));
    (kept.map(|event| (event.timestamp, event.message)).collect(), any.then_some(rejected))
}

/// What part of a stream a request asks for, and from which end.
struct Window {
    /// First time wanted.
    start: i64,
    /// First time not wanted any more.
    end: i64,
    edge: Edge,
}

enum Edge {
    After(Position),
    Before(Position),
    Head,
    Tail,
}

impl Window {
    fn new(input: &GetLogEvents) -> Result<Window, ApiError> {
        let start = input.start_time.unwrap_or(0).max(0);
        let end = input.end_time.unwrap_or(i64::MAX).max(0);
        let edge = match &input.next_token {
            None if input.start_from_head => Edge::Head,
            None => Edge::Tail,
            Some(token) => {
                let inner = token.strip_suffix("/s").ok_or_else(bad_token)?;
                let (direction, position) = inner.split_once('/').ok_or_else(bad_token)?;
                let position = Position::decode(position).ok_or_else(bad_token)?;
                match direction {
                    "f" => Edge::After(position),
                    "b" => Edge::Before(position),
                    _ => return Err(bad_token()),
                }
            }
        };
        Ok(Window { start, end, edge })
    }

    /// Positions of the tokens of an empty page: both ends stay where they are.
    fn rest(&self) -> (Position, Position) {
        match self.edge {
            Edge::After(at) | Edge::Before(at) => (at, at),
            Edge::Head | Edge::Tail => {
                let at = Position { time: self.start, sequence: 0 };
                (at, at)
            }
        }
    }

    /// The events of one page, in order of time.
    fn page(&self, tx: &impl Transaction, stream: &str, limit: usize) -> Result<Vec<(Position, Event)>, ApiError> {
        let (prefix, past) = below(stream);
        let at = |position: Position| format!("{prefix}{}", position.encode());
        let from = at(Position { time: self.start, sequence: 0 });
        let before = if self.end == i64::MAX { past } else { at(Position { time: self.end, sequence: 0 }) };
        let mut page = Page::new(limit);
        match self.edge {
            Edge::Head | Edge::After(_) => {
                let mut after = match self.edge {
                    Edge::After(position) => from.max(at(position)),
                    _ => from,
                };
                loop {
                    let read = EVENTS.scan(tx, &prefix, Some(&after), READ_EVENTS)?;
                    let Some((last, _)) = read.last() else { break };
                    after = last.clone();
                    if !read.into_iter().all(|(key, event)| key < before && page.take(&key, event)) {
                        break;
                    }
                }
            }
            Edge::Tail | Edge::Before(_) => {
                let mut before = match self.edge {
                    Edge::Before(position) => before.min(at(position)),
                    _ => before,
                };
                loop {
                    let read = EVENTS.scan_back(tx, &from, &before, READ_EVENTS)?;
                    let Some((last, _)) = read.last() else { break };
                    before = last.clone();
                    if !read.into_iter().all(|(key, event)| page.take(&key, event)) {
                        break;
                    }
                }
                page.events.reverse();
            }
        }
        Ok(page.events)
    }
}

/// A page that fills up to its limits; it always takes one event.
struct Page {
    events: Vec<(Position, Event)>,
    bytes: usize,
    limit: usize,
}

impl Page {
    fn new(limit: usize) -> Page {
        Page { events: Vec::new(), bytes: 0, limit }
    }

    /// Whether the event still fitted.
    fn take(&mut self, key: &str, event: Event) -> bool {
        let bytes = self.bytes + event.message.len();
        if self.events.len() == self.limit || (bytes > PAGE_BYTES && !self.events.is_empty()) {
            return false;
        }
        if let Some(position) = Position::of_key(key) {
            self.bytes = bytes;
            self.events.push((position, event));
        }
        true
    }
}
