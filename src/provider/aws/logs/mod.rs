//! CloudWatch Logs kinds.

mod log_group;

pub(super) use log_group::LogGroupKind;
