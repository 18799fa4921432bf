//! IAM kinds.

mod role;
mod role_policy;

pub(super) use role::RoleKind;
pub(super) use role_policy::RolePolicyKind;
