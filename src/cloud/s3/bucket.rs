//! Buckets themselves: create, look at, list, delete.

use s3s::{
    S3Error, S3Request, S3Response, S3Result,
    dto::{
        self, CreateBucketInput, CreateBucketOutput, DeleteBucketInput, DeleteBucketOutput, GetBucketLocationInput,
        GetBucketLocationOutput, HeadBucketInput, HeadBucketOutput, ListBucketsInput, ListBucketsOutput,
    },
    s3_error,
};

use super::{
    Cloud, CreateTags,
    blob::Released,
    keys,
    meta::{self, BUCKETS, Bucket, UPLOADS, VERSIONS, Versioning},
    multipart, tagging,
};

/// The region whose buckets have no location constraint.
const DEFAULT_REGION: &str = "us-east-1";
/// Most buckets of the account. <https://docs.aws.amazon.com/general/latest/gr/s3.html>
const MAX_BUCKETS: usize = 10_000;

impl Cloud {
    pub(super) async fn create(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let S3Request { input, region, extensions, .. } = request;
        let constraint = input.create_bucket_configuration.as_ref().and_then(|one| one.location_constraint.as_ref());
        let constraint =
            constraint.map(dto::BucketLocationConstraint::as_str).filter(|constraint| !constraint.is_empty());
        let region = region_of(constraint, region.as_ref().map_or(DEFAULT_REGION, |region| region.as_str()))?;
        if input.object_lock_enabled_for_bucket.unwrap_or(false) {
            return Err(s3_error!(NotImplemented, "The embedded cloud has no object lock"));
        }
        if input.acl.as_ref().is_some_and(|acl| acl.as_str() != "private") {
            return Err(s3_error!(
                InvalidBucketAclWithObjectOwnership,
                "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"
            ));
        }
        let tags = extensions.get::<CreateTags>().map(|tags| tags.0.clone()).unwrap_or_default();
        let bucket = Bucket {
            created: jiff::Timestamp::now(),
            region,
            versioning: Versioning::Off,
            tags: tagging::check(tags, tagging::MAX_BUCKET_TAGS)?,
            encryption: meta::Encryption::default(),
            // What every new bucket has since April 2023.
            public_access_block: Some(dto::PublicAccessBlockConfiguration {
                block_public_acls: Some(true),
                block_public_policy: Some(true),
                ignore_public_acls: Some(true),
                restrict_public_buckets: Some(true),
            }),
            ownership: Some(input.object_ownership.map_or("BucketOwnerEnforced".into(), |one| one.as_str().to_owned())),
            policy: None,
            lifecycle: None,
            notifications: Vec::new(),
            event_bridge: false,
        };
        let name = input.bucket;
        let location = format!("/{name}");
        self.store
            .commit(move |tx| {
                if BUCKETS.get(tx, &name)?.is_some() {
                    return Err(s3_error!(
                        BucketAlreadyOwnedByYou,
                        "Your previous request to create the named bucket succeeded and you already own it."
                    ));
                }
                if BUCKETS.scan(tx, "", None, MAX_BUCKETS)?.len() == MAX_BUCKETS {
                    return Err(s3_error!(TooManyBuckets, "You have attempted to create more buckets than allowed"));
                }
                Ok(BUCKETS.put(tx, &name, &bucket)?)
            })
            .await?;
        Ok(S3Response::new(CreateBucketOutput { location: Some(location) }))
    }

    pub(super) async fn delete_empty(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let name = request.input.bucket;
        let released = self
            .store
            .commit(move |tx| {
                meta::bucket(tx, &name)?;
                if !VERSIONS.scan(tx, &keys::bucket(&name), None, 1)?.is_empty() {
                    return Err(s3_error!(
                        BucketNotEmpty,
                        "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
                    ));
                }
                let mut released = Released::default();
                for (place, _) in UPLOADS.scan(tx, &keys::bucket(&name), None, usize::MAX)? {
                    multipart::discard(tx, &place, &mut released)?;
                }
                BUCKETS.delete(tx, &name)?;
                Ok::<_, S3Error>(released)
            })
            .await?;
        self.blobs.collect(released);
        Ok(S3Response::new(DeleteBucketOutput {}))
    }

