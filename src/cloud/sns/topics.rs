//! Topics: making, naming, listing, changing and deleting them.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Map, Value};

use super::{
    Sns, answer,
    model::{self, SUBSCRIPTIONS, TOPICS, Topic, invalid, topic_arn},
    params,
};
use crate::cloud::{
    error::ApiError,
    query::{Params, Xml},
    service::{ACCOUNT_ID, Call},
};

/// Topics and subscriptions of one page.
pub(super) const PAGE: usize = 100;
/// Longest name of a topic, in characters.
const NAME_CHARACTERS: usize = 256;
/// Longest display name, in characters.
const DISPLAY_NAME_CHARACTERS: usize = 100;
/// Largest policy, in bytes.
const POLICY_BYTES: usize = 30 * 1024;
/// Most tags of a topic.
const TAGS: usize = 50;
/// Longest key of a tag, in characters.
const TAG_KEY_CHARACTERS: usize = 128;
/// Longest value of a tag, in characters.
const TAG_VALUE_CHARACTERS: usize = 256;

/// Comes after every ARN of a topic's subscriptions.
const PAST_COLON: char = ';';

/// How HTTP subscribers would be retried: what every topic says until told otherwise.
const DELIVERY_POLICY: &str = r#"{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":20,"maxDelayTarget":20,"numRetries":3,"numMaxDelayRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"},"disableSubscriptionOverrides":false,"defaultRequestPolicy":{"headerContentType":"text/plain; charset=UTF-8"}}}"#;

/// Checks an attribute as it is given. `Ok(false)` for a value that asks for what there is anyway.
/// <https://docs.aws.amazon.com/sns/latest/api/API_SetTopicAttributes.html>
fn check(name: &str, value: &str) -> Result<bool, ApiError> {
    let refused = |reason: &str| Err(invalid(format!("Attributes Reason: {name}: {reason}")));
    match name {
        "DisplayName" if value.chars().count() > DISPLAY_NAME_CHARACTERS || value.contains(char::is_control) => {
            refused("has at most 100 characters, none of them a control character")
        }
        "DisplayName" => Ok(true),
        "Policy" => {
            let document: Option<Map<String, Value>> = serde_json::from_str(value).ok();
            let statements = document.as_ref().and_then(|document| document.get("Statement"));
            let fits = statements.is_some_and(|it| it.is_object() || it.is_array()) && value.len() <= POLICY_BYTES;
            if fits { Ok(true) } else { Err(invalid("Policy Error: null")) }
        }
        "SignatureVersion" if matches!(value, "1" | "2") => Ok(true),
        "SignatureVersion" => refused("must be 1 or 2"),
        "TracingConfig" if value == "PassThrough" => Ok(true),
        "FifoTopic" | "ContentBasedDeduplication" if value == "false" => Ok(false),
        "KmsMasterKeyId" | "DeliveryPolicy" | "ArchivePolicy" if value.is_empty() => Ok(false),
        "TracingConfig"
        | "FifoTopic"
        | "ContentBasedDeduplication"
        | "KmsMasterKeyId"
        | "DeliveryPolicy"
        | "ArchivePolicy"
        | "FifoThroughputScope" => refused("the embedded cloud's SNS does not have this"),
        _ if name.ends_with("FeedbackRoleArn") || name.ends_with("FeedbackSampleRate") => {
            refused("the embedded cloud's SNS does not log deliveries")
        }
        _ => Err(invalid("AttributeName")),
    }
}

