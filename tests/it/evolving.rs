//! Files that change from one to the next, through the real binary and its cloud.

use serde_json::{Value, json};

use crate::{record::until, world::Project};

const PEOPLE: &str = r#"
[lake]
name = "shop"
region = "eu-west-1"

[dataset.people]
source = "people/"
catalog = "direct"
"#;

fn applied(dataset: &str) -> Project {
    let project = Project::new(&format!("{PEOPLE}{dataset}"));
    project.lake(&["apply", "--yes"]).ok();
    project
}

#[track_caller]
fn put(project: &Project, name: &str, text: &str) -> Value {
    project.put("people", name, text)
}

#[track_caller]
fn rows(project: &Project) -> Vec<Value> {
    project.rows("people")
}

/// The table's columns in the catalog, each with its type.
async fn columns(project: &Project) -> Vec<String> {
    let outputs = project.lake(&["outputs", "--json"]).document();
    let glue = aws_sdk_glue::Client::new(&project.sdk().await);
    let database = outputs["database"].as_str().unwrap();
    let found = glue.get_table().database_name(database).name("people").send().await.unwrap();
    let columns = found.table().unwrap().storage_descriptor().unwrap().columns();
    columns.iter().map(|column| format!("{} {}", column.name(), column.r#type().unwrap())).collect()
}

#[tokio::test]
async fn a_column_that_a_later_file_brings_is_added_and_null_in_the_rows_before() {
    let project = applied("");
    assert_eq!(put(&project, "1.csv", "id,name\n1,ann\n2,bob\n")["state"], "committed");
    let second = put(&project, "2.csv", "id,since,name,note\n3,2026-01-02,cid,\n4,,dan,\n");
    assert_eq!(second["state"], "committed", "{second}");
    // A column without a value is text.
    assert_eq!(columns(&project).await, ["id bigint", "name string", "since date", "note string"]);
    assert_eq!(put(&project, "3.csv", "name,id\neve,5\n")["state"], "committed");
    // A value that does not fit the column as it is now is set aside.
    let misfit = put(&project, "4.csv", "id,name,since\n6,fay,2026-03-04\n7,gus,soon\n");
    assert_eq!((&misfit["rows"], &misfit["rejected"]), (&json!(1), &json!(1)), "{misfit}");
    let row = |id: i64, name: &str, since: Option<&str>| json!({"id": id, "name": name, "since": since, "note": null});
    let expected = [
        row(1, "ann", None),
        row(2, "bob", None),
        row(3, "cid", Some("2026-01-02")),
        row(4, "dan", None),
        row(5, "eve", None),
        row(6, "fay", Some("2026-03-04")),
    ];
    assert_eq!(rows(&project), expected);
    let table = project.lake(&["show", "people", "--limit", "1000"]).ok();
    assert!(table.contains("since") && table.contains("ann") && table.contains("null"), "{table}");
    assert_eq!(columns(&project).await.len(), 4);
    let runs = project.lake(&["runs"]).ok();
    assert!(runs.contains("new column since date, new column note string"), "{runs}");
    let nothing = project.lake(&["backfill", "people", "--yes"]).ok();
    assert!(nothing.contains("nothing to convert again"), "a column more makes no file stale: {nothing}");
    project.lake(&["destroy", "--yes"]).ok();
}

#[tokio::test]
async fn a_file_of_nothing_but_text_brings_its_column_by_its_header() {
    let project = applied("");
    assert_eq!(put(&project, "1.csv", "id,name\n1,ann\n2,bob\n")["state"], "committed");
    let second = put(&project, "2.csv", "name,town\ncid,oslo\ndan,rome\n");
    assert_eq!((&second["state"], &second["rows"]), (&json!("committed"), &json!(2)), "{second}");
    assert_eq!(columns(&project).await, ["id bigint", "name string", "town string"]);
    let other = put(&project, "3.csv", "colour,size\nred,1\n");
    assert_eq!(other["state"], "parked", "nothing in it is the table's: {other}");
    assert_eq!(columns(&project).await.len(), 3);
}

#[tokio::test]
async fn a_frozen_dataset_parks_a_file_with_other_columns_and_takes_it_once_it_may_evolve() {
    let project = applied("schema_change = \"freeze\"\n");
    assert_eq!(put(&project, "1.csv", "id,name\n1,ann\n")["state"], "committed");
    assert_eq!(put(&project, "2.csv", "id,name,age\n2,bob,7\n")["state"], "parked");
    assert_eq!(put(&project, "3.csv", "id\n3\n")["state"], "committed", "fewer columns are no harm");
    assert_eq!(columns(&project).await, ["id bigint", "name string"]);
    let status = project.lake(&["status"]).ok();
    assert!(status.contains("schema_mismatch") && status.contains("`age`"), "{status}");

    project.write("lake.toml", PEOPLE);
    project.lake(&["apply", "--yes"]).ok();
    project.lake(&["retry", "people"]).ok();
    until("the parked file is in the table", async || (rows(&project).len() == 3).then_some(())).await;
    assert_eq!(columns(&project).await, ["id bigint", "name string", "age bigint"]);
    assert_eq!(rows(&project)[1], json!({"id": 2, "name": "bob", "age": 7}));
    let nothing = project.lake(&["backfill", "people", "--yes"]).ok();
    assert!(nothing.contains("nothing to convert again"), "{nothing}");
}
