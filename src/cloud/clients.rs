//! What AWS's own clients read from the control-plane services, through the gateway, signature and all.

use aws_credential_types::Credentials;
use aws_sdk_glue::{
    error::ProvideErrorMetadata,
    types::{Column, DatabaseInput, PartitionInput, PartitionValueList, SerDeInfo, StorageDescriptor, TableInput},
};
use aws_sdk_iam::types::Tag;

use super::server::{Options, Server};

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com","AWS":"000000000000"},"Action":"sts:AssumeRole"}]}"#;
const READ: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}]}"#;

struct Cloud {
    _folder: tempfile::TempDir,
    server: Server,
}

macro_rules! client {
    ($cloud:expr, $sdk:ident, $credentials:expr) => {
        $sdk::Client::from_conf(
            $sdk::Config::builder()
                .behavior_version($sdk::config::BehaviorVersion::latest())
                .endpoint_url($cloud.server.endpoint())
                .region($sdk::config::Region::new("eu-west-1"))
                .credentials_provider($credentials)
                .build(),
        )
    };
}

mod access;

impl Cloud {
    async fn start() -> Cloud {
        Cloud::start_with_iam(true).await
    }

    async fn start_with_iam(iam: bool) -> Cloud {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { folder: folder.path().to_owned(), port: None, iam, smtp: None };
        let server = Server::start(options).await.unwrap();
        Cloud { _folder: folder, server }
    }

    /// A user with this policy, and its credentials.
    async fn user(&self, name: &str, policy: Option<&str>) -> Credentials {
        let iam = client!(self, aws_sdk_iam, self.root());
        iam.create_user().user_name(name).send().await.unwrap();
        if let Some(document) = policy {
            iam.put_user_policy().user_name(name).policy_name("own").policy_document(document).send().await.unwrap();
        }
        let key = iam.create_access_key().user_name(name).send().await.unwrap().access_key.unwrap();
        Credentials::new(key.access_key_id(), key.secret_access_key(), None, None, "user")
    }

    fn root(&self) -> Credentials {
        let key = self.server.root_credentials();
        Credentials::new(&key.access_key_id, &key.secret_access_key, None, None, "root")
    }
}

#[tokio::test]
async fn the_iam_client_reads_roles_policies_tags_and_errors() {
    let cloud = Cloud::start().await;
    let iam = client!(cloud, aws_sdk_iam, cloud.root());
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
    let made = iam
        .create_role()
        .role_name("convert")
        .path("/lake/")
        .assume_role_policy_document(TRUST)
        .description("a & b")
        .tags(tag("lake:stack", "local"))
        .tags(tag("lake:address", "role/convert"))
        .send()
        .await
        .unwrap();
    let role = iam.get_role().role_name("convert").send().await.unwrap().role.unwrap();
    assert_eq!(made.role.as_ref(), Some(&role));
    assert_eq!((role.arn(), role.description()), ("arn:aws:iam::000000000000:role/lake/convert", Some("a & b")));
    assert_eq!(role.tags(), [tag("lake:address", "role/convert"), tag("lake:stack", "local")]);
    let document = percent_encoding::percent_decode_str(role.assume_role_policy_document().unwrap());
    assert_eq!(document.decode_utf8().unwrap(), TRUST);

    iam.put_role_policy().role_name("convert").policy_name("read").policy_document(READ).send().await.unwrap();
    iam.update_role().role_name("convert").max_session_duration(7200).send().await.unwrap();
    iam.update_assume_role_policy().role_name("convert").policy_document(TRUST).send().await.unwrap();
    let managed = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess";
    iam.attach_role_policy().role_name("convert").policy_arn(managed).send().await.unwrap();
    let names = iam.list_role_policies().role_name("convert").send().await.unwrap();
    assert_eq!(names.policy_names(), ["read"]);
    let policy = iam.get_role_policy().role_name("convert").policy_name("read").send().await.unwrap();
    assert_eq!(percent_encoding::percent_decode_str(policy.policy_document()).decode_utf8().unwrap(), READ);
    let attached = iam.list_attached_role_policies().role_name("convert").send().await.unwrap();
    assert_eq!(attached.attached_policies()[0].policy_name(), Some("AmazonS3ReadOnlyAccess"));
    let profiles = iam.list_instance_profiles_for_role().role_name("convert").send().await.unwrap();
    assert!(profiles.instance_profiles().is_empty());
    let roles = iam.list_roles().max_items(1).send().await.unwrap();
    assert_eq!((roles.roles().len(), roles.is_truncated()), (1, false));
    assert_eq!(roles.roles()[0].max_session_duration(), Some(7200));

    let refused = iam.delete_role().role_name("convert").send().await.unwrap_err().into_service_error();
    assert!(refused.is_delete_conflict_exception(), "{refused:?}");
    let missing = iam.get_role().role_name("none").send().await.unwrap_err().into_service_error();
    assert!(missing.is_no_such_entity_exception());
    assert_eq!(missing.message(), Some("The role with name none cannot be found."));
    let taken = iam.create_role().role_name("convert").assume_role_policy_document(TRUST).send().await;
    assert!(taken.unwrap_err().into_service_error().is_entity_already_exists_exception());
    let malformed = iam.put_role_policy().role_name("convert").policy_name("x").policy_document("{").send().await;
    assert!(malformed.unwrap_err().into_service_error().is_malformed_policy_document_exception());
}

