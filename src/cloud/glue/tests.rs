use http::{HeaderMap, HeaderValue, Method};

use super::{crawler::tests::Objects, *};
use crate::cloud::service::Caller;

struct Cloud {
    _folder: tempfile::TempDir,
    glue: Arc<Glue>,
}

impl Cloud {
    fn new() -> Cloud {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (exchange, objects) = (Exchange::new(), Arc::new(Objects::default()));
        let glue = Glue::start(Arc::clone(&store), Neighbours { exchange, sink: LogSink::start(store), objects });
        Cloud { _folder: folder, glue }
    }

    async fn ask(&self, operation: &str, input: Value) -> Result<Value, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-target", HeaderValue::from_str(&format!("AWSGlue.{operation}")).unwrap());
        let answer = self
            .glue
            .call(Call {
                caller: Caller { arn: format!("arn:aws:iam::{ACCOUNT_ID}:root"), user_id: ACCOUNT_ID.into() },
                region: "eu-west-1".into(),
                request_id: "request-1".into(),
                method: Method::POST,
                uri: "/".parse().unwrap(),
                headers,
                body: input.to_string().into(),
            })
            .await?;
        Ok(serde_json::from_slice(answer.body()).unwrap())
    }

    async fn refusal(&self, operation: &str, input: Value) -> (String, String) {
        let error = self.ask(operation, input).await.unwrap_err();
        (error.code, error.message)
    }

    /// A cloud with the database `lake` and the table `flights`, partitioned by year and month.
    async fn with_table() -> Cloud {
        let cloud = Cloud::new();
        cloud.ask("CreateDatabase", json!({ "DatabaseInput": { "Name": "Lake" } })).await.unwrap();
        cloud.ask("CreateTable", json!({ "DatabaseName": "lake", "TableInput": flights("1") })).await.unwrap();
        cloud
    }
}

fn flights(comment: &str) -> Value {
    json!({
        "Name": "Flights",
        "Owner": "hadoop",
        "StorageDescriptor": {
            "Columns": [{ "Name": "carrier", "Type": "string", "Comment": comment }],
            "Location": "s3://processed/flights/",
            "SerdeInfo": { "SerializationLibrary": "parquet", "Parameters": { "serialization.format": "1" } },
            "SchemaReference": { "SchemaVersionNumber": 1 },
        },
        "PartitionKeys": [{ "Name": "year", "Type": "int" }, { "Name": "month", "Type": "string" }],
        "TableType": "EXTERNAL_TABLE",
        "Parameters": { "classification": "parquet" },
    })
}

fn of_table(members: Value) -> Value {
    let mut input = json!({ "DatabaseName": "lake", "TableName": "flights" });
    input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    input
}

#[tokio::test]
async fn a_database_is_folded_told_updated_and_deleted_with_what_is_in_it() {
    let cloud = Cloud::with_table().await;
    let name = json!({ "Name": "LAKE" });
    let told = cloud.ask("GetDatabase", name.clone()).await.unwrap();
    assert_eq!(told["Database"]["Name"], "lake");
    assert_eq!(told["Database"]["CatalogId"], ACCOUNT_ID);
    assert_eq!(told["Database"]["CreateTableDefaultPermissions"][0]["Permissions"], json!(["ALL"]));

    let update = json!({ "Name": "lake", "DatabaseInput": { "Name": "lake", "LocationUri": "s3://b/" } });
    cloud.ask("UpdateDatabase", update).await.unwrap();
    let updated = cloud.ask("GetDatabase", name.clone()).await.unwrap();
    assert_eq!(updated["Database"]["LocationUri"], "s3://b/");
    assert_eq!(updated["Database"]["CreateTime"], told["Database"]["CreateTime"]);

    cloud.ask("DeleteDatabase", name.clone()).await.unwrap();
    let gone = cloud.refusal("GetDatabase", name).await;
    assert_eq!(gone, ("EntityNotFoundException".into(), "Database lake not found.".into()));
    cloud.ask("CreateDatabase", json!({ "DatabaseInput": { "Name": "lake" } })).await.unwrap();
    let tables = cloud.ask("GetTables", json!({ "DatabaseName": "lake" })).await.unwrap();
    assert_eq!(tables, json!({ "TableList": [] }));
}

