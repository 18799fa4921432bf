//! What a case runs in: a project and a cloud of its own, both copied from folders that were prepared once.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use lake::cloud::server::{Options, Server};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    call::Call,
    proxy::{Behaviour, Proxy},
};
use crate::world::{Ran, command};

/// The region of every stack here.
pub const REGION: &str = "eu-west-1";

/// A project's folder and a cloud's, at rest.
pub struct Folders {
    folder: tempfile::TempDir,
}

impl Folders {
    pub fn new() -> Folders {
        let folders = Folders { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(folders.project()).unwrap();
        fs::create_dir(folders.cloud()).unwrap();
        folders
    }

    /// Others with the same content.
    pub fn copy(&self) -> Folders {
        let copy = Folders { folder: tempfile::tempdir().unwrap() };
        copy_folder(self.folder.path(), copy.folder.path());
        copy
    }

    pub fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    pub fn cloud(&self) -> PathBuf {
        self.folder.path().join("cloud")
    }

    /// Writes a file of the project.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.project().join(name), bytes).unwrap();
    }

    /// Starts the cloud.
    pub async fn open(self) -> Stand {
        let options = Options { folder: self.cloud(), port: None, iam: true, smtp: None };
        let server = Server::start(options).await.unwrap_or_else(|error| panic!("{error}"));
        Stand { folders: self, server }
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            fs::create_dir(&copy).unwrap();
            copy_folder(&path, &copy);
        } else {
            fs::copy(&path, &copy).unwrap();
        }
    }
}

/// How a command ended that was to be stopped.
pub enum Ended {
    /// It was killed at this call.
    Killed(Call),
    /// It never came so far.
    ByItself(Ran),
}

/// A project with its cloud running.
pub struct Stand {
    pub folders: Folders,
    server: Server,
}

impl Stand {
    /// Runs `lake` to its end, past no proxy.
    pub async fn lake(&self, args: &[&str]) -> Ran {
        self.lake_at(&self.server.endpoint(), args, &[]).await
    }

    /// Runs `lake` past a proxy that behaves so; gives the calls that it made.
    pub async fn lake_through(&self, behaviour: Behaviour, args: &[&str]) -> (Ran, Vec<Call>) {
        let proxy = Proxy::start(self.upstream(), behaviour).await;
        let ran = self.lake_at(&proxy.endpoint(), args, &[]).await;
        (ran, proxy.end().await)
    }

    /// Runs `lake` past a proxy that stops the world at one call, and kills it there.
    pub async fn lake_killed(&self, behaviour: Behaviour, args: &[&str]) -> Ended {
        let proxy = Proxy::start(self.upstream(), behaviour).await;
        let child = self.command(&proxy.endpoint(), args, &[]).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        let output = child.wait_with_output();
        tokio::pin!(output);
        let killed = tokio::select! {
            output = &mut output => Err(ran(output.unwrap())),
            stopped = proxy.stopped() => Ok(stopped),
        };
        let ended = match killed {
            Err(ran) => Ended::ByItself(ran),
            Ok(call) => {
                // It has not been waited for: the number is still its own.
                kill_process(pid, Signal::KILL).unwrap();
                output.await.unwrap();
                Ended::Killed(call)
            }
        };
        // What was on its way to the cloud arrives before anybody looks.
        proxy.end().await;
        ended
    }

    /// Runs `lake` with a variable of its environment set.
    pub async fn lake_with(&self, name: &str, value: &str, args: &[&str]) -> Ran {
        self.lake_at(&self.server.endpoint(), args, &[(name, value)]).await
    }

    async fn lake_at(&self, endpoint: &str, args: &[&str], more: &[(&str, &str)]) -> Ran {
        ran(self.command(endpoint, args, more).output().await.unwrap())
    }

    fn command(&self, endpoint: &str, args: &[&str], more: &[(&str, &str)]) -> tokio::process::Command {
        let root = self.server.root_credentials();
        let mut command = command(&self.folders.project(), args);
        command
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_ACCESS_KEY_ID", &root.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &root.secret_access_key)
            .env("AWS_REGION", REGION)
            .envs(more.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut command = tokio::process::Command::from(command);
        command.kill_on_drop(true);
        command
    }

    fn upstream(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.server.port()).into()
    }

    /// What any other client is configured with.
    pub async fn sdk(&self) -> SdkConfig {
        let root = self.server.root_credentials();
        let credentials = Credentials::new(&root.access_key_id, &root.secret_access_key, None, None, "test");
        aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(self.server.endpoint())
            .credentials_provider(credentials)
            .load()
            .await
    }

    /// Stops the cloud; both folders stay as they are.
    pub async fn close(self) -> Folders {
        self.server.shutdown().await;
        self.folders
    }
}

fn ran(output: std::process::Output) -> Ran {
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
