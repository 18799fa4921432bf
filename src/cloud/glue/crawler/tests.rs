//! A catalog whose objects are in memory and whose events are kept.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue, Method};
use redb::WriteTransaction;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    seams::{ObjectEntry, ObjectPage, OpenObject},
    *,
};
use crate::cloud::{
    delivery::{Destination, Message, Sender},
    glue::{Glue, Neighbours},
    iam::Iam,
    service::{ACCOUNT_ID, Call, Caller, Service},
};

mod crawls;
mod operations;
mod policies;

const ORDERS: &str = "id,price\n1,1.5\n2,2.5\n";
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"glue.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
/// What a crawler's role may do, and no more.
const ALL: &str = r#"{"Version":"2012-10-17","Statement":[
    {"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b"},
    {"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"},
    {"Effect":"Allow","Action":["s3:ListBucket"],"Resource":"arn:aws:s3:::none"},
    {"Effect":"Allow","Action":["glue:GetDatabase","glue:GetTable","glue:CreateTable","glue:UpdateTable","glue:DeleteTable",
        "glue:BatchGetPartition","glue:BatchCreatePartition","glue:BatchUpdatePartition","glue:BatchDeletePartition"],
     "Resource":["arn:aws:glue:*:*:catalog","arn:aws:glue:*:*:database/*","arn:aws:glue:*:*:table/*"]},
    {"Effect":"Allow","Action":["logs:CreateLogGroup","logs:CreateLogStream","logs:PutLogEvents"],
     "Resource":"arn:aws:logs:*:*:log-group:/aws-glue/crawlers:*"}]}"#;
const NO_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// Objects in memory, behind a gate.
pub(in crate::cloud::glue) struct Objects {
    all: Mutex<BTreeMap<(String, String), Vec<u8>>>,
    /// A listing takes a place and gives it back.
    gate: Semaphore,
    arrived: Notify,
    reads: AtomicUsize,
    /// Objects of a page.
    page: usize,
}

impl Default for Objects {
    fn default() -> Objects {
        let (all, arrived, reads) = Default::default();
        Objects { all, gate: Semaphore::new(1), arrived, reads, page: 2 }
    }
}

impl Objects {
    fn put(&self, key: &str, text: &str) {
        self.all.lock().unwrap().insert(("b".into(), key.into()), text.into());
    }

    fn delete(&self, key: &str) {
        self.all.lock().unwrap().remove(&("b".to_owned(), key.to_owned()));
    }

    fn reads(&self) -> usize {
        self.reads.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl ObjectSource for Objects {
    async fn list(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<ObjectPage, ApiError> {
        self.arrived.notify_one();
        let _place = self.gate.acquire().await.unwrap();
        if bucket != "b" {
            return Err(ApiError::with_status(
                http::StatusCode::NOT_FOUND,
                "NoSuchBucket",
                "The specified bucket does not exist",
            ));
        }
        let all = self.all.lock().unwrap();
        let inside =
            all.iter().filter(|((_, key), _)| key.starts_with(prefix) && after.is_none_or(|at| key.as_str() > at));
        let entry = |((_, key), bytes): (&(String, String), &Vec<u8>)| ObjectEntry {
            key: key.clone(),
            size: bytes.len() as u64,
            etag: hex::encode(<md5::Md5 as md5::Digest>::digest(bytes)),
        };
        let mut objects: Vec<ObjectEntry> = inside.take(self.page + 1).map(entry).collect();
        let more = objects.len() > self.page;
        objects.truncate(self.page);
        let next = objects.last().filter(|_| more).map(|object| object.key.clone());
        Ok(ObjectPage { objects, next, bucket_policy: None })
    }

    async fn open(&self, bucket: &str, key: &str, range: Range<u64>) -> Result<OpenObject, ApiError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let all = self.all.lock().unwrap();
        let found = all.get(&(bucket.to_owned(), key.to_owned()));
        let bytes = found.ok_or_else(|| ApiError::client("NoSuchKey", "gone"))?.clone();
        let size = bytes.len() as u64;
        let etag = hex::encode(<md5::Md5 as md5::Digest>::digest(&bytes));
        let range = range.start.min(size) as usize..range.end.min(size) as usize;
        Ok(OpenObject { etag, size, bytes: Box::new(std::io::Cursor::new(bytes[range].to_vec())) })
    }
}

/// A bus that keeps what comes.
#[derive(Default)]
struct Bus {
    events: Mutex<Vec<Value>>,
    woken: Notify,
}

impl Destination for Bus {
    fn accept(&self, _: &WriteTransaction, target: &str, _: &Sender, message: &Message) -> Result<(), ApiError> {
        assert_eq!(target, format!("arn:aws:events:eu-west-1:{ACCOUNT_ID}:event-bus/default"));
        self.events.lock().unwrap().push(serde_json::from_str(&message.body).unwrap());
        Ok(())
    }

    fn wake(&self) {
        self.woken.notify_one();
    }

    fn would_accept(&self, _: &WriteTransaction, _: &str, _: &Sender) -> Result<bool, ApiError> {
        Ok(true)
    }
}

struct World {
    _folder: tempfile::TempDir,
    store: Arc<Store>,
    objects: Arc<Objects>,
    bus: Arc<Bus>,
    sink: LogSink,
    exchange: Arc<Exchange>,
    glue: Arc<Glue>,
}

fn call(headers: HeaderMap, body: String) -> Call {
    Call {
        caller: Caller { arn: format!("arn:aws:iam::{ACCOUNT_ID}:root"), user_id: ACCOUNT_ID.into() },
        region: "eu-west-1".into(),
        request_id: "request-1".into(),
        method: Method::POST,
        uri: "/".parse().unwrap(),
        headers,
        body: body.into(),
    }
}

fn glue_call(operation: &str, input: &Value) -> Call {
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-target", HeaderValue::from_str(&format!("AWSGlue.{operation}")).unwrap());
    call(headers, input.to_string())
}

impl World {
    /// With the database `lake` and the role `crawl`, which Glue may assume.
    async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (exchange, objects, bus) = (Exchange::new(), Arc::new(Objects::default()), Arc::new(Bus::default()));
        exchange.enter("events", &(Arc::clone(&bus) as _));
        let sink = LogSink::start(Arc::clone(&store));
        let neighbours =
            Neighbours { exchange: Arc::clone(&exchange), sink: sink.clone(), objects: Arc::clone(&objects) as _ };
        let glue = Glue::start(Arc::clone(&store), neighbours);
        let world = World { _folder: folder, store, objects, bus, sink, exchange, glue };
        world.role("CreateRole", &[("AssumeRolePolicyDocument", TRUST)]).await;
        world.role("PutRolePolicy", &[("PolicyName", "all"), ("PolicyDocument", ALL)]).await;
        world.ask("CreateDatabase", json!({ "DatabaseInput": { "Name": "lake" } })).await.unwrap();
        world.events();
        world
    }

    /// With the crawler `c` over `s3://b/orders/`, its settings changed by `more`.
    async fn with_crawler(more: Value) -> World {
        let world = World::new().await;
        world.ask("CreateCrawler", crawler(more)).await.unwrap();
        world
    }

    async fn role(&self, action: &str, members: &[(&str, &str)]) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([("Action", action), ("Version", "2010-05-08"), ("RoleName", "crawl")]).extend_pairs(members);
        Iam::new(Arc::clone(&self.store)).call(call(HeaderMap::new(), form.finish())).await.unwrap();
    }

