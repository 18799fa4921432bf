//! What a caller of S3 must be allowed: IAM's actions, resources and condition keys for each operation.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html>
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>

use std::{collections::HashMap, sync::Arc};

use http::{Extensions, HeaderMap, HeaderValue};
use s3s::{
    S3Error, S3Result,
    access::{S3Access, S3AccessContext},
    dto,
    path::S3Path,
    s3_error,
};

use super::{CreateLocation, CreateTags, meta::BUCKETS, version, write::Source};
use crate::cloud::{
    authorise::{Need, Signed, authorise},
    gateway::SignedRegion,
    service::{ACCOUNT_ID, Caller},
    store::{Store, StoreError, Transaction},
};

/// Operations on a bucket that need one action on it.
const ON_BUCKET: [(&str, &str); 31] = [
    ("CreateBucket", "CreateBucket"),
    ("DeleteBucket", "DeleteBucket"),
    ("DeleteBucketEncryption", "PutEncryptionConfiguration"),
    ("DeleteBucketLifecycle", "PutLifecycleConfiguration"),
    ("DeleteBucketOwnershipControls", "PutBucketOwnershipControls"),
    ("DeleteBucketPolicy", "DeleteBucketPolicy"),
    ("DeleteBucketTagging", "PutBucketTagging"),
    ("DeletePublicAccessBlock", "PutBucketPublicAccessBlock"),
    ("GetBucketEncryption", "GetEncryptionConfiguration"),
    ("GetBucketLifecycleConfiguration", "GetLifecycleConfiguration"),
    ("GetBucketLocation", "GetBucketLocation"),
    ("GetBucketNotificationConfiguration", "GetBucketNotification"),
    ("GetBucketOwnershipControls", "GetBucketOwnershipControls"),
    ("GetBucketPolicy", "GetBucketPolicy"),
    ("GetBucketTagging", "GetBucketTagging"),
    ("GetBucketVersioning", "GetBucketVersioning"),
    ("GetPublicAccessBlock", "GetBucketPublicAccessBlock"),
    ("HeadBucket", "ListBucket"),
    ("ListMultipartUploads", "ListBucketMultipartUploads"),
    ("ListObjectVersions", "ListBucketVersions"),
    ("ListObjects", "ListBucket"),
    ("ListObjectsV2", "ListBucket"),
    ("PutBucketEncryption", "PutEncryptionConfiguration"),
    ("PutBucketLifecycleConfiguration", "PutLifecycleConfiguration"),
    ("PutBucketNotificationConfiguration", "PutBucketNotification"),
    ("PutBucketOwnershipControls", "PutBucketOwnershipControls"),
    ("PutBucketPolicy", "PutBucketPolicy"),
    ("PutBucketTagging", "PutBucketTagging"),
    ("PutBucketVersioning", "PutBucketVersioning"),
    ("PutPublicAccessBlock", "PutBucketPublicAccessBlock"),
    ("ListBuckets", "ListAllMyBuckets"),
];

/// Operations on an object: the action for its newest version, and for one that is named.
const ON_OBJECT: [(&str, &str, &str); 15] = [
    ("AbortMultipartUpload", "AbortMultipartUpload", "AbortMultipartUpload"),
    ("CompleteMultipartUpload", "PutObject", "PutObject"),
    ("CopyObject", "PutObject", "PutObject"),
    ("CreateMultipartUpload", "PutObject", "PutObject"),
    ("DeleteObject", "DeleteObject", "DeleteObjectVersion"),
    ("DeleteObjectTagging", "DeleteObjectTagging", "DeleteObjectVersionTagging"),
    ("GetObject", "GetObject", "GetObjectVersion"),
    ("GetObjectAttributes", "GetObject", "GetObjectVersion"),
    ("GetObjectTagging", "GetObjectTagging", "GetObjectVersionTagging"),
    ("HeadObject", "GetObject", "GetObjectVersion"),
    ("ListParts", "ListMultipartUploadParts", "ListMultipartUploadParts"),
    ("PutObject", "PutObject", "PutObject"),
    ("PutObjectTagging", "PutObjectTagging", "PutObjectVersionTagging"),
    ("UploadPart", "PutObject", "PutObject"),
    ("UploadPartCopy", "PutObject", "PutObject"),
];

