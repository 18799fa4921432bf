//! The one door: takes a request, checks who signed it, tells the service from the signature's scope, and gives
//! the service's answer back in the service's own protocol.
//!
//! Order of checks: the host (a web page must not reach us by a name it controls), the form of the signature, the
//! key, the signature over the body, authorisation. Only then does a service see the request.

mod answer;
mod drain;
mod refusal;
mod signature;

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use futures::FutureExt;
use http::{
    HeaderMap, HeaderValue, Request, Response,
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
    s3::S3Front,
    service::{Call, Protocol, Service},
    store::Store,
};

/// Largest body of a request to Lambda, in bytes: a 50 MB zip in base 64, with room to spare.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
const LAMBDA_BODY_BYTES: usize = 70 * 1024 * 1024;
/// Largest body of a request to any other service but S3, in bytes.
const BODY_BYTES: usize = 10 * 1024 * 1024;

/// Id of a request: travels in `http::Extensions` to S3, in [`Call`] to the others.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Region of a signature's scope, for S3.
#[derive(Debug, Clone)]
pub struct SignedRegion(pub String);

/// Answers every request of the one port.
pub struct Gateway {
    store: Arc<Store>,
    s3: S3Front,
    services: HashMap<&'static str, Arc<dyn Service>>,
}

impl Gateway {
    /// A gateway to these services and S3.
    pub fn new(store: Arc<Store>, s3: S3Front, services: Vec<Arc<dyn Service>>) -> Self {
        let services = services.into_iter().map(|service| (service.scope(), service)).collect();
        Gateway { store, s3, services }
    }

    /// Answers one request. Whatever goes wrong becomes an AWS-shaped answer.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Body>
    where
        Body: From<B>,
    {
        let (parts, body) = request.into_parts();
        let request_id = uuid::Uuid::new_v4().to_string();
        let sniffed = Dialect::sniff(&parts.headers);
        let body = Draining::wrap(Body::from(body), !parts.headers.contains_key(EXPECT));
        let answered = AssertUnwindSafe(self.route(parts, body, &request_id)).catch_unwind().await;
        let mut response = match answered {
            Ok(response) => response,
            Err(_) => sniffed.error(&ApiError::internal("a handler panicked; see above"), &request_id),
        };
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            response.headers_mut().entry("x-amz-request-id").or_insert_with(|| id.clone());
            response.headers_mut().entry("x-amzn-requestid").or_insert(id);
        }
        response
    }

    async fn route(&self, parts: Parts, body: Body, request_id: &str) -> Response<Body> {
        let sniffed = Dialect::sniff(&parts.headers);
        let signature = match check_host(&parts.headers).and_then(|()| Signature::parse(&parts)) {
            Ok(signature) => signature,
            Err(refusal) => return sniffed.error(&refusal.in_dialect(sniffed), request_id),
        };
        if signature.service == "s3" {
            return self.call_s3(parts, body, &signature, request_id).await;
        }
        let Some(service) = self.services.get(signature.service.as_str()) else {
            let refusal = Refusal::NoSuchService(signature.service);
            return sniffed.error(&refusal.in_dialect(sniffed), request_id);
        };
        let dialect = Dialect::from(service.protocol(&parts.headers));
        match self.call(&**service, parts, body, &signature, request_id).await {
            Ok(response) => response.map(Body::from),
            Err(error) => dialect.error(&error, request_id),
        }
    }

    /// S3 checks the signature itself, while it reads the body: `s3s` knows chunked uploads and presigned URLs.
    async fn call_s3(&self, mut parts: Parts, body: Body, signature: &Signature, request_id: &str) -> Response<Body> {
        let caller = match self.secret(signature) {
            Ok(secret) => secret.caller,
            Err(refusal) => return Dialect::S3.error(&refusal.in_dialect(Dialect::S3), request_id),
        };
        parts.extensions.insert(caller);
        parts.extensions.insert(RequestId(request_id.to_owned()));
        parts.extensions.insert(SignedRegion(signature.region.clone()));
        self.s3.call(Request::from_parts(parts, body)).await
    }

    async fn call(
        &self,
        service: &dyn Service,
        parts: Parts,
        body: Body,
        signature: &Signature,
        request_id: &str,
    ) -> Result<Response<Bytes>, ApiError> {
        let dialect = Dialect::from(service.protocol(&parts.headers));
        let refuse = |refusal: Refusal| refusal.in_dialect(dialect);
        let secret = self.secret(signature).map_err(refuse)?;
        let limit = if service.scope() == "lambda" { LAMBDA_BODY_BYTES } else { BODY_BYTES };
        let body = read_body(body, limit).await.map_err(refuse)?;
        signature.verify(&parts, &body, &secret).map_err(refuse)?;
        let operation = operation(service.protocol(&parts.headers), &parts.headers, &body);
        tracing::debug!(request_id, service = service.scope(), operation, method = %parts.method, path = parts.uri.path());
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
        service.call(call).await
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

    #[test]
    fn the_operation_is_read_where_the_protocol_carries_it() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::from_static("AWSGlue.GetTable"));
        assert_eq!(operation(Protocol::Json11, &headers, b"").as_deref(), Some("GetTable"));
        let body = b"Version=2011-06-15&Action=GetCallerIdentity";
        assert_eq!(operation(Protocol::Query, &headers, body).as_deref(), Some("GetCallerIdentity"));
    }
}
