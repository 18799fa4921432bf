//! What the cloud remembers: typed tables in one redb file, and blobs beside it. A write that has returned is on
//! disk (redb commits with fsync); several tables change together or not at all.
//!
//! ```ignore
//! const FUNCTIONS: Table<Function> = Table::new("lambda.functions");
//! store.write(|tx| FUNCTIONS.put(tx, "arn", &function))?;
//! let function = store.read(|tx| FUNCTIONS.get(tx, "arn"))?;
//! ```

use std::{
    fs::OpenOptions,
    marker::PhantomData,
    ops::Bound,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction,
    backends::FileBackend,
};
use serde::{Serialize, de::DeserializeOwned};

/// Largest page cache of the store, in bytes.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// Why the store could not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database itself: disk full, damaged, locked by another process.
    #[error("the cloud's store failed: {0}")]
    Database(Box<redb::Error>),
    /// A value that this version cannot read.
    #[error("table `{table}` holds a value at `{key}` that this version cannot read: {source}")]
    Value {
        /// Table's name.
        table: &'static str,
        /// Key of the value.
        key: String,
        /// What the decoder says.
        source: serde_json::Error,
    },
    /// Files beside the database.
    #[error("the cloud's files failed at {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

macro_rules! from_redb {
    ($($error:ty),*) => {$(
        impl From<$error> for StoreError {
            fn from(error: $error) -> Self {
                StoreError::Database(Box::new(error.into()))
            }
        }
    )*};
}
from_redb!(redb::DatabaseError, redb::TransactionError, TableError, redb::StorageError, redb::CommitError);

/// The cloud's memory. Cheap to clone through its `Arc`.
pub struct Store {
    database: Database,
    folder: PathBuf,
}

