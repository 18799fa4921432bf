//! S3 kinds.

mod bucket;
mod encryption;
mod notification;
mod object;
mod public_access_block;
mod upload;
mod versioning;
mod versions;

pub(super) use bucket::BucketKind;
pub(super) use encryption::EncryptionKind;
pub(super) use notification::NotificationKind;
pub(super) use object::ObjectKind;
pub(super) use public_access_block::PublicAccessBlockKind;
pub(super) use versioning::VersioningKind;
