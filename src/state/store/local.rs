//! State in a folder of the project, `state/<stack>/`: `state.json` (the base), `journal`, `lock`, and earlier bases
//! with their journals under `history/`.
//!
//! The lock is the operating system's, on a file that says who holds it: it ends with its process, however that ends.
//! A lock that is taken away is a file in its place: the holder's is then another file than the one that is there.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;

use super::{Files, Guard, HISTORY_MAX, Holder, Life, Mark, Medium, Resumed, Standing, StateError};
use crate::{
    failpoint::{self, before_write},
    files,
};

/// State on the local disk.
#[derive(Debug, Clone)]
pub struct Local {
    folder: PathBuf,
    /// The journal, open for appending.
    journal: Arc<Mutex<Option<File>>>,
}

impl Local {
    /// The state in `folder`, which is made when it is first written.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Local { folder: folder.into(), journal: Arc::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The base or journal that ends at `serial`.
    fn historic_path(&self, serial: u64, what: &str) -> PathBuf {
        self.folder.join("history").join(format!("{serial:010}.{what}"))
    }

    /// Runs `body`, which blocks, where that hurts nobody.
    async fn blocking<R: Send + 'static>(
        &self,
        body: impl FnOnce(&Local) -> Result<R, StateError> + Send + 'static,
    ) -> Result<R, StateError> {
        let local = self.clone();
        match tokio::task::spawn_blocking(move || body(&local)).await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    fn read_file(&self, path: &Path) -> Result<Option<Vec<u8>>, StateError> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError::io(path, source)),
        }
    }

    fn open_journal(&self, length: u64) -> io::Result<File> {
        let mut file = OpenOptions::new().read(true).write(true).open(self.path("journal"))?;
        if file.metadata()?.len() != length {
            before_write()?;
            file.set_len(length)?;
            file.sync_all()?;
        }
        file.seek(SeekFrom::End(0))?;
        Ok(file)
    }

    fn append_now(&self, group: &[u8]) -> io::Result<()> {
        let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        let file = journal.as_mut().ok_or(io::ErrorKind::NotFound)?;
        match before_write()? {
            failpoint::Write::Whole => file.write_all(group)?,
            failpoint::Write::Torn => {
                file.write_all(&group[..group.len() / 2])?;
                failpoint::die();
            }
        }
        file.sync_data()
    }

    /// The order is what a crash in between relies on: a journal that goes on from an older base than the one that is
    /// there holds nothing that this base does not hold.
    fn replace_now(&self, base: &[u8], header: &[u8], serial: u64) -> Result<(), StateError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StateError::io(&path, source)
        };
        files::create_private_folder(&self.folder).map_err(failed(&self.folder))?;
        self.keep(serial)?;
        self.put(base, header)
    }

    fn put(&self, base: &[u8], header: &[u8]) -> Result<(), StateError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StateError::io(&path, source)
        };
        for (name, bytes) in [("state.json", base), ("journal", header)] {
            let path = self.path(name);
            match before_write().map_err(failed(&path))? {
                failpoint::Write::Whole => files::write_durably(&path, bytes).map_err(failed(&path))?,
                failpoint::Write::Torn => {
                    fs::write(self.path(".torn"), &bytes[..bytes.len() / 2]).map_err(failed(&path))?;
                    failpoint::die();
                }
            }
        }
        let journal = self.open_journal(header.len() as u64).map_err(failed(&self.path("journal")))?;
        *self.journal.lock().unwrap_or_else(PoisonError::into_inner) = Some(journal);
        Ok(())
    }

    /// Links what is at `from`, if anything, to the same name with `.damaged-mark` behind it.
    fn set_aside(&self, from: &Path, mark: &str) -> Result<(), StateError> {
        let mut name = from.file_name().unwrap_or_default().to_owned();
        name.push(format!(".damaged-{mark}"));
        let to = from.with_file_name(name);
        match before_write().and_then(|_| fs::hard_link(from, &to)) {
            // Put aside before a crash.
            Err(error) if !matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => {
                Err(StateError::io(&to, error))
            }
            _ => Ok(()),
        }
    }

    fn mend_now(&self, base: &[u8], header: &[u8], mark: &str) -> Result<(), StateError> {
        for name in ["state.json", "journal"] {
            self.set_aside(&self.path(name), mark)?;
        }
        files::sync_folder(&self.folder).map_err(|source| StateError::io(&self.folder, source))?;
        self.put(base, header)
    }

    fn discard_now(&self, serial: u64, mark: &str) -> Result<(), StateError> {
        for what in ["journal", "json"] {
            let path = self.historic_path(serial, what);
            self.set_aside(&path, mark)?;
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StateError::io(&path, error)),
                _ => {}
            }
        }
        let history = self.path("history");
        files::sync_folder(&history).map_err(|source| StateError::io(&history, source))
    }

    /// Links base and journal into the history, and drops the oldest there. A first base has nothing to be kept.
    fn keep(&self, serial: u64) -> Result<(), StateError> {
        if !self.path("state.json").exists() {
            return Ok(());
        }
        let history = self.path("history");
        files::create_private_folder(&history).map_err(|source| StateError::io(&history, source))?;
        for (name, what) in [("journal", "journal"), ("state.json", "json")] {
            let (from, to) = (self.path(name), self.historic_path(serial, what));
            let linked = before_write().and_then(|_| match fs::hard_link(&from, &to) {
                // Kept before a crash; and a stack of the format without journals has none.
                Err(error) if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => Ok(()),
                result => result,
            });
            linked.map_err(|source| StateError::io(&to, source))?;
        }
        files::sync_folder(&history).map_err(|source| StateError::io(&history, source))?;
        let kept = self.kept()?;
        for serial in &kept[..kept.len().saturating_sub(HISTORY_MAX)] {
            for what in ["json", "journal"] {
                let path = self.historic_path(*serial, what);
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StateError::io(&path, error)),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn kept(&self) -> Result<Vec<u64>, StateError> {
        let folder = self.path("history");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StateError::io(&folder, source)),
        };
        let names: Vec<String> = entries
            .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_, _>>()
            .map_err(|source| StateError::io(&folder, source))?;
        let mut serials: Vec<u64> = names.iter().filter_map(|name| name.strip_suffix(".json")?.parse().ok()).collect();
        serials.sort_unstable();
        Ok(serials)
    }

    fn lock_now(&self, holder: &Holder) -> Result<Held, StateError> {
        loop {
            let held = self.try_lock(holder.clone())?;
            // A file that was put in its place meanwhile is the lock now.
            if held.check().is_ok() {
                return Ok(held);
            }
        }
    }

    fn try_lock(&self, mut holder: Holder) -> Result<Held, StateError> {
        let path = self.path("lock");
        let failed = |source| StateError::io(&path, source);
        files::create_private_folder(&self.folder).map_err(failed)?;
        let mut file = open_lock(&path).map_err(failed)?;
        let before = read_holder(&mut file);
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StateError::Locked(Box::new(before.unwrap_or_else(|| Holder::this("(just started)")))));
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // Only now is it certain that nobody writes there.
        holder.fence = read_holder(&mut file).map_or(0, |before| before.fence) + 1;
        write_holder(&mut file, &holder).map_err(failed)?;
        Ok(Held { file, path, holder })
    }
}

