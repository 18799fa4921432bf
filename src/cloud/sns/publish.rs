//! Publishing. <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use http::Response;
use redb::WriteTransaction;
use serde_json::{Map, Value};

use super::{
    Sns, answer,
    envelope::{Links, Notification, timestamp},
    mail,
    model::{self, Protocol, Subscription, Topic, invalid},
    outbox::{DELIVERIES, DeadLetter, Delivery, MAILS},
    params,
    subscriptions::filter_policy,
};
use crate::cloud::{
    delivery::{Attribute, Message},
    error::ApiError,
    query::{Params, Xml},
    service::Call,
};

/// Largest message with its attributes, in bytes.
pub(super) const MESSAGE_BYTES: usize = 256 * 1024;
/// Longest subject, in characters.
const SUBJECT_CHARACTERS: usize = 100;
/// Most entries of a batch.
const BATCH_ENTRIES: usize = 10;
/// Longest id of a batch's entry, in characters.
const ENTRY_ID_CHARACTERS: usize = 80;

/// A message that has been checked.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    /// For every protocol that has none of its own.
    text: String,
    /// By protocol's name.
    texts: BTreeMap<String, String>,
    subject: Option<String>,
    attributes: BTreeMap<String, Attribute>,
    group: Option<String>,
}

impl Draft {
    /// The message that another service sends.
    pub(super) fn of(message: &Message) -> Result<Draft, ApiError> {
        let draft = Draft {
            text: message.body.clone(),
            texts: BTreeMap::new(),
            subject: message.subject.clone(),
            attributes: message.attributes.clone(),
            group: message.group.clone(),
        };
        draft.check()?;
        Ok(draft)
    }

    /// The message in the parameters below `prefix`.
    fn read(params: &Params, prefix: &str) -> Result<Draft, ApiError> {
        let get = |name: &str| params.get(&format!("{prefix}{name}"));
        if get("MessageDeduplicationId").is_some() {
            return Err(invalid(
                "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid \
                 for this topic type",
            ));
        }
        let message = get("Message").unwrap_or_default();
        let (text, texts) = match get("MessageStructure") {
            None | Some("") => (message.to_owned(), BTreeMap::new()),
            Some("json") => by_protocol(message)?,
            Some(_) => return Err(invalid("MessageStructure")),
        };
        let draft = Draft {
            text,
            texts,
            subject: get("Subject").map(str::to_owned),
            attributes: params::message_attributes(params, prefix)?,
            group: get("MessageGroupId").map(str::to_owned),
        };
        draft.check()?;
        Ok(draft)
    }

    fn check(&self) -> Result<(), ApiError> {
        if self.text.is_empty() {
            return Err(invalid("Empty message"));
        }
        if self.bytes() > MESSAGE_BYTES {
            return Err(invalid("Message too long"));
        }
        let fits = |subject: &String| {
            subject.len() <= SUBJECT_CHARACTERS
                && subject.chars().all(|c| c == ' ' || c.is_ascii_graphic())
                && subject.starts_with(|c: char| c.is_ascii_graphic())
        };
        if self.subject.as_ref().is_some_and(|subject| !fits(subject)) {
            return Err(invalid("Subject"));
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let attribute =
            |(name, attribute): (&String, &Attribute)| name.len() + attribute.data_type.len() + attribute.value.len();
        let texts = self.text.len() + self.texts.values().map(String::len).sum::<usize>();
        texts + self.attributes.iter().map(attribute).sum::<usize>()
    }

    fn text_for(&self, protocol: Protocol) -> &str {
        self.texts.get(protocol.name()).unwrap_or(&self.text)
    }

    /// Attributes as filter policies see them.
    fn filterable(&self) -> Value {
        let value = |attribute: &Attribute| match attribute.data_type.as_str() {
            "String.Array" => serde_json::from_str(&attribute.value).ok(),
            kind if kind.starts_with("Number") => serde_json::from_str(attribute.value.trim()).ok(),
            kind if kind.starts_with("String") => Some(attribute.value.clone().into()),
            _ => None,
        };
        let attributes = self.attributes.iter().filter_map(|(name, it)| Some((name.clone(), value(it)?)));
        Value::Object(attributes.collect())
    }

    /// Whether the subscription's filter policy lets the message through.
    fn passes(&self, subscription: &Subscription) -> bool {
        let Some(policy) = subscription.attributes.get("FilterPolicy") else { return true };
        let Ok(pattern) = filter_policy(policy) else { return false };
        if subscription.attributes.get("FilterPolicyScope").is_some_and(|scope| scope == "MessageBody") {
            let body: Option<Map<String, Value>> = serde_json::from_str(self.text_for(subscription.protocol)).ok();
            return body.is_some_and(|body| pattern.matches(&Value::Object(body)));
        }
        pattern.matches(&self.filterable())
    }
}

/// `MessageStructure` `json`: a text for each protocol.
fn by_protocol(message: &str) -> Result<(String, BTreeMap<String, String>), ApiError> {
    let failed = || invalid("Message Structure - JSON message body failed to parse");
    let all: Map<String, Value> = serde_json::from_str(message).map_err(|_| failed())?;
    let mut texts: BTreeMap<String, String> =
        all.into_iter().filter_map(|(name, text)| Some((name, text.as_str()?.to_owned()))).collect();
    let default = texts.remove("default");
    let default = default.ok_or_else(|| invalid("Message Structure - No default entry in JSON message body"))?;
    Ok((default, texts))
}

/// What publishing did.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub topic: String,
    pub id: String,
    bytes: usize,
    filtered: usize,
}

