//! S3: buckets, their configuration documents, and objects that lake itself puts.

use serde::{Deserialize, Serialize};

use crate::resource::{Input, Naming, Ownership, Resource, Schema};

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

const fn part_of_bucket(kind: &'static str) -> Schema {
    Schema {
        kind,
        naming: Naming::Fields(&["bucket"]),
        ownership: Ownership::Parent("bucket"),
        replace_on: &["bucket"],
        volatile_outputs: &[],
    }
}
