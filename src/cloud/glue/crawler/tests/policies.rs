//! What becomes of a table when its objects change.

use super::*;

const WIDER: &str = "id,price,note,day\n1,1.5,x,3\n";

fn policy(update: &str, delete: &str) -> Value {
    json!({ "SchemaChangePolicy": { "UpdateBehavior": update, "DeleteBehavior": delete } })
}

/// The table `orders` after its one file has become another.
async fn after_change(settings: Value) -> (World, Value) {
    let world = World::with_crawler(settings).await;
    world.objects.put("orders/a.csv", ORDERS);
    world.crawled().await;
    world.objects.put("orders/a.csv", "price,extra\n1,y\n");
    world.crawled().await;
    let table = world.table("orders").await;
    (world, table)
}

#[tokio::test]
async fn an_update_replaces_the_columns_and_keeps_what_people_added() {
    let world = World::with_crawler(json!({})).await;
    world.objects.put("orders/a.csv", ORDERS);
    world.crawled().await;
    let mut table = world.table("orders").await;
    table["Description"] = "ours".into();
    table["Parameters"]["team"] = "sales".into();
    table["StorageDescriptor"]["Columns"][0]["Comment"] = "the key".into();
    world.ask("UpdateTable", json!({ "DatabaseName": "lake", "TableInput": table })).await.unwrap();
    world.objects.put("orders/a.csv", WIDER);
    world.crawled().await;
    let table = world.table("orders").await;
    assert_eq!(columns(&table), "id:bigint price:double note:string day:bigint");
    assert_eq!((&table["Description"], &table["Parameters"]["team"]), (&json!("ours"), &json!("sales")));
    assert_eq!(table["StorageDescriptor"]["Columns"][0]["Comment"], "the key");
    assert_eq!(table["VersionId"], "2");
    let (_, replaced) = after_change(json!({})).await;
    assert_eq!(columns(&replaced), "price:bigint extra:string");
}

#[tokio::test]
async fn the_policy_log_leaves_the_table_as_it_is() {
    let (world, table) = after_change(policy("LOG", "LOG")).await;
    assert_eq!((columns(&table).as_str(), &table["VersionId"]), ("id:bigint price:double", &json!("0")));
    world.objects.delete("orders/a.csv");
    world.crawled().await;
    assert_eq!(world.table("orders").await["VersionId"], "0");
}

#[tokio::test]
async fn merged_new_columns_come_behind_the_old_ones() {
    let merge = r#"{"Version":1.0,"CrawlerOutput":{"Tables":{"AddOrUpdateBehavior":"MergeNewColumns"}}}"#;
    let (_, table) = after_change(json!({ "Configuration": merge })).await;
    assert_eq!(columns(&table), "id:bigint price:double extra:string");
}

#[tokio::test]
async fn a_table_without_objects_is_deprecated_and_comes_back() {
    let world = World::with_crawler(json!({})).await;
    world.objects.put("orders/a.csv", ORDERS);
    world.crawled().await;
    world.objects.delete("orders/a.csv");
    world.crawled().await;
    assert!(world.table("orders").await["Parameters"]["DEPRECATED_BY_CRAWLER"].is_string());
    world.told();
    world.crawled().await;
    assert_eq!(world.told(), ["Started c", "Succeeded c"], "once is enough");
    world.objects.put("orders/a.csv", ORDERS);
    world.crawled().await;
    assert_eq!(world.table("orders").await["Parameters"]["DEPRECATED_BY_CRAWLER"], Value::Null);
}

#[tokio::test]
async fn lost_tables_and_partitions_are_deleted_when_the_policy_says_so() {
    let world = World::with_crawler(policy("UPDATE_IN_DATABASE", "DELETE_FROM_DATABASE")).await;
    for key in ["orders/k=1/a.csv", "orders/k=2/a.csv"] {
        world.objects.put(key, ORDERS);
    }
    world.crawled().await;
    world.objects.delete("orders/k=1/a.csv");
    world.objects.put("orders/k=2/b.csv", &format!("{ORDERS}3,3.5\n"));
    world.told();
    world.crawled().await;
    let partitions = world.partitions("orders").await;
    assert_eq!(partitions.len(), 1);
    assert_eq!(partitions[0]["Parameters"]["objectCount"], "2");
    let told = world.told();
    let expected =
        ["UpdateTable", "BatchUpdatePartition", "BatchDeletePartition"].map(|name| format!("{name} lake.orders"));
    assert_eq!(told[1..4], expected);
    world.objects.delete("orders/k=2/a.csv");
    world.objects.delete("orders/k=2/b.csv");
    world.crawled().await;
    assert_eq!(world.tables().await, [""; 0]);
    assert_eq!(world.told()[1], "DeleteTable lake");
}

