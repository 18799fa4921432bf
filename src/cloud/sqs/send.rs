//! Sending messages.
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>

use std::collections::{BTreeMap, HashSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::Response;
use md5::{Digest, Md5};
use redb::WriteTransaction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Sqs,
    attributes::{DELAY_SECONDS, MESSAGE_BYTES},
    error::{invalid, missing, output},
    model::{self, Queue, Stored, now_ms},
    queues,
};
use crate::cloud::{delivery::Attribute, error::ApiError, service::Call, store::StoreError};

/// Most entries of a batch.
const BATCH_ENTRIES: usize = 10;
/// Longest id of a batch's entry, in characters.
const ENTRY_ID_CHARACTERS: usize = 80;
/// Most attributes of a message.
const ATTRIBUTES: usize = 10;
/// Longest name of an attribute, in characters.
const NAME_CHARACTERS: usize = 256;
/// Longest message group id, in characters.
const GROUP_CHARACTERS: usize = 128;

/// A message attribute on the wire.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WireAttribute {
    data_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
}

impl WireAttribute {
    pub(super) fn of(attribute: &Attribute) -> WireAttribute {
        let value = Some(attribute.value.clone());
        let (string_value, binary_value) = if is_binary(attribute) { (None, value) } else { (value, None) };
        WireAttribute { data_type: attribute.data_type.clone(), string_value, binary_value }
    }

    fn read(self, name: &str) -> Result<Attribute, ApiError> {
        let refusal =
            |what: &str| ApiError::client("InvalidParameterValue", format!("The message attribute '{name}' {what}."));
        let kind = self.data_type.split('.').next().unwrap_or_default();
        let value = match (kind, self.string_value, self.binary_value) {
            ("String", Some(text), None) => text,
            ("Number", Some(text), None) if text.trim().parse::<f64>().is_ok() => text,
            ("Number", Some(_), None) => return Err(refusal("has a value that is not a number")),
            ("Binary", None, Some(data)) if STANDARD.decode(&data).is_ok() => data,
            ("String" | "Number" | "Binary", ..) => {
                return Err(refusal("must contain a non-empty message attribute value of its type"));
            }
            _ => {
                return Err(refusal(
                    "has an invalid message attribute type, the set of supported type prefixes is \
                                     Binary, Number, and String",
                ));
            }
        };
        if value.is_empty() {
            return Err(refusal("must contain a non-empty message attribute value"));
        }
        Ok(Attribute { data_type: self.data_type, value })
    }
}

fn is_binary(attribute: &Attribute) -> bool {
    attribute.data_type.split('.').next() == Some("Binary")
}

/// What SendMessage takes, alone or as an entry of a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Given {
    #[serde(default)]
    queue_url: String,
    #[serde(default)]
    id: String,
    message_body: String,
    delay_seconds: Option<u32>,
    #[serde(default)]
    message_attributes: BTreeMap<String, WireAttribute>,
    #[serde(default)]
    message_system_attributes: BTreeMap<String, WireAttribute>,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendBatch {
    queue_url: String,
    entries: Vec<Given>,
}

/// A message that has been checked, on its way into a queue.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub body: String,
    pub attributes: BTreeMap<String, Attribute>,
    pub trace_header: Option<String>,
    pub group: Option<String>,
    pub delay_seconds: Option<u32>,
    pub sender: String,
}