/// Writes what every subscriber gets, as part of `tx`.
pub(super) fn publish(
    tx: &WriteTransaction,
    links: &Links,
    topic: &Topic,
    draft: &Draft,
) -> Result<Published, ApiError> {
    let arn = topic.arn();
    let notification = Notification {
        id: uuid::Uuid::new_v4().to_string(),
        topic: arn.clone(),
        subject: draft.subject.clone(),
        attributes: draft.attributes.clone(),
        timestamp: timestamp(),
        signature_version: topic.attributes.get("SignatureVersion").cloned().unwrap_or_else(|| "1".into()),
    };
    let mut filtered = 0;
    for subscription in model::subscribers(tx, &arn)? {
        if subscription.pending.is_some() {
            continue;
        }
        if !draft.passes(&subscription) {
            filtered += 1;
            continue;
        }
        hand_over(tx, links, topic, &subscription, &notification, draft)?;
    }
    Ok(Published { topic: arn, id: notification.id, bytes: draft.bytes(), filtered })
}

fn hand_over(
    tx: &WriteTransaction,
    links: &Links,
    topic: &Topic,
    subscription: &Subscription,
    notification: &Notification,
    draft: &Draft,
) -> Result<(), ApiError> {
    let text = draft.text_for(subscription.protocol);
    let enveloped =
        || Message { group: draft.group.clone(), ..Message::text(notification.envelope(links, subscription, text)) };
    let message = match subscription.protocol {
        Protocol::Email | Protocol::EmailJson => {
            let mut mail = mail::notification(links, topic, subscription, notification, text)?;
            mail.dead = subscription.dead_letters().map(|queue| DeadLetter { queue, message: enveloped() });
            return Ok(MAILS.add(tx, &mail)?);
        }
        Protocol::Sqs if subscription.flag("RawMessageDelivery") => Message {
            body: text.to_owned(),
            attributes: draft.attributes.clone(),
            group: draft.group.clone(),
            ..Message::default()
        },
        Protocol::Sqs => enveloped(),
        Protocol::Lambda => Message::text(notification.event(links, subscription, text)),
    };
    let dead = subscription.dead_letters().map(|queue| {
        let message = if subscription.protocol == Protocol::Sqs { message.clone() } else { enveloped() };
        DeadLetter { queue, message }
    });
    let delivery = Delivery { topic: topic.arn(), endpoint: subscription.endpoint.clone(), message, dead };
    Ok(DELIVERIES.add(tx, &delivery)?)
}

impl Sns {
    /// Wakes those who deliver, and counts.
    pub(super) fn published(&self, published: &Published) {
        self.outbox.wake();
        self.outbox.record(&published.topic, "NumberOfMessagesPublished", 1.0, "Count");
        self.outbox.record(&published.topic, "PublishSize", published.bytes as f64, "Bytes");
        if published.filtered > 0 {
            let filtered = published.filtered as f64;
            self.outbox.record(&published.topic, "NumberOfNotificationsFilteredOut", filtered, "Count");
        }
    }