fn change(topic: &mut Topic, given: BTreeMap<String, String>) -> Result<(), ApiError> {
    for (name, value) in given {
        if check(&name, &value)? {
            topic.attributes.insert(name, value);
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), ApiError> {
    if name.ends_with(".fifo") {
        return Err(invalid("Topic Name: the embedded cloud's SNS has no FIFO topics"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=NAME_CHARACTERS).contains(&name.len()) && name.chars().all(fits) {
        return Ok(());
    }
    Err(invalid("Topic Name"))
}

pub(super) fn tags_of(params: &Params) -> BTreeMap<String, String> {
    let tags = params.records("Tags", ["Key", "Value"]);
    tags.into_iter()
        .map(|[key, value]| (key.unwrap_or_default().to_owned(), value.unwrap_or_default().to_owned()))
        .collect()
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
    if tags.len() > TAGS {
        return Err(ApiError::client(
            "TagLimitExceeded",
            format!("Could not complete request: tag quota of per resource exceeded ({TAGS})"),
        ));
    }
    let fits = |(key, value): (&String, &String)| {
        (1..=TAG_KEY_CHARACTERS).contains(&key.chars().count()) && value.chars().count() <= TAG_VALUE_CHARACTERS
    };
    match tags.iter().find(|tag| !fits(*tag)) {
        Some((key, _)) => Err(invalid(format!(
            "Tags Reason: the tag `{key}` has a key of 1 to 128 and a value of 0 to 256 characters"
        ))),
        None => Ok(()),
    }
}

fn no_resource() -> ApiError {
    ApiError::with_status(StatusCode::NOT_FOUND, "ResourceNotFound", "Resource does not exist")
}

impl Sns {
    /// <https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html>
    pub(super) async fn create_topic(&self, call: &Call, params: &Params) -> Result<Response<Bytes>, ApiError> {
        let name = params.require("Name")?.to_owned();
        check_name(&name)?;
        if params.get("DataProtectionPolicy").is_some_and(|policy| !policy.is_empty()) {
            return Err(invalid("DataProtectionPolicy: the embedded cloud's SNS does not have this"));
        }
        let (given, tags) = (params::map(params, "Attributes"), tags_of(params));
        check_tags(&tags)?;
        let arn = topic_arn(&call.region, &name);
        let (key, region) = (arn.clone(), call.region.clone());
        self.store
            .commit(move |tx| {
                let mut topic = Topic { region, name, attributes: BTreeMap::new(), tags };
                change(&mut topic, given)?;
                let Some(present) = TOPICS.get(tx, &key)? else { return Ok(TOPICS.put(tx, &key, &topic)?) };
                if topic.attributes.iter().any(|(name, value)| present.attributes.get(name) != Some(value)) {
                    return Err(invalid("Attributes Reason: Topic already exists with different attributes"));
                }
                if !topic.tags.is_empty() && topic.tags != present.tags {
                    return Err(invalid("Tags Reason: Topic already exists with different tags"));
                }
                Ok(())
            })
            .await?;
        answer(call, "CreateTopic", Some(Xml::of(|xml| xml.text("TopicArn", arn))))
    }

    /// Deletes a topic with its subscriptions; one that is gone is deleted already.
    pub(super) async fn delete_topic(&self, call: &Call, params: &Params) -> Result<Response<Bytes>, ApiError> {
        let arn = params.require("TopicArn")?.to_owned();
        self.store
            .commit(move |tx| {
                TOPICS.delete(tx, &arn)?;
                SUBSCRIPTIONS.delete_range(tx, &format!("{arn}:"), &format!("{arn}{PAST_COLON}"))?;
                Ok::<_, ApiError>(())
            })
            .await?;
        answer(call, "DeleteTopic", None)
    }

    pub(super) fn list_topics(&self, call: &Call, params: &Params) -> Result<Response<Bytes>, ApiError> {
        let prefix = topic_arn(&call.region, "");
        let mut topics = self.store.read(|tx| TOPICS.scan(tx, &prefix, params.get("NextToken"), PAGE + 1))?;
        let more = topics.len() > PAGE;
        topics.truncate(PAGE);
        let next = topics.last().filter(|_| more).map(|(arn, _)| arn.clone());
        let list = Xml::of(|xml| {
            xml.list("Topics", &topics, |xml, (arn, _)| xml.text("TopicArn", arn));
            xml.optional("NextToken", next);
        });
        answer(call, "ListTopics", Some(list))
    }

    /// <https://docs.aws.amazon.com/sns/latest/api/API_GetTopicAttributes.html>
    pub(super) fn get_topic_attributes(&self, call: &Call, params: &Params) -> Result<Response<Bytes>, ApiError> {
        let arn = params.require("TopicArn")?;
        let (topic, subscriptions) =
            self.store.read(|tx| Ok::<_, ApiError>((model::topic(tx, arn)?, model::subscribers(tx, arn)?)))?;
        let pending = subscriptions.iter().filter(|subscription| subscription.pending.is_some()).count();
        let mut all = topic.attributes.clone();
        let mut put = |name: &str, value: String| all.insert(name.to_owned(), value);
        put("TopicArn", topic.arn());
        put("Owner", ACCOUNT_ID.to_owned());
        put("Policy", topic.policy());
        put("DisplayName", topic.attributes.get("DisplayName").cloned().unwrap_or_default());
        put("SubscriptionsPending", pending.to_string());
        put("SubscriptionsConfirmed", (subscriptions.len() - pending).to_string());
        // Deleted ones are forgotten at once; AWS counts them for a while.
        put("SubscriptionsDeleted", "0".to_owned());
        put("EffectiveDeliveryPolicy", DELIVERY_POLICY.to_owned());
        let result = Xml::of(|xml| params::write_map(xml, "Attributes", &all));
        answer(call, "GetTopicAttributes", Some(result))
    }

    pub(super) async fn set_topic_attributes(&self, call: &Call, params: &Params) -> Result<Response<Bytes>, ApiError> {
        let name = params.require("AttributeName")?.to_owned();
        let value = params.get("AttributeValue").unwrap_or_default().to_owned();
        self.change_topic(params.require("TopicArn")?, model::no_topic, |topic| {
            change(topic, BTreeMap::from([(name, value)]))
        })
        .await?;
        answer(call, "SetTopicAttributes", None)
    }

    pub(super) async fn tag_resource(&self, call: &Call, params: &Params) -> Result<Response<Bytes>, ApiError> {
        let tags = tags_of(params);
        self.change_topic(params.require("ResourceArn")?, no_resource, |topic| {
            topic.tags.extend(tags);
            check_tags(&topic.tags)
        })
        .await?;
        answer(call, "TagResource", Some(Xml::default()))
    }

    pub(super) async fn untag_resource(&self, call: &Call, params: &Params) -> Result<Response<Bytes>, ApiError> {
        let keys: Vec<String> = params.list("TagKeys").into_iter().map(str::to_owned).collect();
        self.change_topic(params.require("ResourceArn")?, no_resource, move |topic| {
            topic.tags.retain(|key, _| !keys.contains(key));
            Ok(())
        })
        .await?;
        answer(call, "UntagResource", Some(Xml::default()))
    }

    pub(super) fn list_tags(&self, call: &Call, params: &Params) -> Result<Response<Bytes>, ApiError> {
        let arn = params.require("ResourceArn")?;
        let topic = self.store.read(|tx| TOPICS.get(tx, arn))?.ok_or_else(no_resource)?;
        let list = Xml::of(|xml| {
            xml.list("Tags", &topic.tags, |xml, (key, value)| {
                xml.text("Key", key);
                xml.text("Value", value);
            });
        });
        answer(call, "ListTagsForResource", Some(list))
    }

    async fn change_topic(
        &self,
        arn: &str,
        missing: fn() -> ApiError,
        change: impl FnOnce(&mut Topic) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<(), ApiError> {
        let arn = arn.to_owned();
        self.store
            .commit(move |tx| {
                let mut topic = TOPICS.get(tx, &arn)?.ok_or_else(missing)?;
                change(&mut topic)?;
                Ok(TOPICS.put(tx, &arn, &topic)?)
            })
            .await
    }
}