impl Given {
    fn check(self, sender: &str) -> Result<Draft, ApiError> {
        if self.message_deduplication_id.is_some() {
            return Err(invalid(
                self.message_deduplication_id.unwrap_or_default(),
                "MessageDeduplicationId",
                "The request include parameter that is not valid for this queue type",
            ));
        }
        let group = self.message_group_id;
        if let Some(group) = group.as_ref().filter(|group| !(1..=GROUP_CHARACTERS).contains(&group.len())) {
            return Err(invalid(group, "MessageGroupId", "MessageGroupId has 1 to 128 characters"));
        }
        if let Some(delay) = self.delay_seconds.filter(|delay| *delay > DELAY_SECONDS) {
            return Err(invalid(delay, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900"));
        }
        let mut attributes = BTreeMap::new();
        for (name, attribute) in self.message_attributes {
            let attribute = attribute.read(&name)?;
            attributes.insert(name, attribute);
        }
        let mut trace_header = None;
        for (name, attribute) in self.message_system_attributes {
            if name != "AWSTraceHeader" {
                return Err(invalid(
                    name,
                    "MessageSystemAttributes",
                    "AWSTraceHeader is the only one that can be sent",
                ));
            }
            trace_header = Some(attribute.read(&name)?.value);
        }
        let draft = Draft {
            body: self.message_body,
            attributes,
            trace_header,
            group,
            delay_seconds: self.delay_seconds,
            sender: sender.to_owned(),
        };
        draft.check()?;
        Ok(draft)
    }
}

impl Draft {
    /// Refuses what a message must not hold.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        if self.body.is_empty() {
            return Err(missing("MessageBody"));
        }
        let legal = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
        if !self.body.chars().all(legal) {
            return Err(ApiError::client(
                "InvalidMessageContents",
                "Invalid characters in the message: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to \
                 #x10FFFF are allowed.",
            ));
        }
        if self.attributes.len() > ATTRIBUTES {
            return Err(ApiError::client(
                "InvalidParameterValue",
                format!("Number of message attributes [{}] exceeds the allowed maximum [10].", self.attributes.len()),
            ));
        }
        self.attributes.keys().try_for_each(|name| check_attribute_name(name))
    }

    /// The size that limits count, in bytes: body, names, types and values.
    pub(super) fn bytes(&self) -> usize {
        let attribute = |(name, attribute): (&String, &Attribute)| {
            let value = if is_binary(attribute) { attribute.value.len() / 4 * 3 } else { attribute.value.len() };
            name.len() + attribute.data_type.len() + value
        };
        self.body.len() + self.attributes.iter().map(attribute).sum::<usize>()
    }

    /// Puts the message into the queue as part of `tx`.
    pub(super) fn send(self, tx: &WriteTransaction, queue: &Queue) -> Result<Stored, ApiError> {
        let limit = queue.number("MaximumMessageSize") as usize;
        if self.bytes() > limit {
            return Err(ApiError::client(
                "InvalidParameterValue",
                format!("One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."),
            ));
        }
        let now = now_ms();
        let delay = self.delay_seconds.unwrap_or_else(|| queue.number("DelaySeconds"));
        let message = Stored {
            id: uuid::Uuid::new_v4().to_string(),
            body: self.body,
            attributes: self.attributes,
            trace_header: self.trace_header,
            group: self.group,
            sender: self.sender,
            sent: now,
            arrived: now,
            first_received: None,
            received: 0,
            receives: 0,
            due: now + i64::from(delay) * 1000,
            receipt: String::new(),
            source: None,
        };
        model::insert(tx, &queue.id, &message)?;
        Ok(message)
    }
}

fn check_attribute_name(name: &str) -> Result<(), ApiError> {
    let folded = name.to_ascii_lowercase();
    let fits = (1..=NAME_CHARACTERS).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !folded.starts_with("aws.")
        && !folded.starts_with("amazon.");
    if fits { Ok(()) } else { Err(invalid(name, "MessageAttributes", "Invalid message attribute name")) }
}

pub(super) fn md5_of(text: &str) -> String {
    hex::encode(Md5::digest(text.as_bytes()))
}

