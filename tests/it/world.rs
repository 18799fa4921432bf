//! A project in a temporary folder, and the real binary to work on it. Its cloud stops with it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

/// The binary under test.
pub const LAKE: &str = env!("CARGO_BIN_EXE_lake");

/// A project folder with a `lake.toml`.
pub struct Project {
    folder: tempfile::TempDir,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// stdout, of a command that must have worked.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// stderr, of a command that must have failed with exit code 1.
    #[track_caller]
    pub fn failed(self) -> String {
        assert_eq!(self.code, 1, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stderr
    }

    /// The JSON documents on stdout, of a command that must have worked.
    #[track_caller]
    pub fn documents(self) -> Vec<Value> {
        self.ok()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
            .collect()
    }

    /// The last JSON document on stdout.
    #[track_caller]
    pub fn document(self) -> Value {
        self.documents().pop().expect("a document on stdout")
    }
}

/// A dataset `orders` with a contract, and everything else at its default.
pub const ORDERS: &str = r#"
[lake]
name = "shop"
region = "eu-west-1"

[dataset.orders]
source = "orders/"

[dataset.orders.schema]
id = "int64"
price = "decimal(10,2)"
placed = "timestamp"
note = "string"
"#;

/// A `lake.toml` without the sections of its transforms.
fn without_transform(toml: &str) -> String {
    let mut inside = false;
    let mut kept = Vec::new();
    for line in toml.lines() {
        if line.starts_with('[') {
            inside = line.contains(".transform");
        }
        // What stands before the next section belongs to it.
        inside &= !line.starts_with('#');
        if !inside {
            kept.push(line);
        }
    }
    kept.join("\n")
}

impl Project {
    /// A project with this `lake.toml`.
    pub fn new(toml: &str) -> Self {
        let project = Project { folder: tempfile::tempdir().unwrap() };
        project.write("lake.toml", toml);
        project
    }

    /// The project that `lake new` makes, without its transform: the rows of the table are those of the files.
    pub fn flights() -> Self {
        let project = Self::clean_flights();
        let toml = std::fs::read_to_string(project.path().join("lake.toml")).unwrap();
        project.write("lake.toml", without_transform(&toml));
        project
    }

    /// The project that `lake new` makes.
    pub fn clean_flights() -> Self {
        let project = Project { folder: tempfile::tempdir().unwrap() };
        let folder = project.path();
        lake(Path::new("/"), &["new", folder.to_str().unwrap()]).ok();
        project
    }

    /// The project's folder.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Writes a file of the project; returns its path.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs `lake` in the project.
    pub fn lake(&self, args: &[&str]) -> Ran {
        lake(&self.path(), args)
    }

    /// Puts one file into a dataset and waits; returns what became of it.
    #[track_caller]
    pub fn put(&self, dataset: &str, name: &str, text: &str) -> Value {
        let path = self.write(name, text);
        let document = self.lake(&["put", dataset, &path, "--wait", "--timeout", "60", "--json"]);
        let read: Value = serde_json::from_str(document.stdout.trim()).unwrap_or_else(|_| panic!("{document:?}"));
        read["files"][0]["result"].clone()
    }

    /// The rows of a table by their `id`.
    #[track_caller]
    pub fn rows(&self, table: &str) -> Vec<Value> {
        let mut rows = self.lake(&["show", table, "--limit", "1000", "--json"]).documents();
        rows.sort_by_key(|row| row["id"].as_i64());
        rows
    }

    /// Runs `lake` in the project with these variables besides.
    pub fn lake_with(&self, env: &[(String, String)], args: &[&str]) -> Ran {
        ran(command(&self.path(), args).envs(env.iter().cloned()))
    }

    /// Starts `lake` in the project and does not wait for it.
    pub fn spawn(&self, args: &[&str]) -> std::process::Child {
        command(&self.path(), args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The process id of the project's cloud.
    pub fn cloud_pid(&self) -> i32 {
        let server = std::fs::read(self.path().join("state/cloud/server.json")).unwrap();
        let server: Value = serde_json::from_slice(&server).unwrap();
        server["pid"].as_i64().unwrap() as i32
    }

    /// Kills the project's cloud as a power cut would.
    pub fn kill_cloud(&self) {
        let pid = rustix::process::Pid::from_raw(self.cloud_pid()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        while rustix::process::test_kill_process(pid).is_ok() {
            std::thread::yield_now();
        }
    }

    /// SDK configuration for the project's cloud, as any other client would have it from `lake cloud env`.
    pub async fn sdk(&self) -> aws_config::SdkConfig {
        let env = self.lake(&["cloud", "env", "--shell", "json"]).document();
        let text = |name: &str| env[name].as_str().unwrap_or_else(|| panic!("{name} in {env}")).to_owned();
        let credentials = aws_credential_types::Credentials::new(
            text("AWS_ACCESS_KEY_ID"),
            text("AWS_SECRET_ACCESS_KEY"),
            None,
            None,
            "test",
        );
        aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new(text("AWS_REGION")))
            .endpoint_url(text("AWS_ENDPOINT_URL"))
            .credentials_provider(credentials)
            .load()
            .await
    }

    /// An S3 client for the project's cloud.
    pub async fn s3(&self) -> aws_sdk_s3::Client {
        let sdk = self.sdk().await;
        aws_sdk_s3::Client::from_conf(aws_sdk_s3::config::Builder::from(&sdk).force_path_style(true).build())
    }

    /// Everything the project's cloud lists, by service; empty when nothing is there.
    pub async fn listings(&self) -> Vec<String> {
        let sdk = self.sdk().await;
        let mut found = Vec::new();
        let buckets = self.s3().await.list_buckets().send().await.unwrap();
        found.extend(buckets.buckets().iter().filter_map(|bucket| bucket.name()).map(|name| format!("bucket {name}")));
        let functions = aws_sdk_lambda::Client::new(&sdk).list_functions().send().await.unwrap();
        found.extend(
            functions.functions().iter().filter_map(|it| it.function_name()).map(|name| format!("function {name}")),
        );
        let roles = aws_sdk_iam::Client::new(&sdk).list_roles().send().await.unwrap();
        found.extend(roles.roles().iter().map(|role| format!("role {}", role.role_name())));
        let databases = aws_sdk_glue::Client::new(&sdk).get_databases().send().await.unwrap();
        found.extend(databases.database_list().iter().map(|database| format!("database {}", database.name())));
        let groups = aws_sdk_cloudwatchlogs::Client::new(&sdk).describe_log_groups().send().await.unwrap();
        found.extend(
            groups
                .log_groups()
                .iter()
                .filter_map(|it| it.log_group_name())
                // Glue makes it for all crawlers of the account: it is no lake's, and stays.
                .filter(|name| *name != "/aws-glue/crawlers")
                .map(|name| format!("log group {name}")),
        );
        found
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        if self.path().join("state/cloud").exists() {
            let _ = command(&self.path(), &["cloud", "stop"]).output();
        }
    }
}

/// Runs `lake` in a folder.
pub fn lake(folder: &Path, args: &[&str]) -> Ran {
    ran(&mut command(folder, args))
}

fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A `lake` command that inherits nothing of the tester's own AWS configuration.
pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(LAKE);
    command.args(args).current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_") || name.starts_with("LAKE_")) {
        command.env_remove(name);
    }
    command
}
