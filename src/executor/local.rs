//! The rim for local files: what `lake convert` reads from and writes to.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use super::{Sink, Source};
use crate::files;

/// A file that can be read several times.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    name: String,
}

impl FileSource {
    /// The file at `path`; it is opened later.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.display().to_string();
        FileSource { path, name }
    }
}

impl Source for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> Option<u64> {
        fs::metadata(&self.path).ok().filter(fs::Metadata::is_file).map(|metadata| metadata.len())
    }

    fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(&self.path)?))
    }
}

/// Two files that appear whole or not at all: each is written beside its target and renamed when it is committed.
#[derive(Debug)]
pub struct FileSink {
    data: PathBuf,
    rejects: PathBuf,
}

impl FileSink {
    /// Where kept and rejected rows are to go.
    pub fn new(data: impl Into<PathBuf>, rejects: impl Into<PathBuf>) -> Self {
        FileSink { data: data.into(), rejects: rejects.into() }
    }
}

impl Sink for FileSink {
    type Write = FileOutput;

    fn data(&mut self) -> io::Result<FileOutput> {
        FileOutput::create(&self.data)
    }

    fn rejects(&mut self) -> io::Result<FileOutput> {
        FileOutput::create(&self.rejects)
    }
}

/// A file in the making. It is removed when it is dropped without [`FileOutput::commit`].
#[derive(Debug)]
pub struct FileOutput {
    file: NamedTempFile,
    target: PathBuf,
}

/// Permissions that a new file asks for; the process's umask takes from them.
const OUTPUT_MODE: u32 = 0o666;

impl FileOutput {
    fn create(target: &Path) -> io::Result<Self> {
        let folder = files::parent(target);
        fs::create_dir_all(folder)?;
        let file = tempfile::Builder::new()
            .prefix(".lake-")
            .suffix(".part")
            .permissions(Permissions::from_mode(OUTPUT_MODE))
            .tempfile_in(folder)?;
        Ok(FileOutput { file, target: target.to_owned() })
    }

    /// Puts the file in its place, replacing what is there, and returns once that is on disk.
    ///
    /// # Errors
    /// The file cannot be synced or renamed; then the target is as it was.
    pub fn commit(self) -> io::Result<PathBuf> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.target).map_err(|error| error.error)?;
        files::sync_folder(files::parent(&self.target))?;
        Ok(self.target)
    }
}

impl Write for FileOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_appears_only_when_it_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("deep/out.parquet");
        let mut sink = FileSink::new(&target, folder.path().join("rejects.parquet"));
        let mut output = sink.data().unwrap();
        output.write_all(b"bytes").unwrap();
        assert!(!target.exists());
        assert_eq!(output.commit().unwrap(), target);
        assert_eq!(fs::read(&target).unwrap(), b"bytes");
    }

    #[test]
    fn an_output_that_is_dropped_leaves_nothing_and_keeps_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.parquet");
        fs::write(&target, b"old").unwrap();
        let mut sink = FileSink::new(&target, folder.path().join("rejects.parquet"));
        let mut output = sink.data().unwrap();
        output.write_all(b"new").unwrap();
        drop(output);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
