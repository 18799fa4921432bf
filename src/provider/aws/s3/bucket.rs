//! `aws:s3:Bucket`.

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    types::{BucketLocationConstraint, CreateBucketConfiguration, Tag, Tagging},
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde_json::json;

use super::versions::{self, Keys};
use crate::{
    provider::{
        ErrorKind, Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, classify, failed, taken_up, unbuildable},
            fields::{begins_with, fields, has_all},
            partition,
        },
    },
    resource::{Fields, Resource, Schema, aws::s3::Bucket},
};

/// The region whose buckets take no LocationConstraint
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html>).
const REGION_WITHOUT_CONSTRAINT: &str = "us-east-1";

/// Buckets that one answer tells; where nobody says, S3 tells all in one
/// (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html>).
const BUCKETS_A_PAGE: i32 = 1000;

/// Times that a bucket is emptied while somebody goes on writing into it.
const EMPTYING_ROUNDS_MAX: u32 = 5;

pub(in crate::provider::aws) struct BucketKind {
    s3: Client,
    region: String,
}

/// What asking for a bucket's tags tells of it.
enum Found {
    Nothing,
    Ours(Tags),
    /// It is there, and belongs to somebody who does not let us look.
    Foreign,
}

impl BucketKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        BucketKind { s3: clients.s3.clone(), region: clients.region.clone() }
    }

    fn outputs(&self, name: &str) -> Fields {
        fields(json!({ "name": name, "arn": format!("arn:{}:s3:::{name}", partition(&self.region)) }))
    }

    /// GetBucketTagging rather than HeadBucket: a HEAD's 403 cannot tell wrong credentials from another's bucket.
    async fn find(&self, name: &str) -> Result<Found, ProviderError> {
        let error = match self.s3.get_bucket_tagging().bucket(name).send().await {
            Ok(answer) => {
                let tags = answer.tag_set.into_iter().map(|tag| (tag.key, tag.value));
                return Ok(Found::Ours(tags.collect()));
            }
            Err(error) => error,
        };
        match error.code() {
            Some("NoSuchTagSet") => return Ok(Found::Ours(Tags::new())),
            Some("AccessDenied") => {}
            _ => {
                return Err(classify("s3:GetBucketTagging", error))
                    .or_none()
                    .map(|found| found.unwrap_or(Found::Nothing));
            }
        }
        match self.s3.head_bucket().bucket(name).send().await.map_err(failed("s3:HeadBucket")) {
            // We may see the bucket, but not its tags: without them nobody can tell whose it is.
            Ok(_) => Err(classify("s3:GetBucketTagging", error)),
            Err(error) if error.kind == ErrorKind::Denied => Ok(Found::Foreign),
            Err(error) => Err(error).or_none().map(|found| found.unwrap_or(Found::Nothing)),
        }
    }

    /// PutBucketTagging replaces the whole set, so that tags of others are carried along.
    async fn put_tags(&self, name: &str, mut present: Tags, tags: &Tags) -> Result<(), ProviderError> {
        const OPERATION: &str = "s3:PutBucketTagging";
        present.extend(tags.clone());
        let set = tag_set(OPERATION, &present)?;
        let tagging = Tagging::builder().set_tag_set(Some(set)).build().map_err(|e| unbuildable(OPERATION, e))?;
        self.s3.put_bucket_tagging().bucket(name).tagging(tagging).send().await.map_err(failed(OPERATION))?;
        Ok(())
    }

    async fn ensure_tags(&self, name: &str, tags: &Tags) -> Result<(), ProviderError> {
        match self.find(name).await? {
            Found::Ours(present) if has_all(&present, tags) => Ok(()),
            Found::Ours(present) => self.put_tags(name, present, tags).await,
            Found::Nothing => {
                Err(ProviderError::new(ErrorKind::NotYet, "s3:GetBucketTagging", format!("bucket {name} is not there")))
            }
            Found::Foreign => Err(ProviderError::new(
                ErrorKind::Denied,
                "s3:HeadBucket",
                format!("bucket {name} is another account's"),
            )),
        }
    }

    async fn make(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        const OPERATION: &str = "s3:CreateBucket";
        let constraint =
            (self.region != REGION_WITHOUT_CONSTRAINT).then(|| BucketLocationConstraint::from(self.region.as_str()));
        let configuration = CreateBucketConfiguration::builder()
            .set_location_constraint(constraint)
            .set_tags(Some(tag_set(OPERATION, tags)?))
            .build();
        let call = self.s3.create_bucket().bucket(target.identity).create_bucket_configuration(configuration);
        call.send().await.map_err(failed(OPERATION))?;
        // Servers that speak an older S3 take no tags there and say nothing.
        self.ensure_tags(target.identity, tags).await?;
        Ok(self.outputs(target.identity))
    }
}

