//! Deleting what a bucket holds: every version, every delete marker, every upload that is not completed.

use aws_sdk_s3::{
    Client,
    operation::list_object_versions::ListObjectVersionsOutput,
    types::{Delete, ObjectIdentifier},
};
use futures::{TryStreamExt, stream};

use crate::provider::{
    ErrorKind, ProviderError,
    aws::error::{OrNone, failed, unbuildable},
};

/// Keys that one DeleteObjects takes, and that one page of a listing has at most.
const PAGE_KEYS_MAX: i32 = 1000;

/// Uploads aborted at once.
const ABORTS_IN_FLIGHT_MAX: usize = 8;

/// Keys that an error names.
const KEYS_NAMED_MAX: usize = 3;

/// Which of a bucket's keys.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keys<'a> {
    /// All of them.
    All,
    /// This one.
    One(&'a str),
    /// Those that begin so.
    Below(&'a str),
}

impl<'a> Keys<'a> {
    fn prefix(self) -> Option<&'a str> {
        match self {
            Keys::All => None,
            Keys::One(prefix) | Keys::Below(prefix) => Some(prefix),
        }
    }

    fn include(self, key: &str) -> bool {
        match self {
            Keys::All => true,
            Keys::One(only) => key == only,
            Keys::Below(prefix) => key.starts_with(prefix),
        }
    }
}

/// Deletes all versions and delete markers of these keys.
pub(super) async fn delete_all(s3: &Client, bucket: &str, keys: Keys<'_>) -> Result<(), ProviderError> {
    let mut next: (Option<String>, Option<String>) = (None, None);
    loop {
        let page = s3
            .list_object_versions()
            .bucket(bucket)
            .max_keys(PAGE_KEYS_MAX)
            .set_prefix(keys.prefix().map(str::to_owned))
            .set_key_marker(next.0.take())
            .set_version_id_marker(next.1.take())
            .send()
            .await
            .map_err(failed("s3:ListObjectVersions"))?;
        delete(s3, bucket, identifiers(&page, keys)?).await?;
        if page.is_truncated != Some(true) || page.next_key_marker.is_none() {
            return Ok(());
        }
        next = (page.next_key_marker, page.next_version_id_marker);
    }
}

fn identifiers(page: &ListObjectVersionsOutput, keys: Keys<'_>) -> Result<Vec<ObjectIdentifier>, ProviderError> {
    let versions = page.versions().iter().map(|version| (version.key(), version.version_id()));
    let markers = page.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
    versions
        .chain(markers)
        .filter_map(|(key, version)| Some((key?, version)))
        .filter(|(key, _)| keys.include(key))
        .map(|(key, version)| ObjectIdentifier::builder().key(key).set_version_id(version.map(str::to_owned)).build())
        .collect::<Result<_, _>>()
        .map_err(|error| unbuildable("s3:DeleteObjects", error))
}

/// DeleteObjects answers 200 with failures inside.
async fn delete(s3: &Client, bucket: &str, objects: Vec<ObjectIdentifier>) -> Result<(), ProviderError> {
    const OPERATION: &str = "s3:DeleteObjects";
    if objects.is_empty() {
        return Ok(());
    }
    let wish = Delete::builder().set_objects(Some(objects)).quiet(true).build();
    let wish = wish.map_err(|error| unbuildable(OPERATION, error))?;
    let answer = s3.delete_objects().bucket(bucket).delete(wish).send().await.map_err(failed(OPERATION))?;
    let failures: Vec<_> =
        answer.errors().iter().filter(|error| !matches!(error.code(), Some("NoSuchKey" | "NoSuchVersion"))).collect();
    let Some(first) = failures.first() else { return Ok(()) };
    let keys: Vec<_> = failures.iter().filter_map(|error| error.key()).take(KEYS_NAMED_MAX).collect();
    let kind = match first.code() {
        Some("AccessDenied") => ErrorKind::Denied,
        Some("InternalError" | "SlowDown" | "ServiceUnavailable") => ErrorKind::Throttled,
        _ => ErrorKind::Invalid,
    };
    let message = format!(
        "{} of bucket {bucket}'s objects stay, such as {}: {}: {}",
        failures.len(),
        keys.join(", "),
        first.code().unwrap_or_default(),
        first.message().unwrap_or_default(),
    );
    Err(ProviderError::new(kind, OPERATION, message))
}

/// Aborts every multipart upload to these keys.
pub(super) async fn abort_uploads(s3: &Client, bucket: &str, keys: Keys<'_>) -> Result<(), ProviderError> {
    let mut next: (Option<String>, Option<String>) = (None, None);
    loop {
        let page = s3
            .list_multipart_uploads()
            .bucket(bucket)
            .max_uploads(PAGE_KEYS_MAX)
            .set_prefix(keys.prefix().map(str::to_owned))
            .set_key_marker(next.0.take())
            .set_upload_id_marker(next.1.take())
            .send()
            .await
            .map_err(failed("s3:ListMultipartUploads"))?;
        let uploads = page.uploads().iter().filter_map(|upload| Some((upload.key()?, upload.upload_id()?)));
        let uploads = uploads.filter(|(key, _)| keys.include(key));
        stream::iter(uploads.map(Ok::<_, ProviderError>).collect::<Vec<_>>())
            .try_for_each_concurrent(ABORTS_IN_FLIGHT_MAX, |(key, id)| abort(s3, bucket, key, id))
            .await?;
        if page.is_truncated != Some(true) || page.next_key_marker.is_none() {
            return Ok(());
        }
        next = (page.next_key_marker.clone(), page.next_upload_id_marker.clone());
    }
}

/// Aborts one upload; one that is gone is no error.
pub(super) async fn abort(s3: &Client, bucket: &str, key: &str, id: &str) -> Result<(), ProviderError> {
    let call = s3.abort_multipart_upload().bucket(bucket).key(key).upload_id(id);
    call.send().await.map_err(failed("s3:AbortMultipartUpload")).or_none().map(drop)
}
