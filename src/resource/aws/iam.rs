//! IAM: roles and their inline policies.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resource::{Input, Naming, Ownership, Resource, Schema};

/// `aws:iam:Role`. Outputs: `name`, `arn`, `id`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Who may assume it: the trust policy.
    pub trust: Value,
    /// What it is for.
    pub description: Input<String>,
}

impl Resource for Role {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:iam:Role",
        // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
        naming: Naming::Physical { prefix: "", separator: '-', length_max: 64 },
        ownership: Ownership::Tags,
        replace_on: &[],
        volatile_outputs: &[],
    };
}

/// `aws:iam:RolePolicy`: an inline policy. Part of its role.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolePolicy {
    /// Name of the role.
    pub role: Input<String>,
    /// Name of the policy within the role.
    pub policy: Input<String>,
    /// The policy; references may stand anywhere in it.
    pub document: Value,
}

impl Resource for RolePolicy {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:iam:RolePolicy",
        naming: Naming::Fields(&["role", "policy"]),
        ownership: Ownership::Parent("role"),
        replace_on: &["role", "policy"],
        volatile_outputs: &[],
    };
}
