//! SQS: standard queues.
//!
//! | file | what |
//! |---|---|
//! | `queues`, `attributes` | queues and what is set on them |
//! | `send`, `receive` | the operations on messages |
//! | `model` | what is kept, and when each message may be received next |
//! | `gauge` | metrics, and the end of messages that were kept long enough |
//! | `access` | permissions, and messages that other services send |
//! | `error` | errors with the codes of both protocols |
//!
//! A message is kept from the moment that its send is answered until it is deleted or expires; it is received at
//! least once. FIFO queues, KMS keys, message move tasks and the older permission operations are refused. The
//! message group of a standard queue is kept and told, fairness between groups is not emulated; nor is the limit of
//! 120,000 messages in flight. <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/>

mod access;
mod attributes;
mod error;
mod gauge;
mod model;
mod poll;
mod queues;
mod receive;
mod send;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Response};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    authorise::Need,
    error::ApiError,
    json,
    meter::Meter,
    service::{Call, Protocol, Service},
    store::{Store, StoreError},
};
use gauge::Gauge;
use model::Queue;

/// The service.
pub struct Sqs {
    store: Arc<Store>,
    /// The cloud's own URL, which queue URLs begin with.
    endpoint: String,
    /// Wakes receivers that wait.
    arrivals: Notify,
    gauge: Arc<Gauge>,
    stop: CancellationToken,
    _stop_when_dropped: DropGuard,
}

impl Sqs {
    /// Starts the service over `store`, for clients that reach the cloud at `endpoint`. Needs a tokio runtime.
    pub fn start(store: Arc<Store>, endpoint: impl Into<String>, meter: Meter) -> Result<Arc<Sqs>, StoreError> {
        let (stop, gauge) = (CancellationToken::new(), Gauge::new(meter));
        tokio::spawn(Arc::clone(&gauge).run(Arc::clone(&store), stop.clone()));
        Ok(Arc::new(Sqs {
            store,
            endpoint: endpoint.into(),
            arrivals: Notify::new(),
            gauge,
            _stop_when_dropped: stop.clone().drop_guard(),
            stop,
        }))
    }

    /// Lets receivers that wait go with empty hands, and ends what runs beside the requests.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Messages came into a queue, or back to it.
    fn arrived(&self, queue: &Queue, sent: usize) {
        self.gauge.sent(queue, sent);
        self.arrivals.notify_waiters();
    }

    async fn route(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        match json::operation(call)? {
            "CreateQueue" => self.create_queue(call).await,
            "GetQueueUrl" => self.get_queue_url(call),
            "ListQueues" => self.list_queues(call),
            "DeleteQueue" => self.delete_queue(call).await,
            "PurgeQueue" => self.purge_queue(call).await,
            "GetQueueAttributes" => self.get_attributes(call),
            "SetQueueAttributes" => self.set_attributes(call).await,
            "ListDeadLetterSourceQueues" => self.list_dead_letter_sources(call),
            "TagQueue" => self.tag_queue(call).await,
            "UntagQueue" => self.untag_queue(call).await,
            "ListQueueTags" => self.list_tags(call),
            "SendMessage" => self.send_message(call).await,
            "SendMessageBatch" => self.send_batch(call).await,
            "ReceiveMessage" => self.receive_message(call).await,
            "DeleteMessage" => self.delete_message(call).await,
            "DeleteMessageBatch" => self.delete_batch(call).await,
            "ChangeMessageVisibility" => self.change_visibility(call).await,
            "ChangeMessageVisibilityBatch" => self.change_visibility_batch(call).await,
            operation => Err(error::unsupported(format_args!("operation {operation}"))),
        }
    }
}

/// The operation's input; a required member that is absent is named as SQS names it.
fn input<T: DeserializeOwned>(call: &Call) -> Result<T, ApiError> {
    let body: &[u8] = if call.body.is_empty() { b"{}" } else { &call.body };
    serde_json::from_slice(body).map_err(|cause| {
        let text = cause.to_string();
        match text.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
            Some((member, _)) => error::missing(member),
            None => ApiError::client("SerializationException", text),
        }
    })
}

#[async_trait]
impl Service for Sqs {
    fn scope(&self) -> &'static str {
        "sqs"
    }

    fn protocol(&self, _headers: &HeaderMap) -> Protocol {
        Protocol::Json10
    }

    fn needs(&self, call: &Call) -> Result<Vec<Need>, ApiError> {
        self.needs_of(call)
    }

    fn is_given_up_with_its_connection(&self, call: &Call) -> bool {
        json::operation(call).is_ok_and(|operation| operation == "ReceiveMessage")
    }

    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError> {
        match self.route(&call).await {
            Ok(response) => Ok(response),
            Err(error) => error::document(&error),
        }
    }
}

#[cfg(test)]
mod tests;