    pub(super) async fn look_at(&self, request: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
        let bucket = self.store.read(|tx| meta::bucket(tx, &request.input.bucket))?;
        Ok(S3Response::new(HeadBucketOutput {
            access_point_alias: Some(false),
            bucket_region: Some(bucket.region),
            ..HeadBucketOutput::default()
        }))
    }

    pub(super) async fn location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let bucket = self.store.read(|tx| meta::bucket(tx, &request.input.bucket))?;
        let constraint = (bucket.region != DEFAULT_REGION).then(|| dto::BucketLocationConstraint::from(bucket.region));
        Ok(S3Response::new(GetBucketLocationOutput { location_constraint: constraint }))
    }

    pub(super) async fn list_all(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let input = request.input;
        let limit = match input.max_buckets {
            None => MAX_BUCKETS,
            Some(asked) => {
                usize::try_from(asked).ok().filter(|asked| (1..=MAX_BUCKETS).contains(asked)).ok_or_else(|| {
                    s3_error!(InvalidArgument, "Argument max-buckets must be an integer between 1 and {MAX_BUCKETS}")
                })?
            }
        };
        let prefix = input.prefix.clone().unwrap_or_default();
        let after = input.continuation_token.as_deref();
        let mut found = self.store.read(|tx| BUCKETS.scan(tx, &prefix, after, MAX_BUCKETS + 1))?;
        if let Some(region) = &input.bucket_region {
            found.retain(|(_, bucket)| &bucket.region == region);
        }
        let more = found.len() > limit;
        found.truncate(limit);
        let continuation_token = found.last().map(|(name, _)| name.clone()).filter(|_| more);
        let wire = |(name, bucket): (String, Bucket)| dto::Bucket {
            bucket_region: Some(bucket.region),
            creation_date: Some(meta::timestamp(bucket.created)),
            name: Some(name),
        };
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(found.into_iter().map(wire).collect()),
            continuation_token,
            owner: Some(meta::owner()),
            prefix: input.prefix,
        }))
    }
}

/// Where a bucket is created, by AWS's rules: the default region takes no constraint, every other region's endpoint
/// takes its own name alone. The endpoint is told by the region that the request was signed for.
fn region_of(constraint: Option<&str>, signed: &str) -> S3Result<String> {
    match constraint {
        None if signed == DEFAULT_REGION || signed == "aws-global" => Ok(DEFAULT_REGION.to_owned()),
        None => Err(s3_error!(
            IllegalLocationConstraintException,
            "The unspecified location constraint is incompatible for the region specific endpoint this request was \
             sent to."
        )),
        Some(DEFAULT_REGION) => {
            Err(s3_error!(InvalidLocationConstraint, "The specified location-constraint is not valid"))
        }
        Some("EU") => Ok("eu-west-1".to_owned()),
        Some(constraint) if signed == DEFAULT_REGION || signed == constraint => Ok(constraint.to_owned()),
        Some(constraint) => Err(s3_error!(
            IllegalLocationConstraintException,
            "The {constraint} location constraint is incompatible for the region specific endpoint this request was \
             sent to."
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_s_region_is_that_of_constraint_and_endpoint() {
        let region = |constraint, signed| region_of(constraint, signed).ok();
        assert_eq!(region(None, "us-east-1").as_deref(), Some("us-east-1"));
        assert_eq!(region(Some("eu-west-1"), "eu-west-1").as_deref(), Some("eu-west-1"));
        assert_eq!(region(Some("eu-west-1"), "us-east-1").as_deref(), Some("eu-west-1"));
        assert_eq!(region(None, "eu-west-1"), None);
        assert_eq!(region(Some("eu-west-2"), "eu-west-1"), None);
        assert_eq!(region(Some("us-east-1"), "us-east-1"), None);
    }
}
