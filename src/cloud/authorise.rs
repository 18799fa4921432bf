//! Where authorisation comes in. Every signed request passes [`authorise`] after its signature has been checked
//! and before its service sees it: S3 through `s3s`' access hook, everything else through the gateway.

use super::{error::ApiError, service::Caller};

/// What somebody is about to do, in IAM's terms.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Whose credentials signed the request.
    pub caller: &'a Caller,
    /// Service of the signature's scope (`s3`, `glue`).
    pub service: &'a str,
    /// The operation, where the gateway knows it (`PutObject`, `CreateTable`): IAM's action is
    /// `{service}:{operation}` for most of them. Lambda's is told by method and path, hence by the service.
    pub operation: Option<&'a str>,
    /// ARN of the bucket or object; other services name their resources in the body.
    pub resource: Option<&'a str>,
}

/// Decides whether the attempt may go on. Identity policies are recorded but not evaluated yet: every caller with
/// valid credentials may do everything. An implicit or explicit deny belongs here, as `AccessDenied` with 403.
pub fn authorise(attempt: &Attempt<'_>) -> Result<(), ApiError> {
    tracing::trace!(
        caller = attempt.caller.arn,
        service = attempt.service,
        operation = attempt.operation,
        resource = attempt.resource,
        "authorised"
    );
    Ok(())
}
