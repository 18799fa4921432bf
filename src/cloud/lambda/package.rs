//! Packages: a function's zip, unpacked once for each content into `functions/<sha256>/`, removed when nothing
//! uses it any more.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, BufReader, Cursor, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncReadExt};
use zip::{ZipArchive, result::ZipError};

use super::{
    model::{Code, FUNCTIONS},
    rest::invalid,
};
use crate::cloud::{
    error::ApiError,
    store::{Store, StoreError},
};

/// Largest zip sent inline, in bytes.
const INLINE_BYTES: usize = 50 * 1024 * 1024;
/// Largest unpacked package, in bytes. <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub(super) const UNPACKED_BYTES: u64 = 262_144_000;
/// Most entries of a package.
const ENTRIES: usize = 65_535;
/// What temporary folders begin with.
const TEMPORARY: &str = ".tmp-";
/// Functions read from the store in one step.
const READ_FUNCTIONS: usize = 200;
const BAD_ZIP: &str = "Could not unzip uploaded file. Please check your file, then try to upload again.";

/// All packages of the cloud.
pub(super) struct Packages {
    root: PathBuf,
    leases: Arc<Mutex<HashMap<String, usize>>>,
}

/// Keeps a package from being removed while it lives.
pub(super) struct Lease {
    sha256: String,
    leases: Arc<Mutex<HashMap<String, usize>>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut leases = lock(&self.leases);
        if let Some(count) = leases.get_mut(&self.sha256) {
            *count -= 1;
            if *count == 0 {
                leases.remove(&self.sha256);
            }
        }
    }
}

fn lock(leases: &Mutex<HashMap<String, usize>>) -> MutexGuard<'_, HashMap<String, usize>> {
    leases.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A zip as it came.
pub(super) enum Zip {
    /// In memory.
    Inline(Bytes),
    /// In a temporary file, with its hash.
    File(NamedTempFile, Code),
}

impl Packages {
    /// Opens the packages below `folder` and removes what an earlier process left half done.
    pub(super) fn open(folder: &Path) -> Result<Arc<Packages>, StoreError> {
        let root = folder.join("functions");
        let failed = |source| StoreError::Io { path: root.clone(), source };
        crate::files::create_private_folder(&root).map_err(failed)?;
        for entry in fs::read_dir(&root).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
                remove(&entry.path());
            }
        }
        // What runs below it is known by its resolved path.
        let root = root.canonicalize().map_err(|source| StoreError::Io { path: root.clone(), source })?;
        Ok(Arc::new(Packages { root, leases: Arc::default() }))
    }

    /// The folder that all packages lie in.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A package's folder.
    pub(super) fn folder(&self, sha256: &str) -> PathBuf {
        self.root.join(sha256)
    }

    /// Keeps a package while the lease lives.
    pub(super) fn lease(&self, sha256: &str) -> Lease {
        *lock(&self.leases).entry(sha256.to_owned()).or_default() += 1;
        Lease { sha256: sha256.to_owned(), leases: Arc::clone(&self.leases) }
    }

    /// Receives a zip from elsewhere into a file, hashing it on its way.
    pub(super) async fn receive(&self, mut from: impl AsyncRead + Unpin) -> Result<Zip, ApiError> {
        let file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.root).map_err(ApiError::internal)?;
        let mut into = tokio::fs::File::from_std(file.reopen().map_err(ApiError::internal)?);
        let mut hash = Sha256::new();
        let mut size = 0;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = from.read(&mut buffer).await.map_err(ApiError::internal)?;
            if read == 0 {
                break;
            }
            size += read as u64;
            if size > UNPACKED_BYTES {
                return Err(too_large());
            }
            hash.update(&buffer[..read]);
            tokio::io::AsyncWriteExt::write_all(&mut into, &buffer[..read]).await.map_err(ApiError::internal)?;
        }
        tokio::io::AsyncWriteExt::flush(&mut into).await.map_err(ApiError::internal)?;
        Ok(Zip::File(file, Code { sha256: hex::encode(hash.finalize()), size }))
    }

    /// Unpacks a zip unless its content is there already. The lease keeps it until a function names it.
    pub(super) async fn install(self: &Arc<Self>, zip: Zip) -> Result<(Code, Lease), ApiError> {
        let packages = Arc::clone(self);
        let unpacked = tokio::task::spawn_blocking(move || packages.install_now(zip)).await;
        unpacked.map_err(ApiError::internal)?
    }

    fn install_now(&self, zip: Zip) -> Result<(Code, Lease), ApiError> {
        match zip {
            Zip::Inline(bytes) => {
                if bytes.len() > INLINE_BYTES {
                    return Err(ApiError::with_status(
                        http::StatusCode::PAYLOAD_TOO_LARGE,
                        "RequestEntityTooLargeException",
                        format!("A zip sent inline must not be larger than {INLINE_BYTES} bytes; put it into S3"),
                    ));
                }
                let code = Code { sha256: hex::encode(Sha256::digest(&bytes)), size: bytes.len() as u64 };
                let lease = self.unpack_once(&code, Cursor::new(bytes))?;
                Ok((code, lease))
            }
            Zip::File(mut file, code) => {
                file.seek(SeekFrom::Start(0)).map_err(ApiError::internal)?;
                let lease = self.unpack_once(&code, BufReader::new(file.as_file()))?;
                Ok((code, lease))
            }
        }
    }

    fn unpack_once(&self, code: &Code, zip: impl Read + Seek) -> Result<Lease, ApiError> {
        let lease = self.lease(&code.sha256);
        let folder = self.folder(&code.sha256);
        if folder.is_dir() {
            return Ok(lease);
        }
        let temporary =
            tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(&self.root).map_err(ApiError::internal)?;
        unpack(zip, temporary.path())?;
        match fs::rename(temporary.path(), &folder) {
            Ok(()) => {
                let _ = temporary.keep(); // it has its name now: nothing to remove
            }
            Err(_) if folder.is_dir() => {} // someone else unpacked the same content meanwhile
            Err(error) => return Err(ApiError::internal(format!("{}: {error}", folder.display()))),
        }
        crate::files::sync_folder(&self.root).map_err(ApiError::internal)?;
        Ok(lease)
    }

    /// Removes packages that no function names and no environment uses.
    pub(super) async fn collect(self: &Arc<Self>, store: &Arc<Store>) {
        let (packages, store) = (Arc::clone(self), Arc::clone(store));
        let done = tokio::task::spawn_blocking(move || packages.collect_now(&store)).await;
        match done {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "unused packages could not be removed; it is tried again later"),
            Err(panic) => tracing::error!(%panic, "removing unused packages failed"),
        }
    }

    fn collect_now(&self, store: &Store) -> Result<(), StoreError> {
        let failed = |source| StoreError::Io { path: self.root.clone(), source };
        let mut unused = Vec::new();
        {
            // Functions are read under the lock: a package is leased until its function is written.
            let leases = lock(&self.leases);
            let named = store.read(named_packages)?;
            for entry in fs::read_dir(&self.root).map_err(failed)? {
                let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
                if name.starts_with(TEMPORARY) || named.contains(&name) || leases.contains_key(&name) {
                    continue;
                }
                let grave = self.root.join(format!("{TEMPORARY}{}", uuid::Uuid::new_v4()));
                fs::rename(self.root.join(&name), &grave).map_err(failed)?;
                unused.push(grave);
            }
        }
        unused.iter().for_each(|grave| remove(grave));
        Ok(())
    }
}

