//! Reading objects: GetObject, HeadObject, GetObjectAttributes, and the stream of an object's bytes.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use s3s::{
    Body, S3Error, S3Request, S3Response, S3Result,
    dto::{
        self, Checksum, ChecksumMode, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectInput,
        GetObjectOutput, HeadObjectInput, HeadObjectOutput, StreamingBlob,
    },
    s3_error,
};

use super::{
    Cloud,
    blob::{Blobs, Pin},
    checksum::put_checksum,
    condition::ReadCondition,
    meta::{Object, Piece, Place, Version},
    version,
};

/// Copies an object's description into the fields of the same names of an output.
macro_rules! describe {
    ($output:expr, $object:expr) => {{
        let description = &$object.description;
        $output.cache_control = description.cache_control.clone();
        $output.content_disposition = description.content_disposition.clone();
        $output.content_encoding = description.content_encoding.clone();
        $output.content_language = description.content_language.clone();
        $output.content_type = Some(description.content_type.clone().unwrap_or_else(|| DEFAULT_CONTENT_TYPE.into()));
        $output.expires = description.expires.clone();
        $output.website_redirect_location = description.website_redirect.clone();
        $output.storage_class = description.storage_class.clone().map(dto::StorageClass::from);
        $output.server_side_encryption = Some(description.encryption.algorithm.clone().into());
        $output.ssekms_key_id = description.encryption.kms_key.clone();
        $output.metadata = (!description.metadata.is_empty())
            .then(|| description.metadata.iter().map(|(name, value)| (name.clone(), value.clone())).collect());
    }};
}
/// Bytes read from a file at a time, and so held in memory for a reader.
const READ_BYTES: usize = 512 * 1024;

/// An object found, with its files kept in place.
pub(super) struct Found {
    pub version: Version,
    pub object: Object,
    pub pin: Pin,
}

/// What of an object is asked for.
struct Selection {
    range: Range<u64>,
    /// Whether that is less than all: the answer is 206 then.
    partial: bool,
}

impl Cloud {
    /// Finds the object that a read means and keeps its files in place.
    pub(super) fn find(&self, bucket: &str, key: &str, id: Option<&str>) -> S3Result<Found> {
        let ((version, object), pin) =
            self.blobs.look_up(|tx| version::readable(tx, bucket, key, id), |(_, object)| object)?;
        Ok(Found { version, object, pin })
    }

    pub(super) async fn read_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let Found { version, object, pin } = self.find(&input.bucket, &input.key, input.version_id.as_deref())?;
        let condition = ReadCondition {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        condition.check(&version, &object)?;
        let selection = select(&object, input.range, input.part_number)?;
        let length = selection.range.end - selection.range.start;
        let mut output = GetObjectOutput {
            content_length: Some(length as i64),
            content_range: selection.content_range(object.size),
            accept_ranges: Some("bytes".into()),
            e_tag: Some(object.wire_etag()),
            last_modified: Some(version.modified()),
            version_id: self.wire_version(&input.bucket, &version)?,
            parts_count: parts_count(&object, input.part_number),
            tag_count: count(object.description.tags.len()),
            ..GetObjectOutput::default()
        };
        if let Some(checksum) = shown_checksum(&object, &selection, input.checksum_mode.as_ref()) {
            output.checksum_type = checksum.checksum_type.clone();
            put_checksum!(output, checksum);
        }
        describe!(output, object);
        output.body = Some(stream(&self.blobs, object.pieces, selection.range, pin)?);
        Ok(S3Response::new(output))
    }

