//! `lake plugin`, where no toolchain for WebAssembly is needed: plugins come as core modules written by hand.

use std::{fs, path::Path};

use serde_json::Value;
use tempfile::TempDir;

use crate::world::lake;

/// A plugin whose rows say what is to become of them.
const BY_VALUE: &str = include_str!("../guests/by_value.wat");
const ROWS: &str = "name,v\nkept,8\nfiltered,1\nrejected,2\ntwice,3\nkept,16\n";

/// A folder with the plugin `by-value` and one case.
fn plugin() -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let tests = root.path().join("plugins/by-value/tests");
    fs::create_dir_all(&tests).unwrap();
    fs::write(root.path().join("plugins/by-value/by-value.wasm"), wat::parse_str(BY_VALUE).unwrap()).unwrap();
    fs::write(tests.join("rows.csv"), ROWS).unwrap();
    root
}

#[test]
fn a_case_is_written_down_then_passes_then_fails_with_the_difference() {
    let root = plugin();
    let unknown = lake(root.path(), &["plugin", "test", "by-value"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.stderr.contains("1 of 1 cases did not come out as expected"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("hint: "), "{}", unknown.stderr);

    lake(root.path(), &["plugin", "test", "--update"]).ok();
    let expected = root.path().join("plugins/by-value/tests/rows.expected.txt");
    insta::assert_snapshot!(fs::read_to_string(&expected).unwrap(), @r"
    5 rows read = 3 kept (as 4 rows) + 1 filtered + 1 rejected

    columns
      column  type
      name    string
      v       int64

    kept
      name    v
      kept    8
      twice   3
      twice   3
      kept   16

    rejected
      line  column  code     message
         4  v       no_twos  this row is a two
    ");
    let passed = lake(root.path(), &["plugin", "test", "--json"]).document();
    assert_eq!(passed["cases"][0]["verdict"], "passed");

    let other = fs::read_to_string(&expected).unwrap().replace("kept   16", "kept   17");
    fs::write(&expected, other).unwrap();
    let failed = lake(root.path(), &["plugin", "test"]);
    assert_eq!(failed.code, 1);
    assert!(failed.stdout.contains("  -   kept   17\n  +   kept   16\n"), "{}", failed.stdout);
}

#[test]
fn a_plugin_that_fails_a_batch_is_an_outcome_like_any_other() {
    let root = plugin();
    let tests = root.path().join("plugins/by-value/tests");
    fs::write(tests.join("rows.csv"), "name,v\nfails,-2\n").unwrap();
    lake(root.path(), &["plugin", "test", "--update"]).ok();
    let text = fs::read_to_string(tests.join("rows.expected.txt")).unwrap();
    assert!(text.starts_with("failed\nplugin by-value failed") && text.contains("this batch must not be"), "{text}");
}

#[test]
fn inspect_tells_what_a_plugin_is_and_what_it_does_with_columns() {
    let root = plugin();
    let about =
        lake(root.path(), &["plugin", "inspect", "by-value", "--schema", "name:string,v:int64", "--json"]).document();
    assert_eq!((about["name"].as_str(), about["version"].as_str()), (Some("by_value"), Some("1.0.0")));
    assert_eq!(about["contract"], "0.1.0");
    assert_eq!(about["open"]["reads"], serde_json::json!(["v"]));
    assert_eq!(about["open"]["columns"].as_array().unwrap().len(), 2);
    assert!(about["precompiled_bytes"]["arm64"].as_u64().unwrap() > 0);
    let toml = "[lake]\nname = \"l\"\n[dataset.rows]\nsource = \"rows/\"\ntransform = \"plugins/by-value\"\n\
        [dataset.rows.schema]\nname = \"string\"\nv = \"int64\"\n";
    fs::write(root.path().join("lake.toml"), toml).unwrap();
    let of_dataset = lake(root.path(), &["plugin", "inspect", "by-value", "--dataset", "rows", "--json"]).document();
    assert_eq!(of_dataset["open"], about["open"]);
    let text = lake(root.path(), &["plugin", "inspect", "plugins/by-value/by-value.wasm"]).ok();
    assert!(text.contains("lake:transform@0.1.0"), "{text}");
}

#[test]
fn bench_measures_time_and_fuel() {
    let root = plugin();
    let rows: String = (0..20_000).map(|row| format!("row,{}\n", row * 8)).collect();
    fs::write(root.path().join("rows.csv"), format!("name,v\n{rows}")).unwrap();
    let bench = |_| lake(root.path(), &["plugin", "bench", "by-value", "--csv", "rows.csv", "--json"]).document();
    let [one, two]: [Value; 2] = [0, 1].map(bench);
    assert_eq!((one["measured"]["rows"].as_u64(), one["measured"]["kept"].as_u64()), (Some(20_000), Some(20_000)));
    assert!(one["measured"]["fuel_per_row"].as_f64().unwrap() > 1.0);
    assert_eq!(one["measured"]["fuel_per_row"], two["measured"]["fuel_per_row"], "fuel is the same in every run");
}

#[test]
fn new_begins_a_plugin_with_all_that_it_is_built_with_and_overwrites_nothing() {
    let root = tempfile::tempdir().unwrap();
    let told = lake(root.path(), &["plugin", "new", "late"]).ok();
    assert!(told.contains("lake plugin build late") && told.contains("transform = \"plugins/late\""), "{told}");
    for path in
        ["late/Cargo.toml", "late/src/lib.rs", "late/tests/trips.csv", "sdk/rust/Cargo.toml", "wit/transform.wit"]
    {
        assert!(root.path().join("plugins").join(path).is_file(), "{path}");
    }
    let again = lake(root.path(), &["plugin", "new", "late"]);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("is not empty"), "{}", again.stderr);
    assert_eq!(lake(root.path(), &["plugin", "new", "Late"]).code, 64);
    lake(root.path(), &["plugin", "new", "elsewhere/early"]).ok();
    assert!(root.path().join("elsewhere/sdk/rust/src/lib.rs").is_file());
}

#[test]
fn what_is_no_plugin_is_told_with_what_to_do() {
    let root = plugin();
    fs::write(root.path().join("text.wasm"), "hello").unwrap();
    fs::write(root.path().join("empty.wasm"), wat::parse_str("(module)").unwrap()).unwrap();
    fs::write(root.path().join("component.wasm"), wat::parse_str("(component)").unwrap()).unwrap();
    for (plugin, code, expected) in [
        ("none", 64, "the plugins here are: by-value"),
        ("text.wasm", 1, "text.wasm is text"),
        ("empty.wasm", 1, "it exports no function `transform`"),
        ("component.wasm", 1, "plugin component"),
    ] {
        let told = lake(root.path(), &["plugin", "inspect", plugin]);
        assert_eq!(told.code, code, "{}", told.stderr);
        assert!(told.stderr.contains(expected), "{}", told.stderr);
    }
}

#[test]
fn a_plugin_that_must_be_built_says_what_to_install() {
    let root = tempfile::tempdir().unwrap();
    lake(root.path(), &["plugin", "new", "late"]).ok();
    let mut command = crate::world::command(root.path(), &["plugin", "build", "late"]);
    // A machine without cargo.
    let told = command.env("PATH", Path::new("/nowhere")).output().unwrap();
    let told = String::from_utf8(told.stderr).unwrap();
    assert!(told.contains("the plugin in plugins/late is not built, and there is no cargo on this machine"), "{told}");
    assert!(told.contains("rustup target add wasm32-unknown-unknown"), "{told}");
}
