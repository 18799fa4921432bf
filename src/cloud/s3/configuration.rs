//! What is set on a bucket: tags, versioning, encryption, public access block, ownership, policy, lifecycle. Each is
//! read, checked and written as a whole document; an absent one has its own error code, as on AWS.

use http::StatusCode;
use s3s::{S3Error, S3Request, S3Response, S3Result, dto::*, s3_error};

use super::{
    Cloud, lifecycle,
    meta::{self, BUCKETS, Bucket, Encryption, Versioning, custom_error},
    tagging,
};

/// Largest bucket policy, in bytes.
const MAX_POLICY_BYTES: usize = 20 * 1024;

impl Cloud {
    /// Changes a bucket's record.
    async fn change(
        &self,
        name: String,
        change: impl FnOnce(&mut Bucket) -> S3Result<()> + Send + 'static,
    ) -> S3Result<()> {
        self.store
            .commit(move |tx| {
                let mut bucket = meta::bucket(tx, &name)?;
                change(&mut bucket)?;
                Ok::<_, S3Error>(BUCKETS.put(tx, &name, &bucket)?)
            })
            .await
    }

    fn bucket(&self, name: &str) -> S3Result<Bucket> {
        self.store.read(|tx| meta::bucket(tx, name))
    }

    pub(super) async fn put_bucket_tags(
        &self,
        request: S3Request<PutBucketTaggingInput>,
    ) -> S3Result<S3Response<PutBucketTaggingOutput>> {
        let PutBucketTaggingInput { bucket, tagging: Tagging { tag_set }, .. } = request.input;
        let tags = tagging::from_set(tag_set, tagging::MAX_BUCKET_TAGS)?;
        self.change(bucket, |bucket| {
            bucket.tags = tags;
            Ok(())
        })
        .await?;
        Ok(S3Response::with_status(PutBucketTaggingOutput {}, StatusCode::NO_CONTENT))
    }

    pub(super) async fn get_bucket_tags(
        &self,
        request: S3Request<GetBucketTaggingInput>,
    ) -> S3Result<S3Response<GetBucketTaggingOutput>> {
        let tags = self.bucket(&request.input.bucket)?.tags;
        if tags.is_empty() {
            return Err(s3_error!(NoSuchTagSet, "The TagSet does not exist"));
        }
        Ok(S3Response::new(GetBucketTaggingOutput { tag_set: tagging::to_set(tags) }))
    }

    pub(super) async fn delete_bucket_tags(
        &self,
        request: S3Request<DeleteBucketTaggingInput>,
    ) -> S3Result<S3Response<DeleteBucketTaggingOutput>> {
        self.change(request.input.bucket, |bucket| {
            bucket.tags.clear();
            Ok(())
        })
        .await?;
        Ok(S3Response::with_status(DeleteBucketTaggingOutput {}, StatusCode::NO_CONTENT))
    }

    pub(super) async fn put_versioning(
        &self,
        request: S3Request<PutBucketVersioningInput>,
    ) -> S3Result<S3Response<PutBucketVersioningOutput>> {
        let PutBucketVersioningInput { bucket, versioning_configuration: wanted, .. } = request.input;
        if wanted.mfa_delete.as_ref().is_some_and(|delete| delete.as_str() == MFADelete::ENABLED) {
            return Err(s3_error!(NotImplemented, "The embedded cloud has no MFA delete"));
        }
        let versioning = match wanted.status.as_ref().map(BucketVersioningStatus::as_str) {
            Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
            Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
            _ => {
                return Err(custom_error(
                    StatusCode::BAD_REQUEST,
                    "IllegalVersioningConfigurationException",
                    "The Versioning element must be specified: Enabled or Suspended",
                ));
            }
        };
        self.change(bucket, move |bucket| {
            bucket.versioning = versioning;
            Ok(())
        })
        .await?;
        Ok(S3Response::new(PutBucketVersioningOutput {}))
    }

