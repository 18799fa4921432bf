//! An event as rules see it. <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, value::RawValue};

use crate::cloud::{error::ApiError, service::ACCOUNT_ID};

/// An event on a bus.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub region: String,
    pub bus: String,
    pub id: String,
    pub value: Value,
    /// The same, as it is delivered: numbers of the detail keep their spelling.
    pub text: String,
    /// When it came, in milliseconds since 1970.
    pub ingested: i64,
}

/// What whoever puts an event says of it.
pub(super) struct Draft<'a> {
    /// A new one when it has none.
    pub id: Option<String>,
    pub source: &'a str,
    pub detail_type: &'a str,
    pub time: Option<Timestamp>,
    pub resources: &'a [String],
    /// A JSON object.
    pub detail: &'a RawValue,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Written<'a> {
    version: &'static str,
    id: &'a str,
    detail_type: &'a str,
    source: &'a str,
    account: &'static str,
    time: String,
    region: &'a str,
    resources: &'a [String],
    detail: &'a RawValue,
}

impl Event {
    pub fn new(region: &str, bus: &str, draft: Draft<'_>, now: Timestamp) -> Result<Event, ApiError> {
        let id = draft.id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        let written = Written {
            version: "0",
            id: &id,
            detail_type: draft.detail_type,
            source: draft.source,
            account: ACCOUNT_ID,
            time: iso(draft.time.unwrap_or(now)),
            region,
            resources: draft.resources,
            detail: draft.detail,
        };
        let text = serde_json::to_string(&written).map_err(ApiError::internal)?;
        let value = serde_json::from_str(&text).map_err(ApiError::internal)?;
        Ok(Event { region: region.to_owned(), bus: bus.to_owned(), id, value, text, ingested: now.as_millisecond() })
    }
}

/// ISO 8601 in whole seconds.
pub(super) fn iso(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