/// Parameters of the query that are condition keys.
const QUERY_KEYS: [(&str, &str); 5] = [
    ("delimiter", "s3:delimiter"),
    ("max-keys", "s3:max-keys"),
    ("prefix", "s3:prefix"),
    ("signatureversion", "s3:signatureversion"),
    ("versionId", "s3:VersionId"),
];

/// Headers that are condition keys besides `x-amz-…`.
const HEADER_KEYS: [(&str, &str); 2] = [("if-match", "s3:if-match"), ("if-none-match", "s3:if-none-match")];

/// Headers that are no condition keys, and hold what no log may: tokens and encryption keys.
const SECRET_HEADERS: [&str; 2] = ["security-token", "customer-key"];

/// Operations that answer otherwise when there is no such object.
const READS: [&str; 5] = ["GetObject", "HeadObject", "GetObjectAttributes", "CopyObject", "UploadPartCopy"];

/// Authorisation, with the operation and the resource that `s3s` has read.
pub(super) struct Access(pub Arc<Store>);

/// Who asks, for operations that are authorised piece by piece.
#[derive(Clone)]
pub(super) struct Asking {
    caller: Caller,
    region: String,
    headers: HeaderMap,
}

impl Asking {
    fn of(extensions: &Extensions, headers: &HeaderMap) -> S3Result<Asking> {
        let caller = extensions.get::<Caller>().cloned();
        let region = extensions.get::<SignedRegion>().map(|region| region.0.clone());
        Ok(Asking {
            caller: caller.ok_or_else(|| s3_error!(AccessDenied, "Access Denied"))?,
            region: region.unwrap_or_default(),
            headers: headers.clone(),
        })
    }

    fn authorise(&self, store: &Store, needs: &[Need]) -> S3Result<()> {
        let Asking { caller, region, headers } = self;
        Ok(authorise(store, &Signed { caller, service: "s3", region, headers }, needs)?)
    }

    /// Whether one key of DeleteObjects may be deleted.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-delete-enforce.html>
    pub fn may_delete(
        &self,
        store: &Store,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        if_match: Option<&str>,
    ) -> S3Result<()> {
        let policy = store.read(|tx| bucket_policy(tx, bucket))?;
        let arn = object_arn(bucket, key);
        let action = if version.is_some() { "s3:DeleteObjectVersion" } else { "s3:DeleteObject" };
        let mut need = Need::new(action, &arn).under(policy.clone());
        let mut needs = Vec::new();
        if let Some(etag) = if_match {
            need = need.with("s3:if-match", etag);
            needs.extend((etag != "*").then(|| Need::new("s3:GetObject", &arn).under(policy)));
        }
        if let Some(version) = version {
            need = need.with("s3:VersionId", version);
        }
        needs.insert(0, need);
        self.authorise(store, &needs)
    }
}

#[async_trait::async_trait]
impl S3Access for Access {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        for name in ["x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"] {
            if cx.headers().get(name).is_some_and(|owner| owner != HeaderValue::from_static(ACCOUNT_ID)) {
                return Err(s3_error!(AccessDenied, "The bucket belongs to another account than {name} says"));
            }
        }
        if cx.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        let headers = cx.headers().clone();
        let asking = Asking::of(cx.extensions_mut(), &headers)?;
        let operation = cx.s3_op().name();
        if operation == "DeleteObjects" {
            // Each of its keys is authorised by itself.
            cx.extensions_mut().insert(asking);
            return Ok(());
        }
        let request = Request {
            operation,
            path: cx.s3_path(),
            query: query(cx.uri().query().unwrap_or_default()),
            headers: &headers,
        };
        let (mut needs, hidden) = self.0.read(|tx| {
            let needs = request.needs(tx)?;
            let source = request.read_object()?;
            Ok::<_, S3Error>((needs, source.map(|source| missing(tx, &source)).transpose()?.flatten()))
        })?;
        if let Some(first) = needs.first_mut().filter(|_| operation == "CreateBucket") {
            let created = cx.extensions_mut();
            if let Some(CreateLocation(location)) = created.get() {
                first.context.push(("s3:LocationConstraint".into(), location.clone()));
            }
            if let Some(CreateTags(tags)) = created.get::<CreateTags>().filter(|tags| !tags.0.is_empty()) {
                let mut tagging = Need::new("s3:TagResource", &first.resource);
                for (key, value) in tags {
                    tagging = tagging.with(format!("aws:RequestTag/{key}"), value).with("aws:TagKeys", key);
                }
                needs.push(tagging);
            }
        }
        asking.authorise(&self.0, &needs)?;
        match hidden {
            Some(need) => asking.authorise(&self.0, &[need]),
            None => Ok(()),
        }
    }
}

