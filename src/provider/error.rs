//! Why a call to the cloud failed, in the terms that the engine acts on.

use std::fmt;

/// What the engine does about a failure depends on this alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// It is not there.
    NotFound,
    /// Something of that name is there already.
    AlreadyExists,
    /// Something it needs is not visible yet (a new role that cannot be assumed): the engine tries again soon and
    /// often.
    NotYet,
    /// The service asks for fewer calls, or failed for a moment: the engine tries again seldom and at random, after
    /// what the SDK has tried.
    Throttled,
    /// The credentials may not do this, or are wrong.
    Denied,
    /// No answer: nothing listens, the connection broke, time ran out.
    Unreachable,
    /// The request itself is refused; trying again does not help.
    Invalid,
}

/// A call that failed.
#[derive(Debug, Clone, thiserror::Error)]
pub struct ProviderError {
    /// What the engine acts on.
    pub kind: ErrorKind,
    /// The service's operation (`s3:CreateBucket`).
    pub operation: String,
    /// What the service said, or what happened.
    pub message: String,
}

impl ProviderError {
    /// An error of its parts.
    pub fn new(kind: ErrorKind, operation: impl Into<String>, message: impl Into<String>) -> Self {
        ProviderError { kind, operation: operation.into(), message: message.into() }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.message)?;
        match self.kind {
            ErrorKind::Unreachable => f.write_str(" (is the cloud running? `lake cloud status` tells)"),
            ErrorKind::Denied => f.write_str(" (check the credentials and their policy)"),
            _ => Ok(()),
        }
    }
}