fn open_lock(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Who the file says holds the lock, or held it last.
fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    file.rewind()?;
    file.set_len(0)?;
    file.write_all(&serde_json::to_vec(holder)?)?;
    file.sync_all()
}

/// A lock that this process holds.
#[derive(Debug)]
struct Held {
    file: File,
    path: PathBuf,
    holder: Holder,
}

#[async_trait]
impl Guard for Held {
    fn holder(&self) -> &Holder {
        &self.holder
    }

    fn check(&self) -> Result<(), StateError> {
        let ours = self.file.metadata().and_then(|ours| Ok((ours, fs::metadata(&self.path)?)));
        match ours {
            Ok((ours, there)) if ours.ino() == there.ino() && ours.dev() == there.dev() => Ok(()),
            _ => Err(StateError::Fenced { place: self.path.display().to_string() }),
        }
    }

    async fn release(&self) -> Result<(), StateError> {
        self.file.unlock().map_err(|source| StateError::io(&self.path, source))
    }
}

#[async_trait]
impl Medium for Local {
    fn name(&self) -> String {
        self.folder.display().to_string()
    }

    async fn read(&self) -> Result<Files, StateError> {
        self.blocking(|local| {
            let base = local.read_file(&local.path("state.json"))?;
            let journal = local.read_file(&local.path("journal"))?.unwrap_or_default();
            Ok(Files { base, journal, mark: Mark::default() })
        })
        .await
    }

