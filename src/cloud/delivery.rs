//! How services of the embedded cloud reach each other: what one sends another goes through the [`Exchange`] to a
//! [`Destination`], as part of the transaction that causes it, without either knowing the other's tables.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, RwLock, Weak},
};

use http::StatusCode;
use redb::WriteTransaction;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    error::ApiError,
    faults::{Delayed, Delivery, Faults},
    service::ACCOUNT_ID,
};

/// The services that take messages, as ARNs name them.
const TAKERS: [&str; 4] = ["events", "lambda", "sns", "sqs"];

/// Something that takes messages for the resources of one service: Lambda for functions, SQS for queues, SNS for
/// topics, EventBridge for buses.
pub trait Destination: Send + Sync {
    /// Takes `message` for the resource `target` (an ARN) as part of `tx`, so that it is lost or kept together with
    /// what caused it. Refused, with the error that AWS gives, when there is no such resource or its policy does
    /// not let `sender` in ([`super::authorise::may_deliver`]).
    fn accept(&self, tx: &WriteTransaction, target: &str, sender: &Sender, message: &Message) -> Result<(), ApiError>;

    /// Tells the destination's own tasks that a commit may have given them something. Cheap, and harmless when not.
    fn wake(&self);

    /// Whether `target` is there and would take a message from `sender`.
    fn would_accept(&self, tx: &WriteTransaction, target: &str, sender: &Sender) -> Result<bool, ApiError>;
}

/// On whose authority something is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sender {
    /// A service by itself, on behalf of a resource: the target's policy must allow its principal.
    Service(Source),
    /// A service with the rights of the role it was given: the role's policies must allow it.
    Role {
        /// The role's ARN.
        arn: String,
    },
}

impl Sender {
    /// The service `principal` (`sns.amazonaws.com`) on behalf of `arn` in this account.
    pub fn service(principal: impl Into<String>, arn: impl Into<String>) -> Sender {
        Sender::Service(Source { principal: principal.into(), arn: arn.into(), account: ACCOUNT_ID.to_owned() })
    }
}

/// The service that sends, as conditions see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Service principal (`s3.amazonaws.com`).
    pub principal: String,
    /// `aws:SourceArn`.
    pub arn: String,
    /// `aws:SourceAccount`.
    pub account: String,
}

/// What is sent: the union of what Lambda, SQS, SNS and EventBridge take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The text: for Lambda and EventBridge it is JSON.
    pub body: String,
    /// Subject of a notification (SNS).
    pub subject: Option<String>,
    /// Message attributes (SNS, SQS).
    pub attributes: BTreeMap<String, Attribute>,
    /// Message group (FIFO queues and topics).
    pub group: Option<String>,
    /// Deduplication id (FIFO queues and topics).
    pub deduplication: Option<String>,
}

impl Message {
    /// A message that is nothing but its text.
    pub fn text(body: impl Into<String>) -> Message {
        Message { body: body.into(), ..Message::default() }
    }
}

/// A message attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// `String`, `Number`, `Binary`, with or without a label (`Number.int`); SNS has `String.Array` besides.
    pub data_type: String,
    /// The value; a binary one in base 64.
    pub value: String,
}

/// An event that a service of AWS emits onto the default bus. The bus adds `version`, `id`, `account`, `region`.
/// <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceEvent<'a> {
    /// `aws.glue`.
    pub source: &'a str,
    /// `Glue Crawler State Change`.
    pub detail_type: &'a str,
    /// ARNs that it is about.
    pub resources: Vec<String>,
    /// The service's own part.
    pub detail: Value,
}

/// The services' way to each other. Made before the services, which enter themselves once they are there.
#[derive(Default)]
pub struct Exchange {
    /// By the service that an ARN names. Weak, so that a cloud that is dropped is really gone.
    destinations: RwLock<HashMap<&'static str, Weak<dyn Destination>>>,
    /// What goes wrong on the way.
    faults: Arc<Faults>,
    delayed: Arc<Delayed>,
}

impl Exchange {
    /// An exchange that nobody has entered.
    pub fn new() -> Arc<Exchange> {
        Arc::default()
    }

    /// An exchange on which things go wrong as `faults` has it. What it delays is delivered by [`Exchange::delayed`].
    pub fn with_faults(faults: Arc<Faults>) -> Arc<Exchange> {
        Arc::new(Exchange { faults, ..Exchange::default() })
    }

