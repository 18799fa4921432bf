//! Transforms from `lake.toml` to rows in the table, what a changed one means, and what becomes of a dataset's data when
//! the dataset goes.

use serde_json::Value;

use crate::world::Project;

/// A dataset whose rows go through a plugin that filters, rejects and doubles by the value of `v`.
const RATED: &str = r#"
[lake]
name = "shop"
region = "eu-west-1"

[dataset.rated]
source = "in/rated/"
catalog = "direct"
schema = { v = "int64", note = "string" }
transform = { path = "plugins/by_value.wasm", config = { mode = "x" }, memory_mb = 64 }
"#;

const PLAIN: &str = r#"
[dataset.plain]
source = "in/plain/"
catalog = "direct"
schema = { v = "int64" }
"#;

/// Rows of which one is filtered, one rejected, one doubled and three kept.
const ROWS: &str = "v,note\n0,zero\n1,one\n2,two\n3,three\n5,five\n6,six\n";

/// The plugin in this version of it: the rows do not know.
fn plugin(version: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/guests/by_value.wat");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("\"1.0.0\""));
    wat::parse_str(text.replace("\"1.0.0\"", &format!("\"{version}\""))).unwrap()
}

fn rated(toml: &str) -> Project {
    let project = Project::new(toml);
    project.write("plugins/by_value.wasm", plugin("1.0.0"));
    project
}

fn put(project: &Project, dataset: &str, name: &str, text: &str) {
    let path = project.write(name, text);
    project.lake(&["put", dataset, &path, "--wait", "--timeout", "60"]).ok();
}

fn addresses(plan: &Value) -> Vec<String> {
    let line =
        |change: &Value| format!("{} {}", change["action"].as_str().unwrap(), change["address"].as_str().unwrap());
    let mut lines: Vec<String> = plan["changes"].as_array().unwrap().iter().map(line).collect();
    lines.sort();
    lines
}

/// Keys of a bucket, in all versions.
async fn keys(project: &Project, output: &str) -> Vec<String> {
    let outputs = project.lake(&["outputs", "--json"]).document();
    let listed = project.s3().await.list_object_versions().bucket(outputs[output].as_str().unwrap()).send().await;
    let listed = listed.unwrap();
    let mut keys: Vec<String> = listed.versions().iter().map(|version| version.key().unwrap().to_owned()).collect();
    keys.sort();
    keys.dedup();
    keys
}

async fn tables(project: &Project) -> Vec<String> {
    let outputs = project.lake(&["outputs", "--json"]).document();
    let glue = aws_sdk_glue::Client::new(&project.sdk().await);
    let tables = glue.get_tables().database_name(outputs["database"].as_str().unwrap()).send().await.unwrap();
    tables.table_list().iter().map(|table| table.name().to_owned()).collect()
}

#[test]
fn a_changed_transform_is_planned_told_of_and_backfilled() {
    let project = rated(RATED);
    let plan = project.lake(&["plan", "--json"]).document();
    let known = &plan["transforms"][0];
    assert_eq!((&known["dataset"], &known["plugin"]), (&Value::from("rated"), &Value::from("by_value")));
    assert_eq!(known["columns"].as_array().unwrap().len(), 2, "{known}");
    let objects =
        |plan: &Value| addresses(plan).into_iter().filter(|line| line.contains("/transform-")).collect::<Vec<_>>();
    assert_eq!(objects(&plan).len(), 2, "{plan}");
    project.lake(&["apply", "--yes"]).ok();
    put(&project, "rated", "a.csv", ROWS);
    put(&project, "rated", "b.csv", ROWS);
    let run = &project.lake(&["runs", "--json"]).document()["runs"][0]["report"].clone();
    let counts = ["read", "kept", "filtered", "rejected", "exploded"].map(|count| run[count].as_u64().unwrap());
    assert_eq!(counts, [6, 4, 1, 1, 1], "{run}");
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0);
    let nothing = project.lake(&["backfill", "rated", "--yes"]).ok();
    assert!(nothing.contains("nothing to convert again"), "{nothing}");

    project.write("plugins/by_value.wasm", plugin("1.0.1"));
    let plan = project.lake(&["plan", "--json"]).document();
    let lines = objects(&plan);
    let count = |action: &str| lines.iter().filter(|line| line.starts_with(action)).count();
    assert_eq!((count("create"), count("delete")), (2, 2), "{lines:?}");
    assert_eq!((&plan["stale"][0]["objects"], &plan["stale"][0]["by_plugin"]), (&Value::from(2), &Value::from(2)));
    let text = project.lake(&["apply", "--yes"]).ok();
    let told = "rated: 2 committed objects were made with an older transform (plugin ";
    assert!(text.matches(told).count() == 2 && text.contains("`lake backfill rated`"), "before and after: {text}");
    assert!(project.lake(&["apply", "--yes"]).ok().starts_with("no changes"));

    let dry = project.lake(&["backfill", "rated", "--dry-run"]).ok();
    assert!(dry.contains("2 of 2 committed objects are stale") && dry.contains("in/rated/a.csv"), "{dry}");
    assert_eq!(project.lake(&["backfill", "rated"]).code, 64, "there is nobody to ask");
    let done = project.lake(&["backfill", "rated", "--yes", "--json"]).document();
    for object in done["objects"].as_array().unwrap() {
        assert_eq!((&object["outcome"], &object["rows"]), (&Value::from("committed"), &Value::from(5)), "{done}");
    }
    assert_eq!(done["objects"].as_array().unwrap().len(), 2);
    let nothing = project.lake(&["backfill", "rated", "--yes"]).ok();
    assert!(nothing.contains("nothing to convert again"), "{nothing}");

    project.write("lake.toml", RATED.replace("mode = \"x\"", "mode = \"y\""));
    let text = project.lake(&["plan"]).ok();
    assert!(text.contains("2 committed objects were made with an older configuration"), "{text}");
    let warned = project.lake(&["backfill", "rated", "--yes"]);
    assert!(warned.stderr.contains("lake.toml has changed"), "{warned:?}");
    project.lake(&["destroy", "--yes"]).ok();
}