    async fn ask(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let answer = self.glue.call(glue_call(operation, &input)).await?;
        Ok(serde_json::from_slice(answer.body()).unwrap())
    }

    async fn refusal(&self, operation: &str, input: Value) -> String {
        self.ask(operation, input).await.unwrap_err().code
    }

    async fn state(&self) -> Value {
        self.ask("GetCrawler", json!({ "Name": "c" })).await.unwrap()["Crawler"].take()
    }

    /// The crawler once it is ready.
    async fn ready(&self) -> Value {
        loop {
            let crawler = self.state().await;
            if crawler["State"] == "READY" {
                return crawler;
            }
            self.bus.woken.notified().await;
        }
    }

    /// Crawls; gives the crawler when it is ready again.
    async fn crawl(&self) -> Value {
        self.ask("StartCrawler", json!({ "Name": "c" })).await.unwrap();
        self.ready().await
    }

    async fn crawled(&self) {
        let crawler = self.crawl().await;
        assert_eq!(crawler["LastCrawl"]["Status"], "SUCCEEDED", "{crawler}");
    }

    async fn table(&self, name: &str) -> Value {
        self.ask("GetTable", json!({ "DatabaseName": "lake", "Name": name })).await.unwrap()["Table"].take()
    }

    async fn tables(&self) -> Vec<String> {
        let tables = self.ask("GetTables", json!({ "DatabaseName": "lake" })).await.unwrap();
        let name = |table: &Value| table["Name"].as_str().unwrap().to_owned();
        tables["TableList"].as_array().unwrap().iter().map(name).collect()
    }

    async fn partitions(&self, table: &str) -> Vec<Value> {
        let input = json!({ "DatabaseName": "lake", "TableName": table });
        self.ask("GetPartitions", input).await.unwrap()["Partitions"].as_array().unwrap().clone()
    }

    /// The events since the last time they were asked for.
    fn events(&self) -> Vec<Value> {
        std::mem::take(&mut *self.bus.events.lock().unwrap())
    }

    /// They, in short.
    fn told(&self) -> Vec<String> {
        let told = |event: Value| {
            let detail = &event["detail"];
            let what =
                ["crawlerName", "databaseName", "tableName"].map(|name| detail[name].as_str().unwrap_or_default());
            let state = detail["state"].as_str().or(detail["typeOfChange"].as_str()).unwrap();
            let what: Vec<_> = what.into_iter().filter(|name| !name.is_empty()).collect();
            format!("{state} {}", what.join("."))
        };
        self.events().into_iter().map(told).collect()
    }
}

fn crawler(more: Value) -> Value {
    let mut input = json!({
        "Name": "c",
        "Role": "crawl",
        "DatabaseName": "lake",
        "Targets": { "S3Targets": [{ "Path": "s3://b/orders/" }] },
    });
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    input
}

fn columns(described: &Value) -> String {
    let columns = described["StorageDescriptor"]["Columns"].as_array().unwrap();
    let told = |column: &Value| format!("{}:{}", column["Name"].as_str().unwrap(), column["Type"].as_str().unwrap());
    columns.iter().map(told).collect::<Vec<_>>().join(" ")
}