/// The digest of message attributes; `None` without any.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-attributes-md5-message-digest-calculation>
pub(super) fn md5_of_attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a String, &'a Attribute)>,
) -> Option<String> {
    let mut md5 = Md5::new();
    let mut any = false;
    let part = |md5: &mut Md5, bytes: &[u8]| {
        md5.update(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        md5.update(bytes);
    };
    // In the order of their names, which the caller's map has.
    for (name, attribute) in attributes {
        any = true;
        part(&mut md5, name.as_bytes());
        part(&mut md5, attribute.data_type.as_bytes());
        if is_binary(attribute) {
            md5.update([2]);
            part(&mut md5, &STANDARD.decode(&attribute.value).unwrap_or_default());
        } else {
            md5.update([1]);
            part(&mut md5, attribute.value.as_bytes());
        }
    }
    any.then(|| hex::encode(md5.finalize()))
}

fn sent(message: &Stored) -> Value {
    let mut view = json!({ "MessageId": message.id, "MD5OfMessageBody": md5_of(&message.body) });
    if let Some(digest) = md5_of_attributes(&message.attributes) {
        view["MD5OfMessageAttributes"] = digest.into();
    }
    if let Some(header) = &message.trace_header {
        let attribute = Attribute { data_type: "String".into(), value: header.clone() };
        let attributes = BTreeMap::from([("AWSTraceHeader".to_owned(), attribute)]);
        view["MD5OfMessageSystemAttributes"] = md5_of_attributes(&attributes).into();
    }
    view
}

impl Sqs {
    pub(super) async fn send_message(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let mut given: Given = super::input(call)?;
        let url = std::mem::take(&mut given.queue_url);
        let draft = given.check(&call.caller.user_id)?;
        let region = call.region.clone();
        let (queue, message) = self
            .store
            .commit(move |tx| {
                let queue = queues::find(tx, &region, &url)?;
                let message = draft.send(tx, &queue)?;
                Ok::<_, ApiError>((queue, message))
            })
            .await?;
        self.arrived(&queue, 1);
        output(&sent(&message))
    }

    /// Each entry succeeds or fails by itself, but for what is wrong with the batch.
    pub(super) async fn send_batch(&self, call: &Call) -> Result<Response<Bytes>, ApiError> {
        let SendBatch { queue_url, entries } = super::input(call)?;
        check_batch(entries.iter().map(|entry| entry.id.as_str()))?;
        let sender = call.caller.user_id.clone();
        let drafts: Vec<_> =
            entries.into_iter().map(|mut entry| (std::mem::take(&mut entry.id), entry.check(&sender))).collect();
        let bytes: usize = drafts.iter().filter_map(|(_, draft)| draft.as_ref().ok()).map(Draft::bytes).sum();
        if bytes > MESSAGE_BYTES as usize {
            return Err(ApiError::client(
                "BatchRequestTooLong",
                format!("Batch requests cannot be longer than {MESSAGE_BYTES} bytes. You have sent {bytes} bytes."),
            ));
        }
        let region = call.region.clone();
        let (queue, results) = self
            .store
            .commit(move |tx| {
                let queue = queues::find(tx, &region, &queue_url)?;
                let results = drafts.into_iter().map(|(id, draft)| {
                    let stored = draft.and_then(|draft| draft.send(tx, &queue));
                    (id, stored.map(|message| sent(&message)))
                });
                let results: Vec<_> = results.collect();
                whole(&results)?;
                Ok::<_, ApiError>((queue, results))
            })
            .await?;
        self.arrived(&queue, results.iter().filter(|(_, result)| result.is_ok()).count());
        batch_output(results)
    }
}

/// Refuses a batch that is malformed as a whole.
pub(super) fn check_batch<'a>(ids: impl Iterator<Item = &'a str>) -> Result<(), ApiError> {
    let ids: Vec<_> = ids.collect();
    if ids.is_empty() {
        return Err(ApiError::client(
            "EmptyBatchRequest",
            "There should be at least one SendMessageBatchRequestEntry in the request.",
        ));
    }
    if ids.len() > BATCH_ENTRIES {
        return Err(ApiError::client(
            "TooManyEntriesInBatchRequest",
            format!("Maximum number of entries per request are 10. You have sent {}.", ids.len()),
        ));
    }
    let fits = |id: &&str| {
        (1..=ENTRY_ID_CHARACTERS).contains(&id.len())
            && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if !ids.iter().all(fits) {
        return Err(ApiError::client(
            "InvalidBatchEntryId",
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 \
             letters long.",
        ));
    }
    let mut seen = HashSet::new();
    match ids.iter().find(|id| !seen.insert(**id)) {
        Some(id) => Err(ApiError::client("BatchEntryIdsNotDistinct", format!("Id {id} repeated."))),
        None => Ok(()),
    }
}

/// Fails the transaction when an entry failed by the cloud's own fault, so that no half of it is committed.
pub(super) fn whole<T>(results: &[(String, Result<T, ApiError>)]) -> Result<(), ApiError> {
    let fault = results.iter().filter_map(|(_, result)| result.as_ref().err()).find(|it| it.status.is_server_error());
    fault.map_or(Ok(()), |error| Err(error.clone()))
}

pub(super) fn batch_output(results: Vec<(String, Result<Value, ApiError>)>) -> Result<Response<Bytes>, ApiError> {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, result) in results {
        match result {
            Ok(mut view) => {
                view["Id"] = id.into();
                successful.push(view);
            }
            Err(error) => failed.push(json!({
                "Id": id, "SenderFault": true, "Code": error.code, "Message": error.message,
            })),
        }
    }
    output(&json!({ "Successful": successful, "Failed": failed }))
}

