//! Tags of objects and buckets: checked once, kept in the order given.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html>

use s3s::{
    S3Error, S3Request, S3Response, S3Result,
    dto::{self, Tag, Tagging},
    s3_error,
};

use super::{
    Cloud,
    meta::{self, Tags, Version, Versioning},
    version,
};

/// Most tags of an object.
const MAX_OBJECT_TAGS: usize = 10;
/// Most tags of a bucket.
pub(super) const MAX_BUCKET_TAGS: usize = 50;
/// Longest name of a tag, in characters.
const MAX_NAME: usize = 128;
/// Longest value of a tag, in characters.
const MAX_VALUE: usize = 256;

/// Checks tags as they come in a body.
pub(super) fn from_set(tags: Vec<Tag>, limit: usize) -> S3Result<Tags> {
    check(tags.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())).collect(), limit)
}

/// Checks tags as they come in the header `x-amz-tagging`.
pub(super) fn from_header(header: Option<&str>) -> S3Result<Tags> {
    let pairs = form_urlencoded::parse(header.unwrap_or_default().as_bytes());
    check(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect(), MAX_OBJECT_TAGS)
}

/// Checks names, values and number of tags.
pub(super) fn check(tags: Tags, limit: usize) -> S3Result<Tags> {
    if tags.len() > limit {
        let message = format!("Object tags cannot be greater than {limit}");
        return Err(meta::custom_error(http::StatusCode::BAD_REQUEST, "BadRequest", message));
    }
    for (index, (name, value)) in tags.iter().enumerate() {
        let length = name.chars().count();
        if length == 0 || length > MAX_NAME {
            return Err(s3_error!(InvalidTag, "The TagKey you have provided is invalid"));
        }
        if value.chars().count() > MAX_VALUE {
            return Err(s3_error!(InvalidTag, "The TagValue you have provided is invalid"));
        }
        if name.starts_with("aws:") {
            return Err(s3_error!(InvalidTag, "System tags cannot be added/updated by requester"));
        }
        if tags[..index].iter().any(|(other, _)| other == name) {
            return Err(s3_error!(InvalidTag, "Cannot provide multiple Tags with the same key"));
        }
    }
    Ok(tags)
}

/// Tags as outputs carry them.
pub(super) fn to_set(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(name, value)| Tag { key: Some(name), value: Some(value) }).collect()
}

impl Cloud {
    pub(super) async fn put_tags(
        &self,
        request: S3Request<dto::PutObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::PutObjectTaggingOutput>> {
        let dto::PutObjectTaggingInput { bucket, key, tagging, version_id, .. } = request.input;
        let Tagging { tag_set } = tagging;
        let tags = from_set(tag_set, MAX_OBJECT_TAGS)?;
        let version_id = self.set_tags(bucket, key, version_id, tags).await?;
        Ok(S3Response::new(dto::PutObjectTaggingOutput { version_id }))
    }

    pub(super) async fn delete_tags(
        &self,
        request: S3Request<dto::DeleteObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::DeleteObjectTaggingOutput>> {
        let dto::DeleteObjectTaggingInput { bucket, key, version_id, .. } = request.input;
        let version_id = self.set_tags(bucket, key, version_id, Vec::new()).await?;
        Ok(S3Response::new(dto::DeleteObjectTaggingOutput { version_id }))
    }

    pub(super) async fn get_tags(
        &self,
        request: S3Request<dto::GetObjectTaggingInput>,
    ) -> S3Result<S3Response<dto::GetObjectTaggingOutput>> {
        let dto::GetObjectTaggingInput { bucket, key, version_id, .. } = request.input;
        let (version, object, versioning) = self.store.read(|tx| {
            let (version, object) = version::readable(tx, &bucket, &key, version_id.as_deref())?;
            Ok::<_, S3Error>((version, object, meta::bucket(tx, &bucket)?.versioning))
        })?;
        let version_id = shown_id(versioning, &version);
        let tag_set = to_set(object.description.tags);
        Ok(S3Response::new(dto::GetObjectTaggingOutput { tag_set, version_id }))
    }

    async fn set_tags(
        &self,
        bucket: String,
        key: String,
        version_id: Option<String>,
        tags: Tags,
    ) -> S3Result<Option<String>> {
        self.store
            .commit(move |tx| {
                let (mut version, mut object) = version::readable(tx, &bucket, &key, version_id.as_deref())?;
                object.description.tags = tags;
                version.object = Some(object);
                version::replace(tx, &bucket, &key, &version)?;
                Ok(shown_id(meta::bucket(tx, &bucket)?.versioning, &version))
            })
            .await
    }
}

fn shown_id(versioning: Versioning, version: &Version) -> Option<String> {
    (versioning != Versioning::Off).then(|| version.wire_id().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_in_a_header_are_decoded_and_checked() {
        let tags = from_header(Some("a=1&b%20c=x+y&d")).unwrap();
        let expected = [("a", "1"), ("b c", "x y"), ("d", "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(tags, expected);
        assert!(from_header(None).unwrap().is_empty());
        for wrong in ["=1", "a=1&a=2", "aws:x=1", "a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9&j=10&k=11"] {
            assert!(from_header(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
