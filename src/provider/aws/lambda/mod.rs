//! Lambda kinds.

mod event_invoke_config;
mod function;
mod permission;
mod ready;

pub(super) use event_invoke_config::EventInvokeConfigKind;
pub(super) use function::FunctionKind;
pub(super) use permission::PermissionKind;