#[tokio::test]
async fn a_session_of_a_role_signs_requests_and_is_told_so() {
    let cloud = Cloud::start().await;
    let iam = client!(cloud, aws_sdk_iam, cloud.root());
    iam.create_role().role_name("convert").assume_role_policy_document(TRUST).send().await.unwrap();
    let sts = client!(cloud, aws_sdk_sts, cloud.root());
    let root = sts.get_caller_identity().send().await.unwrap();
    assert_eq!((root.account(), root.arn()), (Some("000000000000"), Some("arn:aws:iam::000000000000:root")));
    let user = iam.get_user().send().await.unwrap().user.unwrap();
    assert_eq!(Some(user.arn()), root.arn());

    let arn = "arn:aws:iam::000000000000:role/convert";
    let may = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}}"#;
    let sts = client!(cloud, aws_sdk_sts, cloud.user("ann", Some(may)).await);
    let assumed = sts.assume_role().role_arn(arn).role_session_name("me").send().await.unwrap();
    let session_arn = assumed.assumed_role_user().unwrap().arn().to_owned();
    let key = assumed.credentials().unwrap();
    let token = Some(key.session_token().to_owned());
    let credentials = Credentials::new(key.access_key_id(), key.secret_access_key(), token, None, "session");
    let session = client!(cloud, aws_sdk_sts, credentials);
    let identity = session.get_caller_identity().send().await.unwrap();
    assert_eq!(identity.arn(), Some(session_arn.as_str()));
    assert_eq!(session_arn, "arn:aws:sts::000000000000:assumed-role/convert/me");
}

fn flights(columns: &[&str]) -> TableInput {
    let column = |name: &str, kind: &str| Column::builder().name(name).r#type(kind).build().unwrap();
    let storage = StorageDescriptor::builder()
        .set_columns(Some(columns.iter().map(|name| column(name, "string")).collect()))
        .location("s3://processed/flights/")
        .input_format("org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat")
        .serde_info(SerDeInfo::builder().serialization_library("ParquetHiveSerDe").parameters("a", "b").build());
    TableInput::builder()
        .name("Flights")
        .storage_descriptor(storage.build())
        .partition_keys(column("year", "int"))
        .table_type("EXTERNAL_TABLE")
        .parameters("classification", "parquet")
        .build()
        .unwrap()
}