impl Store {
    /// Opens or creates the store in `folder`. Fails when another process has it open.
    pub fn open(folder: &Path) -> Result<Arc<Store>, StoreError> {
        crate::files::create_private_folder(folder)
            .map_err(|source| StoreError::Io { path: folder.to_owned(), source })?;
        let path = folder.join("store.redb");
        let mut options = OpenOptions::new();
        // Its owner alone: the credentials are in it.
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|source| StoreError::Io { path, source })?;
        let mut builder = Database::builder();
        let database = builder.set_cache_size(CACHE_BYTES).create_with_backend(FileBackend::new(file)?)?;
        Ok(Arc::new(Store { database, folder: folder.to_owned() }))
    }

    /// The folder that holds the store; blobs lie beside it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads from one consistent snapshot.
    pub fn read<R, E: From<StoreError>>(&self, body: impl FnOnce(&ReadTransaction) -> Result<R, E>) -> Result<R, E> {
        let tx = self.database.begin_read().map_err(StoreError::from)?;
        body(&tx)
    }

    /// Changes several tables together. Returns once the change is on disk; an `Err` from `body` changes nothing.
    /// Blocks for the fsync: call it through [`Store::commit`] from async code.
    pub fn write<R, E: From<StoreError>>(&self, body: impl FnOnce(&WriteTransaction) -> Result<R, E>) -> Result<R, E> {
        let tx = self.database.begin_write().map_err(StoreError::from)?;
        let result = body(&tx)?;
        tx.commit().map_err(StoreError::from)?;
        Ok(result)
    }

    /// [`Store::write`] on a thread that may block.
    pub async fn commit<R, E>(
        self: &Arc<Self>,
        body: impl FnOnce(&WriteTransaction) -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let store = Arc::clone(self);
        match tokio::task::spawn_blocking(move || store.write(body)).await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

/// A table of values of one type, ordered by key (bytewise).
pub struct Table<V> {
    name: &'static str,
    value: PhantomData<fn() -> V>,
}

impl<V: Serialize + DeserializeOwned> Table<V> {
    /// Names a table; it comes into being with its first value.
    pub const fn new(name: &'static str) -> Self {
        Table { name, value: PhantomData }
    }

    fn definition(&self) -> TableDefinition<'static, &'static str, &'static [u8]> {
        TableDefinition::new(self.name)
    }

    fn decode(&self, key: &str, bytes: &[u8]) -> Result<V, StoreError> {
        serde_json::from_slice(bytes).map_err(|source| StoreError::Value {
            table: self.name,
            key: key.to_owned(),
            source,
        })
    }

    /// The value at `key`.
    pub fn get(&self, tx: &impl Transaction, key: &str) -> Result<Option<V>, StoreError> {
        tx.get_bytes(self.definition(), key, |bytes| self.decode(key, bytes))
    }

    /// Up to `limit` entries with keys that begin with `prefix`, from the first key after `after` on.
    pub fn scan(
        &self,
        tx: &impl Transaction,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, V)>, StoreError> {
        let mut found = Vec::new();
        let from = match after {
            Some(key) if key >= prefix => Bound::Excluded(key),
            _ => Bound::Included(prefix),
        };
        tx.range_bytes(self.definition(), from, |key, bytes| {
            if !key.starts_with(prefix) || found.len() == limit {
                return Ok(false);
            }
            found.push((key.to_owned(), self.decode(key, bytes)?));
            Ok(true)
        })?;
        Ok(found)
    }

    /// Up to `limit` entries with keys in `from..before`, the last one first.
    pub fn scan_back(
        &self,
        tx: &impl Transaction,
        from: &str,
        before: &str,
        limit: usize,
    ) -> Result<Vec<(String, V)>, StoreError> {
        let mut found = Vec::new();
        if from >= before {
            return Ok(found);
        }
        tx.range_back_bytes(self.definition(), from, before, |key, bytes| {
            if found.len() == limit {
                return Ok(false);
            }
            found.push((key.to_owned(), self.decode(key, bytes)?));
            Ok(true)
        })?;
        Ok(found)
    }

    /// Visits entries in key order from `from` on, decoding only what `visit` asks for. [`Step::Seek`] jumps over
    /// entries without reading them.
    pub fn walk<E: From<StoreError>>(
        &self,
        tx: &impl Transaction,
        from: &str,
        mut visit: impl FnMut(&str, Entry<'_, V>) -> Result<Step, E>,
    ) -> Result<(), E> {
        let mut next = Some(from.to_owned());
        while let Some(from) = next.take() {
            let mut failed = None;
            tx.range_bytes(self.definition(), Bound::Included(&from), |key, bytes| {
                match visit(key, Entry { table: self, key, bytes }) {
                    Ok(Step::Next) => return Ok(true),
                    Ok(Step::Seek(key)) => next = Some(key),
                    Ok(Step::Stop) => {}
                    Err(error) => failed = Some(error),
                }
                Ok(false)
            })?;
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Sets the value at `key`.
    pub fn put(&self, tx: &WriteTransaction, key: &str, value: &V) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(value).map_err(|source| StoreError::Value {
            table: self.name,
            key: key.to_owned(),
            source,
        })?;
        tx.open_table(self.definition())?.insert(key, bytes.as_slice())?;
        Ok(())
    }

    /// Removes the value at `key`; tells whether there was one.
    pub fn delete(&self, tx: &WriteTransaction, key: &str) -> Result<bool, StoreError> {
        Ok(tx.open_table(self.definition())?.remove(key)?.is_some())
    }

    /// Removes all values with keys in `from..before`, without decoding them; tells how many.
    pub fn delete_range(&self, tx: &WriteTransaction, from: &str, before: &str) -> Result<u64, StoreError> {
        let mut removed = 0;
        if from < before {
            tx.open_table(self.definition())?.retain_in(from..before, |_, _| {
                removed += 1;
                false
            })?;
        }
        Ok(removed)
    }
}

/// Where a [`Table::walk`] goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To the next entry.
    Next,
    /// To the first entry at or after this key, which must lie after the current one.
    Seek(String),
    /// Nowhere.
    Stop,
}

/// An entry that has not been decoded yet.
pub struct Entry<'a, V> {
    table: &'a Table<V>,
    key: &'a str,
    bytes: &'a [u8],
}

impl<V: Serialize + DeserializeOwned> Entry<'_, V> {
    /// Decodes the value.
    pub fn value(&self) -> Result<V, StoreError> {
        self.table.decode(self.key, self.bytes)
    }
}

