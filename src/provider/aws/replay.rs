//! Recorded answers in place of a cloud: what a kind sends is kept, what it gets is fixed.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt;
use serde_json::Value;

use super::Clients;
use crate::{provider::Target, resource::Fields};

/// An answer: status, headers, body.
pub(super) type Answer = (u16, &'static [(&'static str, &'static str)], Vec<u8>);

/// An answer without headers.
pub(super) fn answer(status: u16, body: impl Into<String>) -> Answer {
    (status, &[], body.into().into_bytes())
}

/// What rpc-v2-cbor says its messages are.
const CBOR: &str = "application/cbor";

/// An answer of a service that speaks rpc-v2-cbor.
pub(super) fn cbor(status: u16, body: &Value) -> Answer {
    let mut bytes = Vec::new();
    ciborium::into_writer(body, &mut bytes).unwrap();
    (status, &[("smithy-protocol", "rpc-v2-cbor"), ("content-type", CBOR)], bytes)
}

/// An error of AWS's query protocol.
pub(super) fn query_error(status: u16, code: &str, message: &str) -> Answer {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
    answer(status, format!("<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>"))
}

/// STS's answer about whose credentials these are.
pub(super) fn caller() -> Answer {
    let body = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/u</Arn>\
        <UserId>u</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";
    answer(200, body)
}

/// An AWS JSON or REST JSON error.
pub(super) fn json_error(status: u16, code: &str, message: &str) -> Answer {
    let body = serde_json::json!({ "__type": code, "Type": "User", "message": message, "Message": message });
    // REST JSON services tell the code in a header, the others in the body.
    let header: &'static str = Box::leak(code.to_owned().into_boxed_str());
    let headers = Box::leak(Box::new([("x-amzn-errortype", header)]));
    (status, headers, body.to_string().into_bytes())
}

/// An S3 error.
pub(super) fn s3_error(status: u16, code: &str) -> Answer {
    answer(status, format!("<Error><Code>{code}</Code><Message>m</Message></Error>"))
}

/// A cloud that gives its answers in order.
#[derive(Clone)]
pub(super) struct Replay {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Replay")
    }
}

impl Replay {
    pub(super) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Replay { answers: Arc::new(Mutex::new(answers.into_iter().collect())), requests: Arc::default() }
    }

    pub(super) fn config(&self) -> SdkConfig {
        let connector = SharedHttpConnector::new(self.clone());
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url("http://127.0.0.1:1")
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "AKID", "secret", None, None, "replay",
            )))
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build()
    }

    pub(super) fn clients(&self) -> Clients {
        Clients::new(&self.config())
    }

    /// What was asked so far, a line a request: method, path and query, and what identifies it (AWS JSON's target),
    /// then its body, as JSON when it is CBOR.
    pub(super) fn asked(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Fails unless every answer was asked for.
    pub(super) fn assert_used_up(&self) {
        assert_eq!(self.answers.lock().unwrap().len(), 0, "answers left over; asked {:#?}", self.asked());
    }
}

impl HttpConnector for Replay {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let uri = request.uri().strip_prefix("http://127.0.0.1:1").unwrap_or(request.uri()).to_owned();
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let line = format!("{} {uri} {target}", request.method());
        let is_cbor = request.headers().get("content-type") == Some(CBOR);
        let (answers, requests) = (self.answers.clone(), self.requests.clone());
        let body = request.take_body();
        HttpConnectorFuture::new(async move {
            let sent = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
            let sent = match ciborium::from_reader::<Value, _>(sent.as_ref()) {
                Ok(message) if is_cbor => message.to_string(),
                _ => String::from_utf8_lossy(&sent).into_owned(),
            };
            requests.lock().unwrap().push(format!("{line} {sent}"));
            let Some((status, headers, body)) = answers.lock().unwrap().pop_front() else {
                return Err(ConnectorError::io(format!("no answer is left for {line}").into()));
            };
            let status = status.try_into().expect("the tests' statuses are valid");
            let mut response = HttpResponse::new(status, SdkBody::from(body));
            for &(name, value) in headers {
                response.headers_mut().insert(name, value);
            }
            Ok(response)
        })
    }
}

/// A target with no inputs but these.
pub(super) fn target<'a>(identity: &'a str, inputs: &'a Fields) -> Target<'a> {
    Target { identity, inputs }
}
