//! The rim against a small S3 over real HTTP, with the real SDK.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    io::Read,
    sync::{Arc, Mutex},
};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;

use super::*;
use crate::{
    dataset::{Column, ColumnType, Dataset},
    executor::{Conversion, Origin, Progress, Sink, Source, convert},
};

/// What the small S3 holds.
#[derive(Default)]
struct Bucket {
    objects: HashMap<String, Object>,
    uploads: HashMap<String, OpenUpload>,
    /// Bytes after which each body of a GET breaks off.
    breaks_after: Option<usize>,
    gets: usize,
}

/// An upload's metadata and its parts.
type OpenUpload = (HashMap<String, String>, BTreeMap<i32, Bytes>);

#[derive(Clone)]
struct Object {
    bytes: Bytes,
    etag: String,
    metadata: HashMap<String, String>,
}

type Shared = Arc<Mutex<Bucket>>;
type Body = UnsyncBoxBody<Bytes, io::Error>;

fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let body = http_body_util::Full::new(body.into()).map_err(|never: Infallible| match never {});
    response.body(BodyExt::boxed_unsync(body)).unwrap()
}

fn refuse(status: u16, code: &str) -> Response<Body> {
    answer(status, &[], format!("<Error><Code>{code}</Code><Message>no</Message></Error>"))
}

fn query(request: &Request<Incoming>, name: &str) -> Option<String> {
    let query = request.uri().query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

async fn serve(request: Request<Incoming>, shared: Shared) -> Result<Response<Body>, Infallible> {
    let key = request.uri().path().trim_start_matches("/bucket/").to_owned();
    let (upload, part) = (query(&request, "uploadId"), query(&request, "partNumber"));
    let begins = query(&request, "uploads").is_some();
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (range, if_match, method) = (header("range"), header("if-match"), request.method().clone());
    let metadata: HashMap<String, String> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| {
            Some((name.as_str().strip_prefix("x-amz-meta-")?.to_owned(), value.to_str().ok()?.to_owned()))
        })
        .collect();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let mut bucket = shared.lock().unwrap();
    Ok(match (method, upload) {
        (Method::POST, None) if begins => {
            let id = format!("upload-{}", bucket.uploads.len());
            bucket.uploads.insert(id.clone(), (metadata, BTreeMap::new()));
            answer(
                200,
                &[],
                format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"),
            )
        }
        (Method::PUT, Some(id)) => match bucket.uploads.get_mut(&id) {
            Some((_, parts)) => {
                parts.insert(part.unwrap().parse().unwrap(), body);
                answer(200, &[("etag", "\"part\"")], "")
            }
            None => refuse(404, "NoSuchUpload"),
        },
        (Method::POST, Some(id)) => match bucket.uploads.remove(&id) {
            Some((metadata, parts)) => {
                let bytes: Vec<u8> = parts.into_values().flatten().collect();
                bucket.objects.insert(key, Object { bytes: bytes.into(), etag: "\"whole\"".into(), metadata });
                answer(200, &[], "<CompleteMultipartUploadResult><ETag>whole</ETag></CompleteMultipartUploadResult>")
            }
            None => refuse(404, "NoSuchUpload"),
        },
        (Method::DELETE, Some(id)) => match bucket.uploads.remove(&id) {
            Some(_) => answer(204, &[], ""),
            None => refuse(404, "NoSuchUpload"),
        },
        (method, _) => read(&mut bucket, &key, &method, range, if_match),
    })
}

