//! Errors as AWS gives them: a code, a message, an HTTP status. Each protocol writes them its own way
//! (`service::Protocol`).

use http::StatusCode;

/// An error that the caller gets on the wire.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// The service's error code, one of those its model declares for the operation.
    pub code: String,
    /// What a person reads.
    pub message: String,
}

impl ApiError {
    /// An error the caller can mend: 400.
    pub fn client(code: impl Into<String>, message: impl Into<String>) -> Self {
        ApiError { status: StatusCode::BAD_REQUEST, code: code.into(), message: message.into() }
    }

    /// Any other status.
    pub fn with_status(status: StatusCode, code: impl Into<String>, message: impl Into<String>) -> Self {
        ApiError { status, code: code.into(), message: message.into() }
    }

    /// A fault of the cloud itself: 500, which SDKs retry. The cause is logged, not told.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        ApiError::with_status(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalFailure",
            "the embedded cloud failed internally; its server.log says why",
        )
    }
}

impl From<super::store::StoreError> for ApiError {
    fn from(error: super::store::StoreError) -> Self {
        ApiError::internal(error)
    }
}
