//! The kinds of AWS resources that a lake is made of: their inputs, their outputs (as methods of their handles)
//! and their schemas. What is done with them stands in `provider/aws`, in a file of the same name.

pub mod cloudwatch;
pub mod events;
pub mod glue;
pub mod iam;
pub mod lambda;
pub mod logs;
pub mod s3;
pub mod sns;
pub mod sqs;

use super::{Resource, Schema};

/// The schemas of every kind.
pub const SCHEMAS: &[&Schema] = &[
    s3::Bucket::SCHEMA,
    s3::BucketVersioning::SCHEMA,
    s3::BucketEncryption::SCHEMA,
    s3::BucketPublicAccessBlock::SCHEMA,
    s3::BucketNotification::SCHEMA,
    s3::BucketPolicy::SCHEMA,
    s3::BucketLifecycle::SCHEMA,
    s3::Object::SCHEMA,
    s3::Document::SCHEMA,
    s3::Prefix::SCHEMA,
    iam::Role::SCHEMA,
    iam::RolePolicy::SCHEMA,
    logs::LogGroup::SCHEMA,
    lambda::Function::SCHEMA,
    lambda::Permission::SCHEMA,
    lambda::EventInvokeConfig::SCHEMA,
    glue::Database::SCHEMA,
    glue::Classifier::SCHEMA,
    glue::Crawler::SCHEMA,
    glue::Tables::SCHEMA,
    sqs::Queue::SCHEMA,
    sqs::QueuePolicy::SCHEMA,
    sns::Topic::SCHEMA,
    sns::TopicPolicy::SCHEMA,
    sns::Subscription::SCHEMA,
    events::Rule::SCHEMA,
    events::Target::SCHEMA,
    cloudwatch::Alarm::SCHEMA,
    cloudwatch::Dashboard::SCHEMA,
];

/// The schema of `kind`; `None` for a kind that this version does not know.
pub fn schema(kind: &str) -> Option<&'static Schema> {
    SCHEMAS.iter().copied().find(|schema| schema.kind == kind)
}
