//! A wire between an SDK client and the cloud that does to requests what networks do.

use std::{fmt, sync::Mutex};

use async_trait::async_trait;
use aws_smithy_runtime_api::{
    client::{
        http::{HttpClient, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;

use super::*;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It arrives, and so does its answer.
    Deliver,
    /// It never arrives.
    Lose,
    /// It arrives, and its answer does not.
    LoseAnswer,
    /// Its sender gives it up, and it arrives when the director says so.
    Late,
    /// S3 cannot decide between it and another.
    Conflict,
}

/// Decides on requests.
#[async_trait]
pub(super) trait Director: fmt::Debug + Send + Sync {
    /// What becomes of a request, once it may go.
    async fn fate(&self, method: &str, path: &str) -> Fate;

    /// Returns when a request of [`Fate::Late`] arrives.
    async fn arrival(&self, _path: &str) {}

    /// It has arrived.
    fn arrived(&self) {}
}

/// A wire to the cloud.
#[derive(Debug, Clone)]
pub(super) struct Wire {
    inner: SharedHttpConnector,
    director: Arc<dyn Director>,
}

impl Wire {
    pub(super) fn client(director: Arc<dyn Director>) -> SharedHttpClient {
        let http = aws_smithy_http_client::Builder::new().build_http();
        http_client_fn(move |settings, components| {
            let inner = http.http_connector(settings, components);
            SharedHttpConnector::new(Wire { inner, director: Arc::clone(&director) })
        })
    }
}

fn broken() -> ConnectorError {
    ConnectorError::io("the wire broke".into())
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let wire = self.clone();
        HttpConnectorFuture::new(async move {
            let path = request.uri().to_owned();
            match wire.director.fate(request.method(), &path).await {
                Fate::Deliver => wire.inner.call(request).await,
                Fate::Lose => Err(broken()),
                Fate::LoseAnswer => {
                    wire.inner.call(request).await?;
                    Err(broken())
                }
                Fate::Late => {
                    tokio::spawn(async move {
                        wire.director.arrival(&path).await;
                        let _ = wire.inner.call(request).await;
                        wire.director.arrived();
                    });
                    Err(broken())
                }
                Fate::Conflict => {
                    let body = "<Error><Code>ConditionalRequestConflict</Code><Message>again</Message></Error>";
                    Ok(HttpResponse::new(StatusCode::try_from(409).unwrap(), SdkBody::from(body)))
                }
            }
        })
    }
}

/// Fates by rule: the first rule that fits is used up by the request that it fits.
#[derive(Debug, Default)]
pub(super) struct Script {
    rules: Mutex<Vec<(&'static str, &'static str, u32, Fate)>>,
    seen: Mutex<u32>,
    /// PUTs that arrive before no other does.
    cut: Mutex<Option<u32>>,
    gate: tokio::sync::Notify,
    done: tokio::sync::Notify,
}

impl Script {
    /// The next request of `method` whose path contains `part`, after `skip` others, has this fate.
    pub(super) fn next(&self, method: &'static str, part: &'static str, skip: u32, fate: Fate) {
        self.rules.lock().unwrap().push((method, part, skip, fate));
    }

    /// After so many PUTs no other arrives.
    pub(super) fn cut_after(&self, puts: u32) {
        *self.cut.lock().unwrap() = Some(puts);
    }

    /// Lets a request arrive that is late, and waits for that.
    pub(super) async fn let_arrive(&self) {
        let done = self.done.notified();
        self.gate.notify_one();
        done.await;
    }

    /// Rules that no request has met yet.
    pub(super) fn unused(&self) -> usize {
        self.rules.lock().unwrap().len()
    }

    /// PUTs that came by.
    pub(super) fn puts(&self) -> u32 {
        *self.seen.lock().unwrap()
    }
}

#[async_trait]
impl Director for Script {
    async fn fate(&self, method: &str, path: &str) -> Fate {
        if method == "PUT" {
            let mut seen = self.seen.lock().unwrap();
            *seen += 1;
            if self.cut.lock().unwrap().is_some_and(|cut| *seen > cut) {
                return Fate::Lose;
            }
        }
        let mut rules = self.rules.lock().unwrap();
        let fits = |rule: &&mut (&str, &str, u32, Fate)| rule.0 == method && path.contains(rule.1);
        let Some(rule) = rules.iter_mut().find(fits) else { return Fate::Deliver };
        if rule.2 > 0 {
            rule.2 -= 1;
            return Fate::Deliver;
        }
        let rule = *rule;
        rules.retain(|other| *other != rule);
        rule.3
    }

    async fn arrival(&self, _path: &str) {
        self.gate.notified().await;
    }

    fn arrived(&self) {
        self.done.notify_one();
    }
}
