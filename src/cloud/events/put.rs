//! PutEvents and TestEventPattern.
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    event::{Draft, Event},
    model::{bus_name, constraint_error, invalid},
    pattern::Pattern,
};
use crate::cloud::error::ApiError;

/// Entries of one call.
const ENTRIES: usize = 10;
/// Largest sum of all entries' sizes, in bytes.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size>
pub(super) const ENTRIES_BYTES: usize = 1024 * 1024;
/// What a time counts for in an entry's size, in bytes.
const TIME_BYTES: usize = 14;
/// What every event to test a pattern on has to have.
const MANDATORY: [&str; 7] = ["id", "account", "source", "time", "region", "resources", "detail-type"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutEvents {
    pub entries: Vec<Entry>,
    endpoint_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    time: Option<Value>,
    pub source: Option<String>,
    resources: Option<Vec<String>>,
    pub detail_type: Option<String>,
    detail: Option<String>,
    pub event_bus_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TestEventPattern {
    event_pattern: String,
    event: String,
}

/// What an entry became: an event, or the code and message of its failure.
pub(super) type Outcome = Result<Event, (&'static str, String)>;

/// The events of a call, entry by entry. Only a call as a whole that is too large or has too many is refused.
pub(super) fn events(region: &str, input: PutEvents, now: Timestamp) -> Result<Vec<Outcome>, ApiError> {
    if input.endpoint_id.is_some() {
        return Err(invalid("Parameter EndpointId is not valid. Reason: the embedded cloud has no global endpoints."));
    }
    let constraint = match input.entries.len() {
        0 => Some("Member must have length greater than or equal to 1".to_owned()),
        count if count > ENTRIES => Some(format!("Member must have length less than or equal to {ENTRIES}")),
        _ => None,
    };
    if let Some(constraint) = constraint {
        return Err(constraint_error("entries", &format!("[{} entries]", input.entries.len()), &constraint));
    }
    // "The total entry size must be less than 1 MB."
    if input.entries.iter().map(Entry::bytes).sum::<usize>() >= ENTRIES_BYTES {
        return Err(invalid("Total size of the entries in the request is over the limit."));
    }
    input.entries.into_iter().map(|entry| entry.event(region, now)).collect()
}

impl Entry {
    fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let resources: usize = self.resources.iter().flatten().map(String::len).sum();
        let time = if self.time.is_some() { TIME_BYTES } else { 0 };
        time + text(&self.source) + text(&self.detail_type) + text(&self.detail) + resources
    }

    fn event(self, region: &str, now: Timestamp) -> Result<Outcome, ApiError> {
        let time = match &self.time {
            None | Some(Value::Null) => None,
            Some(time) => Some(timestamp(time)?),
        };
        let required = |member: &'static str, value: Option<String>| {
            value.filter(|value| !value.is_empty()).ok_or_else(|| {
                let message = format!("Parameter {member} is not valid. Reason: {member} is a required argument.");
                ("InvalidArgument", message)
            })
        };
        let parts = || {
            let source = required("Source", self.source)?;
            let detail_type = required("DetailType", self.detail_type)?;
            let detail = required("Detail", self.detail)?;
            if source.starts_with("aws.") {
                return Err(("NotAuthorizedForSourceException", "Not authorized for the source.".to_owned()));
            }
            Ok((source, detail_type, detail))
        };
        let (source, detail_type, detail) = match parts() {
            Ok(parts) => parts,
            Err(failure) => return Ok(Err(failure)),
        };
        let Some(detail) = object(&detail) else {
            return Ok(Err(("MalformedDetail", "Detail is malformed.".to_owned())));
        };
        let draft = Draft {
            id: None,
            source: &source,
            detail_type: &detail_type,
            time,
            resources: self.resources.as_deref().unwrap_or_default(),
            detail: &detail,
        };
        Event::new(region, &bus_name(region, self.event_bus_name.as_deref()), draft, now).map(Ok)
    }
}

/// The text as it is, when it is a JSON object.
pub(super) fn object(text: &str) -> Option<Box<RawValue>> {
    let raw: Box<RawValue> = serde_json::from_str(text).ok()?;
    // What is nested deeper than can be read is no event.
    serde_json::from_str::<serde_json::Map<String, Value>>(raw.get()).ok()?;
    Some(raw)
}

/// A timestamp in JSON 1.1: seconds since 1970.
fn timestamp(value: &Value) -> Result<Timestamp, ApiError> {
    let time = match value {
        Value::Number(seconds) => seconds
            .as_f64()
            .and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok())
            .and_then(|since| Timestamp::from_duration(since).ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    time.ok_or_else(|| ApiError::client("SerializationException", format!("{value} is no timestamp")))
}

/// The answer to a call with these outcomes.
pub(super) fn answer(outcomes: Vec<Result<String, (&'static str, String)>>) -> Value {
    let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    let entry = |outcome| match outcome {
        Ok(id) => json!({ "EventId": id }),
        Err((code, message)) => json!({ "ErrorCode": code, "ErrorMessage": message }),
    };
    let entries: Vec<Value> = outcomes.into_iter().map(entry).collect();
    json!({ "FailedEntryCount": failed, "Entries": entries })
}

/// <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_TestEventPattern.html>
pub(super) fn test(input: &TestEventPattern) -> Result<Value, ApiError> {
    let pattern = Pattern::parse(&input.event_pattern)
        .map_err(|error| ApiError::client("InvalidEventPatternException", error.to_string()))?;
    let event: Value = serde_json::from_str(&input.event).unwrap_or_default();
    if MANDATORY.iter().any(|name| event.get(*name).is_none()) {
        return Err(invalid("Parameter Event is not valid."));
    }
    Ok(json!({ "Result": pattern.matches(&event) }))
}
