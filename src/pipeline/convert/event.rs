//! What convert is invoked with.

use serde::Deserialize;
use serde_json::Value;

use crate::pipeline::crawl::CrawlEnd;

/// Source of Glue's events.
const GLUE_SOURCE: &str = "aws.glue";

/// Detail-type of the events of crawlers
/// (<https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-glue.html>).
const CRAWLER_DETAIL_TYPE: &str = "Glue Crawler State Change";

/// Why convert was invoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An object waits: `{"marker": "<key of its pending marker>"}`.
    Marker(String),
    /// A crawl has ended: the event of a rule of EventBridge, whole.
    CrawlEnded(CrawlEnd),
}

/// An event that is neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    r#"convert takes {{"marker": "<key of a pending marker>"}}, or a `Glue Crawler State Change` whose state is Succeeded or Failed; {0}"#
)]
pub struct EventError(String);

#[derive(Deserialize)]
struct MarkerEvent {
    marker: String,
}

#[derive(Deserialize)]
struct CrawlerEvent {
    source: String,
    #[serde(rename = "detail-type")]
    detail_type: String,
    detail: CrawlerDetail,
}

/// What is used of the detail
/// (<https://docs.aws.amazon.com/glue/latest/dg/automating-awsglue-with-cloudwatch-events.html>).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CrawlerDetail {
    crawler_name: String,
    state: String,
    #[serde(default)]
    error_message: Option<String>,
    #[serde(default)]
    message: Option<String>,
}

impl Event {
    /// Reads the payload of an invocation.
    ///
    /// # Errors
    /// When it is no event of convert's.
    pub fn read(payload: &Value) -> Result<Self, EventError> {
        if payload.get("marker").is_some() {
            let event = MarkerEvent::deserialize(payload);
            let MarkerEvent { marker } = event.map_err(|error| EventError(format!("the marker: {error}")))?;
            return Ok(Event::Marker(marker));
        }
        let event = CrawlerEvent::deserialize(payload).map_err(|error| EventError(format!("this is none: {error}")))?;
        let CrawlerEvent { source, detail_type, detail } = event;
        if source != GLUE_SOURCE || detail_type != CRAWLER_DETAIL_TYPE {
            return Err(EventError(format!("this is a `{detail_type}` of {source}")));
        }
        let CrawlerDetail { crawler_name: crawler, state, error_message, message } = detail;
        let failure = match state.as_str() {
            "Succeeded" => None,
            "Failed" => Some(error_message.or(message).unwrap_or_else(|| "the crawler gives no reason".to_owned())),
            other => return Err(EventError(format!("the state of {crawler} is {other}"))),
        };
        Ok(Event::CrawlEnded(CrawlEnd { crawler, failure }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn crawler_event(state: &str) -> Value {
        json!({
            "version": "0", "id": "6a7e8feb", "detail-type": "Glue Crawler State Change", "source": "aws.glue",
            "account": "123456789012", "time": "2025-01-02T03:04:05Z", "region": "eu-west-1", "resources": [],
            "detail": {"crawlerName": "flights", "state": state, "errorMessage": "no access", "accountId": "1"}
        })
    }

    #[test]
    fn a_marker_and_the_two_ends_of_a_crawl_are_understood() {
        let marker = Event::read(&json!({"marker": "_lake/pending/flights/x.json"}));
        assert_eq!(marker, Ok(Event::Marker("_lake/pending/flights/x.json".into())));
        let end = |failure: Option<&str>| {
            Ok(Event::CrawlEnded(CrawlEnd { crawler: "flights".into(), failure: failure.map(str::to_owned) }))
        };
        assert_eq!(Event::read(&crawler_event("Succeeded")), end(None));
        assert_eq!(Event::read(&crawler_event("Failed")), end(Some("no access")));
    }

    #[test]
    fn everything_else_is_refused_and_the_error_says_what_it_was() {
        let refused = |event: Value| Event::read(&event).unwrap_err().to_string();
        assert!(refused(crawler_event("Started")).contains("the state of flights is Started"));
        let mut job = crawler_event("Succeeded");
        job["detail-type"] = json!("Glue Job State Change");
        assert!(refused(job).contains("a `Glue Job State Change` of aws.glue"));
        assert!(refused(json!({"marker": 7})).contains("the marker"));
        assert!(refused(json!({"Records": []})).contains("missing field"));
        assert!(refused(json!({})).contains(r#"{"marker": "#));
    }
}
