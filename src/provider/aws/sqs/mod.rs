//! SQS kinds.

mod queue;
mod queue_policy;

pub(super) use queue::QueueKind;
pub(super) use queue_policy::QueuePolicyKind;

use aws_sdk_sqs::Client;

use super::error::{OrNone, failed};
use crate::provider::{ErrorKind, ProviderError};

/// The URL that every other operation takes for the queue's name.
async fn url(sqs: &Client, queue: &str) -> Result<Option<String>, ProviderError> {
    let call = sqs.get_queue_url().queue_name(queue).send().await;
    Ok(call.map_err(failed("sqs:GetQueueUrl")).or_none()?.and_then(|answer| answer.queue_url))
}

/// [`url`] of a queue that was made a moment ago.
async fn url_soon(sqs: &Client, queue: &str) -> Result<String, ProviderError> {
    let not_yet =
        || ProviderError::new(ErrorKind::NotYet, "sqs:GetQueueUrl", format!("queue {queue} is not visible yet"));
    url(sqs, queue).await?.ok_or_else(not_yet)
}