/// The policy of a bucket, if there are both.
fn bucket_policy(tx: &impl Transaction, bucket: &str) -> Result<Option<String>, StoreError> {
    Ok(BUCKETS.get(tx, bucket)?.and_then(|bucket| bucket.policy))
}

fn bucket_arn(bucket: &str) -> String {
    format!("arn:aws:s3:::{bucket}")
}

fn object_arn(bucket: &str, key: &str) -> String {
    format!("arn:aws:s3:::{bucket}/{key}")
}

/// What it takes to read an object, for services that read it with their caller's rights.
pub fn read_need(tx: &impl Transaction, bucket: &str, key: &str, version: Option<&str>) -> Result<Need, StoreError> {
    let action = if version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
    let mut need = Need::new(action, object_arn(bucket, key)).under(bucket_policy(tx, bucket)?);
    if let Some(version) = version {
        need = need.with("s3:VersionId", version);
    }
    Ok(need)
}

/// What is to be allowed besides when there is no such object: whoever may not list the bucket is not told that.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>
fn missing(tx: &impl Transaction, source: &Source) -> S3Result<Option<Need>> {
    let Source { bucket, key, version } = source;
    match version::readable(tx, bucket, key, version.as_deref()) {
        Err(error) if *error.code() == s3s::S3ErrorCode::NoSuchKey => {
            Ok(Some(Need::new("s3:ListBucket", bucket_arn(bucket)).under(bucket_policy(tx, bucket)?)))
        }
        Err(error) if *error.code() == s3s::S3ErrorCode::InternalError => Err(error),
        _ => Ok(None),
    }
}

fn query(text: &str) -> HashMap<String, String> {
    form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// A request, before its body is read.
struct Request<'a> {
    operation: &'a str,
    path: &'a S3Path,
    query: HashMap<String, String>,
    headers: &'a HeaderMap,
}