fn named_packages(tx: &redb::ReadTransaction) -> Result<HashSet<String>, StoreError> {
    let mut named = HashSet::new();
    let mut after: Option<String> = None;
    loop {
        let page = FUNCTIONS.scan(tx, "", after.as_deref(), READ_FUNCTIONS)?;
        let Some((last, _)) = page.last() else { return Ok(named) };
        after = Some(last.clone());
        named.extend(page.into_iter().map(|(_, function)| function.code.sha256));
    }
}

fn remove(path: &Path) {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "a leftover could not be removed; remove it by hand");
    }
}

/// Unpacks into an empty folder: nothing is written outside of it, and no more than the limit.
fn unpack(zip: impl Read + Seek, folder: &Path) -> Result<(), ApiError> {
    let mut archive = ZipArchive::new(zip).map_err(bad_zip)?;
    if archive.is_empty() {
        return Err(invalid("Uploaded file must be a non-empty zip"));
    }
    if archive.len() > ENTRIES {
        return Err(invalid(format!("{BAD_ZIP} (it has more than {ENTRIES} entries)")));
    }
    let mut folders = HashSet::from([folder.to_owned()]);
    let mut room = UNPACKED_BYTES;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(bad_zip)?;
        let name = entry.name().map_err(bad_zip)?.into_owned();
        let path = folder.join(inside(&name)?);
        if entry.is_symlink() {
            return Err(invalid(format!("{BAD_ZIP} (the entry `{name}` is a symbolic link)")));
        }
        let parent = if entry.is_dir() { path.as_path() } else { crate::files::parent(&path) };
        create_folders(parent, folder, &mut folders).map_err(|error| bad_entry(&name, &error))?;
        if entry.is_dir() {
            continue;
        }
        // A zip without modes comes from a system that has none.
        let mode = entry.unix_mode().map_or(0o755, |mode| mode & 0o777 | 0o400);
        let mut file =
            File::options().write(true).create_new(true).open(&path).map_err(|error| bad_entry(&name, &error))?;
        let written =
            io::copy(&mut entry.by_ref().take(room + 1), &mut file).map_err(|error| bad_entry(&name, &error))?;
        room = room.checked_sub(written).ok_or_else(too_large)?;
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(ApiError::internal)?;
        file.flush().and_then(|()| file.sync_all()).map_err(ApiError::internal)?;
    }
    for folder in &folders {
        crate::files::sync_folder(folder).map_err(ApiError::internal)?;
    }
    Ok(())
}

