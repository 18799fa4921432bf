//! Multipart uploads. An uploaded part lies in a blob of its own; completing an upload names those blobs in order,
//! no byte is copied. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html>

use std::collections::HashSet;

use redb::WriteTransaction;
use s3s::{
    S3Error, S3Request, S3Response, S3Result,
    dto::{
        self, AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput, CompletedPart, CreateMultipartUploadInput, CreateMultipartUploadOutput,
        UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
    },
    s3_error,
};

use super::{
    Cloud,
    blob::{Draft, Released},
    checksum::{self, Algorithm, Digested, Digests, Expected, StoredChecksum, given_checksum, put_checksum},
    condition::{ReadCondition, WriteCondition},
    keys,
    meta::{self, Description, Object, PARTS, Part, Piece, Place, UPLOADS, Upload},
    notify::Happening,
    read::{self, Found},
    write::{MAX_PUT_BYTES, Source, Write, checked_key, description, written_version},
};
use crate::cloud::store::{StoreError, Transaction};

/// Highest number of a part.
const MAX_PARTS: i32 = 10_000;
/// Smallest part but the last, in bytes.
const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;

impl Cloud {
    pub(super) async fn create_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let origin = super::origin(&request);
        let mut input = request.input;
        let description: Description = description!(input);
        let algorithm = input.checksum_algorithm.as_ref().map(|name| Algorithm::parse(name.as_str())).transpose()?;
        if algorithm.is_none() && input.checksum_type.is_some() {
            return Err(s3_error!(
                InvalidRequest,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            ));
        }
        // Without a choice of the caller's, S3 computes CRC64NVME over the full object.
        let full_object = algorithm.map_or(Ok(true), |one| one.is_full_object(input.checksum_type.as_ref()))?;
        let upload = Upload {
            initiated: jiff::Timestamp::now(),
            initiator: origin.caller.arn,
            algorithm,
            full_object,
            description,
        };
        let (bucket, key) = (input.bucket.clone(), checked_key(input.key.clone())?);
        let encryption = upload.description.encryption.algorithm.clone();
        let id = self
            .store
            .commit(move |tx| {
                meta::bucket(tx, &bucket)?;
                let id = meta::id_at(meta::next_sequence(tx)?);
                UPLOADS.put(tx, &keys::item(&bucket, &key, &id), &upload)?;
                Ok::<_, S3Error>(id)
            })
            .await?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: algorithm.map(Algorithm::wire),
            checksum_type: algorithm.map(|_| checksum_type(full_object)),
            server_side_encryption: Some(encryption.into()),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    pub(super) async fn put_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let S3Request { mut input, headers, trailing_headers, .. } = request;
        check_number(input.part_number)?;
        let upload = self.store.read(|tx| upload(tx, &input.bucket, &input.key, &input.upload_id))?;
        let expected = Expected::read(input.content_md5.as_deref(), given_checksum!(input), &headers)?;
        if let (Some(given), Some(agreed)) = (expected.algorithm(), upload.algorithm)
            && given != agreed
        {
            return Err(s3_error!(
                InvalidRequest,
                "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                agreed.name().to_ascii_lowercase(),
                given.name().to_ascii_lowercase()
            ));
        }
        // What joins is the upload's algorithm; a part may still bring a checksum of another one where none was agreed.
        let digests = Digests::new(expected.algorithm().or(upload.algorithm));
        let (draft, digested) = self.blobs.receive(input.body.take(), digests, MAX_PUT_BYTES).await?;
        expected.check(&digested, trailing_headers.as_ref())?;
        let target = (input.bucket, input.key, input.upload_id, input.part_number);
        let part = self.keep_part(target, draft, digested).await?;
        let mut output = UploadPartOutput {
            e_tag: Some(dto::ETag::Strong(part.etag.clone())),
            server_side_encryption: Some(upload.description.encryption.algorithm.into()),
            ..UploadPartOutput::default()
        };
        if let Some(checksum) = part.checksum.filter(|_| expected.algorithm().or(upload.algorithm).is_some()) {
            put_checksum!(output, checksum.wire());
        }
        Ok(S3Response::new(output))
    }

    pub(super) async fn copy_part(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let input = request.input;
        check_number(input.part_number)?;
        let upload = self.store.read(|tx| upload(tx, &input.bucket, &input.key, &input.upload_id))?;
        let source = Source::read(&input.copy_source)?;
        let Found { version, object, pin } = self.find(&source.bucket, &source.key, source.version.as_deref())?;
        let condition = ReadCondition {
            if_match: input.copy_source_if_match,
            if_none_match: input.copy_source_if_none_match,
            if_modified_since: input.copy_source_if_modified_since,
            if_unmodified_since: input.copy_source_if_unmodified_since,
        };
        condition.check_source(&version, &object)?;
        let range = match &input.copy_source_range {
            None => 0..object.size,
            Some(text) => source_range(text, object.size)?,
        };
        let body = read::stream(&self.blobs, object.pieces, range, pin)?;
        let (draft, digested) = self.blobs.receive(Some(body), Digests::new(upload.algorithm), MAX_PUT_BYTES).await?;
        let target = (input.bucket, input.key, input.upload_id, input.part_number);
        let part = self.keep_part(target, draft, digested).await?;
        let mut result = dto::CopyPartResult {
            e_tag: Some(dto::ETag::Strong(part.etag.clone())),
            last_modified: Some(meta::timestamp(part.modified)),
            ..dto::CopyPartResult::default()
        };
        if let Some(checksum) = part.checksum.filter(|_| upload.algorithm.is_some()) {
            put_checksum!(result, checksum.wire());
        }
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(result),
            copy_source_version_id: version.id,
            server_side_encryption: Some(upload.description.encryption.algorithm.into()),
            ..UploadPartCopyOutput::default()
        }))
    }

    /// Names a part's bytes; the part of the same number before it goes.
    async fn keep_part(
        &self,
        target: (String, String, String, i32),
        draft: Draft,
        digested: Digested,
    ) -> S3Result<Part> {
        let (bucket, key, id, number) = target;
        let (part, released) = self
            .store
            .commit(move |tx| {
                // Completed or aborted while the body came in: the part has nowhere to go.
                upload(tx, &bucket, &key, &id)?;
                let place = part_place(&id, number);
                let mut released = Released::default();
                if let Some(old) = PARTS.get(tx, &place)?.and_then(|part| part.place) {
                    released.release(tx, &old)?;
                }
                let Digested { md5, checksum } = digested;
                let modified = jiff::Timestamp::now();
                let size = draft.size;
                let part = Part { modified, size, etag: hex::encode(md5), place: draft.commit(tx)?, checksum };
                PARTS.put(tx, &place, &part)?;
                Ok::<_, S3Error>((part, released))
            })
            .await?;
        self.blobs.collect(released);
        Ok(part)
    }

    pub(super) async fn complete(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let origin = super::origin(&request);
        let mut input = request.input;
        let named = input.multipart_upload.take().and_then(|list| list.parts).unwrap_or_default();
        let given = checksum::single(given_checksum!(input))?;
        let (bucket, key, id) = (input.bucket, input.key, input.upload_id);
        let write = Write {
            bucket: bucket.clone(),
            key: key.clone(),
            condition: WriteCondition::new(input.if_match, input.if_none_match)?,
            origin,
            happening: Happening::CompleteMultipartUpload,
        };
        let (size, name, path) = (input.mpu_object_size, bucket.clone(), key.clone());
        let released = std::sync::Arc::new(std::sync::Mutex::new(Released::default()));
        let unused = std::sync::Arc::clone(&released);
        let (version, record) = self
            .write(write, move |tx| {
                let place = keys::item(&name, &path, &id);
                let upload = upload(tx, &name, &path, &id)?;
                let parts = select(tx, &id, &named)?;
                let object = assemble(upload, parts)?;
                check_whole(&object, size, given)?;
                let mut unused = unused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                close(tx, &place, &id, &object.pieces, &mut unused)?;
                Ok(object)
            })
            .await?;
        let released = std::mem::take(&mut *released.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        self.blobs.collect(released);
        let mut output = CompleteMultipartUploadOutput {
            location: Some(format!("/{bucket}/{key}")),
            bucket: Some(bucket),
            key: Some(key),
            version_id: written_version(&record, &version),
            ..CompleteMultipartUploadOutput::default()
        };
        if let Some(object) = &version.object {
            output.e_tag = Some(object.wire_etag());
            output.server_side_encryption = Some(object.description.encryption.algorithm.clone().into());
            if let Some(checksum) = &object.checksum {
                let checksum = checksum.wire();
                output.checksum_type = checksum.checksum_type.clone();
                put_checksum!(output, checksum);
            }
        }
        Ok(S3Response::new(output))
    }

    pub(super) async fn abort(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let AbortMultipartUploadInput { bucket, key, upload_id, .. } = request.input;
        let released = self
            .store
            .commit(move |tx| {
                upload(tx, &bucket, &key, &upload_id)?;
                let mut released = Released::default();
                discard(tx, &keys::item(&bucket, &key, &upload_id), &mut released)?;
                Ok::<_, S3Error>(released)
            })
            .await?;
        self.blobs.collect(released);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

/// The upload, or `NoSuchUpload`.
pub(super) fn upload(tx: &impl Transaction, bucket: &str, key: &str, id: &str) -> S3Result<Upload> {
    meta::bucket(tx, bucket)?;
    UPLOADS.get(tx, &keys::item(bucket, key, id))?.ok_or_else(|| {
        s3_error!(
            NoSuchUpload,
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted \
             or completed."
        )
    })
}

/// Takes an upload and its parts away.
pub(super) fn discard(tx: &WriteTransaction, place: &str, released: &mut Released) -> Result<(), StoreError> {
    let Some(id) = place.rsplit('\0').next() else { return Ok(()) };
    close(tx, place, id, &[], released)
}

/// Takes an upload's records away, and the bytes of parts that the object does not use.
fn close(
    tx: &WriteTransaction,
    place: &str,
    id: &str,
    used: &[Piece],
    released: &mut Released,
) -> Result<(), StoreError> {
    let used: HashSet<&Place> = used.iter().map(|piece| &piece.place).collect();
    for (at, part) in PARTS.scan(tx, &parts_of(id), None, usize::MAX)? {
        PARTS.delete(tx, &at)?;
        if let Some(bytes) = part.place.filter(|place| !used.contains(place)) {
            released.release(tx, &bytes)?;
        }
    }
    UPLOADS.delete(tx, place)?;
    Ok(())
}

/// First place of an upload's parts.
pub(super) fn parts_of(id: &str) -> String {
    format!("{id}/")
}

/// Place of a part.
pub(super) fn part_place(id: &str, number: i32) -> String {
    format!("{id}/{number:05}")
}

/// How the wire names a checksum's coverage.
pub(super) fn checksum_type(full_object: bool) -> dto::ChecksumType {
    let name = if full_object { dto::ChecksumType::FULL_OBJECT } else { dto::ChecksumType::COMPOSITE };
    dto::ChecksumType::from_static(name)
}

fn check_number(number: i32) -> S3Result<()> {
    if (1..=MAX_PARTS).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(InvalidArgument, "Part number must be an integer between 1 and {MAX_PARTS}, inclusive"))
}

/// The parts that a completion names, each checked.
fn select(tx: &impl Transaction, id: &str, named: &[CompletedPart]) -> S3Result<Vec<(u32, Part)>> {
    if named.is_empty() {
        return Err(s3_error!(MalformedXML, "You must specify at least one part"));
    }
    let mut parts = Vec::with_capacity(named.len());
    let mut last = 0;
    for (index, name) in named.iter().enumerate() {
        let number = name.part_number.unwrap_or_default();
        check_number(number)?;
        if number <= last {
            return Err(s3_error!(
                InvalidPartOrder,
                "The list of parts was not in ascending order. Parts must be ordered by part number."
            ));
        }
        last = number;
        let part = PARTS.get(tx, &part_place(id, number))?;
        let part = part.filter(|part| is_named(part, name)).ok_or_else(|| {
            s3_error!(
                InvalidPart,
                "Part {number} could not be found. The part may not have been uploaded, or the specified entity tag \
                 or checksum may not match the part's."
            )
        })?;
        if part.size < MIN_PART_BYTES && index + 1 < named.len() {
            return Err(s3_error!(
                EntityTooSmall,
                "Your proposed upload is smaller than the minimum allowed size: part {number} has {} bytes",
                part.size
            ));
        }
        parts.push((number.unsigned_abs(), part));
    }
    Ok(parts)
}

/// Whether the part is the one that the completion means: etag, and checksum where it names one.
fn is_named(part: &Part, name: &CompletedPart) -> bool {
    let etag = name.e_tag.as_ref().is_some_and(|etag| etag.value() == part.etag);
    let given = checksum::single(given_checksum!(name));
    let checksum = match (given, &part.checksum) {
        (Ok(None), _) => true,
        (Ok(Some((algorithm, value))), Some(stored)) => stored.algorithm == algorithm && stored.value == value,
        _ => false,
    };
    etag && checksum
}

/// The object that the parts make.
fn assemble(upload: Upload, parts: Vec<(u32, Part)>) -> S3Result<Object> {
    let algorithm = upload.algorithm.unwrap_or(Algorithm::Crc64Nvme);
    let sums: Option<Vec<_>> = parts
        .iter()
        .map(|(_, part)| {
            let sum = part.checksum.as_ref().filter(|sum| sum.algorithm == algorithm)?;
            Some((sum.value.clone(), part.size))
        })
        .collect();
    // Parts of an upload without an agreed algorithm may bring checksums that do not join: then it has none.
    let checksum = sums.and_then(|sums| checksum::join(algorithm, upload.full_object, &sums));
    let etag = checksum::join_etags(parts.iter().map(|(_, part)| part.etag.as_str()));
    let composite = !upload.full_object;
    let mut size = 0;
    let mut pieces = Vec::with_capacity(parts.len());
    for (number, part) in parts {
        size += part.size;
        let sum = part.checksum.filter(|_| composite).map(|sum| sum.value);
        if let Some(place) = part.place {
            pieces.push(Piece { place, size: part.size, part: number, checksum: sum });
        }
    }
    Ok(Object { size, etag, pieces, checksum, description: upload.description })
}

/// What the completion says of the whole object.
fn check_whole(object: &Object, size: Option<i64>, given: Option<(Algorithm, String)>) -> S3Result<()> {
    if size.is_some_and(|size| u64::try_from(size).ok() != Some(object.size)) {
        return Err(s3_error!(
            InvalidRequest,
            "The provided 'x-amz-mp-object-size' header does not match what was computed."
        ));
    }
    let Some((algorithm, value)) = given else { return Ok(()) };
    let agrees = |checksum: &StoredChecksum| {
        let bare = checksum.value.split('-').next();
        checksum.algorithm == algorithm && (checksum.value == value || bare == Some(value.as_str()))
    };
    if object.checksum.as_ref().is_some_and(agrees) {
        return Ok(());
    }
    Err(s3_error!(BadDigest, "The {} you specified did not match the calculated checksum.", algorithm.name()))
}

/// Reads `bytes=first-last`, the one form that a part's copy takes.
fn source_range(text: &str, size: u64) -> S3Result<std::ops::Range<u64>> {
    let invalid = || {
        s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
             zero-based offsets of the first and last bytes to copy"
        )
    };
    match dto::Range::parse(text) {
        Ok(dto::Range::Int { first, last: Some(last) }) if last < size => Ok(first..last + 1),
        Ok(dto::Range::Int { last: Some(_), .. }) => {
            Err(s3_error!(InvalidArgument, "Range specified is not valid for source object of size: {size}"))
        }
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_s_copy_takes_closed_ranges_within_the_source() {
        assert_eq!(source_range("bytes=0-9", 10).unwrap(), 0..10);
        for wrong in ["bytes=0-10", "bytes=5-", "bytes=-5", "0-5", "bytes=5-4"] {
            assert!(source_range(wrong, 10).is_err(), "{wrong}");
        }
    }

    #[test]
    fn part_numbers_have_their_limits() {
        assert!(check_number(1).is_ok() && check_number(MAX_PARTS).is_ok());
        assert!(check_number(0).is_err() && check_number(MAX_PARTS + 1).is_err());
    }
}
