//! Plans of a part of a lake: what comes along, what stays, and that the whole follows.

use serde_json::Value;

use crate::world::{ORDERS, Project};

/// The addresses of a plan's changes, with what happens to each.
fn changes(plan: &Value) -> Vec<(String, String)> {
    let text = |change: &Value, name: &str| change[name].as_str().unwrap().to_owned();
    plan["changes"].as_array().unwrap().iter().map(|it| (text(it, "address"), text(it, "action"))).collect()
}

#[tokio::test]
async fn a_target_comes_with_what_it_needs_and_the_whole_follows() {
    let project = Project::new(ORDERS);
    let target = ["--target", "aws:lambda:Function/convert"];
    let plan = project.lake(&["plan", "--json", target[0], target[1]]).document();
    let planned = changes(&plan);
    let has = |address: &str| planned.iter().any(|(found, _)| found == address);
    assert!(has("aws:lambda:Function/convert") && has("aws:iam:Role/convert") && has("aws:s3:Bucket/processed"));
    assert!(!has("aws:lambda:Function/sweep") && !has("aws:s3:BucketNotification/raw"), "{planned:?}");
    assert!(plan["partial"]["left_out"].as_u64().unwrap() > 5, "{plan}");
    let along = plan["partial"]["along"].as_array().unwrap();
    assert_eq!(along.len() + 1, planned.len(), "everything else came along: {along:?}");

    let applied = project.lake(&["apply", "--yes", target[0], target[1]]).ok();
    assert!(applied.contains("aws:iam:Role/convert comes along: ") && applied.contains("this is a part of the stack"));
    let again = project.lake(&["apply", "--yes", target[0], target[1]]).ok();
    assert!(again.starts_with("no changes in this part"), "{again}");
    project.lake(&["state", "verify"]).ok();

    project.lake(&["apply", "--yes"]).ok();
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0);
    project.lake(&["destroy", "--yes", "--target", "aws:cloudwatch:*/*"]).ok();
    let outputs = project.lake(&["outputs", "--json"]).document();
    assert!(outputs["raw_bucket"].is_string(), "outputs of what is still there stay");
    let plan = project.lake(&["plan", "--json"]).document();
    assert!(
        changes(&plan).iter().all(|(address, action)| address.starts_with("aws:cloudwatch:") && action == "create")
    );
    project.lake(&["destroy", "--yes"]).ok();
    assert_eq!(project.listings().await, Vec::<String>::new());
}

#[test]
fn what_goes_takes_along_what_depends_on_it_and_what_is_excluded_holds_it_back() {
    let project = Project::new(ORDERS);
    project.lake(&["apply", "--yes"]).ok();
    let alone = ["destroy", "--yes", "--target", "aws:iam:Role/sweep"];
    let destroyed = project.lake(&[&alone[..], &["--exclude", "aws:lambda:Function/sweep"]].concat()).ok();
    assert!(destroyed.contains("this is a part of the stack"), "{destroyed}");
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0, "the function needs its role: both stay");

    let destroyed = project.lake(&alone).ok();
    assert!(destroyed.contains("aws:lambda:Function/sweep comes along: it depends on"), "{destroyed}");
    project.lake(&["state", "verify"]).ok();
    project.lake(&["apply", "--yes"]).ok();
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0);
}

#[test]
fn a_replacement_is_forced_with_all_that_hangs_on_it_and_a_saved_plan_of_a_part_is_done_exactly() {
    let project = Project::new(ORDERS);
    project.lake(&["apply", "--yes"]).ok();
    let before = project.lake(&["outputs", "--json"]).document();
    let replace = ["--replace", "aws:sns:Topic/alerts"];
    let plan = project.lake(&["plan", "--json", "--out", "part.plan", replace[0], replace[1]]).document();
    let planned = changes(&plan);
    assert!(planned.contains(&("aws:sns:Topic/alerts".to_owned(), "replace_create_first".to_owned())), "{planned:?}");
    assert!(plan.get("partial").is_none(), "all is in it");
    project.lake(&["apply", "part.plan"]).ok();
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0);
    assert_eq!(project.lake(&["outputs", "--json"]).document()["raw_bucket"], before["raw_bucket"]);
    project.lake(&["state", "verify"]).ok();
}

#[test]
fn a_target_that_is_nowhere_is_a_wrong_argument_with_the_nearest_that_is_there() {
    let project = Project::new(ORDERS);
    let refused = project.lake(&["plan", "--target", "aws:s3:bucket/raw"]);
    assert_eq!(refused.code, 64, "{}", refused.stderr);
    assert!(refused.stderr.contains("no resource matches `aws:s3:bucket/raw`"), "{}", refused.stderr);
    assert!(refused.stderr.contains("did you mean `aws:s3:Bucket/raw`?"), "{}", refused.stderr);
    let both = project.lake(&["apply", "some.plan", "--target", "aws:s3:Bucket/raw"]);
    assert_eq!(both.code, 64, "a saved plan says itself what it is about");
}
