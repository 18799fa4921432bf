//! Whole functions: a bootstrap in Python behind the service's own API.

use std::{
    collections::HashMap,
    io::{Cursor, Write},
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::io::AsyncRead;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::*;
use crate::cloud::{
    logs::Logs,
    service::{ACCOUNT_ID, Caller},
    sqs::Sqs,
};

mod api;
mod async_events;
mod execution;
mod mappings;

const REGION: &str = "eu-west-1";
const ROLE: &str = "arn:aws:iam::000000000000:role/f";
/// How long a test waits for what has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// The interpreter itself: functions have AWS's PATH, not this machine's.
static PYTHON: LazyLock<String> = LazyLock::new(|| {
    let output = std::process::Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let output = output.expect("these tests need python3");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
});

const BOOTSTRAP: &str = r#"
import http.client, json, os, subprocess, sys, time
if os.path.exists("fail-init"):
    print("cannot begin", flush=True)
    sys.exit(4)
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
ROOT = "/2018-06-01/runtime/invocation/"

def wait_for(condition):
    while not condition():
        time.sleep(0.005)

def handle(event, headers):
    do = event.get("do", "echo")
    if do == "echo":
        return {"pid": os.getpid(), "event": event, "env": dict(os.environ), "cwd": os.getcwd(), "headers": headers}
    if do == "fail":
        raise ValueError("no good")
    if do == "print":
        for line in event["lines"]:
            print(line, file=sys.stderr if line.startswith("err") else sys.stdout, flush=True)
        return "printed"
    if do == "exit":
        os._exit(event["code"])
    if do == "hang":
        child = subprocess.Popen(["sleep", "1000"])
        with open(event["file"], "w") as file:
            file.write(f"{os.getpid()} {child.pid}")
        time.sleep(1000)
    if do == "meet":
        open(os.path.join(event["folder"], event["name"]), "w").close()
        wait_for(lambda: len(os.listdir(event["folder"])) >= event["count"])
        return os.getpid()
    if do == "until":
        with open(event["file"], "a") as file:
            file.write(headers["Lambda-Runtime-Aws-Request-Id"] + "\n")
        if len(open(event["file"]).readlines()) < event["tries"]:
            raise ValueError("not yet")
        return "at last"
    if do == "big":
        return "x" * event["bytes"]
    raise KeyError(do)

while True:
    api.request("GET", ROOT + "next")
    response = api.getresponse()
    if response.status != 200:
        sys.exit(1)
    event = json.loads(response.read())
    headers = dict(response.getheaders())
    request_id = headers["Lambda-Runtime-Aws-Request-Id"]
    try:
        kind, body = "/response", handle(event, headers)
    except Exception as error:
        kind, body = "/error", {"errorType": type(error).__name__, "errorMessage": str(error)}
    api.request("POST", ROOT + request_id + kind, json.dumps(body))
    api.getresponse().read()
"#;

struct Issuer(Mutex<u32>);
#[async_trait]
impl CredentialIssuer for Issuer {
    async fn issue(&self, role: &str, session: &str, _: Duration) -> Result<TemporaryCredentials, ApiError> {
        let mut issued = self.0.lock().unwrap();
        *issued += 1;
        Ok(TemporaryCredentials {
            access_key_id: format!("ASIA{issued}"),
            secret_access_key: format!("secret of {role}"),
            session_token: format!("token of {session}"),
        })
    }
}

struct AnyRole;
impl Roles for AnyRole {
    fn assumable(&self, role: &str, _: &str) -> Result<bool, ApiError> {
        Ok(role == ROLE)
    }

    fn may_log(&self, _: &str, _: &str, _: &str, _: &str) -> Result<bool, ApiError> {
        Ok(true)
    }
}

#[derive(Default)]
struct Objects(Mutex<HashMap<String, Vec<u8>>>);
#[async_trait]
impl ObjectReader for Objects {
    async fn open(
        &self,
        bucket: &str,
        key: &str,
        _: Option<&str>,
    ) -> Result<Box<dyn AsyncRead + Send + Unpin>, ApiError> {
        match self.0.lock().unwrap().get(&format!("{bucket}/{key}")) {
            Some(bytes) => Ok(Box::new(Cursor::new(bytes.clone()))),
            None => Err(rest::not_found("The specified key does not exist.")),
        }
    }
}

/// A cloud of Lambda and Logs alone.
struct Fixture {
    folder: Arc<tempfile::TempDir>,
    lambda: Arc<Lambda>,
    logs: Arc<Logs>,
    sink: LogSink,
    objects: Arc<Objects>,
    sqs: Arc<Sqs>,
}

impl Fixture {
    async fn new() -> Fixture {
        Fixture::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Options)) -> Fixture {
        Fixture::open(Arc::new(tempfile::tempdir().unwrap()), change).await
    }

    async fn open(folder: Arc<tempfile::TempDir>, change: impl FnOnce(&mut Options)) -> Fixture {
        let store = Store::open(folder.path()).unwrap();
        let sink = LogSink::start(Arc::clone(&store));
        let objects = Arc::new(Objects::default());
        let (sqs, exchange) =
            (Sqs::start(Arc::clone(&store), "http://sqs", Meter::channel().0).unwrap(), Exchange::new());
        exchange.enter("sqs", &(Arc::clone(&sqs) as _));
        let neighbours = Neighbours {
            credentials: Arc::new(Issuer(Mutex::new(0))),
            roles: Arc::new(AnyRole),
            objects: Arc::clone(&objects) as Arc<dyn ObjectReader>,
            sink: sink.clone(),
            exchange,
            queues: Arc::clone(&sqs) as _,
            meter: Meter::channel().0,
            victims: Arc::default(),
        };
        let mut options = Options::new("http://127.0.0.1:4566");
        options.retry_delays = [Duration::from_millis(20), Duration::from_millis(40)];
        change(&mut options);
        let lambda = Lambda::start(Arc::clone(&store), options, neighbours).await.unwrap();
        Fixture { folder, lambda, logs: Logs::new(store), sink, objects, sqs }
    }

    /// Stops the cloud as SIGTERM does and opens its folder again.
    async fn reopen(self) -> Fixture {
        let folder = Arc::clone(&self.folder);
        let path = folder.path().join("store.redb");
        self.lambda.stop().await;
        drop(self);
        // The database is free once the last task has let go of it.
        until(|| redb::Database::open(&path).is_ok()).await;
        Fixture::open(folder, |options| options.retry_delays = [Duration::from_millis(20); 2]).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> Result<Response<Bytes>, ApiError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let call = Call {
            caller: Caller { arn: "arn:aws:iam::000000000000:root".into(), user_id: "root".into() },
            region: REGION.into(),
            request_id: "id".into(),
            method,
            uri: path.parse().unwrap(),
            headers: map,
            body,
        };
        self.lambda.call(call).await
    }

    async fn json(&self, method: Method, path: &str, body: Value) -> Result<Value, ApiError> {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let response = self.send(method, path, &[], body).await?;
        Ok(if response.body().is_empty() { Value::Null } else { serde_json::from_slice(response.body()).unwrap() })
    }

    /// Lets the functions' role, which IAM does not know here, do everything.
    fn without_iam(&self) {
        crate::cloud::authorise::enforce(&self.lambda.store, false).unwrap();
    }

    /// Calls SQS.
    async fn queue(&self, operation: &str, body: Value) -> Value {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::from_str(&format!("AmazonSQS.{operation}")).unwrap());
        let call = Call {
            caller: Caller { arn: "arn:aws:iam::000000000000:root".into(), user_id: "root".into() },
            region: REGION.into(),
            request_id: "id".into(),
            method: Method::POST,
            uri: "/".parse().unwrap(),
            headers,
            body: body.to_string().into(),
        };
        let response = self.sqs.call(call).await.unwrap();
        assert!(response.status().is_success(), "{response:?}");
        serde_json::from_slice(response.body()).unwrap()
    }

    async fn get(&self, path: &str) -> Result<Value, ApiError> {
        self.json(Method::GET, path, Value::Null).await
    }

    async fn create(&self, name: &str, extra: Value) -> Value {
        let mut body = json!({
            "FunctionName": name, "Role": ROLE, "Runtime": "provided.al2023", "Handler": "bootstrap",
            "Timeout": 10, "Code": { "ZipFile": STANDARD.encode(package("")) },
        });
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        self.json(Method::POST, "/2015-03-31/functions", body).await.unwrap()
    }

    async fn invoke(&self, name: &str, event: Value) -> Result<Response<Bytes>, ApiError> {
        let headers = [("x-amz-log-type", "Tail")];
        self.send(Method::POST, &function(name, "/invocations"), &headers, event.to_string().into()).await
    }

    /// The answer of an invocation that succeeds.
    async fn answer(&self, name: &str, event: Value) -> Value {
        let response = self.invoke(name, event).await.unwrap();
        let failed = response.headers().get("x-amz-function-error");
        assert_eq!(failed, None, "{}", String::from_utf8_lossy(response.body()));
        serde_json::from_slice(response.body()).unwrap()
    }

    /// The error document of an invocation that fails.
    async fn failure(&self, name: &str, event: Value) -> Value {
        let response = self.invoke(name, event).await.unwrap();
        assert_eq!(response.headers()["x-amz-function-error"], "Unhandled");
        serde_json::from_slice(response.body()).unwrap()
    }

    async fn invoke_later(&self, name: &str, event: Value) {
        let headers = [("x-amz-invocation-type", "Event")];
        let path = function(name, "/invocations");
        let response = self.send(Method::POST, &path, &headers, event.to_string().into()).await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
    }

    async fn logs(&self, operation: &str, body: Value) -> Value {
        self.sink.flush().await;
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::from_str(&format!("Logs_20140328.{operation}")).unwrap());
        let call = Call {
            caller: Caller { arn: String::new(), user_id: String::new() },
            region: REGION.into(),
            request_id: "id".into(),
            method: Method::POST,
            uri: "/".parse().unwrap(),
            headers,
            body: body.to_string().into(),
        };
        serde_json::from_slice(self.logs.call(call).await.unwrap().body()).unwrap()
    }

    /// All lines of a group, in order.
    async fn lines(&self, group: &str) -> Vec<String> {
        let events = self.logs("FilterLogEvents", json!({ "logGroupName": group })).await;
        let events = events["events"].as_array().unwrap();
        events.iter().map(|event| event["message"].as_str().unwrap().trim_end().to_owned()).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn function(name: &str, rest: &str) -> String {
    format!("/2015-03-31/functions/{name}{rest}")
}

/// A package with the bootstrap; `mark` makes it another content, and a file of that name.
fn package(mark: &str) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("bootstrap", SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
    write!(writer, "#!{}\n{BOOTSTRAP}", *PYTHON).unwrap();
    if !mark.is_empty() {
        writer.start_file(mark, SimpleFileOptions::default()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A package of another bootstrap.
fn zipped(bootstrap: &str) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("bootstrap", SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
    write!(writer, "#!{}\n{bootstrap}", *PYTHON).unwrap();
    writer.finish().unwrap().into_inner()
}

async fn until(mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "what was waited for did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn lines_of(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn lives(pid: &str) -> bool {
    // A killed child of a killed parent is a zombie until init has reaped it.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