#[tokio::test]
async fn the_glue_client_reads_tables_versions_and_partitions_as_it_wrote_them() {
    let cloud = Cloud::start().await;
    let glue = client!(cloud, aws_sdk_glue, cloud.root());
    let database = DatabaseInput::builder().name("lake").parameters("owner", "us").build().unwrap();
    glue.create_database().database_input(database).tags("stack", "local").send().await.unwrap();
    glue.create_table().database_name("lake").table_input(flights(&["carrier"])).send().await.unwrap();

    let table = glue.get_table().database_name("lake").name("flights").send().await.unwrap().table.unwrap();
    let written = flights(&["carrier"]);
    assert_eq!((table.name(), table.version_id()), ("flights", Some("0")));
    assert_eq!(table.storage_descriptor(), written.storage_descriptor());
    assert_eq!(table.partition_keys(), written.partition_keys());
    assert_eq!(table.parameters(), written.parameters());
    assert!(table.create_time().is_some() && table.update_time().is_some());

    let update = |columns, version| {
        glue.update_table().database_name("lake").table_input(flights(columns)).version_id(version).send()
    };
    update(&["carrier", "origin"], "0").await.unwrap();
    let late = update(&["late"], "0").await.unwrap_err().into_service_error();
    assert!(late.is_concurrent_modification_exception(), "{late:?}");
    let versions = glue.get_table_versions().database_name("lake").table_name("flights").send().await.unwrap();
    let ids: Vec<_> = versions.table_versions().iter().filter_map(|version| version.version_id()).collect();
    assert_eq!(ids, ["1", "0"]);

    let partition = |year: &str| PartitionInput::builder().values(year).build();
    let batch = glue.batch_create_partition().database_name("lake").table_name("flights");
    let batch = batch.partition_input_list(partition("2013")).partition_input_list(partition("2014"));
    assert!(batch.send().await.unwrap().errors().is_empty());
    let found = glue.get_partitions().database_name("lake").table_name("flights").expression("year > 2013");
    let found = found.send().await.unwrap();
    assert_eq!(found.partitions()[0].values(), ["2014"]);
    assert!(found.partitions()[0].creation_time().is_some());
    let wanted = PartitionValueList::builder().values("2013").build().unwrap();
    let got = glue.batch_get_partition().database_name("lake").table_name("flights").partitions_to_get(wanted);
    assert_eq!(got.send().await.unwrap().partitions().len(), 1);

    let tags = glue.get_tags().resource_arn("arn:aws:glue:eu-west-1:000000000000:database/lake");
    assert_eq!(tags.send().await.unwrap().tags().unwrap()["stack"], "local");
    let databases = glue.get_databases().send().await.unwrap();
    assert_eq!(databases.database_list()[0].parameters().unwrap()["owner"], "us");
    glue.delete_database().name("lake").send().await.unwrap();
    let gone = glue.get_tables().database_name("lake").send().await.unwrap_err().into_service_error();
    assert!(gone.is_entity_not_found_exception());
    assert_eq!(gone.message(), Some("Database lake not found."));
    let crawlers = glue.list_data_quality_results().send().await.unwrap_err().into_service_error();
    assert_eq!(crawlers.code(), Some("UnknownOperationException"));
}

const CRAWLER_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"glue.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

