//! Plan, apply, destroy: the control plane from the command line to the cloud's own listings.

use crate::world::{ORDERS, Project};

#[tokio::test]
async fn a_lake_is_planned_applied_left_alone_and_destroyed_without_a_trace() {
    let project = Project::new(ORDERS);
    let plan = project.lake(&["plan", "--json"]).document();
    assert_eq!(plan["summary"]["unchanged"], 0);
    let planned = plan["summary"]["create"].as_u64().unwrap();
    assert!(planned > 20, "{plan}");
    assert!(project.listings().await.is_empty(), "a plan makes nothing");

    let events = project.lake(&["apply", "--yes", "--json"]).documents();
    let done = events.last().unwrap();
    assert_eq!(done["steps"].as_u64(), Some(planned));
    let raw = done["outputs"]["raw_bucket"].as_str().unwrap();
    let names: Vec<&str> =
        plan["changes"].as_array().unwrap().iter().filter_map(|it| it["identity"].as_str()).collect();
    assert!(names.contains(&raw), "the planned names are the names that were made");
    assert!(project.listings().await.iter().any(|it| it == &format!("bucket {raw}")));

    let state = std::fs::read(project.path().join("state/local/state.json")).unwrap();
    let again = project.lake(&["apply", "--yes"]).ok();
    assert!(again.starts_with("no changes"), "{again}");
    let after = std::fs::read(project.path().join("state/local/state.json")).unwrap();
    assert_eq!(after, state, "every call to the cloud that changes anything is recorded, and there was none");
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0);

    let destroyed = project.lake(&["destroy", "--yes"]).ok();
    assert!(destroyed.contains("has none of them"), "{destroyed}");
    assert_eq!(project.listings().await, Vec::<String>::new());
    let nothing = project.lake(&["destroy", "--yes"]).ok();
    assert!(nothing.contains("nothing to destroy"), "{nothing}");
}

#[test]
fn an_edit_of_lake_toml_updates_in_place_and_exit_code_2_says_that_changes_are_pending() {
    let project = Project::new(ORDERS);
    project.lake(&["apply", "--yes"]).ok();
    project.write("lake.toml", ORDERS.replace("decimal(10,2)", "decimal(12,2)"));
    let plan = project.lake(&["plan", "--json", "--detailed-exitcode"]);
    assert_eq!(plan.code, 2);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["summary"]["delete"], 0, "{plan}");
    assert!(plan["summary"]["update"].as_u64().unwrap() >= 2, "both functions read another manifest: {plan}");
    project.lake(&["apply", "--yes"]).ok();
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0);
}

#[test]
fn a_saved_plan_is_done_exactly_and_refused_once_it_is_stale() {
    let project = Project::new(ORDERS);
    project.lake(&["plan", "--out", "first.plan"]).ok();
    project.lake(&["apply", "first.plan"]).ok();
    let stale = project.lake(&["apply", "first.plan"]).failed();
    assert!(stale.contains("stale: the state has changed"), "{stale}");
}

#[tokio::test]
async fn drift_is_shown_and_put_right() {
    let project = Project::new(ORDERS);
    project.lake(&["apply", "--yes"]).ok();
    let outputs = project.lake(&["outputs", "--json"]).document();
    let raw = outputs["raw_bucket"].as_str().unwrap();
    let s3 = project.s3().await;
    let suspended = aws_sdk_s3::types::VersioningConfiguration::builder()
        .status(aws_sdk_s3::types::BucketVersioningStatus::Suspended)
        .build();
    s3.put_bucket_versioning().bucket(raw).versioning_configuration(suspended).send().await.unwrap();
    let plan = project.lake(&["plan"]).ok();
    assert!(plan.contains("drift: aws:s3:BucketVersioning/raw"), "{plan}");
    project.lake(&["apply", "--yes"]).ok();
    let versioning = s3.get_bucket_versioning().bucket(raw).send().await.unwrap();
    assert_eq!(versioning.status().unwrap().as_str(), "Enabled");
}

#[tokio::test]
async fn a_manifest_that_somebody_has_overwritten_is_told_of_and_written_anew() {
    let project = Project::new(ORDERS);
    project.lake(&["apply", "--yes"]).ok();
    let shown = project.lake(&["state", "show", "aws:s3:Object/manifest", "--json"]).document();
    let place = shown["identity"].as_str().unwrap();
    let (bucket, key) = place.split_once('/').unwrap();
    let s3 = project.s3().await;
    let read = async || {
        let object = s3.get_object().bucket(bucket).key(key).send().await.unwrap();
        object.body.collect().await.unwrap().into_bytes()
    };
    let manifest = read().await;
    let another = manifest.strip_suffix(b"}").unwrap();
    for content in [br#"{"team":"other"}"#.as_slice(), b"id,price", br#"{"format":99}"#, another] {
        s3.put_object().bucket(bucket).key(key).body(content.to_vec().into()).send().await.unwrap();
        let applied = project.lake(&["apply", "--yes"]);
        let warned = applied.stderr.lines().any(|line| line.starts_with("warning:") && line.contains(place));
        assert!(warned, "{applied:?}");
        applied.ok();
        assert_eq!(read().await, manifest);
    }
    let again = project.lake(&["apply", "--yes"]);
    assert!(!again.stderr.contains("warning:"), "{again:?}");
    assert!(again.ok().starts_with("no changes"));
}

