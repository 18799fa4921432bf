//! What a crawl finds, writes and tells.

use super::*;
use crate::cloud::logs::Logs;

#[tokio::test]
async fn a_crawl_describes_csv_files_and_tells_of_it() {
    let world = World::with_crawler(json!({ "TablePrefix": "raw_" })).await;
    world.objects.put("orders/", "");
    world.objects.put("orders/day=1/a.csv", ORDERS);
    world.objects.put("orders/day=1/b.csv", ORDERS);
    world.objects.put("orders/day=2/c.csv", ORDERS);
    world.objects.put("orders2/d.csv", ORDERS);
    let crawler = world.crawl().await;
    let last = &crawler["LastCrawl"];
    assert_eq!(
        (&last["Status"], &last["LogGroup"], &last["LogStream"]),
        (&json!("SUCCEEDED"), &json!("/aws-glue/crawlers"), &json!("c"))
    );

    let table = world.table("raw_orders").await;
    assert_eq!(columns(&table), "id:bigint price:double");
    assert_eq!(table["StorageDescriptor"]["Location"], "s3://b/orders/");
    assert_eq!(table["PartitionKeys"], json!([{ "Name": "day", "Type": "string" }]));
    assert_eq!(table["TableType"], "EXTERNAL_TABLE");
    assert_eq!(
        table["StorageDescriptor"]["SerdeInfo"],
        json!({
            "SerializationLibrary": "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
            "Parameters": { "field.delim": "," },
        })
    );
    assert_eq!(
        table["Parameters"],
        json!({
            "CRAWL_RUN_ID": last["MessagePrefix"], "UPDATED_BY_CRAWLER": "c", "areColumnsQuoted": "false",
            "CrawlerSchemaDeserializerVersion": "1.0", "CrawlerSchemaSerializerVersion": "1.0",
            "averageRecordSize": "7", "classification": "csv", "columnsOrdered": "true", "compressionType": "none",
            "delimiter": ",", "objectCount": "3", "recordCount": "9", "sizeKey": "63",
            "skip.header.line.count": "1", "typeOfData": "file",
        })
    );
    assert_eq!(table["CreatedBy"], format!("arn:aws:sts::{ACCOUNT_ID}:assumed-role/crawl/AWS-Crawler"));
    let partitions = world.partitions("raw_orders").await;
    assert_eq!(partitions.iter().map(|partition| &partition["Values"][0]).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(partitions[0]["StorageDescriptor"]["Location"], "s3://b/orders/day=1/");
    assert_eq!(partitions[0]["Parameters"]["objectCount"], "2");

    let events = world.events();
    let (started, ended) = (&events[0], events.last().unwrap());
    assert_eq!(
        (&started["source"], &started["detail-type"]),
        (&json!("aws.glue"), &json!("Glue Crawler State Change"))
    );
    assert_eq!(started["detail"]["state"], "Started");
    assert_eq!(started["detail"]["message"], "Crawler Started");
    let link = "https://console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logEventViewer:group=/aws-glue/crawlers;stream=c";
    let mut detail = ended["detail"].clone();
    assert!(detail.as_object_mut().unwrap().remove("completionDate").unwrap().as_str().unwrap().ends_with('Z'));
    assert_eq!(
        detail,
        json!({
            "accountId": ACCOUNT_ID, "crawlerName": "c", "state": "Succeeded", "message": "Crawler Succeeded",
            "runningTime (sec)": "0", "cloudWatchLogLink": link, "warningMessage": "N/A",
            "tablesCreated": "1", "tablesUpdated": "0", "tablesDeleted": "0",
            "partitionsCreated": "2", "partitionsUpdated": "0", "partitionsDeleted": "0",
        })
    );
    let (created, added) = (&events[1], &events[2]);
    assert_eq!(created["detail-type"], "Glue Data Catalog Database State Change");
    assert_eq!(
        created["detail"],
        json!({ "databaseName": "lake", "typeOfChange": "CreateTable", "changedTables": ["raw_orders"] })
    );
    assert_eq!(created["resources"], json!([format!("arn:aws:glue:eu-west-1:{ACCOUNT_ID}:table/lake/raw_orders")]));
    assert_eq!(added["detail-type"], "Glue Data Catalog Table State Change");
    assert_eq!(added["detail"]["changedPartitions"], json!(["[1]", "[2]"]));
    assert_eq!(added["detail"]["typeOfChange"], "BatchCreatePartition");
}

#[tokio::test]
async fn a_crawl_leaves_its_log() {
    let world = World::with_crawler(json!({})).await;
    world.objects.put("orders/a.csv", ORDERS);
    world.objects.put("orders/b.bin", "\u{0}\u{1}\u{2}");
    let id = world.crawl().await["LastCrawl"]["MessagePrefix"].as_str().unwrap().to_owned();
    let message = |events: Value| -> Vec<String> {
        let events = events["events"].as_array().unwrap().clone();
        events.iter().map(|event| event["message"].as_str().unwrap().to_owned()).collect()
    };
    let logs = Logs::new(Arc::clone(&world.store));
    let lines = loop {
        // The last line is written after the crawler is ready.
        world.sink.flush().await;
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::from_static("Logs_20140328.GetLogEvents"));
        let input = json!({ "logGroupName": "/aws-glue/crawlers", "logStreamName": "c", "startFromHead": true });
        if let Ok(answer) = logs.call(call(headers, input.to_string())).await {
            let lines = message(serde_json::from_slice(answer.body()).unwrap());
            if lines.last().is_some_and(|line| line.ends_with("READY")) {
                break lines;
            }
        }
    };
    let expected = [
        "BENCHMARK : Running Start Crawl for Crawler c",
        "WARN : s3://b/orders/b.bin is classified as UNKNOWN; no table has it",
        "BENCHMARK : Classification complete, writing results to database lake",
        "INFO : Crawler configured with SchemaChangePolicy \
         {\"UpdateBehavior\":\"UPDATE_IN_DATABASE\",\"DeleteBehavior\":\"DEPRECATE_IN_DATABASE\"}.",
        "INFO : Created table orders in database lake",
        "BENCHMARK : Finished writing to Catalog",
        "INFO : Run Summary For TABLE:",
        "INFO : ADD: 1",
        "BENCHMARK : Crawler has finished running and is in state READY",
    ];
    assert_eq!(lines, expected.map(|line| format!("[{id}] {line}")));
    let warning = &world.events().pop().unwrap()["detail"]["warningMessage"];
    assert_eq!(warning, "1 objects could not be classified: see the crawler's log");
}

