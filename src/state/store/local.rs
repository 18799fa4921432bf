//! State in a folder of the project: `state/<stack>/state.json`, and earlier ones under `history/`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{Holder, Lock, StateError, Store};
use crate::{
    files,
    state::{Snapshot, format},
};

/// How many earlier states are kept.
const HISTORY_MAX: usize = 50;

/// State on the local disk.
#[derive(Debug, Clone)]
pub struct LocalStore {
    folder: PathBuf,
}

impl LocalStore {
    /// The state in `folder`, which is made when it is first written.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        LocalStore { folder: folder.into() }
    }

    /// The folder it is in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    fn history(&self) -> PathBuf {
        self.folder.join("history")
    }

    /// Takes the stack's lock for `command`.
    pub fn lock(&self, command: &str) -> Result<Lock, StateError> {
        files::create_private_folder(&self.folder).map_err(|source| self.io(&self.folder, source))?;
        Lock::acquire(&self.folder.join("lock"), &Holder::this(command))
    }

    /// Keeps a copy of the snapshot as it is before an apply changes it; the oldest copies go.
    pub fn keep(&self, snapshot: &Snapshot) -> Result<(), StateError> {
        let bytes = format::encode(snapshot).map_err(|error| StateError::Unwritable(Box::new(error)))?;
        let path = self.history().join(format!("{:010}.json", snapshot.serial));
        files::write_durably(&path, &bytes).map_err(|source| self.io(&path, source))?;
        let mut kept: Vec<PathBuf> = fs::read_dir(self.history())
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
            .map_err(|source| self.io(&self.history(), source))?;
        kept.sort();
        let surplus = kept.len().saturating_sub(HISTORY_MAX);
        for path in &kept[..surplus] {
            fs::remove_file(path).map_err(|source| self.io(path, source))?;
        }
        Ok(())
    }

    fn io(&self, path: &Path, source: io::Error) -> StateError {
        StateError::Io { path: path.to_owned(), source }
    }
}

impl Store for LocalStore {
    fn load(&self) -> Result<Option<Snapshot>, StateError> {
        let path = self.path();
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(self.io(&path, source)),
        };
        let snapshot = format::decode(&bytes).map_err(|source| {
            let source = Box::new(source);
            StateError::Damaged { path, history: self.history(), source }
        })?;
        Ok(Some(snapshot))
    }

    fn save(&self, snapshot: &Snapshot) -> Result<(), StateError> {
        let bytes = format::encode(snapshot).map_err(|error| StateError::Unwritable(Box::new(error)))?;
        let path = self.path();
        files::create_private_folder(&self.folder).map_err(|source| self.io(&path, source))?;
        files::write_durably(&path, &bytes).map_err(|source| self.io(&path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_state_is_refused_with_its_path_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path().join("local"));
        assert!(store.load().unwrap().is_none());
        let snapshot = Snapshot::new("flights", "local");
        store.save(&snapshot).unwrap();
        assert_eq!(store.load().unwrap(), Some(snapshot));
        fs::write(store.path(), b"{ torn").unwrap();
        let message = store.load().unwrap_err().to_string();
        assert!(message.contains("state.json is refused"), "{message}");
        assert_eq!(fs::read(store.path()).unwrap(), b"{ torn");
    }

    #[test]
    fn history_keeps_the_latest_states_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = LocalStore::new(folder.path());
        let mut snapshot = Snapshot::new("flights", "local");
        for serial in 0..(HISTORY_MAX as u64 + 3) {
            snapshot.serial = serial;
            store.keep(&snapshot).unwrap();
        }
        let mut kept: Vec<_> = fs::read_dir(store.history()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        kept.sort();
        assert_eq!((kept.len(), kept[0].to_str().unwrap()), (HISTORY_MAX, "0000000003.json"));
    }
}
