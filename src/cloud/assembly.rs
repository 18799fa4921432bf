//! The services of the embedded cloud, put together: who gets to know whom is written here and nowhere else.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    cloudwatch::CloudWatch,
    delivery::Exchange,
    events::Events,
    faults::{Admin, Faults},
    glue::{self, Glue},
    iam::Iam,
    lambda::{self, Lambda, Neighbours},
    logs::{LogSink, Logs},
    meter::Meter,
    neighbours::Neighbourhood,
    s3::S3Objects,
    service::Service,
    sns::{self, SmtpRelay, Sns},
    sqs::Sqs,
    store::{Store, StoreError},
    sts::Sts,
};

/// What runs beside the requests and has to end with the server: Lambda's functions.
#[async_trait]
pub trait Background: Send + Sync {
    /// Stops what runs. Called once, while the last requests are still answered.
    async fn stop(&self);
}

/// Every service but S3, and S3's way to them.
pub struct Services {
    /// Told apart by [`Service::scope`].
    pub services: Vec<Arc<dyn Service>>,
    /// Where S3's event notifications go.
    pub exchange: Arc<Exchange>,
    /// What has to be stopped with the server.
    pub background: Vec<Arc<dyn Background>>,
    /// What is to go wrong.
    pub faults: Arc<Faults>,
}

/// Starts every service but S3 over one store. `endpoint` is the cloud's own URL, which functions are given; mail
/// leaves the machine through `smtp`.
pub(super) async fn services(
    store: Arc<Store>,
    objects: S3Objects,
    endpoint: String,
    smtp: Option<SmtpRelay>,
) -> Result<Services, StoreError> {
    let faults = Faults::open(&store)?;
    let exchange = Exchange::with_faults(Arc::clone(&faults));
    let (meter, data) = Meter::channel();
    let sink = LogSink::metering(Arc::clone(&store), meter.clone());
    let sqs = Sqs::start(Arc::clone(&store), endpoint.clone(), meter.clone())?;
    let neighbourhood = Arc::new(Neighbourhood(Arc::clone(&store)));
    let neighbours = Neighbours {
        credentials: Arc::clone(&neighbourhood) as _,
        roles: neighbourhood,
        objects: Arc::new(objects.clone()),
        queues: Arc::clone(&sqs) as _,
        sink: sink.clone(),
        exchange: Arc::clone(&exchange),
        meter: meter.clone(),
        victims: Arc::clone(faults.victims()),
    };
    let lambda = Lambda::start(Arc::clone(&store), lambda::Options::new(endpoint.clone()), neighbours).await?;
    let mail = sns::Options { endpoint, smtp };
    let sns = Sns::start(Arc::clone(&store), mail, Arc::clone(&exchange), meter.clone())?;
    let events = Events::start(Arc::clone(&store), Arc::clone(&exchange), meter.clone())?;
    exchange.enter("lambda", &(Arc::clone(&lambda) as _));
    exchange.enter("sqs", &(Arc::clone(&sqs) as _));
    exchange.enter("sns", &(Arc::clone(&sns) as _));
    exchange.enter("events", &(Arc::clone(&events) as _));
    let logs = Logs::metering(Arc::clone(&store), meter);
    let retention = Retention::start(Arc::clone(&logs));
    let late = Late::start(Arc::clone(&store), &exchange);
    let crawling = glue::Neighbours { exchange: Arc::clone(&exchange), sink, objects: Arc::new(objects) };
    let glue = Glue::start(Arc::clone(&store), crawling);
    let cloudwatch = CloudWatch::start(Arc::clone(&store), Arc::clone(&exchange), data)?;
    let services: Vec<Arc<dyn Service>> = vec![
        Arc::new(Admin::new(Arc::clone(&store), Arc::clone(&faults))),
        Arc::new(Iam::new(Arc::clone(&store))),
        Arc::new(Sts::new(store)),
        Arc::clone(&cloudwatch) as _,
        Arc::clone(&events) as _,
        Arc::clone(&glue) as _,
        Arc::clone(&lambda) as _,
        Arc::clone(&sns) as _,
        Arc::clone(&sqs) as _,
        logs,
    ];
    let background = vec![
        lambda as _,
        Arc::new(late) as _,
        Arc::new(retention) as _,
        cloudwatch as _,
        events as _,
        glue as _,
        sns as _,
        sqs as _,
    ];
    Ok(Services { services, exchange, background, faults })
}

/// Log events that outlive their group's retention are deleted while the server runs.
struct Retention(CancellationToken);

impl Retention {
    fn start(logs: Arc<Logs>) -> Self {
        let stop = CancellationToken::new();
        tokio::spawn(logs.apply_retention(stop.clone()));
        Retention(stop)
    }
}

#[async_trait]
impl Background for Retention {
    async fn stop(&self) {
        self.0.cancel();
    }
}

/// Messages that faults delay are delivered while the server runs.
struct Late(CancellationToken, #[expect(dead_code, reason = "held, not read")] DropGuard);

impl Late {
    fn start(store: Arc<Store>, exchange: &Arc<Exchange>) -> Self {
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(exchange.delayed()).run(store, Arc::clone(exchange), stop.clone()));
        Late(stop.clone(), stop.drop_guard())
    }
}

#[async_trait]
impl Background for Late {
    async fn stop(&self) {
        self.0.cancel();
    }
}

#[async_trait]
impl Background for CloudWatch {
    async fn stop(&self) {
        CloudWatch::stop(self).await;
    }
}

#[async_trait]
impl Background for Events {
    async fn stop(&self) {
        Events::stop(self).await;
    }
}

#[async_trait]
impl Background for Glue {
    async fn stop(&self) {
        Glue::stop(self);
    }
}

#[async_trait]
impl Background for Lambda {
    async fn stop(&self) {
        Lambda::stop(self).await;
    }
}

#[async_trait]
impl Background for Sns {
    async fn stop(&self) {
        Sns::stop(self);
    }
}

#[async_trait]
impl Background for Sqs {
    async fn stop(&self) {
        Sqs::stop(self);
    }
}
