//! Conditional requests: whether a read, write or delete may go on. Pure.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html>
//!
//! Writes are decided inside the transaction that commits them, so AWS's `ConditionalRequestConflict` (409), which
//! tells of a race that it could not decide, never happens here.

use s3s::{
    S3Error, S3ErrorCode, S3Result,
    dto::{ETagCondition, Timestamp},
    s3_error,
};

use super::meta::{Object, Version};

/// What a read asks of the object.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadCondition {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

impl ReadCondition {
    /// Decides as RFC 9110 orders it: a matching `If-Match` overrides `If-Unmodified-Since`, an `If-None-Match`
    /// overrides `If-Modified-Since`.
    pub fn check(&self, version: &Version, object: &Object) -> S3Result<()> {
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) if !matches(condition, object) => return Err(failed("If-Match")),
            (None, Some(time)) if version.modified() > *time => return Err(failed("If-Unmodified-Since")),
            _ => {}
        }
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) if matches(condition, object) => Err(not_modified(version, object)),
            (None, Some(time)) if version.modified() <= *time => Err(not_modified(version, object)),
            _ => Ok(()),
        }
    }

    /// Decides for the source of a copy, where there is no 304.
    pub fn check_source(&self, version: &Version, object: &Object) -> S3Result<()> {
        self.check(version, object).map_err(|error| match error.code() {
            S3ErrorCode::NotModified => failed("x-amz-copy-source-If-None-Match"),
            _ => error,
        })
    }
}

/// What a write asks of the key's current version.
#[derive(Debug, Clone, Default)]
pub(super) struct WriteCondition {
    if_match: Option<ETagCondition>,
    none_exists: bool,
}

impl WriteCondition {
    /// Reads the two headers. `If-None-Match` takes `*` alone.
    pub fn new(if_match: Option<ETagCondition>, if_none_match: Option<ETagCondition>) -> S3Result<Self> {
        let none_exists = match if_none_match {
            None => false,
            Some(ETagCondition::Any) => true,
            Some(ETagCondition::ETag(_)) => {
                return Err(s3_error!(
                    NotImplemented,
                    "A header you provided implies functionality that is not implemented: \
                     If-None-Match takes `*` alone in a write"
                ));
            }
        };
        Ok(WriteCondition { if_match, none_exists })
    }

    /// Decides on a put, a copy or the completion of an upload.
    pub fn check(&self, current: Option<&Version>) -> S3Result<()> {
        let object = current.and_then(|version| version.object.as_ref());
        if self.none_exists && object.is_some() {
            return Err(failed("If-None-Match"));
        }
        match (&self.if_match, object) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(no_such_key()),
            (Some(condition), Some(object)) if matches(condition, object) => Ok(()),
            (Some(_), Some(_)) => Err(failed("If-Match")),
        }
    }
}

/// Decides on a delete: `*` asks that the key exists, an etag that it is unchanged.
pub(super) fn check_delete(if_match: Option<&ETagCondition>, current: Option<&Version>) -> S3Result<()> {
    let object = current.and_then(|version| version.object.as_ref());
    match (if_match, object) {
        (None, _) => Ok(()),
        (Some(ETagCondition::Any), None) => Err(failed("If-Match")),
        (Some(ETagCondition::ETag(_)), None) => Err(no_such_key()),
        (Some(condition), Some(object)) if matches(condition, object) => Ok(()),
        (Some(_), Some(_)) => Err(failed("If-Match")),
    }
}

fn matches(condition: &ETagCondition, object: &Object) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag,
    }
}

fn failed(condition: &str) -> S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold: {condition}")
}

fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