#[tokio::test]
async fn the_glue_client_crawls_what_the_s3_client_has_put() {
    use aws_sdk_glue::types::{CrawlerHistoryState, CrawlerState, CrawlerTargets, LastCrawlStatus, S3Target};

    let cloud = Cloud::start().await;
    let iam = client!(cloud, aws_sdk_iam, cloud.root());
    iam.create_role().role_name("crawl").assume_role_policy_document(CRAWLER_TRUST).send().await.unwrap();
    let everything = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*","glue:*","logs:*"],"Resource":"*"}]}"#;
    iam.put_role_policy().role_name("crawl").policy_name("all").policy_document(everything).send().await.unwrap();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .endpoint_url(cloud.server.endpoint())
        .region(aws_sdk_s3::config::Region::new("us-east-1"))
        .credentials_provider(cloud.root())
        .force_path_style(true);
    let s3 = aws_sdk_s3::Client::from_conf(config.build());
    s3.create_bucket().bucket("raw").send().await.unwrap();
    for (key, text) in [("orders/year=2023/a.csv", "id,price\n1,2.5\n"), ("orders/year=2024/b.csv", "id,price\n2,3\n")]
    {
        let body = text.as_bytes().to_vec().into();
        s3.put_object().bucket("raw").key(key).body(body).send().await.unwrap();
    }
    // An object in a file of its own, whose footer a crawl reads.
    let column = |name: &str, values: Vec<i64>| {
        (name.to_owned(), std::sync::Arc::new(arrow::array::Int64Array::from(values)) as arrow::array::ArrayRef)
    };
    let batch = arrow::array::RecordBatch::try_from_iter([column("A", (0..300_000).collect())]).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let body = writer.into_inner().unwrap().into();
    s3.put_object().bucket("raw").key("numbers/n.parquet").body(body).send().await.unwrap();

    let glue = client!(cloud, aws_sdk_glue, cloud.root());
    let database = DatabaseInput::builder().name("lake").build().unwrap();
    glue.create_database().database_input(database).send().await.unwrap();
    let target = |path: &str| S3Target::builder().path(path).build();
    let targets =
        CrawlerTargets::builder().s3_targets(target("s3://raw/orders/")).s3_targets(target("s3://raw/numbers/"));
    let created = glue.create_crawler().name("c").role("arn:aws:iam::000000000000:role/crawl").database_name("lake");
    created.targets(targets.build()).tags("stack", "local").send().await.unwrap();
    glue.start_crawler().name("c").send().await.unwrap();
    let crawler = loop {
        let crawler = glue.get_crawler().name("c").send().await.unwrap().crawler.unwrap();
        if crawler.state() == Some(&CrawlerState::Ready) {
            break crawler;
        }
    };
    let last = crawler.last_crawl().unwrap();
    assert_eq!((last.status(), last.error_message()), (Some(&LastCrawlStatus::Succeeded), None));
    assert!(last.start_time().is_some() && crawler.creation_time().is_some());
    assert_eq!(crawler.role(), Some("crawl"));

    let orders = glue.get_table().database_name("lake").name("orders").send().await.unwrap().table.unwrap();
    assert_eq!(orders.partition_keys()[0].name(), "year");
    let columns = |table: &aws_sdk_glue::types::Table| -> Vec<String> {
        let columns = table.storage_descriptor().unwrap().columns();
        columns.iter().map(|column| format!("{}:{}", column.name(), column.r#type().unwrap())).collect()
    };
    assert_eq!(columns(&orders), ["id:bigint", "price:double"]);
    let partitions = glue.get_partitions().database_name("lake").table_name("orders").send().await.unwrap();
    assert_eq!(partitions.partitions().len(), 2);
    let numbers = glue.get_table().database_name("lake").name("numbers").send().await.unwrap().table.unwrap();
    assert_eq!(columns(&numbers), ["a:bigint"]);
    assert_eq!(numbers.parameters().unwrap()["recordCount"], "300000");
    assert_eq!(numbers.parameters().unwrap()["classification"], "parquet");

    let crawls = glue.list_crawls().crawler_name("c").send().await.unwrap();
    assert_eq!(crawls.crawls()[0].state(), Some(&CrawlerHistoryState::Completed));
    let refused = glue.stop_crawler().name("c").send().await.unwrap_err().into_service_error();
    assert!(refused.is_crawler_not_running_exception(), "{refused:?}");
    let missing = glue.start_crawler().name("d").send().await.unwrap_err().into_service_error();
    assert!(missing.is_entity_not_found_exception(), "{missing:?}");
    let twice = glue.create_crawler().name("c").role("crawl").targets(CrawlerTargets::builder().build()).send().await;
    assert!(twice.unwrap_err().into_service_error().is_already_exists_exception());
}
