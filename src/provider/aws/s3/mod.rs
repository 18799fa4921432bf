//! S3 kinds.

mod bucket;
mod document;
mod encryption;
mod lifecycle;
mod notification;
mod object;
mod policy;
mod prefix;
mod public_access_block;
mod upload;
mod versioning;
mod versions;

pub(super) use bucket::BucketKind;
pub(super) use document::DocumentKind;
pub(super) use encryption::EncryptionKind;
pub(super) use lifecycle::LifecycleKind;
pub(super) use notification::NotificationKind;
pub(super) use object::ObjectKind;
pub(super) use policy::PolicyKind;
pub(super) use prefix::PrefixKind;
pub(super) use public_access_block::PublicAccessBlockKind;
pub(super) use versioning::VersioningKind;
