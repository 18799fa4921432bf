//! SQS kinds.

mod queue;
mod queue_policy;

pub(super) use queue::QueueKind;
pub(super) use queue_policy::QueuePolicyKind;
