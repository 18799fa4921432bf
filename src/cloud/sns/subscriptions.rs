//! Subscriptions: who is told of what is published.
//! <https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html>

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Response;
use redb::WriteTransaction;
use serde_json::{Map, Value};

use super::{
    Sns, answer, mail,
    model::{self, Protocol, SUBSCRIPTIONS, Subscription, invalid, now_ms},
    outbox::MAILS,
    params,
    topics::PAGE,
};
use crate::cloud::{
    error::ApiError,
    events::pattern::Pattern,
    query::{Params, Xml},
    service::{ACCOUNT_ID, Call},
};

/// A confirmation's token is good for so long, in milliseconds; a subscription that is not confirmed by then is
/// gone.
const TOKEN_MS: i64 = 2 * 24 * 60 * 60 * 1000;

/// The part of a filter policy's refusal that tells where it comes from.
const FILTER_POLICY: &str = "FilterPolicy";

/// Reads a filter policy: the patterns of EventBridge, over message attributes or over the body.
/// <https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html>
pub(super) fn filter_policy(text: &str) -> Result<Pattern, ApiError> {
    Pattern::parse(text).map_err(|error| invalid(format!("{FILTER_POLICY}: {}", error.reason())))
}

/// Checks an attribute as it is given; `Ok(false)` takes it away.
/// <https://docs.aws.amazon.com/sns/latest/api/API_SetSubscriptionAttributes.html>
fn check(protocol: Protocol, name: &str, value: &str) -> Result<bool, ApiError> {
    let refused = |reason: &str| Err(invalid(format!("Attributes Reason: {name}: {reason}")));
    match name {
        FILTER_POLICY | "RedrivePolicy" | "DeliveryPolicy" if value.is_empty() => Ok(false),
        // A policy without conditions lets everything through.
        FILTER_POLICY if serde_json::from_str::<Map<String, Value>>(value).is_ok_and(|map| map.is_empty()) => Ok(false),
        FILTER_POLICY => filter_policy(value).map(|_| true),
        "FilterPolicyScope" if matches!(value, "MessageAttributes" | "MessageBody") => Ok(true),
        "FilterPolicyScope" => Err(invalid(format!(
            "FilterPolicyScope: Invalid value [{value}]. Please use either MessageBody or MessageAttributes"
        ))),
        "RawMessageDelivery" if !matches!(value, "true" | "false") => Err(invalid(format!(
            "Attributes Reason: RawMessageDelivery: Invalid value [{value}]. Must be true or false."
        ))),
        "RawMessageDelivery" if value == "true" && protocol != Protocol::Sqs => Err(invalid(format!(
            "Attributes Reason: Delivery protocol [{}] does not support raw message delivery.",
            protocol.name()
        ))),
        "RawMessageDelivery" => Ok(true),
        "RedrivePolicy" => {
            let policy: Option<Map<String, Value>> = serde_json::from_str(value).ok();
            let target = policy.as_ref().and_then(|policy| policy.get("deadLetterTargetArn")?.as_str());
            match target {
                Some(target) if target.starts_with("arn:aws:sqs:") => Ok(true),
                _ => Err(invalid("RedrivePolicy: deadLetterTargetArn must be the ARN of a queue")),
            }
        }
        "DeliveryPolicy" | "SubscriptionRoleArn" | "ReplayPolicy" => {
            refused("the embedded cloud's SNS does not have this")
        }
        _ => Err(invalid("AttributeName")),
    }
}

fn change(subscription: &mut Subscription, given: &BTreeMap<String, String>) -> Result<(), ApiError> {
    for (name, value) in given {
        if check(subscription.protocol, name, value)? {
            subscription.attributes.insert(name.clone(), value.clone());
        } else {
            subscription.attributes.remove(name);
        }
    }
    Ok(())
}

fn check_endpoint(protocol: Protocol, endpoint: &str) -> Result<(), ApiError> {
    let service = |service: &str, what: &str| {
        let fits = endpoint.starts_with(&format!("arn:aws:{service}:")) && endpoint.split(':').count() >= 6;
        if fits { Ok(()) } else { Err(invalid(format!("{what} endpoint ARN"))) }
    };
    match protocol {
        Protocol::Email | Protocol::EmailJson => match endpoint.parse::<lettre::Address>() {
            Ok(_) => Ok(()),
            Err(_) => Err(invalid("Email address")),
        },
        Protocol::Sqs => service("sqs", "SQS"),
        Protocol::Lambda => service("lambda", "Lambda"),
    }
}

/// A token that cannot be guessed.
fn token() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

