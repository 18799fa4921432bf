//! `aws:s3:Prefix`: data of a dataset. They come without lake's doing, and go when nobody wants to keep them.

use async_trait::async_trait;
use aws_sdk_s3::Client;
use serde_json::json;

use super::versions::{self, Keys};
use crate::{
    provider::{
        ErrorKind, Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed},
            fields::{fields, inputs, two},
        },
    },
    resource::{Fields, Resource, Schema, aws::s3::Prefix},
};

pub(in crate::provider::aws) struct PrefixKind {
    s3: Client,
}

impl PrefixKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        PrefixKind { s3: clients.s3.clone() }
    }

    /// Versions first, then uploads: one that is completed in between is found when the bucket goes, or stays.
    async fn empty(&self, bucket: &str, prefix: &str) -> Result<(), ProviderError> {
        if !prefix.ends_with('/') {
            let message = format!("`{prefix}` does not end with `/`: what begins so may be another's");
            return Err(ProviderError::new(ErrorKind::Invalid, Prefix::SCHEMA.kind, message));
        }
        versions::abort_uploads(&self.s3, bucket, Keys::Below(prefix)).await?;
        versions::delete_all(&self.s3, bucket, Keys::Below(prefix)).await
    }
}

#[async_trait]
impl Kind for PrefixKind {
    fn schema(&self) -> &'static Schema {
        Prefix::SCHEMA
    }

    /// There as long as its bucket is, whether anything lies there or not. Of what goes with it and whose it is the cloud
    /// keeps nothing: that is as the target says.
    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let (bucket, prefix) = two(Prefix::SCHEMA.kind, target)?;
        let call = self.s3.head_bucket().bucket(bucket).send().await;
        let found = call.map_err(failed("s3:HeadBucket")).or_none()?;
        let named = fields(json!({ "bucket": bucket, "prefix": prefix }));
        Ok(found.map(|_| Observed {
            inputs: target.inputs.clone().into_iter().chain(named).collect(),
            outputs: Fields::new(),
            tags: Tags::new(),
        }))
    }

    async fn create(&self, _target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        Ok(Fields::new())
    }

    async fn update(&self, _target: Target<'_>, _prior: &Fields, _tags: &Tags) -> Result<Fields, ProviderError> {
        Ok(Fields::new())
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let Prefix { bucket, prefix, with, .. } = inputs(target)?;
        for prefix in std::iter::once(&prefix).chain(&with) {
            if self.empty(bucket.known(), prefix).await.or_none()?.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Replay, answer, s3_error, target};

    fn declared() -> Fields {
        fields(json!({ "bucket": "b", "prefix": "flights/", "with": ["_lake/runs/flights/"], "of": "flights" }))
    }

    #[tokio::test]
    async fn it_is_there_as_long_as_its_bucket_is_and_making_it_calls_nobody() {
        let replay = Replay::new([answer(200, ""), answer(404, "")]);
        let kind = PrefixKind::new(&replay.clients());
        let declared = declared();
        let target = target("b/flights/", &declared);
        kind.create(target, &Tags::new()).await.unwrap();
        kind.update(target, &declared, &Tags::new()).await.unwrap();
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs["prefix"], "flights/");
        assert_eq!(kind.observe(target).await.unwrap(), None);
        assert!(replay.asked().iter().all(|asked| asked.starts_with("HEAD /b")), "{:?}", replay.asked());
    }

    #[tokio::test]
    async fn deletion_removes_versions_markers_and_uploads_below_each_prefix_page_by_page() {
        let uploads = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>\
            <Upload><Key>flights/c</Key><UploadId>u</UploadId></Upload></ListMultipartUploadsResult>";
        let page = "<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>flights/a</NextKeyMarker>\
            <NextVersionIdMarker>1</NextVersionIdMarker>\
            <Version><Key>flights/a</Key><VersionId>1</VersionId></Version></ListVersionsResult>";
        let last = "<ListVersionsResult><IsTruncated>false</IsTruncated>\
            <DeleteMarker><Key>flights/b</Key><VersionId>2</VersionId></DeleteMarker></ListVersionsResult>";
        let none = "<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>";
        let replay = Replay::new([
            answer(200, uploads),
            answer(204, ""),
            answer(200, page),
            answer(200, "<DeleteResult/>"),
            answer(200, last),
            answer(200, "<DeleteResult/>"),
            answer(200, "<ListMultipartUploadsResult/>"),
            answer(200, none),
        ]);
        PrefixKind::new(&replay.clients()).delete(target("b/flights/", &declared())).await.unwrap();
        let asked = replay.asked();
        assert!(asked[0].contains("prefix=flights%2F"), "{}", asked[0]);
        assert!(asked[1].starts_with("DELETE /b/flights/c?") && asked[1].contains("uploadId=u"), "{}", asked[1]);
        assert!(asked[2].contains("prefix=flights%2F"), "{}", asked[2]);
        assert!(asked[3].contains("<VersionId>1</VersionId>"), "{}", asked[3]);
        assert!(asked[5].contains("<VersionId>2</VersionId>"), "{}", asked[5]);
        assert!(asked[7].contains("prefix=_lake%2Fruns%2Fflights%2F"), "{}", asked[7]);
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn deleting_what_lies_in_a_bucket_that_is_gone_succeeds() {
        let replay = Replay::new([s3_error(404, "NoSuchBucket")]);
        PrefixKind::new(&replay.clients()).delete(target("b/flights/", &declared())).await.unwrap();
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn a_prefix_that_could_be_the_beginning_of_anothers_is_never_emptied() {
        let replay = Replay::new([]);
        let declared = fields(json!({ "bucket": "b", "prefix": "", "of": "flights" }));
        let error = PrefixKind::new(&replay.clients()).delete(target("b/", &declared)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(replay.asked().is_empty());
    }
}
