//! The three wire formats of CloudWatch over one set of operations. Every input becomes JSON whose times are numbers
//! of seconds or ISO texts; every output is JSON whose times are numbers of milliseconds, and leaves in the format
//! that it was asked in.
//!
//! - rpc-v2-cbor (the Rust SDK): <https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>
//! - AWS JSON 1.0 (boto3, `aws`): <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>
//! - query (older clients): <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>

use std::io::Read;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use serde_json::{Map, Value};

use super::{cbor, fault::Fault, form};
use crate::cloud::{
    error::ApiError,
    json,
    query::{self, Namespace, Params},
    service::{Call, Protocol},
};

/// The service's name on the wire.
const SERVICE: &str = "GraniteServiceVersion20100801";
const NAMESPACE: Namespace = Namespace("http://monitoring.amazonaws.com/doc/2010-08-01/");
const VERSION: &str = "2010-08-01";
/// Members that are times, wherever they stand.
const TIMES: [&str; 6] = [
    "Timestamp",
    "Timestamps",
    "AlarmConfigurationUpdatedTimestamp",
    "StateUpdatedTimestamp",
    "StateTransitionedTimestamp",
    "LastModified",
];
/// Most bytes that a compressed body may hold. A request has 1 MB at most.
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html>
const UNPACKED_BYTES: u64 = 1024 * 1024;

/// What is asked.
#[derive(Debug)]
pub(super) struct Request {
    pub operation: String,
    pub input: Value,
}

/// Whether members of that name are times.
pub(super) fn is_time(member: &str) -> bool {
    TIMES.contains(&member)
}

/// The format of a request with these headers.
pub(super) fn protocol(headers: &HeaderMap) -> Protocol {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if headers.get("smithy-protocol").is_some_and(|protocol| protocol == "rpc-v2-cbor") {
        Protocol::RpcV2Cbor
    } else if !headers.contains_key("x-amz-target") && content_type.starts_with("application/x-www-form-urlencoded") {
        Protocol::Query
    } else {
        Protocol::Json10
    }
}

/// Reads a request.
pub(super) fn read(call: &Call) -> Result<Request, ApiError> {
    let operation = |name: &str| name.to_owned();
    let body = unpacked(call)?;
    let (operation, input) = match protocol(&call.headers) {
        Protocol::RpcV2Cbor => {
            let path = call.uri.path().strip_prefix("/service/").and_then(|path| path.split_once("/operation/"));
            let Some((SERVICE, name)) = path else { return Err(unknown(call.uri.path())) };
            (operation(name), cbor::decode(&body)?)
        }
        Protocol::Query => {
            let params = Params::of(call);
            let name = operation(params.action()?);
            (name, form::decode(&body)?)
        }
        _ => {
            let name = operation(json::operation(call)?);
            let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
            let input = serde_json::from_slice(text);
            (name, input.map_err(|error| ApiError::client("SerializationException", error.to_string()))?)
        }
    };
    Ok(Request { operation, input: without_nulls(input) })
}

/// The body, unpacked where the client packed it (the SDKs pack large `PutMetricData` calls).
/// <https://smithy.io/2.0/spec/behavior-traits.html#requestcompression-trait>
fn unpacked(call: &Call) -> Result<Bytes, ApiError> {
    match call.headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(call.body.clone()),
        Some(b"gzip") => {
            let mut body = Vec::new();
            let read = GzDecoder::new(&*call.body).take(UNPACKED_BYTES + 1).read_to_end(&mut body);
            read.map_err(|error| ApiError::client("SerializationException", format!("the body is no gzip: {error}")))?;
            if body.len() as u64 > UNPACKED_BYTES {
                return Err(ApiError::with_status(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "RequestEntityTooLarge",
                    format!("the body has more than {UNPACKED_BYTES} bytes once it is unpacked"),
                ));
            }
            Ok(body.into())
        }
        Some(other) => Err(ApiError::client(
            "SerializationException",
            format!("the content encoding {} is not known; gzip is", String::from_utf8_lossy(other)),
        )),
    }
}

/// A member that is null is one that is not there.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(kept.map(|(name, value)| (name, without_nulls(value))).collect())
        }
        Value::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

/// The refusal of an operation that is not there.
pub(super) fn unknown(operation: &str) -> ApiError {
    json::unknown_operation("CloudWatch", operation)
}

/// The answer to `operation`. Some have no output at all.
pub(super) fn answer(call: &Call, operation: &str, output: Option<Value>) -> Result<Response<Bytes>, ApiError> {
    match protocol(&call.headers) {
        Protocol::Query => query::answer(call, NAMESPACE, operation, output.as_ref().map(form::encode)),
        Protocol::RpcV2Cbor => {
            let mut response = Response::builder().header("smithy-protocol", "rpc-v2-cbor");
            if output.is_some() {
                response = response.header(CONTENT_TYPE, "application/cbor");
            }
            let body = output.as_ref().map(cbor::encode).transpose()?.unwrap_or_default();
            response.body(body.into()).map_err(ApiError::internal)
        }
        _ => {
            let body = output.map(|output| seconds(output, false).to_string()).unwrap_or_default();
            let response = Response::builder().header(CONTENT_TYPE, "application/x-amz-json-1.0");
            response.body(body.into()).map_err(ApiError::internal)
        }
    }
}

/// The answer that says what went wrong. The query protocol's is the gateway's own.
pub(super) fn refuse(call: &Call, fault: Fault) -> Result<Response<Bytes>, ApiError> {
    let Fault { error, shape, members } = fault;
    let protocol = protocol(&call.headers);
    if protocol == Protocol::Query {
        let unknown = error.code == "UnknownOperationException";
        return Err(if unknown {
            let operation = Params::of(call).action().map(str::to_owned).unwrap_or_default();
            query::unknown_action(&operation, VERSION)
        } else {
            error
        });
    }
    let kind = if error.status.is_server_error() { "Receiver" } else { "Sender" };
    let mut body = Map::from_iter([
        ("__type".to_owned(), Value::from(format!("com.amazonaws.cloudwatch#{shape}"))),
        ("message".to_owned(), error.message.clone().into()),
        ("Message".to_owned(), error.message.into()),
    ]);
    body.extend(members.map(|members| *members).unwrap_or_default());
    let response = Response::builder()
        .status(error.status)
        .header("x-amzn-query-error", format!("{};{kind}", error.code))
        .header("x-amzn-errortype", shape);
    let response = match protocol {
        Protocol::RpcV2Cbor => response
            .header("smithy-protocol", "rpc-v2-cbor")
            .header(CONTENT_TYPE, "application/cbor")
            .body(cbor::encode(&Value::Object(body))?.into()),
        _ => response.header(CONTENT_TYPE, "application/x-amz-json-1.0").body(Value::Object(body).to_string().into()),
    };
    response.map_err(ApiError::internal)
}

/// Times as JSON has them: seconds since 1970.
fn seconds(value: Value, is_a_time: bool) -> Value {
    match value {
        Value::Object(members) => {
            let told = members.into_iter().map(|(name, value)| {
                let is_a_time = is_time(&name);
                (name, seconds(value, is_a_time))
            });
            Value::Object(told.collect())
        }
        Value::Array(items) => items.into_iter().map(|item| seconds(item, is_a_time)).collect(),
        Value::Number(number) if is_a_time => match number.as_i64() {
            Some(milliseconds) if milliseconds % 1000 == 0 => Value::from(milliseconds / 1000),
            Some(milliseconds) => Value::from(milliseconds as f64 / 1000.0),
            None => Value::Number(number),
        },
        other => other,
    }
}
