//! SHA-256 of large files, remembered by what the file system says about them, so that a file that did not
//! change is not read again.

use std::{
    collections::BTreeMap,
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files;

/// Name of the index in the cache's folder.
const INDEX: &str = "index.json";
/// A file younger than this may change again within one tick of the clock that stamps it; it is not remembered.
const SETTLED_AFTER: Duration = Duration::from_millis(50);
/// Buffer through which files are hashed, in bytes.
const BUFFER_BYTES: usize = 256 * 1024;

/// What the file system says about a file; equal for a file that was not touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn has_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now_ns = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
        let settled_ns = i128::try_from(SETTLED_AFTER.as_nanos()).unwrap_or(i128::MAX);
        self.modified_ns + settled_ns < now_ns
    }
}

/// A file's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fingerprint {
    /// SHA-256, 64 hex digits.
    pub(super) sha256: String,
    identity: Identity,
}

impl Fingerprint {
    /// Length in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.identity.bytes
    }
}

/// The remembered fingerprints of a cache's folder. Losing them costs time only.
pub(super) struct Fingerprints {
    folder: PathBuf,
    known: BTreeMap<PathBuf, Fingerprint>,
    changed: bool,
}

impl Fingerprints {
    /// Reads the index in `folder`; one that is missing or damaged counts as empty.
    pub(super) fn open(folder: &Path) -> Self {
        let known = match std::fs::read(folder.join(INDEX)).map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(known)) => known,
            Ok(Err(error)) => {
                tracing::warn!(folder = %folder.display(), %error, "the package index is damaged and is made anew");
                BTreeMap::new()
            }
            Err(_) => BTreeMap::new(),
        };
        Fingerprints { folder: folder.to_owned(), known, changed: false }
    }

    /// The fingerprint of `path` if it is remembered and the file untouched since.
    pub(super) fn remembered(&self, path: &Path) -> Option<&Fingerprint> {
        let identity = Identity::of(&std::fs::metadata(path).ok()?);
        self.known.get(path).filter(|known| known.identity == identity)
    }

    /// The fingerprint of `path`, by reading the file only when it must.
    pub(super) fn of(&mut self, path: &Path) -> io::Result<Fingerprint> {
        if let Some(known) = self.remembered(path) {
            return Ok(known.clone());
        }
        let fingerprint = read(path)?;
        self.remember(path, &fingerprint);
        Ok(fingerprint)
    }

    fn remember(&mut self, path: &Path, fingerprint: &Fingerprint) {
        if fingerprint.identity.has_settled() {
            self.known.insert(path.to_owned(), fingerprint.clone());
            self.changed = true;
        }
    }

    /// Fingerprints a file that this process alone has just written.
    pub(super) fn adopt(&mut self, path: &Path, sha256: String) -> io::Result<Fingerprint> {
        let fingerprint = Fingerprint { sha256, identity: Identity::of(&std::fs::metadata(path)?) };
        self.known.insert(path.to_owned(), fingerprint.clone());
        self.changed = true;
        Ok(fingerprint)
    }

    /// Writes the index when it changed, without the files that are gone.
    pub(super) fn save(mut self) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        self.known.retain(|path, _| path.exists());
        let json = serde_json::to_vec_pretty(&self.known).map_err(io::Error::other)?;
        files::write_durably(&self.folder.join(INDEX), &json)
    }
}

/// Reads and hashes a file; one that changes meanwhile is an error.
fn read(path: &Path) -> io::Result<Fingerprint> {
    let mut file = File::open(path)?;
    let before = Identity::of(&file.metadata()?);
    let sha256 = sha256(&mut file)?;
    let after = Identity::of(&std::fs::metadata(path)?);
    if before != after {
        return Err(io::Error::other("the file was replaced while it was read; try again"));
    }
    Ok(Fingerprint { sha256, identity: before })
}

/// SHA-256 of what is left to read, 64 hex digits.
pub(super) fn sha256(source: &mut impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(hex::encode(hasher.finalize())),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