/// The entry's path, if it stays inside of the package.
fn inside(name: &str) -> Result<&Path, ApiError> {
    let path = Path::new(name);
    let stays = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if stays && !name.is_empty() && !name.contains(['\0', '\\']) {
        return Ok(path);
    }
    Err(invalid(format!("{BAD_ZIP} (the entry `{}` leads out of the package)", name.escape_default())))
}

fn create_folders(path: &Path, root: &Path, known: &mut HashSet<PathBuf>) -> io::Result<()> {
    if known.contains(path) {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)?;
    let new = path.ancestors().take_while(|folder| *folder != root).map(Path::to_owned);
    known.extend(new);
    Ok(())
}

fn bad_zip(error: ZipError) -> ApiError {
    match error {
        ZipError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => ApiError::internal(error),
        other => invalid(format!("{BAD_ZIP} ({other})")),
    }
}

fn bad_entry(name: &str, error: &io::Error) -> ApiError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::PermissionDenied => {
            ApiError::internal(format!("unpacking `{name}`: {error}"))
        }
        _ => invalid(format!("{BAD_ZIP} (the entry `{name}`: {error})")),
    }
}

fn too_large() -> ApiError {
    invalid(format!("Unzipped size must be smaller than {UNPACKED_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use zip::{ZipWriter, write::SimpleFileOptions};

    use super::*;

    fn zip_of(entries: &[(&str, &[u8], u32)]) -> Bytes {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content, mode) in entries {
            writer.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner().into()
    }

    fn packages() -> (tempfile::TempDir, Arc<Store>, Arc<Packages>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let packages = Packages::open(folder.path()).unwrap();
        (folder, store, packages)
    }

    #[test]
    fn a_package_is_unpacked_with_its_modes_and_kept_while_it_is_leased() {
        let (_folder, store, packages) = packages();
        let zip = zip_of(&[("bootstrap", b"#!", 0o755), ("lib/data.txt", b"x", 0o600)]);
        let (code, lease) = packages.install_now(Zip::Inline(zip.clone())).ok().unwrap();
        let folder = packages.folder(&code.sha256);
        let mode = |name: &str| fs::metadata(folder.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("bootstrap"), mode("lib/data.txt")), (0o755, 0o600));

        fs::write(folder.join("mark"), "").unwrap();
        packages.install_now(Zip::Inline(zip)).ok().unwrap();
        assert!(folder.join("mark").exists(), "the same content is unpacked once");
        packages.collect_now(&store).unwrap();
        assert!(folder.exists(), "it is leased");
        drop(lease);
        packages.collect_now(&store).unwrap();
        assert_eq!(fs::read_dir(packages.root()).unwrap().count(), 0);
    }

    #[test]
    fn an_entry_that_leads_out_of_the_package_is_refused_and_nothing_is_left() {
        let (folder, _store, packages) = packages();
        for name in ["../evil", "a/../../evil", "/etc/evil", "..\\evil"] {
            let refusal = packages.install_now(Zip::Inline(zip_of(&[("bootstrap", b"", 0o755), (name, b"x", 0o644)])));
            let refusal = refusal.err().unwrap();
            assert_eq!(refusal.code, "InvalidParameterValueException", "{name}");
            assert!(refusal.message.contains("leads out of the package"), "{}", refusal.message);
        }
        assert!(!folder.path().join("evil").exists());
        assert_eq!(fs::read_dir(packages.root()).unwrap().count(), 0);
    }

    #[test]
    fn links_damage_emptiness_and_what_is_not_a_zip_are_refused() {
        let (_folder, _store, packages) = packages();
        let mut linked = ZipWriter::new(Cursor::new(Vec::new()));
        linked.add_symlink("bootstrap", "/bin/sh", SimpleFileOptions::default()).unwrap();
        let mut damaged = zip_of(&[("bootstrap", &[7; 1000], 0o755)]).to_vec();
        damaged[45] ^= 0xff;
        for zip in [
            linked.finish().unwrap().into_inner().into(),
            Bytes::from(damaged),
            zip_of(&[]),
            Bytes::from_static(b"not a zip"),
            zip_of(&[("a", b"", 0o644), ("a/b", b"", 0o644)]),
        ] {
            let refusal = packages.install_now(Zip::Inline(zip)).err().unwrap();
            assert_eq!(refusal.code, "InvalidParameterValueException", "{}", refusal.message);
        }
        assert_eq!(fs::read_dir(packages.root()).unwrap().count(), 0);
    }

    #[test]
    fn a_zip_that_grows_beyond_the_limit_is_refused_whatever_it_declares() {
        let (_folder, _store, packages) = packages();
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        writer.start_file("bootstrap", SimpleFileOptions::default().large_file(true)).unwrap();
        let block = vec![0; 1024 * 1024];
        for _ in 0..=UNPACKED_BYTES / block.len() as u64 {
            writer.write_all(&block).unwrap();
        }
        let zip = writer.finish().unwrap().into_inner().into();
        let refusal = packages.install_now(Zip::Inline(zip)).err().unwrap();
        assert_eq!(refusal.message, "Unzipped size must be smaller than 262144000 bytes");
    }
}
