//! Writing objects: PutObject and CopyObject, and what they share with multipart uploads.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use redb::WriteTransaction;
use s3s::{
    S3Error, S3Request, S3Response, S3Result,
    dto::{self, CopyObjectInput, CopyObjectOutput, PutObjectInput, PutObjectOutput},
    s3_error,
};

use super::{
    Cloud,
    blob::{self, Pin, Released},
    checksum::{Algorithm, Digested, Digests, Expected, StoredChecksum, given_checksum, put_checksum},
    condition::{ReadCondition, WriteCondition},
    meta::{self, Bucket, Description, Encryption, Object, Piece, Version, Versioning},
    notify::{self, Happening, Origin},
    read::{self, Found},
    tagging, version,
};

/// Largest object of one request, in bytes. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>
pub(super) const MAX_PUT_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// Most user metadata an object may have, names and values together, in bytes.
const MAX_METADATA_BYTES: usize = 2 * 1024;
/// Longest key, in bytes.
pub(super) const MAX_KEY_BYTES: usize = 1024;
/// Times that a copy starts again because its source was replaced meanwhile.
const COPY_TRIES: usize = 3;

/// Reads an input's description of the object: the same fields in three inputs.
macro_rules! description {
    ($input:expr) => {{
        $crate::cloud::s3::write::refuse_what_is_not_there(
            $input.sse_customer_algorithm.is_some(),
            $input.object_lock_mode.is_some() || $input.object_lock_legal_hold_status.is_some(),
            $input.acl.as_ref(),
        )?;
        $crate::cloud::s3::meta::Description {
            metadata: $crate::cloud::s3::write::metadata($input.metadata.take())?,
            tags: $crate::cloud::s3::tagging::from_header($input.tagging.as_deref())?,
            content_type: $input.content_type.take(),
            cache_control: $input.cache_control.take(),
            content_disposition: $input.content_disposition.take(),
            content_encoding: $crate::cloud::s3::write::content_encoding($input.content_encoding.take()),
            content_language: $input.content_language.take(),
            expires: $input.expires.take(),
            website_redirect: $input.website_redirect_location.take(),
            storage_class: $input.storage_class.take().map(|class| class.as_str().to_owned()),
            encryption: $crate::cloud::s3::write::encryption(
                $input.server_side_encryption.take(),
                $input.ssekms_key_id.take(),
            )?,
        }
    }};
}
pub(super) use description;

/// A write as it goes into its transaction.
pub(super) struct Write {
    pub bucket: String,
    pub key: String,
    pub condition: WriteCondition,
    pub origin: Origin,
    pub happening: Happening,
}

impl Cloud {
    pub(super) async fn put(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let origin = super::origin(&request);
        let S3Request { mut input, headers, trailing_headers, .. } = request;
        let write = Write {
            condition: WriteCondition::new(input.if_match.take(), input.if_none_match.take())?,
            bucket: input.bucket.clone(),
            key: checked_key(input.key.clone())?,
            origin,
            happening: Happening::Put,
        };
        let description = description!(input);
        let expected = Expected::read(input.content_md5.as_deref(), given_checksum!(input), &headers)?;
        // What cannot succeed is told before the body is taken in; the transaction decides again.
        self.store.read(|tx| {
            meta::bucket(tx, &write.bucket)?;
            write.condition.check(version::current(tx, &write.bucket, &write.key)?.as_ref())
        })?;
        let digests = Digests::new(expected.algorithm());
        let (draft, digested) = self.blobs.receive(input.body.take(), digests, MAX_PUT_BYTES).await?;
        expected.check(&digested, trailing_headers.as_ref())?;
        let (version, bucket) = self
            .write(write, move |tx| {
                let size = draft.size;
                let piece = draft.commit(tx)?.map(|place| Piece { place, size, part: 0, checksum: None });
                let pieces = piece.into_iter().collect();
                let Digested { md5, checksum } = digested;
                Ok(Object { size, etag: hex::encode(md5), pieces, checksum, description })
            })
            .await?;
        let mut output = PutObjectOutput { version_id: version.id.clone(), ..PutObjectOutput::default() };
        if let Some(object) = &version.object {
            output.e_tag = Some(object.wire_etag());
            output.server_side_encryption = Some(object.description.encryption.algorithm.clone().into());
            output.ssekms_key_id = object.description.encryption.kms_key.clone();
            if let Some(checksum) = &object.checksum {
                let checksum = checksum.wire();
                output.checksum_type = checksum.checksum_type.clone();
                put_checksum!(output, checksum);
            }
        }
        output.version_id = written_version(&bucket, &version);
        Ok(S3Response::new(output))
    }

