//! Who gets in.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::cloud::server::ServerError;

async fn raw(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_wrong_secret_and_an_unknown_key_are_refused() {
    let cloud = Cloud::start().await;
    let root = cloud.server.root_credentials();
    let wrong = Credentials::new(&root.access_key_id, "wrong", None, None, "test");
    let refused = client(&cloud.server.endpoint(), wrong).list_buckets().send().await;
    let told = refused.as_ref().err().and_then(ProvideErrorMetadata::message).unwrap_or_default().to_owned();
    assert!(told.contains("does not match"), "{told}");
    assert_eq!(code(refused), error("SignatureDoesNotMatch", 403));
    let unknown = Credentials::new("AKIAUNKNOWNUNKNOWN00", "wrong", None, None, "test");
    let refused = client(&cloud.server.endpoint(), unknown).list_buckets().send().await;
    assert_eq!(code(refused), error("InvalidAccessKeyId", 403));
}

#[tokio::test]
async fn temporary_credentials_work_with_their_token_alone() {
    use crate::cloud::{credentials, service::Caller};
    let cloud = Cloud::start().await;
    let caller = Caller { arn: "arn:aws:iam::000000000000:root".into(), user_id: "000000000000".into() };
    let key = cloud.server.store().write(|tx| credentials::issue(tx, caller, std::time::Duration::from_secs(900)));
    let key = key.unwrap();
    let with = |token: Option<String>| {
        let credentials = Credentials::new(&key.access_key_id, &key.secret_access_key, token, None, "test");
        client(&cloud.server.endpoint(), credentials).list_buckets().send()
    };
    with(key.session_token.clone()).await.unwrap();
    assert_eq!(code(with(None).await), error("InvalidToken", 400));
    assert_eq!(code(with(Some("other".into())).await), error("InvalidToken", 400));
}

#[tokio::test]
async fn expired_credentials_are_refused() {
    use crate::cloud::{credentials, service::Caller};
    let cloud = Cloud::start().await;
    let caller = Caller { arn: "a".into(), user_id: "u".into() };
    let key = cloud.server.store().write(|tx| credentials::issue(tx, caller, std::time::Duration::ZERO)).unwrap();
    let credentials =
        Credentials::new(&key.access_key_id, &key.secret_access_key, key.session_token.clone(), None, "test");
    let refused = client(&cloud.server.endpoint(), credentials).list_buckets().send().await;
    assert_eq!(code(refused), error("ExpiredToken", 400));
}

#[tokio::test]
async fn an_unsigned_request_and_a_foreign_host_are_refused() {
    let cloud = Cloud::start().await;
    let host = format!("127.0.0.1:{}", cloud.server.port());
    let answer = raw(&cloud.server, &format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("<Code>AccessDenied</Code>"), "{answer}");
    assert!(answer.contains("x-amz-request-id"));
    let answer = raw(&cloud.server, "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("evil.example"), "{answer}");
    let unsigned_json = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Target: AWSGlue.GetTable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let answer = raw(&cloud.server, &unsigned_json).await;
    assert!(answer.contains("MissingAuthenticationTokenException"), "{answer}");
}

#[tokio::test]
async fn a_service_that_is_not_there_is_named() {
    let cloud = Cloud::start().await;
    let root = cloud.server.root_credentials();
    let config = aws_sdk_glue::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(cloud.server.endpoint())
        .credentials_provider(Credentials::new(&root.access_key_id, &root.secret_access_key, None, None, "test"))
        .build();
    let refused = aws_sdk_glue::Client::from_conf(config).get_databases().send().await;
    let told = refused.as_ref().err().and_then(ProvideErrorMetadata::message).unwrap_or_default().to_owned();
    assert_eq!(code(refused), error("NotImplemented", 501));
    assert!(told.contains("no service `glue`"), "{told}");
}

#[tokio::test]
async fn a_taken_port_and_a_taken_folder_are_told() {
    let cloud = Cloud::start().await;
    let other = tempfile::tempdir().unwrap();
    let port = cloud.server.port();
    let taken =
        Server::start(Options { folder: other.path().to_owned(), port: Some(port), iam: true, smtp: None }).await;
    assert!(matches!(taken, Err(ServerError::PortTaken { port: told }) if told == port));
    let taken =
        Server::start(Options { folder: cloud.folder.path().to_owned(), port: None, iam: true, smtp: None }).await;
    assert!(matches!(taken, Err(ServerError::FolderInUse { .. })));
}

#[tokio::test]
async fn a_shutdown_lets_a_request_under_way_finish() {
    let cloud = Cloud::with_bucket().await;
    let put = tokio::spawn(cloud.put("k", noise(3 << 20)).send());
    while cloud.blob_files() == 0 {
        tokio::task::yield_now().await;
    }
    cloud.server.shutdown().await;
    put.await.unwrap().unwrap();
    let server = start(cloud.folder.path(), &cloud.recorder).await;
    let got = client_of(&server).get_object().bucket("lake-raw").key("k").send().await.unwrap();
    assert_eq!(bytes(got).await, noise(3 << 20));
}
