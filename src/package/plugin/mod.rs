//! Transforms as they are deployed: from a folder or a file to a component, addressed by its content, and its
//! precompiled form.
//!
//! A folder's component lies in it under its name (`plugins/late/late.wasm`), so that it can be committed; it carries
//! the hash of the sources that it was built from. Core modules are wrapped, and what is made lies in the cache.

mod build;
mod cache;
mod error;
mod sources;
mod wrap;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use wasmparser::Parser;
use wasmtime::ModuleVersionStrategy;

pub use self::error::{BuildError, Missing};
use self::{build::Failure, cache::Cache, sources::Sources, wrap::Unwrappable};
use crate::{
    dataset::{Architecture, Transform},
    executor::transform::{COMPONENT_BYTES_MAX, Host, Meter, Plugin, Precompiled, seems},
};

/// Most bytes of a component or module: what the host takes.
pub const WASM_BYTES_MAX: u64 = COMPONENT_BYTES_MAX as u64;

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

impl Component {
    fn new(name: String, path: PathBuf, bytes: Vec<u8>, built: bool) -> Self {
        let sha256 = hex::encode(Sha256::digest(&bytes));
        Component { name, path, bytes, sha256, built }
    }

    /// The transform that a dataset has in it, configured so.
    pub fn transform(&self, config: BTreeMap<String, String>, memory_mb: u32, call_seconds: u32) -> Transform {
        let (name, component) = (self.name.clone(), self.sha256.clone());
        Transform { name, component, precompiled: None, config, memory_mb, call_seconds }
    }
}

/// A file to upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of its bytes, 64 hex digits.
    pub sha256: String,
}

/// The component of the transform at `path`: a `.wasm` file (component or core module), or a plugin's folder, which is
/// built when its sources have changed and a toolchain is there. What is made is kept below the folder `cache`.
///
/// # Errors
/// Nothing is there; it is no WASM; it cannot be built, with what to install.
pub fn component(path: &Path, cache: &Path) -> Result<Component, BuildError> {
    if !is_folder(path)? {
        return of_file(path, name(path, ".wasm"), &Cache::below(cache));
    }
    let file = component_file(path);
    if !path.join(sources::MANIFEST).is_file() {
        if !file.is_file() {
            let component = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(BuildError::NoPlugin { path: path.to_owned(), component });
        }
        return of_file(&file, name(path, ""), &Cache::below(cache));
    }
    let there = match file.is_file() {
        true => Some(read(&file)?),
        false => None,
    };
    let wanted = Sources::of(path).map_err(|source| BuildError::Unreadable { path: path.to_owned(), source })?.hash();
    match there {
        Some(bytes) if sources::marked(&bytes).as_ref() == Some(&wanted) => {
            Ok(Component::new(name(path, ""), file, bytes, false))
        }
        _ => build(path, &mut |_| ()),
    }
}

/// Builds the Rust plugin in `folder`, whether its component is up to date or not, and puts the component into the
/// folder. `said` is told every line that cargo says.
///
/// # Errors
/// As [`component`].
pub fn build(folder: &Path, said: &mut dyn FnMut(&str)) -> Result<Component, BuildError> {
    if !is_folder(folder)? || !folder.join(sources::MANIFEST).is_file() {
        let component = component_file(folder).file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Err(BuildError::NoPlugin { path: folder.to_owned(), component });
    }
    let file = component_file(folder);
    let module = build::module(folder, said).map_err(|failure| match failure {
        Failure::Error(error) => error,
        Failure::Missing(missing) => {
            BuildError::NoToolchain { path: folder.to_owned(), stale: file.is_file(), component: file.clone(), missing }
        }
    })?;
    let bytes = wrapped(&module.path, &read(&module.path)?)?;
    let bytes = sources::mark(bytes, &module.sources);
    let name = name(folder, "");
    // What cannot be used does not take the place of what could.
    Plugin::compile(&Host::new(Meter::Off)?, &name, &bytes)?;
    cache::write(&file, &bytes).map_err(|source| BuildError::Unwritable { path: file.clone(), source })?;
    Ok(Component::new(name, file, bytes, true))
}

/// Where the component of the plugin in `folder` lies: `late/late.wasm`.
pub fn component_file(folder: &Path) -> PathBuf {
    folder.join(format!("{}.wasm", name(folder, "")))
}

/// The component as machine code for functions on `architecture`, kept below the folder `cache`.
///
/// # Errors
/// It is no transform.
pub fn precompiled(component: &Component, architecture: Architecture, cache: &Path) -> Result<Artifact, BuildError> {
    let cache = Cache::below(cache);
    // Another lake may bring another compiler or other settings of it.
    let compiler = ModuleVersionStrategy::WasmtimeVersion.as_str();
    let name = format!("{}.{}-{compiler}.{architecture}.cwasm", component.sha256, env!("CARGO_PKG_VERSION"));
    let (path, bytes) =
        cache.get_or_make(&name, || Ok(Precompiled::of(&component.name, &component.bytes, architecture)?.bytes))?;
    Ok(Artifact { path, sha256: hex::encode(Sha256::digest(bytes)) })
}

/// A component as it is, or what a core module makes, in the cache.
fn of_file(path: &Path, name: String, cache: &Cache) -> Result<Component, BuildError> {
    let bytes = read(path)?;
    if Parser::is_component(&bytes) {
        return Ok(Component::new(name, path.to_owned(), bytes, false));
    }
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let file = format!("{sha256}.{}.wasm", wrap::recipe());
    let (path, bytes) = cache.get_or_make(&file, || wrapped(path, &bytes))?;
    Ok(Component::new(name, path, bytes, false))
}

/// The component that the core module at `path` makes.
fn wrapped(path: &Path, module: &[u8]) -> Result<Vec<u8>, BuildError> {
    if !Parser::is_core_wasm(module) {
        return Err(BuildError::NotWasm { path: path.to_owned(), found: seems(module) });
    }
    let path = path.to_owned();
    wrap::wrap(module).map_err(|why| match why {
        Unwrappable::Exports(faults) => BuildError::Exports { path, faults },
        Unwrappable::Imports(imports) => BuildError::Imports { path, imports },
        Unwrappable::Other(message) => BuildError::Unwrappable { path, message },
    })
}

fn is_folder(path: &Path) -> Result<bool, BuildError> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_dir()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(BuildError::NotFound { path: path.to_owned() }),
        Err(source) => Err(BuildError::Unreadable { path: path.to_owned(), source }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    let failed = |source| BuildError::Unreadable { path: path.to_owned(), source };
    let mut file = fs::File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if length > WASM_BYTES_MAX {
        return Err(BuildError::TooLarge { path: path.to_owned(), bytes: length });
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// A transform's name after its file's or folder's, also where that is named by `.` or a link.
fn name(path: &Path, ending: &str) -> String {
    let real = match path.file_name() {
        Some(_) => path.to_owned(),
        None => path.canonicalize().unwrap_or_else(|_| path.to_owned()),
    };
    let name = real.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(ending).unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests;
