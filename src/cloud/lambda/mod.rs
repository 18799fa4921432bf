//! Lambda: functions of custom runtimes, run as child processes over the Runtime API.
//!
//! A `bootstrap` gets what AWS documents: its environment variables, the events over HTTP, a deadline that kills,
//! credentials of its role, a log stream. What a laptop cannot give is left out: memory is reported, not limited;
//! `/tmp` is the system's and shared; a warm process is not frozen between events; a child that leaves its process
//! group outlives it. Versions, aliases, layers, images, VPCs, URLs, event source mappings and destinations are
//! refused. <https://docs.aws.amazon.com/lambda/latest/api/>

mod access;
mod environment;
mod event_config;
mod functions;
mod invoke;
mod model;
mod options;
mod output;
mod package;
mod policy;
mod pool;
mod process;
mod queue;
mod report;
mod rest;
mod runtime_api;
mod seams;
mod settings;
mod tags;
mod variables;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use redb::WriteTransaction;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::{
    authorise::{Need, may_deliver},
    delivery::{AsyncInvocation, AsyncInvoker, Destination, Exchange, Message, Sender, Source},
    error::ApiError,
    logs::LogSink,
    meter::Meter,
    service::{Call, Protocol, Service},
    store::{Store, StoreError},
};
use environment::Host;
use model::Reference;
use package::Packages;
use policy::POLICIES;
use pool::Pool;
use queue::Queue;

pub use options::{
    AWS_RETRY_DELAYS, CONCURRENCY_MIN, CONCURRENCY_PER_CORE, CREDENTIALS_TTL, IDLE_TIMEOUT, Options, RETRY_DELAYS,
};
pub use seams::{CredentialIssuer, ObjectReader, Roles, TemporaryCredentials};

/// The service.
pub struct Lambda {
    store: Arc<Store>,
    pool: Arc<Pool>,
    queue: Arc<Queue>,
    roles: Arc<dyn Roles>,
    objects: Arc<dyn ObjectReader>,
}

/// What Lambda works with.
pub struct Neighbours {
    /// Gives credentials to functions.
    pub credentials: Arc<dyn CredentialIssuer>,
    /// Knows roles.
    pub roles: Arc<dyn Roles>,
    /// Reads packages from S3.
    pub objects: Arc<dyn ObjectReader>,
    /// Takes the functions' log lines.
    pub sink: LogSink,
    /// Takes what functions make of asynchronous events, for whom their configuration names.
    pub exchange: Arc<Exchange>,
    /// Takes the functions' metrics.
    pub meter: Meter,
}

impl Lambda {
    /// Ends what an earlier cloud has left running and starts the service, with the events that are still queued.
    /// Needs a tokio runtime.
    pub async fn start(store: Arc<Store>, options: Options, neighbours: Neighbours) -> Result<Arc<Lambda>, StoreError> {
        let packages = Packages::open(store.folder())?;
        let records = store.folder().join("running");
        match process::end_leftovers(&records, packages.root()) {
            Ok(0) => {}
            Ok(processes) => tracing::warn!(processes, "killed functions that an earlier cloud left running"),
            Err(source) => return Err(StoreError::Io { path: records, source }),
        }
        packages.collect(&store).await;
        let host = Host {
            options,
            packages,
            credentials: neighbours.credentials,
            sink: neighbours.sink,
            exchange: neighbours.exchange,
            meter: neighbours.meter,
            records,
            stop: CancellationToken::new(),
        };
        let pool = Pool::new(host, Arc::clone(&store));
        let queue = Queue::new(Arc::clone(&store), Arc::clone(&pool))?;
        tokio::spawn(Arc::clone(&pool).reap());
        tokio::spawn(Arc::clone(&queue).dispatch());
        Ok(Arc::new(Lambda { store, pool, queue, roles: neighbours.roles, objects: neighbours.objects }))
    }

    /// Kills what runs and writes the last log lines. Asynchronous events in flight stay queued.
    pub async fn stop(&self) {
        self.pool.stop().await;
    }

