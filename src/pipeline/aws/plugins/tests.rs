//! Plugins fetched from a bucket in memory, over the real SDK, into the real host.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex as StdMutex,
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
        orchestrator::{HttpRequest, HttpResponse},
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{
    dataset::{Column, ColumnType, Dataset},
    executor::transform::{Precompiled, tests::guests},
    pipeline::{
        aws::Names,
        ports::{Clock, Engine},
    },
};

/// A bucket of artifacts.
#[derive(Debug, Clone, Default)]
struct Bucket(Arc<StdMutex<Content>>);

/// What is in it, and the keys that were asked of it.
#[derive(Debug, Default)]
struct Content {
    objects: HashMap<String, Vec<u8>>,
    asked: Vec<String>,
}

/// Status of what is not there.
const ABSENT: u16 = 404;

impl HttpConnector for Bucket {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let path = request.uri().split('?').next().unwrap_or_default().to_owned();
        let key = path.split_once("/artifacts/").map_or(path.clone(), |(_, key)| key.to_owned());
        let mut bucket = self.0.lock().unwrap();
        bucket.asked.push(key.clone());
        let (status, body) = match bucket.objects.get(&key) {
            Some(body) => (200, body.clone()),
            None => (ABSENT, b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>".to_vec()),
        };
        HttpConnectorFuture::ready(Ok(HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body))))
    }
}

impl Bucket {
    fn with(self, key: &str, bytes: &[u8]) -> Self {
        self.0.lock().unwrap().objects.insert(key.to_owned(), bytes.to_vec());
        self
    }

    fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.clone()
    }

    /// A function of a lake with this bucket.
    fn function(&self) -> Aws {
        let connector = SharedHttpConnector::new(self.clone());
        let credentials = Credentials::new("AKID", "secret", None, None, "test");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-west-1"))
            .endpoint_url("http://127.0.0.1:1")
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(RetryConfig::disabled())
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .build();
        let [lake, stack, raw_bucket, processed_bucket, database, convert_function] =
            ["l", "s", "raw", "processed", "db", "convert"].map(str::to_owned);
        let names = Names { lake, stack, raw_bucket, processed_bucket, database, convert_function };
        Aws::new(&config, names).with_plugins("artifacts")
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn transform(component: &[u8], precompiled: Option<&[u8]>) -> Transform {
    Transform {
        name: "clean".into(),
        component: sha256(component),
        precompiled: precompiled.map(sha256),
        config: BTreeMap::new(),
        memory_mb: 16,
        call_seconds: 60,
    }
}

fn precompiled(component: &[u8]) -> Vec<u8> {
    Precompiled::of("clean", component, ARCHITECTURE).unwrap().bytes
}

async fn open(function: &Aws, transform: &Transform) -> Result<Vec<Column>, EngineError> {
    let dataset = Dataset { transform: Some(transform.clone()), ..Dataset::new("numbers", "in/") };
    function.open(&dataset, &columns(), function.now() + SignedDuration::from_mins(1)).await
}

fn columns() -> Vec<Column> {
    vec![Column { name: "n".into(), ty: ColumnType::Int64 }, Column { name: "s".into(), ty: ColumnType::String }]
}

#[tokio::test]
async fn a_plugin_is_taken_from_its_precompiled_form_and_fetched_once() {
    let component = guests::numbers("n");
    let code = precompiled(&component);
    let transform = transform(&component, Some(&code));
    let key = transform.precompiled_key(ARCHITECTURE).unwrap();
    let bucket = Bucket::default().with(&key, &code);
    let function = bucket.function();
    assert!(bucket.asked().is_empty(), "nothing is loaded before it is needed");
    assert_eq!(open(&function, &transform).await, Ok(columns()));
    assert_eq!(open(&function.clone(), &transform).await, Ok(columns()));
    assert_eq!(bucket.asked(), [key]);
}

#[tokio::test]
async fn without_a_precompiled_form_that_fits_the_component_is_compiled() {
    let component = guests::numbers("n");
    let right = precompiled(&component);
    let others = precompiled(&guests::numbers("m"));
    let sealed_otherwise = [b"x", right.as_slice()].concat();
    for (named, there) in [
        (None, None),
        (Some(&right), None),
        (Some(&right), Some(&others)),
        (Some(&others), Some(&others)),
        (Some(&sealed_otherwise), Some(&sealed_otherwise)),
    ] {
        let transform = transform(&component, named.map(Vec::as_slice));
        let mut bucket = Bucket::default().with(&transform.component_key(), &component);
        if let (Some(key), Some(there)) = (transform.precompiled_key(ARCHITECTURE), there) {
            bucket = bucket.with(&key, there);
        }
        assert_eq!(open(&bucket.function(), &transform).await, Ok(columns()));
        assert_eq!(bucket.asked().last(), Some(&transform.component_key()));
    }
}

#[tokio::test]
async fn a_component_that_is_missing_or_damaged_is_tried_again_and_the_message_says_what_to_do() {
    let component = guests::numbers("n");
    let transform = transform(&component, None);
    let key = transform.component_key();
    for (bucket, wrong) in [
        (Bucket::default(), "is not there"),
        (Bucket::default().with(&key, b"other"), "is damaged"),
        (Bucket::default().with(&key, &component[..component.len() - 1]), "is damaged"),
    ] {
        let function = bucket.function();
        let EngineError::Retriable(message) = open(&function, &transform).await.unwrap_err() else {
            panic!("permanent")
        };
        assert!(message.contains(&format!("s3://artifacts/{key} {wrong}")), "{message}");
        assert!(message.contains("lake apply"), "{message}");
        // What was put there meanwhile is found.
        bucket.with(&key, &component);
        assert_eq!(open(&function, &transform).await, Ok(columns()));
    }
}

#[tokio::test]
async fn what_is_no_transform_parks_by_its_code_and_a_refusal_is_in_the_plugins_words() {
    let text = b"name,age".as_slice();
    let named = transform(text, None);
    let bucket = Bucket::default().with(&named.component_key(), text);
    let EngineError::Input { code, message } = open(&bucket.function(), &named).await.unwrap_err() else {
        panic!("retriable")
    };
    assert_eq!(code, "plugin_unusable");
    assert!(message.contains("clean"), "{message}");
    let refusing = guests::Guest::new(&["n"], &[], &[("n", ColumnType::Int64)]).refusing("no such month").build();
    let named = transform(&refusing, None);
    let bucket = Bucket::default().with(&named.component_key(), &refusing);
    let EngineError::Input { code, message } = open(&bucket.function(), &named).await.unwrap_err() else {
        panic!("retriable")
    };
    assert_eq!(code, "plugin_refused");
    assert!(message.contains("clean") && message.contains("no such month"), "{message}");
}

#[tokio::test]
async fn without_time_left_a_plugin_is_not_blamed() {
    let component = guests::numbers("n");
    let transform = transform(&component, None);
    let function = Bucket::default().with(&transform.component_key(), &component).function();
    let dataset = Dataset { transform: Some(transform), ..Dataset::new("numbers", "in/") };
    let opened = function.open(&dataset, &columns(), Timestamp::UNIX_EPOCH).await;
    assert!(matches!(opened, Err(EngineError::Retriable(_))), "{opened:?}");
}

#[test]
fn an_artifact_that_is_not_what_the_manifest_names_is_refused_by_both_hashes() {
    let right = sha256(b"component");
    assert_eq!(check("s3://a/x.wasm", &right, b"component"), Ok(()));
    let Missing::Unusable(message) = check("s3://a/x.wasm", &right, b"other").unwrap_err() else {
        panic!("asked again")
    };
    assert!(message.contains(&right) && message.contains(&sha256(b"other")), "{message}");
}

#[test]
fn the_plugins_of_the_last_conversions_are_kept() {
    let named = |component: &str| Transform { component: component.into(), ..transform(b"", None) };
    let mut kept = Kept::default();
    for number in 0..PLUGINS_KEPT_MAX {
        kept.put(&named(&number.to_string()), number);
    }
    assert_eq!(kept.get(&named("0")), Some(0));
    kept.put(&named("more"), 99);
    assert_eq!((kept.get(&named("0")), kept.get(&named("1"))), (Some(0), None));
    let renamed = Transform { name: "other".into(), ..named("0") };
    assert_eq!(kept.get(&renamed), None, "errors would call it by another dataset's name");
}
