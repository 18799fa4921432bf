//! `aws:s3:Object`: a package or a manifest, found by its hash.

use async_trait::async_trait;
use aws_sdk_s3::Client;
use serde_json::json;

use super::{
    upload::{self, SHA256_METADATA},
    versions::{self, Keys},
};
use crate::{
    provider::{
        ErrorKind, Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Assets, Clients,
            error::{OrNone, failed, parent_not_yet},
            fields::{fields, inputs, two},
        },
    },
    resource::{Fields, Resource, Schema, aws::s3::Object},
};

pub(in crate::provider::aws) struct ObjectKind {
    s3: Client,
    assets: Assets,
}

impl ObjectKind {
    pub(in crate::provider::aws) fn new(clients: &Clients, assets: Assets) -> Self {
        ObjectKind { s3: clients.s3.clone(), assets }
    }
}

#[async_trait]
impl Kind for ObjectKind {
    fn schema(&self) -> &'static Schema {
        Object::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let (bucket, key) = two(Object::SCHEMA.kind, target)?;
        let call = self.s3.head_object().bucket(bucket).key(key).send().await;
        let Some(head) = call.map_err(failed("s3:HeadObject")).or_none()? else { return Ok(None) };
        // An object that somebody else put there has no hash: it shows as another content.
        let sha256 = head.metadata().and_then(|metadata| metadata.get(SHA256_METADATA)).cloned().unwrap_or_default();
        Ok(Some(Observed {
            inputs: fields(json!({ "bucket": bucket, "key": key, "sha256": sha256 })),
            outputs: fields(json!({ "version": head.version_id })),
            tags: Tags::new(),
        }))
    }

    async fn create(&self, target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: Object = inputs(target)?;
        let sha256 = inputs.sha256.known();
        let path = self.assets.path(sha256).ok_or_else(|| {
            let message = format!(
                "no package with SHA-256 {sha256} is at hand for {}; the plan was made from other packages: plan again",
                target.identity
            );
            ProviderError::new(ErrorKind::Invalid, "s3:PutObject", message)
        })?;
        let version = upload::file(&self.s3, inputs.bucket.known(), inputs.key.known(), path, sha256);
        Ok(fields(json!({ "version": version.await.map_err(parent_not_yet)? })))
    }

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        self.create(target, tags).await
    }

    /// All versions of the key: a marker over a package would leave the package, and its price.
    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let (bucket, key) = two(Object::SCHEMA.kind, target)?;
        versions::delete_all(&self.s3, bucket, Keys::One(key)).await.or_none().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Replay, answer, target};

    fn declared(sha256: &str) -> Fields {
        fields(json!({ "bucket": "b", "key": "packages/p.zip", "sha256": sha256 }))
    }

    #[tokio::test]
    async fn a_package_is_put_with_its_hash_and_told_by_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.zip");
        std::fs::write(&path, "abc").unwrap();
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let assets: Assets = [(sha256.to_owned(), path)].into_iter().collect();
        let head: &[_] = &[("x-amz-meta-sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")];
        let replay = Replay::new([
            (200, &[("x-amz-version-id", "v1")] as &[_], Vec::new()),
            (200, head, Vec::new()),
            answer(404, ""),
            answer(200, ""),
        ]);
        let kind = ObjectKind::new(&replay.clients(), assets);
        let declared = declared(sha256);
        let target = target("b/packages/p.zip", &declared);
        assert_eq!(kind.create(target, &Tags::new()).await.unwrap()["version"], "v1");
        assert!(replay.asked()[0].starts_with("PUT /b/packages/p.zip"), "{:?}", replay.asked());
        assert!(replay.asked()[0].ends_with("abc"), "{:?}", replay.asked());
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs, declared);
        assert_eq!(kind.observe(target).await.unwrap(), None);
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs["sha256"], "", "not ours");
    }

    #[tokio::test]
    async fn a_package_that_is_not_at_hand_is_named_by_its_hash() {
        let replay = Replay::new([]);
        let kind = ObjectKind::new(&replay.clients(), Assets::default());
        let error = kind.create(target("b/packages/p.zip", &declared("feed")), &Tags::new()).await.unwrap_err();
        assert!(error.message.contains("feed"), "{error}");
        assert!(replay.asked().is_empty());
    }

    #[tokio::test]
    async fn deletion_removes_every_version_of_that_key_alone() {
        let versions = "<ListVersionsResult><Version><Key>packages/p.zip</Key><VersionId>1</VersionId></Version>\
            <Version><Key>packages/p.zip.old</Key><VersionId>2</VersionId></Version></ListVersionsResult>";
        let replay = Replay::new([answer(200, versions), answer(200, "<DeleteResult/>")]);
        let kind = ObjectKind::new(&replay.clients(), Assets::default());
        kind.delete(target("b/packages/p.zip", &declared("feed"))).await.unwrap();
        let sent = &replay.asked()[1];
        assert!(sent.contains("<VersionId>1</VersionId>") && !sent.contains("<VersionId>2</VersionId>"), "{sent}");
    }
}
