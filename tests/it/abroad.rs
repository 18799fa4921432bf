//! A lake on a cloud that is not its own, with `cloud = "aws"`, and another client that meddles with it.

use std::{collections::BTreeSet, path::PathBuf, process::Command};

use serde_json::Value;

use crate::{
    python,
    world::{Project, Ran},
};

/// The stack that every such lake has.
pub const STACK: &str = "prod";

/// The region that it is in.
pub const REGION: &str = "eu-west-1";

/// A crawled dataset and a direct one.
const DATASETS: &str = r#"
[dataset.orders]
source = "orders/"

[dataset.orders.schema]
id = "int64"
price = "decimal(10,2)"

[dataset.days]
source = "days/"
catalog = "direct"

[dataset.days.schema]
id = "int64"
day = "date"
"#;

/// One more of each, declared by a change.
const MORE_DATASETS: &str = r#"
[dataset.trips]
source = "trips/"

[dataset.trips.schema]
id = "int64"

[dataset.stops]
source = "stops/"
catalog = "direct"

[dataset.stops.schema]
id = "int64"
"#;

/// What a file of the direct dataset says; one row is not of its types.
const DAYS: &str = "id,day\n1,2026-01-01\n2,2026-01-02\nx,y\n";

/// Variables that make a client of AWS's call this endpoint with this key, whatever the tester has configured.
pub fn variables(endpoint: &str, key: [&str; 2]) -> Vec<(String, String)> {
    let nowhere = "/nonexistent/aws";
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", key[0]),
        ("AWS_SECRET_ACCESS_KEY", key[1]),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_CONFIG_FILE", nowhere),
        ("AWS_SHARED_CREDENTIALS_FILE", nowhere),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// What is to be minded on a cloud that is not quite AWS.
pub struct Ways {
    /// Does, after each apply, what the cloud has not done.
    pub tend: fn(&Abroad),
    /// What every plan changes there.
    pub always: &'static [&'static str],
    /// Whether files that are put become rows there.
    pub puts: bool,
}

/// A project whose stack is at an endpoint.
pub struct Abroad {
    pub project: Project,
    endpoint: String,
    /// Whom `lake apply`, `plan`, `refresh` and `destroy` are run as.
    pub caller: Vec<(String, String)>,
    /// Who may do everything: the other client, and whoever puts files.
    pub root: Vec<(String, String)>,
    python: PathBuf,
}

impl Abroad {
    /// The lake in `project`, on the cloud at `endpoint`, whose root has this key.
    pub fn new(project: Project, endpoint: &str, root: [&str; 2]) -> Abroad {
        let root = variables(endpoint, root);
        let python = python::environment("ministack.txt").join("python");
        let abroad = Abroad { project, endpoint: endpoint.to_owned(), caller: root.clone(), root, python };
        abroad.declare(&["ann@example.com"], "", "delete");
        abroad
    }

    /// Writes `lake.toml`.
    pub fn declare(&self, alerts: &[&str], more: &str, on_destroy: &str) {
        let endpoint = &self.endpoint;
        let toml = format!(
            "[lake]\nname = \"shop\"\nregion = \"{REGION}\"\nalerts = {alerts:?}\n\n[stack.{STACK}]\ncloud = \"aws\"\n\
             endpoint_url = \"{endpoint}\"\non_destroy = \"{on_destroy}\"\n{DATASETS}{more}"
        );
        self.project.write("lake.toml", toml);
    }

    /// Runs `lake` on the stack as its caller.
    pub fn lake(&self, args: &[&str]) -> Ran {
        self.project.lake_with(&self.caller, &[args, &["--stack", STACK]].concat())
    }

    /// Runs the other client, as root.
    pub fn other(&self, args: &[&str]) -> Value {
        let mut command = Command::new(&self.python);
        command.arg(python::scripts().join("another_cloud.py")).args(args).envs(self.root.iter().cloned());
        serde_json::from_str(&python::run(&mut command)).unwrap()
    }

    /// Makes an IAM user who may do what `policy` says, and nothing else; from now on it is the caller.
    pub fn as_user(&mut self, policy: &str) {
        let file = self.project.write("policy.json", policy);
        let key = self.other(&["user", "deployer", &file]);
        let part = |place: usize| key[place].as_str().unwrap().to_owned();
        self.caller = variables(&self.endpoint, [&part(0), &part(1)]);
    }

    /// The addresses that a plan would change.
    #[track_caller]
    pub fn planned(&self) -> BTreeSet<String> {
        let plan = self.lake(&["plan", "--json"]).document();
        let changes = plan["changes"].as_array().unwrap();
        changes.iter().map(|change| change["address"].as_str().unwrap().to_owned()).collect()
    }

    /// A file of the direct dataset is put, by root, and becomes rows of a table.
    pub fn put_and_show(&self) {
        let csv = self.project.write("days.csv", DAYS);
        let lake = |args: &[&str]| self.project.lake_with(&self.root, &[args, &["--stack", STACK]].concat());
        lake(&["put", "days", &csv, "--wait"]).ok();
        let rows = lake(&["show", "days", "--json"]).documents();
        let days: BTreeSet<&str> = rows.iter().filter_map(|row| row["day"].as_str()).collect();
        assert_eq!(days, ["2026-01-01", "2026-01-02"].into(), "{rows:?}");
    }

    /// Everything that such a lake goes through: it is made, stays as it is, is fed, is changed, drifts, is put right,
    /// and goes.
    pub fn whole_life(&self, ways: &Ways) {
        let Ways { tend, always, puts } = ways;
        let always: BTreeSet<String> = always.iter().map(|address| (*address).to_owned()).collect();
        self.lake(&["apply", "--yes"]).ok();
        tend(self);
        assert_eq!(self.planned(), always, "after the first apply nothing else changes");
        if *puts {
            self.put_and_show();
        }

        self.declare(&["ann@example.com", "bob@example.com"], MORE_DATASETS, "delete");
        let planned = self.planned();
        for made in ["aws:sns:Subscription/bob@example.com", "aws:glue:Crawler/trips", "aws:s3:Prefix/stops"] {
            assert!(planned.contains(made), "{made}: {planned:?}");
        }
        self.lake(&["apply", "--yes"]).ok();
        tend(self);
        assert_eq!(self.planned(), always, "after a change nothing else changes");

        let drifted = self.other(&["meddle", STACK]);
        let drifted = drifted.as_array().unwrap().iter().map(|address| address.as_str().unwrap().to_owned());
        let expected: BTreeSet<String> = drifted.chain(always.iter().cloned()).collect();
        assert_eq!(self.planned(), expected, "what was changed behind lake's back, and nothing else");
        self.lake(&["refresh"]).ok();
        assert_eq!(self.planned(), expected, "also once the state knows of it");
        self.lake(&["apply", "--yes"]).ok();
        tend(self);
        assert_eq!(self.planned(), always, "drift is put right");

        self.declare(&["ann@example.com"], "", "delete");
        self.lake(&["apply", "--yes"]).ok();
        tend(self);
        self.other(&["leave", STACK]);
        self.lake(&["destroy", "--yes"]).ok();
        self.assert_nothing_is_left();
    }

    /// Every listing is empty.
    #[track_caller]
    pub fn assert_nothing_is_left(&self) {
        let left = self.other(&["list"]);
        for (kind, found) in left.as_object().unwrap() {
            assert_eq!(found, &Value::Array(Vec::new()), "{kind}: {left}");
        }
    }
}
