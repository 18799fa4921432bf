//! The embedded cloud as a process in the background: whether it runs, how it is started, how it is stopped.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    cli::{context::Context, error::CliError},
    config::DEFAULT_REGION,
};

use super::{
    files::{Enforcement, Files, ServerFile},
    relay::{PASSWORD_VARIABLE, Relay},
};

/// Longest time from spawning the server to its being ready. After a crash the store is checked first.
const START_WAIT_MAX: Duration = Duration::from_secs(60);
/// Longest wait for a server to end by itself: its own limit (10 s) and a margin.
const STOP_WAIT_MAX: Duration = Duration::from_secs(15);
/// Longest wait for the system to take a killed process down.
const KILL_WAIT_MAX: Duration = Duration::from_secs(5);
/// Size at which `server.log` is put aside as `server.log.1` when a server starts, bytes.
const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Lines of the log that an error shows.
const LOG_TAIL_LINES: usize = 15;
/// Bytes of the log that are looked at for them.
const LOG_TAIL_BYTES: u64 = 16 * 1024;

/// The line by which a server that was started in the background tells how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ready {
    /// It serves, and `server.json` is written.
    Ready {
        /// Where.
        port: u16,
    },
    /// It could not start.
    Failed {
        /// Why.
        message: String,
        /// The port is taken: another would do.
        port_taken: bool,
    },
}

/// The cloud of the project, if it runs.
pub async fn running(context: &Context) -> Result<Option<ServerFile>, CliError> {
    let files = Files::new(context.cloud_folder());
    files.running().map_err(|error| files.failed("read", &error))
}

/// The cloud of the project, started when it does not run.
pub async fn ensure_running(context: &Context) -> Result<ServerFile, CliError> {
    ensure_running_on(context, None, &Settings::default()).await.map(|(server, _)| server)
}

/// What holds for a cloud as long as it runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    /// Whether policies are evaluated.
    pub iam: Enforcement,
    /// Where mail is sent besides its files.
    pub smtp: Option<Relay>,
}

/// [`ensure_running`] on a certain port, with certain settings; tells whether it was started by this call.
pub(super) async fn ensure_running_on(
    context: &Context,
    port: Option<u16>,
    settings: &Settings,
) -> Result<(ServerFile, bool), CliError> {
    if let Some(server) = running(context).await? {
        return Ok((server, false));
    }
    let files = Files::new(context.cloud_folder());
    let _starting = files.exclusive().await?;
    let failed = |error: io::Error| files.failed("read", &error);
    if let Some(server) = files.running().map_err(failed)? {
        return Ok((server, false));
    }
    // One that is just ending has to be gone: there is one server for a folder.
    if !files.wait_for_end(STOP_WAIT_MAX).await.map_err(failed)? {
        return Err(CliError::failed("the embedded cloud that ran before has not ended")
            .hint("stop it with `lake cloud stop`, then try again"));
    }
    let region = region(context);
    match (port, files.remembered_port()) {
        (Some(port), _) => start(&files, port, &region, settings).await?,
        (None, None) => start(&files, 0, &region, settings).await?,
        (None, Some(remembered)) => match start(&files, remembered, &region, settings).await {
            Err(StartError { port_taken: true, .. }) => {
                tracing::warn!(port = remembered, "the embedded cloud's port of last time is taken: taking another");
                start(&files, 0, &region, settings).await?;
            }
            other => other?,
        },
    }
    let server = files.running().map_err(failed)?;
    let server = server.ok_or_else(|| log_error(&files, "the embedded cloud ended as soon as it had started", 0))?;
    Ok((server, true))
}

/// The stack's region, or the default outside of a project.
fn region(context: &Context) -> String {
    let config = context.config().ok();
    let stack = config.as_ref().and_then(|config| context.stack(config).ok());
    stack.map_or_else(|| DEFAULT_REGION.to_owned(), |stack| stack.region.clone())
}

/// Why a server did not start.
struct StartError {
    port_taken: bool,
    error: CliError,
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> Self {
        error.error
    }
}

impl From<CliError> for StartError {
    fn from(error: CliError) -> Self {
        StartError { port_taken: false, error }
    }
}

