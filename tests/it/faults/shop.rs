//! A lake with two datasets, one with a crawler and one without, and what people do with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

use aws_sdk_lambda::primitives::Blob;
use serde_json::Value;

use super::scenario::{Content, Scenario, Step};
use crate::{
    record::confirm_mails,
    world::{ORDERS, Project},
};

/// Timeout of intake and convert: a claim dies with the invocation that made it.
const TIMEOUT_SECONDS: i32 = 10;

/// How long everything may take to settle once nothing goes wrong any more. Three claims may have to die.
const PATIENCE: Duration = Duration::from_secs(180);

/// Pause between two looks, and between two sweeps.
const PAUSE: Duration = Duration::from_millis(100);
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// Longest time from a cloud's not answering to its process being gone.
const DYING: Duration = Duration::from_secs(5);

/// Functions whose logs are kept of a run that failed.
const FUNCTIONS: [&str; 3] = ["intake", "convert", "sweep"];

/// A file in the raw bucket, and all that it ever held.
#[derive(Debug, Clone)]
pub struct File {
    pub dataset: &'static str,
    pub key: String,
    /// Entity tags and contents in the order in which they were put.
    pub versions: Vec<(String, Content)>,
    pub is_deleted: bool,
}

/// The lake, and what is known of it.
pub struct Lake {
    pub project: Project,
    outputs: Value,
    pub s3: aws_sdk_s3::Client,
    lambda: aws_sdk_lambda::Client,
    /// By key.
    pub files: BTreeMap<String, File>,
    /// Keys of run reports that were looked at, with the ids of their runs.
    pub runs: BTreeMap<String, String>,
    /// What was committed: key and generation.
    pub generations: BTreeSet<(String, u64)>,
    /// Faults that really happened, by name.
    pub happened: BTreeMap<String, u64>,
}

impl Lake {
    /// An applied lake; somebody is told by mail.
    pub async fn start() -> Lake {
        let toml = ORDERS.replace("[lake]\n", "[lake]\nalerts = [\"ann@example.com\"]\n");
        let receipts =
            "\n[dataset.receipts]\nsource = \"receipts/\"\ncatalog = \"direct\"\n\n[dataset.receipts.schema]";
        let schema = ORDERS.split("[dataset.orders.schema]").nth(1).unwrap();
        let project = Project::new(&format!("{toml}{receipts}{schema}"));
        project.lake(&["apply", "--yes"]).ok();
        confirm_mails(&project).await;
        let outputs = project.lake(&["outputs", "--json"]).document();
        let (s3, lambda) = clients(&project).await;
        let lake = Lake {
            project,
            outputs,
            s3,
            lambda,
            files: BTreeMap::new(),
            runs: BTreeMap::new(),
            generations: BTreeSet::new(),
            happened: BTreeMap::new(),
        };
        for function in ["intake_function", "convert_function"] {
            let update = lake.lambda.update_function_configuration().function_name(lake.output(function));
            update.timeout(TIMEOUT_SECONDS).send().await.unwrap();
        }
        lake
    }

    pub fn output(&self, name: &str) -> &str {
        self.outputs[name].as_str().unwrap_or_else(|| panic!("{name} in {}", self.outputs))
    }

    /// One run: work under faults, then peace, then the verdict.
    pub async fn run(&mut self, scenario: &Scenario) {
        for (dataset, key) in &scenario.files {
            let file = File { dataset, key: key.clone(), versions: Vec::new(), is_deleted: true };
            self.files.insert(key.clone(), file);
        }
        let keys: Vec<String> = scenario.files.iter().map(|(_, key)| key.clone()).collect();
        self.take(&keys, &scenario.before).await;
        self.settle(&keys).await;

        let path = self.project.write("faults.json", scenario.plan.to_string());
        self.project.lake(&["cloud", "faults", &path]).ok();
        self.take(&keys, &scenario.steps).await;
        self.rest(Duration::from_millis(scenario.rest_ms)).await;
        self.end_faults().await;

        self.settle(&keys).await;
        self.retry(&keys).await;
        self.judge(&keys).await;
    }

    async fn take(&mut self, keys: &[String], steps: &[Step]) {
        for step in steps {
            match step {
                Step::Put { file, content } => self.put(&keys[*file], content).await,
                Step::Delete { file } => self.delete(&keys[*file]).await,
                Step::Rest(milliseconds) => self.rest(Duration::from_millis(*milliseconds)).await,
            }
        }
    }

    async fn put(&mut self, key: &str, content: &Content) {
        let body = content.text().into_bytes();
        let etag = loop {
            let put = self.s3.put_object().bucket(self.output("raw_bucket")).key(key).body(body.clone().into());
            match put.send().await {
                Ok(put) => break put.e_tag.unwrap(),
                // What is not acknowledged is put again.
                Err(error) => self.recover(key, error).await,
            }
        };
        let file = self.files.get_mut(key).unwrap();
        file.versions.push((etag, content.clone()));
        file.is_deleted = false;
    }

