//! `aws:s3:BucketVersioning`.

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    types::{BucketVersioningStatus, VersioningConfiguration},
};
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
    resource::{Fields, Resource, Schema, aws::s3::BucketVersioning},
};

pub(in crate::provider::aws) struct VersioningKind {
    s3: Client,
}

impl VersioningKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        VersioningKind { s3: clients.s3.clone() }
    }

    async fn put(&self, bucket: &str, status: BucketVersioningStatus) -> Result<Fields, ProviderError> {
        let configuration = VersioningConfiguration::builder().status(status).build();
        let call = self.s3.put_bucket_versioning().bucket(bucket).versioning_configuration(configuration);
        call.send().await.map_err(failed("s3:PutBucketVersioning"))?;
        Ok(Fields::new())
    }
}

#[async_trait]
impl Kind for VersioningKind {
    fn schema(&self) -> &'static Schema {
        BucketVersioning::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let call = self.s3.get_bucket_versioning().bucket(target.identity).send().await;
        let found = call.map_err(failed("s3:GetBucketVersioning")).or_none()?;
        let Some(status) = found.and_then(|answer| answer.status) else { return Ok(None) };
        // A bucket that had versions once is never without a status again: suspended is its nothing, unless it is
        // what the program asks for.
        let asked = input(target, "status").is_some_and(|asked| asked == "Suspended");
        if status == BucketVersioningStatus::Suspended && !asked {
            return Ok(None);
        }
        let inputs = fields(json!({ "bucket": target.identity, "status": status.as_str() }));
        Ok(Some(Observed { inputs, outputs: Fields::new(), tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: BucketVersioning = inputs(target)?;
        let status = BucketVersioningStatus::from(inputs.status.known().as_str());
        self.put(inputs.bucket.known(), status).await.map_err(parent_not_yet)
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.create(target, tags).await
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        self.put(target.identity, BucketVersioningStatus::Suspended).await.or_none().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Replay, answer, s3_error, target};

    #[tokio::test]
    async fn a_bucket_that_never_had_versions_or_has_them_suspended_has_no_versioning() {
        let status = |status: &str| format!("<VersioningConfiguration>{status}</VersioningConfiguration>");
        let replay = Replay::new([
            answer(200, status("")),
            answer(200, status("<Status>Suspended</Status>")),
            s3_error(404, "NoSuchBucket"),
            answer(200, status("<Status>Enabled</Status>")),
        ]);
        let kind = VersioningKind::new(&replay.clients());
        let none = Fields::new();
        for _ in 0..3 {
            assert_eq!(kind.observe(target("b", &none)).await.unwrap(), None);
        }
        assert_eq!(kind.observe(target("b", &none)).await.unwrap().unwrap().inputs["status"], "Enabled");
    }

    #[tokio::test]
    async fn deletion_suspends_and_a_missing_bucket_is_fine() {
        let replay = Replay::new([answer(200, ""), s3_error(404, "NoSuchBucket")]);
        let kind = VersioningKind::new(&replay.clients());
        kind.delete(target("b", &Fields::new())).await.unwrap();
        kind.delete(target("b", &Fields::new())).await.unwrap();
        assert!(replay.asked()[0].contains("<Status>Suspended</Status>"));
    }
}
