//! The operations, their refusals and what they need.

use super::*;
use crate::cloud::authorise::Need;

fn named() -> Value {
    json!({ "Name": "c" })
}

#[tokio::test]
async fn a_crawler_is_told_as_it_was_defined_and_updated() {
    let world = World::with_crawler(json!({ "Description": "d", "Tags": { "team": "sales" } })).await;
    let made = world.state().await;
    assert_eq!((&made["Role"], &made["State"], &made["Version"]), (&json!("crawl"), &json!("READY"), &json!(1)));
    assert_eq!(made["SchemaChangePolicy"]["DeleteBehavior"], "DEPRECATE_IN_DATABASE");
    assert_eq!(made["LastCrawl"], Value::Null);
    let update = json!({ "Name": "c", "TablePrefix": "x_", "Role": format!("arn:aws:iam::{ACCOUNT_ID}:role/crawl") });
    world.ask("UpdateCrawler", update).await.unwrap();
    let updated = world.state().await;
    assert_eq!((&updated["TablePrefix"], &updated["Version"]), (&json!("x_"), &json!(2)));
    assert_eq!((&updated["Description"], &updated["Targets"]), (&made["Description"], &made["Targets"]));

    let arn = format!("arn:aws:glue:eu-west-1:{ACCOUNT_ID}:crawler/c");
    assert_eq!(world.ask("GetTags", json!({ "ResourceArn": arn })).await.unwrap()["Tags"], json!({ "team": "sales" }));
    let names = |tags: Value| world.ask("ListCrawlers", json!({ "Tags": tags }));
    assert_eq!(names(json!({ "team": "sales" })).await.unwrap()["CrawlerNames"], json!(["c"]));
    assert_eq!(names(json!({ "team": "other" })).await.unwrap()["CrawlerNames"], json!([]));
    assert_eq!(world.ask("GetCrawlers", json!({})).await.unwrap()["Crawlers"][0]["Name"], "c");
    let batch = world.ask("BatchGetCrawlers", json!({ "CrawlerNames": ["c", "d"] })).await.unwrap();
    assert_eq!((&batch["Crawlers"][0]["Name"], &batch["CrawlersNotFound"]), (&json!("c"), &json!(["d"])));
    assert_eq!(world.refusal("CreateCrawler", crawler(json!({}))).await, "AlreadyExistsException");
    world.ask("DeleteCrawler", named()).await.unwrap();
    for operation in ["GetCrawler", "DeleteCrawler", "StartCrawler", "StopCrawler", "UpdateCrawler"] {
        assert_eq!(world.refusal(operation, named()).await, "EntityNotFoundException", "{operation}");
    }
}

#[tokio::test]
async fn what_crawlers_here_do_not_have_is_refused() {
    let world = World::new().await;
    let refused = [
        json!({ "Targets": {} }),
        json!({ "Targets": { "S3Targets": [{ "Path": "b/orders" }] } }),
        json!({ "Targets": { "S3Targets": [{ "Path": "s3://b/", "EventQueueArn": "arn:aws:sqs:r:a:q" }] } }),
        json!({ "Targets": { "S3Targets": [{ "Path": "s3://b/", "Exclusions": ["["] }] } }),
        json!({ "Targets": { "S3Targets": [{ "Path": "s3://b/", "SampleSize": 250 }] } }),
        json!({ "Targets": { "JdbcTargets": [{ "Path": "x" }], "S3Targets": [{ "Path": "s3://b/" }] } }),
        json!({ "Schedule": "cron(0 * * * ? *)" }),
        json!({ "RecrawlPolicy": { "RecrawlBehavior": "CRAWL_EVENT_MODE" } }),
        json!({ "LineageConfiguration": { "CrawlerLineageSettings": "ENABLE" } }),
        json!({ "LakeFormationConfiguration": { "UseLakeFormationCredentials": true } }),
        json!({ "CrawlerSecurityConfiguration": "secure" }),
        json!({ "Configuration": "{\"Version\":2.0}" }),
        json!({ "Classifiers": ["none"] }),
        json!({ "Role": "none" }),
        json!({ "Name": "" }),
    ];
    for more in refused {
        assert_eq!(world.refusal("CreateCrawler", crawler(more.clone())).await, "InvalidInputException", "{more}");
    }
    assert_eq!(world.refusal("CreateCrawler", json!({ "Name": "c", "Role": "crawl" })).await, "ValidationException");
    world.role("UpdateAssumeRolePolicy", &[("PolicyDocument", NO_TRUST)]).await;
    let error = world.ask("CreateCrawler", crawler(json!({}))).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.message.as_str()), ("InvalidInputException", CANNOT_ASSUME));
}

