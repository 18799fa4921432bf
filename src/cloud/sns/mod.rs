//! SNS: standard topics, with subscriptions by mail, queue and function.
//!
//! | file | what |
//! |---|---|
//! | `topics`, `subscriptions` | topics, who is told, and what is set on both |
//! | `publish`, `envelope` | messages and the documents that subscribers get |
//! | `outbox`, `mail` | what is on its way, and how it gets there |
//! | `access` | permissions, and messages that other services publish |
//! | `model`, `params` | what is kept, and the query protocol's maps |
//!
//! What a publish has been answered for is delivered at least once, over restarts, or goes to the subscription's
//! dead-letter queue. FIFO topics, other protocols, KMS keys, delivery logging, archives and data protection are
//! refused. <https://docs.aws.amazon.com/sns/latest/api/>

mod access;
mod envelope;
mod mail;
mod model;
mod outbox;
mod params;
mod publish;
mod subscriptions;
mod topics;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Response, Uri};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    authorise::Need,
    delivery::Exchange,
    error::ApiError,
    meter::Meter,
    query::{self, Namespace, Params, Xml},
    service::{Call, Caller, Protocol, Service},
    store::{Store, StoreError},
};
use envelope::Links;
use mail::Post;
use outbox::Outbox;

pub use mail::{SmtpRelay, SmtpTls, SmtpUser};

const VERSION: &str = "2010-03-31";
const NAMESPACE: Namespace = Namespace("http://sns.amazonaws.com/doc/2010-03-31/");

/// What SNS is started with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The cloud's own URL, which links in messages begin with.
    pub endpoint: String,
    /// Where mail is sent besides its files; without a relay there are the files alone.
    pub smtp: Option<SmtpRelay>,
}

/// The service.
pub struct Sns {
    store: Arc<Store>,
    links: Links,
    outbox: Arc<Outbox>,
    _stop_when_dropped: DropGuard,
}

impl Sns {
    /// Starts the service over `store`, with what is still on its way. Needs a tokio runtime.
    pub fn start(
        store: Arc<Store>,
        options: Options,
        exchange: Arc<Exchange>,
        meter: Meter,
    ) -> Result<Arc<Sns>, StoreError> {
        let folder = store.folder().join("mail");
        let post = Post::new(folder.clone(), options.smtp.as_ref())
            .map_err(|source| StoreError::Io { path: folder, source })?;
        let stop = CancellationToken::new();
        let outbox = Outbox::new(Arc::clone(&store), exchange, meter, post, stop.clone());
        tokio::spawn(Arc::clone(&outbox).run_services());
        tokio::spawn(Arc::clone(&outbox).run_mails());
        tokio::spawn(Arc::clone(&outbox).run_forgetting());
        let links = Links { endpoint: options.endpoint };
        Ok(Arc::new(Sns { store, links, outbox, _stop_when_dropped: stop.drop_guard() }))
    }

    /// Ends what runs beside the requests; what is on its way stays for the next start.
    pub fn stop(&self) {
        self.outbox.stop.cancel();
    }
}

fn answer(call: &Call, action: &str, result: Option<Xml>) -> Result<Response<Bytes>, ApiError> {
    query::answer(call, NAMESPACE, action, result)
}

#[async_trait]
impl Service for Sns {
    fn scope(&self) -> &'static str {
        "sns"
    }

    fn protocol(&self, _headers: &HeaderMap) -> Protocol {
        Protocol::Query
    }

    fn needs(&self, call: &Call) -> Result<Vec<Need>, ApiError> {
        self.needs_of(call)
    }

    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError> {
        let params = Params::of(&call);
        let (call, params) = (&call, &params);
        match params.action()? {
            "CreateTopic" => self.create_topic(call, params).await,
            "DeleteTopic" => self.delete_topic(call, params).await,
            "ListTopics" => self.list_topics(call, params),
            "GetTopicAttributes" => self.get_topic_attributes(call, params),
            "SetTopicAttributes" => self.set_topic_attributes(call, params).await,
            "TagResource" => self.tag_resource(call, params).await,
            "UntagResource" => self.untag_resource(call, params).await,
            "ListTagsForResource" => self.list_tags(call, params),
            "Subscribe" => self.subscribe(call, params).await,
            "ConfirmSubscription" => self.confirm(call, params, true).await,
            "Unsubscribe" => self.unsubscribe(call, params).await,
            "ListSubscriptions" => self.list_subscriptions(call, params),
            "ListSubscriptionsByTopic" => self.list_subscriptions_by_topic(call, params),
            "GetSubscriptionAttributes" => self.get_subscription_attributes(call, params),
            "SetSubscriptionAttributes" => self.set_subscription_attributes(call, params).await,
            "Publish" => self.publish(call, params).await,
            "PublishBatch" => self.publish_batch(call, params).await,
            action => Err(query::unknown_action(action, VERSION)),
        }
    }

    /// The links of mails and messages: confirming and ending a subscription, each with its token.
    async fn follow(&self, link: &Uri, request_id: &str) -> Option<Result<Response<Bytes>, ApiError>> {
        let call = Call {
            caller: Caller { arn: "anonymous".into(), user_id: "anonymous".into() },
            region: String::new(),
            request_id: request_id.to_owned(),
            method: http::Method::GET,
            uri: link.clone(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        let params = Params::of(&call);
        match params.get("Action") {
            Some("ConfirmSubscription") => Some(self.confirm(&call, &params, false).await),
            Some("Unsubscribe") => Some(self.unsubscribe_by_link(&call, &params).await),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
