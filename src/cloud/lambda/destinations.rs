//! What becomes of an asynchronous event that is done: a record for the destinations of the function's
//! configuration, the event itself for the older dead-letter queue; both sent with the rights of the function's role.
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html>

use std::collections::BTreeMap;

use redb::WriteTransaction;
use serde_json::{Value, json};

use super::{model::Function, rest::invalid, settings::not_here};
use crate::cloud::{
    delivery::{Attribute, Exchange, Message, Sender},
    error::ApiError,
    meter::{Datum, Meter},
};

/// Longest error message in a dead letter, in bytes.
const ERROR_MESSAGE_BYTES: usize = 1024;

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Success,
    RetriesExhausted,
    EventAgeExceeded,
}

impl Condition {
    fn name(self) -> &'static str {
        match self {
            Condition::Success => "Success",
            Condition::RetriesExhausted => "RetriesExhausted",
            Condition::EventAgeExceeded => "EventAgeExceeded",
        }
    }
}

/// An event that is done, and all that is told of it.
pub(super) struct Ended<'a> {
    pub function: &'a Function,
    pub request_id: &'a str,
    pub condition: Condition,
    /// How often the function was invoked.
    pub invocations: u32,
    pub request: &'a str,
    /// The last answer, if there was one in hand.
    pub response: Option<&'a [u8]>,
}

/// A message that goes out in the transaction that ends its event.
#[derive(Debug, Clone)]
pub(super) struct Parting {
    target: String,
    message: Message,
    /// The metric that counts its failure.
    failure: &'static str,
}

/// JSON as it is, or as text when it is none.
fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into())
}

impl Ended<'_> {
    /// The invocation record.
    fn record(&self) -> Value {
        let mut record = json!({
            "version": "1.0",
            "timestamp": format!("{:.3}", jiff::Timestamp::now()),
            "requestContext": {
                "requestId": self.request_id,
                "functionArn": format!("{}:$LATEST", self.function.arn()),
                "condition": self.condition.name(),
                "approximateInvokeCount": self.invocations,
            },
            "requestPayload": json_of(self.request.as_bytes()),
        });
        if let Some(response) = self.response {
            record["responseContext"] = json!({ "statusCode": 200, "executedVersion": "$LATEST" });
            if self.condition != Condition::Success {
                record["responseContext"]["functionError"] = "Unhandled".into();
            }
            record["responsePayload"] = json_of(response);
        }
        record
    }

    /// The record for the destination `target`.
    pub(super) fn to_destination(&self, target: &str) -> Parting {
        let record = self.record();
        let body = if target.starts_with("arn:aws:events:") {
            let outcome = if self.condition == Condition::Success { "Success" } else { "Failure" };
            json!({
                "source": "lambda",
                "detail-type": format!("Lambda Function Invocation Result - {outcome}"),
                "resources": [format!("{}:$LATEST", self.function.arn()), target],
                "detail": record,
            })
        } else {
            record
        };
        let message = Message::text(body.to_string());
        Parting { target: target.to_owned(), message, failure: "DestinationDeliveryFailures" }
    }

    /// The event for the dead-letter queue `target`.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq>
    pub(super) fn to_dead_letters(&self, target: &str) -> Parting {
        let error = self.response.map(json_of).and_then(|error| Some(error.get("errorMessage")?.as_str()?.to_owned()));
        let mut error = error.unwrap_or_else(|| self.condition.name().to_owned());
        error.truncate(error.floor_char_boundary(ERROR_MESSAGE_BYTES));
        let attribute = |data_type: &str, value: String| Attribute { data_type: data_type.into(), value };
        let mut attributes = BTreeMap::from([
            ("RequestID".to_owned(), attribute("String", self.request_id.to_owned())),
            ("ErrorCode".to_owned(), attribute("Number", "200".to_owned())),
        ]);
        if !error.is_empty() {
            attributes.insert("ErrorMessage".to_owned(), attribute("String", error));
        }
        let message = Message { attributes, ..Message::text(self.request) };
        Parting { target: target.to_owned(), message, failure: "DeadLetterErrors" }
    }
}