#[tokio::test]
async fn a_plugin_that_stops_costs_its_file_a_place_in_the_table_and_nothing_else() {
    let project = rated(RATED);
    project.lake(&["apply", "--yes"]).ok();
    put(&project, "rated", "before.csv", ROWS);
    let traps = format!("v,note\n{}-1,here\n0,after\n", "0,fine\n".repeat(20_000));
    let fails = "v,note\n0,fine\n-2,this batch\n";
    for (name, text, code, words) in [
        ("traps.csv", traps.as_str(), "plugin_trapped", "by_value stopped in lines "),
        ("fails.csv", fails, "plugin_failed", "by_value failed in lines 2 to 3: this batch must not be"),
    ] {
        let path = project.write(name, text);
        let parked = project.lake(&["put", "rated", &path, "--wait", "--timeout", "60", "--json"]);
        assert_eq!(parked.code, 1, "{}", parked.stderr);
        let document: Value = serde_json::from_str(parked.stdout.lines().last().unwrap()).unwrap();
        let result = &document["files"][0]["result"];
        assert_eq!((&result["state"], &result["code"]), (&"parked".into(), &code.into()), "{result}");
        let message = result["message"].as_str().unwrap();
        assert!(message.contains(words) && message.contains(name), "{message}");
    }
    put(&project, "rated", "after.csv", ROWS);
    let shown = project.lake(&["show", "rated", "--limit", "100", "--json"]).documents();
    assert_eq!(shown.len(), 10, "twice the five rows of {ROWS}");
    // Nothing half-written: two files of rows, two of rejects, no upload that was begun and left.
    let keys = keys(&project, "processed_bucket").await;
    let files = |prefix: &str| keys.iter().filter(|key| key.starts_with(prefix)).count();
    assert_eq!((files("rated/"), files("_lake/rejects/rated/"), files("_lake/parked/rated/")), (2, 2, 2), "{keys:?}");
    let outputs = project.lake(&["outputs", "--json"]).document();
    let bucket = outputs["processed_bucket"].as_str().unwrap();
    let uploads = project.s3().await.list_multipart_uploads().bucket(bucket).send().await.unwrap();
    assert_eq!(uploads.uploads(), []);
}

#[test]
fn datasets_may_share_a_plugin_and_one_may_change_it() {
    let shared = RATED.to_owned() + &RATED[RATED.find("[dataset").unwrap()..].replace("rated", "other");
    let project = rated(&shared);
    project.lake(&["apply", "--yes"]).ok();
    project.write("plugins/new.wasm", plugin("1.0.1"));
    let changed = shared.replacen("by_value.wasm", "new.wasm", 1);
    project.write("lake.toml", &changed);
    let plan = project.lake(&["plan", "--json"]).document();
    let lines: Vec<String> = addresses(&plan).into_iter().filter(|line| line.contains("/transform-")).collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.starts_with("create ")), "the other needs it: {lines:?}");
    project.lake(&["apply", "--yes"]).ok();
    for dataset in ["rated", "other"] {
        put(&project, dataset, &format!("{dataset}.csv"), ROWS);
    }
}

#[test]
fn what_is_wrong_with_a_transform_is_told_at_its_line_and_nothing_is_made() {
    let project = rated(RATED);
    let refused = |what: &str, words: &[&str]| {
        let error = project.lake(&["apply", "--yes"]).failed();
        for word in ["lake.toml:10", "by_value"].iter().chain(words) {
            assert!(error.contains(word), "{what}: {word} in {error}");
        }
        assert!(!project.path().join("state/local/state.json").exists() || project.lake(&["outputs"]).code != 0);
    };
    project.write("plugins/by_value.wasm", "this is text");
    refused("text", &["not"]);
    project.write("plugins/by_value.wasm", wat::parse_str("(module (func (export \"other\")))").unwrap());
    refused("a module with other exports", &["describe"]);
    project.write("plugins/by_value.wasm", plugin("1.0.0"));
    project.write("lake.toml", RATED.replace("v = \"int64\"", "w = \"int64\""));
    refused("a contract that it does not take", &["\u{60}v\u{60}"]);
    project.write("lake.toml", RATED.replace("by_value.wasm", "by_values.wasm"));
    refused("a path that is not there", &["did you mean"]);
}

