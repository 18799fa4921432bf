//! S3 as the gateway sees it: `s3s` with our credentials, authorisation and names plugged in, and what it does not
//! do itself done around it.

use std::{sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use s3s::{
    Body, S3Error, S3Result,
    auth::{S3Auth, SecretKey},
    host::{S3Host, VirtualHost},
    s3_error,
    service::{S3Service, S3ServiceBuilder},
};
use serde::Deserialize;

use super::{Cloud, CreateLocation, CreateTags, S3Objects, access::Access};
use crate::cloud::{
    credentials,
    delivery::AsyncInvoker,
    gateway::{RequestId, WRONG_SIGNATURE},
    store::Store,
};

/// Largest body of a CreateBucket request, in bytes.
const CREATE_BUCKET_BYTES: usize = 64 * 1024;
/// How often lifecycle rules are applied.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// S3, seen from the gateway.
pub struct S3Front {
    service: S3Service,
    cloud: Arc<Cloud>,
}

impl S3Front {
    /// Sets S3 up over its objects.
    pub fn new(store: Arc<Store>, objects: S3Objects, invoker: Arc<dyn AsyncInvoker>) -> Self {
        let S3Objects(blobs) = objects;
        let cloud = Arc::new(Cloud { store: Arc::clone(&store), blobs, invoker });
        let mut builder = S3ServiceBuilder::new(super::Operations(Arc::clone(&cloud)));
        builder.set_auth(Auth(Arc::clone(&store)));
        builder.set_access(Access(store));
        builder.set_host(Loopback);
        S3Front { service: builder.build(), cloud }
    }

    /// Answers one request whose caller the gateway has put into its extensions; the signature is checked here.
    pub async fn call(&self, request: Request<Body>) -> Response<Body> {
        let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        let mut response = match with_create_tags(request).await {
            Ok(request) => self.answer(request).await,
            Err(error) => failed(error),
        };
        if response.status().is_client_error() || response.status().is_server_error() {
            complete_error(&mut response, &request_id);
        }
        if response.status() == StatusCode::NOT_MODIFIED {
            *response.body_mut() = Body::empty();
            response.headers_mut().remove(header::CONTENT_TYPE);
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        response
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        self.service.call(request).await.unwrap_or_else(|error| {
            let error: s3s::StdError = error.into();
            tracing::error!(%error, "an answer of S3 could not be written");
            failed(s3_error!(InternalError))
        })
    }

    /// Applies lifecycle rules now and every hour. Never returns; drop it to end it.
    pub async fn keep_sweeping(cloud: S3Sweeper) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = cloud.0.sweep(jiff::Timestamp::now()).await {
                tracing::error!(%error, "applying lifecycle rules failed; the next sweep tries again");
            }
        }
    }

    /// What [`S3Front::keep_sweeping`] works on.
    pub fn sweeper(&self) -> S3Sweeper {
        S3Sweeper(Arc::clone(&self.cloud))
    }
}

/// The part of S3 that applies lifecycle rules.
pub struct S3Sweeper(Arc<Cloud>);

fn failed(error: S3Error) -> Response<Body> {
    error.to_http_response().unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// Adds to an error document what `s3s` leaves out: the request's id, and words where there is only a code.
fn complete_error(response: &mut Response<Body>, request_id: &str) {
    let Some(bytes) = response.body().bytes() else { return };
    let Ok(text) = std::str::from_utf8(&bytes) else { return };
    let Some(start) = text.strip_suffix("</Error>").filter(|start| !start.contains("<RequestId>")) else { return };
    let mut completed = start.to_owned();
    if !start.contains("<Message>") {
        let message = match start.contains("<Code>SignatureDoesNotMatch</Code>") {
            true => WRONG_SIGNATURE,
            false => response.status().canonical_reason().unwrap_or_default(),
        };
        completed.push_str(&format!("<Message>{message}</Message>"));
    }
    completed.push_str(&format!("<RequestId>{request_id}</RequestId></Error>"));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(completed);
}

/// Secrets for `s3s` to check signatures with. The gateway has refused unknown, expired and token-less keys before.
struct Auth(Arc<Store>);

#[async_trait::async_trait]
impl S3Auth for Auth {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let secret = self.0.read(|tx| credentials::lookup(tx, access_key))?;
        let unknown = || s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist.");
        Ok(SecretKey::from(secret.ok_or_else(unknown)?.secret_access_key))
    }
}

/// Buckets as names below `localhost`, for clients that insist on virtual hosts.
struct Loopback;

impl S3Host for Loopback {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        match name.strip_suffix(".localhost") {
            Some(bucket) => Ok(VirtualHost::new("localhost").with_bucket(bucket)),
            None => Ok(VirtualHost::new(name)),
        }
    }
}

#[derive(Deserialize)]
struct CreateBucketDocument {
    #[serde(rename = "LocationConstraint")]
    location: Option<String>,
    #[serde(rename = "Tags")]
    tags: Option<TagList>,
}

#[derive(Deserialize)]
struct TagList {
    #[serde(rename = "Tag", default)]
    tags: Vec<TagDocument>,
}

#[derive(Deserialize)]
struct TagDocument {
    #[serde(rename = "Key", default)]
    key: String,
    #[serde(rename = "Value", default)]
    value: String,
}

/// `s3s` 0.14 skips the tags of CreateBucket: they are read here, before it sees the request, and so is what a
/// condition may ask about.
async fn with_create_tags(request: Request<Body>) -> S3Result<Request<Body>> {
    let query = request.uri().query().unwrap_or_default();
    let plain = query.split('&').all(|pair| pair.is_empty() || pair.starts_with("x-id=") || pair.starts_with("X-Amz-"));
    let path = request.uri().path().trim_matches('/');
    let virtual_host = request.headers().get(header::HOST).is_some_and(|host| {
        host.to_str().is_ok_and(|host| host.rsplit_once(':').map_or(host, |(name, _)| name).ends_with(".localhost"))
    });
    let names_bucket = if virtual_host { path.is_empty() } else { !path.is_empty() && !path.contains('/') };
    if request.method() != Method::PUT || !plain || !names_bucket {
        return Ok(request);
    }
    let (mut parts, body) = request.into_parts();
    let collected = Limited::new(body, CREATE_BUCKET_BYTES).collect().await;
    let bytes = collected.map_err(|_| s3_error!(MalformedXML, "The body is too large or broke off"))?.to_bytes();
    if let Ok(text) = std::str::from_utf8(&bytes)
        && let Ok(document) = quick_xml::de::from_str::<CreateBucketDocument>(text)
    {
        if let Some(location) = document.location {
            parts.extensions.insert(CreateLocation(location));
        }
        if let Some(list) = document.tags {
            let tags = list.tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
            parts.extensions.insert(CreateTags(tags));
        }
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}
