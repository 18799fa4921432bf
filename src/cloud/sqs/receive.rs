//! Receiving messages, and what a receiver does with them: delete, or change when they are seen again.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-visibility-timeout.html>

use std::{collections::HashSet, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE};
use bytes::Bytes;
use http::Response;
use redb::WriteTransaction;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::{
    Sqs,
    attributes::{VISIBILITY_SECONDS, WAIT_SECONDS},
    error::{invalid, output},
    model::{self, Place, QUEUES, Queue, Stored, now_ms},
    queues,
    send::{WireAttribute, batch_output, bury, check_batch, md5_of, md5_of_attributes, whole},
};
use crate::cloud::{error::ApiError, service::Call};

/// Most messages of one receive.
const MESSAGES: u32 = 10;
/// Messages looked at in one step.
const STEP_MESSAGES: usize = 32;
/// Longest pause of a waiting receiver between two looks, when nothing is due before.
const LONG_PAUSE: Duration = Duration::from_secs(WAIT_SECONDS as u64);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveMessage {
    queue_url: String,
    max_number_of_messages: Option<u32>,
    visibility_timeout: Option<u32>,
    wait_time_seconds: Option<u32>,
    /// The older name of the next one.
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    receive_request_attempt_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OfMessage {
    #[serde(default)]
    queue_url: String,
    #[serde(default)]
    id: String,
    receipt_handle: String,
    visibility_timeout: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    queue_url: String,
    entries: Vec<OfMessage>,
}

/// A message in the hands of a receiver.
#[derive(Debug, Clone)]
pub(super) struct Received {
    pub message: Stored,
    pub handle: String,
}

/// Takes up to `most` messages that are due, hides them for `visibility`, and moves those that were received too
/// often to the dead-letter queue. Tells too whether any were moved or had expired.
pub(super) fn take(
    tx: &WriteTransaction,
    queue: &Queue,
    most: usize,
    visibility_seconds: u32,
) -> Result<Vec<Received>, ApiError> {
    let now = now_ms();
    let retained_since = now - i64::from(queue.number("MessageRetentionPeriod")) * 1000;
    let redrive = queue.redrive();
    let dead_letters = match &redrive {
        Some(redrive) => match model::key_of_arn(&redrive.target) {
            Some(key) => QUEUES.get(tx, &key)?.map(|target| (redrive.max_receives, target)),
            None => None,
        },
        None => None,
    };
    let mut received = Vec::new();
    // A visibility of 0 s leaves a message due.
    let mut seen: HashSet<Place> = HashSet::new();
    while received.len() < most {
        let places = model::due(tx, &queue.id, now, STEP_MESSAGES)?;
        let fresh: Vec<_> = places.into_iter().filter(|place| seen.insert(place.clone())).collect();
        if fresh.is_empty() {
            break;
        }
        for place in fresh {
            if received.len() == most {
                break;
            }
            let Some(mut message) = model::get(tx, &queue.id, &place)? else { continue };
            if message.sent < retained_since {
                model::remove(tx, &queue.id, &place, &message)?;
                continue;
            }
            if let Some((max_receives, target)) = &dead_letters
                && message.receives >= *max_receives
            {
                bury(tx, queue, &place, message, target)?;
                continue;
            }
            message.receives += 1;
            message.first_received.get_or_insert(now);
            message.received = now;
            message.receipt = uuid::Uuid::new_v4().simple().to_string();
            model::postpone(tx, &queue.id, &place, &mut message, now + i64::from(visibility_seconds) * 1000)?;
            let handle = URL_SAFE.encode(format!("{} {place} {}", queue.id, message.receipt));
            received.push(Received { message, handle });
        }
    }
    Ok(received)
}

/// What a handle names.
struct Handle {
    place: Place,
    receipt: String,
}

/// Reads a handle of a message of `queue`.
fn read_handle(queue: &Queue, handle: &str) -> Result<Handle, ApiError> {
    let refusal = || {
        ApiError::client(
            "ReceiptHandleIsInvalid",
            format!("The input receipt handle \"{handle}\" is not a valid receipt handle."),
        )
    };
    let text = URL_SAFE.decode(handle).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(refusal)?;
    let mut parts = text.split(' ');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(id), Some(place), Some(receipt), None) if id == queue.id => {
            Ok(Handle { place: place.to_owned(), receipt: receipt.to_owned() })
        }
        _ => Err(refusal()),
    }
}

