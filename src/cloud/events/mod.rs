//! EventBridge: buses, rules and their targets.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-what-is.html>
//!
//! An event is matched in the transaction that puts it; what it triggers is written there as deliveries ([`outbox`]),
//! which a task of their own sends. So an event that was accepted reaches its targets, also when the cloud is started
//! again in between. Archives, replays, API destinations, pipes, policies and log settings of buses are refused.

mod access;
mod bus;
mod clock;
mod event;
mod matching;
mod model;
mod outbox;
pub mod pattern;
mod put;
mod rule;
mod schedule;
mod scheduler;
mod tags;
mod tally;
mod target;
mod transform;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Response};
use jiff::Timestamp;
use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, value::RawValue};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    authorise::{Need, may_deliver},
    delivery::{Destination, Exchange, Message, Sender},
    error::ApiError,
    json,
    meter::Meter,
    service::{Call, Protocol, Service},
    store::{Store, StoreError},
};
use clock::Clock;
use event::{Draft, Event};
use matching::Matching;
use model::{DEFAULT_BUS, PRINCIPAL, Scope, bus_exists, bus_of_arn, not_found};
use outbox::{Backoff, Outbox};
use tally::Tally;
use writer::Writer;

/// The service.
pub struct Events {
    core: Arc<Core>,
    writer: Writer,
    stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Without the service nobody waits for its tasks.
    _end: DropGuard,
}

/// What the service and its tasks share.
struct Core {
    store: Arc<Store>,
    exchange: Arc<Exchange>,
    meter: Meter,
    clock: Arc<dyn Clock>,
    backoff: Backoff,
    matching: Matching,
    outbox: Outbox,
    rules_changed: Notify,
}

type Read<I> = fn(&ReadTransaction, &Scope, I) -> Result<Value, ApiError>;
type Write<I> = fn(&WriteTransaction, &Scope, I) -> Result<Value, ApiError>;

impl Events {
    /// Starts the service over `store`, with the deliveries that are still due. Needs a tokio runtime.
    pub fn start(store: Arc<Store>, exchange: Arc<Exchange>, meter: Meter) -> Result<Arc<Events>, StoreError> {
        Self::start_with(store, exchange, meter, Arc::new(clock::System), Backoff::default())
    }

    fn start_with(
        store: Arc<Store>,
        exchange: Arc<Exchange>,
        meter: Meter,
        clock: Arc<dyn Clock>,
        backoff: Backoff,
    ) -> Result<Arc<Events>, StoreError> {
        let outbox = Outbox::open(&store)?;
        let (matching, rules_changed) = (Matching::default(), Notify::new());
        let core = Arc::new(Core { store, exchange, meter, clock, backoff, matching, outbox, rules_changed });
        let stop = CancellationToken::new();
        let (writer, writing) = Writer::start(Arc::clone(&core), stop.clone());
        let tasks = vec![
            writing,
            tokio::spawn(outbox::dispatch(Arc::clone(&core), stop.clone())),
            tokio::spawn(scheduler::run(Arc::clone(&core), core.clock.now(), stop.clone())),
        ];
        let end = stop.clone().drop_guard();
        Ok(Arc::new(Events { core, writer, stop, tasks: Mutex::new(tasks), _end: end }))
    }

    /// Ends the service's tasks. Deliveries that are not done wait for the next start.
    pub async fn stop(&self) {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for outcome in futures::future::join_all(tasks).await {
            if let Err(error) = outcome {
                tracing::error!(%error, "a task of EventBridge failed");
            }
        }
    }

    fn scope_of(&self, call: &Call) -> Scope {
        Scope { region: call.region.clone(), now: self.core.clock.now_ms() }
    }

    fn read<I: DeserializeOwned>(&self, call: &Call, operation: Read<I>) -> Result<Response<Bytes>, ApiError> {
        let (scope, input) = (self.scope_of(call), json::input(call)?);
        json::output(&self.core.store.read(|tx| operation(tx, &scope, input))?)
    }

    async fn write<I>(&self, call: &Call, operation: Write<I>) -> Result<Response<Bytes>, ApiError>
    where
        I: DeserializeOwned + Send + 'static,
    {
        let (scope, input) = (self.scope_of(call), json::input(call)?);
        let answer = self.core.store.commit(move |tx| operation(tx, &scope, input)).await?;
        self.core.rules_changed.notify_one();
        json::output(&answer)
    }