    /// Commits a new object: condition, versions, contents and events in one transaction.
    pub(super) async fn write(
        &self,
        write: Write,
        make: impl FnOnce(&WriteTransaction) -> S3Result<Object> + Send + 'static,
    ) -> S3Result<(Version, Bucket)> {
        let exchange = Arc::clone(&self.exchange);
        let (version, bucket, released, queued) = self
            .store
            .commit(move |tx| {
                let Write { bucket: name, key, condition, origin, happening } = write;
                let bucket = meta::bucket(tx, &name)?;
                condition.check(version::current(tx, &name, &key)?.as_ref())?;
                let mut object = make(tx)?;
                if object.description.encryption == Encryption::default() {
                    object.description.encryption = bucket.encryption.clone();
                }
                let mut released = Released::default();
                let version = version::write(tx, (&name, &bucket), &key, Some(object), &mut released)?;
                let queued = notify::enqueue(tx, &exchange, &origin, (&name, &bucket), &key, &version, happening)?;
                Ok::<_, S3Error>((version, bucket, released, queued))
            })
            .await?;
        self.blobs.collect(released);
        if queued {
            self.exchange.wake();
        }
        Ok((version, bucket))
    }

    pub(super) async fn copy(&self, request: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
        let origin = super::origin(&request);
        let S3Request { mut input, headers, .. } = request;
        let source = Source::read(&input.copy_source)?;
        let source_condition = ReadCondition {
            if_match: input.copy_source_if_match.take(),
            if_none_match: input.copy_source_if_none_match.take(),
            if_modified_since: input.copy_source_if_modified_since.take(),
            if_unmodified_since: input.copy_source_if_unmodified_since.take(),
        };
        let condition = destination_condition(&headers)?;
        let algorithm = input.checksum_algorithm.as_ref().map(|name| Algorithm::parse(name.as_str())).transpose()?;
        let replace_metadata = directive(input.metadata_directive.as_ref().map(dto::MetadataDirective::as_str))?;
        let replace_tags = directive(input.tagging_directive.as_ref().map(dto::TaggingDirective::as_str))?;
        let to = (input.bucket.clone(), checked_key(input.key.clone())?);
        let to_itself = (&source.bucket, &source.key) == (&to.0, &to.1) && source.version.is_none();
        let new_class = input.storage_class.is_some() || input.server_side_encryption.is_some();
        if to_itself && !replace_metadata && !new_class && input.website_redirect_location.is_none() {
            return Err(s3_error!(
                InvalidRequest,
                "This copy request is illegal because it is trying to copy an object to itself without changing the \
                 object's metadata, storage class, website redirect location or encryption attributes."
            ));
        }
        let given = description!(input);
        for _ in 0..COPY_TRIES {
            let found = self.find(&source.bucket, &source.key, source.version.as_deref())?;
            source_condition.check_source(&found.version, &found.object)?;
            let description = merged(&found.object.description, &given, replace_metadata, replace_tags);
            let (etag, checksum) = self.digests_of_copy(&found, algorithm).await?;
            let Found { version: from, object, pin } = found;
            let write = Write {
                bucket: to.0.clone(),
                key: to.1.clone(),
                condition: condition.clone(),
                origin: origin.clone(),
                happening: Happening::Copy,
            };
            let copied = self.write(write, move |tx| copy_pieces(tx, object, pin, etag, checksum, description)).await;
            match copied {
                Ok((version, bucket)) => return Ok(S3Response::new(copied_output(&from, &version, &bucket))),
                Err(error) if error.code().as_str() == SOURCE_GONE => {}
                Err(error) => return Err(error),
            }
        }
        Err(s3_error!(OperationAborted, "The source was replaced again and again while it was copied; try again."))
    }

