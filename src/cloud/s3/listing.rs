//! The list operations of objects and versions: requests read, pages put into answers.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        self, CommonPrefix, ListObjectVersionsInput, ListObjectVersionsOutput, ListObjectsInput, ListObjectsOutput,
        ListObjectsV2Input, ListObjectsV2Output,
    },
    s3_error,
};

use super::{
    Cloud, keys,
    list::{self, After, Encoder, Found, Query},
    meta::{self, VERSIONS, Version},
    version,
};

impl Cloud {
    pub(super) async fn list_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let encoder = Encoder::new(input.encoding_type.as_ref())?;
        let after = match (&input.continuation_token, &input.start_after) {
            (Some(token), _) => After::Key(read_token(token)?),
            (None, Some(key)) if !key.is_empty() => After::Key(key.clone()),
            _ => After::Nothing,
        };
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            after,
            limit: list::limit(input.max_keys, "maxKeys")?,
        };
        let page = self.list_page(&input.bucket, &query)?;
        let fetch_owner = input.fetch_owner.unwrap_or(false);
        let next = page.next.map(|next| match next {
            After::Key(key) | After::Item(key, _) => write_token(&key),
            After::Nothing => String::new(),
        });
        let count = page.entries.len() + page.prefixes.len();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encoder.encode(query.prefix)),
            max_keys: i32::try_from(query.limit).ok(),
            key_count: i32::try_from(count).ok(),
            continuation_token: input.continuation_token,
            is_truncated: Some(next.is_some()),
            next_continuation_token: next,
            contents: contents(page.entries, encoder, fetch_owner),
            common_prefixes: prefixes(page.prefixes, encoder),
            delimiter: encoder.encode_some(query.delimiter),
            encoding_type: input.encoding_type,
            start_after: encoder.encode_some(input.start_after),
            request_charged: None,
        }))
    }

    pub(super) async fn list_v1(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let encoder = Encoder::new(input.encoding_type.as_ref())?;
        let query = Query {
            prefix: input.prefix.clone().unwrap_or_default(),
            delimiter: input.delimiter.clone(),
            after: input.marker.clone().filter(|marker| !marker.is_empty()).map_or(After::Nothing, After::Key),
            limit: list::limit(input.max_keys, "maxKeys")?,
        };
        let page = self.list_page(&input.bucket, &query)?;
        let next = page.next.map(|next| match next {
            After::Key(key) | After::Item(key, _) => key,
            After::Nothing => String::new(),
        });
        Ok(S3Response::new(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(encoder.encode(query.prefix)),
            marker: Some(encoder.encode(input.marker.unwrap_or_default())),
            max_keys: i32::try_from(query.limit).ok(),
            is_truncated: Some(next.is_some()),
            contents: contents(page.entries, encoder, true),
            common_prefixes: prefixes(page.prefixes, encoder),
            // AWS tells the next marker only of listings with a delimiter; others go on from their last key.
            next_marker: encoder.encode_some(next.filter(|_| query.delimiter.is_some())),
            delimiter: encoder.encode_some(query.delimiter),
            encoding_type: input.encoding_type,
            request_charged: None,
        }))
    }

    pub(super) async fn list_versions(
        &self,
        request: S3Request<ListObjectVersionsInput>,
    ) -> S3Result<S3Response<ListObjectVersionsOutput>> {
        let input = request.input;
        let encoder = Encoder::new(input.encoding_type.as_ref())?;
        let key_marker = input.key_marker.clone().unwrap_or_default();
        let version_marker = input.version_id_marker.clone().unwrap_or_default();
        if !version_marker.is_empty() && key_marker.is_empty() {
            return Err(s3_error!(InvalidArgument, "A version-id marker cannot be specified without a key marker."));
        }
        let limit = list::limit(input.max_keys, "maxKeys")?;
        let page = self.store.read(|tx| {
            meta::bucket(tx, &input.bucket)?;
            let after = match (key_marker.is_empty(), version_marker.is_empty()) {
                (true, _) => After::Nothing,
                (false, true) => After::Key(key_marker.clone()),
                (false, false) => {
                    After::Item(key_marker.clone(), item(tx, &input.bucket, &key_marker, &version_marker)?)
                }
            };
            let (prefix, delimiter) = (input.prefix.clone().unwrap_or_default(), input.delimiter.clone());
            let query = Query { prefix, delimiter, after, limit };
            list::list(tx, &VERSIONS, &input.bucket, &query, false, |_| true)
        })?;
        let last_id = page.entries.last().map(|found| found.value.wire_id().to_owned());
        let (next_key, next_version) = match page.next.clone() {
            None => (None, None),
            Some(After::Item(key, _)) => (Some(key), last_id),
            Some(After::Key(key)) => (Some(key), None),
            Some(After::Nothing) => (None, None),
        };
        let (mut versions, mut markers) = (Vec::new(), Vec::new());
        for found in page.entries {
            match wire_version(found, encoder) {
                Listed::Version(version) => versions.push(version),
                Listed::Marker(marker) => markers.push(marker),
            }
        }
        Ok(S3Response::new(ListObjectVersionsOutput {
            name: Some(input.bucket),
            prefix: Some(encoder.encode(input.prefix.unwrap_or_default())),
            key_marker: Some(encoder.encode(key_marker)),
            version_id_marker: Some(version_marker),
            max_keys: i32::try_from(limit).ok(),
            is_truncated: Some(page.next.is_some()),
            next_key_marker: encoder.encode_some(next_key),
            next_version_id_marker: next_version,
            versions: (!versions.is_empty()).then_some(versions),
            delete_markers: (!markers.is_empty()).then_some(markers),
            common_prefixes: prefixes(page.prefixes, encoder),
            delimiter: encoder.encode_some(input.delimiter),
            encoding_type: input.encoding_type,
            request_charged: None,
        }))
    }

    fn list_page(&self, bucket: &str, query: &Query) -> S3Result<list::Page<Version>> {
        self.store.read(|tx| {
            meta::bucket(tx, bucket)?;
            list::list_objects(tx, bucket, query)
        })
    }
}

