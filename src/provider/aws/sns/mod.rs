//! SNS kinds.

mod subscription;
mod topic;
mod topic_policy;

pub(super) use subscription::SubscriptionKind;
pub(super) use topic::TopicKind;
pub(super) use topic_policy::TopicPolicyKind;
