//! `aws:s3:BucketLifecycle`: one document a bucket.

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    types::{
        AbortIncompleteMultipartUpload, BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration,
        LifecycleRule as Entry, LifecycleRuleAndOperator, LifecycleRuleFilter, NoncurrentVersionExpiration,
    },
};
use serde_json::{Value, json};

use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, parent_not_yet, unbuildable},
            fields::{fields, input, inputs, number},
        },
    },
    resource::{
        Fields, Resource, Schema,
        aws::s3::{BucketLifecycle, LifecycleRule},
    },
};

const PUT: &str = "s3:PutBucketLifecycleConfiguration";

pub(in crate::provider::aws) struct LifecycleKind {
    s3: Client,
}

impl LifecycleKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        LifecycleKind { s3: clients.s3.clone() }
    }
}

#[async_trait]
impl Kind for LifecycleKind {
    fn schema(&self) -> &'static Schema {
        BucketLifecycle::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let call = self.s3.get_bucket_lifecycle_configuration().bucket(target.identity).send().await;
        let answer = call.map_err(failed("s3:GetBucketLifecycleConfiguration")).or_none()?;
        let mut rules = answer.and_then(|answer| answer.rules).unwrap_or_default();
        if rules.is_empty() {
            return Ok(None);
        }
        // S3 keeps no order; the declared one is taken where it knows the rule.
        let known = input(target, "rules").and_then(Value::as_array).into_iter().flatten();
        let known: Vec<&str> = known.filter_map(|rule| rule.get("id")?.as_str()).collect();
        let place = |rule: &Entry| known.iter().position(|id| Some(*id) == rule.id()).unwrap_or(usize::MAX);
        rules.sort_by_cached_key(|rule| (place(rule), rule.id.clone()));
        let rules: Vec<Value> = rules.iter().map(observed).collect();
        let inputs = fields(json!({ "bucket": target.identity, "rules": rules }));
        Ok(Some(Observed { inputs, outputs: Fields::new(), tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: BucketLifecycle = inputs(target)?;
        let unbuildable = |error| unbuildable(PUT, error);
        let rules = inputs.rules.iter().map(entry).collect::<Result<_, _>>().map_err(unbuildable)?;
        let document = BucketLifecycleConfiguration::builder().set_rules(Some(rules)).build().map_err(unbuildable)?;
        let call = self.s3.put_bucket_lifecycle_configuration().bucket(inputs.bucket.known());
        let call = call.lifecycle_configuration(document);
        call.send().await.map_err(failed(PUT)).map_err(parent_not_yet)?;
        Ok(Fields::new())
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.create(target, tags).await
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let call = self.s3.delete_bucket_lifecycle().bucket(target.identity);
        call.send().await.map_err(failed("s3:DeleteBucketLifecycle")).or_none().map(drop)
    }
}

fn entry(declared: &LifecycleRule) -> Result<Entry, aws_smithy_types::error::operation::BuildError> {
    let abort = declared
        .abort_incomplete_upload_days
        .map(|days| AbortIncompleteMultipartUpload::builder().days_after_initiation(number(days)).build());
    let noncurrent = declared
        .noncurrent_days
        .map(|days| NoncurrentVersionExpiration::builder().noncurrent_days(number(days)).build());
    let expires = declared.expire_days.is_some() || declared.expire_delete_markers;
    let expiration = expires.then(|| {
        LifecycleExpiration::builder()
            .set_days(declared.expire_days.map(number))
            .set_expired_object_delete_marker(declared.expire_delete_markers.then_some(true))
            .build()
    });
    Entry::builder()
        .id(&declared.id)
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix(&declared.prefix).build())
        .set_abort_incomplete_multipart_upload(abort)
        .set_noncurrent_version_expiration(noncurrent)
        .set_expiration(expiration)
        .build()
}

/// A rule in the declared shape. What lake never declares is named besides, so that it shows as drift.
fn observed(entry: &Entry) -> Value {
    let days = |days: Option<i32>| days.and_then(|days| u32::try_from(days).ok());
    let abort =
        entry.abort_incomplete_multipart_upload().and_then(AbortIncompleteMultipartUpload::days_after_initiation);
    let expiration = entry.expiration();
    let told = LifecycleRule {
        id: entry.id().unwrap_or_default().to_owned(),
        prefix: prefix(entry).to_owned(),
        abort_incomplete_upload_days: days(abort),
        noncurrent_days: days(
            entry.noncurrent_version_expiration().and_then(NoncurrentVersionExpiration::noncurrent_days),
        ),
        expire_days: days(expiration.and_then(LifecycleExpiration::days)),
        expire_delete_markers: expiration.is_some_and(|e| e.expired_object_delete_marker() == Some(true)),
    };
    let mut told = json!(told);
    let others = others(entry);
    if !others.is_empty() {
        told["others"] = json!(others);
    }
    told
}

/// The prefix, in any of the three places where S3 has kept it.
#[expect(deprecated, reason = "rules that were written long ago are told in the shape of their time")]
fn prefix(entry: &Entry) -> &str {
    let filter = entry.filter();
    let filtered = filter.and_then(|filter| filter.prefix().or_else(|| filter.and()?.prefix()));
    filtered.or(entry.prefix()).unwrap_or_default()
}

fn others(entry: &Entry) -> Vec<&'static str> {
    let filter = entry.filter();
    let narrowed = filter.is_some_and(|filter| {
        let and = filter.and();
        let tags = filter.tag().is_some() || and.is_some_and(|and| !and.tags().is_empty());
        let above =
            filter.object_size_greater_than().or(and.and_then(LifecycleRuleAndOperator::object_size_greater_than));
        let below = filter.object_size_less_than().or(and.and_then(LifecycleRuleAndOperator::object_size_less_than));
        tags || above.is_some() || below.is_some()
    });
    let keeps =
        entry.noncurrent_version_expiration().is_some_and(|versions| versions.newer_noncurrent_versions().is_some());
    [
        ("disabled", entry.status() != &ExpirationStatus::Enabled),
        ("narrowed by tags or size", narrowed),
        ("expires at a date", entry.expiration().is_some_and(|expiration| expiration.date().is_some())),
        ("keeps a number of old versions", keeps),
        ("transitions", !entry.transitions().is_empty() || !entry.noncurrent_version_transitions().is_empty()),
    ]
    .into_iter()
    .filter_map(|(name, holds)| holds.then_some(name))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{
        ErrorKind,
        aws::replay::{Replay, answer, s3_error, target},
    };

