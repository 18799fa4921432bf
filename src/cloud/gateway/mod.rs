//! The one door: takes a request, checks who signed it, tells the service from the signature's scope, and gives
//! the service's answer back in the service's own protocol.
//!
//! Order of checks: the host (a web page must not reach us by a name it controls), the form of the signature, the
//! key, the signature over the body, authorisation. Only then does a service see the request.

mod answer;
mod drain;
mod refusal;
mod signature;

use std::{collections::HashMap, future::Future, panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use futures::FutureExt;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response,
    header::{EXPECT, HOST},
    request::Parts,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use s3s::Body;

pub use answer::Dialect;
use drain::Draining;
use refusal::Refusal;
pub(crate) use refusal::WRONG_SIGNATURE;
use signature::Signature;

use super::{
    authorise::{Signed, authorise},
    credentials::{self, Secret},
    error::ApiError,
    faults::{Fate, Faults},
    s3::S3Front,
    service::{Call, Protocol, Service},
    store::Store,
};

/// Largest body of a request to Lambda, in bytes: a 50 MB zip in base 64, with room to spare.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const LAMBDA_BODY_BYTES: usize = 70 * 1024 * 1024;
/// Largest body of a request to any other service but S3, in bytes.
const BODY_BYTES: usize = 10 * 1024 * 1024;

/// The request took effect, and its connection is to break before the answer: a fault that was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the answer is lost, as the plan of faults has it")]
pub struct AnswerLost;

/// Id of a request: travels in `http::Extensions` to S3, in [`Call`] to the others.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Region of a signature's scope, for S3.
#[derive(Debug, Clone)]
pub struct SignedRegion(pub String);

/// Answers every request of the one port.
pub struct Gateway {
    store: Arc<Store>,
    s3: Arc<S3Front>,
    faults: Arc<Faults>,
    services: HashMap<&'static str, Arc<dyn Service>>,
}

impl Gateway {
    /// A gateway to these services and S3.
    pub fn new(store: Arc<Store>, s3: S3Front, services: Vec<Arc<dyn Service>>, faults: Arc<Faults>) -> Self {
        let services = services.into_iter().map(|service| (service.scope(), service)).collect();
        Gateway { store, s3: Arc::new(s3), faults, services }
    }

    /// Answers one request. Whatever goes wrong becomes an AWS-shaped answer; `Err` is a fault that was asked for.
    pub async fn handle<B>(&self, request: Request<B>) -> Result<Response<Body>, AnswerLost>
    where
        Body: From<B>,
    {
        let (parts, body) = request.into_parts();
        let request_id = uuid::Uuid::new_v4().to_string();
        let sniffed = Dialect::sniff(&parts.headers);
        let body = Draining::wrap(Body::from(body), !parts.headers.contains_key(EXPECT));
        let answered = AssertUnwindSafe(self.route(parts, body, &request_id)).catch_unwind().await;
        let mut response = match answered {
            Ok(response) => response?,
            Err(_) => sniffed.error(&ApiError::internal("a handler panicked; see above"), &request_id),
        };
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            response.headers_mut().entry("x-amz-request-id").or_insert_with(|| id.clone());
            response.headers_mut().entry("x-amzn-requestid").or_insert(id);
        }
        Ok(response)
    }

    async fn route(&self, parts: Parts, body: Body, request_id: &str) -> Result<Response<Body>, AnswerLost> {
        let sniffed = Dialect::sniff(&parts.headers);
        let signature = match check_host(&parts.headers).and_then(|()| Signature::parse(&parts)) {
            Ok(signature) => signature,
            Err(Refusal::Unsigned) if is_link(&parts) => return Ok(self.follow(&parts, request_id).await),
            Err(refusal) => return Ok(sniffed.error(&refusal.in_dialect(sniffed), request_id)),
        };
        if signature.service == "s3" {
            return self.call_s3(parts, body, &signature, request_id).await;
        }
        let Some(service) = self.services.get(signature.service.as_str()) else {
            let refusal = Refusal::NoSuchService(signature.service);
            return Ok(sniffed.error(&refusal.in_dialect(sniffed), request_id));
        };
        let dialect = Dialect::from(service.protocol(&parts.headers));
        let (answered, fate) = match self.call(service, parts, body, &signature, request_id).await {
            Ok((response, fate)) => (response.map(Body::from), fate),
            Err(error) => (dialect.error(&error, request_id), Fate::Answered),
        };
        if fate == Fate::AnswerLost { Err(AnswerLost) } else { Ok(answered) }
    }

    /// A link without a signature: answered by the service that knows its token, refused when none does.
    async fn follow(&self, parts: &Parts, request_id: &str) -> Response<Body> {
        for service in self.services.values() {
            match service.follow(&parts.uri, request_id).await {
                Some(Ok(response)) => return response.map(Body::from),
                Some(Err(error)) => return Dialect::from(service.protocol(&parts.headers)).error(&error, request_id),
                None => {}
            }
        }
        Dialect::S3.error(&Refusal::Unsigned.in_dialect(Dialect::S3), request_id)
    }

    /// S3 checks the signature itself, while it reads the body: `s3s` knows chunked uploads and presigned URLs.
    async fn call_s3(
        &self,
        mut parts: Parts,
        body: Body,
        signature: &Signature,
        request_id: &str,
    ) -> Result<Response<Body>, AnswerLost> {
        let caller = match self.secret(signature) {
            Ok(secret) => secret.caller,
            Err(refusal) => return Ok(Dialect::S3.error(&refusal.in_dialect(Dialect::S3), request_id)),
        };
        let fate = self.faults.request(&self.store, &caller, &signature.access_key_id, "s3");
        if let Fate::Refused(error) = &fate {
            return Ok(Dialect::S3.error(error, request_id));
        }
        parts.extensions.insert(caller);
        parts.extensions.insert(RequestId(request_id.to_owned()));
        parts.extensions.insert(SignedRegion(signature.region.clone()));
        let (s3, request) = (Arc::clone(&self.s3), Request::from_parts(parts, body));
        let answered = to_its_end(async move { s3.call(request).await }).await;
        if fate == Fate::AnswerLost { Err(AnswerLost) } else { Ok(answered) }
    }

    async fn call(
        &self,
        service: &Arc<dyn Service>,
        parts: Parts,
        body: Body,
        signature: &Signature,
        request_id: &str,
    ) -> Result<(Response<Bytes>, Fate), ApiError> {
        let dialect = Dialect::from(service.protocol(&parts.headers));
        let refuse = |refusal: Refusal| refusal.in_dialect(dialect);
        let secret = self.secret(signature).map_err(refuse)?;
        let limit = if service.scope() == "lambda" { LAMBDA_BODY_BYTES } else { BODY_BYTES };
        let body = read_body(body, limit).await.map_err(refuse)?;
        signature.verify(&parts, &body, &secret).map_err(refuse)?;
        let operation = operation(service.protocol(&parts.headers), &parts.headers, &body);
        tracing::debug!(request_id, service = service.scope(), operation, method = %parts.method, path = parts.uri.path());
        let fate = self.faults.request(&self.store, &secret.caller, &signature.access_key_id, service.scope());
        if let Fate::Refused(error) = fate {
            return Err(error);
        }
        let call = Call {
            caller: secret.caller,
            region: signature.region.clone(),
            request_id: request_id.to_owned(),
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            body,
        };
        let Call { caller, region, headers, .. } = &call;
        let signed = Signed { caller, service: service.scope(), region, headers };
        authorise(&self.store, &signed, &service.needs(&call)?)?;
        if service.is_given_up_with_its_connection(&call) {
            return Ok((service.call(call).await?, fate));
        }
        let service = Arc::clone(service);
        Ok((to_its_end(async move { service.call(call).await }).await?, fate))
    }

    /// The credentials behind a signature that has not been checked yet: known, not expired, with their token.
    fn secret(&self, signature: &Signature) -> Result<Secret, Refusal> {
        let found = self.store.read(|tx| credentials::lookup(tx, &signature.access_key_id));
        let secret = found.map_err(|error| Refusal::Internal(error.to_string()))?.ok_or(Refusal::UnknownKey)?;
        if secret.is_expired(jiff::Timestamp::now()) {
            return Err(Refusal::ExpiredToken);
        }
        if !secret.has_token(signature.session_token.as_deref()) {
            return Err(Refusal::WrongToken);
        }
        Ok(secret)
    }
}