#[tokio::test]
async fn a_table_is_kept_whole() {
    let cloud = Cloud::with_table().await;
    let told = cloud.ask("GetTable", json!({ "DatabaseName": "LAKE", "Name": "FLIGHTS" })).await.unwrap();
    let table = told["Table"].as_object().unwrap();
    for (member, given) in flights("1").as_object().unwrap() {
        match member.as_str() {
            "Name" => assert_eq!(table["Name"], "flights"),
            "StorageDescriptor" => {
                for (member, given) in given.as_object().unwrap() {
                    assert_eq!(&table["StorageDescriptor"][member], given, "{member}");
                }
                assert_eq!(table["StorageDescriptor"]["Compressed"], false);
            }
            _ => assert_eq!(&table[member], given, "{member}"),
        }
    }
    assert_eq!((&table["VersionId"], &table["Retention"]), (&json!("0"), &json!(0)));
    assert_eq!(table["CreatedBy"], "arn:aws:iam::000000000000:root");
    assert!(table["CreateTime"].is_number());
}

#[tokio::test]
async fn what_exists_and_what_does_not_is_told_in_glues_words() {
    let cloud = Cloud::with_table().await;
    let refused = |code: &str, message: &str| (code.to_owned(), message.to_owned());
    let found = "AlreadyExistsException";
    let missing = "EntityNotFoundException";
    let cases = [
        ("CreateDatabase", json!({ "DatabaseInput": { "Name": "lake" } }), found, "Database already exists."),
        ("CreateTable", json!({ "DatabaseName": "lake", "TableInput": flights("") }), found, "Table already exists."),
        ("GetTable", json!({ "DatabaseName": "none", "Name": "t" }), missing, "Database none not found."),
        ("GetTable", json!({ "DatabaseName": "lake", "Name": "t" }), missing, "Entity Not Found"),
        ("DeleteTable", json!({ "DatabaseName": "lake", "Name": "t" }), missing, "Table t not found."),
        ("GetPartition", of_table(json!({ "PartitionValues": ["1", "2"] })), missing, "Cannot find partition."),
    ];
    for (operation, input, code, message) in cases {
        assert_eq!(cloud.refusal(operation, input).await, refused(code, message), "{operation}");
    }
    let (code, message) = cloud.refusal("SearchTables", json!({})).await;
    assert_eq!(code, "UnknownOperationException");
    assert!(message.contains("SearchTables"));
    let (code, message) = cloud.refusal("GetTable", json!({ "DatabaseName": "lake" })).await;
    assert_eq!(code, "ValidationException");
    assert!(message.contains("'Name'"));
    let (code, _) = cloud.refusal("GetTables", json!({ "DatabaseName": "lake", "TransactionId": "1" })).await;
    assert_eq!(code, "InvalidInputException", "what is not there is refused, not ignored");
}

#[tokio::test]
async fn an_update_counts_the_version_and_one_from_an_old_version_is_refused() {
    let cloud = Cloud::with_table().await;
    let update = |comment: &str, version: &str, skip: bool| json!({ "DatabaseName": "lake", "TableInput": flights(comment), "VersionId": version, "SkipArchive": skip });
    cloud.ask("UpdateTable", update("2", "0", false)).await.unwrap();
    let late = cloud.refusal("UpdateTable", update("late", "0", false)).await;
    assert_eq!(late.0, "ConcurrentModificationException");
    assert_eq!(late.1, "Update table failed due to concurrent modifications.");
    cloud.ask("UpdateTable", update("3", "1", true)).await.unwrap();
    cloud.ask("UpdateTable", update("4", "2", false)).await.unwrap();

    let versions = cloud.ask("GetTableVersions", of_table(json!({}))).await.unwrap();
    let told: Vec<_> = versions["TableVersions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| {
            let column = &version["Table"]["StorageDescriptor"]["Columns"][0];
            (version["VersionId"].as_str().unwrap(), column["Comment"].as_str().unwrap())
        })
        .collect();
    assert_eq!(told, [("3", "4"), ("2", "3"), ("0", "1")], "version 1 was not archived");
    let first = cloud.ask("GetTableVersion", of_table(json!({ "VersionId": "0" }))).await.unwrap();
    assert_eq!(first["TableVersion"]["VersionId"], "0");
    let current = cloud.refusal("DeleteTableVersion", of_table(json!({ "VersionId": "3" }))).await;
    assert_eq!(current.0, "InvalidInputException");
    let deleted = cloud.ask("BatchDeleteTableVersion", of_table(json!({ "VersionIds": ["0", "1"] }))).await.unwrap();
    assert_eq!(deleted["Errors"][0]["VersionId"], "1");
}