/// A table of plain bytes: small contents that are not worth a file of their own.
pub struct BytesTable {
    name: &'static str,
}

impl BytesTable {
    /// Names a table; it comes into being with its first value.
    pub const fn new(name: &'static str) -> Self {
        BytesTable { name }
    }

    fn definition(&self) -> Definition {
        TableDefinition::new(self.name)
    }

    /// The bytes at `key`.
    pub fn get(&self, tx: &impl Transaction, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        tx.get_bytes(self.definition(), key, |bytes| Ok(bytes.to_vec()))
    }

    /// Sets the bytes at `key`.
    pub fn put(&self, tx: &WriteTransaction, key: &str, bytes: &[u8]) -> Result<(), StoreError> {
        tx.open_table(self.definition())?.insert(key, bytes)?;
        Ok(())
    }

    /// Removes the bytes at `key`; tells whether there were any.
    pub fn delete(&self, tx: &WriteTransaction, key: &str) -> Result<bool, StoreError> {
        Ok(tx.open_table(self.definition())?.remove(key)?.is_some())
    }
}

type Definition = TableDefinition<'static, &'static str, &'static [u8]>;
type Visit<'a> = &'a mut dyn FnMut(&str, &[u8]) -> Result<bool, StoreError>;

/// What reads have in common in read and write transactions.
pub trait Transaction {
    /// Decodes the value at `key`.
    fn get_bytes<R>(
        &self,
        table: Definition,
        key: &str,
        decode: impl FnOnce(&[u8]) -> Result<R, StoreError>,
    ) -> Result<Option<R>, StoreError>;

