//! The zip of the functions: one entry, the same bytes whenever and wherever it is made.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Seek, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use zip::{CompressionMethod, DateTime, ZipWriter, write::SimpleFileOptions};

use super::{Storage, fingerprint};
use crate::files;

/// Name of the program in the zip, which Lambda starts
/// (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html>).
pub const ENTRY: &str = "bootstrap";
/// Its mode: everyone may run it.
const ENTRY_MODE: u32 = 0o755;
/// Write buffer, in bytes.
const BUFFER_BYTES: usize = 256 * 1024;
/// Zips kept in a cache's folder; each new build of `lake` makes another of its size.
const ZIPS_KEPT: usize = 4;

/// What a zip is called that holds the program of that hash.
pub(super) fn file_name(program_sha256: &str, storage: Storage) -> String {
    format!("{program_sha256}-{storage}.zip")
}

/// Writes the zip of `program` to `path`, durably and at once, and answers with its SHA-256. `program_sha256` is
/// what the program must still be.
pub(super) fn write(program: &Path, program_sha256: &str, path: &Path, storage: Storage) -> io::Result<String> {
    let folder = files::parent(path);
    fs::create_dir_all(folder)?;
    let temporary = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)?;
    let mut hashed = Hashed { inner: File::open(program)?, hasher: Sha256::new() };
    let mut temporary = write_entry(&mut hashed, temporary, storage)?;
    if hex::encode(hashed.hasher.finalize()) != program_sha256 {
        return Err(io::Error::other("the program was replaced while it was packed; try again"));
    }
    temporary.rewind()?;
    let sha256 = fingerprint::sha256(temporary.as_file_mut())?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    files::sync_folder(folder)?;
    Ok(sha256)
}

fn write_entry(program: &mut impl Read, file: NamedTempFile, storage: Storage) -> io::Result<NamedTempFile> {
    let method = match storage {
        Storage::Stored => CompressionMethod::Stored,
        Storage::Deflated => CompressionMethod::Deflated,
    };
    // The zip format's first moment, lest the bytes depend on when they were made.
    let options = SimpleFileOptions::default()
        .compression_method(method)
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(ENTRY_MODE);
    let mut zip = ZipWriter::new(BufWriter::with_capacity(BUFFER_BYTES, file));
    zip.start_file(ENTRY, options)?;
    copy(program, &mut zip)?;
    zip.finish()?.into_inner().map_err(io::IntoInnerError::into_error)
}

/// `io::copy` in steps that suit the compressor.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => to.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// A reader that hashes what passes.
struct Hashed<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..length]);
        Ok(length)
    }
}

/// Deletes the oldest zips in `folder` beyond [`ZIPS_KEPT`], never `current`.
pub(super) fn prune(folder: &Path, current: &Path) -> io::Result<()> {
    let mut others: Vec<(std::time::SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path != current && path.extension().is_some_and(|extension| extension == "zip") {
            let Ok(metadata) = fs::metadata(&path) else { continue };
            others.push((metadata.modified()?, path));
        }
    }
    others.sort();
    let surplus = (others.len() + 1).saturating_sub(ZIPS_KEPT);
    for (_, path) in others.into_iter().take(surplus) {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