    /// A copy is one piece of work, so its etag is the MD5 of all bytes, also where the source came in parts.
    async fn digests_of_copy(
        &self,
        found: &Found,
        algorithm: Option<Algorithm>,
    ) -> S3Result<(String, Option<StoredChecksum>)> {
        let Object { etag, checksum, size, pieces, .. } = &found.object;
        let kept = checksum.as_ref().is_some_and(|checksum| {
            checksum.full_object && algorithm.is_none_or(|algorithm| algorithm == checksum.algorithm)
        });
        if kept && !found.object.is_multipart() {
            return Ok((etag.clone(), checksum.clone()));
        }
        let algorithm = algorithm.or(checksum.as_ref().map(|checksum| checksum.algorithm));
        let mut digests = Digests::new(algorithm);
        let mut stream = read::stream(&self.blobs, pieces.clone(), 0..*size, self.blobs.pin(&found.object))?;
        while let Some(bytes) = futures::StreamExt::next(&mut stream).await {
            let bytes = bytes.map_err(|error| s3_error!(InternalError, "the source could not be read: {error}"))?;
            digests.update(&bytes);
        }
        let Digested { md5, checksum } = digests.finish();
        Ok((hex::encode(md5), checksum))
    }
}

/// The source of a copy.
pub(super) struct Source {
    pub bucket: String,
    pub key: String,
    pub version: Option<String>,
}

impl Source {
    /// Reads `x-amz-copy-source`; access points are not there.
    pub fn read(source: &dto::CopySource) -> S3Result<Source> {
        match source {
            dto::CopySource::Bucket { bucket, key, version_id } => Ok(Source {
                bucket: bucket.to_string(),
                key: key.to_string(),
                version: version_id.as_ref().map(ToString::to_string),
            }),
            _ => Err(s3_error!(NotImplemented, "The embedded cloud has no access points to copy from")),
        }
    }
}

const SOURCE_GONE: &str = "LakeCopySourceGone";

fn copy_pieces(
    tx: &WriteTransaction,
    object: Object,
    pin: Pin,
    etag: String,
    checksum: Option<StoredChecksum>,
    description: Description,
) -> S3Result<Object> {
    let mut pieces = Vec::with_capacity(object.pieces.len());
    for piece in &object.pieces {
        let gone = || meta::custom_error(http::StatusCode::CONFLICT, SOURCE_GONE, "the source was replaced");
        pieces.push(Piece { part: 0, checksum: None, ..blob::share(tx, piece)?.ok_or_else(gone)? });
    }
    drop(pin);
    Ok(Object { size: object.size, etag, pieces, checksum, description })
}

fn copied_output(from: &Version, version: &Version, bucket: &Bucket) -> CopyObjectOutput {
    let mut result = dto::CopyObjectResult { last_modified: Some(version.modified()), ..Default::default() };
    let mut output = CopyObjectOutput { copy_source_version_id: from.id.clone(), ..Default::default() };
    if let Some(object) = &version.object {
        result.e_tag = Some(object.wire_etag());
        output.server_side_encryption = Some(object.description.encryption.algorithm.clone().into());
        output.ssekms_key_id = object.description.encryption.kms_key.clone();
        if let Some(checksum) = &object.checksum {
            let checksum = checksum.wire();
            result.checksum_type = checksum.checksum_type.clone();
            put_checksum!(result, checksum);
        }
    }
    output.version_id = written_version(bucket, version);
    output.copy_object_result = Some(result);
    output
}

/// The id that a write answers with: none in buckets that never had versions.
pub(super) fn written_version(bucket: &Bucket, version: &Version) -> Option<String> {
    (bucket.versioning != Versioning::Off).then(|| version.wire_id().to_owned())
}

/// `s3s` 0.14 does not read the two headers of a copy's destination.
fn destination_condition(headers: &http::HeaderMap) -> S3Result<WriteCondition> {
    let read = |name: http::header::HeaderName| -> S3Result<Option<dto::ETagCondition>> {
        let Some(value) = headers.get(&name) else { return Ok(None) };
        let parsed = dto::ETagCondition::parse_http_header(value.as_bytes());
        parsed.map(Some).map_err(|_| s3_error!(InvalidArgument, "invalid header: {name}"))
    };
    WriteCondition::new(read(http::header::IF_MATCH)?, read(http::header::IF_NONE_MATCH)?)
}

fn directive(value: Option<&str>) -> S3Result<bool> {
    match value {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(s3_error!(InvalidArgument, "A directive must be COPY or REPLACE")),
    }
}