/// Starts a server in the background and waits until it serves.
async fn start(files: &Files, port: u16, region: &str, settings: &Settings) -> Result<(), StartError> {
    let failed = |error: io::Error| CliError::failed(format!("the embedded cloud cannot be started: {error}"));
    let folder = files.folder().canonicalize().map_err(failed)?;
    let (log, log_start) = open_log(files).map_err(failed)?;
    let mut command = std::process::Command::new(std::env::current_exe().map_err(failed)?);
    command.args(["-v", "--no-color", "cloud", "serve", "--detached", "--region", region, "--port"]);
    command.arg(port.to_string()).arg("--iam").arg(settings.iam.to_string()).arg("--folder").arg(&folder);
    match &settings.smtp {
        // Its password stays in the environment.
        Some(relay) => command.arg("--smtp").arg(relay.to_string()),
        None => command.env_remove(PASSWORD_VARIABLE),
    };
    // Nothing of the caller's AWS set-up concerns it; with a Runtime API it would even take itself for a function.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"AWS_")) {
        command.env_remove(name);
    }
    // A process group of its own: Ctrl-C at the terminal is not meant for it. Its folder: it keeps no other busy.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child = tokio::process::Command::from(command).spawn().map_err(failed)?;
    let mut line = String::new();
    let waiting = async {
        match child.stdout.take() {
            Some(stdout) => BufReader::new(stdout).read_line(&mut line).await,
            None => Ok(0),
        }
    };
    match tokio::time::timeout(START_WAIT_MAX, waiting).await {
        Ok(read) => read.map_err(failed)?,
        Err(_) => {
            child.kill().await.map_err(failed)?;
            let message = format!("the embedded cloud was not ready after {} s", START_WAIT_MAX.as_secs());
            return Err(log_error(files, &message, log_start).into());
        }
    };
    match serde_json::from_str(&line) {
        Ok(Ready::Ready { .. }) => Ok(()),
        Ok(Ready::Failed { message, port_taken }) => {
            child.wait().await.map_err(failed)?;
            let mut error = CliError::failed(message);
            if port_taken {
                error = error.hint("`lake cloud start` without --port takes a free one");
            }
            Err(StartError { port_taken, error })
        }
        Err(_) => {
            let status = child.wait().await.map_err(failed)?;
            Err(log_error(files, &format!("the embedded cloud did not start: {status}"), log_start).into())
        }
    }
}

/// The log, open at its end, and where that is. A long one is put aside first.
fn open_log(files: &Files) -> io::Result<(File, u64)> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = files.log();
    if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
        fs::rename(&path, path.with_extension("log.1"))?;
    }
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
    let end = log.metadata()?.len();
    Ok((log, end))
}

/// An error with what the log has to say since `start`.
fn log_error(files: &Files, message: &str, start: u64) -> CliError {
    let tail = log_tail(&files.log(), start).unwrap_or_default();
    let message = if tail.is_empty() { message.to_owned() } else { format!("{message}; its log says:\n{tail}") };
    CliError::failed(message).hint(format!("the whole log is {}", files.log().display()))
}

fn log_tail(path: &Path, start: u64) -> io::Result<String> {
    let mut log = File::open(path)?;
    let end = log.metadata()?.len();
    log.seek(SeekFrom::Start(start.max(end.saturating_sub(LOG_TAIL_BYTES))))?;
    let mut bytes = Vec::new();
    log.take(LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n"))
}

/// How a server came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// None was running.
    WasNotRunning,
    /// It finished what it was doing.
    Gracefully,
    /// It did not end in time and was killed; acknowledged writes are safe.
    Killed,
}

/// Stops the project's cloud and returns once its process has ended.
pub async fn stop(context: &Context) -> Result<Stopped, CliError> {
    let files = Files::new(context.cloud_folder());
    let failed = |error: io::Error| files.failed("read", &error);
    let Some(server) = files.running().map_err(failed)? else {
        // One that is ending is as good as gone once it is.
        if !files.server_lives().map_err(failed)? || files.wait_for_end(STOP_WAIT_MAX).await.map_err(failed)? {
            return Ok(Stopped::WasNotRunning);
        }
        return Err(CliError::failed("the embedded cloud is ending, but has not ended"));
    };
    signal(server.pid, Signal::TERM)?;
    if files.wait_for_end(STOP_WAIT_MAX).await.map_err(failed)? {
        return Ok(Stopped::Gracefully);
    }
    signal(server.pid, Signal::KILL)?;
    if files.wait_for_end(KILL_WAIT_MAX).await.map_err(failed)? {
        return Ok(Stopped::Killed);
    }
    Err(CliError::failed(format!("the embedded cloud, process {}, cannot be stopped", server.pid)))
}

fn signal(pid: u32, signal: Signal) -> Result<(), CliError> {
    let no_process = || CliError::failed(format!("server.json names process {pid}, which cannot be one"));
    let target = i32::try_from(pid).ok().filter(|&pid| pid > 1).and_then(Pid::from_raw).ok_or_else(no_process)?;
    match kill_process(target, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(CliError::failed(format!("the embedded cloud, process {pid}, cannot be signalled: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_that_an_error_shows_is_the_last_lines_since_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        let text: String = (0..100).map(|line| format!("line {line}\n")).collect();
        fs::write(&path, &text).unwrap();
        let tail = log_tail(&path, 0).unwrap();
        assert!(tail.starts_with("line 85") && tail.ends_with("line 99"), "{tail}");
        assert_eq!(log_tail(&path, text.len() as u64).unwrap(), "");
    }
}
