//! Tables whose files lie in folders by the values of columns, through the real binary and its cloud.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::world::Project;

const SALES: &str = r#"
[lake]
name = "shop"
region = "eu-west-1"

[dataset.sales]
source = "sales/"
catalog = "direct"
"#;

const BY_MONTH: &str = "partition_by = [\"year\", \"shop\"]\n";

fn applied(dataset: &str) -> Project {
    let project = Project::new(&format!("{SALES}{dataset}"));
    project.lake(&["apply", "--yes"]).ok();
    project
}

#[track_caller]
fn put(project: &Project, name: &str, text: &str) -> Value {
    project.put("sales", name, text)
}

#[track_caller]
fn rows(project: &Project) -> Vec<Value> {
    project.rows("sales")
}

/// The catalog's columns of the table and its keys, and the places of its partitions by their values.
async fn catalogued(project: &Project) -> (Vec<String>, Vec<String>, BTreeMap<Vec<String>, String>) {
    let outputs = project.lake(&["outputs", "--json"]).document();
    let glue = aws_sdk_glue::Client::new(&project.sdk().await);
    let database = outputs["database"].as_str().unwrap();
    let found = glue.get_table().database_name(database).name("sales").send().await.unwrap();
    let table = found.table().unwrap();
    let named = |columns: &[aws_sdk_glue::types::Column]| {
        columns.iter().map(|column| format!("{} {}", column.name(), column.r#type().unwrap())).collect()
    };
    let listed = glue.get_partitions().database_name(database).table_name("sales").send().await.unwrap();
    let place = |partition: &aws_sdk_glue::types::Partition| {
        let location = partition.storage_descriptor().unwrap().location().unwrap();
        let below = location.split_once("/sales/").unwrap().1.to_owned();
        (partition.values().to_vec(), below)
    };
    let partitions = listed.partitions().iter().map(place).collect();
    (named(table.storage_descriptor().unwrap().columns()), named(table.partition_keys()), partitions)
}

/// Keys of the table's files, each without its name.
async fn folders(project: &Project) -> Vec<String> {
    let outputs = project.lake(&["outputs", "--json"]).document();
    let s3 = project.s3().await;
    let bucket = outputs["processed_bucket"].as_str().unwrap();
    let listed = s3.list_objects_v2().bucket(bucket).prefix("sales/").send().await.unwrap();
    let keys = listed.contents().iter().map(|object| object.key().unwrap().to_owned());
    keys.map(|key| key["sales/".len()..key.rfind('/').unwrap() + 1].to_owned()).collect()
}

const FIRST: &str = "id,year,shop,price\n1,2025,oslo,1.5\n2,2026,oslo,2.5\n3,2025,a/b,3.5\n4,2025,oslo,4.5\n";

#[tokio::test]
async fn files_lie_by_their_values_and_the_catalog_knows_each_partition() {
    let project = applied(BY_MONTH);
    let first = put(&project, "1.csv", FIRST);
    assert_eq!((&first["state"], &first["rows"]), (&json!("committed"), &json!(4)), "{first}");
    let (columns, keys, partitions) = catalogued(&project).await;
    assert_eq!(columns, ["id bigint", "price double"]);
    assert_eq!(keys, ["year bigint", "shop string"]);
    let place = |year: &str, shop: &str, below: &str| (vec![year.to_owned(), shop.to_owned()], below.to_owned());
    let oslo = place("2025", "oslo", "year=2025/shop=oslo/");
    let expected = [oslo, place("2025", "a/b", "year=2025/shop=a%2Fb/"), place("2026", "oslo", "year=2026/shop=oslo/")];
    assert_eq!(partitions, expected.into());
    assert_eq!(folders(&project).await, ["year=2025/shop=a%2Fb/", "year=2025/shop=oslo/", "year=2026/shop=oslo/"]);

    // A newer version of the file has other partitions: its rows leave the old ones.
    let second = put(&project, "1.csv", "id,year,shop,price\n1,2027,,1.5\n2,2026,oslo,2.5\n");
    assert_eq!(second["state"], "committed", "{second}");
    let null = "year=2027/shop=__HIVE_DEFAULT_PARTITION__/";
    assert_eq!(folders(&project).await, ["year=2026/shop=oslo/", null]);
    assert!(catalogued(&project).await.2.values().any(|below| below == null));
    let row =
        |id: i64, price: f64, year: i64, shop: Value| json!({"id": id, "price": price, "year": year, "shop": shop});
    assert_eq!(rows(&project), [row(1, 1.5, 2027, Value::Null), row(2, 2.5, 2026, json!("oslo"))]);

    // A column more is added to the table, not to its keys.
    assert_eq!(put(&project, "2.csv", "id,year,shop,price,note\n3,2026,oslo,3.5,x\n")["state"], "committed");
    let (columns, keys, _) = catalogued(&project).await;
    assert_eq!((columns.len(), columns[2].as_str(), keys.len()), (3, "note string", 2));
    assert_eq!(rows(&project).len(), 3);
    project.lake(&["destroy", "--yes"]).ok();
}

#[tokio::test]
async fn a_table_that_is_to_be_partitioned_otherwise_waits_for_a_backfill_and_has_all_rows_then() {
    let project = applied("");
    assert_eq!(put(&project, "1.csv", FIRST)["state"], "committed");
    let before = rows(&project);
    project.write("lake.toml", format!("{SALES}{BY_MONTH}"));
    project.lake(&["apply", "--yes"]).ok();
    let refused = put(&project, "2.csv", "id,year,shop,price\n5,2026,rome,5.5\n");
    assert_eq!(refused["state"], "parked", "{refused}");
    let why = refused.to_string();
    assert!(why.contains("without partitions") && why.contains("partitioned by year, shop"), "{why}");
    project.lake(&["backfill", "sales", "--yes", "--wait"]).ok();
    assert_eq!(catalogued(&project).await.2.len(), 4);
    let mut after = rows(&project);
    assert_eq!(after.remove(4)["shop"], "rome");
    let by_name = |row: &Value| row.as_object().unwrap().clone().into_iter().collect::<BTreeMap<_, _>>();
    assert_eq!(after.iter().map(by_name).collect::<Vec<_>>(), before.iter().map(by_name).collect::<Vec<_>>());

    // And back: the catalog forgets its partitions.
    project.write("lake.toml", SALES);
    project.lake(&["apply", "--yes"]).ok();
    project.lake(&["backfill", "sales", "--yes", "--wait"]).ok();
    let (columns, keys, partitions) = catalogued(&project).await;
    assert_eq!((columns.len(), keys.len(), partitions.len()), (4, 0, 0));
    assert_eq!(folders(&project).await, ["", ""]);
    assert_eq!(rows(&project).len(), 5);
}

#[tokio::test]
async fn a_column_that_cannot_make_folders_parks_the_file_and_says_which() {
    let project = applied("partition_by = [\"price\"]\n");
    let parked = put(&project, "1.csv", FIRST);
    assert_eq!(parked["state"], "parked", "{parked}");
    assert!(parked.to_string().contains("partition_by: column `price` is"), "{parked}");
}

#[test]
fn a_folder_of_files_is_made_without_a_cloud_and_appears_as_a_whole() {
    let project = Project::new(SALES);
    let csv = project.write("1.csv", FIRST);
    let args = ["convert", &csv, "--out", "out", "--partition-by", "year,shop"];
    let told = project.lake(&args).ok();
    assert!(told.contains("3 files of 3 partitions"), "{told}");
    for folder in ["year=2025/shop=a%2Fb", "year=2025/shop=oslo", "year=2026/shop=oslo"] {
        assert!(project.path().join("out").join(folder).join("part-0.parquet").is_file(), "{folder}");
    }
    // Again, with fewer partitions: what was there is replaced.
    let fewer = project.write("2.csv", "id,year,shop,price\n1,2025,oslo,1.5\n");
    project.lake(&["convert", &fewer, "--out", "out", "--partition-by", "year,shop"]).ok();
    assert!(!project.path().join("out/year=2026").exists());
    // What is not lake's is not.
    project.write("out/notes.txt", "mine");
    let refused = project.lake(&args).failed();
    assert!(refused.contains("notes.txt") && refused.contains("would be lost"), "{refused}");
    assert!(project.path().join("out/year=2025/shop=oslo/part-0.parquet").is_file());
}
