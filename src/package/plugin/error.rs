//! Why a transform cannot be made into a component, with what to do.

use std::{
    io,
    path::{Path, PathBuf},
};

use miette::Diagnostic;

use super::{build::TARGET, wrap};
use crate::executor::transform::PluginError;

/// A transform that cannot be made into a component.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum BuildError {
    /// The component is no transform.
    #[error(transparent)]
    Plugin(#[from] PluginError),
    /// No such file or folder.
    #[error("there is no transform at {}", path.display())]
    #[diagnostic(help("name a plugin's folder or a .wasm file; `lake plugin new NAME` makes a folder"))]
    NotFound {
        /// What was named.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A folder that holds no plugin.
    #[error("{} holds neither a Rust package (Cargo.toml) nor {component}", path.display())]
    #[diagnostic(help("put the built component there as {component}, or name the .wasm file itself"))]
    NoPlugin {
        /// The folder.
        path: PathBuf,
        /// Name of the component that it might hold.
        component: String,
    },
    /// The file is no WebAssembly.
    #[error("{} is {found}; a transform is a WebAssembly component or core module", path.display())]
    #[diagnostic(help("name the .wasm file that the compiler writes"))]
    NotWasm {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        found: &'static str,
    },
    /// The file is larger than lake takes.
    #[error("{} has {bytes} bytes; a transform may have {} at most", path.display(), super::WASM_BYTES_MAX)]
    #[diagnostic(help("build it optimised for size and without debug information"))]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// A core module that does not export what the contract needs.
    #[error("{} cannot be made a component: {}", path.display(), faults.join("; "))]
    #[diagnostic(help("{}", exports_help()))]
    Exports {
        /// The module.
        path: PathBuf,
        /// What is missing or different, a sentence each.
        faults: Vec<String>,
    },
    /// A core module that imports what no host has.
    #[error("{} imports what lake does not have: {}", path.display(), imports.join(", "))]
    #[diagnostic(help(
        "a transform may import `write` of lake:transform/log and the functions of wasi_snapshot_preview1; build \
         without what else it imports"
    ))]
    Imports {
        /// The module.
        path: PathBuf,
        /// The imports, as `module.name`.
        imports: Vec<String>,
    },
    /// A core module that cannot be wrapped for another reason.
    #[error("{} cannot be made a component: {message}", path.display())]
    #[diagnostic(help("{}", exports_help()))]
    Unwrappable {
        /// The module.
        path: PathBuf,
        /// The encoder's words.
        message: String,
    },
    /// A plugin's folder must be built, and nothing here can build it.
    #[error("{}, and {}", state(path, *stale), missing.sentence())]
    #[diagnostic(help("{}", toolchain_help(missing, component)))]
    NoToolchain {
        /// The folder.
        path: PathBuf,
        /// The component is there, but was built from other sources.
        stale: bool,
        /// Where the component belongs.
        component: PathBuf,
        /// What is missing.
        missing: Missing,
    },
    /// The compiler refused the sources.
    #[error("{} does not build; cargo says:\n{words}", path.display())]
    #[diagnostic(help("put its sources right, then build again: `lake plugin build {}`", path.display()))]
    Compile {
        /// The folder.
        path: PathBuf,
        /// The end of what cargo and the compiler said.
        words: String,
    },
    /// The package makes no module.
    #[error("the package in {} makes no WebAssembly module", path.display())]
    #[diagnostic(help("a plugin's Cargo.toml needs [lib] with crate-type = [\"cdylib\"]"))]
    NoModule {
        /// The folder.
        path: PathBuf,
    },
    /// The sources were edited while they were compiled.
    #[error("the sources in {} changed while they were built", path.display())]
    #[diagnostic(help("build again"))]
    SourcesChanged {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    #[diagnostic(help("its folder must be writable and have room"))]
    Unwritable {
        /// The file or folder.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

/// What a machine lacks to build a Rust plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// There is no `cargo`.
    Cargo,
    /// Rust's standard library for WebAssembly is not there; cargo's own words.
    Target(String),
}

impl Missing {
    fn sentence(&self) -> String {
        match self {
            Missing::Cargo => "there is no cargo on this machine".to_owned(),
            Missing::Target(words) => {
                format!("Rust's target {TARGET} is not installed; cargo says:\n{words}")
            }
        }
    }
}

fn state(path: &Path, stale: bool) -> String {
    match stale {
        true => format!("the component in {} was not built from the sources that lie there", path.display()),
        false => format!("the plugin in {} is not built", path.display()),
    }
}

fn toolchain_help(missing: &Missing, component: &Path) -> String {
    let install = match missing {
        Missing::Cargo => format!("install Rust from https://rustup.rs, then `rustup target add {TARGET}`"),
        Missing::Target(_) => format!("`rustup target add {TARGET}`"),
    };
    format!("{install}; or put a component that was built elsewhere by `lake plugin build` at {}", component.display())
}

fn exports_help() -> String {
    format!(
        "a core module must export what the canonical ABI makes of plugins/wit/transform.wit:\n  {}",
        wrap::demanded().join("\n  ")
    )
}
