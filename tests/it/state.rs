//! `lake state` and `lake import`: what a person can do to a state, and what is done when it is lost or damaged.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;

use crate::world::{ORDERS, Project, Ran, command};

const RAW: &str = "aws:s3:Bucket/raw";

fn applied(toml: &str) -> Project {
    let project = Project::new(toml);
    project.lake(&["apply", "--yes"]).ok();
    project
}

fn retained() -> String {
    format!("{ORDERS}\n[stack.local]\non_destroy = \"retain\"\n")
}

fn state(project: &Project) -> PathBuf {
    project.path().join("state/local")
}

fn lose_state(project: &Project) {
    fs::remove_dir_all(state(project)).unwrap();
}

/// Runs `lake` with a failpoint.
fn failing(project: &Project, failpoint: &str, args: &[&str]) -> Ran {
    let output = command(&project.path(), args).env("LAKE_FAILPOINT", failpoint).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[track_caller]
fn assert_no_changes(project: &Project) {
    let plan = project.lake(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 0, "{}{}", plan.stdout, plan.stderr);
    let applied = project.lake(&["apply", "--yes", "--json"]).document();
    assert_eq!(applied["steps"], 0, "not even the state has anything to write down: {applied}");
    project.lake(&["state", "verify"]).ok();
}

async fn assert_destroyed(project: &Project) {
    project.lake(&["destroy", "--yes"]).ok();
    assert_eq!(project.listings().await, Vec::<String>::new());
}

/// Addresses with what the cloud knows each by.
fn identities(project: &Project) -> BTreeSet<(String, String)> {
    let listed = project.lake(&["state", "list", "--json"]).document();
    let resources = listed["resources"].as_object().unwrap().iter();
    resources.map(|(address, it)| (address.clone(), it["identity"].as_str().unwrap().to_owned())).collect()
}

fn raw_bucket(project: &Project) -> String {
    project.lake(&["state", "show", RAW, "--json"]).document()["identity"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_lost_state_is_recovered_from_the_tags_and_the_next_plan_has_no_changes() {
    let project = applied(ORDERS);
    let before = identities(&project);
    let outputs = project.lake(&["outputs", "--json"]).document();
    lose_state(&project);
    let dry = project.lake(&["state", "recover"]);
    assert_eq!(dry.code, 64, "nobody is there to ask: {}", dry.stderr);
    project.lake(&["state", "recover", "--yes"]).ok();
    assert_eq!(identities(&project), before);
    assert_eq!(project.lake(&["outputs", "--json"]).document(), outputs);
    assert_no_changes(&project);
    let again = project.lake(&["state", "recover", "--yes"]).failed();
    assert!(again.contains("there is a state"), "{again}");
    assert_destroyed(&project).await;
}

#[tokio::test]
async fn the_state_of_a_lake_with_a_transform_is_recovered_too() {
    let project = Project::clean_flights();
    project.lake(&["apply", "--yes"]).ok();
    lose_state(&project);
    project.lake(&["state", "recover", "--yes"]).ok();
    assert_no_changes(&project);
    assert_destroyed(&project).await;
}

#[tokio::test]
async fn a_state_lost_in_the_middle_of_an_apply_is_recovered_as_far_as_it_came() {
    let project = Project::new(ORDERS);
    project.lake(&["plan"]).ok();
    assert_ne!(failing(&project, "state:20:kill", &["apply", "--yes"]).code, 0);
    lose_state(&project);
    project.lake(&["state", "recover", "--yes"]).ok();
    project.lake(&["apply", "--yes"]).ok();
    assert_no_changes(&project);
    let buckets = project.listings().await.iter().filter(|it| it.starts_with("bucket")).count();
    assert_eq!(buckets, 3, "no orphan, no duplicate");
    assert_destroyed(&project).await;
}

#[tokio::test]
async fn buckets_that_a_destroy_left_are_recovered_and_taken_up_again() {
    let project = applied(&retained());
    let raw = raw_bucket(&project);
    project.lake(&["destroy", "--yes"]).ok();
    lose_state(&project);
    project.lake(&["state", "recover", "--yes"]).ok();
    assert_eq!(raw_bucket(&project), raw);
    project.lake(&["apply", "--yes"]).ok();
    assert_eq!(raw_bucket(&project), raw);
    assert_no_changes(&project);
    project.write("lake.toml", ORDERS);
    project.lake(&["apply", "--yes"]).ok();
    assert_destroyed(&project).await;
}

#[tokio::test]
async fn of_two_states_that_were_lost_one_is_chosen_by_its_lineage() {
    let project = applied(ORDERS);
    let raw = raw_bucket(&project);
    lose_state(&project);
    project.lake(&["apply", "--yes"]).ok();
    let other = raw_bucket(&project);
    assert_ne!(raw, other);
    let second = project.lake(&["state", "list", "--json"]).document()["lineage"].as_str().unwrap().to_owned();
    lose_state(&project);
    let refused = project.lake(&["state", "recover", "--yes"]).failed();
    assert!(refused.contains(&second) && refused.contains("--lineage"), "{refused}");
    project.lake(&["state", "recover", "--yes", "--lineage", &second]).ok();
    assert_eq!(raw_bucket(&project), other);
    project.lake(&["destroy", "--yes"]).ok();
    lose_state(&project);
    project.lake(&["state", "recover", "--yes"]).ok();
    assert_eq!(raw_bucket(&project), raw);
    assert_destroyed(&project).await;
}

#[tokio::test]
async fn what_is_recovered_and_no_longer_declared_is_deleted_by_the_next_apply() {
    let project = applied(&format!("{ORDERS}\n[dataset.clicks]\nsource = \"clicks/\"\n"));
    lose_state(&project);
    project.write("lake.toml", ORDERS);
    let recovered = project.lake(&["state", "recover", "--yes", "--json"]).document();
    let undeclared = recovered["undeclared"].as_array().unwrap();
    assert!(undeclared.iter().any(|it| it.as_str().unwrap().starts_with("aws:glue:Crawler/")), "{recovered}");
    project.lake(&["apply", "--yes"]).ok();
    assert_no_changes(&project);
    assert_destroyed(&project).await;
}

#[tokio::test]
async fn what_takes_no_tags_and_is_part_of_nothing_is_recovered_by_its_name() {
    let project = applied(&format!("{ORDERS}\n[dataset.orders.csv]\ndelimiter = \";\"\nheader = true\n"));
    let glue = aws_sdk_glue::Client::new(&project.sdk().await);
    let classifiers = async || glue.get_classifiers().send().await.unwrap().classifiers.unwrap_or_default().len();
    assert_eq!(classifiers().await, 1);
    let before = identities(&project);
    lose_state(&project);
    project.lake(&["state", "recover", "--yes"]).ok();
    assert_eq!(identities(&project), before);
    assert_no_changes(&project);
    project.write(
        "lake.toml",
        ORDERS.replace("[dataset.orders.schema]", "[dataset.orders.csv]\nheader = true\n\n[dataset.orders.schema]"),
    );
    project.lake(&["apply", "--yes"]).ok();
    assert_no_changes(&project);
    assert_destroyed(&project).await;
    assert_eq!(classifiers().await, 0);
}

#[test]
fn a_resource_moves_to_another_address_and_keeps_its_name() {
    let project = applied(ORDERS);
    let raw = raw_bucket(&project);
    for (wrong, expected) in [
        (["state", "mv", RAW, "aws:s3:Bucket/processed"], "is in the state already"),
        (["state", "mv", "aws:s3:Bucket/none", "aws:s3:Bucket/new"], "is not in the state"),
    ] {
        let refused = project.lake(&wrong).failed();
        assert!(refused.contains(expected), "{refused}");
    }
    assert_eq!(project.lake(&["state", "mv", RAW, "aws:iam:Role/raw"]).code, 64);
    project.lake(&["state", "mv", RAW, "aws:s3:Bucket/landing"]).ok();
    let moved = project.lake(&["state", "show", "aws:s3:Bucket/landing", "--json"]).document();
    assert_eq!(moved["identity"], raw.as_str());
    let plan = project.lake(&["plan", "--json"]).document();
    let change = |address: &str| {
        let changes = plan["changes"].as_array().unwrap().iter();
        changes.filter(|it| it["address"] == address).map(|it| it["action"].clone()).next()
    };
    assert_eq!(change("aws:s3:Bucket/landing"), Some("delete".into()));
    assert_eq!(change(RAW), Some("create".into()));
    project.lake(&["state", "mv", "aws:s3:Bucket/landing", RAW]).ok();
    assert_eq!(raw_bucket(&project), raw);
    assert_no_changes(&project);
}

#[test]
fn a_move_that_is_killed_at_any_write_has_happened_or_has_not() {
    let project = applied(ORDERS);
    let (mut here, mut there) = ("aws:iam:Role/intake".to_owned(), "aws:iam:Role/taker".to_owned());
    let role = |address: &str| project.lake(&["state", "show", address, "--json"]).code == 0;
    assert!(role(&here), "{:?}", identities(&project));
    for write in 1.. {
        assert!(write < 20, "it ends");
        let ran = failing(&project, &format!("state:{write}:kill"), &["state", "mv", &here, &there]);
        project.lake(&["refresh"]).ok();
        project.lake(&["state", "verify"]).ok();
        assert!(role(&here) != role(&there), "write {write}: it is at one of them");
        if role(&there) {
            std::mem::swap(&mut here, &mut there);
        }
        if ran.code == 0 {
            break;
        }
    }
    if here != "aws:iam:Role/intake" {
        project.lake(&["state", "mv", &here, &there]).ok();
    }
    assert_no_changes(&project);
}

#[tokio::test]
async fn what_was_forgotten_stays_in_the_cloud_and_is_taken_up_again() {
    let project = applied(ORDERS);
    let raw = raw_bucket(&project);
    let refused = project.lake(&["state", "rm", RAW, "--yes"]).failed();
    assert!(refused.contains("depend on") && refused.contains("--with-dependents"), "{refused}");
    let listed = project.listings().await;
    project.lake(&["state", "rm", RAW, "--yes", "--with-dependents"]).ok();
    assert_eq!(project.lake(&["state", "show", RAW]).code, 1);
    assert_eq!(project.listings().await, listed);
    project.lake(&["apply", "--yes"]).ok();
    assert_eq!(raw_bucket(&project), raw);
    assert_eq!(project.listings().await, listed, "nothing was made twice");
    assert_no_changes(&project);
}

#[tokio::test]
async fn a_bucket_that_was_there_before_the_lake_is_imported_with_what_lies_in_it() {
    let project = Project::new(ORDERS);
    project.lake(&["plan"]).ok();
    let s3 = project.s3().await;
    let place = || {
        aws_sdk_s3::types::CreateBucketConfiguration::builder()
            .location_constraint(aws_sdk_s3::types::BucketLocationConstraint::from("eu-west-1"))
    };
    s3.create_bucket().bucket("old-files").create_bucket_configuration(place().build()).send().await.unwrap();
    s3.put_object().bucket("old-files").key("kept").body(b"x".to_vec().into()).send().await.unwrap();
    let tag = |key: &str, value: &str| aws_sdk_s3::types::Tag::builder().key(key).value(value).build().unwrap();
    let theirs = [("name", "x"), ("stack", "y"), ("lineage", "z"), ("address", RAW), ("generation", "1")];
    let theirs = theirs.map(|(key, value)| tag(&format!("lake:{key}"), value));
    let theirs = place().set_tags(Some(theirs.to_vec())).build();
    s3.create_bucket().bucket("their-files").create_bucket_configuration(theirs).send().await.unwrap();

    let refused = project.lake(&["import", RAW, "their-files", "--yes"]).failed();
    assert!(refused.contains("carries the tags of lake `x`"), "{refused}");
    let refused = project.lake(&["import", RAW, "no-files", "--yes"]).failed();
    assert!(refused.contains("the cloud has no"), "{refused}");
    assert_eq!(project.lake(&["import", "aws:s3:Bucket/none", "old-files", "--yes"]).code, 64);
    let part = ["import", "aws:s3:BucketVersioning/raw", "old-files", "--yes"];
    assert!(project.lake(&part).failed().contains("which is not in the state"));

    project.lake(&["import", RAW, "old-files", "--yes"]).ok();
    let twice = project.lake(&["import", RAW, "old-files", "--yes"]).failed();
    assert!(twice.contains("is in the state already"), "{twice}");
    project.lake(&["apply", "--yes"]).ok();
    assert_eq!(project.lake(&["outputs", "--json"]).document()["raw_bucket"], "old-files");
    s3.head_object().bucket("old-files").key("kept").send().await.expect("it is still there");
    assert_no_changes(&project);

    lose_state(&project);
    project.lake(&["state", "recover", "--yes", "--any-name"]).ok();
    assert_eq!(raw_bucket(&project), "old-files");
    assert_no_changes(&project);
    project.lake(&["destroy", "--yes"]).ok();
    assert_eq!(project.listings().await, ["bucket their-files"]);
}

#[test]
fn history_tells_every_command_with_what_it_did_and_the_state_of_then_can_be_seen() {
    let project = applied(ORDERS);
    project.write("lake.toml", ORDERS.replace("decimal(10,2)", "decimal(12,2)"));
    project.lake(&["apply", "--yes"]).ok();
    project.lake(&["destroy", "--yes"]).ok();
    let history = project.lake(&["state", "history", "--json"]).document();
    let runs = history["runs"].as_array().unwrap();
    let commands: Vec<&str> = runs.iter().map(|run| run["command"].as_str().unwrap()).collect();
    assert_eq!(commands, ["apply", "apply", "destroy"], "{history}");
    let count = |run: usize, what: &str| runs[run][what].as_u64().unwrap();
    assert!(count(0, "created") > 20 && count(0, "deleted") == 0, "{history}");
    assert!(count(1, "updated") >= 2, "{history}");
    assert_eq!(count(2, "deleted"), count(0, "created") + count(1, "created") - count(1, "deleted"));
    assert!(runs.iter().all(|run| run["open"].as_array().unwrap().is_empty() && run["pid"].as_u64() > Some(0)));

    let serial = runs[0]["to"].to_string();
    let then = project.lake(&["state", "list", "--json", "--at", &serial]).document();
    assert_eq!(then["resources"].as_object().unwrap().len() as u64, count(0, "created"));
    project.lake(&["state", "show", RAW, "--at", &serial]).ok();
    assert_eq!(project.lake(&["state", "show", RAW]).code, 1);
    let edits = project.lake(&["state", "history", &serial, "--json"]).document();
    let first: &Value = &edits["edits"][0]["edit"];
    assert_eq!(first["run"]["command"], "apply", "{first}");
    let beyond = project.lake(&["state", "list", "--at", "99999"]).failed();
    assert!(beyond.contains("is not kept"), "{beyond}");
    let text = project.lake(&["state", "history"]).ok();
    assert!(text.contains("destroy") && text.contains("deleted"), "{text}");
}

#[test]
fn an_apply_that_was_killed_is_in_the_history_with_what_it_left_open() {
    let project = Project::new(ORDERS);
    project.lake(&["plan"]).ok();
    assert_ne!(failing(&project, "state:20:kill", &["apply", "--yes"]).code, 0);
    let runs = project.lake(&["state", "history", "--json"]).document();
    assert!(!runs["runs"][0]["open"].as_array().unwrap().is_empty(), "{runs}");
    assert!(project.lake(&["state", "history"]).ok().contains("left open"));
}

#[tokio::test]
async fn a_base_that_is_damaged_or_gone_is_repaired_from_the_history_and_nothing_changes() {
    let project = applied(ORDERS);
    let before = identities(&project);
    let base = state(&project).join("state.json");
    for damage in 0..3 {
        let sound = fs::read(&base).unwrap();
        match damage {
            0 => fs::write(&base, &sound[..sound.len() / 2]).unwrap(),
            1 => fs::write(&base, String::from_utf8(sound).unwrap().replace("orders", "ordres")).unwrap(),
            _ => fs::remove_file(&base).unwrap(),
        }
        for command in [&["plan"][..], &["state", "verify"], &["state", "repair"]] {
            let refused = project.lake(command).failed();
            assert!(refused.contains("repair") || refused.contains("--yes"), "{refused}");
        }
        project.lake(&["state", "repair", "--yes"]).ok();
        assert_eq!(identities(&project), before);
        assert_no_changes(&project);
    }
    let kept = fs::read_dir(state(&project)).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    assert!(kept.filter(|name| name.starts_with("state.json.damaged-")).count() >= 1);
    assert_destroyed(&project).await;
}

#[tokio::test]
async fn a_journal_damaged_in_the_middle_is_cut_and_nothing_of_it_is_left_behind_in_the_cloud() {
    let project = Project::new(ORDERS);
    project.lake(&["plan"]).ok();
    assert_ne!(failing(&project, "state:24:kill", &["apply", "--yes"]).code, 0);
    let journal = state(&project).join("journal");
    let mut bytes = fs::read(&journal).unwrap();
    let place = bytes.len() / 3;
    bytes[place] ^= 1;
    fs::write(&journal, &bytes).unwrap();
    let refused = project.lake(&["apply", "--yes"]).failed();
    assert!(refused.contains("of its journal is damaged"), "{refused}");
    let repaired = project.lake(&["state", "repair", "--yes"]).ok();
    assert!(repaired.contains("asked for in the cloud"), "{repaired}");
    project.lake(&["state", "recover", "--missing", "--yes"]).ok();
    project.lake(&["apply", "--yes"]).ok();
    assert_no_changes(&project);
    let buckets = project.listings().await.iter().filter(|it| it.starts_with("bucket")).count();
    assert_eq!(buckets, 3, "no orphan, no duplicate");
    assert_destroyed(&project).await;
}

#[tokio::test]
async fn a_state_of_which_nothing_is_left_is_recovered() {
    let project = applied(ORDERS);
    let _ = fs::remove_dir_all(state(&project).join("history"));
    fs::write(state(&project).join("state.json"), "{ torn").unwrap();
    fs::remove_file(state(&project).join("journal")).unwrap();
    let lost = project.lake(&["state", "repair", "--yes"]).failed();
    assert!(lost.contains("lake state recover"), "{lost}");
    project.lake(&["state", "recover", "--yes"]).ok();
    assert_no_changes(&project);
    assert_destroyed(&project).await;
}

#[test]
fn damage_in_the_history_is_found_and_taken_out() {
    let project = applied(ORDERS);
    project.write("lake.toml", ORDERS.replace("decimal(10,2)", "decimal(12,2)"));
    project.lake(&["apply", "--yes"]).ok();
    let mut kept: Vec<PathBuf> =
        fs::read_dir(state(&project).join("history")).unwrap().map(|it| it.unwrap().path()).collect();
    kept.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    fs::write(&kept[0], "{").unwrap();
    let unsound = project.lake(&["state", "verify"]).failed();
    assert!(unsound.contains("in the history"), "{unsound}");
    project.lake(&["state", "repair", "--yes"]).ok();
    assert_no_changes(&project);
}