#[async_trait]
impl Kind for BucketKind {
    fn schema(&self) -> &'static Schema {
        Bucket::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let tags = match self.find(target.identity).await? {
            Found::Nothing => return Ok(None),
            Found::Ours(tags) => tags,
            Found::Foreign => Tags::new(),
        };
        Ok(Some(Observed { inputs: Fields::new(), outputs: self.outputs(target.identity), tags }))
    }

    /// Those of our region: another region's bucket is asked for at that region's endpoint.
    async fn list(&self, prefix: &str) -> Result<Option<Vec<String>>, ProviderError> {
        let call = self.s3.list_buckets().set_prefix(begins_with(prefix)).bucket_region(&self.region);
        let mut pages = call.max_buckets(BUCKETS_A_PAGE).into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(bucket) = pages.next().await {
            names.extend(bucket.map_err(failed("s3:ListBuckets"))?.name);
        }
        names.retain(|name| name.starts_with(prefix));
        Ok(Some(names))
    }

    async fn tag(&self, target: Target<'_>, tags: &Tags) -> Result<(), ProviderError> {
        self.ensure_tags(target.identity, tags).await
    }

    async fn create(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        taken_up(self, target, tags, self.make(target, tags).await).await
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.ensure_tags(target.identity, tags).await?;
        Ok(self.outputs(target.identity))
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let bucket = target.identity;
        for round in 1.. {
            if versions::delete_all(&self.s3, bucket, Keys::All).await.or_none()?.is_none()
                || versions::abort_uploads(&self.s3, bucket, Keys::All).await.or_none()?.is_none()
            {
                return Ok(());
            }
            match self.s3.delete_bucket().bucket(bucket).send().await {
                Ok(_) => return Ok(()),
                Err(error) if error.code() == Some("BucketNotEmpty") && round < EMPTYING_ROUNDS_MAX => {}
                Err(error) => return Err::<(), _>(classify("s3:DeleteBucket", error)).or_none().map(drop),
            }
        }
        unreachable!("the last round returns")
    }
}

fn tag_set(operation: &str, tags: &Tags) -> Result<Vec<Tag>, ProviderError> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<_, _>>()
        .map_err(|error| unbuildable(operation, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Replay, answer, s3_error, target};

    const TAGS: &str = "<Tagging><TagSet><Tag><Key>lake:stack</Key><Value>local</Value></Tag></TagSet></Tagging>";

    fn tags() -> Tags {
        [("lake:stack".to_owned(), "local".to_owned())].into()
    }

    #[tokio::test]
    async fn a_bucket_is_created_with_its_region_and_tags_in_one_call() {
        let replay = Replay::new([answer(200, ""), answer(200, TAGS)]);
        let kind = BucketKind::new(&replay.clients());
        let outputs = kind.create(target("b", &Fields::new()), &tags()).await.unwrap();
        assert_eq!(outputs["arn"], "arn:aws:s3:::b");
        let create = &replay.asked()[0];
        assert!(create.starts_with("PUT /b"), "{create}");
        assert!(create.contains("<LocationConstraint>eu-west-1</LocationConstraint>"), "{create}");
        assert!(create.contains("<Key>lake:stack</Key><Value>local</Value>"), "{create}");
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn tags_that_the_server_dropped_are_put_afterwards() {
        let replay = Replay::new([answer(200, ""), s3_error(404, "NoSuchTagSet"), answer(204, "")]);
        let kind = BucketKind::new(&replay.clients());
        kind.create(target("b", &Fields::new()), &tags()).await.unwrap();
        assert!(replay.asked()[2].starts_with("PUT /b/?tagging"), "{:#?}", replay.asked());
    }

    #[tokio::test]
    async fn another_accounts_bucket_is_there_without_our_tags_and_wrong_keys_are_an_error() {
        let replay = Replay::new([s3_error(403, "AccessDenied"), answer(403, "")]);
        let kind = BucketKind::new(&replay.clients());
        let found = kind.observe(target("b", &Fields::new())).await.unwrap().unwrap();
        assert!(found.tags.is_empty());

        let replay = Replay::new([s3_error(403, "InvalidAccessKeyId")]);
        let error = BucketKind::new(&replay.clients()).observe(target("b", &Fields::new())).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied);
    }

    #[tokio::test]
    async fn deletion_empties_versions_markers_and_uploads_first_and_again_when_somebody_wrote() {
        let versions = "<ListVersionsResult><IsTruncated>false</IsTruncated>\
            <Version><Key>a</Key><VersionId>1</VersionId></Version>\
            <DeleteMarker><Key>a</Key><VersionId>2</VersionId></DeleteMarker></ListVersionsResult>";
        let uploads = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>\
            <Upload><Key>c</Key><UploadId>u</UploadId></Upload></ListMultipartUploadsResult>";
        let replay = Replay::new([
            answer(200, versions),
            answer(200, "<DeleteResult/>"),
            answer(200, uploads),
            answer(204, ""),
            s3_error(409, "BucketNotEmpty"),
            answer(200, "<ListVersionsResult><IsTruncated>false</IsTruncated></ListVersionsResult>"),
            answer(200, "<ListMultipartUploadsResult/>"),
            answer(204, ""),
        ]);
        BucketKind::new(&replay.clients()).delete(target("b", &Fields::new())).await.unwrap();
        let asked = replay.asked();
        assert!(asked[1].contains("<VersionId>1</VersionId>") && asked[1].contains("<VersionId>2</VersionId>"));
        assert!(asked[3].starts_with("DELETE /b/c?") && asked[3].contains("uploadId=u"), "{}", asked[3]);
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_deleted_is_named_though_the_answer_is_200() {
        let versions = "<ListVersionsResult><IsTruncated>false</IsTruncated>\
            <Version><Key>held</Key><VersionId>1</VersionId></Version></ListVersionsResult>";
        let refused =
            "<DeleteResult><Error><Key>held</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>";
        let replay = Replay::new([answer(200, versions), answer(200, refused)]);
        let error = BucketKind::new(&replay.clients()).delete(target("b", &Fields::new())).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Denied);
        assert!(error.message.contains("held"), "{error}");
    }

    #[tokio::test]
    async fn deleting_a_bucket_that_is_gone_succeeds() {
        let replay = Replay::new([s3_error(404, "NoSuchBucket")]);
        BucketKind::new(&replay.clients()).delete(target("b", &Fields::new())).await.unwrap();
    }
}