/// Sends these as part of `tx`. What a target refuses is counted and dropped, as on AWS; gives the counts' names.
pub(super) fn send(
    tx: &WriteTransaction,
    exchange: &Exchange,
    role: &str,
    partings: &[Parting],
) -> Result<Vec<&'static str>, ApiError> {
    let sender = Sender::Role { arn: role.to_owned() };
    let mut failures = Vec::new();
    for Parting { target, message, failure } in partings {
        match exchange.send(tx, target, &sender, message) {
            Ok(()) => {}
            Err(error) if error.status.is_server_error() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, target, "the record of an asynchronous event was refused");
                failures.push(*failure);
            }
        }
    }
    Ok(failures)
}

/// Counts a failure of a function's.
pub(super) fn count(meter: &Meter, function: &Function, name: &str) {
    meter.record(Datum {
        region: function.region.clone(),
        namespace: "AWS/Lambda".to_owned(),
        name: name.to_owned(),
        dimensions: vec![("FunctionName".to_owned(), function.name.clone())],
        value: 1.0,
        unit: "Count",
        timestamp: jiff::Timestamp::now().as_millisecond(),
    });
}

/// Refuses a target that is not there or that the function's role may not send to.
pub(super) fn check(tx: &WriteTransaction, exchange: &Exchange, role: &str, target: &str) -> Result<(), ApiError> {
    let action = match target.split(':').nth(2) {
        Some("sqs") => "SendMessage",
        Some("sns") => "Publish",
        Some("lambda") => "InvokeFunction",
        Some("events") => "PutEvents",
        Some("s3") => return Err(not_here("destinations in S3")),
        _ => return Err(invalid(format!("The destination ARN {target} is invalid."))),
    };
    match exchange.would_accept(tx, target, &Sender::Role { arn: role.to_owned() }) {
        Ok(true) => return Ok(()),
        Err(error) if error.status.is_server_error() => return Err(error),
        Ok(false) | Err(_) => {}
    }
    Err(invalid(format!(
        "The destination {target} does not exist, or the function's execution role does not have permissions to call \
         {action} on it"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::lambda::model::{Code, LogFormat, Settings};

    fn function() -> Function {
        Function {
            name: "f".into(),
            region: "eu-west-1".into(),
            tags: BTreeMap::new(),
            settings: Settings {
                role: "arn:aws:iam::000000000000:role/f".into(),
                runtime: "provided.al2023".into(),
                handler: "h".into(),
                description: String::new(),
                timeout_seconds: 3,
                memory_mb: 128,
                ephemeral_storage_mb: 512,
                variables: None,
                log_format: LogFormat::Text,
                log_group: "/aws/lambda/f".into(),
                dead_letters: None,
            },
            code: Code { sha256: String::new(), size: 0 },
            architecture: "x86_64".into(),
            last_modified: 0,
            revision: String::new(),
        }
    }

    #[test]
    fn the_record_tells_the_request_how_it_ended_and_the_last_answer() {
        let function = function();
        let ended = Ended {
            function: &function,
            request_id: "r",
            condition: Condition::RetriesExhausted,
            invocations: 3,
            request: r#"{"a":1}"#,
            response: Some(br#"{"errorMessage":"no"}"#),
        };
        let record: Value = serde_json::from_str(&ended.to_destination("arn:aws:sqs:r:0:q").message.body).unwrap();
        assert_eq!(record["requestContext"]["condition"], "RetriesExhausted");
        assert_eq!(record["requestContext"]["approximateInvokeCount"], 3);
        assert_eq!(
            (&record["requestPayload"]["a"], &record["responsePayload"]["errorMessage"]),
            (&json!(1), &json!("no"))
        );
        assert_eq!(record["responseContext"]["functionError"], "Unhandled");
        let bus = ended.to_destination("arn:aws:events:r:0:event-bus/b").message.body;
        let event: Value = serde_json::from_str(&bus).unwrap();
        assert_eq!(event["detail-type"], "Lambda Function Invocation Result - Failure");
        let dead = ended.to_dead_letters("arn:aws:sqs:r:0:q").message;
        assert_eq!((dead.body.as_str(), dead.attributes["ErrorMessage"].value.as_str()), (r#"{"a":1}"#, "no"));
    }
}