#[tokio::test]
async fn a_removed_dataset_takes_its_data_along_and_nobody_elses() {
    let project = rated(&format!("{RATED}{PLAIN}"));
    project.lake(&["apply", "--yes"]).ok();
    put(&project, "rated", "a.csv", ROWS);
    put(&project, "plain", "p.csv", "v\n1\n");
    project.write("lake.toml", format!("{}{PLAIN}", &RATED[..RATED.find("[dataset").unwrap()]));
    let plan = project.lake(&["plan", "--json"]).document();
    let lines = addresses(&plan);
    for address in ["aws:glue:Tables/rated", "aws:s3:Prefix/rated", "aws:s3:Prefix/raw/in/rated"] {
        assert!(lines.contains(&format!("delete {address}")), "{address} in {lines:?}");
    }
    project.lake(&["apply", "--yes"]).ok();
    assert_eq!(keys(&project, "raw_bucket").await, ["in/plain/p.csv"]);
    let left = keys(&project, "processed_bucket").await;
    assert!(!left.is_empty() && left.iter().all(|key| key.contains("plain/")), "{left:?}");
    assert_eq!(tables(&project).await, ["plain"]);
    assert_eq!(project.lake(&["show", "plain", "--json"]).documents().len(), 1);
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0);
    project.lake(&["destroy", "--yes"]).ok();
}

#[tokio::test]
async fn a_removed_dataset_leaves_its_data_where_the_stack_keeps_them_and_goes_on_when_it_is_back() {
    let retain = format!("{RATED}{PLAIN}\n[stack.local]\non_destroy = \"retain\"\n");
    let project = rated(&retain);
    project.lake(&["apply", "--yes"]).ok();
    put(&project, "rated", "a.csv", ROWS);
    let (raw, processed) = (keys(&project, "raw_bucket").await, keys(&project, "processed_bucket").await);
    let rest = &retain[retain.find("[dataset.plain").unwrap()..];
    project.write("lake.toml", format!("{}{rest}", &RATED[..RATED.find("[dataset").unwrap()]));
    let plan = project.lake(&["plan", "--json"]).document();
    let lines = addresses(&plan);
    assert!(lines.contains(&"forget aws:s3:Prefix/rated".to_owned()), "{lines:?}");
    project.lake(&["apply", "--yes"]).ok();
    assert_eq!(keys(&project, "raw_bucket").await, raw);
    assert_eq!(keys(&project, "processed_bucket").await, processed);
    assert_eq!(tables(&project).await, ["rated"]);
    project.write("lake.toml", &retain);
    project.lake(&["apply", "--yes"]).ok();
    assert_eq!(project.lake(&["show", "rated", "--json"]).documents().len(), 5);
}

#[tokio::test]
async fn a_dataset_that_looks_elsewhere_or_is_called_otherwise_keeps_its_files() {
    let project = rated(&format!("{RATED}{PLAIN}"));
    project.lake(&["apply", "--yes"]).ok();
    put(&project, "plain", "p.csv", "v\n1\n");
    project.write("lake.toml", format!("{RATED}{}", PLAIN.replace("in/plain/", "in/new/")));
    let text = project.lake(&["apply", "--yes"]).ok();
    assert!(text.contains("plain: the files below in/plain/ stay there, and are no longer read"), "{text}");
    project.write("lake.toml", format!("{RATED}{PLAIN}"));
    project.lake(&["apply", "--yes"]).ok();
    project.write("lake.toml", format!("{RATED}{}", PLAIN.replace("dataset.plain", "dataset.simple")));
    project.lake(&["apply", "--yes"]).ok();
    assert_eq!(keys(&project, "raw_bucket").await, ["in/plain/p.csv"]);
    assert_eq!(project.lake(&["plan", "--detailed-exitcode"]).code, 0);
    project.lake(&["destroy", "--yes"]).ok();
    assert_eq!(project.listings().await, Vec::<String>::new());
}

#[test]
fn the_graph_shows_transforms_without_building_them() {
    let project = rated(RATED);
    project.write("plugins/by_value.wasm", "nobody has looked");
    let before = project.lake(&["graph"]).ok();
    assert!(before.contains("aws:s3:Object/transform-rated"), "{before}");
    project.write("plugins/by_value.wasm", plugin("1.0.0"));
    project.lake(&["apply", "--yes"]).ok();
    let after = project.lake(&["graph"]).ok();
    let line = after.lines().find(|line| line.contains("aws:s3:Object/transform-")).unwrap();
    assert!(line.contains("/transforms/"), "{line}");
}
