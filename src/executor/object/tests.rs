//! The rim against a small S3 over real HTTP, with the real SDK.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    io::Read,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
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
    dataset::{Column, ColumnType, Dataset, Partition},
    executor::{Conversion, Input, Origin, Progress, Sink, Source, convert},
};

/// Names of a dataset without partitions.
struct Keys;

impl OutputKeys for Keys {
    fn data(&self, _: &Partition, _: u32) -> String {
        "data.parquet".to_owned()
    }

    fn rejects(&self) -> String {
        "rejects.parquet".to_owned()
    }
}

/// What the small S3 holds.
#[derive(Default)]
struct Bucket {
    objects: HashMap<String, Object>,
    uploads: HashMap<String, OpenUpload>,
    /// Bytes after which each body of a GET breaks off.
    breaks_after: Option<usize>,
    /// Bodies that begin here or later never come.
    hangs_from: Option<usize>,
    /// Bodies that do not come, and somebody waits for.
    hanging: Arc<AtomicUsize>,
    /// Ranges are not known: the answer is the whole object.
    ignores_ranges: bool,
    /// GETs after which the object is another one.
    changes_after: Option<usize>,
    /// Bytes that are left out at the end of each range.
    short_by: usize,
    gets: usize,
    /// What was asked for, in order.
    ranges: Vec<Option<String>>,
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
    let size = object.bytes.len();
    let asked = range.clone().filter(|_| !bucket.ignores_ranges);
    let (begin, end) = match &asked {
        None => (0, size),
        Some(range) => {
            let (begin, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
            let end = if last.is_empty() { size } else { last.parse::<usize>().unwrap() + 1 };
            let begin: usize = begin.parse().unwrap();
            let end = end.min(size);
            (begin, if end - begin > 2 * bucket.short_by { end - bucket.short_by } else { end })
        }
    };
    let bytes = object.bytes.slice(begin..end);
    let mut response = Response::builder()
        .status(if asked.is_some() { 206 } else { 200 })
        .header("etag", &object.etag)
        .header("content-length", bytes.len());
    if asked.is_some() {
        response = response.header("content-range", format!("bytes {begin}-{}/{size}", end - 1));
    }
    for (name, value) in &object.metadata {
        response = response.header(format!("x-amz-meta-{name}"), value);
    }
    if *method == Method::HEAD {
        return response
            .body(BodyExt::boxed_unsync(http_body_util::Empty::new().map_err(|never: Infallible| match never {})))
            .unwrap();
    }
    bucket.gets += 1;
    bucket.ranges.push(range);
    if bucket.changes_after == Some(bucket.gets) {
        bucket.objects.get_mut(key).unwrap().etag = "\"changed\"".to_owned();
    }
    if bucket.hangs_from.is_some_and(|from| begin >= from) {
        let guard = Hanging::new(&bucket.hanging);
        let never = stream::pending().map(move |never: Infallible| {
            let _ = &guard;
            match never {}
        });
        return response.body(BodyExt::boxed_unsync(StreamBody::new(never))).unwrap();
    }
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

/// Counts itself while it is there.
struct Hanging(Arc<AtomicUsize>);

impl Hanging {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Hanging(Arc::clone(count))
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits until that is so.
async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came to that: {what}");
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

/// Bytes of which no two ranges are the same.
fn numbered(length: usize) -> Vec<u8> {
    (0..length.div_ceil(4) as u32).flat_map(u32::to_le_bytes).take(length).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_large_object_is_read_in_ranges_and_comes_in_order() {
    let (client, shared) = small_s3().await;
    let bytes = numbered(3_000_001);
    put(&shared, "a.csv", &bytes, "\"one\"");
    let source = ObjectSource::current(client, "bucket", "a.csv").await.unwrap().in_ranges(70_000);
    assert!(read_all(source).await.unwrap() == bytes);
    let mut ranges: Vec<String> = shared.lock().unwrap().ranges.iter().map(|range| range.clone().unwrap()).collect();
    assert_eq!(ranges.len(), 43);
    assert_eq!((ranges[0].as_str(), ranges[1].as_str()), ("bytes=0-69999", "bytes=70000-139999"));
    ranges.sort();
    ranges.dedup();
    assert_eq!(ranges.len(), 43, "none is fetched twice");
    assert!(ranges.contains(&"bytes=2940000-3000000".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_range_that_breaks_off_or_is_cut_short_is_taken_up_where_it_broke() {
    for (breaks_after, short_by) in [(Some(40_000), 0), (None, 25_000)] {
        let (client, shared) = small_s3().await;
        let bytes = numbered(200_000);
        put(&shared, "a.csv", &bytes, "\"one\"");
        shared.lock().unwrap().breaks_after = breaks_after;
        shared.lock().unwrap().short_by = short_by;
        let source = ObjectSource::current(client, "bucket", "a.csv").await.unwrap().in_ranges(65_000);
        assert!(read_all(source).await.unwrap() == bytes);
        assert!(shared.lock().unwrap().gets > 4);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_body_without_a_byte_is_taken_up_so_many_times_and_no_more() {
    let (client, shared) = small_s3().await;
    put(&shared, "a.csv", &numbered(10_000), "\"one\"");
    shared.lock().unwrap().breaks_after = Some(0);
    let source = ObjectSource::current(client, "bucket", "a.csv").await.unwrap().in_ranges(5000);
    let error = read_all(source).await.unwrap_err();
    assert!(error.to_string().contains("at byte 0"), "{error}");
    assert_eq!(shared.lock().unwrap().gets, 1 + RESUMES_MAX as usize);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_object_that_changes_between_two_ranges_is_noticed() {
    let (client, shared) = small_s3().await;
    put(&shared, "a.csv", &numbered(100_000), "\"one\"");
    shared.lock().unwrap().changes_after = Some(2);
    let source = ObjectSource::current(client, "bucket", "a.csv").await.unwrap().in_ranges(30_000);
    let error = read_all(source).await.unwrap_err();
    assert!(matches!(ObjectError::of(&error), Some(ObjectError::Changed { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_server_that_does_not_know_ranges_is_read_as_one_body_even_where_it_breaks() {
    for breaks_after in [None, Some(90_000)] {
        let (client, shared) = small_s3().await;
        let bytes = numbered(100_000);
        put(&shared, "a.csv", &bytes, "\"one\"");
        shared.lock().unwrap().ignores_ranges = true;
        shared.lock().unwrap().breaks_after = breaks_after;
        let source = ObjectSource::current(client, "bucket", "a.csv").await.unwrap().in_ranges(30_000);
        match breaks_after {
            None => assert!(read_all(source).await.unwrap() == bytes),
            // Each answer begins at the beginning and breaks at the same byte: there is no getting past it.
            Some(at) => {
                let error = read_all(source).await.unwrap_err();
                assert!(error.to_string().contains(&format!("at byte {at}")), "{error}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn whoever_looks_at_the_beginning_alone_fetches_one_range() {
    let (client, shared) = small_s3().await;
    put(&shared, "a.csv", &numbered(500_000), "\"one\"");
    let source = ObjectSource::current(client, "bucket", "a.csv").await.unwrap().in_ranges(100_000);
    let look = move || source.open().unwrap().read_exact(&mut [0; 50_000]).unwrap();
    tokio::task::spawn_blocking(look).await.unwrap();
    assert_eq!(shared.lock().unwrap().ranges, [Some("bytes=0-99999".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ranges_are_fetched_at_once_and_all_stop_when_the_reader_is_dropped() {
    let (client, shared) = small_s3().await;
    let begin = READ_BEFORE_AHEAD_BYTES as usize;
    put(&shared, "a.csv", &numbered(2 * begin), "\"one\"");
    shared.lock().unwrap().hangs_from = Some(begin);
    let hanging = Arc::clone(&shared.lock().unwrap().hanging);
    let source = ObjectSource::current(client, "bucket", "a.csv").await.unwrap().in_ranges(128 * 1024);
    let enough = Arc::new(AtomicBool::new(false));
    let until_enough = Arc::clone(&enough);
    let reading = tokio::task::spawn_blocking(move || {
        let mut reader = source.open().unwrap();
        reader.read_exact(&mut vec![0; begin]).unwrap();
        let mut interrupted = 0;
        while !until_enough.load(Ordering::SeqCst) {
            let error = reader.read(&mut [0; 1]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Interrupted, "a read that waits says so from time to time");
            interrupted += 1;
        }
        interrupted
    });
    until("all are on their way", || hanging.load(Ordering::SeqCst) == RANGES_IN_FLIGHT).await;
    enough.store(true, Ordering::SeqCst);
    assert!(reading.await.unwrap() > 0);
    until("none is on its way", || hanging.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_run_that_is_cancelled_does_not_wait_for_an_object_that_does_not_come() {
    let (client, shared) = small_s3().await;
    put(&shared, "a.csv", b"a\n1\n", "\"one\"");
    shared.lock().unwrap().hangs_from = Some(0);
    let hanging = Arc::clone(&shared.lock().unwrap().hanging);
    let source = ObjectSource::current(client, "bucket", "a.csv").await.unwrap();
    let progress = Arc::new(Progress::new());
    let of_run = Arc::clone(&progress);
    let run = tokio::task::spawn_blocking(move || {
        crate::executor::infer(&source, &crate::dataset::CsvOptions::default(), false, &of_run)
    });
    until("it is on its way", || hanging.load(Ordering::SeqCst) == 1).await;
    progress.cancel();
    assert!(matches!(run.await.unwrap(), Err(crate::executor::Error::Cancelled)));
    until("it is not any more", || hanging.load(Ordering::SeqCst) == 0).await;
}

async fn upload(client: &Client, bytes: Vec<u8>) -> PendingUpload {
    let handle = tokio::runtime::Handle::current();
    let metadata = HashMap::from([("lake-run".to_owned(), "r1".to_owned())]);
    let mut sink = ObjectSink::new(client.clone(), handle, "bucket", Keys, metadata);
    let write = move || {
        let mut output = sink.data(&Partition::default(), 0).unwrap();
        io::Write::write_all(&mut output, &bytes).unwrap();
        output.finish_parts().unwrap().into_pending()
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
    let mut sink = ObjectSink::new(client, handle, "bucket", Keys, HashMap::new());
    tokio::task::spawn_blocking(move || drop(sink.rejects().unwrap())).await.unwrap();
    until("the upload is gone", || shared.lock().unwrap().uploads.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_upload_that_is_dropped_with_parts_on_their_way_is_aborted() {
    let (client, shared) = small_s3().await;
    let handle = tokio::runtime::Handle::current();
    let mut sink = ObjectSink::new(client, handle, "bucket", Keys, HashMap::new());
    let write = move || {
        let mut output = sink.data(&Partition::default(), 0).unwrap();
        io::Write::write_all(&mut output, &vec![7; PART_BYTES * 3]).unwrap();
    };
    tokio::task::spawn_blocking(write).await.unwrap();
    until("the upload is gone", || shared.lock().unwrap().uploads.is_empty()).await;
    assert!(shared.lock().unwrap().objects.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_object_is_converted_into_objects() {
    let (client, shared) = small_s3().await;
    put(&shared, "in.csv", b"a,b\n1,x\nbad,y\n2,z\n", "\"one\"");
    shared.lock().unwrap().breaks_after = Some(9);
    let source = ObjectSource::current(client.clone(), "bucket", "in.csv").await.unwrap();
    let handle = tokio::runtime::Handle::current();
    let mut sink = ObjectSink::new(client.clone(), handle, "bucket", Keys, HashMap::new());
    let work = move || {
        let dataset = Dataset::new("t", "t/");
        let columns =
            [Column { name: "a".into(), ty: ColumnType::Int64 }, Column { name: "b".into(), ty: ColumnType::String }];
        let origin = Origin { uri: source.name().to_owned(), etag: Some(source.etag().to_owned()) };
        let input = Input { source: &source, origin, dialect: None };
        let conversion = Conversion::of(&dataset, &columns, None);
        let mut converted = convert(&[input], &conversion, &mut sink, &Progress::new()).unwrap();
        assert_eq!((converted.report.kept, converted.report.rejected), (2, 1));
        [converted.data.pop().map(|file| file.output), converted.rejects].map(|upload| upload.unwrap().into_pending())
    };
    let uploads = tokio::task::spawn_blocking(work).await.unwrap();
    for upload in &uploads {
        complete(&client, "bucket", upload).await.unwrap();
    }
    let objects = shared.lock().unwrap().objects.clone();
    for (key, rows) in [("data.parquet", 2), ("rejects.parquet", 1)] {
        let batches = crate::executor::parquet::rows(objects[key].bytes.clone(), 10).unwrap();
        assert_eq!(batches.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>(), rows, "{key}");
    }
}
