//! What is made of plugins, kept by the hash of what it was made from.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::BuildError;
use crate::files;

/// Folder below the cache.
const FOLDER: &str = "plugins";
/// Most files that are kept; the oldest go first.
const FILES_MAX: usize = 256;
/// Permissions that a component in a plugin's folder asks for; the process's umask takes from them.
const COMPONENT_MODE: u32 = 0o666;

/// A folder of files that can be made again.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The one of plugins, below lake's.
    pub(super) fn below(cache: &Path) -> Self {
        Cache { folder: cache.join(FOLDER) }
    }

    /// The file of that name and its bytes; made when it is not there. A name says all that the bytes depend on.
    pub(super) fn get_or_make(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<Vec<u8>, BuildError>,
    ) -> Result<(PathBuf, Vec<u8>), BuildError> {
        let path = self.folder.join(name);
        if let Ok(bytes) = fs::read(&path) {
            return Ok((path, bytes));
        }
        let bytes = make()?;
        let failed = |source| BuildError::Unwritable { path: path.clone(), source };
        files::create_private_folder(&self.folder).map_err(failed)?;
        files::write_durably(&path, &bytes).map_err(failed)?;
        self.prune(&path).map_err(failed)?;
        Ok((path, bytes))
    }

    fn prune(&self, keep: &Path) -> io::Result<()> {
        let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            // One that is gone by now was removed by another process.
            let Ok(metadata) = entry.metadata() else { continue };
            files.push((metadata.modified()?, entry.path()));
        }
        files.sort();
        let excess = files.len().saturating_sub(FILES_MAX);
        for (_, path) in files.iter().filter(|(_, path)| path != keep).take(excess) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Replaces the file at `path`, readable by all: it is made to be committed.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = files::parent(path);
    let mut file = tempfile::Builder::new()
        .prefix(".lake-")
        .suffix(".part")
        .permissions(Permissions::from_mode(COMPONENT_MODE))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    files::sync_folder(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_is_not_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::below(folder.path());
        let (path, bytes) = cache.get_or_make("a.wasm", || Ok(b"made".to_vec())).unwrap();
        assert_eq!((fs::read(&path).unwrap(), bytes.as_slice()), (b"made".to_vec(), &b"made"[..]));
        let (again, bytes) = cache.get_or_make("a.wasm", || panic!()).unwrap();
        assert_eq!((again, bytes.as_slice()), (path, &b"made"[..]));
    }

    #[test]
    fn the_oldest_files_go_when_there_are_too_many() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::below(folder.path());
        for number in 0..FILES_MAX + 3 {
            cache.get_or_make(&number.to_string(), || Ok(Vec::new())).unwrap();
        }
        let kept = fs::read_dir(folder.path().join(FOLDER)).unwrap().count();
        assert_eq!(kept, FILES_MAX);
        assert!(folder.path().join(FOLDER).join((FILES_MAX + 2).to_string()).exists());
    }
}