fn read(
    bucket: &mut Bucket,
    key: &str,
    method: &Method,
    range: Option<String>,
    if_match: Option<String>,
) -> Response<Body> {
    let Some(object) = bucket.objects.get(key).cloned() else { return refuse(404, "NoSuchKey") };
    if if_match.is_some_and(|etag| etag != object.etag) {
        return refuse(412, "PreconditionFailed");
    }
    let begin: usize =
        range.as_deref().map_or(0, |range| range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap());
    let bytes = object.bytes.slice(begin..);
    let mut response = Response::builder()
        .status(if begin > 0 { 206 } else { 200 })
        .header("etag", &object.etag)
        .header("content-length", bytes.len());
    for (name, value) in &object.metadata {
        response = response.header(format!("x-amz-meta-{name}"), value);
    }
    if *method == Method::HEAD {
        return response
            .body(BodyExt::boxed_unsync(http_body_util::Empty::new().map_err(|never: Infallible| match never {})))
            .unwrap();
    }
    bucket.gets += 1;
    let length = bucket.breaks_after.unwrap_or(bytes.len()).min(bytes.len());
    let broken = length < bytes.len();
    let data = stream::iter([Ok(Frame::data(bytes.slice(..length)))]);
    let end = stream::iter(broken.then_some(())).then(|()| async {
        tokio::task::yield_now().await; // lets the server flush what it has
        Err(io::Error::other("cable pulled"))
    });
    let body: Body = BodyExt::boxed_unsync(StreamBody::new(data.chain(end)));
    response.body(body).unwrap()
}

/// A client of a small S3, and what that holds.
async fn small_s3() -> (Client, Shared) {
    let shared = Shared::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let of_server = Arc::clone(&shared);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(&of_server);
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request| serve(request, Arc::clone(&shared)));
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("AKID", "secret", None, None, "test"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .build();
    (Client::from_conf(config), shared)
}

fn put(shared: &Shared, key: &str, bytes: &[u8], etag: &str) {
    let object = Object { bytes: Bytes::copy_from_slice(bytes), etag: etag.to_owned(), metadata: HashMap::new() };
    shared.lock().unwrap().objects.insert(key.to_owned(), object);
}

