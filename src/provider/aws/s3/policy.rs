//! `aws:s3:BucketPolicy`: one document a bucket.

use async_trait::async_trait;
use aws_sdk_s3::Client;
use serde_json::json;

use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients, document,
            error::{OrNone, failed, parent_not_yet},
            fields::{fields, input, inputs, parsed},
        },
    },
    resource::{Fields, Resource, Schema, aws::s3::BucketPolicy},
};

pub(in crate::provider::aws) struct PolicyKind {
    s3: Client,
}

impl PolicyKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        PolicyKind { s3: clients.s3.clone() }
    }
}

#[async_trait]
impl Kind for PolicyKind {
    fn schema(&self) -> &'static Schema {
        BucketPolicy::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let call = self.s3.get_bucket_policy().bucket(target.identity).send().await;
        let answer = call.map_err(failed("s3:GetBucketPolicy")).or_none()?;
        let Some(policy) = answer.and_then(|answer| answer.policy) else { return Ok(None) };
        let document = document::in_the_words_of(input(target, "document"), parsed(&policy));
        let inputs = fields(json!({ "bucket": target.identity, "document": document }));
        Ok(Some(Observed { inputs, outputs: Fields::new(), tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: BucketPolicy = inputs(target)?;
        let call = self.s3.put_bucket_policy().bucket(inputs.bucket.known()).policy(inputs.document.to_string());
        call.send().await.map_err(failed("s3:PutBucketPolicy")).map_err(parent_not_yet)?;
        Ok(Fields::new())
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.create(target, tags).await
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let call = self.s3.delete_bucket_policy().bucket(target.identity);
        call.send().await.map_err(failed("s3:DeleteBucketPolicy")).or_none().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{
        ErrorKind,
        aws::replay::{Replay, answer, s3_error, target},
    };

    fn declared() -> Fields {
        let statement = json!({ "Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*",
            "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
            "Condition": { "Bool": { "aws:SecureTransport": "false" } } });
        fields(json!({ "bucket": "b", "document": { "Version": "2012-10-17", "Statement": [statement] } }))
    }

    #[tokio::test]
    async fn a_policy_is_read_in_our_words_and_foreign_statements_show_as_drift() {
        let declared = declared();
        let mut respelt = declared["document"].clone();
        respelt["Statement"][0]["Resource"] = json!(["arn:aws:s3:::b/*", "arn:aws:s3:::b"]);
        let mut more = declared["document"].clone();
        more["Statement"] = json!([more["Statement"][0], { "Effect": "Allow", "Principal": "*", "Action": "s3:*" }]);
        let replay = Replay::new([
            answer(200, respelt.to_string()),
            answer(200, more.to_string()),
            s3_error(404, "NoSuchBucketPolicy"),
            s3_error(404, "NoSuchBucket"),
        ]);
        let kind = PolicyKind::new(&replay.clients());
        let target = target("b", &declared);
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs, declared);
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs["document"], more);
        assert_eq!(kind.observe(target).await.unwrap(), None);
        assert_eq!(kind.observe(target).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_policy_is_put_once_the_bucket_is_visible_and_deletion_of_none_succeeds() {
        let replay = Replay::new([
            s3_error(404, "NoSuchBucket"),
            answer(204, ""),
            answer(204, ""),
            s3_error(404, "NoSuchBucket"),
        ]);
        let kind = PolicyKind::new(&replay.clients());
        let declared = declared();
        let target = target("b", &declared);
        assert_eq!(kind.create(target, &Tags::new()).await.unwrap_err().kind, ErrorKind::NotYet);
        kind.create(target, &Tags::new()).await.unwrap();
        kind.delete(target).await.unwrap();
        kind.delete(target).await.unwrap();
        let asked = replay.asked();
        assert!(asked[1].starts_with("PUT /b") && asked[1].contains("aws:SecureTransport"), "{}", asked[1]);
        assert!(asked[2].starts_with("DELETE /b"), "{}", asked[2]);
    }
}
