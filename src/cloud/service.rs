//! What a service of the embedded cloud is, seen from the gateway. (S3 is apart: `s3s` speaks its protocol.)

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};

use super::error::ApiError;

/// The one account of an embedded cloud.
pub const ACCOUNT_ID: &str = "000000000000";

/// A signed request whose signature has been checked, with its whole body.
#[derive(Debug)]
pub struct Call {
    /// Who signed it.
    pub caller: Caller,
    /// Region of the signature's scope.
    pub region: String,
    /// Id that answers and log lines carry.
    pub request_id: String,
    /// HTTP method.
    pub method: Method,
    /// Path and query as sent.
    pub uri: Uri,
    /// Headers as sent.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Whose credentials signed a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// ARN as `sts:GetCallerIdentity` tells it.
    pub arn: String,
    /// Unique id: an access key's user, or `role id:session`.
    pub user_id: String,
}

/// How a service writes requests, answers and errors.
/// <https://smithy.io/2.0/aws/protocols/index.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `Action=…` form bodies, XML answers (IAM, STS).
    Query,
    /// `X-Amz-Target` names the operation, JSON both ways (Glue, CloudWatch Logs).
    Json11,
    /// Path and method name the operation, JSON bodies (Lambda).
    RestJson,
}

/// One service. The gateway turns an `Err` into the protocol's error document.
#[async_trait]
pub trait Service: Send + Sync {
    /// Its name in a signature's scope (`glue`, `iam`, `lambda`, `logs`, `sts`).
    fn scope(&self) -> &'static str;

    /// Its wire protocol.
    fn protocol(&self) -> Protocol;

    /// Answers one call. An operation that is not there is refused with an AWS-shaped error, never ignored.
    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError>;
}