#[tokio::test]
async fn an_unchanged_object_is_not_read_again_and_an_unchanged_table_not_written() {
    let world = World::with_crawler(json!({})).await;
    for number in 0..5 {
        world.objects.put(&format!("orders/{number}.csv"), &format!("{ORDERS}{number},1.0\n"));
    }
    world.crawled().await;
    assert_eq!(world.objects.reads(), 5);
    world.told();
    world.crawled().await;
    assert_eq!(world.objects.reads(), 0);
    assert_eq!(world.told(), ["Started c", "Succeeded c"]);
    assert_eq!(world.table("orders").await["VersionId"], "0");
    world.objects.put("orders/5.csv", ORDERS);
    world.crawled().await;
    assert_eq!(world.objects.reads(), 1);
    assert_eq!(world.told(), ["Started c", "UpdateTable lake.orders", "Succeeded c"]);
    let versions =
        world.ask("GetTableVersions", json!({ "DatabaseName": "lake", "TableName": "orders" })).await.unwrap();
    assert_eq!(versions["TableVersions"].as_array().unwrap().len(), 1, "counts alone make no history");
    assert_eq!(world.table("orders").await["Parameters"]["objectCount"], "6");
}

#[tokio::test]
async fn exclusions_and_sample_sizes_decide_what_is_read() {
    let target = json!({ "Path": "s3://b/orders", "Exclusions": ["**.tmp", "old/**"], "SampleSize": 1 });
    let world = World::with_crawler(json!({ "Targets": { "S3Targets": [target] } })).await;
    for key in ["orders/a.csv", "orders/b.csv", "orders/c.csv", "orders/d.tmp", "orders/old/x.csv", "orders-2/x.csv"] {
        world.objects.put(key, ORDERS);
    }
    world.crawled().await;
    assert_eq!(world.objects.reads(), 1);
    assert_eq!(world.table("orders").await["Parameters"]["objectCount"], "3");
}

#[tokio::test]
async fn one_object_as_a_target_and_json_beside_csv_are_tables() {
    let targets = json!({ "S3Targets": [{ "Path": "s3://b/one.csv" }, { "Path": "s3://b/json" }] });
    let world = World::with_crawler(json!({ "Targets": targets })).await;
    world.objects.put("one.csv", ORDERS);
    world.objects.put("one.csv.old", ORDERS);
    world.objects.put("json/a", "{\"B\":1,\"a\":\"x\"}\n");
    world.crawled().await;
    assert_eq!(world.tables().await, ["json", "one_csv"]);
    assert_eq!(world.table("one_csv").await["StorageDescriptor"]["Location"], "s3://b/one.csv");
    let json = world.table("json").await;
    assert_eq!(columns(&json), "b:int a:string");
    assert_eq!(json["StorageDescriptor"]["SerdeInfo"]["Parameters"]["paths"], "a,b");
    world.objects.delete("one.csv");
    world.crawled().await;
    assert!(world.table("one_csv").await["Parameters"]["DEPRECATED_BY_CRAWLER"].is_string());
}

