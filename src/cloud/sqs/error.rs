//! Errors as SQS gives them: the JSON protocol with the codes of the query protocol that came before it.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html>

use bytes::Bytes;
use http::{Response, header::CONTENT_TYPE};
use serde::Serialize;

use crate::cloud::error::ApiError;

/// Media type of requests and answers.
const CONTENT_TYPE_JSON: &str = "application/x-amz-json-1.0";

/// Shapes of the model, with the codes that clients of the query protocol know them by.
const QUERY_CODES: [(&str, &str); 15] = [
    ("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"),
    ("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong"),
    ("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest"),
    ("InvalidAddress", "InvalidAddress"),
    ("InvalidAttributeName", "InvalidAttributeName"),
    ("InvalidAttributeValue", "InvalidAttributeValue"),
    ("InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId"),
    ("InvalidMessageContents", "InvalidMessageContents"),
    ("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight"),
    ("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress"),
    ("QueueDeletedRecently", "AWS.SimpleQueueService.QueueDeletedRecently"),
    ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue"),
    ("QueueNameExists", "QueueAlreadyExists"),
    ("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"),
    ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation"),
];

/// The answer that carries `value`.
pub(super) fn output<T: Serialize>(value: &T) -> Result<Response<Bytes>, ApiError> {
    let body = serde_json::to_vec(value).map_err(ApiError::internal)?;
    Response::builder().header(CONTENT_TYPE, CONTENT_TYPE_JSON).body(body.into()).map_err(ApiError::internal)
}

/// The error document, with the query protocol's code in a header.
/// <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#aws-protocols-awsquerycompatible-trait>
pub(super) fn document(error: &ApiError) -> Result<Response<Bytes>, ApiError> {
    let ApiError { status, code, message } = error;
    let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
    let known = QUERY_CODES.iter().find(|(shape, _)| shape == code);
    // What the model does not declare has the framework's name.
    let shape = match known {
        Some((shape, _)) => format!("com.amazonaws.sqs#{shape}"),
        None => format!("com.amazon.coral.service#{code}"),
    };
    let query = known.map_or(code.as_str(), |(_, query)| query);
    let body = serde_json::json!({ "__type": shape, "message": message });
    Response::builder()
        .status(*status)
        .header(CONTENT_TYPE, CONTENT_TYPE_JSON)
        .header("x-amzn-query-error", format!("{query};{fault}"))
        .body(body.to_string().into())
        .map_err(ApiError::internal)
}

pub(super) fn no_queue() -> ApiError {
    ApiError::client("QueueDoesNotExist", "The specified queue does not exist.")
}

pub(super) fn missing(parameter: &str) -> ApiError {
    ApiError::client("MissingParameter", format!("The request must contain the parameter {parameter}."))
}

/// AWS's sentence for a parameter out of its range.
pub(super) fn invalid(value: impl std::fmt::Display, parameter: &str, reason: impl std::fmt::Display) -> ApiError {
    ApiError::client(
        "InvalidParameterValue",
        format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}."),
    )
}

pub(super) fn unsupported(what: impl std::fmt::Display) -> ApiError {
    ApiError::client("UnsupportedOperation", format!("the embedded cloud's SQS has no {what}"))
}