    async fn resume(&self, guard: &dyn Guard, _mark: &Mark, length: u64) -> Result<Resumed, StateError> {
        guard.check()?;
        if length == 0 {
            // A base without its journal: the format without journals, or a crash between the two.
            return Ok(Resumed::ReplaceBase);
        }
        self.blocking(move |local| {
            let opened = local.open_journal(length).map_err(|source| StateError::io(&local.path("journal"), source))?;
            *local.journal.lock().unwrap_or_else(PoisonError::into_inner) = Some(opened);
            Ok(Resumed::GoesOn)
        })
        .await
    }

    async fn append(&self, guard: &dyn Guard, group: &[u8]) -> Result<(), StateError> {
        guard.check()?;
        let group = group.to_owned();
        self.blocking(move |local| {
            local.append_now(&group).map_err(|source| StateError::io(&local.path("journal"), source))
        })
        .await
    }

    async fn replace(&self, guard: &dyn Guard, base: &[u8], header: &[u8], serial: u64) -> Result<(), StateError> {
        guard.check()?;
        let (base, header) = (base.to_owned(), header.to_owned());
        self.blocking(move |local| local.replace_now(&base, &header, serial)).await
    }

    async fn mend(&self, guard: &dyn Guard, base: &[u8], header: &[u8], mark: &str) -> Result<(), StateError> {
        guard.check()?;
        let (base, header, mark) = (base.to_owned(), header.to_owned(), mark.to_owned());
        self.blocking(move |local| local.mend_now(&base, &header, &mark)).await
    }

    async fn discard(&self, guard: &dyn Guard, serial: u64, mark: &str) -> Result<(), StateError> {
        guard.check()?;
        let mark = mark.to_owned();
        self.blocking(move |local| local.discard_now(serial, &mark)).await
    }

    async fn history(&self) -> Result<Vec<u64>, StateError> {
        self.blocking(Local::kept).await
    }

    async fn historic(&self, serial: u64) -> Result<(Vec<u8>, Vec<u8>), StateError> {
        self.blocking(move |local| {
            let path = local.historic_path(serial, "json");
            let base = fs::read(&path).map_err(|source| StateError::io(&path, source))?;
            Ok((base, local.read_file(&local.historic_path(serial, "journal"))?.unwrap_or_default()))
        })
        .await
    }

    async fn lock(&self, holder: Holder) -> Result<Box<dyn Guard>, StateError> {
        self.blocking(move |local| local.lock_now(&holder)).await.map(|held| Box::new(held) as Box<dyn Guard>)
    }

    async fn standing(&self) -> Result<Option<Standing>, StateError> {
        self.blocking(|local| {
            let path = local.path("lock");
            let Ok(mut file) = OpenOptions::new().read(true).open(&path) else { return Ok(None) };
            let life = Life::Lives("its process keeps the file locked; the lock would end with it".to_owned());
            match file.try_lock_shared() {
                Ok(()) => Ok(None),
                Err(TryLockError::WouldBlock) => Ok(read_holder(&mut file).map(|holder| Standing { holder, life })),
                Err(TryLockError::Error(source)) => Err(StateError::io(&path, source)),
            }
        })
        .await
    }