    fn declared() -> Fields {
        let rules = json!([
            { "id": "uploads", "prefix": "", "abort_incomplete_upload_days": 7 },
            { "id": "ledger", "prefix": "_lake/", "noncurrent_days": 30, "expire_delete_markers": true },
        ]);
        fields(json!({ "bucket": "b", "rules": rules }))
    }

    const UPLOADS: &str = "<Rule><ID>uploads</ID><Filter><Prefix></Prefix></Filter><Status>Enabled</Status>\
        <AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload>\
        </Rule>";
    const LEDGER: &str = "<Rule><ID>ledger</ID><Filter><Prefix>_lake/</Prefix></Filter><Status>Enabled</Status>\
        <Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>\
        <NoncurrentVersionExpiration><NoncurrentDays>30</NoncurrentDays></NoncurrentVersionExpiration></Rule>";
    const THEIRS: &str = "<Rule><ID>theirs</ID><Prefix>logs/</Prefix><Status>Disabled</Status><Transition>\
        <Days>30</Days><StorageClass>GLACIER</StorageClass></Transition></Rule>";

    fn document(rules: &[&str]) -> String {
        format!("<LifecycleConfiguration>{}</LifecycleConfiguration>", rules.concat())
    }

    #[tokio::test]
    async fn rules_are_read_in_the_declared_order_and_foreign_ones_show_as_drift() {
        let replay = Replay::new([
            answer(200, document(&[LEDGER, UPLOADS])),
            answer(200, document(&[THEIRS, UPLOADS, LEDGER])),
            s3_error(404, "NoSuchLifecycleConfiguration"),
            s3_error(404, "NoSuchBucket"),
        ]);
        let kind = LifecycleKind::new(&replay.clients());
        let declared = declared();
        let target = target("b", &declared);
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs, declared);
        let drifted = kind.observe(target).await.unwrap().unwrap().inputs;
        let theirs = json!({ "id": "theirs", "prefix": "logs/", "others": ["disabled", "transitions"] });
        assert_eq!(drifted["rules"][2], theirs);
        assert_eq!(kind.observe(target).await.unwrap(), None);
        assert_eq!(kind.observe(target).await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_whole_document_is_put_and_deletion_of_none_succeeds() {
        let replay = Replay::new([
            s3_error(404, "NoSuchBucket"),
            answer(200, ""),
            answer(204, ""),
            s3_error(404, "NoSuchBucket"),
        ]);
        let kind = LifecycleKind::new(&replay.clients());
        let declared = declared();
        let target = target("b", &declared);
        assert_eq!(kind.create(target, &Tags::new()).await.unwrap_err().kind, ErrorKind::NotYet);
        kind.update(target, &Fields::new(), &Tags::new()).await.unwrap();
        kind.delete(target).await.unwrap();
        kind.delete(target).await.unwrap();
        let put = &replay.asked()[1];
        for told in [
            "<DaysAfterInitiation>7</DaysAfterInitiation>",
            "<NoncurrentDays>30</NoncurrentDays>",
            "<Prefix>_lake/</Prefix>",
            "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker>",
        ] {
            assert!(put.contains(told), "{put}");
        }
        assert!(!put.contains("<Days>"), "{put}");
    }
}
