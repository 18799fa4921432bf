//! Transforms as they are deployed: from a folder or a file to a component, addressed by its content, and its
//! precompiled form.

use std::path::{Path, PathBuf};

use miette::Diagnostic;

use crate::{dataset::Architecture, executor::transform::PluginError};

/// A component, ready to be opened and deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// What it is called: the name of its folder, or of its file without `.wasm`.
    pub name: String,
    /// The file that holds exactly `bytes`: what is uploaded.
    pub path: PathBuf,
    /// The component; core modules are wrapped.
    pub bytes: Vec<u8>,
    /// SHA-256 of `bytes`, 64 hex digits.
    pub sha256: String,
    /// It was built just now, since its sources had changed.
    pub built: bool,
}

/// A file to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its bytes, 64 hex digits.
    pub sha256: String,
}

/// A transform that cannot be made into a component.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum BuildError {
    /// The component is no transform.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

/// The component of the transform at `path`: a `.wasm` file (component or core module), or a plugin's folder, which is
/// built when its sources have changed and a toolchain is there. What is made is kept below the folder `cache`.
///
/// # Errors
/// Nothing is there; it is no WASM; it cannot be built, with what to install.
pub fn component(path: &Path, cache: &Path) -> Result<Component, BuildError> {
    let _ = (path, cache);
    Err(BuildError::Plugin(PluginError::Host("not built yet".to_owned())))
}

/// The component as machine code for functions on `architecture`, kept below the folder `cache`.
///
/// # Errors
/// It is no transform.
pub fn precompiled(component: &Component, architecture: Architecture, cache: &Path) -> Result<Artifact, BuildError> {
    let _ = (component, architecture, cache);
    Err(BuildError::Plugin(PluginError::Host("not built yet".to_owned())))
}