/// A message that SQS itself moves from a queue to its dead-letter queue: what counts its age goes with it.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html>
pub(super) fn bury(
    tx: &WriteTransaction,
    source: &Queue,
    place: &str,
    message: Stored,
    target: &Queue,
) -> Result<(), StoreError> {
    model::remove(tx, &source.id, place, &message)?;
    let now = now_ms();
    let source = Some(source.arn());
    let moved = Stored { arrived: now, due: now, receipt: String::new(), source, ..message };
    model::insert(tx, &target.id, &moved).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_documented_algorithm() {
        assert_eq!(md5_of("This is a test message"), "fafb00f5732ab283681e124bf8747ed1");
        assert_eq!(md5_of_attributes(&BTreeMap::new()), None);
        // Computed by hand: length and bytes of name and type, the kind, length and bytes of the value.
        let attribute = Attribute { data_type: "String".into(), value: "v".into() };
        let mut bytes = vec![0, 0, 0, 1, b'n', 0, 0, 0, 6];
        bytes.extend_from_slice(b"String");
        bytes.extend([1, 0, 0, 0, 1, b'v']);
        let digest = md5_of_attributes(&BTreeMap::from([("n".to_owned(), attribute)]));
        assert_eq!(digest.unwrap(), hex::encode(Md5::digest(bytes)));
    }

    #[test]
    fn what_a_message_must_not_hold_is_refused() {
        let draft = |body: &str| Draft { body: body.into(), ..Draft::default() };
        assert!(draft("a\tb\u{1F600}").check().is_ok());
        assert_eq!(draft("\u{1}").check().unwrap_err().code, "InvalidMessageContents");
        assert_eq!(draft("").check().unwrap_err().code, "MissingParameter");
        for name in ["aws.x", "Amazon.x", ".x", "x.", "a..b", "a b", ""] {
            assert!(check_attribute_name(name).is_err(), "{name}");
        }
        assert!(check_attribute_name("a.b-c_1").is_ok());
    }

    #[test]
    fn a_batch_is_refused_as_a_whole_for_its_ids() {
        let code = |ids: &[&str]| check_batch(ids.iter().copied()).unwrap_err().code;
        assert_eq!(code(&[]), "EmptyBatchRequest");
        assert_eq!(code(&["a", "a"]), "BatchEntryIdsNotDistinct");
        assert_eq!(code(&["a b"]), "InvalidBatchEntryId");
        assert_eq!(code(&["x"; 11]), "TooManyEntriesInBatchRequest");
        assert!(check_batch(["a", "b"].into_iter()).is_ok());
    }
}