impl Request<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn version(&self) -> Option<&str> {
        self.query.get("versionId").map(String::as_str)
    }

    /// The object that is read, if one is.
    fn read_object(&self) -> S3Result<Option<Source>> {
        if !READS.contains(&self.operation) {
            return Ok(None);
        }
        if self.header("x-amz-copy-source").is_some() {
            return self.copy_source();
        }
        Ok(self.path.as_object().map(|(bucket, key)| Source {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            version: self.version().map(str::to_owned),
        }))
    }

    fn copy_source(&self) -> S3Result<Option<Source>> {
        let Some(header) = self.header("x-amz-copy-source") else { return Ok(None) };
        let invalid = |_| s3_error!(InvalidArgument, "Copy Source must mention the source bucket and key");
        Source::read(&dto::CopySource::parse(header).map_err(invalid)?).map(Some)
    }

    fn needs(&self, tx: &impl Transaction) -> S3Result<Vec<Need>> {
        let found = match self.path {
            S3Path::Root => return Ok(vec![self.need(self.bucket_action(), "arn:aws:s3:::*".to_owned(), None)]),
            S3Path::Bucket { bucket } => {
                let policy = bucket_policy(tx, bucket)?;
                return Ok(vec![self.need(self.bucket_action(), bucket_arn(bucket), policy)]);
            }
            S3Path::Object { .. } => ON_OBJECT.iter().find(|(operation, ..)| *operation == self.operation),
        };
        let Some((bucket, key)) = self.path.as_object() else { return Ok(Vec::new()) };
        let (policy, arn) = (bucket_policy(tx, bucket)?, object_arn(bucket, key));
        let action = match (found, self.version()) {
            (Some((_, action, _)), None) | (Some((_, _, action)), Some(_)) => action,
            (None, _) => self.operation,
        };
        let mut needs = vec![self.need(action, arn.clone(), policy.clone())];
        let also = |action: &str| self.need(action, arn.clone(), policy.clone());
        match self.operation {
            "GetObjectAttributes" if self.version().is_some() => needs.push(also("GetObjectVersionAttributes")),
            "GetObjectAttributes" => needs.push(also("GetObjectAttributes")),
            // <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
            "PutObject" | "CompleteMultipartUpload" if self.header("if-match").is_some() => {
                needs.push(also("GetObject"));
            }
            "DeleteObject" if self.header("if-match").is_some_and(|etag| etag != "*") => needs.push(also("GetObject")),
            _ => {}
        }
        if matches!(self.operation, "PutObject" | "CopyObject" | "CreateMultipartUpload") {
            if self.header("x-amz-tagging").is_some_and(|tags| !tags.is_empty()) {
                needs.push(also("PutObjectTagging"));
            }
            let grants = |name: &str| name == "x-amz-acl" || name.starts_with("x-amz-grant-");
            if self.headers.keys().any(|name| grants(name.as_str())) {
                needs.push(also("PutObjectAcl"));
            }
        }
        needs.extend(self.needs_of_source(tx, &also)?);
        Ok(needs)
    }

    /// A copy takes the right to read its source, and its source's tags where there are any.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html>
    fn needs_of_source(&self, tx: &impl Transaction, also: &dyn Fn(&str) -> Need) -> S3Result<Vec<Need>> {
        let Some(source) = self.copy_source()? else { return Ok(Vec::new()) };
        let Source { bucket, key, version } = &source;
        let read = read_need(tx, bucket, key, version.as_deref())?;
        let copies_tags = self.operation == "CopyObject" && self.header("x-amz-tagging-directive") != Some("REPLACE");
        let tagged = copies_tags
            && version::readable(tx, bucket, key, version.as_deref())
                .is_ok_and(|(_, object)| !object.description.tags.is_empty());
        let mut needs = vec![read.clone()];
        if tagged {
            let action = if version.is_some() { "s3:GetObjectVersionTagging" } else { "s3:GetObjectTagging" };
            needs.push(Need { action: action.to_owned(), ..read });
            needs.push(also("PutObjectTagging"));
        }
        Ok(needs)
    }

    /// The action of an operation on a bucket or on none. One that is not there is refused by its name later on.
    fn bucket_action(&self) -> &str {
        let found = ON_BUCKET.iter().find(|(operation, _)| *operation == self.operation);
        found.map_or(self.operation, |(_, action)| action)
    }

    fn need(&self, action: &str, resource: String, policy: Option<String>) -> Need {
        let mut need = Need::new(format!("s3:{action}"), resource).under(policy);
        need = need.with("s3:ResourceAccount", ACCOUNT_ID);
        for (parameter, key) in QUERY_KEYS {
            if let Some(value) = self.query.get(parameter) {
                need = need.with(key, value);
            }
        }
        for (header, key) in HEADER_KEYS {
            if let Some(value) = self.header(header) {
                need = need.with(key, value);
            }
        }
        for (name, value) in self.headers {
            let secret = SECRET_HEADERS.iter().any(|part| name.as_str().contains(part));
            if let (true, false, Ok(value)) = (name.as_str().starts_with("x-amz-"), secret, value.to_str()) {
                need = need.with(format!("s3:{name}"), value);
            }
        }
        let tags = self.header("x-amz-tagging").unwrap_or_default();
        for (key, value) in form_urlencoded::parse(tags.as_bytes()) {
            need = need.with(format!("s3:RequestObjectTag/{key}"), value).with("s3:RequestObjectTagKeys", key);
        }
        if matches!(self.operation, "PutObject" | "CopyObject" | "CompleteMultipartUpload") {
            need = need.with("s3:ObjectCreationOperation", "true");
        } else if matches!(self.operation, "CreateMultipartUpload" | "UploadPart" | "UploadPartCopy") {
            need = need.with("s3:ObjectCreationOperation", "false");
        }
        need
    }
}

