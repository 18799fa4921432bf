//! The service through AWS's own client and the gateway, with a clock and with targets of the tests' own.

mod access;
mod delivery;
mod rules;
mod schedules;

use std::{
    collections::HashMap,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use aws_credential_types::Credentials;
use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use jiff::SignedDuration;
use serde::Serialize;
use tokio::sync::{mpsc, watch};

use super::*;
use crate::cloud::{
    assembly::Services,
    meter::Datum,
    server::{Options, Server},
    store::Table,
};

const QUEUE: &str = "arn:aws:sqs:eu-west-1:000000000000:orders";
const DEAD: &str = "arn:aws:sqs:eu-west-1:000000000000:dead";
const FUNCTION: &str = "arn:aws:lambda:eu-west-1:000000000000:function:convert";
const TOPIC: &str = "arn:aws:sns:eu-west-1:000000000000:mail";
const BACKOFF: Backoff = Backoff { first: Duration::from_secs(10), most: Duration::from_secs(1000) };
/// Longer than any delay of these tests' retries.
const LONG: SignedDuration = SignedDuration::from_secs(1001);

/// A clock that stands still until it is advanced.
struct TestClock(watch::Sender<Timestamp>);

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    async fn sleep_until(&self, time: Timestamp) {
        let mut times = self.0.subscribe();
        let _ = times.wait_for(|now| *now >= time).await;
    }
}

