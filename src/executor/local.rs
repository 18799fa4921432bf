//! The rim for local files: what `lake convert` reads from and writes to.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::{NamedTempFile, TempDir, TempPath};

use super::{Sink, Source};
use crate::{dataset::Partition, files};

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

/// Files that appear whole or not at all: each is written beside its target and renamed when it is committed.
#[derive(Debug)]
pub struct FileSink {
    data: Data,
    rejects: PathBuf,
}

/// Where data files go.
#[derive(Debug)]
enum Data {
    File(PathBuf),
    Folder(PathBuf),
}

impl FileSink {
    /// Where kept and rejected rows are to go. Of a conversion that makes several data files, all but one are refused:
    /// these go to a folder.
    pub fn new(data: impl Into<PathBuf>, rejects: impl Into<PathBuf>) -> Self {
        FileSink { data: Data::File(data.into()), rejects: rejects.into() }
    }

    /// Data files go below a folder: `year=2013/part-0.parquet`. To have all of them appear at once, let it be that of a
    /// [`Staging`].
    pub fn in_folder(folder: impl Into<PathBuf>, rejects: impl Into<PathBuf>) -> Self {
        FileSink { data: Data::Folder(folder.into()), rejects: rejects.into() }
    }
}

impl Sink for FileSink {
    type Write = FileOutput;
    type Done = FinishedFile;

    fn data(&mut self, partition: &Partition, part: u32) -> io::Result<FileOutput> {
        match &self.data {
            Data::File(path) if partition.is_none() && part == 0 => FileOutput::create(path),
            Data::File(path) => {
                let several = format!("{} is one file, and there are several to write", path.display());
                Err(io::Error::new(io::ErrorKind::InvalidInput, several))
            }
            Data::Folder(folder) => {
                FileOutput::create(&folder.join(partition.path()).join(format!("{PART_PREFIX}{part}{PART_SUFFIX}")))
            }
        }
    }

    fn rejects(&mut self) -> io::Result<FileOutput> {
        FileOutput::create(&self.rejects)
    }

    fn done(&mut self, write: FileOutput) -> io::Result<FinishedFile> {
        write.finish()
    }
}

/// A file in the making. It is removed when it is dropped before [`FinishedFile::commit`].
#[derive(Debug)]
pub struct FileOutput {
    file: NamedTempFile,
    target: PathBuf,
}

/// A file that is written, and not in its place.
#[derive(Debug)]
pub struct FinishedFile {
    written: TempPath,
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

    /// Closes the file once it is on disk.
    fn finish(self) -> io::Result<FinishedFile> {
        self.file.as_file().sync_all()?;
        Ok(FinishedFile { written: self.file.into_temp_path(), target: self.target })
    }
}