#[tokio::test]
async fn what_cannot_be_read_fails_the_crawl_and_changes_nothing() {
    let cases = [
        (json!({ "Targets": { "S3Targets": [{ "Path": "s3://none/x" }] } }), "Error Code: NoSuchBucket"),
        (json!({ "DatabaseName": "none" }), "Error Code: EntityNotFoundException"),
        (
            json!({ "Configuration": r#"{"CrawlerOutput":{"Tables":{"TableThreshold":1}}}"# }),
            "exceeds the table threshold",
        ),
    ];
    for (settings, reason) in cases {
        let world = World::with_crawler(settings).await;
        world.objects.put("orders/a/x.csv", ORDERS);
        world.objects.put("orders/b/x.csv", "who,age,city\nann,3,rome\n");
        let last = world.crawl().await["LastCrawl"].clone();
        assert_eq!(last["Status"], "FAILED");
        assert!(last["ErrorMessage"].as_str().unwrap().contains(reason), "{last}");
        assert_eq!(world.tables().await, [""; 0]);
        let events = world.events();
        let failed = &events.last().unwrap()["detail"];
        assert_eq!((&failed["state"], &failed["message"]), (&json!("Failed"), &json!("Crawler Failed")));
        assert_eq!(failed["errorMessage"], last["ErrorMessage"]);
        assert_eq!(events.len(), 2);
    }
}

#[tokio::test]
async fn a_role_that_is_no_longer_trusted_fails_the_crawl() {
    let world = World::with_crawler(json!({})).await;
    world.role("UpdateAssumeRolePolicy", &[("PolicyDocument", NO_TRUST)]).await;
    let last = world.crawl().await["LastCrawl"].clone();
    assert_eq!(last["ErrorMessage"], CANNOT_ASSUME);
}

#[tokio::test]
async fn a_crawl_that_the_cloud_left_under_way_has_failed_at_its_next_start() {
    let world = World::with_crawler(json!({})).await;
    let gate = world.objects.gate.acquire().await.unwrap();
    world.ask("StartCrawler", json!({ "Name": "c" })).await.unwrap();
    world.objects.arrived.notified().await;
    world.glue.stop();
    assert_eq!(world.state().await["State"], "RUNNING");
    world.told();
    let (exchange, objects) = (Arc::clone(&world.exchange), Arc::clone(&world.objects) as _);
    let next = Glue::start(Arc::clone(&world.store), Neighbours { exchange, sink: world.sink.clone(), objects });
    drop(gate);
    let crawler = next.call(glue_call("GetCrawler", &json!({ "Name": "c" }))).await.unwrap();
    let crawler: Value = serde_json::from_slice(crawler.body()).unwrap();
    assert_eq!(crawler["Crawler"]["State"], "READY");
    assert_eq!(crawler["Crawler"]["LastCrawl"]["ErrorMessage"], "Internal Service Exception");
    assert_eq!(world.told(), ["Failed c"]);
}

#[tokio::test]
async fn a_crawl_fails_without_any_of_the_rights_that_it_uses() {
    let cases = [
        ("s3:ListBucket", "Error Code: AccessDenied) listing objects in s3://b"),
        ("s3:GetObject", "Error Code: AccessDenied) retrieving file at s3://b/orders/k=1/a.csv"),
        ("glue:GetDatabase", "is not authorized to perform: glue:GetDatabase on resource"),
        ("glue:GetTable", "is not authorized to perform: glue:GetTable on resource"),
        ("glue:CreateTable", "is not authorized to perform: glue:CreateTable on resource"),
        ("glue:BatchCreatePartition", "is not authorized to perform: glue:BatchCreatePartition on resource"),
    ];
    let world = World::with_crawler(json!({})).await;
    world.objects.put("orders/k=1/a.csv", ORDERS);
    for (action, reason) in cases {
        let less = ALL.replace(&format!("\"{action}\""), "\"sts:GetCallerIdentity\"");
        world.role("PutRolePolicy", &[("PolicyName", "all"), ("PolicyDocument", &less)]).await;
        let last = world.crawl().await["LastCrawl"].clone();
        assert_eq!(last["Status"], "FAILED", "without {action}");
        let message = last["ErrorMessage"].as_str().unwrap();
        assert!(message.contains(reason) && message.contains("assumed-role/crawl/AWS-Crawler"), "{message}");
        assert_eq!(world.tables().await, [""; 0]);
    }
}

#[tokio::test]
async fn a_role_without_rights_on_its_log_crawls_and_leaves_none() {
    let world = World::with_crawler(json!({})).await;
    world.objects.put("orders/a.csv", ORDERS);
    let silent = ALL.replace("logs:PutLogEvents", "logs:GetLogEvents");
    world.role("PutRolePolicy", &[("PolicyName", "all"), ("PolicyDocument", &silent)]).await;
    world.crawled().await;
    world.sink.flush().await;
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-target", HeaderValue::from_static("Logs_20140328.GetLogEvents"));
    let input = json!({ "logGroupName": "/aws-glue/crawlers", "logStreamName": "c" });
    let missing = Logs::new(Arc::clone(&world.store)).call(call(headers, input.to_string())).await.unwrap_err();
    assert_eq!(missing.code, "ResourceNotFoundException");
}