#[tokio::test]
async fn a_lost_partition_is_deprecated_by_default() {
    let world = World::with_crawler(json!({})).await;
    for key in ["orders/k=1/a.csv", "orders/k=2/a.csv"] {
        world.objects.put(key, ORDERS);
    }
    world.crawled().await;
    world.objects.delete("orders/k=1/a.csv");
    world.crawled().await;
    let partitions = world.partitions("orders").await;
    assert!(partitions[0]["Parameters"]["DEPRECATED_BY_CRAWLER"].is_string());
    assert_eq!(partitions[1]["Parameters"]["DEPRECATED_BY_CRAWLER"], Value::Null);
}

#[tokio::test]
async fn a_table_that_the_crawler_did_not_make_is_never_touched() {
    let world = World::with_crawler(json!({})).await;
    let own = json!({ "Name": "orders", "StorageDescriptor": { "Location": "s3://b/orders/" } });
    world.ask("CreateTable", json!({ "DatabaseName": "lake", "TableInput": own })).await.unwrap();
    world.objects.put("orders/a.csv", ORDERS);
    world.crawled().await;
    world.crawled().await;
    let tables = world.tables().await;
    assert_eq!((tables.len(), tables[0].as_str()), (2, "orders"));
    assert!(tables[1].starts_with("orders_") && tables[1].len() == 7 + 32);
    assert_eq!(world.table("orders").await["VersionId"], "0");
}

#[tokio::test]
async fn partitions_inherit_from_the_table_when_told_to() {
    let inherit = r#"{"Version":1.0,"CrawlerOutput":{"Partitions":{"AddOrUpdateBehavior":"InheritFromTable"}}}"#;
    let world = World::with_crawler(json!({ "Configuration": inherit })).await;
    world.objects.put("orders/k=1/a.csv", "a,b,c,d\n1,2,3,4\n");
    world.objects.put("orders/k=2/a.csv", "a,b,c,d,e\n1,2,3,4,5\n");
    world.crawled().await;
    let partitions = world.partitions("orders").await;
    assert_eq!(columns(&partitions[0]), columns(&partitions[1]));
    assert_eq!(partitions[0]["StorageDescriptor"]["Location"], "s3://b/orders/k=1/");
}

#[tokio::test]
async fn a_crawl_of_new_folders_looks_at_no_other() {
    let world = World::with_crawler(json!({ "RecrawlPolicy": { "RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY" } })).await;
    assert_eq!(world.state().await["SchemaChangePolicy"], policy("LOG", "LOG")["SchemaChangePolicy"]);
    world.objects.put("orders/k=1/a.csv", ORDERS);
    world.crawled().await;
    world.objects.put("orders/k=1/b.csv", WIDER);
    world.objects.put("orders/k=2/a.csv", ORDERS);
    world.objects.reads();
    world.crawled().await;
    assert_eq!(world.objects.reads(), 1);
    assert_eq!(world.partitions("orders").await.len(), 2);
    world.objects.delete("orders/k=1/a.csv");
    world.objects.delete("orders/k=1/b.csv");
    world.crawled().await;
    assert_eq!(world.partitions("orders").await.len(), 2);
    let refused = json!({ "RecrawlPolicy": { "RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY" },
        "SchemaChangePolicy": { "UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "LOG" } });
    let mut input = crawler(refused);
    input["Name"] = "d".into();
    assert_eq!(world.refusal("CreateCrawler", input).await, "InvalidInputException");
}

#[tokio::test]
async fn other_partition_keys_replace_the_partitions() {
    let world = World::with_crawler(json!({})).await;
    world.objects.put("orders/k=1/a.csv", ORDERS);
    world.crawled().await;
    world.objects.delete("orders/k=1/a.csv");
    world.objects.put("orders/day=1/hour=2/a.csv", ORDERS);
    world.crawled().await;
    let partitions = world.partitions("orders").await;
    assert_eq!(partitions.len(), 1);
    assert_eq!(partitions[0]["Values"], json!(["1", "2"]));
}
