//! `aws:s3:BucketPublicAccessBlock`.

use async_trait::async_trait;
use aws_sdk_s3::{Client, types::PublicAccessBlockConfiguration};
use serde_json::json;

use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, parent_not_yet},
            fields::{fields, input, inputs},
        },
    },
    resource::{Fields, Resource, Schema, aws::s3::BucketPublicAccessBlock},
};

pub(in crate::provider::aws) struct PublicAccessBlockKind {
    s3: Client,
}

impl PublicAccessBlockKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        PublicAccessBlockKind { s3: clients.s3.clone() }
    }
}

#[async_trait]
impl Kind for PublicAccessBlockKind {
    fn schema(&self) -> &'static Schema {
        BucketPublicAccessBlock::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let call = self.s3.get_public_access_block().bucket(target.identity).send().await;
        let answer = call.map_err(failed("s3:GetPublicAccessBlock")).or_none()?;
        let Some(block) = answer.and_then(|answer| answer.public_access_block_configuration) else { return Ok(None) };
        let switches = [
            block.block_public_acls,
            block.ignore_public_acls,
            block.block_public_policy,
            block.restrict_public_buckets,
        ];
        let asked_off = input(target, "block").is_some_and(|asked| asked == false);
        if !switches.contains(&Some(true)) && !asked_off {
            return Ok(None);
        }
        // One switch off is as good as all off: the update turns all on.
        let all_on = switches.iter().all(|switch| *switch == Some(true));
        let inputs = fields(json!({ "bucket": target.identity, "block": all_on }));
        Ok(Some(Observed { inputs, outputs: Fields::new(), tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: BucketPublicAccessBlock = inputs(target)?;
        let on = *inputs.block.known();
        let block = PublicAccessBlockConfiguration::builder()
            .block_public_acls(on)
            .ignore_public_acls(on)
            .block_public_policy(on)
            .restrict_public_buckets(on)
            .build();
        let call = self.s3.put_public_access_block().bucket(inputs.bucket.known());
        let call = call.public_access_block_configuration(block);
        call.send().await.map_err(failed("s3:PutPublicAccessBlock")).map_err(parent_not_yet)?;
        Ok(Fields::new())
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.create(target, tags).await
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let call = self.s3.delete_public_access_block().bucket(target.identity);
        call.send().await.map_err(failed("s3:DeletePublicAccessBlock")).or_none().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Replay, answer, s3_error, target};

    fn block(acls: bool, rest: bool) -> String {
        format!(
            "<PublicAccessBlockConfiguration><BlockPublicAcls>{acls}</BlockPublicAcls><IgnorePublicAcls>{rest}\
             </IgnorePublicAcls><BlockPublicPolicy>{rest}</BlockPublicPolicy><RestrictPublicBuckets>{rest}\
             </RestrictPublicBuckets></PublicAccessBlockConfiguration>"
        )
    }

    #[tokio::test]
    async fn one_switch_that_is_off_shows_as_drift_and_none_that_is_on_as_nothing() {
        let replay = Replay::new([
            answer(200, block(true, true)),
            answer(200, block(false, true)),
            answer(200, block(false, false)),
            s3_error(404, "NoSuchPublicAccessBlockConfiguration"),
        ]);
        let kind = PublicAccessBlockKind::new(&replay.clients());
        let declared = fields(json!({ "bucket": "b", "block": true }));
        assert_eq!(kind.observe(target("b", &declared)).await.unwrap().unwrap().inputs["block"], true);
        assert_eq!(kind.observe(target("b", &declared)).await.unwrap().unwrap().inputs["block"], false);
        assert_eq!(kind.observe(target("b", &declared)).await.unwrap(), None);
        assert_eq!(kind.observe(target("b", &declared)).await.unwrap(), None);
    }
}
