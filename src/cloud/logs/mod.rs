//! CloudWatch Logs: groups, streams, events. Lambda writes through [`LogSink`], clients through the API.
//!
//! Left out, and refused: JSON, regular expression and column filter patterns, KMS keys, log classes other than
//! STANDARD, deletion protection, linked accounts. <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/>

mod access;
mod events;
mod filter;
mod groups;
mod model;
mod pattern;
mod retention;
mod sink;
mod streams;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Response};
use tokio_util::sync::CancellationToken;

use super::{
    authorise::Need,
    error::ApiError,
    json,
    service::{Call, Protocol, Service},
    store::Store,
};

pub use sink::{LogLine, LogSink};

/// The service. Cheap to clone through its `Arc`.
pub struct Logs {
    store: Arc<Store>,
}

impl Logs {
    /// The service over `store`.
    pub fn new(store: Arc<Store>) -> Arc<Logs> {
        Arc::new(Logs { store })
    }

    /// Deletes what has outlived its group's retention, now and then at intervals until `stop`.
    pub async fn apply_retention(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(retention::SWEEP_INTERVAL);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            match self.store.commit(|tx| retention::sweep(tx, model::now_ms())).await {
                Ok(0) => {}
                Ok(events) => tracing::info!(events, "log events outlived their retention"),
                Err(error) => tracing::error!(%error, "retention could not be applied; it is tried again later"),
            }
        }
    }
}

#[async_trait]
impl Service for Logs {
    fn scope(&self) -> &'static str {
        "logs"
    }

    fn protocol(&self, _headers: &HeaderMap) -> Protocol {
        Protocol::Json11
    }

    fn needs(&self, call: &Call) -> Result<Vec<Need>, ApiError> {
        access::needs(call)
    }

    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError> {
        let operation = json::operation(&call)?.to_owned();
        self.dispatch(&operation, &call).await.map_err(|error| match error.code.as_str() {
            "ValidationException" => ApiError { code: "InvalidParameterException".into(), ..error },
            _ => error,
        })
    }
}

impl Logs {
    async fn dispatch(&self, operation: &str, call: &Call) -> Result<Response<Bytes>, ApiError> {
        match operation {
            "CreateLogGroup" => self.create_group(call).await,
            "DeleteLogGroup" => self.delete_group(call).await,
            "DescribeLogGroups" => self.describe_groups(call),
            "PutRetentionPolicy" => self.put_retention(call).await,
            "DeleteRetentionPolicy" => self.delete_retention(call).await,
            "TagResource" => self.tag_resource(call).await,
            "UntagResource" => self.untag_resource(call).await,
            "ListTagsForResource" => self.list_tags_for_resource(call),
            "TagLogGroup" => self.tag_group(call).await,
            "UntagLogGroup" => self.untag_group(call).await,
            "ListTagsLogGroup" => self.list_tags_of_group(call),
            "CreateLogStream" => self.create_stream(call).await,
            "DeleteLogStream" => self.delete_stream(call).await,
            "DescribeLogStreams" => self.describe_streams(call),
            "PutLogEvents" => self.put_events(call).await,
            "GetLogEvents" => self.get_events(call),
            "FilterLogEvents" => self.filter_events(call),
            other => Err(json::unknown_operation("CloudWatch Logs", other)),
        }
    }
}

#[cfg(test)]
mod tests;
