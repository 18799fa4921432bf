//! What gets deployed: one zip that holds the program of every function, and one manifest that holds every
//! dataset. Both are addressed by their content, and what did not change is not made again.

mod binary;
mod fingerprint;
/// Transforms: from a folder or a file to a component and its precompiled form.
pub mod plugin;
mod zip;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use miette::Diagnostic;

use self::fingerprint::Fingerprints;
pub use self::{
    binary::{Glibc, LAMBDA_GLIBC},
    zip::ENTRY,
};
pub use crate::dataset::Architecture;
use crate::dataset::{Dataset, Manifest};

/// Most bytes that a function's zip may unpack to: 250 MB
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
pub const UNZIPPED_BYTES_MAX: u64 = 262_144_000;

/// A zip on disk, ready for upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The zip.
    pub path: PathBuf,
    /// SHA-256 of its bytes, 64 hex digits.
    pub sha256: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// What its program is built for.
    pub architecture: Architecture,
}

/// How the program lies in the zip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// As it is: packed and unpacked at the speed of the disk. For the embedded cloud.
    Stored,
    /// Compressed: less to upload. For AWS.
    Deflated,
}

impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Storage::Stored => "stored",
            Storage::Deflated => "deflated",
        })
    }
}

/// A program that cannot be deployed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum PackageError {
    /// No such file.
    #[error("the program to deploy is not there: {}", path.display())]
    #[diagnostic(help("build it, or name a Linux build of lake as `executor` in the stack"))]
    NotFound {
        /// The program.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read the program to deploy, {}", path.display())]
    Unreadable {
        /// The program.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// Not a program that a function can be.
    #[error("{} is {found}; functions run Linux programs for x86_64 or arm64", path.display())]
    #[diagnostic(help("name a Linux build of lake as `executor` in the stack"))]
    NotAFunctionProgram {
        /// The program.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// An ELF file whose inner tables contradict each other.
    #[error("{} is a damaged program", path.display())]
    #[diagnostic(help("build it anew"))]
    DamagedElf {
        /// The program.
        path: PathBuf,
        /// What is wrong with it.
        source: object::read::Error,
    },
    /// Built against a newer glibc than Lambda's machines have.
    #[error("{} needs glibc {needed} ({symbol}); functions on AWS find {LAMBDA_GLIBC}", path.display())]
    #[diagnostic(help(
        "build lake on a system with glibc {LAMBDA_GLIBC} or older (`cargo zigbuild --target …-gnu.{LAMBDA_GLIBC}` does \
         it anywhere), and name the build as `executor` in the stack"
    ))]
    GlibcTooNew {
        /// The program.
        path: PathBuf,
        /// What it needs.
        needed: Glibc,
        /// The symbol version that shows it.
        symbol: String,
    },
    /// Larger than Lambda takes.
    #[error("{} has {bytes} bytes; Lambda takes at most {UNZIPPED_BYTES_MAX}", path.display())]
    #[diagnostic(help("strip the program's debug symbols: `strip PROGRAM`"))]
    TooLarge {
        /// The program.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// The zip could not be written to the cache's folder.
    #[error("cannot make the package in {}", folder.display())]
    #[diagnostic(help("the folder must be writable and have room for the program"))]
    Cache {
        /// The folder.
        folder: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

/// The zip of `bootstrap`, the program of every function, kept in the folder `cache` under the hash of its
/// content. When neither has been touched since the last time, both are only looked at.
///
/// # Errors
/// The program is not there, not a Linux program for one of Lambda's architectures, or too large; the cache
/// cannot be written.
pub fn function_zip(bootstrap: &Path, cache: &Path, storage: Storage) -> Result<Package, PackageError> {
    let architecture = binary::architecture(bootstrap)?;
    let unreadable = |source| PackageError::Unreadable { path: bootstrap.to_owned(), source };
    let program = fs::canonicalize(bootstrap).map_err(unreadable)?;
    let bytes = fs::metadata(&program).map_err(unreadable)?.len();
    if bytes > UNZIPPED_BYTES_MAX {
        return Err(PackageError::TooLarge { path: bootstrap.to_owned(), bytes });
    }
    let not_writable = |source| PackageError::Cache { folder: cache.to_owned(), source };
    let mut fingerprints = Fingerprints::open(cache);
    let program_sha256 = fingerprints.of(&program).map_err(unreadable)?.sha256;
    let path = cache.join(zip::file_name(&program_sha256, storage));
    let zip = match fingerprints.remembered(&path) {
        Some(known) => known.clone(),
        None => {
            let sha256 = zip::write(&program, &program_sha256, &path, storage).map_err(not_writable)?;
            zip::prune(cache, &path).map_err(not_writable)?;
            fingerprints.adopt(&path, sha256).map_err(not_writable)?
        }
    };
    fingerprints.save().map_err(not_writable)?;
    Ok(Package { path, bytes: zip.bytes(), sha256: zip.sha256, architecture })
}

/// Whether `bootstrap` starts on AWS's machines: its C library may not be newer than theirs. The embedded cloud
/// runs on this machine and does not ask.
///
/// # Errors
/// It needs a newer glibc than [`LAMBDA_GLIBC`], or is no readable Linux program.
pub fn check_for_aws(bootstrap: &Path) -> Result<(), PackageError> {
    check_glibc(bootstrap, LAMBDA_GLIBC)
}

fn check_glibc(bootstrap: &Path, newest: Glibc) -> Result<(), PackageError> {
    binary::architecture(bootstrap)?;
    match binary::glibc_needed(bootstrap)? {
        Some((needed, symbol)) if needed > newest => {
            Err(PackageError::GlibcTooNew { path: bootstrap.to_owned(), needed, symbol })
        }
        _ => Ok(()),
    }
}

/// Key and bytes of the object by which the functions know the datasets.
pub fn manifest(datasets: &[Dataset]) -> (String, Vec<u8>) {
    let manifest = Manifest::new(datasets.to_vec());
    (manifest.object_key(), manifest.to_bytes())
}

#[cfg(test)]
mod tests;
