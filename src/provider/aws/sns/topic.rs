//! `aws:sns:Topic`. SNS knows a topic by its ARN alone, which is made of the account and the name.

use async_trait::async_trait;
use aws_sdk_sns::{Client, types::Tag};
use serde_json::json;

use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            account::Account,
            error::{OrNone, failed, incomplete, parent_not_yet, taken_up, unbuildable},
            fields::{fields, inputs},
        },
    },
    resource::{Fields, Resource, Schema, aws::sns::Topic},
};

/// The attribute that says whom the topic's mails come from.
const DISPLAY_NAME: &str = "DisplayName";

pub(in crate::provider::aws) struct TopicKind {
    sns: Client,
    account: Account,
}

impl TopicKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        TopicKind { sns: clients.sns.clone(), account: clients.account.clone() }
    }

    async fn arn(&self, name: &str) -> Result<String, ProviderError> {
        self.account.arn("sns", name).await
    }

    async fn make(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        const OPERATION: &str = "sns:CreateTopic";
        let inputs: Topic = inputs(target)?;
        let call = self
            .sns
            .create_topic()
            .name(target.identity)
            .attributes(DISPLAY_NAME, inputs.display_name.known())
            .set_tags(Some(tag_list(OPERATION, tags)?));
        let answer = call.send().await.map_err(failed(OPERATION))?;
        Ok(outputs(target.identity, &answer.topic_arn.ok_or_else(|| incomplete(OPERATION, "TopicArn"))?))
    }
}

#[async_trait]
impl Kind for TopicKind {
    fn schema(&self) -> &'static Schema {
        Topic::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let arn = self.arn(target.identity).await?;
        let call = self.sns.get_topic_attributes().topic_arn(&arn).send().await;
        let Some(answer) = call.map_err(failed("sns:GetTopicAttributes")).or_none()? else { return Ok(None) };
        let call = self.sns.list_tags_for_resource().resource_arn(&arn).send().await;
        let Some(tags) = call.map_err(failed("sns:ListTagsForResource")).or_none()? else { return Ok(None) };
        let display_name = answer.attributes.and_then(|mut attributes| attributes.remove(DISPLAY_NAME));
        Ok(Some(Observed {
            inputs: fields(json!({ "display_name": display_name.unwrap_or_default() })),
            outputs: outputs(target.identity, &arn),
            tags: tags.tags.into_iter().flatten().map(|tag| (tag.key, tag.value)).collect(),
        }))
    }

    /// A topic's name is the end of its ARN.
    async fn list(&self, prefix: &str) -> Result<Option<Vec<String>>, ProviderError> {
        let mut pages = self.sns.list_topics().into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(topic) = pages.next().await {
            let arn = topic.map_err(failed("sns:ListTopics"))?.topic_arn;
            names.extend(arn.as_deref().and_then(|arn| arn.rsplit(':').next()).map(str::to_owned));
        }
        names.retain(|name| name.starts_with(prefix));
        Ok(Some(names))
    }

    async fn tag(&self, target: Target<'_>, tags: &Tags) -> Result<(), ProviderError> {
        const OPERATION: &str = "sns:TagResource";
        let call = self.sns.tag_resource().resource_arn(self.arn(target.identity).await?);
        call.set_tags(Some(tag_list(OPERATION, tags)?)).send().await.map_err(failed(OPERATION)).map(drop)
    }

    async fn create(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        taken_up(self, target, tags, self.make(target, tags).await).await
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: Topic = inputs(target)?;
        let arn = self.arn(target.identity).await?;
        let call = self.sns.set_topic_attributes().topic_arn(&arn).attribute_name(DISPLAY_NAME);
        let call = call.attribute_value(inputs.display_name.known());
        call.send().await.map_err(failed("sns:SetTopicAttributes")).map_err(parent_not_yet)?;
        self.tag(target, tags).await?;
        Ok(outputs(target.identity, &arn))
    }

    /// Its subscriptions go with it.
    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let call = self.sns.delete_topic().topic_arn(self.arn(target.identity).await?);
        call.send().await.map_err(failed("sns:DeleteTopic")).or_none().map(drop)
    }
}

