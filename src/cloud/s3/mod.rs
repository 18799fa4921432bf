//! S3: buckets, objects and their versions, kept in the store and in files beside it.
//!
//! | file | what |
//! |---|---|
//! | `front` | S3 as the gateway sees it: `s3s` with credentials, authorisation, host names |
//! | `access` | what a caller must be allowed |
//! | `bucket`, `configuration`, `notification`, `lifecycle` | buckets and what is set on them |
//! | `read`, `write`, `delete`, `tagging`, `multipart`, `uploads`, `listing` | the operations on objects |
//! | `version`, `condition`, `checksum`, `list`, `notify` | what they decide with |
//! | `meta`, `keys`, `blob` | what is remembered, where in the store, and the bytes |
//!
//! A write is one transaction of the store: condition, version, contents and the events it causes commit together.
//! Operations that are not listed in [`Operations`] answer `NotImplemented`.

pub(in crate::cloud) mod access;
mod blob;
mod bucket;
mod checksum;
mod condition;
mod configuration;
mod delete;
mod front;
mod keys;
mod lifecycle;
mod list;
mod listing;
mod meta;
mod multipart;
mod notification;
mod notify;
mod objects;
mod read;
mod tagging;
mod uploads;
mod version;
mod write;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use s3s::{S3, S3Error, S3Request, S3Response, S3Result, dto, s3_error};

pub use front::{S3Front, S3Sweeper};
pub use objects::S3Objects;

use super::{
    delivery::AsyncInvoker,
    error::ApiError,
    gateway::RequestId,
    service::{ACCOUNT_ID, Caller},
    store::{Store, StoreError},
};

/// S3 of one folder.
struct Cloud {
    store: Arc<Store>,
    blobs: Arc<blob::Blobs>,
    invoker: Arc<dyn AsyncInvoker>,
}

/// Tags that came with CreateBucket.
#[derive(Debug, Clone)]
struct CreateTags(meta::Tags);

/// The location constraint that came with CreateBucket.
#[derive(Debug, Clone)]
struct CreateLocation(String);

impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "internal error");
        s3_error!(InternalError, "We encountered an internal error. Please try again.")
    }
}

impl From<ApiError> for S3Error {
    fn from(error: ApiError) -> Self {
        let mut converted = S3Error::with_message(s3s::S3ErrorCode::Custom(error.code.into()), error.message);
        converted.set_status_code(error.status);
        converted
    }
}

/// Who asks, as the gateway found out.
fn origin<T>(request: &S3Request<T>) -> notify::Origin {
    let root = || Caller { arn: format!("arn:aws:iam::{ACCOUNT_ID}:root"), user_id: ACCOUNT_ID.to_owned() };
    notify::Origin {
        caller: request.extensions.get::<Caller>().cloned().unwrap_or_else(root),
        request_id: request.extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default(),
    }
}

/// The operations that are there, each with the method that does it.
struct Operations(Arc<Cloud>);

macro_rules! operations {
    ($($operation:ident($input:ident) -> $output:ident = $method:ident;)*) => {
        #[async_trait::async_trait]
        impl S3 for Operations {
            $(async fn $operation(&self, request: S3Request<dto::$input>) -> S3Result<S3Response<dto::$output>> {
                self.0.$method(request).await
            })*
        }
    };
}

operations! {
    create_bucket(CreateBucketInput) -> CreateBucketOutput = create;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = look_at;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = delete_empty;
    list_buckets(ListBucketsInput) -> ListBucketsOutput = list_all;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = location;

    put_bucket_tagging(PutBucketTaggingInput) -> PutBucketTaggingOutput = put_bucket_tags;
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput = get_bucket_tags;
    delete_bucket_tagging(DeleteBucketTaggingInput) -> DeleteBucketTaggingOutput = delete_bucket_tags;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput = put_versioning;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = get_versioning;
    put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput = put_encryption;
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = get_encryption;
    delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput = delete_encryption;
    put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput = put_access_block;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput = get_access_block;
    delete_public_access_block(DeletePublicAccessBlockInput) -> DeletePublicAccessBlockOutput = delete_access_block;
    put_bucket_ownership_controls(PutBucketOwnershipControlsInput) -> PutBucketOwnershipControlsOutput = put_ownership;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput = get_ownership;
    delete_bucket_ownership_controls(DeleteBucketOwnershipControlsInput) -> DeleteBucketOwnershipControlsOutput = delete_ownership;
    put_bucket_policy(PutBucketPolicyInput) -> PutBucketPolicyOutput = put_policy;
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = get_policy;
    delete_bucket_policy(DeleteBucketPolicyInput) -> DeleteBucketPolicyOutput = delete_policy;
    put_bucket_lifecycle_configuration(PutBucketLifecycleConfigurationInput) -> PutBucketLifecycleConfigurationOutput = put_lifecycle;
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput = get_lifecycle;
    delete_bucket_lifecycle(DeleteBucketLifecycleInput) -> DeleteBucketLifecycleOutput = delete_lifecycle;
    put_bucket_notification_configuration(PutBucketNotificationConfigurationInput) -> PutBucketNotificationConfigurationOutput = put_notification;
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput = get_notification;

    put_object(PutObjectInput) -> PutObjectOutput = put;
    copy_object(CopyObjectInput) -> CopyObjectOutput = copy;
    get_object(GetObjectInput) -> GetObjectOutput = read_object;
    head_object(HeadObjectInput) -> HeadObjectOutput = head;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = attributes;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = delete;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = delete_many;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput = put_tags;
    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = get_tags;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput = delete_tags;
    list_objects(ListObjectsInput) -> ListObjectsOutput = list_v1;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = list_v2;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput = list_versions;

    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = create_upload;
    upload_part(UploadPartInput) -> UploadPartOutput = put_part;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = copy_part;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = abort;
    list_parts(ListPartsInput) -> ListPartsOutput = list_upload_parts;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = list_uploads;
}