    pub(super) async fn head(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let Found { version, object, .. } = self.find(&input.bucket, &input.key, input.version_id.as_deref())?;
        let condition = ReadCondition {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        condition.check(&version, &object)?;
        let selection = select(&object, input.range, input.part_number)?;
        let mut output = HeadObjectOutput {
            content_length: Some((selection.range.end - selection.range.start) as i64),
            content_range: selection.content_range(object.size),
            accept_ranges: Some("bytes".into()),
            e_tag: Some(object.wire_etag()),
            last_modified: Some(version.modified()),
            version_id: self.wire_version(&input.bucket, &version)?,
            parts_count: parts_count(&object, input.part_number),
            ..HeadObjectOutput::default()
        };
        if let Some(checksum) = shown_checksum(&object, &selection, input.checksum_mode.as_ref()) {
            output.checksum_type = checksum.checksum_type.clone();
            put_checksum!(output, checksum);
        }
        describe!(output, object);
        let mut response = S3Response::new(output);
        if selection.partial {
            response.status = Some(http::StatusCode::PARTIAL_CONTENT);
        }
        Ok(response)
    }

    pub(super) async fn attributes(
        &self,
        request: S3Request<GetObjectAttributesInput>,
    ) -> S3Result<S3Response<GetObjectAttributesOutput>> {
        let input = request.input;
        let Found { version, object, .. } = self.find(&input.bucket, &input.key, input.version_id.as_deref())?;
        let wants = |name: &str| input.object_attributes.iter().any(|attribute| attribute.as_str() == name);
        let mut output = GetObjectAttributesOutput {
            last_modified: Some(version.modified()),
            version_id: self.wire_version(&input.bucket, &version)?,
            ..GetObjectAttributesOutput::default()
        };
        output.e_tag = wants("ETag").then(|| object.wire_etag());
        output.object_size = wants("ObjectSize").then_some(object.size as i64);
        output.storage_class = wants("StorageClass").then(|| storage_class(&object));
        output.checksum =
            object.checksum.as_ref().filter(|_| wants("Checksum")).map(super::checksum::StoredChecksum::wire);
        if wants("ObjectParts") && object.is_multipart() {
            output.object_parts = Some(dto::GetObjectAttributesParts {
                total_parts_count: count(object.pieces.len()),
                ..dto::GetObjectAttributesParts::default()
            });
        }
        Ok(S3Response::new(output))
    }

    /// The version's id, in buckets that have versions.
    fn wire_version(&self, bucket: &str, version: &Version) -> S3Result<Option<String>> {
        if version.id.is_some() {
            return Ok(Some(version.wire_id().to_owned()));
        }
        let bucket = self.store.read(|tx| super::meta::bucket(tx, bucket))?;
        Ok((bucket.versioning != super::meta::Versioning::Off).then(|| "null".to_owned()))
    }
}

/// The bytes of `range`, read as they are sent. The pin lives as long as the stream.
pub(super) fn stream(blobs: &Arc<Blobs>, pieces: Vec<Piece>, range: Range<u64>, pin: Pin) -> S3Result<StreamingBlob> {
    let runs = runs(pieces, &range);
    if runs.is_empty() {
        return Ok(StreamingBlob::from(Body::empty()));
    }
    if let [Run { place: Place::Inline(id), range }] = runs.iter().collect::<Vec<_>>()[..] {
        let bytes = blobs.inline(id)?.ok_or_else(|| gone(id))?;
        return Ok(StreamingBlob::from(Body::from(slice(bytes, range)?)));
    }
    let reader = Reader { blobs: Arc::clone(blobs), runs, file: None, _pin: pin };
    Ok(StreamingBlob::wrap(futures::stream::try_unfold(reader, |mut reader| async move {
        let read = tokio::task::spawn_blocking(move || {
            let bytes = reader.read()?;
            Ok::<_, io::Error>(bytes.map(|bytes| (bytes, reader)))
        });
        read.await.map_err(io::Error::other)?
    })))
}

/// What S3 calls bytes of which nothing is known.
const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

impl Selection {
    fn content_range(&self, size: u64) -> Option<String> {
        self.partial.then(|| format!("bytes {}-{}/{size}", self.range.start, self.range.end - 1))
    }
}

fn select(object: &Object, range: Option<dto::Range>, part: Option<i32>) -> S3Result<Selection> {
    match (range, part) {
        (Some(_), Some(_)) => Err(s3_error!(InvalidRequest, "Cannot specify both Range header and partNumber")),
        (Some(range), None) => match range.check(object.size) {
            Ok(range) if !range.is_empty() => Ok(Selection { range, partial: true }),
            _ => Err(unsatisfiable(object.size)),
        },
        (None, Some(part)) => select_part(object, part),
        (None, None) => Ok(Selection { range: 0..object.size, partial: false }),
    }
}

fn select_part(object: &Object, part: i32) -> S3Result<Selection> {
    let invalid = || {
        super::meta::custom_error(
            http::StatusCode::RANGE_NOT_SATISFIABLE,
            "InvalidPartNumber",
            "The requested partnumber is not satisfiable",
        )
    };
    if !object.is_multipart() {
        return if part == 1 {
            Ok(Selection { range: 0..object.size, partial: object.size > 0 })
        } else {
            Err(invalid())
        };
    }
    let mut start = 0;
    for piece in &object.pieces {
        if i64::from(piece.part) == i64::from(part) {
            return Ok(Selection { range: start..start + piece.size, partial: true });
        }
        start += piece.size;
    }
    Err(invalid())
}

fn unsatisfiable(size: u64) -> S3Error {
    let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable");
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/xml"));
    if let Ok(value) = http::HeaderValue::from_str(&format!("bytes */{size}")) {
        headers.insert(http::header::CONTENT_RANGE, value);
    }
    error.set_headers(headers);
    error
}

/// A checksum covers the whole object, so it is told only with the whole object.
fn shown_checksum(object: &Object, selection: &Selection, mode: Option<&ChecksumMode>) -> Option<Checksum> {
    let asked = mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
    let whole = selection.range == (0..object.size);
    object.checksum.as_ref().filter(|_| asked && whole).map(super::checksum::StoredChecksum::wire)
}

fn parts_count(object: &Object, asked: Option<i32>) -> Option<i32> {
    asked.filter(|_| object.is_multipart()).and_then(|_| count(object.pieces.len()))
}

fn count(number: usize) -> Option<i32> {
    i32::try_from(number).ok().filter(|number| *number > 0)
}

fn storage_class(object: &Object) -> dto::StorageClass {
    match &object.description.storage_class {
        Some(class) => dto::StorageClass::from(class.clone()),
        None => dto::StorageClass::from_static(dto::StorageClass::STANDARD),
    }
}

/// A run of bytes within one blob.
struct Run {
    place: Place,
    range: Range<u64>,
}

fn runs(pieces: Vec<Piece>, wanted: &Range<u64>) -> VecDeque<Run> {
    let mut runs = VecDeque::new();
    let mut start = 0;
    for Piece { place, size, .. } in pieces {
        let end = start + size;
        let (from, to) = (wanted.start.max(start), wanted.end.min(end));
        if from < to {
            runs.push_back(Run { place, range: from - start..to - start });
        }
        start = end;
    }
    runs
}

struct Reader {
    blobs: Arc<Blobs>,
    runs: VecDeque<Run>,
    file: Option<File>,
    _pin: Pin,
}

impl Reader {
    /// The next bytes; `None` at the end.
    fn read(&mut self) -> io::Result<Option<Bytes>> {
        let Some(run) = self.runs.front_mut() else { return Ok(None) };
        let id = match &run.place {
            Place::Inline(id) => {
                let bytes = self.blobs.inline(id).map_err(io::Error::other)?;
                let bytes = bytes.ok_or_else(|| io::Error::other(format!("blob {id} is gone")))?;
                let bytes = slice(bytes, &run.range).map_err(io::Error::other)?;
                self.runs.pop_front();
                return Ok(Some(bytes));
            }
            Place::File(id) => id,
        };
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut file = File::open(self.blobs.path(id))?;
                file.seek(SeekFrom::Start(run.range.start))?;
                self.file.insert(file)
            }
        };
        let length = (run.range.end - run.range.start).min(READ_BYTES as u64);
        let mut bytes = Vec::with_capacity(length as usize);
        Read::take(file, length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("blob {id} is shorter than it was")));
        }
        run.range.start += length;
        if run.range.is_empty() {
            self.runs.pop_front();
            self.file = None;
        }
        Ok(Some(Bytes::from(bytes)))
    }
}