    pub(super) async fn get_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        let status = match self.bucket(&request.input.bucket)?.versioning {
            Versioning::Off => None,
            Versioning::Enabled => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED)),
            Versioning::Suspended => Some(BucketVersioningStatus::from_static(BucketVersioningStatus::SUSPENDED)),
        };
        Ok(S3Response::new(GetBucketVersioningOutput { mfa_delete: None, status }))
    }

    pub(super) async fn put_encryption(
        &self,
        request: S3Request<PutBucketEncryptionInput>,
    ) -> S3Result<S3Response<PutBucketEncryptionOutput>> {
        let PutBucketEncryptionInput { bucket, server_side_encryption_configuration, .. } = request.input;
        let mut rules = server_side_encryption_configuration.rules.into_iter();
        let (Some(rule), None) = (rules.next(), rules.next()) else {
            return Err(s3_error!(MalformedXML, "An encryption configuration has one rule"));
        };
        let default = rule.apply_server_side_encryption_by_default;
        let algorithm = default.as_ref().map_or("AES256", |default| default.sse_algorithm.as_str()).to_owned();
        if !matches!(algorithm.as_str(), "AES256" | "aws:kms" | "aws:kms:dsse") {
            return Err(s3_error!(MalformedXML, "The encryption algorithm {algorithm} is not known"));
        }
        let kms_key = default.and_then(|default| default.kms_master_key_id);
        if kms_key.is_some() && algorithm == "AES256" {
            return Err(s3_error!(
                InvalidArgument,
                "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms"
            ));
        }
        let bucket_key = rule.bucket_key_enabled.unwrap_or(false);
        self.change(bucket, move |bucket| {
            bucket.encryption = Encryption { algorithm, kms_key, bucket_key };
            Ok(())
        })
        .await?;
        Ok(S3Response::new(PutBucketEncryptionOutput {}))
    }

    pub(super) async fn get_encryption(
        &self,
        request: S3Request<GetBucketEncryptionInput>,
    ) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
        let Encryption { algorithm, kms_key, bucket_key } = self.bucket(&request.input.bucket)?.encryption;
        let rule = ServerSideEncryptionRule {
            apply_server_side_encryption_by_default: Some(ServerSideEncryptionByDefault {
                kms_master_key_id: kms_key,
                sse_algorithm: algorithm.into(),
            }),
            bucket_key_enabled: Some(bucket_key),
        };
        Ok(S3Response::new(GetBucketEncryptionOutput {
            server_side_encryption_configuration: Some(ServerSideEncryptionConfiguration { rules: vec![rule] }),
        }))
    }

    /// Back to what every bucket has.
    pub(super) async fn delete_encryption(
        &self,
        request: S3Request<DeleteBucketEncryptionInput>,
    ) -> S3Result<S3Response<DeleteBucketEncryptionOutput>> {
        self.change(request.input.bucket, |bucket| {
            bucket.encryption = Encryption::default();
            Ok(())
        })
        .await?;
        Ok(S3Response::with_status(DeleteBucketEncryptionOutput {}, StatusCode::NO_CONTENT))
    }

    pub(super) async fn put_access_block(
        &self,
        request: S3Request<PutPublicAccessBlockInput>,
    ) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
        let PutPublicAccessBlockInput { bucket, public_access_block_configuration: given, .. } = request.input;
        let set = |setting: Option<bool>| Some(setting.unwrap_or(false));
        let block = PublicAccessBlockConfiguration {
            block_public_acls: set(given.block_public_acls),
            block_public_policy: set(given.block_public_policy),
            ignore_public_acls: set(given.ignore_public_acls),
            restrict_public_buckets: set(given.restrict_public_buckets),
        };
        self.change(bucket, |bucket| {
            bucket.public_access_block = Some(block);
            Ok(())
        })
        .await?;
        Ok(S3Response::new(PutPublicAccessBlockOutput {}))
    }

    pub(super) async fn get_access_block(
        &self,
        request: S3Request<GetPublicAccessBlockInput>,
    ) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
        let block = self.bucket(&request.input.bucket)?.public_access_block;
        let absent = || {
            custom_error(
                StatusCode::NOT_FOUND,
                "NoSuchPublicAccessBlockConfiguration",
                "The public access block configuration was not found",
            )
        };
        let block = block.ok_or_else(absent)?;
        Ok(S3Response::new(GetPublicAccessBlockOutput { public_access_block_configuration: Some(block) }))
    }

    pub(super) async fn delete_access_block(
        &self,
        request: S3Request<DeletePublicAccessBlockInput>,
    ) -> S3Result<S3Response<DeletePublicAccessBlockOutput>> {
        self.change(request.input.bucket, |bucket| {
            bucket.public_access_block = None;
            Ok(())
        })
        .await?;
        Ok(S3Response::with_status(DeletePublicAccessBlockOutput {}, StatusCode::NO_CONTENT))
    }

    pub(super) async fn put_ownership(
        &self,
        request: S3Request<PutBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
        let PutBucketOwnershipControlsInput { bucket, ownership_controls, .. } = request.input;
        let mut rules = ownership_controls.rules.into_iter();
        let ownership = match (rules.next(), rules.next()) {
            (Some(rule), None) => rule.object_ownership.as_str().to_owned(),
            _ => return Err(s3_error!(MalformedXML, "Ownership controls have one rule")),
        };
        match ownership.as_str() {
            "BucketOwnerEnforced" => {}
            "BucketOwnerPreferred" | "ObjectWriter" => {
                return Err(s3_error!(
                    NotImplemented,
                    "The embedded cloud has no ACLs: ownership is BucketOwnerEnforced"
                ));
            }
            _ => return Err(s3_error!(MalformedXML, "The ownership {ownership} is not known")),
        }
        self.change(bucket, |bucket| {
            bucket.ownership = Some(ownership);
            Ok(())
        })
        .await?;
        Ok(S3Response::new(PutBucketOwnershipControlsOutput {}))
    }

    pub(super) async fn get_ownership(
        &self,
        request: S3Request<GetBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
        let ownership = self.bucket(&request.input.bucket)?.ownership;
        let ownership = ownership
            .ok_or_else(|| s3_error!(OwnershipControlsNotFoundError, "The bucket ownership controls were not found"))?;
        let rules = vec![OwnershipControlsRule { object_ownership: ObjectOwnership::from(ownership) }];
        let ownership_controls = Some(OwnershipControls { rules });
        Ok(S3Response::new(GetBucketOwnershipControlsOutput { ownership_controls }))
    }

    pub(super) async fn delete_ownership(
        &self,
        request: S3Request<DeleteBucketOwnershipControlsInput>,
    ) -> S3Result<S3Response<DeleteBucketOwnershipControlsOutput>> {
        self.change(request.input.bucket, |bucket| {
            bucket.ownership = None;
            Ok(())
        })
        .await?;
        Ok(S3Response::with_status(DeleteBucketOwnershipControlsOutput {}, StatusCode::NO_CONTENT))
    }

    /// Keeps the policy. It is evaluated with the caller's own: see `cloud::authorise`.
    pub(super) async fn put_policy(
        &self,
        request: S3Request<PutBucketPolicyInput>,
    ) -> S3Result<S3Response<PutBucketPolicyOutput>> {
        let PutBucketPolicyInput { bucket, policy, .. } = request.input;
        if policy.len() > MAX_POLICY_BYTES {
            return Err(s3_error!(MalformedPolicy, "Policies must be of at most {MAX_POLICY_BYTES} bytes"));
        }
        super::access::check_bucket_policy(&policy, &bucket)?;
        self.change(bucket, |bucket| {
            bucket.policy = Some(policy);
            Ok(())
        })
        .await?;
        Ok(S3Response::new(PutBucketPolicyOutput {}))
    }

    pub(super) async fn get_policy(
        &self,
        request: S3Request<GetBucketPolicyInput>,
    ) -> S3Result<S3Response<GetBucketPolicyOutput>> {
        let policy = self.bucket(&request.input.bucket)?.policy;
        let policy = policy.ok_or_else(|| s3_error!(NoSuchBucketPolicy, "The bucket policy does not exist"))?;
        Ok(S3Response::new(GetBucketPolicyOutput { policy: Some(policy) }))
    }

    pub(super) async fn delete_policy(
        &self,
        request: S3Request<DeleteBucketPolicyInput>,
    ) -> S3Result<S3Response<DeleteBucketPolicyOutput>> {
        self.change(request.input.bucket, |bucket| {
            bucket.policy = None;
            Ok(())
        })
        .await?;
        Ok(S3Response::with_status(DeleteBucketPolicyOutput {}, StatusCode::NO_CONTENT))
    }

    pub(super) async fn put_lifecycle(
        &self,
        request: S3Request<PutBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
        let PutBucketLifecycleConfigurationInput { bucket, lifecycle_configuration, .. } = request.input;
        let rules = lifecycle::check(lifecycle_configuration.map(|one| one.rules).unwrap_or_default())?;
        self.change(bucket, |bucket| {
            bucket.lifecycle = Some(BucketLifecycleConfiguration { rules });
            Ok(())
        })
        .await?;
        Ok(S3Response::new(PutBucketLifecycleConfigurationOutput { transition_default_minimum_object_size: None }))
    }

    pub(super) async fn get_lifecycle(
        &self,
        request: S3Request<GetBucketLifecycleConfigurationInput>,
    ) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
        let lifecycle = self.bucket(&request.input.bucket)?.lifecycle;
        let absent = || s3_error!(NoSuchLifecycleConfiguration, "The lifecycle configuration does not exist");
        let rules = Some(lifecycle.ok_or_else(absent)?.rules);
        Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
            rules,
            transition_default_minimum_object_size: None,
        }))
    }

    pub(super) async fn delete_lifecycle(
        &self,
        request: S3Request<DeleteBucketLifecycleInput>,
    ) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
        self.change(request.input.bucket, |bucket| {
            bucket.lifecycle = None;
            Ok(())
        })
        .await?;
        Ok(S3Response::with_status(DeleteBucketLifecycleOutput {}, StatusCode::NO_CONTENT))
    }
}
