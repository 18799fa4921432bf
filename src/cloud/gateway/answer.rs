//! How an error is written in each wire protocol, as AWS's own clients parse it.

use http::{HeaderMap, Response, StatusCode, header::CONTENT_TYPE};
use quick_xml::escape::escape;
use s3s::Body;

use crate::cloud::{error::ApiError, service::Protocol};

/// A way of writing errors: the services' protocols, and S3's own XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `<Error>` documents without a wrapper. <https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>
    S3,
    /// `<ErrorResponse>` documents. <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>
    Query,
    /// `__type` in the body. <https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>
    Json11,
    /// The same, with its own media type. <https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html>
    Json10,
    /// `__type` in a CBOR map. <https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>
    RpcV2Cbor,
    /// `x-amzn-errortype` header. <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html>
    RestJson,
}

impl From<Protocol> for Dialect {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Query => Dialect::Query,
            Protocol::Json10 => Dialect::Json10,
            Protocol::Json11 => Dialect::Json11,
            Protocol::RpcV2Cbor => Dialect::RpcV2Cbor,
            Protocol::RestJson => Dialect::RestJson,
        }
    }
}

impl Dialect {
    /// The dialect that a request seems to speak, for answers given before its service is known.
    pub fn sniff(headers: &HeaderMap) -> Self {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if headers.get("smithy-protocol").is_some_and(|protocol| protocol == "rpc-v2-cbor") {
            Dialect::RpcV2Cbor
        } else if content_type.starts_with("application/x-amz-json-1.0") {
            Dialect::Json10
        } else if headers.contains_key("x-amz-target") {
            Dialect::Json11
        } else if content_type.starts_with("application/x-www-form-urlencoded") {
            Dialect::Query
        } else if content_type.starts_with("application/json") {
            Dialect::RestJson
        } else {
            Dialect::S3
        }
    }

    /// Writes `error` as this dialect's clients expect it.
    pub fn error(self, error: &ApiError, request_id: &str) -> Response<Body> {
        let ApiError { status, code, message } = error;
        let fault = if status.is_server_error() { "Receiver" } else { "Sender" };
        let (content_type, body) = match self {
            Dialect::S3 => (
                "application/xml",
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{}</Code><Message>{}</Message>\
                     <RequestId>{request_id}</RequestId></Error>",
                    escape(code.as_str()),
                    escape(message.as_str()),
                ),
            ),
            Dialect::Query => (
                "text/xml",
                format!(
                    "<ErrorResponse><Error><Type>{fault}</Type><Code>{}</Code><Message>{}</Message></Error>\
                     <RequestId>{request_id}</RequestId></ErrorResponse>",
                    escape(code.as_str()),
                    escape(message.as_str()),
                ),
            ),
            Dialect::Json10 | Dialect::Json11 => (
                if self == Dialect::Json10 { "application/x-amz-json-1.0" } else { "application/x-amz-json-1.1" },
                serde_json::json!({ "__type": code, "message": message, "Message": message }).to_string(),
            ),
            Dialect::RpcV2Cbor => return cbor_error(error),
            // Clients look for `message` in either spelling; Lambda's model says `Type` and `Message`.
            Dialect::RestJson => (
                "application/json",
                serde_json::json!({ "Type": fault_type(fault), "Message": message, "message": message }).to_string(),
            ),
        };
        let mut response = Response::builder().status(*status).header(CONTENT_TYPE, content_type);
        if matches!(self, Dialect::Json10 | Dialect::Json11 | Dialect::RestJson) {
            response = response.header("x-amzn-errortype", code);
        }
        response.body(Body::from(body)).unwrap_or_else(|_| {
            let mut plain = Response::new(Body::empty());
            *plain.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            plain
        })
    }
}

fn cbor_error(error: &ApiError) -> Response<Body> {
    let text = |text: &str| ciborium::Value::Text(text.to_owned());
    let map = ciborium::Value::Map(vec![
        (text("__type"), text(&error.code)),
        (text("message"), text(&error.message)),
        (text("Message"), text(&error.message)),
    ]);
    let mut body = Vec::new();
    let written = ciborium::into_writer(&map, &mut body);
    let response = Response::builder()
        .status(error.status)
        .header(CONTENT_TYPE, "application/cbor")
        .header("smithy-protocol", "rpc-v2-cbor")
        .body(Body::from(body));
    match (written, response) {
        (Ok(()), Ok(response)) => response,
        _ => {
            let mut plain = Response::new(Body::empty());
            *plain.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            plain
        }
    }
}

/// Lambda spells the fault `User` or `Service`.
fn fault_type(fault: &str) -> &'static str {
    if fault == "Receiver" { "Service" } else { "User" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(dialect: Dialect) -> (Response<Body>, String) {
        let error = ApiError::client("InvalidThing", "a < b & c");
        let mut response = dialect.error(&error, "id-1");
        let bytes = response.body_mut().take_bytes().unwrap();
        (response, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn xml_errors_escape_what_they_say() {
        let (_, text) = body(Dialect::Query);
        assert_eq!(
            text,
            "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidThing</Code><Message>a &lt; b &amp; c</Message>\
             </Error><RequestId>id-1</RequestId></ErrorResponse>"
        );
        assert!(body(Dialect::S3).1.contains("<Error><Code>InvalidThing</Code>"));
    }

    #[test]
    fn json_errors_name_their_type_in_header_and_body() {
        let (response, text) = body(Dialect::Json11);
        assert_eq!(response.headers()["x-amzn-errortype"], "InvalidThing");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["__type"], "InvalidThing");
        let (response, text) = body(Dialect::RestJson);
        assert_eq!(response.headers()["x-amzn-errortype"], "InvalidThing");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((value["Type"].as_str(), value["Message"].as_str()), (Some("User"), Some("a < b & c")));
    }
}
