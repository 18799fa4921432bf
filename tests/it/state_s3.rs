//! State in a bucket: the real binary, several of it at once, killed and interrupted.

use std::{process::Stdio, thread, time::Duration};

use aws_sdk_s3::{
    Client,
    primitives::ByteStream,
    types::{BucketLocationConstraint, CreateBucketConfiguration},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::world::{ORDERS, Project, command};

const BUCKET: &str = "team-state";
const STATE: &str = "\n[stack.local]\nstate = \"s3://team-state/lakes\"\n";

fn toml() -> String {
    format!("{ORDERS}{STATE}")
}

async fn make_bucket(project: &Project) {
    project.lake(&["cloud", "start"]).ok();
    let constraint = BucketLocationConstraint::from("eu-west-1");
    let configuration = CreateBucketConfiguration::builder().location_constraint(constraint).build();
    let made = project.s3().await.create_bucket().bucket(BUCKET).create_bucket_configuration(configuration);
    made.send().await.unwrap();
}

/// A project whose state lies in a bucket that is there.
async fn project() -> Project {
    let project = Project::new(&toml());
    make_bucket(&project).await;
    project
}

/// What the lock's object says; `None` when there is none.
async fn lock(s3: &Client) -> Option<Value> {
    let got = s3.get_object().bucket(BUCKET).key("lakes/local/lock").send().await.ok()?;
    serde_json::from_slice(&got.body.collect().await.unwrap().into_bytes()).ok()
}

async fn is_free(s3: &Client) -> bool {
    lock(s3).await.is_none_or(|lock| lock.get("free").is_some())
}

/// Everything the cloud lists besides the bucket of the state.
async fn listings(project: &Project) -> Vec<String> {
    let mut listed = project.listings().await;
    listed.retain(|line| line != &format!("bucket {BUCKET}"));
    listed
}

#[tokio::test]
async fn a_stack_whose_state_lies_in_a_bucket_is_applied_looked_at_and_destroyed() {
    let project = Project::new(&format!("{}\n[stack.other]\n", toml()));
    let missing = project.lake(&["plan"]).failed();
    assert!(missing.contains("`team-state`") && missing.contains("aws s3 mb s3://team-state"), "{missing}");
    make_bucket(&project).await;

    project.lake(&["apply", "--yes"]).ok();
    assert!(!project.path().join("state/local").exists(), "nothing of it lies in the project");
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0);
    assert!(project.lake(&["outputs", "--json"]).document()["raw_bucket"].is_string());
    for args in [&["graph"][..], &["status"], &["refresh"], &["state", "list"], &["state", "verify"]] {
        project.lake(args).ok();
    }
    assert!(is_free(&project.s3().await).await);
    let unlocked = project.lake(&["state", "unlock", "--json"]).document();
    assert_eq!(unlocked, json!({ "unlocked": false, "holder": null }));

    // Another stack keeps its state here.
    assert_eq!(project.lake(&["--stack", "other", "plan", "--detailed-exitcode"]).code, 2);
    assert!(project.path().join("state/other/state.json").exists());

    let used = project.lake(&["cloud", "reset"]).failed();
    assert!(used.contains("`local`"), "{used}");
    project.lake(&["destroy", "--yes"]).ok();
    assert_eq!(listings(&project).await, Vec::<String>::new());
}

#[tokio::test]
async fn state_that_was_left_in_the_project_is_not_forgotten_when_the_place_changes() {
    let project = Project::new(ORDERS);
    project.lake(&["apply", "--yes"]).ok();
    make_bucket(&project).await;
    project.write("lake.toml", toml());
    let refused = project.lake(&["apply", "--yes"]).failed();
    assert!(refused.contains("aws s3 cp") && refused.contains("s3://team-state/lakes/local/state.json"), "{refused}");

    let file = project.path().join("state/local/state.json");
    let put = project.s3().await.put_object().bucket(BUCKET).key("lakes/local/state.json");
    put.body(ByteStream::from(std::fs::read(&file).unwrap())).send().await.unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0);
    project.lake(&["destroy", "--yes"]).ok();
    assert_eq!(listings(&project).await, Vec::<String>::new());
}