impl FinishedFile {
    /// Puts the file in its place, replacing what is there, and returns once that is on disk.
    ///
    /// # Errors
    /// The file cannot be renamed; then the target is as it was.
    pub fn commit(self) -> io::Result<PathBuf> {
        self.written.persist(&self.target).map_err(|error| error.error)?;
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

/// What data files in a folder are called: `part-0.parquet`.
const PART_PREFIX: &str = "part-";
const PART_SUFFIX: &str = ".parquet";

/// A folder that appears whole or not at all: it is filled beside its target and renamed.
#[derive(Debug)]
pub struct Staging {
    folder: TempDir,
    target: PathBuf,
}

impl Staging {
    /// A folder to be filled.
    ///
    /// # Errors
    /// There is something at `target` that lake has not put there: it would be lost. Or no folder can be made beside it.
    pub fn new(target: &Path) -> io::Result<Self> {
        check_replaceable(target)?;
        let beside = files::parent(target);
        fs::create_dir_all(beside)?;
        let folder = tempfile::Builder::new().prefix(".lake-").suffix(".part").tempdir_in(beside)?;
        fs::set_permissions(folder.path(), Permissions::from_mode(STAGING_MODE))?;
        Ok(Staging { folder, target: target.to_owned() })
    }

    /// Where files are to be put.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Puts the folder in its place, and removes what was there.
    ///
    /// # Errors
    /// It cannot be renamed; then the target is as it was.
    pub fn publish(self) -> io::Result<PathBuf> {
        check_replaceable(&self.target)?;
        let beside = files::parent(&self.target);
        let before = match self.target.exists() {
            true => {
                let aside = tempfile::Builder::new().prefix(".lake-").suffix(".old").tempdir_in(beside)?;
                fs::rename(&self.target, aside.path())?;
                Some(aside)
            }
            false => None,
        };
        if let Err(error) = fs::rename(self.folder.path(), &self.target) {
            if let Some(before) = before {
                fs::rename(before.keep(), &self.target)?;
            }
            return Err(error);
        }
        let _ = self.folder.keep(); // it is called otherwise by now
        files::sync_folder(beside)?;
        Ok(self.target)
    }
}

/// Permissions of a folder of data files, of which the process's umask has no say once they are set.
const STAGING_MODE: u32 = 0o755;

/// A folder may be replaced when there is nothing in it but data files as lake names them.
fn check_replaceable(target: &Path) -> io::Result<()> {
    let refused = |what: &Path| {
        let message = format!("{} is not a data file of lake's and would be lost", what.display());
        Err(io::Error::new(io::ErrorKind::AlreadyExists, message))
    };
    let Ok(metadata) = fs::symlink_metadata(target) else { return Ok(()) };
    if !metadata.is_dir() {
        return refused(target);
    }
    for entry in fs::read_dir(target)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        let is_ours = match entry.file_type()?.is_dir() {
            true => name.contains('='),
            false => {
                let number = name.strip_prefix(PART_PREFIX).and_then(|rest| rest.strip_suffix(PART_SUFFIX));
                number.is_some_and(|number| number.parse::<u32>().is_ok())
            }
        };
        if !is_ours {
            return refused(&path);
        }
        if path.is_dir() {
            check_replaceable(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(sink: &mut FileSink, place: (&Partition, u32), bytes: &[u8]) -> FinishedFile {
        let mut output = sink.data(place.0, place.1).unwrap();
        output.write_all(bytes).unwrap();
        sink.done(output).unwrap()
    }

    fn january() -> Partition {
        Partition::new([("month".to_owned(), Some("1".to_owned()))])
    }

    #[test]
    fn an_output_appears_only_when_it_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("deep/out.parquet");
        let mut sink = FileSink::new(&target, folder.path().join("rejects.parquet"));
        let finished = written(&mut sink, (&Partition::default(), 0), b"bytes");
        assert!(!target.exists());
        assert_eq!(finished.commit().unwrap(), target);
        assert_eq!(fs::read(&target).unwrap(), b"bytes");
    }

    #[test]
    fn an_output_that_is_dropped_leaves_nothing_and_keeps_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("out.parquet");
        fs::write(&target, b"old").unwrap();
        let mut sink = FileSink::new(&target, folder.path().join("rejects.parquet"));
        let mut output = sink.data(&Partition::default(), 0).unwrap();
        output.write_all(b"new").unwrap();
        drop(output);
        drop(written(&mut sink, (&Partition::default(), 0), b"new"));
        assert_eq!(fs::read(&target).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn one_file_takes_no_second_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = FileSink::new(folder.path().join("out.parquet"), folder.path().join("rejects.parquet"));
        for (partition, part) in [(Partition::default(), 1), (january(), 0)] {
            assert!(sink.data(&partition, part).unwrap_err().to_string().contains("several"));
        }
    }

    #[test]
    fn a_folder_appears_whole_and_takes_the_place_of_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("flights");
        for bytes in [b"one", b"two"] {
            let staging = Staging::new(&target).unwrap();
            let mut sink = FileSink::in_folder(staging.folder(), folder.path().join("rejects.parquet"));
            written(&mut sink, (&january(), 0), bytes).commit().unwrap();
            assert_ne!(fs::read(target.join("month=1/part-0.parquet")).ok().as_deref(), Some(&bytes[..]));
            assert_eq!(staging.publish().unwrap(), target);
            assert_eq!(fs::read(target.join("month=1/part-0.parquet")).unwrap(), bytes);
        }
        drop(Staging::new(&target).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_with_anything_else_in_it_is_left_alone() {
        for other in ["notes.txt", "month=1/part-x.parquet", "src/part-0.parquet"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(other);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "theirs").unwrap();
            let error = Staging::new(folder.path()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{other}");
        }
        let file = NamedTempFile::new().unwrap();
        assert!(Staging::new(file.path()).is_err());
    }
}
