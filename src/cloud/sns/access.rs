//! What a caller needs for each action, and who may publish on a service's behalf.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsns.html>

use redb::WriteTransaction;

use super::{
    Sns,
    model::{self, TOPICS, Topic},
    params,
    publish::{Draft, publish},
    topics::tags_of,
};
use crate::cloud::{
    authorise::{Need, may_deliver},
    delivery::{Destination, Message, Sender},
    error::ApiError,
    query::Params,
    service::Call,
};

impl Sns {
    pub(super) fn needs_of(&self, call: &Call) -> Result<Vec<Need>, ApiError> {
        let params = Params::of(call);
        let action = params.action()?;
        let get = |name: &str| params.get(name).unwrap_or_default().to_owned();
        let need = |action: &str, topic: String| self.need(action, topic);
        match action {
            "ListTopics"
            | "ListSubscriptions"
            | "Unsubscribe"
            | "GetSubscriptionAttributes"
            | "SetSubscriptionAttributes" => Ok(vec![Need::new(format!("sns:{action}"), "*")]),
            "CreateTopic" => {
                let arn = model::topic_arn(&call.region, &get("Name"));
                let mut needs = vec![need(action, arn.clone())?];
                if !tags_of(&params).is_empty() {
                    needs.push(need("TagResource", arn.clone())?);
                }
                if !params::map(&params, "Attributes").is_empty() {
                    needs.push(need("SetTopicAttributes", arn)?);
                }
                Ok(needs)
            }
            "Subscribe" => {
                let need = need(action, get("TopicArn"))?;
                Ok(vec![need.with("sns:Endpoint", get("Endpoint")).with("sns:Protocol", get("Protocol"))])
            }
            "Publish" => {
                let arn = params.get("TopicArn").or(params.get("TargetArn")).unwrap_or_default();
                Ok(vec![need(action, arn.to_owned())?])
            }
            "PublishBatch" => Ok(vec![need("Publish", get("TopicArn"))?]),
            "TagResource" | "UntagResource" | "ListTagsForResource" => Ok(vec![need(action, get("ResourceArn"))?]),
            "DeleteTopic"
            | "GetTopicAttributes"
            | "SetTopicAttributes"
            | "ListSubscriptionsByTopic"
            | "ConfirmSubscription" => Ok(vec![need(action, get("TopicArn"))?]),
            // Refused by the action.
            _ => Ok(Vec::new()),
        }
    }

    fn need(&self, action: &str, topic: String) -> Result<Need, ApiError> {
        let policy = self.store.read(|tx| TOPICS.get(tx, &topic))?.map(|topic| topic.policy());
        Ok(Need::new(format!("sns:{action}"), topic).under(policy))
    }
}

fn lets_in(tx: &WriteTransaction, topic: &Topic, sender: &Sender) -> Result<bool, ApiError> {
    may_deliver(tx, sender, &Need::new("sns:Publish", topic.arn()).under(Some(topic.policy())))
}

impl Destination for Sns {
    fn accept(&self, tx: &WriteTransaction, target: &str, sender: &Sender, message: &Message) -> Result<(), ApiError> {
        let topic = model::topic(tx, target)?;
        if !lets_in(tx, &topic, sender)? {
            return Err(ApiError::with_status(
                http::StatusCode::FORBIDDEN,
                "AuthorizationError",
                format!("{sender:?} is not authorized to perform: SNS:Publish on resource: {target}"),
            ));
        }
        let published = publish(tx, &self.links, &topic, &Draft::of(message)?)?;
        self.published(&published);
        Ok(())
    }

    fn wake(&self) {
        self.outbox.wake();
    }

    fn would_accept(&self, tx: &WriteTransaction, target: &str, sender: &Sender) -> Result<bool, ApiError> {
        match TOPICS.get(tx, target)? {
            Some(topic) => lets_in(tx, &topic, sender),
            None => Ok(false),
        }
    }
}
