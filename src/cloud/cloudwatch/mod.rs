//! CloudWatch: metrics, alarms, dashboards.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/Welcome.html>
//!
//! Data points are kept as one statistic set a minute for 15 days; see `data` for what follows of it, `statistics` and
//! `alarm_input` for what is left out and refused. Alarms are evaluated at each end of their period and soon after
//! data of their metric has come. They tell SNS, Lambda and EventBridge.

mod access;
mod alarm;
mod alarm_input;
mod alarm_list;
mod cbor;
mod dashboard;
mod dashboard_body;
mod data;
mod evaluation;
mod fault;
mod form;
mod history;
mod intake;
mod message;
mod metrics;
mod outbox;
mod page;
mod statistics;
mod tags;
mod transition;
mod values;
mod watch;
mod wire;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Response};
use redb::{ReadTransaction, WriteTransaction};
use serde_json::Value;
use tokio::{
    sync::{Notify, mpsc},
    task::JoinSet,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    authorise::Need,
    delivery::Exchange,
    error::ApiError,
    meter::Datum,
    service::{Call, Protocol, Service},
    store::{Store, StoreError},
};
use fault::Fault;

/// The time in milliseconds since 1970.
type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The service.
pub struct CloudWatch {
    core: Arc<Core>,
    tasks: Mutex<JoinSet<()>>,
    stop: CancellationToken,
    /// Ends the tasks with the service.
    _end: DropGuard,
}

/// What the operations and the tasks share.
struct Core {
    store: Arc<Store>,
    exchange: Arc<Exchange>,
    clock: Clock,
    /// What has to be evaluated.
    touched: Mutex<BTreeSet<Touched>>,
    /// Something was touched.
    changed: Notify,
    /// Something is in the outbox.
    outgoing: Notify,
}

/// Something whose alarms have to be evaluated.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Touched {
    /// There is new data of the metric with this digest.
    Metric(String),
    /// The alarm with this key is new or another one.
    Alarm(String),
}

/// Where and when an operation works.
struct Scope {
    region: String,
    /// Milliseconds since 1970.
    now: i64,
}

/// What an operation that writes has done. It can have done something and fail.
struct Done {
    answer: Result<Option<Value>, Fault>,
    touched: Vec<Touched>,
}

impl Done {
    fn without_output() -> Done {
        Done { answer: Ok(None), touched: Vec::new() }
    }

    fn with(output: Value) -> Done {
        Done { answer: Ok(Some(output)), touched: Vec::new() }
    }

    fn touching(mut self, touched: impl IntoIterator<Item = Touched>) -> Done {
        self.touched.extend(touched);
        self
    }
}

type Read = fn(&ReadTransaction, &Scope, Value) -> Result<Value, Fault>;
type Write = fn(&WriteTransaction, &Scope, Value) -> Result<Done, Fault>;

impl Core {
    fn now(&self) -> i64 {
        (self.clock)()
    }

    fn touched(&self) -> MutexGuard<'_, BTreeSet<Touched>> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self, touched: impl IntoIterator<Item = Touched>) {
        self.touched().extend(touched);
        self.changed.notify_one();
    }
}