impl TestClock {
    fn advance(&self, by: SignedDuration) {
        self.0.send_modify(|now| *now += by);
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Taken {
    target: String,
    sender: Sender,
    message: Message,
}

const TAKEN: Table<Taken> = Table::new("test.taken");

/// Queues, topics and functions: they keep what they are sent, or refuse it.
struct Targets {
    store: Arc<Store>,
    sequence: AtomicU64,
    /// Refusals by target: how many, and which.
    refusals: Mutex<HashMap<String, (u32, ApiError)>>,
    tries: watch::Sender<u32>,
    woken: watch::Sender<u32>,
}

impl Targets {
    fn new(store: Arc<Store>) -> Arc<Targets> {
        let (tries, woken) = (watch::channel(0).0, watch::channel(0).0);
        Arc::new(Targets { store, sequence: AtomicU64::default(), refusals: Mutex::default(), tries, woken })
    }

    fn refuse(&self, target: &str, times: u32, status: u16, code: &str) {
        let error = ApiError::with_status(http::StatusCode::from_u16(status).unwrap(), code, "refused by the test");
        self.refusals.lock().unwrap().insert(target.to_owned(), (times, error));
    }

    fn of(&self, target: &str) -> Vec<Taken> {
        let all = self.store.read(|tx| TAKEN.scan(tx, "", None, usize::MAX)).unwrap();
        all.into_iter().map(|(_, taken)| taken).filter(|taken| taken.target == target).collect()
    }

    /// Waits until `target` has been given `count` messages.
    async fn await_taken(&self, target: &str, count: usize) -> Vec<Taken> {
        let mut woken = self.woken.subscribe();
        loop {
            let taken = self.of(target);
            if taken.len() >= count {
                return taken;
            }
            tokio::time::timeout(Duration::from_secs(20), woken.changed()).await.expect("nothing comes").unwrap();
        }
    }

    /// Waits until there have been `count` tries to deliver.
    async fn await_tries(&self, count: u32) {
        let mut tries = self.tries.subscribe();
        let reached = tries.wait_for(|tries| *tries >= count);
        tokio::time::timeout(Duration::from_secs(20), reached).await.expect("no more tries").unwrap();
    }
}

impl Destination for Targets {
    fn accept(&self, tx: &WriteTransaction, target: &str, sender: &Sender, message: &Message) -> Result<(), ApiError> {
        self.tries.send_modify(|tries| *tries += 1);
        let mut refusals = self.refusals.lock().unwrap();
        if let Some((times, error)) = refusals.get_mut(target).filter(|(times, _)| *times > 0) {
            *times -= 1;
            if error.status.is_server_error() {
                // It fails with half of its work done.
                TAKEN.put(
                    tx,
                    "torn",
                    &Taken { target: target.into(), sender: sender.clone(), message: message.clone() },
                )?;
            }
            return Err(error.clone());
        }
        let key = format!("{:020}", self.sequence.fetch_add(1, Ordering::Relaxed));
        let taken = Taken { target: target.into(), sender: sender.clone(), message: message.clone() };
        Ok(TAKEN.put(tx, &key, &taken)?)
    }

    fn wake(&self) {
        self.woken.send_modify(|woken| *woken += 1);
    }

    fn would_accept(&self, _tx: &WriteTransaction, _target: &str, _sender: &Sender) -> Result<bool, ApiError> {
        Ok(true)
    }
}

struct Cloud {
    server: Server,
    client: Client,
    events: Arc<Events>,
    exchange: Arc<Exchange>,
    targets: Arc<Targets>,
    clock: Arc<TestClock>,
    data: mpsc::Receiver<Datum>,
}

#[async_trait]
impl crate::cloud::assembly::Background for Targets {
    async fn stop(&self) {}
}

impl Cloud {
    async fn start(folder: &Path, now: &str) -> Cloud {
        let clock = Arc::new(TestClock(watch::channel(now.parse().unwrap()).0));
        let (meter, data) = Meter::channel();
        let mut made = None;
        let options = Options { folder: folder.to_owned(), port: None, iam: true, smtp: None };
        let server = Server::start_with(options, async |store, _, _| {
            let exchange = Exchange::new();
            let targets = Targets::new(Arc::clone(&store));
            let events = Events::start_with(store, Arc::clone(&exchange), meter, Arc::clone(&clock) as _, BACKOFF)?;
            exchange.enter("events", &(Arc::clone(&events) as _));
            for service in ["sqs", "sns", "lambda"] {
                exchange.enter(service, &(Arc::clone(&targets) as _));
            }
            made = Some((Arc::clone(&events), Arc::clone(&exchange), Arc::clone(&targets)));
            let background = vec![Arc::clone(&events) as _];
            Ok(Services { services: vec![events], exchange, background, faults: Arc::default() })
        });
        let server = server.await.unwrap();
        let (events, exchange, targets) = made.unwrap();
        let key = server.root_credentials();
        let credentials = Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "root");
        let client = Client::from_conf(
            aws_sdk_eventbridge::Config::builder()
                .behavior_version(aws_sdk_eventbridge::config::BehaviorVersion::latest())
                .endpoint_url(server.endpoint())
                .region(aws_sdk_eventbridge::config::Region::new("eu-west-1"))
                .credentials_provider(credentials)
                .retry_config(aws_sdk_eventbridge::config::retry::RetryConfig::disabled())
                .build(),
        );
        Cloud { server, client, events, exchange, targets, clock, data }
    }

    /// A cloud of its own folder.
    async fn new() -> (tempfile::TempDir, Cloud) {
        let folder = tempfile::tempdir().unwrap();
        let cloud = Cloud::start(folder.path(), "2026-11-22T10:00:30Z").await;
        (folder, cloud)
    }

    async fn stop(self) {
        let Cloud { server, events, exchange, targets, client, .. } = self;
        drop((client, targets, exchange));
        server.shutdown().await;
        drop(events);
    }

    /// A rule with one target, given as JSON.
    async fn rule(&self, name: &str, pattern: Value, targets: &[Value]) {
        self.client.put_rule().name(name).event_pattern(pattern.to_string()).send().await.unwrap();
        self.targets_of(name, targets).await;
    }

    async fn targets_of(&self, rule: &str, targets: &[Value]) {
        let put = self.call("PutTargets", serde_json::json!({ "Rule": rule, "Targets": targets })).await.unwrap();
        assert_eq!(put["FailedEntryCount"], 0);
    }

    /// A call without a client in between, for what its types would not let through.
    async fn call(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let answer = self.events.call(call(operation, &input)).await?;
        Ok(serde_json::from_slice(answer.body()).unwrap())
    }

    async fn refusal(&self, operation: &str, input: Value) -> (String, String) {
        let error = self.call(operation, input).await.unwrap_err();
        (error.code, error.message)
    }

    /// Puts an event of `lake.demo`; gives its id.
    async fn put(&self, detail: Value) -> String {
        let put = self.client.put_events().entries(entry(detail)).send().await.unwrap();
        assert_eq!(put.failed_entry_count(), 0);
        put.entries()[0].event_id().unwrap().to_owned()
    }

    /// Sums of the metrics told so far, by name and the values of their dimensions.
    fn metrics(&mut self) -> HashMap<String, f64> {
        let mut sums = HashMap::new();
        while let Ok(datum) = self.data.try_recv() {
            assert_eq!((datum.namespace.as_str(), datum.region.as_str()), ("AWS/Events", "eu-west-1"));
            let values: Vec<&str> = datum.dimensions.iter().map(|(_, value)| value.as_str()).collect();
            *sums.entry(format!("{}({})", datum.name, values.join(","))).or_default() += datum.value;
        }
        sums
    }
}

fn call(operation: &str, input: &Value) -> Call {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-target", format!("AWSEvents.{operation}").parse().unwrap());
    Call {
        caller: crate::cloud::service::Caller { arn: "arn:aws:iam::000000000000:root".into(), user_id: "0".into() },
        region: "eu-west-1".into(),
        request_id: "request".into(),
        method: http::Method::POST,
        uri: "/".parse().unwrap(),
        headers,
        body: input.to_string().into(),
    }
}

fn entry(detail: Value) -> PutEventsRequestEntry {
    PutEventsRequestEntry::builder()
        .source("lake.demo")
        .detail_type("Lake Job State Change")
        .detail(detail.to_string())
        .build()
}

fn body(taken: &Taken) -> Value {
    serde_json::from_str(&taken.message.body).unwrap()
}
