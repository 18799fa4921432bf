//! Why the gateway lets a request not through. Services name the same refusal differently, so each is put into
//! the dialect's own code. <https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html>

use http::StatusCode;

use super::answer::Dialect;
use crate::cloud::error::ApiError;

/// A request that no service gets to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Another `Host` than a loopback name.
    ForeignHost(String),
    /// No signature at all.
    Unsigned,
    /// A signature that lacks a part or cannot be read; the text says which.
    Incomplete(String),
    /// Credentials of nobody.
    UnknownKey,
    /// Temporary credentials past their time.
    ExpiredToken,
    /// Session token missing, or of other credentials.
    WrongToken,
    /// The signature is not that of the key's secret over this request.
    WrongSignature,
    /// The request's time is too far from ours, or a presigned request is past its time.
    Skewed(String),
    /// A scope whose service is not part of this cloud.
    NoSuchService(String),
    /// More body than the service takes.
    BodyTooLarge {
        /// How much it takes, in bytes.
        limit: usize,
    },
    /// The body ended early.
    BodyBroken(String),
    /// The store failed.
    Internal(String),
}

/// What AWS says of a signature that is not right.
pub(crate) const WRONG_SIGNATURE: &str = "The request signature we calculated does not match the signature you provided. \
                               Check your AWS Secret Access Key and signing method.";

impl Refusal {
    /// The refusal as an error of `dialect`.
    pub(crate) fn in_dialect(self, dialect: Dialect) -> ApiError {
        let error = |status, code: &str, message: String| ApiError::with_status(status, code, message);
        let json_auth = || match dialect {
            Dialect::Json10 | Dialect::Json11 | Dialect::RpcV2Cbor => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        };
        // One code a dialect, in the order S3, Query, JSON.
        let code = |s3: &'static str, query: &'static str, json: &'static str| match dialect {
            Dialect::S3 => s3,
            Dialect::Query => query,
            Dialect::Json10 | Dialect::Json11 | Dialect::RpcV2Cbor | Dialect::RestJson => json,
        };
        match self {
            Refusal::ForeignHost(host) => error(
                StatusCode::FORBIDDEN,
                code("AccessDenied", "AccessDenied", "AccessDeniedException"),
                format!("`{host}` is not a name of this machine's loopback address; call http://127.0.0.1 instead"),
            ),
            Refusal::Unsigned => error(
                json_auth(),
                code("AccessDenied", "MissingAuthenticationToken", "MissingAuthenticationTokenException"),
                "Request is missing Authentication Token: sign it with AWS Signature Version 4".into(),
            ),
            Refusal::Incomplete(what) => error(
                if dialect == Dialect::S3 { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST },
                code("AccessDenied", "IncompleteSignature", "IncompleteSignatureException"),
                what,
            ),
            Refusal::UnknownKey => error(
                json_auth(),
                code("InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"),
                "The security token included in the request is invalid: this cloud has no such access key id".into(),
            ),
            Refusal::ExpiredToken => error(
                if dialect == Dialect::S3 { StatusCode::BAD_REQUEST } else { json_auth() },
                code("ExpiredToken", "ExpiredToken", "ExpiredTokenException"),
                "The security token included in the request is expired".into(),
            ),
            Refusal::WrongToken => error(
                if dialect == Dialect::S3 { StatusCode::BAD_REQUEST } else { json_auth() },
                code("InvalidToken", "InvalidClientTokenId", "UnrecognizedClientException"),
                "The session token does not belong to the access key id".into(),
            ),
            Refusal::WrongSignature => error(
                json_auth(),
                code("SignatureDoesNotMatch", "SignatureDoesNotMatch", "InvalidSignatureException"),
                WRONG_SIGNATURE.into(),
            ),
            Refusal::Skewed(what) => error(
                json_auth(),
                code("RequestTimeTooSkewed", "SignatureDoesNotMatch", "InvalidSignatureException"),
                what,
            ),
            Refusal::NoSuchService(service) => error(
                StatusCode::NOT_IMPLEMENTED,
                "NotImplemented",
                format!("the embedded cloud has no service `{service}`; it has s3, iam, sts, lambda, logs and glue"),
            ),
            Refusal::BodyTooLarge { limit } => error(
                StatusCode::PAYLOAD_TOO_LARGE,
                code("EntityTooLarge", "RequestEntityTooLarge", "RequestTooLargeException"),
                format!("the request's body is larger than {limit} bytes"),
            ),
            Refusal::BodyBroken(what) => error(
                StatusCode::BAD_REQUEST,
                code("IncompleteBody", "MalformedInput", "SerializationException"),
                format!("the request's body could not be read to its end: {what}"),
            ),
            Refusal::Internal(cause) => ApiError::internal(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_its_own_word_for_an_unknown_key() {
        let of = |dialect| Refusal::UnknownKey.in_dialect(dialect);
        assert_eq!(of(Dialect::S3).code, "InvalidAccessKeyId");
        assert_eq!(of(Dialect::Query).code, "InvalidClientTokenId");
        assert_eq!(of(Dialect::Json11).code, "UnrecognizedClientException");
        assert_eq!(of(Dialect::Json11).status, StatusCode::BAD_REQUEST);
        assert_eq!(of(Dialect::RestJson).status, StatusCode::FORBIDDEN);
    }
}