/// The description of a copy: the source's, but for what the directives replace and what is never copied.
fn merged(source: &Description, given: &Description, replace_metadata: bool, replace_tags: bool) -> Description {
    let mut merged = if replace_metadata { given.clone() } else { source.clone() };
    merged.tags = if replace_tags { given.tags.clone() } else { source.tags.clone() };
    merged.storage_class = given.storage_class.clone();
    merged.website_redirect = given.website_redirect.clone();
    merged.encryption = given.encryption.clone();
    merged
}

/// Refuses what would otherwise be silently ignored.
pub(super) fn refuse_what_is_not_there(
    customer_key: bool,
    object_lock: bool,
    acl: Option<&dto::ObjectCannedACL>,
) -> S3Result<()> {
    if customer_key {
        return Err(s3_error!(NotImplemented, "The embedded cloud has no encryption with customer-provided keys"));
    }
    if object_lock {
        return Err(s3_error!(InvalidRequest, "Bucket is missing Object Lock Configuration"));
    }
    match acl.map(dto::ObjectCannedACL::as_str) {
        None | Some("private" | "bucket-owner-full-control") => Ok(()),
        Some(_) => Err(s3_error!(AccessControlListNotSupported, "The bucket does not allow ACLs")),
    }
}

/// A key within S3's limits.
pub(super) fn checked_key(key: String) -> S3Result<String> {
    if key.len() > MAX_KEY_BYTES {
        return Err(s3_error!(KeyTooLongError, "Your key is too long"));
    }
    Ok(key)
}

/// User metadata within S3's limits.
pub(super) fn metadata(given: Option<HashMap<String, String>>) -> S3Result<BTreeMap<String, String>> {
    let metadata: BTreeMap<_, _> = given.unwrap_or_default().into_iter().collect();
    let size: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > MAX_METADATA_BYTES {
        return Err(s3_error!(MetadataTooLarge, "Your metadata headers exceed the maximum allowed metadata size"));
    }
    Ok(metadata)
}

/// `aws-chunked` is of the transfer, not of the object.
pub(super) fn content_encoding(given: Option<String>) -> Option<String> {
    let given = given?;
    let kept: Vec<_> =
        given.split(',').map(str::trim).filter(|part| !part.is_empty() && *part != "aws-chunked").collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// The encryption asked for; the default stands for "as the bucket says".
pub(super) fn encryption(
    algorithm: Option<dto::ServerSideEncryption>,
    kms_key: Option<String>,
) -> S3Result<Encryption> {
    match algorithm.as_ref().map(dto::ServerSideEncryption::as_str) {
        None => Ok(Encryption::default()),
        Some(name @ ("AES256" | "aws:kms" | "aws:kms:dsse")) => {
            Ok(Encryption { algorithm: name.to_owned(), kms_key, bucket_key: false })
        }
        Some(_) => Err(s3_error!(InvalidArgument, "The encryption method specified is not supported")),
    }
}

// Named by the macro above.
const _: fn(Option<&str>) -> S3Result<meta::Tags> = tagging::from_header;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transfer_s_encoding_is_not_the_object_s() {
        let encoding = |text: &str| content_encoding(Some(text.into()));
        assert_eq!(encoding("aws-chunked"), None);
        assert_eq!(encoding("gzip,aws-chunked").as_deref(), Some("gzip"));
        assert_eq!(encoding("aws-chunked, gzip").as_deref(), Some("gzip"));
        assert_eq!(content_encoding(None), None);
    }

    #[test]
    fn a_copy_keeps_metadata_and_tags_unless_told_to_replace_them() {
        let source = Description {
            content_type: Some("text/csv".into()),
            tags: vec![("a".into(), "1".into())],
            website_redirect: Some("/x".into()),
            ..Description::default()
        };
        let given = Description { content_type: Some("text/plain".into()), ..Description::default() };
        let kept = merged(&source, &given, false, false);
        assert_eq!((kept.content_type.as_deref(), kept.tags.len()), (Some("text/csv"), 1));
        assert_eq!(kept.website_redirect, None, "never copied");
        let replaced = merged(&source, &given, true, true);
        assert_eq!((replaced.content_type.as_deref(), replaced.tags.len()), (Some("text/plain"), 0));
    }

    #[test]
    fn too_much_metadata_is_refused() {
        let checked = |length| metadata(Some(HashMap::from([("n".to_owned(), "v".repeat(length))])));
        assert!(checked(MAX_METADATA_BYTES - 1).is_ok());
        assert!(checked(MAX_METADATA_BYTES).is_err());
    }
}
