//! A component that exports the contract, compiled.

use std::collections::BTreeMap;

use super::{Deadline, Host, Instance, Limits, PluginError, Precompiled};
use crate::dataset::Column;

/// Who a plugin says that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its own version.
    pub version: String,
}

/// A compiled plugin. Clones are the same plugin; it may be used by several threads, each with an [`Instance`] of its
/// own.
#[derive(Clone)]
pub struct Plugin {
    name: String,
}

impl Plugin {
    /// Compiles a component. `name` is what errors call it: the dataset's transform.
    ///
    /// # Errors
    /// [`PluginError::NotATransform`] and [`PluginError::Version`], before anything is compiled.
    pub fn compile(host: &Host, name: &str, component: &[u8]) -> Result<Plugin, PluginError> {
        let _ = (host, component);
        Err(PluginError::Host(name.to_owned()))
    }

    /// Takes up what [`Precompiled::of`] has made for the component with that SHA-256 (64 hex digits), without
    /// compiling. `bytes` must come from where only lake writes, and be known by their hash: they are machine code.
    ///
    /// # Errors
    /// [`PluginError::Precompiled`] when they are for another component, another wasmtime or another processor; then
    /// [`Plugin::compile`] does it.
    pub fn load(host: &Host, name: &str, component_sha256: &str, bytes: &[u8]) -> Result<Plugin, PluginError> {
        let _ = (host, component_sha256, bytes, Precompiled::of);
        Err(PluginError::Host(name.to_owned()))
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Asks it who it is.
    ///
    /// # Errors
    /// It traps or takes too long.
    pub fn describe(&self, limits: &Limits) -> Result<Description, PluginError> {
        let _ = limits;
        Err(PluginError::Host(self.name.clone()))
    }

    /// A fresh instance, opened with its configuration and the columns that come.
    ///
    /// # Errors
    /// [`PluginError::Refused`] in the plugin's words; [`PluginError::BrokeContract`] when its answer makes no table.
    pub fn open(
        &self,
        config: &BTreeMap<String, String>,
        input: &[Column],
        limits: &Limits,
        deadline: Deadline,
    ) -> Result<Instance, PluginError> {
        let _ = (config, input, limits, deadline);
        Err(PluginError::Host(self.name.clone()))
    }
}
