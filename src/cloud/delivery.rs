//! The doors between services of the embedded cloud: what an event source needs of Lambda, without either
//! knowing the other's tables.

use redb::WriteTransaction;

use super::error::ApiError;

/// Lambda's asynchronous side, as event sources see it.
pub trait AsyncInvoker: Send + Sync {
    /// Puts an event into the function's asynchronous queue as part of `tx`, so that it is lost or kept together
    /// with what caused it. Call [`AsyncInvoker::wake`] after the commit.
    fn enqueue(&self, tx: &WriteTransaction, invocation: AsyncInvocation) -> Result<(), ApiError>;

    /// Tells the dispatcher that a commit may have queued something.
    fn wake(&self);

    /// Whether the function exists and its resource policy lets `source` invoke it.
    fn may_invoke(&self, tx: &WriteTransaction, function_arn: &str, source: &Source) -> Result<bool, ApiError>;
}

/// An event on its way to a function.
#[derive(Debug, Clone)]
pub struct AsyncInvocation {
    /// The function's ARN, with or without a qualifier.
    pub function_arn: String,
    /// The event, as JSON.
    pub payload: Vec<u8>,
}

/// Who wants to invoke: matched against the statements of the function's resource policy.
#[derive(Debug, Clone)]
pub struct Source {
    /// Service principal (`s3.amazonaws.com`).
    pub principal: &'static str,
    /// `AWS:SourceArn`.
    pub arn: String,
    /// `AWS:SourceAccount`.
    pub account: String,
}