    async fn route(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let segments = rest::segments(call.uri.path())?;
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let of = |name: &str| {
            let mut of = Reference::parse(&call.region, name)?;
            of.qualifier = of.qualifier.or_else(|| rest::query(call, "Qualifier"));
            Ok::<_, ApiError>(of)
        };
        let method = &call.method;
        match (method, path.as_slice()) {
            (&Method::POST, ["2015-03-31", "functions"]) => self.create_function(call).await,
            (&Method::GET, ["2015-03-31", "functions"]) => self.list_functions(call),
            (_, ["2015-03-31", "functions", name, rest @ ..]) => match (method, rest) {
                (&Method::GET, []) => self.get_function(&of(name)?),
                (&Method::DELETE, []) => self.delete_function(of(name)?).await,
                (&Method::GET, ["configuration"]) => self.get_configuration(&of(name)?),
                (&Method::PUT, ["configuration"]) => self.update_configuration(call, of(name)?).await,
                (&Method::PUT, ["code"]) => self.update_code(call, of(name)?).await,
                (&Method::POST, ["invocations"]) => self.invoke(call, of(name)?).await,
                (&Method::GET, ["policy"]) => self.get_policy(&of(name)?),
                (&Method::POST, ["policy"]) => self.add_permission(call, of(name)?).await,
                (&Method::DELETE, ["policy", id]) => self.remove_permission(call, of(name)?, (*id).into()).await,
                _ => Err(unknown(call)),
            },
            (_, ["2019-09-25", "functions", name, rest @ ..]) => match (method, rest) {
                (&Method::PUT, ["event-invoke-config"]) => self.set_event_config(call, of(name)?, true).await,
                (&Method::POST, ["event-invoke-config"]) => self.set_event_config(call, of(name)?, false).await,
                (&Method::GET, ["event-invoke-config"]) => self.get_event_config(&of(name)?),
                (&Method::GET, ["event-invoke-config", "list"]) => self.list_event_configs(&of(name)?),
                (&Method::DELETE, ["event-invoke-config"]) => self.delete_event_config(of(name)?).await,
                _ => Err(unknown(call)),
            },
            (&Method::GET, ["2017-03-31", "tags", arn]) => self.list_tags(&Reference::of_arn(arn)?),
            (&Method::POST, ["2017-03-31", "tags", arn]) => self.tag(call, Reference::of_arn(arn)?).await,
            (&Method::DELETE, ["2017-03-31", "tags", arn]) => self.untag(call, Reference::of_arn(arn)?).await,
            (&Method::GET, ["2016-08-19", "account-settings"]) => self.account_settings(),
            _ => Err(unknown(call)),
        }
    }
}

fn unknown(call: &Call) -> ApiError {
    ApiError::with_status(
        StatusCode::NOT_FOUND,
        "UnknownOperationException",
        format!("the embedded cloud's Lambda has no operation {} {}", call.method, call.uri.path()),
    )
}

/// The call's body as the operation's input.
fn body<T: DeserializeOwned>(call: &Call) -> Result<T, ApiError> {
    let body: &[u8] = if call.body.is_empty() { b"{}" } else { &call.body };
    serde_json::from_slice(body).map_err(|error| {
        ApiError::client("InvalidRequestContentException", format!("Could not parse request body: {error}"))
    })
}

#[async_trait]
impl Service for Lambda {
    fn scope(&self) -> &'static str {
        "lambda"
    }

    fn protocol(&self, _headers: &HeaderMap) -> Protocol {
        Protocol::RestJson
    }

    fn needs(&self, call: &Call) -> Result<Vec<Need>, ApiError> {
        self.access(call)
    }

    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError> {
        self.route(&call).await
    }
}

impl AsyncInvoker for Lambda {
    fn enqueue(&self, tx: &WriteTransaction, invocation: AsyncInvocation) -> Result<(), ApiError> {
        self.queue.enqueue(tx, invocation).map(drop)
    }

    fn wake(&self) {
        self.queue.wake();
    }

    fn may_invoke(&self, tx: &WriteTransaction, function_arn: &str, source: &Source) -> Result<bool, ApiError> {
        self.would_accept(tx, function_arn, &Sender::Service(source.clone()))
    }
}

impl Destination for Lambda {
    fn accept(&self, tx: &WriteTransaction, target: &str, sender: &Sender, message: &Message) -> Result<(), ApiError> {
        if !self.would_accept(tx, target, sender)? {
            return Err(ApiError::with_status(
                StatusCode::FORBIDDEN,
                "AccessDeniedException",
                format!("{sender:?} is not authorized to perform: lambda:InvokeFunction on resource: {target}"),
            ));
        }
        let payload = message.body.clone().into_bytes();
        self.enqueue(tx, AsyncInvocation { function_arn: target.to_owned(), payload })
    }

    fn wake(&self) {
        self.queue.wake();
    }

    fn would_accept(&self, tx: &WriteTransaction, target: &str, sender: &Sender) -> Result<bool, ApiError> {
        let of = Reference::of_arn(target)?;
        if of.get(tx)?.is_none() {
            return Ok(false);
        }
        let policy = POLICIES.get(tx, &of.arn)?.map(|policy| policy.text(&of.arn));
        may_deliver(tx, sender, &Need::new("lambda:InvokeFunction", &of.arn).under(policy))
    }
}

#[cfg(test)]
mod tests;
