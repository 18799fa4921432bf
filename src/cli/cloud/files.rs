//! The files by which a server in the background is found, beside the cloud's data:
//!
//! - `server.json`: how to reach it ([`ServerFile`]), there while it serves;
//! - `server.lock`: locked by the server while it lives. The lock goes with its process, however that ends, so it
//!   tells a server from what a crash left behind, and waiting for it is waiting for the server's end;
//! - `start.lock`: locked by whoever is starting or resetting it, so that there is one at a time;
//! - `port`: the port of last time, so that endpoints people have written down stay true;
//! - `server.log`: what it had to say.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::{cli::error::CliError, files};

/// Longest wait for another command that is starting the cloud.
const STARTER_WAIT_MAX: Duration = Duration::from_secs(90);

/// How to reach a running cloud: `server.json`, which only its owner may read.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFile {
    /// Process id of the server.
    pub pid: u32,
    /// Port on 127.0.0.1.
    pub port: u16,
    /// Access key of the account's root user.
    pub access_key_id: String,
    /// And its secret.
    pub secret_access_key: String,
    /// Region for clients that are told none.
    pub region: String,
    /// When it began to serve.
    pub started: jiff::Timestamp,
    /// Whether it evaluates IAM policies.
    #[serde(default)]
    pub iam: Enforcement,
    /// URL of the relay that mail is sent to, without the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smtp: Option<String>,
}

/// Whether a cloud evaluates IAM policies. Signatures are checked either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// As AWS does.
    #[default]
    On,
    /// Whoever has credentials may do everything.
    Off,
}

impl fmt::Display for Enforcement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Enforcement::On => "on",
            Enforcement::Off => "off",
        })
    }
}

impl fmt::Debug for ServerFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerFile").field("pid", &self.pid).field("port", &self.port).finish_non_exhaustive()
    }
}

impl ServerFile {
    /// The URL that clients are pointed at.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What SDK clients of the cloud are made from, outside of any project.
    pub async fn sdk(&self) -> SdkConfig {
        let credentials = Credentials::new(&self.access_key_id, &self.secret_access_key, None, None, "embedded cloud");
        let loader = aws_config::defaults(BehaviorVersion::latest()).endpoint_url(self.endpoint());
        loader.region(Region::new(self.region.clone())).credentials_provider(credentials).load().await
    }
}

