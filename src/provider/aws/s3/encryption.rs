//! `aws:s3:BucketEncryption`.

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    types::{
        ServerSideEncryption, ServerSideEncryptionByDefault, ServerSideEncryptionConfiguration,
        ServerSideEncryptionRule,
    },
};
use serde_json::json;

use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, parent_not_yet, unbuildable},
            fields::{fields, inputs},
        },
    },
    resource::{Fields, Resource, Schema, aws::s3::BucketEncryption},
};

/// What every bucket has by itself since January 2023
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-encryption-faq.html>).
const DEFAULT_ALGORITHM: &str = "AES256";

pub(in crate::provider::aws) struct EncryptionKind {
    s3: Client,
}

impl EncryptionKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        EncryptionKind { s3: clients.s3.clone() }
    }
}

#[async_trait]
impl Kind for EncryptionKind {
    fn schema(&self) -> &'static Schema {
        BucketEncryption::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let call = self.s3.get_bucket_encryption().bucket(target.identity).send().await;
        let Some(answer) = call.map_err(failed("s3:GetBucketEncryption")).or_none()? else { return Ok(None) };
        let rules = answer.server_side_encryption_configuration.map(|configuration| configuration.rules);
        let algorithm = rules
            .iter()
            .flatten()
            .find_map(|rule| Some(rule.apply_server_side_encryption_by_default()?.sse_algorithm().as_str()));
        let Some(algorithm) = algorithm else { return Ok(None) };
        // The default looks the same whether somebody asked for it or not: it is something only to who asks for it.
        if algorithm == DEFAULT_ALGORITHM && !target.inputs.contains_key("algorithm") {
            return Ok(None);
        }
        let inputs = fields(json!({ "bucket": target.identity, "algorithm": algorithm }));
        Ok(Some(Observed { inputs, outputs: Fields::new(), tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        const OPERATION: &str = "s3:PutBucketEncryption";
        let inputs: BucketEncryption = inputs(target)?;
        let unbuildable = |error| unbuildable(OPERATION, error);
        let algorithm = ServerSideEncryption::from(inputs.algorithm.known().as_str());
        let default = ServerSideEncryptionByDefault::builder().sse_algorithm(algorithm).build().map_err(unbuildable)?;
        let rule = ServerSideEncryptionRule::builder().apply_server_side_encryption_by_default(default).build();
        let document = ServerSideEncryptionConfiguration::builder().rules(rule).build().map_err(unbuildable)?;
        let call = self.s3.put_bucket_encryption().bucket(inputs.bucket.known());
        let call = call.server_side_encryption_configuration(document);
        call.send().await.map_err(failed(OPERATION)).map_err(parent_not_yet)?;
        Ok(Fields::new())
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.create(target, tags).await
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let call = self.s3.delete_bucket_encryption().bucket(target.identity);
        call.send().await.map_err(failed("s3:DeleteBucketEncryption")).or_none().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Replay, answer, s3_error, target};

    fn rule(algorithm: &str) -> String {
        format!(
            "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>{algorithm}\
             </SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"
        )
    }

    #[tokio::test]
    async fn the_services_default_is_nothing_unless_encryption_is_declared() {
        let replay = Replay::new([
            answer(200, rule("AES256")),
            s3_error(404, "ServerSideEncryptionConfigurationNotFoundError"),
            answer(200, rule("AES256")),
            answer(200, rule("aws:kms")),
        ]);
        let kind = EncryptionKind::new(&replay.clients());
        let (none, declared) = (Fields::new(), fields(json!({ "bucket": "b", "algorithm": "AES256" })));
        assert_eq!(kind.observe(target("b", &none)).await.unwrap(), None);
        assert_eq!(kind.observe(target("b", &declared)).await.unwrap(), None);
        assert_eq!(kind.observe(target("b", &declared)).await.unwrap().unwrap().inputs, declared);
        let drifted = kind.observe(target("b", &declared)).await.unwrap().unwrap();
        assert_eq!(drifted.inputs["algorithm"], "aws:kms");
    }

    #[tokio::test]
    async fn encryption_of_a_bucket_not_visible_yet_is_tried_again() {
        let replay = Replay::new([s3_error(404, "NoSuchBucket")]);
        let declared = fields(json!({ "bucket": "b", "algorithm": "AES256" }));
        let error = EncryptionKind::new(&replay.clients()).create(target("b", &declared), &Tags::new()).await;
        assert_eq!(error.unwrap_err().kind, crate::provider::ErrorKind::NotYet);
    }
}
