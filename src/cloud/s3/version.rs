//! The versions of one key, newest first, inside a transaction.

use redb::WriteTransaction;
use s3s::{S3Result, s3_error};

use super::{
    blob::Released,
    keys,
    meta::{self, Bucket, Object, VERSIONS, Version, Versioning},
};
use crate::cloud::store::{StoreError, Transaction};

/// The key's newest version, delete marker or not.
pub(super) fn current(tx: &impl Transaction, bucket: &str, key: &str) -> Result<Option<Version>, StoreError> {
    Ok(VERSIONS.scan(tx, &keys::chain(bucket, key), None, 1)?.pop().map(|(_, version)| version))
}

/// The version of that id; `null` is the one without an id.
pub(super) fn find(tx: &impl Transaction, bucket: &str, key: &str, id: &str) -> Result<Option<Version>, StoreError> {
    if id == "null" {
        return null(tx, bucket, key);
    }
    let Some(sequence) = meta::sequence_of(id) else { return Ok(None) };
    let version = VERSIONS.get(tx, &keys::version(bucket, key, sequence))?;
    Ok(version.filter(|version| version.id.as_deref() == Some(id)))
}

/// The key's null version.
pub(super) fn null(tx: &impl Transaction, bucket: &str, key: &str) -> Result<Option<Version>, StoreError> {
    use crate::cloud::store::Step;
    let chain = keys::chain(bucket, key);
    let mut found = None;
    VERSIONS.walk(tx, &chain, |place, entry| {
        if !place.starts_with(&chain) {
            return Ok::<_, StoreError>(Step::Stop);
        }
        let version = entry.value()?;
        if version.id.is_some() {
            return Ok(Step::Next);
        }
        found = Some(version);
        Ok(Step::Stop)
    })?;
    Ok(found)
}

/// Writes a new version (`None`: a delete marker) as the bucket's versioning wants it.
pub(super) fn write(
    tx: &WriteTransaction,
    bucket: (&str, &Bucket),
    key: &str,
    object: Option<Object>,
    released: &mut Released,
) -> Result<Version, StoreError> {
    let (name, bucket) = bucket;
    let sequence = meta::next_sequence(tx)?;
    let id = match bucket.versioning {
        Versioning::Enabled => Some(meta::id_at(sequence)),
        Versioning::Off | Versioning::Suspended => {
            if let Some(old) = null(tx, name, key)? {
                remove(tx, name, key, old, released)?;
            }
            None
        }
    };
    let version = Version { sequence, id, object };
    replace(tx, name, key, &version)?;
    Ok(version)
}

/// Overwrites the record of a version that is there.
pub(super) fn replace(tx: &WriteTransaction, bucket: &str, key: &str, version: &Version) -> Result<(), StoreError> {
    VERSIONS.put(tx, &keys::version(bucket, key, version.sequence), version)
}

/// Takes one version away for good, with its contents.
pub(super) fn remove(
    tx: &WriteTransaction,
    bucket: &str,
    key: &str,
    version: Version,
    released: &mut Released,
) -> Result<(), StoreError> {
    VERSIONS.delete(tx, &keys::version(bucket, key, version.sequence))?;
    for piece in version.object.into_iter().flat_map(|object| object.pieces) {
        released.release(tx, &piece.place)?;
    }
    Ok(())
}

/// The object that a read of `key` (in that version, else the newest) means, or why there is none.
pub(super) fn readable(
    tx: &impl Transaction,
    bucket: &str,
    key: &str,
    id: Option<&str>,
) -> S3Result<(Version, Object)> {
    meta::bucket(tx, bucket)?;
    let version = match id {
        None => current(tx, bucket, key)?.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))?,
        Some(id) => find(tx, bucket, key, id)?.ok_or_else(|| no_such_version(id))?,
    };
    match version.object.clone() {
        Some(object) => Ok((version, object)),
        None => Err(is_delete_marker(&version, id.is_some())),
    }
}

/// An id that never was of ours is an argument that makes no sense; one of ours is a version that is gone.
pub(super) fn no_such_version(id: &str) -> s3s::S3Error {
    if id == "null" || meta::sequence_of(id).is_some() {
        s3_error!(NoSuchVersion, "The specified version does not exist.")
    } else {
        s3_error!(InvalidArgument, "Invalid version id specified")
    }
}

fn is_delete_marker(version: &Version, asked_for: bool) -> s3s::S3Error {
    let mut error = if asked_for {
        s3_error!(MethodNotAllowed, "The specified method is not allowed against this resource.")
    } else {
        s3_error!(NoSuchKey, "The specified key does not exist.")
    };
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/xml"));
    headers.insert("x-amz-delete-marker", http::HeaderValue::from_static("true"));
    if let Ok(id) = http::HeaderValue::from_str(version.wire_id()) {
        headers.insert("x-amz-version-id", id);
    }
    if asked_for {
        headers.insert(http::header::ALLOW, http::HeaderValue::from_static("DELETE"));
    }
    error.set_headers(headers);
    error
}