#[tokio::test]
async fn versions_are_told_page_by_page() {
    let cloud = Cloud::with_table().await;
    for comment in ["2", "3"] {
        let update = json!({ "DatabaseName": "lake", "TableInput": flights(comment) });
        cloud.ask("UpdateTable", update).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut token = Value::Null;
    loop {
        let page = of_table(json!({ "MaxResults": 1, "NextToken": token }));
        let page = cloud.ask("GetTableVersions", page).await.unwrap();
        assert!(page["TableVersions"].as_array().unwrap().len() <= 1);
        seen.extend(page["TableVersions"].as_array().unwrap().iter().map(|version| version["VersionId"].clone()));
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["2", "1", "0"]);
}

#[tokio::test]
async fn tables_are_listed_by_pattern_and_in_pages() {
    let cloud = Cloud::with_table().await;
    for name in ["orders_eu", "orders_us", "b_orders"] {
        let table = json!({ "DatabaseName": "lake", "TableInput": { "Name": name } });
        cloud.ask("CreateTable", table).await.unwrap();
    }
    let names = async |members: Value| {
        let mut input = json!({ "DatabaseName": "lake" });
        input.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let page = cloud.ask("GetTables", input).await.unwrap();
        let tables = page["TableList"].as_array().unwrap();
        let names: Vec<String> = tables.iter().map(|table| table["Name"].as_str().unwrap().to_owned()).collect();
        (names, page["NextToken"].clone())
    };
    let by = async |pattern: &str| names(json!({ "Expression": pattern })).await.0;
    assert_eq!(by("orders_*").await, ["orders_eu", "orders_us"]);
    assert_eq!(by("*orders").await, ["b_orders"]);
    assert_eq!(by("orders_(eu|us)").await, ["orders_eu", "orders_us"]);
    assert_eq!(by("orders_.*").await, ["orders_eu", "orders_us"]);
    assert_eq!(by("orders").await, [""; 0], "the whole name must match");
    let (code, _) = cloud.refusal("GetTables", json!({ "DatabaseName": "lake", "Expression": "(" })).await;
    assert_eq!(code, "InvalidInputException");

    let (first, token) = names(json!({ "MaxResults": 3 })).await;
    let (second, end) = names(json!({ "MaxResults": 3, "NextToken": token })).await;
    assert_eq!((first.len(), second, end), (3, vec!["orders_us".to_owned()], Value::Null));
}

#[tokio::test]
async fn a_batch_deletes_what_is_there_and_tells_what_is_not() {
    let cloud = Cloud::with_table().await;
    let batch = json!({ "DatabaseName": "lake", "TablesToDelete": ["flights", "none"] });
    let answer = cloud.ask("BatchDeleteTable", batch).await.unwrap();
    assert_eq!(answer["Errors"].as_array().unwrap().len(), 1);
    assert_eq!(answer["Errors"][0]["TableName"], "none");
    assert_eq!(answer["Errors"][0]["ErrorDetail"]["ErrorCode"], "EntityNotFoundException");
}

#[tokio::test]
async fn partitions_are_created_filtered_moved_and_deleted() {
    let cloud = Cloud::with_table().await;
    let entry = |year: &str, month: &str| {
        let columns = json!([{ "Name": "carrier", "Type": "string" }]);
        json!({ "Values": [year, month], "StorageDescriptor": { "Columns": columns, "Location": "s3://b/" } })
    };
    let batch = [entry("2013", "01"), entry("2013", "02"), entry("2014", "01"), json!({ "Values": ["2015"] })];
    let answer = cloud.ask("BatchCreatePartition", of_table(json!({ "PartitionInputList": batch }))).await.unwrap();
    assert_eq!(answer["Errors"].as_array().unwrap().len(), 1, "the entry with a value too few");
    let again = cloud.ask("BatchCreatePartition", of_table(json!({ "PartitionInputList": [batch[0]] }))).await.unwrap();
    assert_eq!(again["Errors"][0]["ErrorDetail"]["ErrorCode"], "AlreadyExistsException");

    let values = async |members: Value| {
        let page = cloud.ask("GetPartitions", of_table(members)).await.unwrap();
        let found = page["Partitions"].as_array().unwrap().clone();
        found.iter().map(|partition| partition["Values"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(values(json!({})).await.len(), 3);
    let filtered = json!({ "Expression": "year = 2013 AND month = '02'", "ExcludeColumnSchema": true });
    assert_eq!(values(filtered).await, [r#"["2013","02"]"#]);
    let mut shared = Vec::new();
    for number in 0..3 {
        shared.extend(values(json!({ "Segment": { "SegmentNumber": number, "TotalSegments": 3 } })).await);
    }
    assert_eq!(shared.len(), 3, "segments share the partitions out");

    let moved = json!({ "PartitionValueList": ["2014", "01"], "PartitionInput": entry("2014", "12") });
    cloud.ask("UpdatePartition", of_table(moved)).await.unwrap();
    let wanted = json!({ "PartitionsToGet": [{ "Values": ["2014", "12"] }, { "Values": ["2014", "01"] }] });
    let got = cloud.ask("BatchGetPartition", of_table(wanted)).await.unwrap();
    assert_eq!(got["Partitions"].as_array().unwrap().len(), 1);
    assert_eq!(got["Partitions"][0]["TableName"], "flights");

    let batch = json!({ "PartitionsToDelete": [{ "Values": ["2013", "01"] }, { "Values": ["1", "1"] }] });
    let answer = cloud.ask("BatchDeletePartition", of_table(batch)).await.unwrap();
    assert_eq!(answer["Errors"][0]["PartitionValues"], json!(["1", "1"]));
    cloud.ask("DeletePartition", of_table(json!({ "PartitionValues": ["2013", "02"] }))).await.unwrap();
    assert_eq!(values(json!({})).await, [r#"["2014","12"]"#]);
}

#[tokio::test]
async fn a_tables_partitions_and_versions_go_with_it() {
    let cloud = Cloud::with_table().await;
    let table = json!({ "DatabaseName": "lake", "TableInput": flights("2") });
    cloud.ask("CreatePartition", of_table(json!({ "PartitionInput": { "Values": ["1", "2"] } }))).await.unwrap();
    cloud.ask("UpdateTable", table.clone()).await.unwrap();
    cloud.ask("DeleteTable", json!({ "DatabaseName": "lake", "Name": "flights" })).await.unwrap();
    cloud.ask("CreateTable", table).await.unwrap();
    let partitions = cloud.ask("GetPartitions", of_table(json!({}))).await.unwrap();
    assert_eq!(partitions, json!({ "Partitions": [] }));
    let versions = cloud.ask("GetTableVersions", of_table(json!({}))).await.unwrap();
    assert_eq!(versions["TableVersions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn tags_belong_to_what_is_there() {
    let cloud = Cloud::new();
    let database = json!({ "DatabaseInput": { "Name": "lake" }, "Tags": { "stack": "local" } });
    cloud.ask("CreateDatabase", database.clone()).await.unwrap();
    let arn = "arn:aws:glue:eu-west-1:000000000000:database/lake";
    let tags = json!({ "ResourceArn": arn, "TagsToAdd": { "owner": "me" } });
    cloud.ask("TagResource", tags).await.unwrap();
    let untag = json!({ "ResourceArn": arn, "TagsToRemove": ["stack"] });
    cloud.ask("UntagResource", untag).await.unwrap();
    let told = cloud.ask("GetTags", json!({ "ResourceArn": arn })).await.unwrap();
    assert_eq!(told, json!({ "Tags": { "owner": "me" } }));

    cloud.ask("DeleteDatabase", json!({ "Name": "lake" })).await.unwrap();
    assert_eq!(cloud.refusal("GetTags", json!({ "ResourceArn": arn })).await.0, "EntityNotFoundException");
    cloud.ask("CreateDatabase", database).await.unwrap();
    let told = cloud.ask("GetTags", json!({ "ResourceArn": arn })).await.unwrap();
    assert_eq!(told, json!({ "Tags": { "stack": "local" } }), "a new database does not inherit tags");
    let foreign = json!({ "ResourceArn": "arn:aws:glue:us-east-1:000000000000:database/lake" });
    assert_eq!(cloud.refusal("GetTags", foreign).await.0, "InvalidInputException");
}
