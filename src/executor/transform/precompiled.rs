//! Plugins as machine code, made where the lake is planned and loaded where it runs.

use super::PluginError;
pub use crate::dataset::Architecture;

/// A component as machine code for functions of one architecture, in an envelope that says for which component,
/// wasmtime and processor it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precompiled {
    /// The envelope and the code.
    pub bytes: Vec<u8>,
}

impl Precompiled {
    /// Compiles a component for functions on `architecture`, for the oldest processors that Lambda has of it.
    ///
    /// # Errors
    /// As [`super::Plugin::compile`].
    pub fn of(name: &str, component: &[u8], architecture: Architecture) -> Result<Precompiled, PluginError> {
        let _ = (component, architecture);
        Err(PluginError::Host(name.to_owned()))
    }
}