#[tokio::test]
async fn of_two_applies_at_once_one_waits_and_finds_nothing_left_to_do() {
    let project = project().await;
    let both = [0, 1].map(|_| project.spawn(&["--lock-timeout", "300", "apply", "--yes"]));
    let outputs = both.map(|apply| apply.wait_with_output().unwrap());
    for output in &outputs {
        assert!(output.status.success(), "{output:?}");
    }
    let said = outputs.map(|output| String::from_utf8(output.stdout).unwrap());
    assert_eq!(said.iter().filter(|said| said.starts_with("no changes")).count(), 1, "{said:?}");
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0);
}

#[tokio::test]
async fn an_apply_that_was_killed_is_gone_on_with_and_its_lock_taken_over() {
    let project = project().await;
    let mut killed = command(&project.path(), &["apply", "--yes"]);
    let killed = killed.env("LAKE_FAILPOINT", "state:20:kill").output().unwrap();
    assert_eq!(killed.status.code(), None, "{killed:?}");
    assert!(!is_free(&project.s3().await).await);
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 2, "a plan needs no lock");

    let next = project.lake(&["apply", "--yes"]);
    assert!(next.stderr.contains("took over the lock of `lake apply`"), "{}", next.stderr);
    next.ok();
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0);
    project.lake(&["state", "verify"]).ok();
    project.lake(&["destroy", "--yes"]).ok();
    assert_eq!(listings(&project).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_lock_of_somebody_who_lives_is_refused_with_its_holder_until_it_is_taken_away() {
    let project = project().await;
    project.lake(&["plan"]).ok();
    let holder = json!({ "held": {
        "id": "6e7b1f52-2a7e-4d2a-9f0e-0f4b6d1a0c11", "pid": 42, "host": "build-7", "command": "destroy",
        "since": "2030-01-01T00:00:00Z", "fence": 9, "machine": "another"
    } });
    let put = project.s3().await.put_object().bucket(BUCKET).key("lakes/local/lock");
    put.body(ByteStream::from(serde_json::to_vec(&holder).unwrap())).send().await.unwrap();

    let refused = project.lake(&["apply", "--yes"]).failed();
    assert!(refused.contains("locked by `lake destroy`, pid 42 on build-7"), "{refused}");
    let asked = project.lake(&["state", "unlock"]);
    assert!(asked.code != 0 && asked.stdout.contains("it lives: it was last heard of"), "{asked:?}");
    assert!(!is_free(&project.s3().await).await);
    let unlocked = project.lake(&["state", "unlock", "--yes"]).ok();
    assert!(unlocked.contains("can then record nothing more") && unlocked.contains("unlocked"), "{unlocked}");
    project.lake(&["apply", "--yes"]).ok();
    assert_eq!(lock(&project.s3().await).await.unwrap()["free"]["fence"], 10);
}

#[tokio::test]
async fn a_command_that_fails_or_is_interrupted_gives_its_lock_back() {
    let project = project().await;
    let nobody = project.lake(&["apply"]);
    assert!(nobody.code == 64 && nobody.stderr.contains("there is nobody to ask"), "{nobody:?}");
    assert!(is_free(&project.s3().await).await);

    let s3 = project.s3().await;
    for signal in [Signal::INT, Signal::TERM] {
        let mut apply = command(&project.path(), &["apply", "--yes"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        while is_free(&s3).await {
            assert_eq!(apply.try_wait().unwrap(), None, "it ended before its lock was seen");
            thread::sleep(Duration::from_millis(2));
        }
        kill_process(Pid::from_raw(apply.id() as i32).unwrap(), signal).unwrap();
        let output = apply.wait_with_output().unwrap();
        assert!(!output.status.success(), "{output:?}");
        assert!(is_free(&s3).await, "{output:?}");
    }
    project.lake(&["apply", "--yes"]).ok();
}
