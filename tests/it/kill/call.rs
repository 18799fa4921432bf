//! Which API call a request is: told from its signature's scope and from where its protocol carries the operation.

use std::fmt;

use http::{HeaderMap, Method, Uri};

use super::bucket;

/// The service that calls to the bucket of the state go by.
pub const STATE: &str = "state";

/// One API call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// The service in the signature's scope, or [`STATE`].
    pub service: String,
    /// The operation; with the first folder of the key where objects are concerned.
    pub operation: String,
    /// Whether it changes anything.
    pub writes: bool,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.service, self.operation)
    }
}

/// What operations that change nothing begin with.
const READS: [&str; 6] = ["Get", "List", "Describe", "BatchGet", "Head", "Search"];

impl Call {
    /// Reads it from a request.
    pub fn of(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Call {
        let mut service = service(headers).unwrap_or_default();
        let state = of_state(uri).filter(|_| service == "s3");
        if state.is_some() {
            STATE.clone_into(&mut service);
        }
        let operation = match service.as_str() {
            STATE => {
                let is_copy = headers.contains_key("x-amz-copy-source");
                bucket::operation(method, state.unwrap_or_default(), uri.query().unwrap_or_default(), is_copy, body)
            }
            "s3" => s3(method, uri),
            "lambda" => lambda(method, uri.path()),
            _ => named(uri, headers, body),
        };
        let writes = !READS.iter().any(|read| operation.starts_with(read));
        Call { service, operation, writes }
    }
}

/// The key in the bucket of the state, if it is about that bucket.
fn of_state(uri: &Uri) -> Option<&str> {
    let (bucket, key) =
        uri.path().trim_start_matches('/').split_once('/').unwrap_or((uri.path().trim_matches('/'), ""));
    (bucket == bucket::BUCKET).then_some(key)
}

/// `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn service(headers: &HeaderMap) -> Option<String> {
    let authorization = headers.get("authorization")?.to_str().ok()?;
    let scope = authorization.split("Credential=").nth(1)?;
    scope.split('/').nth(3).map(str::to_owned)
}

/// The JSON protocols name it in a header, CBOR in the path, the query protocol in the body.
fn named(uri: &Uri, headers: &HeaderMap, body: &[u8]) -> String {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()?.rsplit('.').next());
    let path = uri.path().split_once("/operation/").map(|(_, operation)| operation);
    let action =
        || form_urlencoded::parse(body).find(|(name, _)| name == "Action").map(|(_, value)| value.into_owned());
    target.or(path).map(str::to_owned).or_else(action).unwrap_or_else(|| "Unknown".to_owned())
}

/// Parts of a bucket that are read and written as a whole, by their query parameters.
const DOCUMENTS: [(&str, &str); 9] = [
    ("versioning", "BucketVersioning"),
    ("encryption", "BucketEncryption"),
    ("publicAccessBlock", "PublicAccessBlock"),
    ("notification", "BucketNotification"),
    ("policy", "BucketPolicy"),
    ("lifecycle", "BucketLifecycle"),
    ("tagging", "BucketTagging"),
    ("location", "BucketLocation"),
    ("versions", "ObjectVersions"),
];

/// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>
fn s3(method: &Method, uri: &Uri) -> String {
    let path = uri.path().trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let query = uri.query().unwrap_or_default();
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    let verb = match *method {
        Method::PUT => "Put",
        Method::GET => "Get",
        Method::HEAD => "Head",
        Method::DELETE => "Delete",
        _ => "Post",
    };
    if !key.is_empty() {
        let folder = key.split('/').next().unwrap_or_default();
        let part = if has("uploadId") || has("uploads") { "Upload" } else { "Object" };
        return format!("{verb}{part}:{folder}");
    }
    if let Some((_, what)) = DOCUMENTS.iter().find(|(name, _)| has(name)) {
        return format!("{verb}{what}");
    }
    match verb {
        _ if bucket.is_empty() => "ListBuckets".to_owned(),
        "Put" => "CreateBucket".to_owned(),
        "Post" => "DeleteObjects".to_owned(),
        "Get" if has("uploads") => "ListMultipartUploads".to_owned(),
        "Get" => "ListObjects".to_owned(),
        verb => format!("{verb}Bucket"),
    }
}

