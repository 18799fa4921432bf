//! `aws:sqs:Queue`.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_sdk_sqs::{Client, types::QueueAttributeName as Attribute};
use serde_json::json;

use super::{url, url_soon};
use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, incomplete, parent_not_yet, taken_up},
            fields::{begins_with, fields, inputs},
        },
    },
    resource::{Fields, Resource, Schema, aws::sqs::Queue},
};

/// Queues that one answer tells; where nobody says, SQS tells that many and no more
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListQueues.html>).
const QUEUES_A_PAGE: i32 = 1000;

pub(in crate::provider::aws) struct QueueKind {
    sqs: Client,
}

/// What a queue's attributes tell.
type Attributes = HashMap<Attribute, String>;

impl QueueKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        QueueKind { sqs: clients.sqs.clone() }
    }

    async fn attributes(&self, url: &str) -> Result<Attributes, ProviderError> {
        let call = self.sqs.get_queue_attributes().queue_url(url).attribute_names(Attribute::All);
        let answer = call.send().await.map_err(failed("sqs:GetQueueAttributes"))?;
        Ok(answer.attributes.unwrap_or_default())
    }

    async fn put_tags(&self, url: &str, tags: &Tags) -> Result<(), ProviderError> {
        let call = self.sqs.tag_queue().queue_url(url).set_tags(Some(tags.clone().into_iter().collect()));
        call.send().await.map_err(failed("sqs:TagQueue")).map(drop)
    }

    async fn outputs(&self, name: &str, url: &str) -> Result<Fields, ProviderError> {
        outputs(name, url, &self.attributes(url).await.map_err(parent_not_yet)?)
    }

    async fn make(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        const OPERATION: &str = "sqs:CreateQueue";
        let call = self
            .sqs
            .create_queue()
            .queue_name(target.identity)
            .set_attributes(Some(settings(target)?))
            .set_tags(Some(tags.clone().into_iter().collect()));
        let answer = call.send().await.map_err(failed(OPERATION))?;
        let url = answer.queue_url.ok_or_else(|| incomplete(OPERATION, "QueueUrl"))?;
        self.outputs(target.identity, &url).await
    }
}

#[async_trait]
impl Kind for QueueKind {
    fn schema(&self) -> &'static Schema {
        Queue::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let Some(url) = url(&self.sqs, target.identity).await? else { return Ok(None) };
        // A queue that is being deleted keeps its URL for a while.
        let Some(attributes) = self.attributes(&url).await.or_none()? else { return Ok(None) };
        let call = self.sqs.list_queue_tags().queue_url(&url).send().await;
        let Some(tags) = call.map_err(failed("sqs:ListQueueTags")).or_none()? else { return Ok(None) };
        let seconds = |name| attributes.get(&name).and_then(|value: &String| value.parse::<u32>().ok());
        Ok(Some(Observed {
            inputs: fields(json!({
                "visibility_timeout_seconds": seconds(Attribute::VisibilityTimeout),
                "retention_seconds": seconds(Attribute::MessageRetentionPeriod),
            })),
            outputs: outputs(target.identity, &url, &attributes)?,
            tags: tags.tags.into_iter().flatten().collect(),
        }))
    }

    /// A queue's name is the end of its URL.
    async fn list(&self, prefix: &str) -> Result<Option<Vec<String>>, ProviderError> {
        let call = self.sqs.list_queues().set_queue_name_prefix(begins_with(prefix)).max_results(QUEUES_A_PAGE);
        let mut pages = call.into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(url) = pages.next().await {
            let url = url.map_err(failed("sqs:ListQueues"))?;
            names.extend(url.rsplit('/').next().map(str::to_owned));
        }
        Ok(Some(names))
    }

    async fn tag(&self, target: Target<'_>, tags: &Tags) -> Result<(), ProviderError> {
        let url = url_soon(&self.sqs, target.identity).await?;
        self.put_tags(&url, tags).await
    }

    async fn create(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        taken_up(self, target, tags, self.make(target, tags).await).await
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        let name = target.identity;
        let url = url_soon(&self.sqs, name).await?;
        let call = self.sqs.set_queue_attributes().queue_url(&url).set_attributes(Some(settings(target)?));
        call.send().await.map_err(failed("sqs:SetQueueAttributes"))?;
        self.put_tags(&url, tags).await?;
        self.outputs(name, &url).await
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let Some(url) = url(&self.sqs, target.identity).await? else { return Ok(()) };
        let call = self.sqs.delete_queue().queue_url(url);
        call.send().await.map_err(failed("sqs:DeleteQueue")).or_none().map(drop)
    }
}

fn settings(target: Target<'_>) -> Result<Attributes, ProviderError> {
    let inputs: Queue = inputs(target)?;
    Ok([
        (Attribute::VisibilityTimeout, inputs.visibility_timeout_seconds.known().to_string()),
        (Attribute::MessageRetentionPeriod, inputs.retention_seconds.known().to_string()),
    ]
    .into())
}