impl Sns {
    pub(super) async fn subscribe(&self, call: &Call, params: &Params) -> Result<Response<Bytes>, ApiError> {
        let topic_arn = params.require("TopicArn")?.to_owned();
        let protocol = Protocol::parse(params.require("Protocol")?)?;
        let endpoint = params.get("Endpoint").unwrap_or_default().to_owned();
        check_endpoint(protocol, &endpoint)?;
        let given = params::map(params, "Attributes");
        let always_arn = params.get("ReturnSubscriptionArn") == Some("true");
        let links = self.links.clone();
        let subscription = self
            .store
            .commit(move |tx| {
                let topic = model::topic(tx, &topic_arn)?;
                let present = model::subscribers(tx, &topic_arn)?
                    .into_iter()
                    .find(|it| it.protocol == protocol && it.endpoint == endpoint);
                let known = present.is_some();
                let mut subscription = present.unwrap_or_else(|| Subscription {
                    arn: format!("{topic_arn}:{}", uuid::Uuid::new_v4()),
                    topic: topic_arn.clone(),
                    protocol,
                    endpoint,
                    created: 0,
                    pending: protocol.is_mail().then(String::new),
                    // Queues and functions of the same account need no confirmation.
                    authenticated: !protocol.is_mail(),
                    unsubscribe: token(),
                    attributes: BTreeMap::new(),
                });
                let before = subscription.attributes.clone();
                change(&mut subscription, &given)?;
                if known && subscription.attributes != before {
                    return Err(invalid("Attributes Reason: Subscription already exists with different attributes"));
                }
                if subscription.pending.is_some() {
                    // Asking again sends the confirmation again.
                    let token = token();
                    subscription.created = now_ms();
                    MAILS.add(tx, &mail::confirmation(&links, &topic, &subscription, &token)?)?;
                    subscription.pending = Some(token);
                }
                SUBSCRIPTIONS.put(tx, &subscription.arn, &subscription)?;
                Ok(subscription)
            })
            .await?;
        self.outbox.wake();
        let told = match subscription.pending {
            Some(_) if !always_arn => "pending confirmation",
            _ => &subscription.arn,
        };
        answer(call, "Subscribe", Some(Xml::of(|xml| xml.text("SubscriptionArn", told))))
    }

    /// <https://docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html>
    pub(super) async fn confirm(
        &self,
        call: &Call,
        params: &Params,
        signed: bool,
    ) -> Result<Response<Bytes>, ApiError> {
        let topic = params.require("TopicArn")?.to_owned();
        let token = params.require("Token")?.to_owned();
        let arn = self
            .store
            .commit(move |tx| {
                model::topic(tx, &topic)?;
                let found = model::subscribers(tx, &topic)?;
                let found = found.into_iter().find(|it| it.pending.as_deref() == Some(&token));
                let mut subscription = found.ok_or_else(|| invalid("Token"))?;
                if now_ms() - subscription.created > TOKEN_MS {
                    return Err(invalid("Token"));
                }
                subscription.pending = None;
                subscription.authenticated = signed;
                SUBSCRIPTIONS.put(tx, &subscription.arn, &subscription)?;
                Ok(subscription.arn)
            })
            .await?;
        answer(call, "ConfirmSubscription", Some(Xml::of(|xml| xml.text("SubscriptionArn", arn))))
    }

    /// <https://docs.aws.amazon.com/sns/latest/api/API_Unsubscribe.html>
    pub(super) async fn unsubscribe(&self, call: &Call, params: &Params) -> Result<Response<Bytes>, ApiError> {
        self.end_subscription(params, None).await?;
        answer(call, "Unsubscribe", None)
    }

    /// The same by the link that a message carries.
    pub(super) async fn unsubscribe_by_link(&self, call: &Call, params: &Params) -> Result<Response<Bytes>, ApiError> {
        let token = params.require("Token")?.to_owned();
        self.end_subscription(params, Some(token)).await?;
        answer(call, "Unsubscribe", None)
    }

    async fn end_subscription(&self, params: &Params, token: Option<String>) -> Result<(), ApiError> {
        let arn = params.require("SubscriptionArn")?.to_owned();
        let parts = arn.split(':').count();
        if parts < 7 {
            return Err(invalid(format!("SubscriptionArn Reason: An ARN must have at least 6 elements, not {parts}")));
        }
        self.store
            .commit(move |tx| {
                let Some(subscription) = SUBSCRIPTIONS.get(tx, &arn)? else { return Ok(()) };
                if token.is_some_and(|token| token != subscription.unsubscribe) {
                    return Err(invalid("Token"));
                }
                if subscription.pending.is_some() {
                    return Err(invalid(
                        "SubscriptionArn Reason: a subscription that is pending confirmation cannot be deleted",
                    ));
                }
                SUBSCRIPTIONS.delete(tx, &arn)?;
                Ok(())
            })
            .await
    }