    async fn put_events(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let outcomes = put::events(&call.region, json::input(call)?, self.core.clock.now())?;
        let answer = outcomes.iter().map(|outcome| match outcome {
            Ok(event) => Ok(event.id.clone()),
            Err(failure) => Err(failure.clone()),
        });
        let answer = put::answer(answer.collect());
        self.writer.put(outcomes.into_iter().filter_map(Result::ok).collect()).await?;
        json::output(&answer)
    }
}

#[async_trait]
impl Service for Events {
    fn scope(&self) -> &'static str {
        "events"
    }

    fn protocol(&self, _headers: &HeaderMap) -> Protocol {
        Protocol::Json11
    }

    fn needs(&self, call: &Call) -> Result<Vec<Need>, ApiError> {
        access::needs(call)
    }

    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError> {
        match json::operation(&call)? {
            "PutEvents" => self.put_events(&call).await,
            "TestEventPattern" => json::output(&put::test(&json::input(&call)?)?),
            "PutRule" => self.write(&call, rule::put).await,
            "DescribeRule" => self.read(&call, rule::describe),
            "ListRules" => self.read(&call, rule::list),
            "DeleteRule" => self.write(&call, rule::delete).await,
            "EnableRule" => self.write(&call, rule::enable).await,
            "DisableRule" => self.write(&call, rule::disable).await,
            "PutTargets" => self.write(&call, target::put).await,
            "RemoveTargets" => self.write(&call, target::remove).await,
            "ListTargetsByRule" => self.read(&call, target::list),
            "ListRuleNamesByTarget" => self.read(&call, target::rules_of),
            "TagResource" => self.write(&call, tags::tag).await,
            "UntagResource" => self.write(&call, tags::untag).await,
            "ListTagsForResource" => self.read(&call, tags::list),
            "CreateEventBus" => self.write(&call, bus::create).await,
            "DeleteEventBus" => self.write(&call, bus::delete).await,
            "DescribeEventBus" => self.read(&call, bus::describe),
            "ListEventBuses" => self.read(&call, bus::list),
            operation => Err(json::unknown_operation("EventBridge", operation)),
        }
    }
}

/// An event from another service or another bus. What it does not say the bus adds.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Incoming {
    id: Option<String>,
    source: String,
    detail_type: String,
    time: Option<Timestamp>,
    #[serde(default)]
    resources: Vec<String>,
    detail: Box<RawValue>,
}

impl Destination for Events {
    fn accept(&self, tx: &WriteTransaction, target: &str, sender: &Sender, message: &Message) -> Result<(), ApiError> {
        let (region, bus) = bus_of_arn(target).ok_or_else(|| no_bus(target))?;
        if !self.would_accept(tx, target, sender)? {
            return Err(ApiError::with_status(
                http::StatusCode::FORBIDDEN,
                "AccessDeniedException",
                format!("{sender:?} is not authorized to perform: events:PutEvents on resource: {target}"),
            ));
        }
        let malformed = |error| ApiError::client("MalformedDetail", format!("this is no event: {error}"));
        let incoming: Incoming = serde_json::from_str(&message.body).map_err(malformed)?;
        let draft = Draft {
            id: incoming.id,
            source: &incoming.source,
            detail_type: &incoming.detail_type,
            time: incoming.time,
            resources: &incoming.resources,
            detail: &incoming.detail,
        };
        let now = self.core.clock.now();
        let event = Event::new(region, bus, draft, now)?;
        let mut tally = Tally::default();
        self.core.put(tx, &event, &mut tally)?;
        tally.record(&self.core.meter, now.as_millisecond());
        Ok(())
    }

    fn wake(&self) {
        self.core.outbox.wake.notify_one();
    }

    fn would_accept(&self, tx: &WriteTransaction, target: &str, sender: &Sender) -> Result<bool, ApiError> {
        let (region, bus) = bus_of_arn(target).ok_or_else(|| no_bus(target))?;
        if !bus_exists(tx, region, bus)? {
            return Err(no_bus(target));
        }
        match sender {
            // "Events generated by AWS services go to your account's default event bus": without a permission.
            Sender::Service(source) if source.principal != PRINCIPAL && bus == DEFAULT_BUS => Ok(true),
            _ => may_deliver(tx, sender, &Need::new("events:PutEvents", target)),
        }
    }
}

fn no_bus(arn: &str) -> ApiError {
    not_found(format!("Event bus {arn} does not exist."))
}

#[cfg(test)]
mod tests;