    /// Visits entries in key order until `visit` says `false`.
    fn range_bytes(
        &self,
        table: Definition,
        from: Bound<&str>,
        visit: impl FnMut(&str, &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError>;

    /// Visits the entries in `from..before`, the last one first, until `visit` says `false`.
    fn range_back_bytes(
        &self,
        table: Definition,
        from: &str,
        before: &str,
        visit: impl FnMut(&str, &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError>;
}

impl Transaction for ReadTransaction {
    fn get_bytes<R>(
        &self,
        table: Definition,
        key: &str,
        decode: impl FnOnce(&[u8]) -> Result<R, StoreError>,
    ) -> Result<Option<R>, StoreError> {
        match self.open_table(table) {
            Ok(table) => table.get(key)?.map(|value| decode(value.value())).transpose(),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn range_bytes(
        &self,
        table: Definition,
        from: Bound<&str>,
        mut visit: impl FnMut(&str, &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        match self.open_table(table) {
            Ok(table) => walk(&table, from, &mut visit),
            Err(TableError::TableDoesNotExist(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn range_back_bytes(
        &self,
        table: Definition,
        from: &str,
        before: &str,
        mut visit: impl FnMut(&str, &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        match self.open_table(table) {
            Ok(table) => walk_back(&table, from, before, &mut visit),
            Err(TableError::TableDoesNotExist(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Transaction for WriteTransaction {
    fn get_bytes<R>(
        &self,
        table: Definition,
        key: &str,
        decode: impl FnOnce(&[u8]) -> Result<R, StoreError>,
    ) -> Result<Option<R>, StoreError> {
        let table = self.open_table(table)?;
        let value = table.get(key)?;
        value.map(|value| decode(value.value())).transpose()
    }

    fn range_bytes(
        &self,
        table: Definition,
        from: Bound<&str>,
        mut visit: impl FnMut(&str, &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        walk(&self.open_table(table)?, from, &mut visit)
    }

    fn range_back_bytes(
        &self,
        table: Definition,
        from: &str,
        before: &str,
        mut visit: impl FnMut(&str, &[u8]) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        walk_back(&self.open_table(table)?, from, before, &mut visit)
    }
}

fn walk(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    from: Bound<&str>,
    visit: Visit<'_>,
) -> Result<(), StoreError> {
    for entry in table.range::<&str>((from, Bound::Unbounded))? {
        let (key, value) = entry?;
        if !visit(key.value(), value.value())? {
            break;
        }
    }
    Ok(())
}

fn walk_back(
    table: &impl ReadableTable<&'static str, &'static [u8]>,
    from: &str,
    before: &str,
    visit: Visit<'_>,
) -> Result<(), StoreError> {
    for entry in table.range::<&str>(from..before)?.rev() {
        let (key, value) = entry?;
        if !visit(key.value(), value.value())? {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LETTERS: Table<u32> = Table::new("letters");

    fn store() -> (tempfile::TempDir, Arc<Store>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    #[test]
    fn a_table_that_never_had_a_value_reads_as_empty() {
        let (_folder, store) = store();
        store
            .read::<_, StoreError>(|tx| {
                assert_eq!(LETTERS.get(tx, "a")?, None);
                assert!(LETTERS.scan(tx, "", None, 10)?.is_empty());
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn a_scan_keeps_to_its_prefix_and_goes_on_after_a_key() {
        let (_folder, store) = store();
        store
            .write::<_, StoreError>(|tx| {
                for (number, key) in ["a/1", "a/2", "a/3", "b/1"].iter().enumerate() {
                    LETTERS.put(tx, key, &(number as u32))?;
                }
                Ok(())
            })
            .unwrap();
        let keys = |after, limit| {
            let found = store.read(|tx| LETTERS.scan(tx, "a/", after, limit)).unwrap();
            found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(keys(None, 2), ["a/1", "a/2"]);
        assert_eq!(keys(Some("a/2"), 2), ["a/3"]);
    }

    #[test]
    fn a_range_is_read_backwards_and_removed_as_a_whole() {
        let (_folder, store) = store();
        store
            .write::<_, StoreError>(|tx| {
                for (number, key) in ["a/1", "a/2", "a/3", "b/1"].iter().enumerate() {
                    LETTERS.put(tx, key, &(number as u32))?;
                }
                Ok(())
            })
            .unwrap();
        let keys = |from, before, limit| {
            let found = store.read(|tx| LETTERS.scan_back(tx, from, before, limit)).unwrap();
            found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
        };
        assert_eq!(keys("a/", "a/3", 10), ["a/2", "a/1"], "the upper bound is left out");
        assert_eq!(keys("a/", "b/", 1), ["a/3"]);
        assert!(keys("b/", "a/", 1).is_empty(), "an empty range is no error");
        assert_eq!(store.write(|tx| LETTERS.delete_range(tx, "a/2", "b/")).unwrap(), 2);
        assert_eq!(keys("", "z", 10), ["b/1", "a/1"]);
    }

    #[test]
    fn a_failed_write_changes_nothing_and_data_survive_reopening() {
        let (folder, store) = store();
        store.write(|tx| LETTERS.put(tx, "kept", &1)).unwrap();
        let failed = store.write::<(), StoreError>(|tx| {
            LETTERS.put(tx, "lost", &2)?;
            Err(StoreError::Io { path: "x".into(), source: std::io::Error::other("full") })
        });
        assert!(failed.is_err());
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.read(|tx| LETTERS.get(tx, "kept")).unwrap(), Some(1));
        assert_eq!(store.read(|tx| LETTERS.get(tx, "lost")).unwrap(), None);
    }

    #[test]
    fn a_walk_seeks_over_entries_and_decodes_only_what_is_asked_for() {
        let (_folder, store) = store();
        store
            .write::<_, StoreError>(|tx| {
                for key in ["a/1", "a/2", "b/1", "b/2", "c"] {
                    LETTERS.put(tx, key, &1)?;
                }
                Ok(())
            })
            .unwrap();
        let mut seen = Vec::new();
        store
            .read::<_, StoreError>(|tx| {
                LETTERS.walk(tx, "a/2", |key, entry| {
                    seen.push((key.to_owned(), entry.value()?));
                    Ok::<_, StoreError>(if key == "a/2" { Step::Seek("b/2".into()) } else { Step::Next })
                })
            })
            .unwrap();
        assert_eq!(seen, [("a/2".to_owned(), 1), ("b/2".to_owned(), 1), ("c".to_owned(), 1)]);
    }
}
