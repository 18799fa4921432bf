//! `aws:s3:Document`: a small JSON object. It is read as a whole, so that drift shows member by member whatever the
//! bucket's encryption makes of entity tags.

use async_trait::async_trait;
use aws_sdk_s3::{Client, primitives::ByteStream};
use serde_json::{Value, json};

use super::versions::{self, Keys};
use crate::{
    provider::{
        ErrorKind, Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, parent_not_yet},
            fields::{fields, inputs, parsed, two},
        },
    },
    resource::{Fields, Resource, Schema, aws::s3::Document},
};

/// Largest document that is read; what is larger is not ours.
const BYTES_MAX: i64 = 1024 * 1024;

pub(in crate::provider::aws) struct DocumentKind {
    s3: Client,
}

impl DocumentKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        DocumentKind { s3: clients.s3.clone() }
    }
}

#[async_trait]
impl Kind for DocumentKind {
    fn schema(&self) -> &'static Schema {
        Document::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        const OPERATION: &str = "s3:GetObject";
        let (bucket, key) = two(Document::SCHEMA.kind, target)?;
        let call = self.s3.get_object().bucket(bucket).key(key).send().await;
        let Some(found) = call.map_err(failed(OPERATION)).or_none()? else { return Ok(None) };
        let outputs = outputs(found.e_tag(), found.version_id());
        let length = found.content_length().unwrap_or_default();
        let content = if length > BYTES_MAX {
            Value::String(format!("{length} bytes"))
        } else {
            let broken =
                |error| ProviderError::new(ErrorKind::Unreachable, OPERATION, format!("{bucket}/{key}: {error}"));
            let bytes = found.body.collect().await.map_err(broken)?.into_bytes();
            parsed(&String::from_utf8_lossy(&bytes))
        };
        let inputs = fields(json!({ "bucket": bucket, "key": key, "content": content }));
        Ok(Some(Observed { inputs, outputs, tags: Tags::new() }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: Document = inputs(target)?;
        let content = json!(inputs.content).to_string().into_bytes();
        let call = self
            .s3
            .put_object()
            .bucket(inputs.bucket.known())
            .key(inputs.key.known())
            .content_type("application/json")
            .body(ByteStream::from(content));
        let answer = call.send().await.map_err(failed("s3:PutObject")).map_err(parent_not_yet)?;
        Ok(outputs(answer.e_tag(), answer.version_id()))
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.create(target, tags).await
    }

    /// All versions of the key.
    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let (bucket, key) = two(Document::SCHEMA.kind, target)?;
        versions::delete_all(&self.s3, bucket, Keys::One(key)).await.or_none().map(drop)
    }
}

fn outputs(etag: Option<&str>, version: Option<&str>) -> Fields {
    fields(json!({ "etag": etag, "version": version }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Replay, answer, s3_error, target};

    fn declared() -> Fields {
        let content = json!({ "crawler": "flights-local-flights-0a1b2c", "database": "raw" });
        fields(json!({ "bucket": "b", "key": "_lake/deployed.json", "content": content }))
    }

    #[tokio::test]
    async fn a_document_is_put_and_read_back_with_its_version() {
        let headers: &[_] = &[("etag", "\"e\""), ("x-amz-version-id", "v1")];
        let body = declared()["content"].to_string().into_bytes();
        let replay = Replay::new([(200, headers, Vec::new()), (200, headers, body)]);
        let kind = DocumentKind::new(&replay.clients());
        let declared = declared();
        let target = target("b/_lake/deployed.json", &declared);
        let made = kind.create(target, &Tags::new()).await.unwrap();
        assert_eq!((&made["etag"], &made["version"]), (&json!("\"e\""), &json!("v1")));
        let put = &replay.asked()[0];
        assert!(put.starts_with("PUT /b/_lake/deployed.json"), "{put}");
        assert!(put.contains(r#"{"crawler":"flights-local-flights-0a1b2c","database":"raw"}"#), "{put}");
        let found = kind.observe(target).await.unwrap().unwrap();
        assert_eq!((found.inputs, found.outputs), (declared.clone(), made));
    }

    #[tokio::test]
    async fn another_content_shows_as_drift_and_a_missing_document_is_nothing() {
        let huge: &[_] = &[("content-length", "9999999")];
        let replay = Replay::new([
            answer(200, r#"{"database":"other"}"#),
            answer(200, "not json"),
            (200, huge, Vec::new()),
            s3_error(404, "NoSuchKey"),
            s3_error(404, "NoSuchBucket"),
        ]);
        let kind = DocumentKind::new(&replay.clients());
        let declared = declared();
        let target = target("b/_lake/deployed.json", &declared);
        for content in [json!({ "database": "other" }), json!("not json"), json!("9999999 bytes")] {
            assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs["content"], content);
        }
        assert_eq!(kind.observe(target).await.unwrap(), None);
        assert_eq!(kind.observe(target).await.unwrap(), None);
    }

    #[tokio::test]
    async fn deleting_a_document_whose_bucket_is_gone_succeeds() {
        let replay = Replay::new([s3_error(404, "NoSuchBucket")]);
        let kind = DocumentKind::new(&replay.clients());
        kind.delete(target("b/_lake/deployed.json", &declared())).await.unwrap();
        replay.assert_used_up();
    }
}
