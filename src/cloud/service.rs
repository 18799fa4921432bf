//! What a service of the embedded cloud is, seen from the gateway. (S3 is apart: `s3s` speaks its protocol.)

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};

use super::{authorise::Need, error::ApiError};

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
    /// `X-Amz-Target` names the operation, JSON both ways (SQS, CloudWatch).
    Json10,
    /// The same with another media type (Glue, EventBridge, CloudWatch Logs).
    Json11,
    /// Path and method name the operation, JSON bodies (Lambda).
    RestJson,
    /// The path names service and operation, CBOR both ways (CloudWatch, as the Rust SDK speaks to it).
    /// <https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>
    RpcV2Cbor,
}

/// One service. The gateway turns an `Err` into the protocol's error document.
#[async_trait]
pub trait Service: Send + Sync {
    /// Its name in a signature's scope (`glue`, `iam`, `lambda`, `logs`, `sts`).
    fn scope(&self) -> &'static str;

    /// Its wire protocol: of those that it speaks, the one that a request with these headers is written in.
    fn protocol(&self, headers: &HeaderMap) -> Protocol;

    /// What the caller must be allowed before the call is answered, in IAM's terms. Asked after the signature has
    /// been checked; an `Err` (a body that cannot be read, say) is answered as the call's own.
    fn needs(&self, call: &Call) -> Result<Vec<Need>, ApiError>;

    /// Answers one call. An operation that is not there is refused with an AWS-shaped error, never ignored.
    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError>;

    /// Whether a call ends unanswered when its connection breaks: one that waits for what another could have instead.
    /// All others go to their end.
    fn is_given_up_with_its_connection(&self, _call: &Call) -> bool {
        false
    }

    /// Answers a link that carries a token of its own in place of a signature, as mails hold them; `None` when it is
    /// none of this service's. Asked for unsigned `GET` requests of the root alone.
    async fn follow(&self, _link: &Uri, _request_id: &str) -> Option<Result<Response<Bytes>, ApiError>> {
        None
    }
}
