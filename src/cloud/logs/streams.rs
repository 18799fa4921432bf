//! Log streams: creation, deletion, listing by name or by last event.

use bytes::Bytes;
use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Logs,
    groups::nothing,
    model::{
        EVENTS, PAGE_ENTRIES, STREAMS, Stream, below, check_stream_name, find_group, find_stream, group_of_identifier,
        invalid, page_size, stream_key,
    },
};
use crate::cloud::{
    error::ApiError,
    json,
    service::{ACCOUNT_ID, Call},
    store::Transaction,
};

/// Streams that are looked at together while ordering by last event.
const SCAN_STREAMS: usize = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StreamNamed {
    log_group_name: String,
    log_stream_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeLogStreams {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name_prefix: Option<String>,
    #[serde(default)]
    order_by: Order,
    #[serde(default)]
    descending: bool,
    next_token: Option<String>,
    limit: Option<i64>,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
enum Order {
    #[default]
    LogStreamName,
    LastEventTime,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StreamView {
    log_stream_name: String,
    creation_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_event_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_event_timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_ingestion_time: Option<i64>,
    upload_sequence_token: &'static str,
    arn: String,
    stored_bytes: u64,
}

impl StreamView {
    fn new(region: &str, group: &str, stream: Stream) -> StreamView {
        StreamView {
            arn: format!("arn:aws:logs:{region}:{ACCOUNT_ID}:log-group:{group}:log-stream:{}", stream.name),
            log_stream_name: stream.name,
            creation_time: stream.created,
            first_event_timestamp: stream.first_event,
            last_event_timestamp: stream.last_event,
            last_ingestion_time: stream.last_ingestion,
            upload_sequence_token: "0",
            stored_bytes: 0, // AWS has told zero for streams since 2019
        }
    }
}

impl Logs {
    pub(super) async fn create_stream(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let input: StreamNamed = json::input(call)?;
        check_stream_name(&input.log_stream_name)?;
        let region = call.region.clone();
        self.store
            .commit(move |tx| {
                find_group(tx, &region, &input.log_group_name)?;
                let key = stream_key(&region, &input.log_group_name, &input.log_stream_name);
                if STREAMS.get(tx, &key)?.is_some() {
                    return Err(ApiError::client(
                        "ResourceAlreadyExistsException",
                        "The specified log stream already exists",
                    ));
                }
                Ok(STREAMS.put(tx, &key, &Stream::new(&input.log_stream_name))?)
            })
            .await?;
        nothing()
    }

    pub(super) async fn delete_stream(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let input: StreamNamed = json::input(call)?;
        let region = call.region.clone();
        self.store
            .commit(move |tx| {
                find_stream(tx, &region, &input.log_group_name, &input.log_stream_name)?;
                let key = stream_key(&region, &input.log_group_name, &input.log_stream_name);
                let (from, before) = below(&key);
                EVENTS.delete_range(tx, &from, &before)?;
                STREAMS.delete(tx, &key)?;
                Ok::<_, ApiError>(())
            })
            .await?;
        nothing()
    }

    pub(super) fn describe_streams(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let input: DescribeLogStreams = json::input(call)?;
        let group = requested_group(input.log_group_name.as_deref(), input.log_group_identifier.as_deref())?;
        let limit = page_size(input.limit, PAGE_ENTRIES)?;
        let by_time = input.order_by == Order::LastEventTime;
        if by_time && input.log_stream_name_prefix.is_some() {
            return Err(invalid("Cannot order by LastEventTime with a logStreamNamePrefix."));
        }
        let (page, next) = self.store.read::<_, ApiError>(|tx| {
            find_group(tx, &call.region, group)?;
            if by_time {
                by_last_event(tx, &call.region, group, &input, limit)
            } else {
                by_name(tx, &call.region, group, &input, limit)
            }
        })?;
        let views: Vec<_> = page.into_iter().map(|stream| StreamView::new(&call.region, group, stream)).collect();
        let mut body = json!({ "logStreams": views });
        if let Some(next) = next {
            body["nextToken"] = next.into();
        }
        json::output(&body)
    }
}

type Page = (Vec<Stream>, Option<String>);

fn by_name(
    tx: &impl Transaction,
    region: &str,
    group: &str,
    input: &DescribeLogStreams,
    limit: usize,
) -> Result<Page, ApiError> {
    let prefix = stream_key(region, group, input.log_stream_name_prefix.as_deref().unwrap_or_default());
    let edge = input.next_token.as_ref().map(|name| stream_key(region, group, name));
    let mut page = if input.descending {
        let past = format!("{prefix}{}", char::MAX);
        STREAMS.scan_back(tx, &prefix, edge.as_deref().unwrap_or(&past), limit + 1)?
    } else {
        STREAMS.scan(tx, &prefix, edge.as_deref(), limit + 1)?
    };
    let more = page.len() > limit;
    page.truncate(limit);
    let streams: Vec<Stream> = page.into_iter().map(|(_, stream)| stream).collect();
    let next = if more { streams.last().map(|stream| stream.name.clone()) } else { None };
    Ok((streams, next))
}

/// Streams do not lie in this order, so one page is the best `limit` of all of them beyond the last page's edge.
fn by_last_event(
    tx: &impl Transaction,
    region: &str,
    group: &str,
    input: &DescribeLogStreams,
    limit: usize,
) -> Result<Page, ApiError> {
    let edge = match &input.next_token {
        None => None,
        Some(token) => {
            let (time, name) = token.split_once(':').ok_or_else(bad_token)?;
            Some((time.parse::<i64>().map_err(|_| bad_token())?, name.to_owned()))
        }
    };
    let rank = |stream: &Stream| (stream.last_event.unwrap_or(stream.created), stream.name.clone());
    let prefix = stream_key(region, group, "");
    let mut best: Vec<Stream> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = STREAMS.scan(tx, &prefix, after.as_deref(), SCAN_STREAMS)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        best.extend(page.into_iter().map(|(_, stream)| stream).filter(|stream| match &edge {
            None => true,
            Some(edge) if input.descending => rank(stream) < *edge,
            Some(edge) => rank(stream) > *edge,
        }));
        best.sort_by_cached_key(rank);
        if input.descending {
            best.reverse();
        }
        best.truncate(limit + 1);
    }
    let more = best.len() > limit;
    best.truncate(limit);
    let next = if more { best.last().map(rank).map(|(time, name)| format!("{time}:{name}")) } else { None };
    Ok((best, next))
}

/// The group that a request names in one of its two ways.
pub(super) fn requested_group<'a>(name: Option<&'a str>, identifier: Option<&'a str>) -> Result<&'a str, ApiError> {
    match (name, identifier) {
        (Some(name), None) => Ok(name),
        (None, Some(identifier)) => group_of_identifier(identifier),
        _ => Err(invalid("Exactly one of logGroupName and logGroupIdentifier has to be given.")),
    }
}

pub(super) fn bad_token() -> ApiError {
    invalid("The specified nextToken is invalid.")
}
