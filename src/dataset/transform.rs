//! A dataset's transform, as the functions find and open it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Architecture;

/// Megabytes of memory that a plugin gets by default.
pub const DEFAULT_TRANSFORM_MEMORY_MB: u32 = 128;

/// Seconds that one call of a plugin may take by default.
pub const DEFAULT_TRANSFORM_CALL_SECONDS: u32 = 60;

/// Prefix of plugins in the artifacts bucket: functions may read what is below it, so that another plugin changes no
/// policy.
pub const TRANSFORM_PREFIX: &str = "transforms/";

/// A plugin with its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transform {
    /// What it is called in reports and errors: the name of its folder or file.
    pub name: String,
    /// SHA-256 of the component, 64 hex digits.
    pub component: String,
    /// SHA-256 of its precompiled form, 64 hex digits; functions compile the component where there is none.
    pub precompiled: Option<String>,
    /// What `open` is told.
    pub config: BTreeMap<String, String>,
    /// Megabytes of memory that an instance may have.
    pub memory_mb: u32,
    /// Seconds that one call may take.
    pub call_seconds: u32,
}

impl Transform {
    /// First 16 digits of the component's hash: what commit records and Parquet metadata carry, so that a backfill
    /// knows which files another plugin has made.
    pub fn plugin_hash(&self) -> &str {
        self.component.get(..16).unwrap_or(&self.component)
    }

    /// Key of the component in the artifacts bucket.
    pub fn component_key(&self) -> String {
        format!("{TRANSFORM_PREFIX}{}.wasm", self.component)
    }

    /// Key of its precompiled form in the artifacts bucket.
    pub fn precompiled_key(&self, architecture: Architecture) -> Option<String> {
        self.precompiled.as_ref().map(|sha256| format!("{TRANSFORM_PREFIX}{sha256}.{architecture}.cwasm"))
    }
}
