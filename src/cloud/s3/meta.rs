//! What S3 remembers: buckets, versions of objects, uploads under way. Contents are apart, in `blob`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use redb::WriteTransaction;
use s3s::{S3Error, S3Result, dto, s3_error};
use serde::{Deserialize, Serialize};

use super::checksum::{Algorithm, StoredChecksum};
use crate::cloud::store::{StoreError, Table, Transaction};

/// Bucket's name → bucket.
pub(super) const BUCKETS: Table<Bucket> = Table::new("s3.buckets");
/// `keys::version` → version.
pub(super) const VERSIONS: Table<Version> = Table::new("s3.versions");
/// `keys::item` with the upload's id → upload.
pub(super) const UPLOADS: Table<Upload> = Table::new("s3.uploads");
/// `{upload id}/{part number, 5 digits}` → part.
pub(super) const PARTS: Table<Part> = Table::new("s3.parts");
const SEQUENCE: Table<u64> = Table::new("s3.sequence");

/// The account's canonical user id, which owns every bucket and object.
pub(super) const OWNER_ID: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Name and value pairs in the order given.
pub(super) type Tags = Vec<(String, String)>;

/// A bucket with all its configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bucket {
    pub created: Timestamp,
    pub region: String,
    #[serde(default)]
    pub versioning: Versioning,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Tags,
    #[serde(default)]
    pub encryption: Encryption,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_access_block: Option<dto::PublicAccessBlockConfiguration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<dto::BucketLifecycleConfiguration>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<super::notification::Rule>,
    /// Whether all that happens is told to EventBridge.
    #[serde(default)]
    pub event_bridge: bool,
}

/// Whether a bucket keeps old versions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Versioning {
    /// Never switched on.
    #[default]
    Off,
    /// Every write makes a version of its own.
    Enabled,
    /// Writes replace the null version, older versions stay.
    Suspended,
}

/// How objects are encrypted at rest, as far as answers tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Encryption {
    pub algorithm: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    #[serde(default)]
    pub bucket_key: bool,
}

impl Default for Encryption {
    /// What AWS applies to every bucket since January 2023.
    fn default() -> Self {
        Encryption { algorithm: "AES256".into(), kms_key: None, bucket_key: false }
    }
}

/// One version of a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Version {
    /// When it was written, in the order of writes: microseconds since 1970, made unique.
    pub sequence: u64,
    /// Its id; `None` for the null version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `None` for a delete marker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<Object>,
}

impl Version {
    /// The version's id on the wire.
    pub fn wire_id(&self) -> &str {
        self.id.as_deref().unwrap_or("null")
    }

    /// When it was written, in whole seconds as S3 tells it.
    pub fn modified(&self) -> dto::Timestamp {
        timestamp(Timestamp::from_second((self.sequence / 1_000_000) as i64).unwrap_or_default())
    }

    /// When it was written.
    pub fn written(&self) -> Timestamp {
        Timestamp::from_microsecond(self.sequence as i64).unwrap_or_default()
    }
}

/// An object's description.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Object {
    pub size: u64,
    /// Without its quotes.
    pub etag: String,
    /// Where the bytes are, in order; none when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<Piece>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<StoredChecksum>,
    #[serde(flatten)]
    pub description: Description,
}

impl Object {
    /// Whether it was put together from parts.
    pub fn is_multipart(&self) -> bool {
        self.etag.contains('-')
    }

    /// The etag as the wire type.
    pub fn wire_etag(&self) -> dto::ETag {
        dto::ETag::Strong(self.etag.clone())
    }
}

/// What the caller says of an object.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Description {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Tags,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<dto::Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub website_redirect: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    #[serde(default)]
    pub encryption: Encryption,
}

/// A run of an object's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Piece {
    pub place: Place,
    pub size: u64,
    /// Number of the part that it was uploaded as; 0 for an object that was put whole.
    #[serde(default)]
    pub part: u32,
    /// The part's checksum, where the object has one of parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

/// Where bytes are kept, by the blob's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Place {
    /// In the store itself.
    Inline(String),
    /// In a file.
    File(String),
}

/// A multipart upload under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Upload {
    pub initiated: Timestamp,
    /// ARN of who began it.
    pub initiator: String,
    pub algorithm: Option<Algorithm>,
    /// Whether the object's checksum is that of all its bytes (else of its parts' checksums).
    #[serde(default)]
    pub full_object: bool,
    pub description: Description,
}

/// An uploaded part.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Part {
    pub modified: Timestamp,
    pub size: u64,
    /// MD5, in hex.
    pub etag: String,
    pub place: Option<Place>,
    pub checksum: Option<StoredChecksum>,
}

/// The bucket, or `NoSuchBucket`.
pub(super) fn bucket(tx: &impl Transaction, name: &str) -> S3Result<Bucket> {
    BUCKETS.get(tx, name)?.ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist: {name}"))
}

/// The next number in the order of writes. Time-ordered, also when the clock goes back.
pub(super) fn next_sequence(tx: &WriteTransaction) -> Result<u64, StoreError> {
    let now = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or_default();
    let next = SEQUENCE.get(tx, "last")?.map_or(now, |last| now.max(last + 1));
    SEQUENCE.put(tx, "last", &next)?;
    Ok(next)
}

/// An id that sorts by `sequence` and cannot be guessed.
pub(super) fn id_at(sequence: u64) -> String {
    let random = uuid::Uuid::new_v4().as_u64_pair().1;
    format!("{sequence:016x}{random:016x}")
}

/// The sequence within an id of [`id_at`].
pub(super) fn sequence_of(id: &str) -> Option<u64> {
    (id.len() == 32).then(|| u64::from_str_radix(id.get(..16)?, 16).ok()).flatten()
}

/// A time as `s3s` writes it.
pub(super) fn timestamp(time: Timestamp) -> dto::Timestamp {
    dto::Timestamp::from(std::time::SystemTime::from(time))
}

/// The account as the owner of things.
pub(super) fn owner() -> dto::Owner {
    dto::Owner { display_name: None, id: Some(OWNER_ID.to_owned()) }
}

/// A custom error code that `s3s` has no constant for.
pub(super) fn custom_error(status: http::StatusCode, code: &'static str, message: impl Into<String>) -> S3Error {
    let mut error = S3Error::with_message(s3s::S3ErrorCode::Custom(code.into()), message.into());
    error.set_status_code(status);
    error
}
