//! The AWS JSON 1.1 protocol: `X-Amz-Target` names the operation, JSON goes both ways.
//! <https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>

use bytes::Bytes;
use http::{Response, header::CONTENT_TYPE};
use serde::{Serialize, de::DeserializeOwned};

use super::{error::ApiError, service::Call};

/// Media type of requests and answers.
pub const CONTENT_TYPE_JSON: &str = "application/x-amz-json-1.1";

/// The operation that `X-Amz-Target` (`AWSGlue.GetTable`) names: what stands after its last dot.
pub fn operation(call: &Call) -> Result<&str, ApiError> {
    call.headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok())
        .and_then(|target| target.rsplit_once('.'))
        .map(|(_, operation)| operation)
        .filter(|operation| !operation.is_empty())
        .ok_or_else(|| {
            ApiError::client(
                "UnknownOperationException",
                "the header X-Amz-Target names no operation (Service.Operation)",
            )
        })
}

/// The refusal of an operation that this service does not have.
pub fn unknown_operation(service: &str, operation: &str) -> ApiError {
    ApiError::client(
        "UnknownOperationException",
        format!("the embedded cloud's {service} has no operation {operation}"),
    )
}

/// The operation's input. An absent body is the empty input.
pub fn input<T: DeserializeOwned>(call: &Call) -> Result<T, ApiError> {
    let body: &[u8] = if call.body.is_empty() { b"{}" } else { &call.body };
    serde_json::from_slice(body).map_err(|error| refusal(&error))
}

/// The input as `value` holds it.
pub fn decode<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, ApiError> {
    serde_json::from_value(value).map_err(|error| refusal(&error))
}

/// The answer that carries `value`.
pub fn output<T: Serialize>(value: &T) -> Result<Response<Bytes>, ApiError> {
    let body = serde_json::to_vec(value).map_err(ApiError::internal)?;
    Response::builder().header(CONTENT_TYPE, CONTENT_TYPE_JSON).body(body.into()).map_err(ApiError::internal)
}

/// A required member that is absent is a matter of validation, everything else one of the document's form.
fn refusal(error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    match text.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
        Some((member, _)) => ApiError::client("ValidationException", must_not_be_null(member)),
        None => ApiError::client("SerializationException", text),
    }
}

/// AWS's sentence for a required member that is absent.
pub fn must_not_be_null(member: &str) -> String {
    format!(
        "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
    )
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, Uri};
    use serde::Deserialize;

    use super::*;
    use crate::cloud::service::Caller;

    fn call(target: Option<&'static str>, body: &'static str) -> Call {
        let mut headers = HeaderMap::new();
        if let Some(target) = target {
            headers.insert("x-amz-target", HeaderValue::from_static(target));
        }
        Call {
            caller: Caller { arn: String::new(), user_id: String::new() },
            region: "eu-west-1".into(),
            request_id: "id".into(),
            method: Method::POST,
            uri: Uri::from_static("/"),
            headers,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "PascalCase")]
    struct Named {
        name: String,
    }

    #[test]
    fn the_operation_stands_after_the_targets_last_dot() {
        assert_eq!(operation(&call(Some("Logs_20140328.PutLogEvents"), "")).unwrap(), "PutLogEvents");
        for target in [None, Some("AWSGlue"), Some("AWSGlue.")] {
            assert_eq!(operation(&call(target, "")).unwrap_err().code, "UnknownOperationException");
        }
    }

    #[test]
    fn a_body_that_is_not_the_input_is_refused_by_what_is_wrong_with_it() {
        let code = |body| input::<Named>(&call(None, body)).unwrap_err().code;
        assert_eq!(code("{\"Name\":"), "SerializationException");
        assert_eq!(code("{\"Name\":1}"), "SerializationException");
        assert_eq!(code("{}"), "ValidationException");
        assert_eq!(code(""), "ValidationException");
        assert_eq!(input::<Named>(&call(None, "{\"Name\":\"a\",\"Other\":1}")).unwrap(), Named { name: "a".into() });
    }
}