/// Runs a call to its end even if its connection breaks meanwhile and nobody waits for the answer any more: what is
/// written is followed by all that belongs to it.
async fn to_its_end<T: Send + 'static>(answering: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(answering).await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(answer) => answer,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime is shutting down, and this task with it.
        Err(Err(_)) => std::future::pending().await,
    }
}

/// Whether an unsigned request may be a link that somebody follows: a `GET` of the root that names an action.
fn is_link(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    parts.method == Method::GET && parts.uri.path() == "/" && query.starts_with("Action=")
}

/// Lets loopback names in only. A page on the internet can make its own name resolve to 127.0.0.1 (DNS
/// rebinding), but cannot make a browser send another `Host` than that name.
fn check_host(headers: &HeaderMap) -> Result<(), Refusal> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_loopback_name(host) { Ok(()) } else { Err(Refusal::ForeignHost(host.to_owned())) }
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.to_ascii_lowercase();
    name == "127.0.0.1" || name == "[::1]" || name == "localhost" || name.ends_with(".localhost")
}

async fn read_body(body: Body, limit: usize) -> Result<Bytes, Refusal> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge { limit }),
        Err(error) => Err(Refusal::BodyBroken(error.to_string())),
    }
}

/// The operation's name as the protocol carries it.
fn operation(protocol: Protocol, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    match protocol {
        Protocol::Query => {
            form_urlencoded::parse(body).find(|(name, _)| name == "Action").map(|(_, value)| value.into_owned())
        }
        Protocol::Json10 | Protocol::Json11 => {
            let target = headers.get("x-amz-target")?.to_str().ok()?;
            target.rsplit('.').next().map(str::to_owned)
        }
        // The path names it.
        Protocol::RestJson | Protocol::RpcV2Cbor => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_hosts_of_ours() {
        for host in ["127.0.0.1:4566", "localhost", "LOCALHOST:80", "[::1]:9", "bucket.localhost:1"] {
            assert!(is_loopback_name(host), "{host}");
        }
        for host in ["", "example.com", "127.0.0.1.example.com", "localhost.example.com:80", "10.0.0.1", "0.0.0.0"] {
            assert!(!is_loopback_name(host), "{host}");
        }
    }

    #[tokio::test]
    async fn a_call_goes_to_its_end_although_its_connection_breaks() {
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (go_on, may_go_on) = tokio::sync::oneshot::channel::<()>();
        let (ended, has_ended) = tokio::sync::oneshot::channel();
        let mut answering = Box::pin(to_its_end(async move {
            begun.send(()).unwrap();
            may_go_on.await.unwrap();
            ended.send("everything is done").unwrap();
        }));
        tokio::select! {
            () = &mut answering => panic!("it waits"),
            has_begun = has_begun => has_begun.unwrap(),
        }
        drop(answering);
        go_on.send(()).unwrap();
        assert_eq!(has_ended.await, Ok("everything is done"));
    }

    #[tokio::test]
    #[should_panic(expected = "as before")]
    async fn a_panic_of_a_call_is_passed_on() {
        to_its_end(async { panic!("as before") }).await;
    }

    #[test]
    fn the_operation_is_read_where_the_protocol_carries_it() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::from_static("AWSGlue.GetTable"));
        assert_eq!(operation(Protocol::Json11, &headers, b"").as_deref(), Some("GetTable"));
        let body = b"Version=2011-06-15&Action=GetCallerIdentity";
        assert_eq!(operation(Protocol::Query, &headers, body).as_deref(), Some("GetCallerIdentity"));
    }
}