fn not_modified(version: &Version, object: &Object) -> S3Error {
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    let mut headers = http::HeaderMap::new();
    if let Ok(etag) = object.wire_etag().to_http_header() {
        headers.insert(http::header::ETAG, etag);
    }
    let mut modified = Vec::new();
    if version.modified().format(s3s::dto::TimestampFormat::HttpDate, &mut modified).is_ok()
        && let Ok(modified) = http::HeaderValue::from_bytes(&modified)
    {
        headers.insert(http::header::LAST_MODIFIED, modified);
    }
    error.set_headers(headers);
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use s3s::dto::ETag;

    const SECOND: u64 = 1_000_000;

    fn version(etag: Option<&str>) -> Version {
        let object = etag.map(|etag| Object { etag: etag.into(), ..Object::default() });
        Version { sequence: 100 * SECOND + 1, id: None, object }
    }

    fn etag(value: &str) -> Option<ETagCondition> {
        Some(ETagCondition::ETag(ETag::Strong(value.into())))
    }

    fn at(second: i64) -> Option<Timestamp> {
        Some(super::super::meta::timestamp(jiff::Timestamp::from_second(second).unwrap()))
    }

    fn code(result: S3Result<()>) -> Option<String> {
        result.err().map(|error| error.code().as_str().to_owned())
    }

    #[test]
    fn a_put_if_none_match_star_wins_only_where_no_object_is() {
        let condition = WriteCondition::new(None, Some(ETagCondition::Any)).unwrap();
        assert_eq!(code(condition.check(None)), None);
        assert_eq!(code(condition.check(Some(&version(None)))), None, "a delete marker is no object");
        assert_eq!(code(condition.check(Some(&version(Some("a"))))).as_deref(), Some("PreconditionFailed"));
        assert_eq!(code(WriteCondition::new(None, etag("a")).map(|_| ())).as_deref(), Some("NotImplemented"));
    }

    #[test]
    fn a_put_if_match_needs_that_very_object() {
        let condition = WriteCondition::new(etag("a"), None).unwrap();
        assert_eq!(code(condition.check(Some(&version(Some("a"))))), None);
        assert_eq!(code(condition.check(Some(&version(Some("b"))))).as_deref(), Some("PreconditionFailed"));
        assert_eq!(code(condition.check(Some(&version(None)))).as_deref(), Some("NoSuchKey"));
        assert_eq!(code(condition.check(None)).as_deref(), Some("NoSuchKey"));
    }

    #[test]
    fn a_delete_if_match_needs_that_very_object() {
        let current = version(Some("a"));
        assert_eq!(code(check_delete(None, None)), None);
        assert_eq!(code(check_delete(etag("a").as_ref(), Some(&current))), None);
        assert_eq!(code(check_delete(Some(&ETagCondition::Any), Some(&current))), None);
        assert_eq!(code(check_delete(etag("b").as_ref(), Some(&current))).as_deref(), Some("PreconditionFailed"));
        assert_eq!(code(check_delete(etag("a").as_ref(), None)).as_deref(), Some("NoSuchKey"));
        assert_eq!(code(check_delete(Some(&ETagCondition::Any), None)).as_deref(), Some("PreconditionFailed"));
    }

    #[test]
    fn reads_follow_the_order_of_the_rfc() {
        let version = version(Some("a"));
        let object = version.object.clone().unwrap();
        let check = |condition: ReadCondition| code(condition.check(&version, &object));
        let condition = ReadCondition::default;
        assert_eq!(check(ReadCondition { if_match: etag("b"), ..condition() }).as_deref(), Some("PreconditionFailed"));
        assert_eq!(check(ReadCondition { if_match: etag("a"), if_unmodified_since: at(1), ..condition() }), None);
        assert_eq!(
            check(ReadCondition { if_unmodified_since: at(99), ..condition() }).as_deref(),
            Some("PreconditionFailed")
        );
        assert_eq!(check(ReadCondition { if_unmodified_since: at(100), ..condition() }), None);
        assert_eq!(check(ReadCondition { if_none_match: etag("a"), ..condition() }).as_deref(), Some("NotModified"));
        assert_eq!(check(ReadCondition { if_none_match: etag("b"), if_modified_since: at(200), ..condition() }), None);
        assert_eq!(check(ReadCondition { if_modified_since: at(100), ..condition() }).as_deref(), Some("NotModified"));
        assert_eq!(check(ReadCondition { if_modified_since: at(99), ..condition() }), None);
        let copied = ReadCondition { if_none_match: etag("a"), ..condition() }.check_source(&version, &object);
        assert_eq!(code(copied).as_deref(), Some("PreconditionFailed"));
    }
}
