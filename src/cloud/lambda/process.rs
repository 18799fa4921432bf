//! A bootstrap as a child process: its own process group, so that its children end with it.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, PipeReader},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, Command};

/// How often a start is tried while another process still has the file open for writing (a fork in between).
const BUSY_TRIES: usize = 10;
/// Pause between such tries.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// A running bootstrap. Dropping it kills its process group.
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    record: PathBuf,
}

impl Process {
    /// Starts `program` in `folder` with exactly these variables. Gives the pipe that carries both its outputs.
    /// Its id is written down in `records`, for [`end_leftovers`].
    pub(super) async fn start(
        program: &Path,
        folder: &Path,
        variables: BTreeMap<String, OsString>,
        records: &Path,
    ) -> io::Result<(Process, PipeReader)> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(program);
        command.current_dir(folder).env_clear().envs(variables).process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let mut tries = 0;
        let child = loop {
            match command.spawn() {
                Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy && tries < BUSY_TRIES => {
                    tries += 1;
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                other => break other?,
            }
        };
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let record = records.join(id.unwrap_or_default().to_string());
        if let Err(error) = fs::write(&record, "") {
            tracing::warn!(%error, record = %record.display(), "a process could not be written down");
        }
        Ok((Process { child, group: id.and_then(Pid::from_raw), record }, reader))
    }

    /// Its process group, while it has not been killed.
    pub(super) fn group(&self) -> Option<Pid> {
        self.group
    }

    /// Waits for its end. Cancel safe.
    pub(super) async fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Whether it has ended already.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it and all of its group.
    pub(super) fn kill(&mut self) {
        if let Some(group) = self.group.take() {
            // No such process: all have ended by themselves.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// The most memory it has had, in MB, while it lives.
    pub(super) fn max_memory_mb(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kilobytes.div_ceil(1024))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_file(&self.record); // a record without its process does no harm
    }
}

/// Kills what an earlier cloud, killed itself, has left running: processes of the recorded groups that still work
/// inside `packages`. A recorded id that now belongs to something else does not.
pub(super) fn end_leftovers(records: &Path, packages: &Path) -> io::Result<usize> {
    fs::create_dir_all(records)?;
    let mut groups = Vec::new();
    for entry in fs::read_dir(records)? {
        let path = entry?.path();
        groups.extend(path.file_name().and_then(|name| name.to_str()?.parse::<i32>().ok()));
        fs::remove_file(path)?;
    }
    if groups.is_empty() {
        return Ok(0);
    }
    let mut killed = 0;
    for entry in fs::read_dir("/proc")? {
        let Ok(entry) = entry else { continue };
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let in_group = group_of(id).is_some_and(|group| groups.contains(&group));
        let at_home = fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(packages));
        if let Some(pid) = Pid::from_raw(id).filter(|_| in_group && at_home) {
            killed += usize::from(kill_process(pid, Signal::KILL).is_ok());
        }
    }
    Ok(killed)
}

/// A process's group: the third field after the command's name, which may itself hold blanks and brackets.
fn group_of(id: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse().ok()
}
