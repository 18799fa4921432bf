//! Uploading a file, streamed from disk: at once when it is small, in parts when it is not.

use std::path::Path;

use aws_sdk_s3::{
    Client,
    primitives::{ByteStream, Length},
    types::{CompletedMultipartUpload, CompletedPart},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures::{TryStreamExt, stream};

use super::versions;
use crate::provider::{
    ErrorKind, ProviderError,
    aws::error::{failed, incomplete},
};

/// Metadata of an object that tells its content's hash, in hex.
pub(super) const SHA256_METADATA: &str = "sha256";

/// Larger files go up in parts, in bytes.
const SINGLE_PUT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Size of a part, in bytes. Times S3's 10,000 parts that is 156 GiB: no package comes near.
const PART_BYTES: u64 = 16 * 1024 * 1024;

/// Parts on their way at once.
const PARTS_IN_FLIGHT_MAX: usize = 4;

/// Uploads `path` and returns the object's version, where the bucket keeps versions.
pub(super) async fn file(
    s3: &Client,
    bucket: &str,
    key: &str,
    path: &Path,
    sha256: &str,
) -> Result<Option<String>, ProviderError> {
    let bytes = tokio::fs::metadata(path).await.map_err(|error| unreadable(path, &error))?.len();
    if bytes > SINGLE_PUT_BYTES_MAX {
        in_parts(s3, bucket, key, path, bytes, sha256).await
    } else {
        whole(s3, bucket, key, path, sha256).await
    }
}

async fn whole(
    s3: &Client,
    bucket: &str,
    key: &str,
    path: &Path,
    sha256: &str,
) -> Result<Option<String>, ProviderError> {
    let body = ByteStream::from_path(path).await.map_err(|error| unreadable(path, &error))?;
    // S3 checks the content against the hash and refuses another one.
    let checksum = hex::decode(sha256).ok().map(|hash| BASE64_STANDARD.encode(hash));
    let call = s3.put_object().bucket(bucket).key(key).metadata(SHA256_METADATA, sha256);
    let answer = call.set_checksum_sha256(checksum).body(body).send().await.map_err(failed("s3:PutObject"))?;
    Ok(answer.version_id)
}

async fn in_parts(
    s3: &Client,
    bucket: &str,
    key: &str,
    path: &Path,
    bytes: u64,
    sha256: &str,
) -> Result<Option<String>, ProviderError> {
    const OPERATION: &str = "s3:CreateMultipartUpload";
    let call = s3.create_multipart_upload().bucket(bucket).key(key).metadata(SHA256_METADATA, sha256);
    let id =
        call.send().await.map_err(failed(OPERATION))?.upload_id.ok_or_else(|| incomplete(OPERATION, "UploadId"))?;
    let done = parts(s3, bucket, key, path, bytes, &id).await;
    if done.is_err() {
        // What the failure was is worth more than whether the upload could be aborted.
        let _ = versions::abort(s3, bucket, key, &id).await;
    }
    done
}

async fn parts(
    s3: &Client,
    bucket: &str,
    key: &str,
    path: &Path,
    bytes: u64,
    id: &str,
) -> Result<Option<String>, ProviderError> {
    let count = i32::try_from(bytes.div_ceil(PART_BYTES)).unwrap_or(i32::MAX);
    let numbers = stream::iter((1..=count).map(Ok::<_, ProviderError>));
    let parts: Vec<CompletedPart> = numbers
        .map_ok(|number| part(s3, bucket, key, path, bytes, id, number))
        .try_buffered(PARTS_IN_FLIGHT_MAX)
        .try_collect()
        .await?;
    let call = s3.complete_multipart_upload().bucket(bucket).key(key).upload_id(id);
    let call = call.multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build());
    Ok(call.send().await.map_err(failed("s3:CompleteMultipartUpload"))?.version_id)
}

async fn part(
    s3: &Client,
    bucket: &str,
    key: &str,
    path: &Path,
    bytes: u64,
    id: &str,
    number: i32,
) -> Result<CompletedPart, ProviderError> {
    let offset = u64::from(number.unsigned_abs() - 1) * PART_BYTES;
    let length = Length::Exact(PART_BYTES.min(bytes - offset));
    let body = ByteStream::read_from().path(path).offset(offset).length(length).build().await;
    let body = body.map_err(|error| unreadable(path, &error))?;
    let call = s3.upload_part().bucket(bucket).key(key).upload_id(id).part_number(number).body(body);
    let answer = call.send().await.map_err(failed("s3:UploadPart"))?;
    Ok(CompletedPart::builder()
        .part_number(number)
        .set_e_tag(answer.e_tag)
        .set_checksum_crc32(answer.checksum_crc32)
        .set_checksum_crc64_nvme(answer.checksum_crc64_nvme)
        .build())
}

fn unreadable(path: &Path, error: &dyn std::error::Error) -> ProviderError {
    let message = format!("package {} is not readable: {error}; plan again to make it anew", path.display());
    ProviderError::new(ErrorKind::Invalid, "s3:PutObject", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Replay, answer};

    #[tokio::test]
    async fn a_large_file_goes_up_in_parts_and_a_part_that_fails_aborts_the_upload() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::File::create(&path).unwrap().set_len(PART_BYTES + 5).unwrap();
        let begun = "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>";
        let replay = Replay::new([
            answer(200, begun),
            (200, &[("etag", "\"1\"")], Vec::new()),
            (200, &[("etag", "\"2\"")], Vec::new()),
            (200, &[("x-amz-version-id", "v")], b"<CompleteMultipartUploadResult/>".to_vec()),
        ]);
        let s3 = replay.clients().s3;
        assert_eq!(in_parts(&s3, "b", "k", &path, PART_BYTES + 5, "00").await.unwrap().unwrap(), "v");
        let completed = &replay.asked()[3];
        assert!(completed.contains("<PartNumber>1</PartNumber>") && completed.contains("<PartNumber>2</PartNumber>"));

        let replay = Replay::new([answer(200, begun), answer(500, ""), answer(500, ""), answer(204, "")]);
        let s3 = replay.clients().s3;
        assert_eq!(in_parts(&s3, "b", "k", &path, PART_BYTES + 5, "00").await.unwrap_err().kind, ErrorKind::Throttled);
        assert!(replay.asked().last().unwrap().starts_with("DELETE /b/k?"));
    }
}