fn outputs(name: &str, url: &str, attributes: &Attributes) -> Result<Fields, ProviderError> {
    let arn = attributes.get(&Attribute::QueueArn);
    let arn = arn.ok_or_else(|| incomplete("sqs:GetQueueAttributes", "QueueArn"))?;
    Ok(fields(json!({ "name": name, "arn": arn, "url": url })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{
        ErrorKind,
        aws::replay::{Answer, Replay, answer, json_error, target},
    };

    const URL: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/q";

    fn declared() -> Fields {
        fields(json!({ "visibility_timeout_seconds": 60, "retention_seconds": 1_209_600 }))
    }

    fn ours() -> Tags {
        [("lake:stack".to_owned(), "local".to_owned())].into()
    }

    fn url() -> Answer {
        answer(200, json!({ "QueueUrl": URL }).to_string())
    }

    fn attributes(visibility: &str) -> Answer {
        let attributes = json!({ "VisibilityTimeout": visibility, "MessageRetentionPeriod": "1209600",
            "QueueArn": "arn:aws:sqs:eu-west-1:123456789012:q" });
        answer(200, json!({ "Attributes": attributes }).to_string())
    }

    fn tags(stack: &str) -> Answer {
        answer(200, json!({ "Tags": { "lake:stack": stack } }).to_string())
    }

    /// As SQS tells an error: the shape in the body, and the code of its older protocol in a header.
    fn gone() -> Answer {
        let (status, _, body) = json_error(400, "com.amazonaws.sqs#QueueDoesNotExist", "It does not exist.");
        (status, &[("x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender")], body)
    }

    #[tokio::test]
    async fn a_queue_is_read_at_the_endpoint_whatever_host_its_url_names() {
        let replay = Replay::new([url(), attributes("60"), tags("local")]);
        let kind = QueueKind::new(&replay.clients());
        let found = kind.observe(target("q", &declared())).await.unwrap().unwrap();
        assert_eq!(found.inputs, declared());
        assert_eq!(found.outputs["url"], URL);
        assert_eq!(found.outputs["arn"], "arn:aws:sqs:eu-west-1:123456789012:q");
        assert_eq!(found.tags, ours());
        for asked in replay.asked() {
            assert!(asked.starts_with("POST / AmazonSQS."), "{asked}");
        }
    }

    #[tokio::test]
    async fn a_queue_that_is_gone_or_going_is_nothing_and_is_deleted_already() {
        let plain = json_error(400, "com.amazonaws.sqs#QueueDoesNotExist", "The specified queue does not exist.");
        let replay = Replay::new([gone(), plain, url(), gone(), gone(), url(), gone()]);
        let kind = QueueKind::new(&replay.clients());
        for _ in 0..3 {
            assert_eq!(kind.observe(target("q", &declared())).await.unwrap(), None);
        }
        kind.delete(target("q", &declared())).await.unwrap();
        kind.delete(target("q", &declared())).await.unwrap();
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn a_queue_is_created_with_its_attributes_and_tags_in_one_call() {
        let replay = Replay::new([url(), attributes("60")]);
        let kind = QueueKind::new(&replay.clients());
        let outputs = kind.create(target("q", &declared()), &ours()).await.unwrap();
        assert_eq!(outputs["url"], URL);
        let create = &replay.asked()[0];
        assert!(
            create.contains(r#""VisibilityTimeout":"60""#) && create.contains(r#""lake:stack":"local""#),
            "{create}"
        );
    }

    #[tokio::test]
    async fn a_creation_that_meets_its_own_earlier_try_goes_on_and_anothers_queue_is_left_alone() {
        let taken =
            || json_error(400, "com.amazonaws.sqs#QueueNameExists", "A queue already exists with the same name");
        let replay = Replay::new([
            taken(),
            url(),
            attributes("30"),
            tags("local"),
            url(),
            answer(200, "{}"),
            answer(200, "{}"),
            attributes("60"),
            taken(),
            url(),
            attributes("30"),
            tags("prod"),
        ]);
        let kind = QueueKind::new(&replay.clients());
        kind.create(target("q", &declared()), &ours()).await.unwrap();
        assert!(replay.asked()[5].contains("SetQueueAttributes"), "{:#?}", replay.asked());
        let error = kind.create(target("q", &declared()), &ours()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::AlreadyExists);
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn the_name_of_a_queue_deleted_a_moment_ago_is_not_free_yet() {
        let recently = json_error(400, "com.amazonaws.sqs#QueueDeletedRecently", "You must wait 60 seconds");
        let replay = Replay::new([recently]);
        let kind = QueueKind::new(&replay.clients());
        let error = kind.create(target("q", &declared()), &ours()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotYet, "{error}");
    }
}