/// The place of a version within its key, by its id on the wire.
fn item(tx: &redb::ReadTransaction, bucket: &str, key: &str, id: &str) -> S3Result<String> {
    let sequence = match version::find(tx, bucket, key, id)? {
        Some(version) => version.sequence,
        // Deleted since the last page: its id still tells its place.
        None => meta::sequence_of(id).ok_or_else(|| s3_error!(InvalidArgument, "Invalid version id specified"))?,
    };
    let place = keys::version(bucket, key, sequence);
    Ok(place[keys::chain(bucket, key).len()..].to_owned())
}

enum Listed {
    Version(dto::ObjectVersion),
    Marker(dto::DeleteMarkerEntry),
}

fn wire_version(found: Found<Version>, encoder: Encoder) -> Listed {
    let Found { key, value: version, first, .. } = found;
    let (last_modified, version_id) = (Some(version.modified()), Some(version.wire_id().to_owned()));
    let (key, owner, is_latest) = (Some(encoder.encode(key)), Some(meta::owner()), Some(first));
    match version.object {
        None => Listed::Marker(dto::DeleteMarkerEntry { is_latest, key, last_modified, owner, version_id }),
        Some(object) => Listed::Version(dto::ObjectVersion {
            checksum_algorithm: object.checksum.as_ref().map(|checksum| vec![checksum.algorithm.wire()]),
            checksum_type: object.checksum.as_ref().and_then(|checksum| checksum.wire().checksum_type),
            e_tag: Some(object.wire_etag()),
            is_latest,
            key,
            last_modified,
            owner,
            restore_status: None,
            size: Some(object.size as i64),
            storage_class: Some(dto::ObjectVersionStorageClass::from_static("STANDARD")),
            version_id,
        }),
    }
}

fn contents(entries: Vec<Found<Version>>, encoder: Encoder, with_owner: bool) -> Option<Vec<dto::Object>> {
    let objects: Vec<_> = entries
        .into_iter()
        .filter_map(|Found { key, value: version, .. }| {
            let last_modified = Some(version.modified());
            let object = version.object?;
            let class = object.description.storage_class.clone().unwrap_or_else(|| "STANDARD".into());
            Some(dto::Object {
                checksum_algorithm: object.checksum.as_ref().map(|checksum| vec![checksum.algorithm.wire()]),
                checksum_type: object.checksum.as_ref().and_then(|checksum| checksum.wire().checksum_type),
                e_tag: Some(object.wire_etag()),
                key: Some(encoder.encode(key)),
                last_modified,
                owner: with_owner.then(meta::owner),
                restore_status: None,
                size: Some(object.size as i64),
                storage_class: Some(dto::ObjectStorageClass::from(class)),
            })
        })
        .collect();
    (!objects.is_empty()).then_some(objects)
}

/// Rolled-up prefixes on the wire.
pub(super) fn prefixes(found: Vec<String>, encoder: Encoder) -> Option<Vec<CommonPrefix>> {
    let wire = |prefix| CommonPrefix { prefix: Some(encoder.encode(prefix)) };
    (!found.is_empty()).then(|| found.into_iter().map(wire).collect())
}

fn write_token(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

fn read_token(token: &str) -> S3Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    bytes.ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}