#[tokio::test]
async fn a_crawler_at_work_is_not_started_changed_or_deleted_and_can_be_stopped() {
    let world = World::with_crawler(json!({})).await;
    assert_eq!(world.refusal("StopCrawler", named()).await, "CrawlerNotRunningException");
    world.objects.put("orders/a.csv", ORDERS);
    let gate = world.objects.gate.acquire().await.unwrap();
    world.ask("StartCrawler", named()).await.unwrap();
    world.objects.arrived.notified().await;
    assert_eq!(world.state().await["State"], "RUNNING");
    for operation in ["StartCrawler", "UpdateCrawler", "DeleteCrawler"] {
        assert_eq!(world.refusal(operation, named()).await, "CrawlerRunningException", "{operation}");
    }
    let crawls = world.ask("ListCrawls", json!({ "CrawlerName": "c" })).await.unwrap();
    assert_eq!(crawls["Crawls"][0]["State"], "RUNNING");
    world.ask("StopCrawler", named()).await.unwrap();
    assert_eq!(world.ready().await["LastCrawl"]["Status"], "CANCELLED");
    drop(gate);
    assert_eq!(world.tables().await, [""; 0]);
    assert_eq!(world.told(), ["Started c"]);
    world.crawled().await;
    let crawls = world.ask("ListCrawls", json!({ "CrawlerName": "c" })).await.unwrap();
    let states: Vec<_> = crawls["Crawls"].as_array().unwrap().iter().map(|crawl| &crawl["State"]).collect();
    assert_eq!(states, ["COMPLETED", "STOPPED"]);
    assert_eq!(crawls["Crawls"][0]["Summary"], r#"{"TABLE":"{\"ADD\":1}"}"#);
    let filter = json!({ "FieldName": "STATE", "FilterOperator": "EQ", "FieldValue": "STOPPED" });
    let stopped = world.ask("ListCrawls", json!({ "CrawlerName": "c", "Filters": [filter] })).await.unwrap();
    assert_eq!(stopped["Crawls"].as_array().unwrap().len(), 1);
    let metrics = world.ask("GetCrawlerMetrics", json!({ "CrawlerNameList": ["c"] })).await.unwrap();
    assert_eq!(metrics["CrawlerMetricsList"][0]["TablesCreated"], 1);
}

/// The states, step by step, without a crawl.
#[tokio::test]
async fn a_crawler_is_stopping_until_its_crawl_has_ended() {
    let world = World::with_crawler(json!({})).await;
    let scope = Scope::internal("eu-west-1", String::new());
    let (store, exchange) = (&world.store, &world.exchange);
    let refused = |result: Result<String, ApiError>| result.unwrap_err().code;
    let id = store.write(|tx| state::start(tx, &scope, exchange, "c")).unwrap();
    store
        .write(|tx| {
            let crawler = state::at_work(tx, &scope, "c", &id)?.unwrap();
            state::wrote(tx, &scope, crawler, model::Counts::default())
        })
        .unwrap();
    assert_eq!(world.state().await["State"], "STOPPING");
    assert_eq!(refused(store.write(|tx| state::start(tx, &scope, exchange, "c"))), "CrawlerRunningException");
    assert_eq!(refused(store.write(|tx| state::stop(tx, &scope, "c"))), "CrawlerStoppingException");
    // What was decided stays, also over a restart.
    assert_eq!(store.write(|tx| state::recover(tx, exchange)).unwrap().len(), 1);
    let ended = world.state().await;
    assert_eq!((&ended["State"], &ended["LastCrawl"]["Status"]), (&json!("READY"), &json!("SUCCEEDED")));
    assert_eq!(world.told(), ["Started c", "Succeeded c"]);
    let again = Outcome::Cancelled;
    assert_eq!(store.write(|tx| state::finish(tx, &scope, exchange, "c", &id, again)).unwrap(), None);
    store.write(|tx| state::start(tx, &scope, exchange, "c")).unwrap();
    let (run, last) = (world.state().await, ended["LastCrawl"]["StartTime"].as_f64().unwrap());
    assert_eq!(run["State"], "RUNNING");
    let crawls = world.ask("ListCrawls", json!({ "CrawlerName": "c" })).await.unwrap();
    assert!(crawls["Crawls"][0]["StartTime"].as_f64().unwrap() > last, "no two crawls begin at one time");
}

#[tokio::test]
async fn schedules_answer_as_for_a_crawler_without_one() {
    let world = World::with_crawler(json!({})).await;
    let of = |schedule: &str| json!({ "CrawlerName": "c", "Schedule": schedule });
    assert_eq!(world.refusal("StartCrawlerSchedule", of("")).await, "NoScheduleException");
    assert_eq!(world.refusal("StopCrawlerSchedule", of("")).await, "SchedulerNotRunningException");
    assert_eq!(world.refusal("UpdateCrawlerSchedule", of("cron(0 * * * ? *)")).await, "InvalidInputException");
    world.ask("UpdateCrawlerSchedule", of("")).await.unwrap();
}

#[tokio::test]
async fn a_custom_classifier_decides_before_the_built_in_one() {
    let world = World::new().await;
    let csv = json!({ "Name": "texts", "ContainsHeader": "PRESENT", "Delimiter": ",", "QuoteSymbol": "\"" });
    world.ask("CreateClassifier", json!({ "CsvClassifier": csv })).await.unwrap();
    assert_eq!(world.refusal("CreateClassifier", json!({ "CsvClassifier": csv })).await, "AlreadyExistsException");
    world.ask("CreateCrawler", crawler(json!({ "Classifiers": ["texts"] }))).await.unwrap();
    world.objects.put("orders/a.csv", "name,city\nann,\"rome, italy\"\n");
    world.crawled().await;
    let table = world.table("orders").await;
    assert_eq!(columns(&table), "name:string city:string");
    let serde = &table["StorageDescriptor"]["SerdeInfo"];
    assert_eq!(serde["SerializationLibrary"], "org.apache.hadoop.hive.serde2.OpenCSVSerde");
    assert_eq!(serde["Parameters"]["separatorChar"], ",");

    let change = json!({ "Name": "texts", "Header": ["a", "b"], "Serde": "LazySimpleSerDe" });
    world.ask("UpdateClassifier", json!({ "CsvClassifier": change })).await.unwrap();
    let told =
        world.ask("GetClassifier", json!({ "Name": "texts" })).await.unwrap()["Classifier"]["CsvClassifier"].take();
    assert_eq!((&told["Version"], &told["Delimiter"], &told["Header"]), (&json!(2), &json!(","), &json!(["a", "b"])));
    world.crawled().await;
    assert_eq!(columns(&world.table("orders").await), "a:string b:string", "the rules have changed: read again");
    assert_eq!(world.ask("GetClassifiers", json!({})).await.unwrap()["Classifiers"].as_array().unwrap().len(), 1);
    world.ask("DeleteClassifier", json!({ "Name": "texts" })).await.unwrap();
    assert_eq!(world.refusal("GetClassifier", json!({ "Name": "texts" })).await, "EntityNotFoundException");
    for wrong in [
        json!({ "GrokClassifier": { "Name": "g" } }),
        json!({ "CsvClassifier": { "Name": "x", "Delimiter": ",,"} }),
        json!({ "CsvClassifier": { "Name": "x", "Delimiter": "\""} }),
        json!({ "CsvClassifier": { "Name": "x", "CustomDatatypes": ["DATE"] } }),
    ] {
        assert_eq!(world.refusal("CreateClassifier", wrong.clone()).await, "InvalidInputException", "{wrong}");
    }
}

#[tokio::test]
async fn operations_need_what_the_service_authorization_reference_says() {
    let world = World::new().await;
    let table = "glue:GetTable catalog, glue:GetTable database/lake, glue:GetTable table/lake/t";
    let crawler_needs = format!(
        "glue:CreateCrawler crawler/c, glue:TagResource crawler/c, iam:PassRole arn:aws:iam::{ACCOUNT_ID}:role/crawl if \
         iam:PassedToService=glue.amazonaws.com"
    );
    let cases = [
        ("GetTable", json!({ "DatabaseName": "Lake", "Name": "T" }), table),
        (
            "CreateTable",
            json!({ "DatabaseName": "lake", "TableInput": { "Name": "t" } }),
            "glue:CreateTable catalog, glue:CreateTable database/lake, glue:CreateTable table/lake/t",
        ),
        (
            "BatchDeleteTable",
            json!({ "DatabaseName": "l", "TablesToDelete": ["t", "u"] }),
            "glue:BatchDeleteTable catalog, glue:BatchDeleteTable database/l, glue:BatchDeleteTable table/l/t, \
             glue:BatchDeleteTable table/l/u",
        ),
        (
            "DeleteDatabase",
            json!({ "Name": "l" }),
            "glue:DeleteDatabase catalog, glue:DeleteDatabase database/l, glue:DeleteDatabase table/l/*, \
             glue:DeleteDatabase userDefinedFunction/l/*",
        ),
        ("GetDatabases", json!({}), "glue:GetDatabases catalog"),
        ("CreateCrawler", crawler(json!({ "Tags": { "a": "b" } })), &crawler_needs),
        ("StartCrawler", named(), "glue:StartCrawler crawler/c"),
        ("GetCrawlers", json!({}), "glue:GetCrawlers crawler/*"),
        ("CreateClassifier", json!({}), "glue:CreateClassifier *"),
        ("NoOperation", json!({}), ""),
    ];
    for (operation, input, expected) in cases {
        let needs = world.glue.needs(&glue_call(operation, &input)).unwrap();
        let told = |need: &Need| {
            let resource = need.resource.replace(&format!("arn:aws:glue:eu-west-1:{ACCOUNT_ID}:"), "");
            let context: Vec<_> = need.context.iter().map(|(key, value)| format!(" if {key}={value}")).collect();
            format!("{} {resource}{}", need.action, context.concat())
        };
        assert_eq!(needs.iter().map(told).collect::<Vec<_>>().join(", "), expected, "{operation}");
    }
}
