//! Queues as Lambda's event source mappings see them: polled inside of the cloud, with the rights of the function's
//! role. <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>

use async_trait::async_trait;
use redb::WriteTransaction;
use serde_json::{Map, Value, json};

use super::{
    Sqs,
    model::{self, QUEUES},
    receive,
    send::{WireAttribute, md5_of, md5_of_attributes},
};
use crate::cloud::{
    authorise::{Need, may_deliver},
    delivery::Sender,
    error::ApiError,
    lambda::Queues,
};

/// Most messages taken in one step.
const STEP_MESSAGES: usize = 10;

fn allowed(tx: &WriteTransaction, arn: &str, role: &str, action: &str) -> Result<bool, ApiError> {
    let queue = model::find_arn(tx, arn)?;
    let sender = Sender::Role { arn: role.to_owned() };
    may_deliver(tx, &sender, &Need::new(action, arn).under(queue.policy()))
}

fn denied(role: &str, action: &str, arn: &str) -> ApiError {
    ApiError::with_status(
        http::StatusCode::FORBIDDEN,
        "AccessDenied",
        format!("{role} is not authorized to perform: {action} on resource: {arn}"),
    )
}

#[async_trait]
impl Queues for Sqs {
    fn visibility_seconds(&self, tx: &WriteTransaction, arn: &str) -> Result<Option<u32>, ApiError> {
        let Some(key) = model::key_of_arn(arn) else { return Ok(None) };
        Ok(QUEUES.get(tx, &key)?.map(|queue| queue.number("VisibilityTimeout")))
    }

    fn refusal(&self, tx: &WriteTransaction, arn: &str, role: &str) -> Result<Option<&'static str>, ApiError> {
        for action in ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"] {
            if !allowed(tx, arn, role, action)? {
                return Ok(Some(action.trim_start_matches("sqs:")));
            }
        }
        Ok(None)
    }

    async fn receive(&self, arn: &str, role: &str, most: usize, wait_seconds: u32) -> Result<Vec<Value>, ApiError> {
        let key = model::key_of_arn(arn).ok_or_else(super::error::no_queue)?;
        let (target, role) = (arn.to_owned(), role.to_owned());
        self.store
            .commit(move |tx| match allowed(tx, &target, &role, "sqs:ReceiveMessage")? {
                true => Ok(()),
                false => Err(denied(&role, "sqs:ReceiveMessage", &target)),
            })
            .await?;
        let received = self.wait_for(&key, most.min(STEP_MESSAGES), None, Some(wait_seconds)).await?;
        let region = key.split('/').next().unwrap_or_default();
        Ok(received.iter().map(|one| record(one, arn, region)).collect())
    }

    async fn delete(&self, arn: &str, role: &str, handles: Vec<String>) -> Result<(), ApiError> {
        let (target, role) = (arn.to_owned(), role.to_owned());
        let (queue, deleted) = self
            .store
            .commit(move |tx| {
                if !allowed(tx, &target, &role, "sqs:DeleteMessage")? {
                    return Err(denied(&role, "sqs:DeleteMessage", &target));
                }
                let queue = model::find_arn(tx, &target)?;
                let mut deleted = 0;
                for handle in &handles {
                    deleted += usize::from(receive::delete(tx, &queue, handle)?);
                }
                Ok((queue, deleted))
            })
            .await?;
        self.gauge.deleted(&queue, deleted);
        Ok(())
    }
}

/// A message as functions get it. <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event>
fn record(received: &receive::Received, arn: &str, region: &str) -> Value {
    let message = &received.message;
    let attributes: Map<String, Value> = message
        .attributes
        .iter()
        .map(|(name, attribute)| {
            let mut view = json!(WireAttribute::of(attribute));
            let lists = json!({ "stringListValues": [], "binaryListValues": [] });
            let small = [("StringValue", "stringValue"), ("BinaryValue", "binaryValue"), ("DataType", "dataType")];
            let mut small: Map<String, Value> =
                small.iter().filter_map(|(from, to)| Some(((*to).to_owned(), view.get_mut(*from)?.take()))).collect();
            small.extend(lists.as_object().cloned().unwrap_or_default());
            (name.clone(), small.into())
        })
        .collect();
    let mut record = json!({
        "messageId": message.id,
        "receiptHandle": received.handle,
        "body": message.body,
        "attributes": receive::system_attributes(message),
        "messageAttributes": attributes,
        "md5OfBody": md5_of(&message.body),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": region,
    });
    if let Some(digest) = md5_of_attributes(&message.attributes) {
        record["md5OfMessageAttributes"] = digest.into();
    }
    record
}