    pub(super) fn list_subscriptions(&self, call: &Call, params: &Params) -> Result<Response<Bytes>, ApiError> {
        self.subscriptions_below(call, params, "ListSubscriptions", &model::topic_arn(&call.region, ""))
    }

    pub(super) fn list_subscriptions_by_topic(
        &self,
        call: &Call,
        params: &Params,
    ) -> Result<Response<Bytes>, ApiError> {
        let topic = params.require("TopicArn")?;
        self.store.read(|tx| model::topic(tx, topic))?;
        self.subscriptions_below(call, params, "ListSubscriptionsByTopic", &format!("{topic}:"))
    }

    fn subscriptions_below(
        &self,
        call: &Call,
        params: &Params,
        action: &str,
        prefix: &str,
    ) -> Result<Response<Bytes>, ApiError> {
        let mut page = self.store.read(|tx| SUBSCRIPTIONS.scan(tx, prefix, params.get("NextToken"), PAGE + 1))?;
        let more = page.len() > PAGE;
        page.truncate(PAGE);
        let next = page.last().filter(|_| more).map(|(arn, _)| arn.clone());
        let list = Xml::of(|xml| {
            xml.list("Subscriptions", &page, |xml, (_, subscription)| {
                xml.text("SubscriptionArn", subscription.listed_arn());
                xml.text("Owner", ACCOUNT_ID);
                xml.text("Protocol", subscription.protocol.name());
                xml.text("Endpoint", &subscription.endpoint);
                xml.text("TopicArn", &subscription.topic);
            });
            xml.optional("NextToken", next);
        });
        answer(call, action, Some(list))
    }

    /// <https://docs.aws.amazon.com/sns/latest/api/API_GetSubscriptionAttributes.html>
    pub(super) fn get_subscription_attributes(
        &self,
        call: &Call,
        params: &Params,
    ) -> Result<Response<Bytes>, ApiError> {
        let arn = params.require("SubscriptionArn")?;
        let subscription = self.store.read(|tx| model::subscription(tx, arn))?;
        let mut all = subscription.attributes.clone();
        if all.contains_key(FILTER_POLICY) {
            all.entry("FilterPolicyScope".to_owned()).or_insert_with(|| "MessageAttributes".to_owned());
        }
        all.entry("RawMessageDelivery".to_owned()).or_insert_with(|| "false".to_owned());
        let mut put = |name: &str, value: String| all.insert(name.to_owned(), value);
        put("SubscriptionArn", subscription.arn.clone());
        put("TopicArn", subscription.topic.clone());
        put("Protocol", subscription.protocol.name().to_owned());
        put("Endpoint", subscription.endpoint.clone());
        put("Owner", ACCOUNT_ID.to_owned());
        put("PendingConfirmation", subscription.pending.is_some().to_string());
        put("ConfirmationWasAuthenticated", subscription.authenticated.to_string());
        put("SubscriptionPrincipal", format!("arn:aws:iam::{ACCOUNT_ID}:root"));
        let result = Xml::of(|xml| params::write_map(xml, "Attributes", &all));
        answer(call, "GetSubscriptionAttributes", Some(result))
    }

    pub(super) async fn set_subscription_attributes(
        &self,
        call: &Call,
        params: &Params,
    ) -> Result<Response<Bytes>, ApiError> {
        let arn = params.require("SubscriptionArn")?.to_owned();
        let name = params.require("AttributeName")?.to_owned();
        let value = params.get("AttributeValue").unwrap_or_default().to_owned();
        self.store
            .commit(move |tx| {
                let mut subscription = model::subscription(tx, &arn)?;
                change(&mut subscription, &BTreeMap::from([(name, value)]))?;
                Ok::<_, ApiError>(SUBSCRIPTIONS.put(tx, &arn, &subscription)?)
            })
            .await?;
        answer(call, "SetSubscriptionAttributes", None)
    }
}

/// Forgets subscriptions that were not confirmed in time.
pub(super) fn forget_unconfirmed(tx: &WriteTransaction, now: i64) -> Result<(), ApiError> {
    for (arn, subscription) in SUBSCRIPTIONS.scan(tx, "", None, usize::MAX)? {
        if subscription.pending.is_some() && now - subscription.created > TOKEN_MS {
            SUBSCRIPTIONS.delete(tx, &arn)?;
        }
    }
    Ok(())
}