async fn read_all(source: ObjectSource) -> io::Result<Vec<u8>> {
    let read = move || {
        let mut bytes = Vec::new();
        source.open()?.read_to_end(&mut bytes).map(|_| bytes)
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_object_can_be_read_as_often_as_it_is_opened() {
    let (client, shared) = small_s3().await;
    put(&shared, "a.csv", b"a,b\n1,2\n", "\"one\"");
    let source = ObjectSource::current(client, "bucket", "a.csv").await.unwrap();
    assert_eq!((source.len(), source.etag(), source.name()), (Some(8), "\"one\"", "s3://bucket/a.csv"));
    for _ in 0..2 {
        assert_eq!(read_all(source.clone()).await.unwrap(), b"a,b\n1,2\n");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_body_that_breaks_off_is_taken_up_where_it_broke() {
    let (client, shared) = small_s3().await;
    let bytes: Vec<u8> = (0..200u8).collect();
    put(&shared, "a.csv", &bytes, "\"one\"");
    shared.lock().unwrap().breaks_after = Some(90);
    let source = ObjectSource::current(client, "bucket", "a.csv").await.unwrap();
    assert_eq!(read_all(source).await.unwrap(), bytes);
    assert_eq!(shared.lock().unwrap().gets, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_object_that_was_overwritten_or_deleted_is_told_apart() {
    let (client, shared) = small_s3().await;
    put(&shared, "a.csv", b"a\n1\n", "\"one\"");
    let source = ObjectSource::current(client.clone(), "bucket", "a.csv").await.unwrap();
    put(&shared, "a.csv", b"a\n2\n", "\"two\"");
    let error = read_all(source.clone()).await.unwrap_err();
    assert!(matches!(ObjectError::of(&error), Some(ObjectError::Changed { .. })), "{error:?}");
    shared.lock().unwrap().objects.clear();
    let error = crate::executor::Error::Read { name: "a".into(), source: read_all(source).await.unwrap_err() };
    assert!(matches!(ObjectError::of(&error), Some(ObjectError::Gone { .. })), "{error:?}");
    let gone = ObjectSource::current(client, "bucket", "a.csv").await;
    assert!(matches!(gone, Err(ObjectError::Gone { .. })));
}

async fn upload(client: &Client, bytes: Vec<u8>) -> PendingUpload {
    let handle = tokio::runtime::Handle::current();
    let metadata = HashMap::from([("lake-run".to_owned(), "r1".to_owned())]);
    let mut sink = ObjectSink::new(client.clone(), handle, "bucket", "data.parquet", "rejects.parquet", metadata);
    let write = move || {
        let mut output = sink.data().unwrap();
        io::Write::write_all(&mut output, &bytes).unwrap();
        output.finish_parts().unwrap()
    };
    tokio::task::spawn_blocking(write).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_upload_of_several_parts_appears_when_it_is_completed_and_may_be_completed_again() {
    let (client, shared) = small_s3().await;
    let bytes: Vec<u8> = (0..PART_BYTES * 5 + 7).map(|n| (n % 251) as u8).collect();
    let pending = upload(&client, bytes.clone()).await;
    assert_eq!(pending.parts.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(pending.bytes, bytes.len() as u64);
    assert!(shared.lock().unwrap().objects.is_empty());
    let read_back: PendingUpload = serde_json::from_str(&serde_json::to_string(&pending).unwrap()).unwrap();
    complete(&client, "bucket", &read_back).await.unwrap();
    complete(&client, "bucket", &read_back).await.unwrap();
    let object = shared.lock().unwrap().objects["data.parquet"].clone();
    assert!(object.bytes == bytes);
    assert_eq!(object.metadata["lake-run"], "r1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_upload_that_was_aborted_cannot_be_taken_for_completed() {
    let (client, shared) = small_s3().await;
    let pending = upload(&client, b"small".to_vec()).await;
    abort(&client, "bucket", &pending).await.unwrap();
    abort(&client, "bucket", &pending).await.unwrap();
    put(&shared, "data.parquet", b"somebody else's", "\"x\"");
    let lost = complete(&client, "bucket", &pending).await;
    assert!(matches!(lost, Err(ObjectError::UploadLost { .. })), "{lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_upload_that_is_dropped_is_aborted() {
    let (client, shared) = small_s3().await;
    let handle = tokio::runtime::Handle::current();
    let mut sink = ObjectSink::new(client, handle, "bucket", "d", "r", HashMap::new());
    tokio::task::spawn_blocking(move || drop(sink.rejects().unwrap())).await.unwrap();
    for _ in 0..1000 {
        if shared.lock().unwrap().uploads.is_empty() {
            return;
        }
        tokio::task::yield_now().await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("the upload is still open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_object_is_converted_into_objects() {
    let (client, shared) = small_s3().await;
    put(&shared, "in.csv", b"a,b\n1,x\nbad,y\n2,z\n", "\"one\"");
    shared.lock().unwrap().breaks_after = Some(9);
    let source = ObjectSource::current(client.clone(), "bucket", "in.csv").await.unwrap();
    let handle = tokio::runtime::Handle::current();
    let mut sink = ObjectSink::new(client.clone(), handle, "bucket", "data", "rejects", HashMap::new());
    let work = move || {
        let dataset = Dataset::new("t", "t/");
        let columns =
            [Column { name: "a".into(), ty: ColumnType::Int64 }, Column { name: "b".into(), ty: ColumnType::String }];
        let origin = Origin { uri: source.name().to_owned(), etag: Some(source.etag().to_owned()) };
        let conversion = Conversion { dataset: &dataset, columns: &columns, transform: None, origin, dialect: None };
        let converted = convert(&source, &conversion, &mut sink, &Progress::new()).unwrap();
        assert_eq!((converted.report.kept, converted.report.rejected), (2, 1));
        [converted.data, converted.rejects].map(|upload| upload.unwrap().finish_parts().unwrap())
    };
    let uploads = tokio::task::spawn_blocking(work).await.unwrap();
    for upload in &uploads {
        complete(&client, "bucket", upload).await.unwrap();
    }
    let objects = shared.lock().unwrap().objects.clone();
    for (key, rows) in [("data", 2), ("rejects", 1)] {
        let batches = crate::executor::parquet::rows(objects[key].bytes.clone(), 10).unwrap();
        assert_eq!(batches.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), rows, "{key}");
    }
}