fn slice(bytes: Vec<u8>, range: &Range<u64>) -> S3Result<Bytes> {
    let (start, end) = (range.start as usize, range.end as usize);
    if end > bytes.len() {
        return Err(s3_error!(InternalError, "the store holds fewer bytes than the object has"));
    }
    Ok(Bytes::from(bytes).slice(start..end))
}

fn gone(id: &str) -> S3Error {
    tracing::error!(id, "an object's bytes are not in the store");
    s3_error!(InternalError, "the object's bytes are not in the store")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(size: u64, part: u32) -> Piece {
        Piece { place: Place::File(format!("p{part}")), size, part, checksum: None }
    }

    #[test]
    fn a_range_touches_only_the_pieces_it_lies_in() {
        let pieces = vec![piece(10, 1), piece(5, 2), piece(10, 3)];
        let found = runs(pieces, &(12..20));
        let found: Vec<_> = found.iter().map(|run| (run.place.clone(), run.range.clone())).collect();
        assert_eq!(found, [(Place::File("p2".into()), 2..5), (Place::File("p3".into()), 0..5)]);
        assert!(runs(vec![piece(10, 1)], &(0..0)).is_empty());
    }

    #[test]
    fn a_part_number_selects_that_part() {
        let object =
            Object { size: 25, etag: "x-2".into(), pieces: vec![piece(10, 3), piece(15, 7)], ..Object::default() };
        let selection = select(&object, None, Some(7)).unwrap();
        assert_eq!(selection.content_range(25).as_deref(), Some("bytes 10-24/25"));
        assert!(select(&object, None, Some(1)).is_err());
        assert!(select(&object, Some(dto::Range::Suffix { length: 1 }), Some(7)).is_err());
    }
}