#[test]
fn the_cloud_that_dies_in_the_middle_of_an_apply_leaves_no_orphan_and_no_question() {
    let project = Project::new(ORDERS);
    project.lake(&["plan"]).ok();
    let mut apply = project.spawn(&["apply", "--yes", "--json"]);
    // The third finished step is the moment: some are done, many are not.
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(apply.stdout.take().unwrap()));
    let mut done = 0;
    while done < 3 {
        let line = lines.next().expect("the apply goes on").unwrap();
        done += usize::from(line.contains("\"step_done\""));
    }
    project.kill_cloud();
    drop(lines);
    assert!(!apply.wait().unwrap().success());
    project.lake(&["apply", "--yes"]).ok();
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let buckets = runtime.block_on(project.listings()).iter().filter(|it| it.starts_with("bucket")).count();
    assert_eq!(buckets, 3, "no orphan, no duplicate");
    project.lake(&["state", "verify"]).ok();
    project.lake(&["destroy", "--yes"]).ok();
    assert_eq!(runtime.block_on(project.listings()), Vec::<String>::new());
}

#[test]
fn what_holds_credentials_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new(ORDERS);
    project.lake(&["apply", "--yes"]).ok();
    let mode = |name: &str| std::fs::metadata(project.path().join(name)).unwrap().permissions().mode() & 0o777;
    for file in ["state/cloud/server.json", "state/cloud/store.redb", "state/local/state.json", "state/local/journal"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    assert_eq!(mode("state/cloud"), 0o700);
    let server = std::fs::read_to_string(project.path().join("state/cloud/server.json")).unwrap();
    let server: serde_json::Value = serde_json::from_str(&server).unwrap();
    let secret = server["secret_access_key"].as_str().unwrap();
    let state = std::fs::read_to_string(project.path().join("state/local/state.json")).unwrap();
    assert!(secret.len() >= 40 && !state.contains(secret));
}

#[tokio::test]
async fn the_second_of_two_applies_is_told_who_holds_the_lock_since_when() {
    let project = Project::new(ORDERS);
    project.lake(&["plan"]).ok();
    let store = lake::state::store::Store::new(lake::state::store::Local::new(project.path().join("state/local")));
    let _lock = store.lock("apply").await.unwrap();
    let refused = project.lake(&["apply", "--yes"]).failed();
    let expected = format!("locked by `lake apply`, pid {}", std::process::id());
    assert!(refused.contains(&expected) && refused.contains("since 20"), "{refused}");
}

#[test]
fn a_damaged_state_file_is_refused_and_never_overwritten() {
    let project = Project::new(ORDERS);
    project.lake(&["apply", "--yes"]).ok();
    let path = project.path().join("state/local/state.json");
    let sound = std::fs::read(&path).unwrap();
    let torn = &sound[..sound.len() / 2];
    std::fs::write(&path, torn).unwrap();
    for command in [&["plan"][..], &["apply", "--yes"], &["destroy", "--yes"]] {
        let refused = project.lake(command).failed();
        assert!(refused.contains("state/local is refused"), "{refused}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), torn);
    std::fs::write(&path, &sound).unwrap();
    project.lake(&["destroy", "--yes"]).ok();
}

#[tokio::test]
async fn a_bucket_of_the_planned_name_that_is_not_ours_is_refused_and_left_alone() {
    let project = Project::new(ORDERS);
    let plan = project.lake(&["plan", "--json"]).document();
    let raw = plan["changes"].as_array().unwrap().iter().find(|it| it["address"] == "aws:s3:Bucket/raw").unwrap();
    let name = raw["identity"].as_str().unwrap();
    let s3 = project.s3().await;
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(aws_sdk_s3::types::BucketLocationConstraint::from("eu-west-1"))
        .build();
    s3.create_bucket().bucket(name).create_bucket_configuration(place).send().await.unwrap();
    s3.put_object().bucket(name).key("theirs").body(b"x".to_vec().into()).send().await.unwrap();
    let refused = project.lake(&["apply", "--yes"]).failed();
    assert!(refused.contains("is not this stack's; it is left alone"), "{refused}");
    project.lake(&["destroy", "--yes"]).ok();
    assert_eq!(project.listings().await, [format!("bucket {name}")]);
    s3.head_object().bucket(name).key("theirs").send().await.expect("their object is still there");
}

#[test]
fn graph_shows_every_resource_in_every_format_without_a_cloud() {
    let project = Project::new(ORDERS);
    let tree = project.lake(&["graph"]).ok();
    assert!(tree.contains("└─ ") && tree.contains("aws:lambda:Function/convert"), "{tree}");
    let graph = project.lake(&["graph", "--format", "json"]).document();
    let edges = graph["edges"].as_array().unwrap();
    let edge = |from: &str, to: &str| edges.iter().any(|edge| edge["from"] == from && edge["to"] == to);
    assert!(edge("aws:s3:BucketNotification/raw", "aws:lambda:Permission/intake"), "{graph}");
    let nodes = graph["nodes"].as_array().unwrap().len();
    let dot = project.lake(&["graph", "--format", "dot"]).ok();
    assert_eq!(dot.matches("[label=").count(), nodes, "{dot}");
    assert_eq!(dot.matches(" -> ").count(), edges.len(), "{dot}");
    let mermaid = project.lake(&["graph", "--format", "mermaid"]).ok();
    assert!(mermaid.starts_with("flowchart LR"), "{mermaid}");
    assert_eq!(mermaid.matches("[\"").count(), nodes + mermaid.matches("subgraph").count(), "{mermaid}");
    assert_eq!(mermaid.matches(" --> ").count(), edges.len(), "{mermaid}");
    assert!(!project.path().join("state/cloud").exists(), "no cloud was started");
}