    async fn unlock(&self, holder: &Holder) -> Result<(), StateError> {
        let holder = holder.clone();
        self.blocking(move |local| {
            let path = local.path("lock");
            let failed = |source| StateError::io(&path, source);
            let mut there = open_lock(&path).map_err(failed)?;
            if read_holder(&mut there).is_none_or(|there| there.id != holder.id) {
                return Ok(());
            }
            // The number stays, so that the next holder's is above it.
            let text = serde_json::to_vec(&holder).map_err(StateError::unwritable)?;
            files::write_durably(&path, &text).map_err(failed)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Edit, Snapshot, store::Store};

    async fn stack(folder: &Path) -> (Store, Snapshot) {
        let store = Store::new(Local::new(folder));
        let snapshot = Snapshot::new("flights", "local");
        let lock = store.lock("plan").await.unwrap();
        store.create(&lock, &snapshot).await.unwrap();
        (store, snapshot)
    }

    #[tokio::test]
    async fn a_damaged_state_is_refused_with_its_place_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (store, snapshot) = stack(folder.path()).await;
        assert_eq!(store.load().await.unwrap().unwrap().snapshot, snapshot);
        let path = folder.path().join("state.json");
        fs::write(&path, b"{ torn").unwrap();
        let message = store.load().await.unwrap_err().to_string();
        assert!(message.contains("is refused: it cannot be read"), "{message}");
        assert_eq!(fs::read(&path).unwrap(), b"{ torn");
    }

    #[tokio::test]
    async fn the_second_is_told_who_holds_the_lock_since_when_and_gets_it_afterwards_with_a_higher_number() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(Local::new(folder.path()));
        let first = store.lock("apply").await.unwrap();
        assert_eq!(store.holder().await.unwrap().as_ref(), Some(first.holder()));
        match store.lock("destroy").await {
            Err(StateError::Locked(holder)) => assert_eq!(*holder, *first.holder()),
            other => panic!("expected to be refused: {other:?}"),
        }
        first.release().await.unwrap();
        assert_eq!(store.holder().await.unwrap(), None);
        assert_eq!(store.lock("destroy").await.unwrap().holder().fence, first.holder().fence + 1);
    }

    #[tokio::test]
    async fn whoever_lost_the_lock_writes_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = stack(folder.path()).await;
        let lock = Arc::new(store.lock("apply").await.unwrap());
        let journal = store.journal(Arc::clone(&lock), store.load().await.unwrap().unwrap()).await.unwrap();
        journal.append(Edit::Outputs([("a".to_owned(), 1.into())].into())).await.unwrap();
        let before = fs::read(folder.path().join("journal")).unwrap();

        store.unlock(lock.holder()).await.unwrap();
        let next = store.lock("apply").await.unwrap();
        assert!(next.holder().fence > lock.holder().fence);
        let refused = journal.append(Edit::Outputs([("a".to_owned(), 2.into())].into())).await.unwrap_err();
        assert!(matches!(refused, StateError::Fenced { .. }), "{refused}");
        assert_eq!(fs::read(folder.path().join("journal")).unwrap(), before);
    }

    #[tokio::test]
    async fn history_keeps_the_latest_states_only() {
        let folder = tempfile::tempdir().unwrap();
        let (store, mut snapshot) = stack(folder.path()).await;
        let lock = store.lock("apply").await.unwrap();
        for serial in 1..=(HISTORY_MAX as u64 + 3) {
            snapshot.serial = serial;
            store.create(&lock, &snapshot).await.unwrap();
        }
        let kept = store.history().await.unwrap();
        assert_eq!((kept.len(), kept[0]), (HISTORY_MAX, 4));
        assert_eq!(store.historic(kept[0]).await.unwrap().base.serial, 3);
    }
}
