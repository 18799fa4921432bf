//! What a caller needs for each operation, and who may send on a service's behalf.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html>

use redb::WriteTransaction;
use serde_json::Value;

use super::{
    Sqs,
    error::no_queue,
    model::{self, QUEUES, Queue},
    queues,
    send::Draft,
};
use crate::cloud::{
    authorise::{Need, may_deliver},
    delivery::{Destination, Message, Sender},
    error::ApiError,
    json,
    service::Call,
};

/// Operations on one queue that a URL names.
const ON_A_QUEUE: [&str; 15] = [
    "DeleteQueue",
    "PurgeQueue",
    "GetQueueAttributes",
    "SetQueueAttributes",
    "SendMessage",
    "SendMessageBatch",
    "ReceiveMessage",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "ListDeadLetterSourceQueues",
    "TagQueue",
    "UntagQueue",
    "ListQueueTags",
];

impl Sqs {
    pub(super) fn needs_of(&self, call: &Call) -> Result<Vec<Need>, ApiError> {
        let operation = json::operation(call)?;
        let body: Value = super::input(call)?;
        let text = |member: &str| body[member].as_str().unwrap_or_default();
        // A batch takes the permission of what it does many times.
        let action = format!("sqs:{}", operation.strip_suffix("Batch").unwrap_or(operation));
        match operation {
            "ListQueues" => Ok(vec![Need::new(action, "*")]),
            "CreateQueue" => {
                let arn = model::arn(&call.region, text("QueueName"));
                let tagged =
                    ["tags", "Tags"].iter().any(|it| body[it].as_object().is_some_and(|tags| !tags.is_empty()));
                let tag = tagged.then(|| Need::new("sqs:TagQueue", &arn));
                Ok(std::iter::once(Need::new(action, &arn)).chain(tag).collect())
            }
            "GetQueueUrl" => self.need(action, model::key(&call.region, text("QueueName"))).map(|need| vec![need]),
            operation if ON_A_QUEUE.contains(&operation) => {
                // What the URL lacks is told by the operation.
                let Ok(key) = queues::key_of_url(&call.region, text("QueueUrl")) else { return Ok(Vec::new()) };
                self.need(action, key).map(|need| vec![need])
            }
            // Refused by the operation.
            _ => Ok(Vec::new()),
        }
    }

    fn need(&self, action: String, key: String) -> Result<Need, ApiError> {
        let policy = self.store.read(|tx| QUEUES.get(tx, &key))?.and_then(|queue| queue.policy());
        let (region, name) = key.split_once('/').unwrap_or_default();
        Ok(Need::new(action, model::arn(region, name)).under(policy))
    }
}

fn lets_in(tx: &WriteTransaction, queue: &Queue, sender: &Sender) -> Result<bool, ApiError> {
    may_deliver(tx, sender, &Need::new("sqs:SendMessage", queue.arn()).under(queue.policy()))
}

impl Destination for Sqs {
    fn accept(&self, tx: &WriteTransaction, target: &str, sender: &Sender, message: &Message) -> Result<(), ApiError> {
        let queue = model::find_arn(tx, target)?;
        if !lets_in(tx, &queue, sender)? {
            return Err(ApiError::with_status(
                http::StatusCode::FORBIDDEN,
                "AccessDenied",
                format!("Access to the resource {target} is denied."),
            ));
        }
        if message.deduplication.is_some() {
            return Err(super::error::unsupported("FIFO queues"));
        }
        let draft = Draft {
            body: message.body.clone(),
            attributes: message.attributes.clone(),
            group: message.group.clone(),
            sender: match sender {
                Sender::Service(source) => source.principal.clone(),
                Sender::Role { arn } => arn.clone(),
            },
            ..Draft::default()
        };
        draft.check()?;
        draft.send(tx, &queue)?;
        self.gauge.sent(&queue, 1);
        Ok(())
    }

    fn wake(&self) {
        self.arrivals.notify_waiters();
    }

    fn would_accept(&self, tx: &WriteTransaction, target: &str, sender: &Sender) -> Result<bool, ApiError> {
        match model::find_arn(tx, target) {
            Ok(queue) => lets_in(tx, &queue, sender),
            Err(error) if error == no_queue() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