/// <https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html>
fn lambda(method: &Method, path: &str) -> String {
    // A date, what, which, and what of it.
    let mut parts = path.trim_matches('/').split('/').skip(1);
    let (what, name, part) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let operation = match (method, what, name, part) {
        (&Method::POST, "functions", None, _) => "CreateFunction",
        (&Method::GET, "functions", None, _) => "ListFunctions",
        (&Method::GET, "functions", _, None) => "GetFunction",
        (&Method::DELETE, "functions", _, None) => "DeleteFunction",
        (&Method::PUT, _, _, Some("code")) => "UpdateFunctionCode",
        (&Method::PUT, _, _, Some("configuration")) => "UpdateFunctionConfiguration",
        (&Method::GET, _, _, Some("configuration")) => "GetFunctionConfiguration",
        (&Method::POST, _, _, Some("policy")) => "AddPermission",
        (&Method::GET, _, _, Some("policy")) => "GetPolicy",
        (&Method::DELETE, _, _, Some("policy")) => "RemovePermission",
        (&Method::GET, _, _, Some("event-invoke-config")) => "GetFunctionEventInvokeConfig",
        (&Method::DELETE, _, _, Some("event-invoke-config")) => "DeleteFunctionEventInvokeConfig",
        (_, _, _, Some("event-invoke-config")) => "PutFunctionEventInvokeConfig",
        (&Method::GET, "tags", ..) => "ListTags",
        (&Method::POST, "tags", ..) => "TagResource",
        _ => return format!("{method} {path}"),
    };
    operation.to_owned()
}

#[test]
fn each_protocol_carries_its_operation_where_its_own_documentation_says() {
    let call = |method: Method, uri: &str, service: &str, target: Option<&'static str>, body: &str| {
        let mut headers = HeaderMap::new();
        let scope = format!("AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/{service}/aws4_request, Signature=0");
        headers.insert("authorization", scope.parse().unwrap());
        if let Some(target) = target {
            headers.insert("x-amz-target", http::HeaderValue::from_static(target));
        }
        let call = Call::of(&method, &uri.parse().unwrap(), &headers, body.as_bytes());
        (call.to_string(), call.writes)
    };
    let write = |text: &str| (text.to_owned(), true);
    let read = |text: &str| (text.to_owned(), false);
    assert_eq!(call(Method::PUT, "/b?versioning", "s3", None, ""), write("s3.PutBucketVersioning"));
    assert_eq!(call(Method::PUT, "/b", "s3", None, ""), write("s3.CreateBucket"));
    assert_eq!(call(Method::HEAD, "/b/", "s3", None, ""), read("s3.HeadBucket"));
    assert_eq!(call(Method::PUT, "/b/packages/p.zip", "s3", None, ""), write("s3.PutObject:packages"));
    assert_eq!(call(Method::POST, "/b?delete", "s3", None, ""), write("s3.DeleteObjects"));
    assert_eq!(
        call(Method::PUT, "/team-state/lakes/local/state.json", "s3", None, "{}"),
        write("state.PutObject:base")
    );
    assert_eq!(call(Method::GET, "/team-state/lakes/local/lock", "s3", None, ""), read("state.GetObject:lock"));
    assert_eq!(call(Method::POST, "/2015-03-31/functions", "lambda", None, "{}"), write("lambda.CreateFunction"));
    assert_eq!(
        call(Method::DELETE, "/2015-03-31/functions/f/policy/s", "lambda", None, ""),
        write("lambda.RemovePermission")
    );
    assert_eq!(call(Method::POST, "/", "glue", Some("AWSGlue.GetDatabase"), "{}"), read("glue.GetDatabase"));
    assert_eq!(call(Method::POST, "/", "iam", None, "Action=CreateRole&RoleName=r"), write("iam.CreateRole"));
    assert_eq!(
        call(Method::POST, "/service/GraniteServiceVersion20100801/operation/PutMetricAlarm", "monitoring", None, ""),
        write("monitoring.PutMetricAlarm")
    );
}
