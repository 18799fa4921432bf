//! S3: buckets, their configuration documents, and objects that lake itself puts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resource::{Handle, Input, Naming, Ownership, Resource, Schema};

/// `aws:s3:Bucket`. Outputs: `name`, `arn`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {}

impl Resource for Bucket {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:s3:Bucket",
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
        naming: Naming::Physical { prefix: "", separator: '-', length_max: 63 },
        ownership: Ownership::Tags,
        replace_on: &[],
        volatile_outputs: &[],
    };
}

/// `aws:s3:BucketVersioning`: part of its bucket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketVersioning {
    /// Name of the bucket.
    pub bucket: Input<String>,
    /// `Enabled` or `Suspended`.
    pub status: Input<String>,
}

impl Resource for BucketVersioning {
    const SCHEMA: &'static Schema = &part_of_bucket("aws:s3:BucketVersioning");
}

/// `aws:s3:BucketEncryption`: part of its bucket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketEncryption {
    /// Name of the bucket.
    pub bucket: Input<String>,
    /// `AES256` or `aws:kms`.
    pub algorithm: Input<String>,
}

impl Resource for BucketEncryption {
    const SCHEMA: &'static Schema = &part_of_bucket("aws:s3:BucketEncryption");
}

/// `aws:s3:BucketPublicAccessBlock`: all four switches on. Part of its bucket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketPublicAccessBlock {
    /// Name of the bucket.
    pub bucket: Input<String>,
    /// Whether public access is blocked in all four ways.
    pub block: Input<bool>,
}

impl Resource for BucketPublicAccessBlock {
    const SCHEMA: &'static Schema = &part_of_bucket("aws:s3:BucketPublicAccessBlock");
}

/// `aws:s3:BucketNotification`: the bucket's whole notification document. Part of its bucket; entries that are not
/// ours are refused, never overwritten.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketNotification {
    /// Name of the bucket.
    pub bucket: Input<String>,
    /// Which events go to which function.
    pub functions: Vec<FunctionNotification>,
}

/// One entry of a notification document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionNotification {
    /// Id of the entry, unique in the document.
    pub id: String,
    /// ARN of the function.
    pub function: Input<String>,
    /// Event types, `s3:ObjectCreated:*`.
    pub events: Vec<String>,
    /// Keys that begin so.
    pub prefix: String,
}

impl Resource for BucketNotification {
    const SCHEMA: &'static Schema = &part_of_bucket("aws:s3:BucketNotification");
}

/// `aws:s3:Object`: an immutable object of lake's own (a function package, a manifest), found by its hash among the
/// packages of the program. Outputs: `version`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// Name of the bucket.
    pub bucket: Input<String>,
    /// Key.
    pub key: Input<String>,
    /// SHA-256 of the content, in hex: names the package to upload.
    pub sha256: Input<String>,
}

impl Resource for Object {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:s3:Object",
        naming: Naming::Fields(&["bucket", "key"]),
        ownership: Ownership::Parent("bucket"),
        replace_on: &["bucket", "key"],
        volatile_outputs: &["version"],
    };
}

/// `aws:s3:Document`: a small JSON object whose values may be references, so that running code finds out what was
/// made. Outputs: `etag`, `version`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Name of the bucket.
    pub bucket: Input<String>,
    /// Key.
    pub key: Input<String>,
    /// The object's members; all of them text.
    pub content: BTreeMap<String, Input<String>>,
}

impl Resource for Document {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:s3:Document",
        naming: Naming::Fields(&["bucket", "key"]),
        ownership: Ownership::Parent("bucket"),
        replace_on: &["bucket", "key"],
        volatile_outputs: &["etag", "version"],
    };
}

impl Handle<Document> {
    /// The entity tag of its content.
    pub fn etag(&self) -> Input<String> {
        self.output("etag")
    }
}

/// `aws:s3:Prefix`: what others put below some prefixes of a bucket. Making it makes nothing; deleting it deletes all
/// that lies there, in every version.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prefix {
    /// Name of the bucket.
    pub bucket: Input<String>,
    /// Keys that begin so; ends with `/`.
    pub prefix: String,
    /// Further prefixes that go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// Whose it is: the dataset.
    pub of: String,
}

impl Resource for Prefix {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:s3:Prefix",
        naming: Naming::Fields(&["bucket", "prefix"]),
        ownership: Ownership::Parent("bucket"),
        replace_on: &["bucket", "prefix"],
        volatile_outputs: &[],
    };
}

/// `aws:s3:BucketPolicy`: who may use a bucket. Part of its bucket: a whole document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketPolicy {
    /// Name of the bucket.
    pub bucket: Input<String>,
    /// The policy; references may stand anywhere in it.
    pub document: Value,
}

impl Resource for BucketPolicy {
    const SCHEMA: &'static Schema = &part_of_bucket("aws:s3:BucketPolicy");
}

/// `aws:s3:BucketLifecycle`: what a bucket deletes by itself. Part of its bucket: a whole document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketLifecycle {
    /// Name of the bucket.
    pub bucket: Input<String>,
    /// At least one rule.
    pub rules: Vec<LifecycleRule>,
}

/// One rule of a lifecycle document. It says at least one thing that is to happen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifecycleRule {
    /// Id of the rule, unique in the document.
    pub id: String,
    /// Keys that begin so; empty: all keys.
    pub prefix: String,
    /// Days after which an upload that was not completed is aborted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort_incomplete_upload_days: Option<u32>,
    /// Days after which a version that is no longer the current one is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noncurrent_days: Option<u32>,
    /// Days after which an object expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_days: Option<u32>,
    /// Whether delete markers with no version behind them go; not together with `expire_days`, which includes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expire_delete_markers: bool,
}

impl Resource for BucketLifecycle {
    const SCHEMA: &'static Schema = &part_of_bucket("aws:s3:BucketLifecycle");
}

const fn part_of_bucket(kind: &'static str) -> Schema {
    Schema {
        kind,
        naming: Naming::Fields(&["bucket"]),
        ownership: Ownership::Parent("bucket"),
        replace_on: &["bucket"],
        volatile_outputs: &[],
    }
}
