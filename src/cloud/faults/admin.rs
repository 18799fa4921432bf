//! The plan over the wire: a service of the embedded cloud that AWS does not have, and its client. Calls are signed
//! like any other.

use std::{io, sync::Arc};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header::HOST};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpStream;

use super::{Counts, Faults, Plan};
use crate::cloud::{
    authorise::Need,
    error::ApiError,
    json,
    service::{Call, Protocol, Service},
    store::Store,
};

/// Name of the service in signatures.
pub const SCOPE: &str = "lake-faults";

/// The service.
pub struct Admin {
    store: Arc<Store>,
    faults: Arc<Faults>,
}

/// What `Get` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Current {
    /// The plan in force; none when nothing is to go wrong.
    pub plan: Option<Plan>,
    /// What it has done.
    pub counts: Counts,
}

impl Admin {
    /// The service over `faults`.
    pub fn new(store: Arc<Store>, faults: Arc<Faults>) -> Admin {
        Admin { store, faults }
    }
}

#[async_trait]
impl Service for Admin {
    fn scope(&self) -> &'static str {
        SCOPE
    }

    fn protocol(&self, _headers: &HeaderMap) -> Protocol {
        Protocol::Json10
    }

    fn needs(&self, _call: &Call) -> Result<Vec<Need>, ApiError> {
        Ok(vec![Need::new("lake:ManageFaults", "*")])
    }

    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError> {
        match json::operation(&call)? {
            "Get" => {}
            "Set" => {
                let plan: Plan = json::input(&call)?;
                plan.check().map_err(|message| ApiError::client("ValidationException", message))?;
                self.faults.set(&self.store, Some(plan)).await?;
            }
            "Clear" => self.faults.set(&self.store, None).await?,
            other => return Err(json::unknown_operation("fault service", other)),
        }
        let (plan, counts) = self.faults.current().map_or((None, Counts::default()), |(plan, it)| (Some(plan), it));
        json::output(&Current { plan, counts })
    }
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The cloud could not be reached.
    #[error("the embedded cloud cannot be reached: {0}")]
    Connection(#[source] io::Error),
    /// It refuses.
    #[error("{0}")]
    Refused(String),
}

/// Puts `plan` into force in the cloud on `port`, for whom the credentials stand.
pub async fn set(port: u16, credentials: &Credentials, plan: &Plan) -> Result<Current, AdminError> {
    let body = serde_json::to_vec(plan).map_err(|error| AdminError::Connection(error.into()))?;
    call(port, credentials, "Set", body).await
}

/// Ends all faults.
pub async fn clear(port: u16, credentials: &Credentials) -> Result<Current, AdminError> {
    call(port, credentials, "Clear", b"{}".to_vec()).await
}

/// The plan in force, and what it has done.
pub async fn read(port: u16, credentials: &Credentials) -> Result<Current, AdminError> {
    call(port, credentials, "Get", b"{}".to_vec()).await
}

async fn call(port: u16, credentials: &Credentials, operation: &str, body: Vec<u8>) -> Result<Current, AdminError> {
    let failed = |error: &dyn std::fmt::Display| AdminError::Connection(io::Error::other(error.to_string()));
    let request = signed(port, credentials, operation, body).map_err(|error| failed(&error))?;
    let stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(AdminError::Connection)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = answer.status();
    let bytes = answer.into_body().collect().await.map_err(|error| failed(&error))?.to_bytes();
    connection.abort();
    if status.is_success() {
        return serde_json::from_slice(&bytes).map_err(|error| failed(&error));
    }
    let error: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let message = error["message"].as_str().unwrap_or("no reason was given");
    Err(AdminError::Refused(message.to_owned()))
}

fn signed(
    port: u16,
    credentials: &Credentials,
    operation: &str,
    body: Vec<u8>,
) -> Result<Request<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let host = format!("127.0.0.1:{port}");
    let mut request = Request::post("/")
        .header(HOST, HeaderValue::from_str(&host)?)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", format!("LakeFaults.{operation}"))
        .body(Full::new(Bytes::from(body.clone())))?;
    let identity: Identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name(SCOPE)
        .time(std::time::SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let signable = SignableRequest::new("POST", format!("http://{host}/"), headers, SignableBody::Bytes(&body))?;
    let (instructions, _) = sign(signable, &parameters)?.into_parts();
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::{
        faults::RequestFaults,
        server::{Options, Server},
    };

    fn root(server: &Server) -> Credentials {
        let key = server.root_credentials();
        Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "root")
    }

    fn glue(server: &Server) -> aws_sdk_glue::Client {
        aws_sdk_glue::Client::from_conf(
            aws_sdk_glue::Config::builder()
                .behavior_version(aws_sdk_glue::config::BehaviorVersion::latest())
                .endpoint_url(server.endpoint())
                .region(aws_sdk_glue::config::Region::new("eu-west-1"))
                .credentials_provider(root(server))
                .retry_config(aws_sdk_glue::config::retry::RetryConfig::disabled())
                .build(),
        )
    }

    async fn create(glue: &aws_sdk_glue::Client, name: &str) -> bool {
        let input = aws_sdk_glue::types::DatabaseInput::builder().name(name).build().unwrap();
        glue.create_database().database_input(input).send().await.is_ok()
    }

    #[tokio::test]
    async fn requests_fail_before_their_effect_or_lose_their_answer_after_it_as_the_plan_says() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(Options { folder: folder.path().to_owned(), port: None, iam: true, smtp: None })
            .await
            .unwrap();
        let (root, glue) = (root(&server), glue(&server));
        let requests = RequestFaults { everyone: true, services: vec!["glue".into()], ..RequestFaults::default() };
        let with = |requests: RequestFaults| Plan { requests, ..Plan::default() };

        set(server.port(), &root, &with(RequestFaults { fail: 1.0, ..requests.clone() })).await.unwrap();
        assert!(!create(&glue, "failed").await);
        set(server.port(), &root, &with(RequestFaults { lose_answer: 1.0, ..requests })).await.unwrap();
        assert!(!create(&glue, "unanswered").await);
        let current = read(server.port(), &root).await.unwrap();
        assert_eq!((current.counts.failed, current.counts.answers_lost), (0, 1), "counted since the plan was set");
        assert_eq!(clear(server.port(), &root).await.unwrap().plan, None);

        assert!(create(&glue, "failed").await, "it had no effect");
        assert!(!create(&glue, "unanswered").await, "it is there already");
        server.shutdown().await;
    }

    #[tokio::test]
    async fn a_plan_with_an_impossible_share_is_refused_and_so_is_a_stranger() {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(Options { folder: folder.path().to_owned(), port: None, iam: true, smtp: None })
            .await
            .unwrap();
        let plan = Plan { requests: RequestFaults { fail: 2.0, ..RequestFaults::default() }, ..Plan::default() };
        let refused = set(server.port(), &root(&server), &plan).await.unwrap_err();
        assert!(refused.to_string().contains("requests.fail is 2"), "{refused}");
        let stranger = Credentials::new("AKIAIOSFODNN7EXAMPLE", "secret", None, None, "nobody");
        assert!(matches!(read(server.port(), &stranger).await, Err(AdminError::Refused(_))));
        server.shutdown().await;
    }
}