impl CloudWatch {
    /// Starts the service over `store`. Needs a tokio runtime.
    pub fn start(
        store: Arc<Store>,
        exchange: Arc<Exchange>,
        data: mpsc::Receiver<Datum>,
    ) -> Result<Arc<CloudWatch>, StoreError> {
        let service = CloudWatch::at_rest(store, exchange, Arc::new(|| jiff::Timestamp::now().as_millisecond()));
        let core = || Arc::clone(&service.core);
        service.spawn(watch::run(core()));
        service.spawn(outbox::run(core()));
        service.spawn(intake::keep_sweeping(core()));
        // This one ends by itself, as it has something to write first.
        service.tasks().spawn(intake::run(core(), data, service.stop.clone()));
        Ok(Arc::new(service))
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks().spawn(async move {
            stop.run_until_cancelled(task).await;
        });
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The service without its tasks.
    fn at_rest(store: Arc<Store>, exchange: Arc<Exchange>, clock: Clock) -> CloudWatch {
        let core =
            Core { store, exchange, clock, touched: Mutex::default(), changed: Notify::new(), outgoing: Notify::new() };
        let stop = CancellationToken::new();
        CloudWatch { core: Arc::new(core), tasks: Mutex::default(), _end: stop.clone().drop_guard(), stop }
    }

    /// Writes the data that is waiting and ends the tasks.
    pub async fn stop(&self) {
        self.stop.cancel();
        let mut tasks = std::mem::take(&mut *self.tasks());
        while tasks.join_next().await.is_some() {}
    }

    async fn dispatch(&self, call: &Call, operation: &str, input: Value) -> Result<Option<Value>, Fault> {
        match operation {
            "PutMetricData" => self.write(call, input, metrics::put).await,
            "ListMetrics" => self.read(call, input, metrics::list).await,
            "GetMetricStatistics" => self.read(call, input, statistics::get_statistics).await,
            "GetMetricData" => self.read(call, input, statistics::get_data).await,
            "PutMetricAlarm" => self.write(call, input, alarm_input::put).await,
            "DeleteAlarms" => self.write(call, input, alarm_input::delete).await,
            "SetAlarmState" => self.write(call, input, alarm_input::set_state).await,
            "EnableAlarmActions" => self.write(call, input, alarm_input::enable).await,
            "DisableAlarmActions" => self.write(call, input, alarm_input::disable).await,
            "DescribeAlarms" => self.read(call, input, alarm_list::describe).await,
            "DescribeAlarmsForMetric" => self.read(call, input, alarm_list::for_metric).await,
            "DescribeAlarmHistory" => self.read(call, input, history::describe).await,
            "PutDashboard" => self.write(call, input, dashboard::put).await,
            "GetDashboard" => self.read(call, input, dashboard::get).await,
            "ListDashboards" => self.read(call, input, dashboard::list).await,
            "DeleteDashboards" => self.write(call, input, dashboard::delete).await,
            "TagResource" => self.write(call, input, tags::tag).await,
            "UntagResource" => self.write(call, input, tags::untag).await,
            "ListTagsForResource" => self.read(call, input, tags::list).await,
            other => Err(wire::unknown(other).into()),
        }
    }

    fn scope(&self, call: &Call) -> Scope {
        Scope { region: call.region.clone(), now: self.core.now() }
    }

    async fn read(&self, call: &Call, input: Value, operation: Read) -> Result<Option<Value>, Fault> {
        let (core, scope) = (Arc::clone(&self.core), self.scope(call));
        // A query may read many thousands of minutes.
        let answer = tokio::task::spawn_blocking(move || core.store.read(|tx| operation(tx, &scope, input)));
        Ok(Some(answer.await.map_err(ApiError::internal)??))
    }

    async fn write(&self, call: &Call, input: Value, operation: Write) -> Result<Option<Value>, Fault> {
        let scope = self.scope(call);
        let Done { answer, touched } = self.core.store.commit(move |tx| operation(tx, &scope, input)).await?;
        if !touched.is_empty() {
            self.core.touch(touched);
        }
        self.core.outgoing.notify_one();
        answer
    }
}

#[async_trait]
impl Service for CloudWatch {
    fn scope(&self) -> &'static str {
        "monitoring"
    }

    fn protocol(&self, headers: &HeaderMap) -> Protocol {
        wire::protocol(headers)
    }

    fn needs(&self, call: &Call) -> Result<Vec<Need>, ApiError> {
        access::needs(call)
    }

    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError> {
        let wire::Request { operation, input } = match wire::read(&call) {
            Ok(request) => request,
            Err(error) => return wire::refuse(&call, error.into()),
        };
        match self.dispatch(&call, &operation, input).await {
            Ok(output) => wire::answer(&call, &operation, output),
            Err(fault) => wire::refuse(&call, fault),
        }
    }
}

#[cfg(test)]
mod tests;