/// Deletes the message that `handle` is of; tells whether it did. A message that is gone is deleted already; one
/// that was received again since stays, as AWS says it may.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html>
pub(super) fn delete(tx: &WriteTransaction, queue: &Queue, handle: &str) -> Result<bool, ApiError> {
    let Handle { place, receipt } = read_handle(queue, handle)?;
    match model::get(tx, &queue.id, &place)? {
        Some(message) if message.receipt == receipt => {
            model::remove(tx, &queue.id, &place, &message)?;
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// Lets the message be seen again after `seconds` from now.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html>
fn change_visibility(tx: &WriteTransaction, queue: &Queue, handle: &str, seconds: u32) -> Result<(), ApiError> {
    check_visibility(Some(seconds))?;
    let Handle { place, receipt } = read_handle(queue, handle)?;
    let now = now_ms();
    let Some(mut message) = model::get(tx, &queue.id, &place)? else {
        return Err(invalid(
            handle,
            "ReceiptHandle",
            "Message does not exist or is not available for visibility timeout change",
        ));
    };
    if message.receipt != receipt || !message.in_flight(now) {
        return Err(ApiError::client(
            "MessageNotInflight",
            format!("The message referred to by the receipt handle {handle} isn't in flight."),
        ));
    }
    let due = now + i64::from(seconds) * 1000;
    if due - message.received > i64::from(VISIBILITY_SECONDS) * 1000 {
        return Err(invalid(
            seconds,
            "VisibilityTimeout",
            "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]",
        ));
    }
    Ok(model::postpone(tx, &queue.id, &place, &mut message, due)?)
}

fn check_visibility(seconds: Option<u32>) -> Result<(), ApiError> {
    match seconds {
        Some(seconds) if seconds > VISIBILITY_SECONDS => {
            Err(invalid(seconds, "VisibilityTimeout", "Must be between 0 and 43200, if provided"))
        }
        _ => Ok(()),
    }
}

impl ReceiveMessage {
    fn check(&self) -> Result<(), ApiError> {
        if let Some(most) = self.max_number_of_messages.filter(|most| !(1..=MESSAGES).contains(most)) {
            return Err(invalid(most, "MaxNumberOfMessages", "Must be between 1 and 10, if provided"));
        }
        if let Some(wait) = self.wait_time_seconds.filter(|wait| *wait > WAIT_SECONDS) {
            return Err(invalid(wait, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided"));
        }
        if let Some(id) = &self.receive_request_attempt_id {
            return Err(invalid(
                id,
                "ReceiveRequestAttemptId",
                "The request include parameter that is not valid for this queue type",
            ));
        }
        check_visibility(self.visibility_timeout)
    }

    fn view(&self, received: &Received) -> Value {
        let Received { message, handle } = received;
        let mut view = json!({
            "MessageId": message.id,
            "ReceiptHandle": handle,
            "MD5OfBody": md5_of(&message.body),
            "Body": message.body,
        });
        let wanted = |name: &str| {
            let mut names = self.attribute_names.iter().chain(&self.message_system_attribute_names);
            names.any(|wanted| wanted == "All" || wanted == name)
        };
        let system: Map<String, Value> =
            system_attributes(message).into_iter().filter(|(name, _)| wanted(name)).collect();
        if !system.is_empty() {
            view["Attributes"] = system.into();
        }
        let named = |name: &str| {
            self.message_attribute_names.iter().any(|wanted| match wanted.as_str() {
                "All" | ".*" => true,
                wanted => wanted.strip_suffix(".*").map_or(wanted == name, |prefix| {
                    name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                }),
            })
        };
        let chosen = || message.attributes.iter().filter(|(name, _)| named(name));
        if let Some(digest) = md5_of_attributes(chosen()) {
            view["MD5OfMessageAttributes"] = digest.into();
            let attributes: Map<String, Value> =
                chosen().map(|(name, attribute)| (name.clone(), json!(WireAttribute::of(attribute)))).collect();
            view["MessageAttributes"] = attributes.into();
        }
        view
    }
}

/// Attributes that SQS gives a message.
pub(super) fn system_attributes(message: &Stored) -> Map<String, Value> {
    let mut all = Map::new();
    let mut put = |name: &str, value: String| all.insert(name.to_owned(), value.into());
    put("SenderId", message.sender.clone());
    put("SentTimestamp", message.sent.to_string());
    put("ApproximateReceiveCount", message.receives.to_string());
    put("ApproximateFirstReceiveTimestamp", message.first_received.unwrap_or(message.received).to_string());
    if let Some(header) = &message.trace_header {
        put("AWSTraceHeader", header.clone());
    }
    if let Some(group) = &message.group {
        put("MessageGroupId", group.clone());
    }
    if let Some(source) = &message.source {
        put("DeadLetterQueueSourceArn", source.clone());
    }
    all
}

impl Sqs {
    pub(super) async fn receive_message(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let input: ReceiveMessage = super::input(call)?;
        input.check()?;
        let key = queues::key_of_url(&call.region, &input.queue_url)?;
        let most = input.max_number_of_messages.unwrap_or(1) as usize;
        let received = self.wait_for(&key, most, input.visibility_timeout, input.wait_time_seconds).await?;
        let views: Vec<_> = received.iter().map(|one| input.view(one)).collect();
        if views.is_empty() { output(&json!({})) } else { output(&json!({ "Messages": views })) }
    }

    /// Receives from the queue at `key`, waiting for messages up to `wait_seconds`: woken by what arrives and by
    /// what becomes due.
    pub(super) async fn wait_for(
        &self,
        key: &str,
        most: usize,
        visibility_seconds: Option<u32>,
        wait_seconds: Option<u32>,
    ) -> Result<Vec<Received>, ApiError> {
        let mut deadline = wait_seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
        loop {
            let mut arrival = std::pin::pin!(self.arrivals.notified());
            // What arrives from here on is not missed.
            arrival.as_mut().enable();
            let (queue, next) = self.store.read(|tx| {
                let queue = QUEUES.get(tx, key)?.ok_or_else(super::error::no_queue)?;
                let next = model::next_due(tx, &queue.id)?;
                Ok::<_, ApiError>((queue, next))
            })?;
            let now = now_ms();
            if next.is_some_and(|due| due <= now) {
                let received = self.take(key.to_owned(), most, visibility_seconds).await?;
                if !received.is_empty() {
                    self.gauge.received(&queue, received.len());
                    return Ok(received);
                }
            }
            let until = *deadline.get_or_insert_with(|| {
                Instant::now() + Duration::from_secs(queue.number("ReceiveMessageWaitTimeSeconds").into())
            });
            let pause = next.filter(|due| *due > now).map(|due| Duration::from_millis((due - now).unsigned_abs()));
            let wake = until.min(Instant::now() + pause.unwrap_or(LONG_PAUSE));
            tokio::select! {
                () = arrival => {}
                () = tokio::time::sleep_until(wake) => {}
                () = self.stop.cancelled() => return Ok(Vec::new()),
            }
            if Instant::now() >= until {
                return Ok(Vec::new());
            }
        }
    }

    async fn take(&self, key: String, most: usize, visibility: Option<u32>) -> Result<Vec<Received>, ApiError> {
        let (queue, received) = self
            .store
            .commit(move |tx| {
                let queue = QUEUES.get(tx, &key)?.ok_or_else(super::error::no_queue)?;
                let visibility = visibility.unwrap_or_else(|| queue.number("VisibilityTimeout"));
                let received = take(tx, &queue, most, visibility)?;
                Ok::<_, ApiError>((queue, received))
            })
            .await?;
        // Some may have gone to the dead-letter queue.
        if let Some(redrive) = queue.redrive() {
            self.gauge.changed_arn(redrive.target);
            self.arrivals.notify_waiters();
        }
        Ok(received)
    }

    pub(super) async fn delete_message(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let OfMessage { queue_url, receipt_handle, .. } = super::input(call)?;
        let region = call.region.clone();
        let (queue, deleted) = self
            .store
            .commit(move |tx| {
                let queue = queues::find(tx, &region, &queue_url)?;
                let deleted = delete(tx, &queue, &receipt_handle)?;
                Ok::<_, ApiError>((queue, deleted))
            })
            .await?;
        self.gauge.deleted(&queue, usize::from(deleted));
        output(&json!({}))
    }

    pub(super) async fn delete_batch(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let (queue, results) = self.batch(call, |tx, queue, entry| delete(tx, queue, &entry.receipt_handle)).await?;
        self.gauge.deleted(&queue, results.iter().filter(|(_, result)| matches!(result, Ok(true))).count());
        batch_output(results.into_iter().map(|(id, result)| (id, result.map(|_| json!({})))).collect())
    }

    pub(super) async fn change_visibility(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let OfMessage { queue_url, receipt_handle, visibility_timeout, .. } = super::input(call)?;
        let seconds = visibility_timeout.ok_or_else(|| super::error::missing("VisibilityTimeout"))?;
        let region = call.region.clone();
        let queue = self
            .store
            .commit(move |tx| {
                let queue = queues::find(tx, &region, &queue_url)?;
                change_visibility(tx, &queue, &receipt_handle, seconds)?;
                Ok::<_, ApiError>(queue)
            })
            .await?;
        self.arrived(&queue, 0);
        output(&json!({}))
    }

    pub(super) async fn change_visibility_batch(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let change = |tx: &WriteTransaction, queue: &Queue, entry: &OfMessage| {
            let seconds = entry.visibility_timeout.unwrap_or_else(|| queue.number("VisibilityTimeout"));
            change_visibility(tx, queue, &entry.receipt_handle, seconds)
        };
        let (queue, results) = self.batch(call, change).await?;
        self.arrived(&queue, 0);
        batch_output(results.into_iter().map(|(id, result)| (id, result.map(|()| json!({})))).collect())
    }

    /// Does `each` with every entry of a batch, in one transaction; each succeeds or fails by itself.
    async fn batch<T: Send + 'static>(
        &self,
        call: &Call,
        each: impl Fn(&WriteTransaction, &Queue, &OfMessage) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<(Queue, Vec<(String, Result<T, ApiError>)>), ApiError> {
        let Batch { queue_url, entries } = super::input(call)?;
        check_batch(entries.iter().map(|entry| entry.id.as_str()))?;
        let region = call.region.clone();
        self.store
            .commit(move |tx| {
                let queue = queues::find(tx, &region, &queue_url)?;
                let results: Vec<_> =
                    entries.into_iter().map(|entry| (entry.id.clone(), each(tx, &queue, &entry))).collect();
                whole(&results)?;
                Ok((queue, results))
            })
            .await
    }
}
