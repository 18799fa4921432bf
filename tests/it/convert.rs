//! `lake convert` with a transform, through the real binary.

use std::io::{Cursor, Write};

use bytes::Bytes;
use flate2::write::GzEncoder;
use lake::executor::parquet::rows;
use serde_json::Value;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::world::{ORDERS, Project};

/// Rows for `tests/guests/by_value.wat`: two are kept, one of them twice; one is filtered, one rejected by the plugin
/// and one by lake.
const ROWS: &str = "id,v\na,0\nb,1\n\"c\nc\",2\nd,3\ne,x\n";

/// The guest as a core module, as a toolchain without components would leave it.
fn guest(project: &Project) -> String {
    project.write("by_value.wasm", wat::parse_str(include_str!("../guests/by_value.wat")).unwrap())
}

const SOURCE: &str = "source = \"values/\"";
const DATASET: &str =
    "\n[dataset.values]\nsource = \"values/\"\n\n[dataset.values.schema]\nid = \"string\"\nv = \"int64\"\n";

#[test]
fn rows_go_through_a_plugin_and_each_is_accounted_for() {
    let project = Project::new(&format!("{ORDERS}{DATASET}"));
    let (plugin, rows) = (guest(&project), project.write("rows.csv", ROWS));
    let args = ["convert", &rows, "--out", "out.parquet", "--plugin", &plugin, "--dataset", "values"];
    let told = project.lake(&args).ok();
    assert!(told.contains("5 rows read, 2 kept as 3, 1 filtered, 2 rejected"), "{told}");
    assert!(told.contains("rows.csv:4: this row is a two"), "{told}");

    let report = project.lake(&[args.as_slice(), &["--json"]].concat()).document()["report"].clone();
    let counts = ["read", "kept", "filtered", "rejected", "exploded"].map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts, [5, 2, 1, 2, 1]);
    assert_eq!(report["rejects_by_code"], serde_json::json!({ "no_twos": 1, "type_mismatch": 1 }));
    assert_eq!(report["plugin_hash"].as_str().map(str::len), Some(16));
}

#[test]
fn a_file_of_which_everything_is_filtered_is_no_failure_and_leaves_no_file() {
    let project = Project::new(ORDERS);
    let (plugin, rows) = (guest(&project), project.write("rows.csv", "id,v\na,1\nb,9\n"));
    let done = project.lake(&["convert", &rows, "--out", "out.parquet", "--plugin", &plugin, "--json"]).document();
    assert_eq!((&done["out"], &done["rejects"]), (&Value::Null, &Value::Null));
    assert!(!project.path().join("out.parquet").exists());
}

#[test]
fn a_plugin_that_stops_leaves_what_was_there_and_says_where_it_was() {
    let project = Project::new(ORDERS);
    let plugin = guest(&project);
    let (good, bad) = (project.write("good.csv", "id,v\na,3\n"), project.write("bad.csv", "id,v\na,0\nb,-1\n"));
    project.write("out.parquet", "what was there");
    let refused = project.lake(&["convert", &good, &bad, "--out", "out.parquet", "--plugin", &plugin]).failed();
    for part in ["bad.csv", "by_value", "in lines 2 to 3"] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    assert_eq!(std::fs::read(project.path().join("out.parquet")).unwrap(), b"what was there");
    assert!(!project.path().join("out.parquet.rejects.parquet").exists());
}

#[test]
fn what_is_no_plugin_and_settings_for_none_are_refused() {
    let project = Project::new(ORDERS);
    let rows = project.write("rows.csv", ROWS);
    let convert = |more: &[&str]| project.lake(&[&["convert", &rows, "--out", "out.parquet"], more].concat());
    assert_eq!(convert(&["--plugin", "nowhere.wasm"]).code, 64);
    assert_eq!(convert(&["--config", "key=value"]).code, 64);
    assert_eq!(convert(&["--plugin", "lake.toml", "--config", "key"]).code, 64);
    assert!(convert(&["--plugin", "lake.toml"]).failed().contains("lake.toml"));
}

#[test]
fn a_datasets_own_transform_is_that_of_lake_toml() {
    let project = Project::new(ORDERS);
    guest(&project);
    project.write(
        "lake.toml",
        format!("{ORDERS}{}", DATASET.replace(SOURCE, &format!("{SOURCE}\ntransform = \"by_value.wasm\""))),
    );
    let rows = project.write("rows.csv", ROWS);
    let args = ["convert", &rows, "--out", "out.parquet", "--dataset", "values", "--json"];
    let report = project.lake(&args).document()["report"].clone();
    assert_eq!((report["filtered"].as_u64(), report["exploded"].as_u64()), (Some(1), Some(1)));
}

/// The same text as somebody might have packed or encoded it.
fn packed(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    bzip2.write_all(text.as_bytes()).unwrap();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("rows.csv", SimpleFileOptions::default()).unwrap();
    zip.write_all(text.as_bytes()).unwrap();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        ("rows.csv.gz", gzip.finish().unwrap()),
        ("rows.csv.zst", zstd::encode_all(text.as_bytes(), 3).unwrap()),
        ("rows.csv.bz2", bzip2.finish().unwrap()),
        ("rows.zip", zip.finish().unwrap().into_inner()),
        ("zstd_under_another_name.csv", zstd::encode_all(text.as_bytes(), 3).unwrap()),
        ("utf16.csv", utf16.clone()),
        ("utf16.csv.zst", zstd::encode_all(utf16.as_slice(), 3).unwrap()),
        ("latin.csv", text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()),
    ]
}

#[test]
fn a_compressed_or_encoded_file_gives_the_rows_of_the_plain_one() {
    let project = Project::new(ORDERS);
    let mut text = "id,name,amount\n".to_owned();
    for row in 0..20_000 {
        text.push_str(&format!("{row},\"José, {row}\",{}.5\n", row % 97));
    }
    let convert = |name: &str, bytes: &[u8]| {
        let path = project.write(name, bytes);
        let report = project.lake(&["convert", &path, "--out", "out.parquet", "--json"]).document()["report"].clone();
        assert_eq!((report["kept"].as_u64(), report["bytes_read"].as_u64()), (Some(20_000), Some(bytes.len() as u64)));
        rows(Bytes::from(std::fs::read(project.path().join("out.parquet")).unwrap()), usize::MAX).unwrap()
    };
    let plain = convert("rows.csv", text.as_bytes());
    for (name, bytes) in packed(&text) {
        assert_eq!(convert(name, &bytes), plain, "{name}");
    }
}

#[test]
fn a_compressed_file_that_was_cut_off_fails_and_leaves_nothing() {
    let project = Project::new(ORDERS);
    let text = "id,name\n".to_owned() + &"1,x\n".repeat(500_000);
    for (name, bytes) in packed(&text).iter().take(4) {
        let path = project.write(name, &bytes[..bytes.len() - 30]);
        let told = project.lake(&["convert", &path, "--out", "out.parquet"]).failed();
        assert!(told.contains(name) && told.contains("cut off"), "{told}");
        assert!(!project.path().join("out.parquet").exists());
    }
}
