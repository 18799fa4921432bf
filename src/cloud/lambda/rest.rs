//! The REST JSON protocol's parts: segments of the path, query parameters, answers, refusals.

use std::borrow::Cow;

use bytes::Bytes;
use http::{Response, StatusCode, header::CONTENT_TYPE};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::cloud::{error::ApiError, service::Call};

/// The path's segments, decoded.
pub(super) fn segments(path: &str) -> Result<Vec<String>, ApiError> {
    let decode = |segment: &str| percent_decode_str(segment).decode_utf8().map(Cow::into_owned);
    path.split('/')
        .filter(|segment| !segment.is_empty())
        .map(decode)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid("the path is not UTF-8"))
}

/// All values of a query parameter.
pub(super) fn queries<'a>(call: &'a Call, name: &'a str) -> impl Iterator<Item = String> + 'a {
    form_urlencoded::parse(call.uri.query().unwrap_or_default().as_bytes())
        .filter(move |(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// The first value of a query parameter.
pub(super) fn query(call: &Call, name: &str) -> Option<String> {
    queries(call, name).next()
}

/// A page's size from the query parameter `MaxItems`.
pub(super) fn max_items(call: &Call, most: usize) -> Result<usize, ApiError> {
    match query(call, "MaxItems") {
        None => Ok(most),
        Some(text) => match text.parse::<usize>() {
            Ok(items) if items >= 1 => Ok(items.min(most)),
            _ => Err(invalid(format!("Value '{text}' at 'maxItems' has to be a number from 1 on"))),
        },
    }
}

/// A header's text.
pub(super) fn header<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    call.headers.get(name).and_then(|value| value.to_str().ok())
}

/// An answer with a document.
pub(super) fn answer(status: StatusCode, body: &impl Serialize) -> Result<Response<Bytes>, ApiError> {
    let body = serde_json::to_vec(body).map_err(ApiError::internal)?;
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .body(body.into())
        .map_err(ApiError::internal)
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Result<Response<Bytes>, ApiError> {
    Response::builder().status(status).body(Bytes::new()).map_err(ApiError::internal)
}

pub(super) fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidParameterValueException", message)
}

/// A member that does not keep to its shape.
pub(super) fn constraint(message: impl std::fmt::Display) -> ApiError {
    ApiError::client("ValidationException", format!("1 validation error detected: {message}"))
}

pub(super) fn not_found(message: impl Into<String>) -> ApiError {
    ApiError::with_status(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
}

pub(super) fn conflict(message: impl Into<String>) -> ApiError {
    ApiError::with_status(StatusCode::CONFLICT, "ResourceConflictException", message)
}

/// AWS's answer to a `RevisionId` that is not the latest.
pub(super) fn check_revision(given: Option<&str>, latest: &str) -> Result<(), ApiError> {
    match given {
        Some(given) if given != latest => Err(ApiError::with_status(
            StatusCode::PRECONDITION_FAILED,
            "PreconditionFailedException",
            "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to \
             retrieve the latest Revision Id",
        )),
        _ => Ok(()),
    }
}