/// Checks what S3 itself asks of a bucket policy.
pub(super) fn check_bucket_policy(document: &str, bucket: &str) -> S3Result<()> {
    use crate::cloud::iam::policy::{Policy, PolicyKind, Selection};
    let policy = Policy::parse(document, PolicyKind::Resource)
        .map_err(|error| s3_error!(MalformedPolicy, "{}", error.message))?;
    for statement in &policy.statements {
        let of_s3 = |action: &str| action == "*" || action.get(..3).is_some_and(|it| it.eq_ignore_ascii_case("s3:"));
        if !statement.actions.patterns().all(of_s3) {
            return Err(s3_error!(MalformedPolicy, "Policy has invalid action"));
        }
        let inside = |resource: &str| {
            let name = resource.rsplit_once(":::").map_or("", |(_, name)| name);
            name.split('/').next().is_some_and(|name| crate::cloud::iam::wildcard::matches(name, bucket, false))
        };
        if !statement.resources.iter().flat_map(Selection::patterns).all(inside) {
            return Err(s3_error!(MalformedPolicy, "Policy has invalid resource"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(operation: &str, path: &str, query_text: &str, headers: &[(&'static str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let path = s3s::path::parse_path_style(path).unwrap();
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        let headers = headers.collect();
        let request = Request { operation, path: &path, query: query(query_text), headers: &headers };
        let needs = store.read(|tx| request.needs(tx)).unwrap();
        needs.into_iter().map(|need| format!("{} {}", need.action, need.resource)).collect()
    }

    #[test]
    fn each_operation_needs_the_actions_that_the_reference_names() {
        type Headers<'a> = &'a [(&'static str, &'a str)];
        let cases: &[(&str, &str, &str, Headers<'_>, &[&str])] = &[
            ("ListBuckets", "/", "", &[], &["s3:ListAllMyBuckets arn:aws:s3:::*"]),
            ("HeadBucket", "/bkt", "", &[], &["s3:ListBucket arn:aws:s3:::bkt"]),
            ("ListObjectsV2", "/bkt", "prefix=x", &[], &["s3:ListBucket arn:aws:s3:::bkt"]),
            ("ListObjectVersions", "/bkt", "", &[], &["s3:ListBucketVersions arn:aws:s3:::bkt"]),
            ("DeleteBucketLifecycle", "/bkt", "", &[], &["s3:PutLifecycleConfiguration arn:aws:s3:::bkt"]),
            ("HeadObject", "/bkt/a/k", "", &[], &["s3:GetObject arn:aws:s3:::bkt/a/k"]),
            ("GetObject", "/bkt/k", "versionId=1", &[], &["s3:GetObjectVersion arn:aws:s3:::bkt/k"]),
            ("DeleteObject", "/bkt/k", "versionId=1", &[], &["s3:DeleteObjectVersion arn:aws:s3:::bkt/k"]),
            ("UploadPart", "/bkt/k", "partNumber=1", &[], &["s3:PutObject arn:aws:s3:::bkt/k"]),
            (
                "PutObject",
                "/bkt/k",
                "",
                &[("if-match", "\"e\""), ("x-amz-tagging", "a=b")],
                &[
                    "s3:PutObject arn:aws:s3:::bkt/k",
                    "s3:GetObject arn:aws:s3:::bkt/k",
                    "s3:PutObjectTagging arn:aws:s3:::bkt/k",
                ],
            ),
            ("PutObject", "/bkt/k", "", &[("if-none-match", "*")], &["s3:PutObject arn:aws:s3:::bkt/k"]),
            (
                "CopyObject",
                "/bkt/k",
                "",
                &[("x-amz-copy-source", "/from/x%20y?versionId=7")],
                &["s3:PutObject arn:aws:s3:::bkt/k", "s3:GetObjectVersion arn:aws:s3:::from/x y"],
            ),
        ];
        for (operation, path, query, headers, expected) in cases {
            assert_eq!(needs(operation, path, query, headers), *expected, "{operation}");
        }
    }

    #[test]
    fn a_bucket_policy_is_about_its_own_bucket() {
        let policy = |action: &str, resource: &str| {
            format!(
                r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Deny","Principal":"*","Action":"{action}","Resource":"{resource}"}}}}"#
            )
        };
        check_bucket_policy(&policy("s3:*", "arn:aws:s3:::b/*"), "b").unwrap();
        for (action, resource) in [("sqs:*", "arn:aws:s3:::b/*"), ("s3:*", "arn:aws:s3:::c/*")] {
            let refused = check_bucket_policy(&policy(action, resource), "b").unwrap_err();
            assert_eq!(*refused.code(), s3s::S3ErrorCode::MalformedPolicy);
        }
    }
}
