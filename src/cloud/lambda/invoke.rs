//! `Invoke`. <https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html>

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use serde::de::IgnoredAny;

use super::{
    Lambda,
    environment::{Invocation, Outcome},
    metrics,
    model::Reference,
    queue::{AsyncInvocation, EVENT_BYTES},
    rest::{empty, header, invalid},
};
use crate::cloud::{error::ApiError, service::Call};

/// Largest synchronous event, in bytes.
const REQUEST_BYTES: usize = 6 * 1024 * 1024;
/// Longest client context, in bytes of base64.
const CLIENT_CONTEXT_BYTES: usize = 3583;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

impl Lambda {
    pub(super) async fn invoke(&self, call: &Call, of: Reference) -> Result<Response<Bytes>, ApiError> {
        let kind = header(call, "x-amz-invocation-type").unwrap_or("RequestResponse");
        let limit = if kind == "Event" { EVENT_BYTES } else { REQUEST_BYTES };
        if call.body.len() > limit {
            return Err(ApiError::with_status(
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestTooLargeException",
                format!(
                    "{} byte payload is too large for the {kind} invocation type (limit {limit} bytes)",
                    call.body.len()
                ),
            ));
        }
        let payload = if call.body.is_empty() { Bytes::from_static(b"{}") } else { call.body.clone() };
        if let Err(error) = serde_json::from_slice::<IgnoredAny>(&payload) {
            return Err(ApiError::client(
                "InvalidRequestContentException",
                format!("Could not parse request body into json: Could not parse payload into json: {error}"),
            ));
        }
        match kind {
            "RequestResponse" => self.invoke_now(call, &of, payload).await,
            "Event" => self.invoke_later(of, payload).await,
            "DryRun" => {
                self.store.read(|tx| of.find(tx))?;
                empty(StatusCode::NO_CONTENT)
            }
            other => Err(invalid(format!(
                "Value '{other}' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: \
                 [Event, RequestResponse, DryRun]"
            ))),
        }
    }

    async fn invoke_now(&self, call: &Call, of: &Reference, payload: Bytes) -> Result<Response<Bytes>, ApiError> {
        let function = self.store.read(|tx| of.find(tx))?;
        let tail = header(call, "x-amz-log-type") == Some("Tail");
        let client_context = client_context(call)?;
        let permit = self.pool.try_permit().inspect_err(|error| {
            if error.status == StatusCode::TOO_MANY_REQUESTS {
                metrics::throttled(&self.pool.host.meter, &function.arn());
            }
        })?;
        let request_id = uuid::Uuid::new_v4().to_string();
        let invocation = Invocation { request_id: request_id.clone(), payload, client_context };
        let outcome = self.pool.run(permit, function, invocation).await?;
        respond(outcome, &request_id, tail)
    }

    async fn invoke_later(&self, of: Reference, payload: Bytes) -> Result<Response<Bytes>, ApiError> {
        let queue = std::sync::Arc::clone(&self.queue);
        let request_id = self
            .store
            .commit(move |tx| {
                let function_arn = of.find(tx)?.arn();
                queue.enqueue(tx, AsyncInvocation { function_arn, payload: payload.into() })
            })
            .await?;
        self.queue.wake();
        let mut response = empty(StatusCode::ACCEPTED)?;
        response.headers_mut().insert(REQUEST_ID, value(&request_id)?);
        Ok(response)
    }
}

fn respond(outcome: Outcome, request_id: &str, tail: bool) -> Result<Response<Bytes>, ApiError> {
    let mut response = Response::new(outcome.payload);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REQUEST_ID, value(request_id)?);
    headers.insert("x-amz-executed-version", HeaderValue::from_static("$LATEST"));
    if outcome.failed {
        headers.insert("x-amz-function-error", HeaderValue::from_static("Unhandled"));
    }
    if tail {
        headers.insert("x-amz-log-result", value(&STANDARD.encode(outcome.tail))?);
    }
    Ok(response)
}

/// The client context as the runtime gets it: the JSON that the header holds as base64.
fn client_context(call: &Call) -> Result<Option<String>, ApiError> {
    let Some(text) = header(call, "x-amz-client-context") else { return Ok(None) };
    let refusal = || {
        ApiError::client("InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.")
    };
    if text.len() > CLIENT_CONTEXT_BYTES {
        return Err(refusal());
    }
    let json = STANDARD.decode(text).map_err(|_| refusal())?;
    let context: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&json).map_err(|_| refusal())?;
    serde_json::to_string(&context).map(Some).map_err(ApiError::internal)
}

fn value(text: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(text).map_err(ApiError::internal)
}