    pub(super) async fn publish(&self, call: &Call, params: &Params) -> Result<Response<Bytes>, ApiError> {
        if params.get("PhoneNumber").is_some() {
            return Err(invalid("PhoneNumber: the embedded cloud's SNS sends no text messages"));
        }
        let arn = params.get("TopicArn").or(params.get("TargetArn")).unwrap_or_default();
        if arn.is_empty() {
            return Err(invalid("TopicArn or TargetArn Reason: no value for required parameter"));
        }
        let arn = arn.to_owned();
        let draft = Draft::read(params, "")?;
        let links = self.links.clone();
        let published = self.store.commit(move |tx| publish(tx, &links, &model::topic(tx, &arn)?, &draft)).await?;
        self.published(&published);
        answer(call, "Publish", Some(Xml::of(|xml| xml.text("MessageId", &published.id))))
    }

    /// Each entry succeeds or fails by itself, but for what is wrong with the batch.
    /// <https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html>
    pub(super) async fn publish_batch(&self, call: &Call, params: &Params) -> Result<Response<Bytes>, ApiError> {
        let arn = params.require("TopicArn")?.to_owned();
        let entries = params.records("PublishBatchRequestEntries", ["Id", "Message"]);
        let ids: Vec<String> = entries.iter().map(|[id, _]| id.unwrap_or_default().to_owned()).collect();
        check_batch(&ids)?;
        let drafts: Vec<_> = (1..=ids.len())
            .map(|number| Draft::read(params, &format!("PublishBatchRequestEntries.member.{number}.")))
            .collect();
        let bytes: usize = drafts.iter().filter_map(|draft| draft.as_ref().ok()).map(Draft::bytes).sum();
        if bytes > MESSAGE_BYTES {
            return Err(ApiError::client(
                "BatchRequestTooLong",
                format!("Batch requests cannot be longer than {MESSAGE_BYTES} bytes. You have sent {bytes} bytes."),
            ));
        }
        let links = self.links.clone();
        let results = self
            .store
            .commit(move |tx| {
                let topic = model::topic(tx, &arn)?;
                let mut results = Vec::with_capacity(drafts.len());
                for draft in drafts {
                    results.push(match draft {
                        Ok(draft) => Ok(publish(tx, &links, &topic, &draft)?),
                        Err(error) => Err(error),
                    });
                }
                Ok::<_, ApiError>(results)
            })
            .await?;
        results.iter().flatten().for_each(|published| self.published(published));
        let result = Xml::of(|xml| {
            let named = || ids.iter().zip(&results);
            xml.list("Successful", named().filter_map(|(id, it)| Some((id, it.as_ref().ok()?))), |xml, (id, it)| {
                xml.text("Id", id);
                xml.text("MessageId", &it.id);
            });
            xml.list("Failed", named().filter_map(|(id, it)| Some((id, it.as_ref().err()?))), |xml, (id, error)| {
                xml.text("Id", id);
                xml.text("Code", &error.code);
                xml.text("Message", &error.message);
                xml.text("SenderFault", "true");
            });
        });
        answer(call, "PublishBatch", Some(result))
    }
}

fn check_batch(ids: &[String]) -> Result<(), ApiError> {
    if ids.is_empty() {
        return Err(ApiError::client("EmptyBatchRequest", "The batch request doesn't contain any entries."));
    }
    if ids.len() > BATCH_ENTRIES {
        return Err(ApiError::client(
            "TooManyEntriesInBatchRequest",
            "The batch request contains more entries than permissible.",
        ));
    }
    let fits = |id: &String| {
        (1..=ENTRY_ID_CHARACTERS).contains(&id.len())
            && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if !ids.iter().all(fits) {
        return Err(ApiError::client(
            "InvalidBatchEntryId",
            "The Id of a batch entry in a batch request doesn't abide by the specification.",
        ));
    }
    let mut seen = HashSet::new();
    if !ids.iter().all(|id| seen.insert(id)) {
        return Err(ApiError::client(
            "BatchEntryIdsNotDistinct",
            "Two or more batch entries in the request have the same Id.",
        ));
    }
    Ok(())
}