    async fn delete(&mut self, key: &str) {
        while let Err(error) = self.s3.delete_object().bucket(self.output("raw_bucket")).key(key).send().await {
            self.recover(key, error).await;
        }
        self.files.get_mut(key).unwrap().is_deleted = true;
    }

    /// Waits; starts the cloud again should it die meanwhile, as its user would.
    async fn rest(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            tokio::time::sleep(PAUSE.min(time)).await;
            self.revive().await;
        }
    }

    /// Starts the cloud again if it has died, and says whether it had.
    async fn revive(&mut self) -> bool {
        let pid = rustix::process::Pid::from_raw(self.project.cloud_pid()).unwrap();
        if rustix::process::test_kill_process(pid).is_ok() {
            return false;
        }
        self.project.lake(&["cloud", "start"]).ok();
        (self.s3, self.lambda) = clients(&self.project).await;
        *self.happened.entry("clouds_killed".to_owned()).or_default() += 1;
        true
    }

    /// What failed must have failed because the cloud is dying or dead: it is started again.
    async fn recover(&mut self, failed: &str, error: impl std::fmt::Debug) {
        let begun = Instant::now();
        while !self.revive().await {
            assert!(begun.elapsed() < DYING, "{failed}: {error:?}");
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn end_faults(&mut self) {
        let counts = self.persist(&["cloud", "faults", "--json"]).await;
        for (fault, count) in counts["counts"].as_object().unwrap() {
            *self.happened.entry(fault.clone()).or_default() += count.as_u64().unwrap();
        }
        self.persist(&["cloud", "faults", "--off", "--json"]).await;
    }

    /// Runs a command, again and again while the cloud is dying.
    async fn persist(&mut self, args: &[&str]) -> Value {
        loop {
            let ran = self.project.lake(args);
            if ran.code == 0 {
                return ran.document();
            }
            self.recover(&args.join(" "), ran).await;
        }
    }

    /// Waits until nothing is pending and all of `keys` have come to their end: a while by itself, then with sweeps.
    async fn settle(&mut self, keys: &[String]) {
        let begun = Instant::now();
        let mut swept = Instant::now();
        loop {
            let Some(reason) = self.unsettled(keys).await else { return };
            assert!(begun.elapsed() < PATIENCE, "not settled: {reason}");
            if swept.elapsed() > SWEEP_PAUSE {
                if let Err(error) = self.sweep().await {
                    super::say(&format!("a sweep failed: {error}"));
                }
                *self.happened.entry("sweeps".to_owned()).or_default() += 1;
                swept = Instant::now();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Runs the sweep now, whatever the age of what it finds.
    async fn sweep(&self) -> Result<Value, String> {
        let payload = Blob::new(br#"{"grace_seconds": 0}"#.as_slice());
        let invoke = self.lambda.invoke().function_name(self.output("sweep_function")).payload(payload);
        let answer = invoke.send().await.map_err(|error| format!("{error:?}"))?;
        let text = String::from_utf8_lossy(answer.payload().map(AsRef::as_ref).unwrap_or_default()).into_owned();
        match answer.function_error() {
            Some(_) => Err(text),
            None => Ok(serde_json::from_str(&text).unwrap()),
        }
    }

    /// A file that could be converted may have been parked: its invocations were killed too often. Somebody was told,
    /// and asks for another try.
    async fn retry(&mut self, keys: &[String]) {
        let mut retried = false;
        for key in keys {
            let file = self.files[key].clone();
            if self.parked(&file).await.is_some() && !file.is_alien() && !file.is_deleted {
                self.project.lake(&["retry", file.dataset, key]).ok();
                *self.happened.entry("parked_under_faults".to_owned()).or_default() += 1;
                retried = true;
            }
        }
        if retried {
            self.settle(keys).await;
        }
    }

    /// Saves what the functions logged; returns the folder.
    pub fn keep_logs(&self, seed: u64) -> String {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("faults-{seed}"));
        std::fs::create_dir_all(&folder).unwrap();
        for function in FUNCTIONS {
            let ran = self.project.lake(&["logs", function]);
            std::fs::write(folder.join(format!("{function}.log")), ran.stdout).unwrap();
        }
        let status = self.project.lake(&["status", "--json"]).stdout;
        std::fs::write(folder.join("status.json"), status).unwrap();
        folder.display().to_string()
    }
}

impl File {
    /// Entity tag and content of the version that is there, or was last.
    pub fn last(&self) -> Option<&(String, Content)> {
        self.versions.last()
    }

    /// Whether nobody can convert what it is now.
    pub fn is_alien(&self) -> bool {
        matches!(self.last(), Some((_, Content::Alien(_))))
    }
}

async fn clients(project: &Project) -> (aws_sdk_s3::Client, aws_sdk_lambda::Client) {
    (project.s3().await, aws_sdk_lambda::Client::new(&project.sdk().await))
}
