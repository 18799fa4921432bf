//! Packing, and what is not packed twice.

use std::{
    io::Read,
    os::unix::fs::{MetadataExt, PermissionsExt},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

use super::*;

const X86_64: u16 = 62;

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Folder { folder: tempfile::tempdir().unwrap() }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    /// A Linux program by its header, with `body` behind it, last modified an hour ago.
    fn program(&self, body: &[u8]) -> PathBuf {
        let path = self.folder.path().join("lake");
        fs::write(&path, [binary::tests::elf_header(X86_64).as_slice(), body].concat()).unwrap();
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        fs::File::options().append(true).open(&path).unwrap().set_modified(hour_ago).unwrap();
        path
    }

    fn zip(&self, program: &Path, storage: Storage) -> Package {
        function_zip(program, &self.cache(), storage).unwrap()
    }
}

#[test]
fn the_zip_holds_the_program_as_an_executable_bootstrap() {
    let folder = Folder::new();
    let program = folder.program(&b"text ".repeat(10_000));
    for storage in [Storage::Stored, Storage::Deflated] {
        let package = folder.zip(&program, storage);
        let bytes = fs::read(&package.path).unwrap();
        assert_eq!(package.bytes, bytes.len() as u64);
        assert_eq!(package.sha256, hex::encode(Sha256::digest(&bytes)));
        assert_eq!(package.architecture, Architecture::X86_64);
        let mut archive = ::zip::ZipArchive::new(io::Cursor::new(bytes)).unwrap();
        assert_eq!(archive.len(), 1);
        let mut entry = archive.by_name("bootstrap").unwrap();
        assert_eq!(entry.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        let mut unpacked = Vec::new();
        entry.read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, fs::read(&program).unwrap());
        assert_eq!(storage == Storage::Deflated, package.bytes < unpacked.len() as u64);
    }
}

#[test]
fn the_same_program_makes_the_same_bytes_anywhere_and_at_any_time() {
    let (one, other) = (Folder::new(), Folder::new());
    let first = one.zip(&one.program(b"body"), Storage::Deflated);
    let program = other.program(b"body");
    fs::File::open(&program).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(first.sha256, other.zip(&program, Storage::Deflated).sha256);
    assert_ne!(first.sha256, one.zip(&one.program(b"bodY"), Storage::Deflated).sha256);
}

#[test]
fn an_untouched_program_is_neither_read_nor_packed_again() {
    let folder = Folder::new();
    let program = folder.program(b"body");
    let first = folder.zip(&program, Storage::Stored);
    let index = fs::metadata(folder.cache().join("index.json")).unwrap();
    let zip = fs::metadata(&first.path).unwrap();
    assert_eq!(folder.zip(&program, Storage::Stored), first);
    assert_eq!(fs::metadata(folder.cache().join("index.json")).unwrap().ino(), index.ino(), "nothing is written");
    assert_eq!(fs::metadata(&first.path).unwrap().ino(), zip.ino());
}

#[test]
fn a_program_of_the_same_length_put_in_its_place_is_noticed() {
    let folder = Folder::new();
    let program = folder.program(b"one");
    let first = folder.zip(&program, Storage::Stored);
    let modified = fs::metadata(&program).unwrap().modified().unwrap();
    fs::remove_file(&program).unwrap();
    folder.program(b"two");
    fs::File::options().append(true).open(&program).unwrap().set_modified(modified).unwrap();
    assert_ne!(folder.zip(&program, Storage::Stored).sha256, first.sha256);
}

#[test]
fn a_damaged_zip_or_index_in_the_cache_is_made_again() {
    let folder = Folder::new();
    let program = folder.program(b"body");
    let first = folder.zip(&program, Storage::Stored);
    fs::write(&first.path, b"half a z").unwrap();
    assert_eq!(folder.zip(&program, Storage::Stored), first);
    assert_eq!(hex::encode(Sha256::digest(fs::read(&first.path).unwrap())), first.sha256);
    fs::write(folder.cache().join("index.json"), b"{").unwrap();
    assert_eq!(folder.zip(&program, Storage::Stored), first);
}

#[test]
fn old_zips_do_not_pile_up() {
    let folder = Folder::new();
    let mut last = None;
    for round in 0..10_u8 {
        last = Some(folder.zip(&folder.program(&[round]), Storage::Stored));
    }
    let names: Vec<_> = fs::read_dir(folder.cache()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names.len(), 5, "four zips and the index: {names:?}");
    assert!(last.unwrap().path.exists());
}

#[test]
fn what_cannot_be_deployed_is_said() {
    let folder = Folder::new();
    let zip = |path: &Path| function_zip(path, &folder.cache(), Storage::Stored);
    let missing = folder.folder.path().join("missing");
    assert!(matches!(zip(&missing), Err(PackageError::NotFound { .. })));
    assert!(matches!(zip(folder.folder.path()), Err(PackageError::Unreadable { .. })));

    let script = folder.folder.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    let error = zip(&script).unwrap_err();
    assert!(error.to_string().ends_with("is a script; functions run Linux programs for x86_64 or arm64"), "{error}");

    let large = folder.program(b"");
    fs::File::options().write(true).open(&large).unwrap().set_len(UNZIPPED_BYTES_MAX + 1).unwrap();
    assert!(matches!(zip(&large), Err(PackageError::TooLarge { bytes, .. }) if bytes == UNZIPPED_BYTES_MAX + 1));

    let good = folder.program(b"body");
    fs::write(folder.cache(), b"a file in the cache's place").unwrap();
    assert!(matches!(zip(&good), Err(PackageError::Cache { .. })));
}

#[test]
fn a_program_that_needs_a_newer_glibc_than_aws_has_is_refused_by_its_symbol() {
    let this = std::env::current_exe().unwrap();
    let error = check_glibc(&this, Glibc { major: 2, minor: 1 }).unwrap_err();
    assert!(matches!(&error, PackageError::GlibcTooNew { symbol, .. } if symbol.starts_with("GLIBC_2.")), "{error}");
    assert!(check_glibc(&this, Glibc { major: 3, minor: 0 }).is_ok());
}

#[test]
fn packages_are_readable_by_their_owner_only() {
    let folder = Folder::new();
    let package = folder.zip(&folder.program(b"body"), Storage::Stored);
    assert_eq!(fs::metadata(package.path).unwrap().permissions().mode() & 0o077, 0);
}

#[test]
fn the_manifest_is_named_by_its_content() {
    let (key, bytes) = manifest(&[Dataset::new("flights", "flights/")]);
    assert_eq!(key, format!("manifests/{}.json", hex::encode(Sha256::digest(&bytes))));
    assert_ne!(key, manifest(&[Dataset::new("flights", "in/flights/")]).0);
}
