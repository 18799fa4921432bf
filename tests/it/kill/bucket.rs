//! State that lies in a bucket of the same cloud: its calls to S3 pass the proxy like all others, by names of their own.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_s3::{
    Client,
    types::{BucketLocationConstraint, CreateBucketConfiguration},
};
use http::Method;
use lake::state::store::{S3, Store};
use serde_json::Value;

use super::stand::REGION;

/// The bucket. It belongs to no lake.
pub const BUCKET: &str = "team-state";
/// What the stack's section says.
pub const STATE: &str = "state = \"s3://team-state/lakes\"";
/// Where the stack's state is in it.
const FOLDER: &str = "lakes/local";

/// States in the history of a stack that has had many: as many as are kept, so that the next one pushes the oldest out.
const STATES: u64 = 51;

/// A process number that none has: Linux has at most 2^22
/// (<https://man7.org/linux/man-pages/man5/proc_sys_kernel.5.html>). One that was a process's own comes again.
const NOBODY: u64 = i32::MAX as u64;

/// How the holder of a lock says that it lives, when a command takes long.
pub const HEARTBEAT: &str = "state.PutObject:heartbeat";

/// All that state asks of its bucket besides, whatever the command.
pub const OPERATIONS: [&str; 17] = [
    "state.CopyObject:history",
    "state.DeleteObjects:history",
    "state.DeleteObjects:journal",
    "state.GetObject:base",
    "state.GetObject:group",
    "state.GetObject:header",
    "state.GetObject:history",
    "state.GetObject:lock",
    "state.ListObjects:history",
    "state.ListObjects:journal",
    "state.PutObject:base",
    "state.PutObject:fence",
    "state.PutObject:free-lock",
    "state.PutObject:group",
    "state.PutObject:header",
    "state.PutObject:held-lock",
    "state.PutObject:seal",
];

/// What is asked of the bucket, and of which of its objects.
pub fn operation(method: &Method, key: &str, query: &str, is_copy: bool, body: &[u8]) -> String {
    let folder = format!("{FOLDER}/");
    let asked = |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(it, _)| it == name).map(|(_, it)| it);
    let body = String::from_utf8_lossy(body);
    if key.is_empty() {
        let what = match *method {
            Method::POST => "DeleteObjects",
            Method::GET => "ListObjects",
            _ => return format!("{method} of the bucket"),
        };
        let about = asked("prefix").unwrap_or(body);
        let is_of = |part: &&str| about.contains(&format!("{folder}{part}/"));
        return format!("{what}:{}", ["journal", "history"].into_iter().find(is_of).unwrap_or("other"));
    }
    let name = key.strip_prefix(&folder).unwrap_or(key);
    let verb = match *method {
        Method::PUT if is_copy => "CopyObject",
        Method::PUT => "PutObject",
        Method::GET => "GetObject",
        _ => return format!("{method}:{name}"),
    };
    let written = *method == Method::PUT;
    let object = match name.split('/').next().unwrap_or_default() {
        "state.json" => "base",
        "lock" if !written => "lock",
        "lock" if body.contains("\"free\"") => "free-lock",
        "lock" if body.contains("\"heartbeat\"") => "heartbeat",
        "lock" => "held-lock",
        "journal" if name.ends_with("/00000000") => "header",
        "journal" if !written => "group",
        "journal" if body.is_empty() => "fence",
        "journal" if body == "sealed\n" => "seal",
        "journal" => "group",
        "history" => "history",
        other => other,
    };
    format!("{verb}:{object}")
}

fn client(sdk: &SdkConfig) -> Client {
    Client::from_conf(aws_sdk_s3::config::Builder::from(sdk).force_path_style(true).build())
}

/// Makes the bucket.
pub async fn make(sdk: &SdkConfig) {
    let constraint = BucketLocationConstraint::from(REGION);
    let configuration = CreateBucketConfiguration::builder().location_constraint(constraint).build();
    client(sdk).create_bucket().bucket(BUCKET).create_bucket_configuration(configuration).send().await.unwrap();
}

async fn lock(sdk: &SdkConfig) -> Option<Value> {
    let got = client(sdk).get_object().bucket(BUCKET).key(format!("{FOLDER}/lock")).send().await.ok()?;
    Some(serde_json::from_slice(&got.body.collect().await.unwrap().into_bytes()).unwrap())
}

/// Whether somebody has the lock, alive or not.
pub async fn is_held(sdk: &SdkConfig) -> bool {
    lock(sdk).await.is_some_and(|lock| lock.get("held").is_some())
}

/// Whoever has the lock is nobody's process from now on, however many processes come and go.
pub async fn bury_holder(sdk: &SdkConfig) {
    let mut lock = lock(sdk).await.unwrap();
    let held = lock.get_mut("held").unwrap_or_else(|| panic!("nobody has the lock"));
    held["pid"] = NOBODY.into();
    let put = client(sdk).put_object().bucket(BUCKET).key(format!("{FOLDER}/lock"));
    put.body(serde_json::to_vec(&lock).unwrap().into()).send().await.unwrap();
}

/// Fills the history, with the state as it is.
pub async fn fill_history(sdk: &SdkConfig) {
    let store = Store::new(S3::new(client(sdk), BUCKET, FOLDER));
    let lock = store.lock("fill").await.unwrap();
    let mut snapshot = store.load().await.unwrap().unwrap().snapshot;
    for _ in 0..STATES {
        snapshot.serial += 1;
        store.create(&lock, &snapshot).await.unwrap();
    }
    assert!(store.history().await.unwrap().len() < STATES as usize, "none was pushed out");
    lock.release().await.unwrap();
}

/// Which of [`OPERATIONS`] are not among these.
pub fn missing(calls: &BTreeSet<String>) -> Vec<&'static str> {
    OPERATIONS.into_iter().filter(|operation| !calls.contains(*operation)).collect()
}

#[test]
fn what_state_asks_of_its_bucket_is_told_apart_by_the_object_and_by_what_is_written() {
    let of =
        |method: Method, key: &str, query: &str, body: &str| operation(&method, key, query, false, body.as_bytes());
    let put = |name: &str, body: &str| of(Method::PUT, &format!("{FOLDER}/{name}"), "x-id=PutObject", body);
    assert_eq!(put("lock", r#"{"held":{"id":"0"}}"#), "PutObject:held-lock");
    assert_eq!(put("lock", r#"{"held":{"id":"0","heartbeat":"2030-01-01T00:00:00Z"}}"#), "PutObject:heartbeat");
    assert_eq!(put("lock", r#"{"free":{"fence":1}}"#), "PutObject:free-lock");
    assert_eq!(put("journal/0000000001-ab/00000000", "{}"), "PutObject:header");
    assert_eq!(put("journal/0000000001-ab/00000001", "{}"), "PutObject:group");
    assert_eq!(put("journal/0000000001-ab/00000002", ""), "PutObject:fence");
    assert_eq!(put("journal/0000000001-ab/00000003", "sealed\n"), "PutObject:seal");
    assert_eq!(put("state.json", "{}"), "PutObject:base");
    let copied = operation(&Method::PUT, "lakes/local/history/0000000001.json", "", true, b"");
    assert_eq!(copied, "CopyObject:history");
    let listed = of(Method::GET, "", "list-type=2&prefix=lakes%2Flocal%2Fjournal%2F0000000001-ab%2F", "");
    assert_eq!(listed, "ListObjects:journal");
    let deleted = of(Method::POST, "", "delete=", "<Key>lakes/local/history/0000000001.json</Key>");
    assert_eq!(deleted, "DeleteObjects:history");
}