    /// The messages that are late.
    pub fn delayed(&self) -> &Arc<Delayed> {
        &self.delayed
    }

    /// Makes `destination` the one for ARNs of `service` (`sqs`, `lambda`, `sns`, `events`).
    pub fn enter(&self, service: &'static str, destination: &Arc<dyn Destination>) {
        let mut destinations = self.destinations.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        destinations.insert(service, Arc::downgrade(destination));
    }

    /// Sends `message` to `target` as part of `tx`. Call [`Exchange::wake`] after the commit.
    pub fn send(
        &self,
        tx: &WriteTransaction,
        target: &str,
        sender: &Sender,
        message: &Message,
    ) -> Result<(), ApiError> {
        match self.faults.delivery(sender, target) {
            Delivery::Once => self.send_now(tx, target, sender, message),
            Delivery::Twice => {
                self.send_now(tx, target, sender, message)?;
                self.send_now(tx, target, sender, message)
            }
            // Who would be refused is refused, whatever else goes wrong.
            _ if !self.would_accept(tx, target, sender)? => self.send_now(tx, target, sender, message),
            Delivery::Lost => Ok(()),
            Delivery::Late(milliseconds) => self.delayed.keep(tx, target, sender, message, milliseconds),
        }
    }

    /// [`Exchange::send`], with nothing going wrong.
    pub(super) fn send_now(
        &self,
        tx: &WriteTransaction,
        target: &str,
        sender: &Sender,
        message: &Message,
    ) -> Result<(), ApiError> {
        self.destination(target)?.accept(tx, target, sender, message)
    }

    /// Whether `target` is there and would take a message from `sender`.
    pub fn would_accept(&self, tx: &WriteTransaction, target: &str, sender: &Sender) -> Result<bool, ApiError> {
        self.destination(target)?.would_accept(tx, target, sender)
    }

    /// Puts a service's own event onto the default bus of `region` as part of `tx`. Best effort, as on AWS: without a
    /// bus it is lost. <https://docs.aws.amazon.com/eventbridge/latest/ref/event-delivery-level.html>
    pub fn emit(&self, tx: &WriteTransaction, region: &str, event: ServiceEvent<'_>) -> Result<(), ApiError> {
        let ServiceEvent { source, detail_type, resources, detail } = event;
        let bus = format!("arn:aws:events:{region}:{ACCOUNT_ID}:event-bus/default");
        let body = serde_json::json!({
            "source": source, "detail-type": detail_type, "resources": resources, "detail": detail,
        });
        let principal = format!("{}.amazonaws.com", source.trim_start_matches("aws."));
        if self.destination(&bus).is_err() {
            tracing::debug!(source, detail_type, "an event is lost: there is no bus yet");
            return Ok(());
        }
        self.send(tx, &bus, &Sender::service(principal, bus.clone()), &Message::text(body.to_string()))
    }

    /// Tells every destination that a commit may have given it something.
    pub fn wake(&self) {
        self.delayed.wake();
        let destinations = self.destinations.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        destinations.values().filter_map(Weak::upgrade).for_each(|destination| destination.wake());
    }

    fn destination(&self, target: &str) -> Result<Arc<dyn Destination>, ApiError> {
        let service = target.split(':').nth(2).unwrap_or_default();
        let destinations = self.destinations.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        destinations.get(service).and_then(Weak::upgrade).ok_or_else(|| match TAKERS.contains(&service) {
            // While the cloud starts, one service may have something left for another that is not there yet.
            true => ApiError::with_status(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                format!("the service of {target} is not up yet"),
            ),
            false => ApiError::client(
                "InvalidParameterValue",
                format!("nothing in the embedded cloud takes messages for {target}"),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::store::Store;

    #[test]
    fn who_is_not_there_yet_is_tried_again_and_who_never_will_be_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let exchange = Exchange::new();
        let sender = Sender::service("events.amazonaws.com", "arn:aws:events:eu-west-1:000000000000:rule/r");
        let status = |target: &str| {
            let sent = store.write(|tx| exchange.send(tx, target, &sender, &Message::text("x")));
            sent.unwrap_err().status
        };
        assert_eq!(status("arn:aws:sqs:eu-west-1:000000000000:q"), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status("arn:aws:states:eu-west-1:000000000000:stateMachine:s"), StatusCode::BAD_REQUEST);
    }
}
