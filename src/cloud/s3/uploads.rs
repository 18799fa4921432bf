//! Listing uploads under way and their parts.

use s3s::{
    S3Request, S3Response, S3Result,
    dto::{self, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput},
};

use super::{
    Cloud,
    checksum::{Algorithm, put_checksum},
    list::{self, After, Encoder, Query},
    listing,
    meta::{self, PARTS, Part, UPLOADS, Upload},
    multipart,
};

impl Cloud {
    pub(super) async fn list_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = request.input;
        let encoder = Encoder::new(input.encoding_type.as_ref())?;
        let key_marker = input.key_marker.clone().unwrap_or_default();
        let id_marker = input.upload_id_marker.clone().unwrap_or_default();
        let after = match (key_marker.is_empty(), id_marker.is_empty()) {
            (true, _) => After::Nothing,
            (false, true) => After::Key(key_marker.clone()),
            (false, false) => After::Item(key_marker.clone(), id_marker.clone()),
        };
        let limit = list::limit(input.max_uploads, "max-uploads")?;
        let (prefix, delimiter) = (input.prefix.clone().unwrap_or_default(), input.delimiter.clone());
        let query = Query { prefix, delimiter, after, limit };
        let page = self.store.read(|tx| {
            meta::bucket(tx, &input.bucket)?;
            list::list(tx, &UPLOADS, &input.bucket, &query, false, |_| true)
        })?;
        let (next_key, next_id) = match &page.next {
            Some(After::Item(key, id)) => (Some(key.clone()), Some(id.clone())),
            Some(After::Key(key)) => (Some(key.clone()), None),
            Some(After::Nothing) | None => (None, None),
        };
        let wire = |found: list::Found<Upload>| dto::MultipartUpload {
            checksum_algorithm: found.value.algorithm.map(Algorithm::wire),
            checksum_type: found.value.algorithm.map(|_| multipart::checksum_type(found.value.full_object)),
            initiated: Some(meta::timestamp(found.value.initiated)),
            initiator: Some(initiator(&found.value)),
            key: Some(encoder.encode(found.key)),
            owner: Some(meta::owner()),
            storage_class: Some(dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
            upload_id: Some(found.item),
        };
        let uploads: Vec<_> = page.entries.into_iter().map(wire).collect();
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            key_marker: Some(encoder.encode(key_marker)),
            upload_id_marker: Some(id_marker),
            max_uploads: i32::try_from(limit).ok(),
            is_truncated: Some(page.next.is_some()),
            next_key_marker: encoder.encode_some(next_key),
            next_upload_id_marker: next_id,
            uploads: (!uploads.is_empty()).then_some(uploads),
            common_prefixes: listing::prefixes(page.prefixes, encoder),
            prefix: Some(encoder.encode(query.prefix)),
            delimiter: encoder.encode_some(query.delimiter),
            encoding_type: input.encoding_type,
            request_charged: None,
        }))
    }

    pub(super) async fn list_upload_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        let input = request.input;
        let limit = list::limit(input.max_parts, "max-parts")?;
        let marker = input.part_number_marker.unwrap_or(0);
        let (upload, mut parts) = self.store.read(|tx| {
            let upload = multipart::upload(tx, &input.bucket, &input.key, &input.upload_id)?;
            let after = multipart::part_place(&input.upload_id, marker);
            let parts = PARTS.scan(tx, &multipart::parts_of(&input.upload_id), Some(&after), limit + 1)?;
            Ok::<_, s3s::S3Error>((upload, parts))
        })?;
        let more = parts.len() > limit;
        parts.truncate(limit);
        let number = |place: &str| place.rsplit('/').next().and_then(|number| number.parse::<i32>().ok());
        let last = parts.last().and_then(|(place, _)| number(place));
        let agreed = upload.algorithm;
        let parts: Vec<_> = parts.into_iter().map(|(place, part)| wire_part(number(&place), part, agreed)).collect();
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            checksum_algorithm: upload.algorithm.map(Algorithm::wire),
            checksum_type: upload.algorithm.map(|_| multipart::checksum_type(upload.full_object)),
            initiator: Some(initiator(&upload)),
            is_truncated: Some(more),
            key: Some(input.key),
            max_parts: i32::try_from(limit).ok(),
            next_part_number_marker: last.filter(|_| more),
            owner: Some(meta::owner()),
            part_number_marker: Some(marker),
            parts: (!parts.is_empty()).then_some(parts),
            storage_class: Some(dto::StorageClass::from_static(dto::StorageClass::STANDARD)),
            upload_id: Some(input.upload_id),
            ..ListPartsOutput::default()
        }))
    }
}

fn wire_part(number: Option<i32>, part: Part, agreed: Option<Algorithm>) -> dto::Part {
    let mut wire = dto::Part {
        e_tag: Some(dto::ETag::Strong(part.etag)),
        last_modified: Some(meta::timestamp(part.modified)),
        part_number: number,
        size: Some(part.size as i64),
        ..dto::Part::default()
    };
    if let Some(checksum) = part.checksum.filter(|_| agreed.is_some()) {
        put_checksum!(wire, checksum.wire());
    }
    wire
}

fn initiator(upload: &Upload) -> dto::Initiator {
    dto::Initiator { display_name: None, id: Some(upload.initiator.clone()) }
}