fn outputs(name: &str, arn: &str) -> Fields {
    fields(json!({ "name": name, "arn": arn }))
}

fn tag_list(operation: &str, tags: &Tags) -> Result<Vec<Tag>, ProviderError> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<_, _>>()
        .map_err(|error| unbuildable(operation, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{
        ErrorKind,
        aws::replay::{Answer, Replay, answer, caller, query_error, target},
    };

    const ARN: &str = "arn:aws:sns:eu-west-1:123456789012:t";

    fn declared() -> Fields {
        fields(json!({ "display_name": "Flights" }))
    }

    fn ours() -> Tags {
        [("lake:stack".to_owned(), "local".to_owned())].into()
    }

    fn attributes(display_name: &str) -> Answer {
        let entry = format!("<entry><key>DisplayName</key><value>{display_name}</value></entry>");
        answer(
            200,
            format!(
                "<GetTopicAttributesResponse><GetTopicAttributesResult><Attributes>{entry}</Attributes>\
                 </GetTopicAttributesResult></GetTopicAttributesResponse>"
            ),
        )
    }

    fn tags(stack: &str) -> Answer {
        answer(
            200,
            format!(
                "<ListTagsForResourceResponse><ListTagsForResourceResult><Tags><member><Key>lake:stack</Key>\
                 <Value>{stack}</Value></member></Tags></ListTagsForResourceResult></ListTagsForResourceResponse>"
            ),
        )
    }

    fn done(operation: &str) -> Answer {
        answer(200, format!("<{operation}Response><{operation}Result/></{operation}Response>"))
    }

    #[tokio::test]
    async fn a_topic_is_read_by_the_arn_made_of_account_and_name_and_the_account_is_asked_for_once() {
        let replay = Replay::new([
            caller(),
            attributes("Flights"),
            tags("local"),
            query_error(404, "NotFound", "Topic does not exist"),
        ]);
        let kind = TopicKind::new(&replay.clients());
        let found = kind.observe(target("t", &declared())).await.unwrap().unwrap();
        assert_eq!(found.inputs, declared());
        assert_eq!(found.outputs["arn"], ARN);
        assert_eq!(found.tags, ours());
        assert_eq!(kind.observe(target("t", &declared())).await.unwrap(), None);
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn a_topic_is_created_with_its_name_and_tags_in_one_call() {
        let made = format!(
            "<CreateTopicResponse><CreateTopicResult><TopicArn>{ARN}</TopicArn></CreateTopicResult></CreateTopicResponse>"
        );
        let replay = Replay::new([answer(200, made)]);
        let outputs = TopicKind::new(&replay.clients()).create(target("t", &declared()), &ours()).await.unwrap();
        assert_eq!(outputs["arn"], ARN);
        let create = &replay.asked()[0];
        assert!(create.contains("Attributes.entry.1.value=Flights"), "{create}");
        assert!(create.contains("Tags.member.1.Value=local"), "{create}");
    }

    #[tokio::test]
    async fn a_creation_that_meets_its_own_earlier_try_goes_on_and_anothers_topic_is_left_alone() {
        let other = || {
            query_error(
                400,
                "InvalidParameter",
                "Invalid parameter: Tags Reason: Topic already exists with different tags",
            )
        };
        let replay = Replay::new([
            other(),
            caller(),
            attributes("Old"),
            tags("local"),
            done("SetTopicAttributes"),
            done("TagResource"),
            other(),
            attributes("Flights"),
            tags("prod"),
        ]);
        let kind = TopicKind::new(&replay.clients());
        kind.create(target("t", &declared()), &ours()).await.unwrap();
        assert!(replay.asked()[4].contains("AttributeValue=Flights"), "{:#?}", replay.asked());
        let error = kind.create(target("t", &declared()), &ours()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::AlreadyExists);
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn deleting_a_topic_that_is_gone_succeeds() {
        let replay = Replay::new([caller(), query_error(404, "NotFound", "Topic does not exist")]);
        TopicKind::new(&replay.clients()).delete(target("t", &declared())).await.unwrap();
        replay.assert_used_up();
    }
}