/// The files beside the cloud's data.
#[derive(Debug, Clone)]
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(super) fn new(folder: impl Into<PathBuf>) -> Self {
        Files { folder: folder.into() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    fn server(&self) -> PathBuf {
        self.folder.join("server.json")
    }

    fn port(&self) -> PathBuf {
        self.folder.join("port")
    }

    fn lock(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(self.folder.join(name))
    }

    /// The port of last time.
    pub(super) fn remembered_port(&self) -> Option<u16> {
        fs::read_to_string(self.port()).ok()?.trim().parse().ok().filter(|&port| port != 0)
    }

    /// The running server, if there is one.
    pub(super) fn running(&self) -> io::Result<Option<ServerFile>> {
        match self.server_lives()? {
            true => self.read(),
            false => Ok(None),
        }
    }

    /// Whether a server holds its lock. It does so from before `server.json` is there until its process has ended.
    pub(super) fn server_lives(&self) -> io::Result<bool> {
        let lock = match File::open(self.folder.join("server.lock")) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        // Shared, so that two who look at the same time do not take each other for a server.
        match lock.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn read(&self) -> io::Result<Option<ServerFile>> {
        match fs::read(self.server()) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)
                .inspect_err(|error| tracing::warn!(%error, "server.json cannot be read: taken as not there"))
                .ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The server's own part: marks it as alive and says how to reach it. The mark lasts until it is dropped.
    pub(super) fn announce(&self, server: &ServerFile) -> io::Result<Announced> {
        let lock = self.lock("server.lock")?;
        // Whoever has the store open is the only server, so that this waits for a passing look at most.
        lock.lock()?;
        files::write_durably(&self.port(), format!("{}\n", server.port).as_bytes())?;
        files::write_durably(&self.server(), &serde_json::to_vec_pretty(server)?)?;
        Ok(Announced { files: self.clone(), _lock: lock })
    }

    /// Waits until no server lives; `false` when one still does after `limit`.
    pub(super) async fn wait_for_end(&self, limit: Duration) -> io::Result<bool> {
        let path = self.folder.join("server.lock");
        let waiting = tokio::task::spawn_blocking(move || match File::open(path) {
            Ok(lock) => lock.lock_shared(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        });
        match tokio::time::timeout(limit, waiting).await {
            Ok(Ok(result)) => result.map(|()| true),
            Ok(Err(panic)) => Err(io::Error::other(panic)),
            Err(_) => Ok(false),
        }
    }

    /// The right to start or reset the cloud, until it is dropped.
    pub(super) async fn exclusive(&self) -> Result<File, CliError> {
        files::create_private_folder(&self.folder).map_err(|error| self.failed("made", &error))?;
        let lock = self.lock("start.lock").map_err(|error| self.failed("used", &error))?;
        let waiting = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock));
        match tokio::time::timeout(STARTER_WAIT_MAX, waiting).await {
            Ok(Ok(lock)) => lock.map_err(|error| self.failed("locked", &error)),
            Ok(Err(panic)) => Err(CliError::failed(panic)),
            Err(_) => Err(CliError::failed(format!(
                "another command has been starting or resetting the embedded cloud for {} s",
                STARTER_WAIT_MAX.as_secs()
            ))
            .hint("end that command, then try again")),
        }
    }

    pub(super) fn failed(&self, what: &str, error: &io::Error) -> CliError {
        CliError::failed(format!("the embedded cloud's folder {} cannot be {what}: {error}", self.folder.display()))
    }
}

/// A server that people can find, until this is dropped.
#[derive(Debug)]
pub(super) struct Announced {
    files: Files,
    _lock: File,
}

impl Announced {
    /// Takes the server out of sight before it stops; its lock stays until the process ends.
    pub(super) fn withdraw(&self) {
        // When it cannot be removed, the lock's end still tells that the server is gone.
        let _ = fs::remove_file(self.files.server());
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.withdraw();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn server() -> ServerFile {
        ServerFile {
            pid: std::process::id(),
            port: 4566,
            access_key_id: "AKIA".to_owned(),
            secret_access_key: "hush".to_owned(),
            region: "eu-west-1".to_owned(),
            started: jiff::Timestamp::now(),
            iam: Enforcement::On,
            smtp: None,
        }
    }

    fn files() -> (tempfile::TempDir, Files) {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path());
        (folder, files)
    }

    #[test]
    fn a_server_is_seen_while_it_lives_and_its_file_is_private() {
        let (_folder, files) = files();
        assert_eq!(files.running().unwrap(), None);
        let announced = files.announce(&server()).unwrap();
        assert_eq!(files.running().unwrap().unwrap().port, 4566);
        assert_eq!(fs::metadata(files.server()).unwrap().permissions().mode() & 0o777, 0o600);
        drop(announced);
        assert_eq!(files.running().unwrap(), None);
        assert!(!files.server().exists());
        assert_eq!(files.remembered_port(), Some(4566));
    }

    #[test]
    fn what_a_crash_left_behind_is_no_server_even_when_its_process_id_lives() {
        let (_folder, files) = files();
        files::write_durably(&files.server(), &serde_json::to_vec(&server()).unwrap()).unwrap();
        assert_eq!(files.running().unwrap(), None, "nobody ever held the lock");
        let lock = files.lock("server.lock").unwrap();
        lock.lock().unwrap();
        assert!(files.running().unwrap().is_some());
        drop(lock);
        assert_eq!(files.running().unwrap(), None, "the lock went with its process");
    }

    #[test]
    fn a_server_that_has_withdrawn_is_waited_for_until_its_process_ends() {
        let (_folder, files) = files();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let announced = files.announce(&server()).unwrap();
        announced.withdraw();
        assert_eq!(files.running().unwrap(), None);
        assert!(files.server_lives().unwrap());
        assert!(!runtime.block_on(files.wait_for_end(Duration::from_millis(20))).unwrap());
        drop(announced);
        assert!(runtime.block_on(files.wait_for_end(Duration::from_secs(5))).unwrap());
    }

    #[test]
    fn a_damaged_server_file_is_taken_as_none_and_debug_hides_the_secret() {
        let (_folder, files) = files();
        let lock = files.lock("server.lock").unwrap();
        lock.lock().unwrap();
        fs::write(files.server(), b"{ half").unwrap();
        assert_eq!(files.running().unwrap(), None);
        assert!(!format!("{:?}", server()).contains("hush"));
    }
}
