//! `aws:glue:Crawler`.

use async_trait::async_trait;
use aws_sdk_glue::{
    Client,
    types::{
        Crawler as Found, CrawlerTargets, DeleteBehavior, RecrawlBehavior, RecrawlPolicy, S3Target, ScheduleState,
        SchemaChangePolicy, UpdateBehavior,
    },
};
use serde_json::{Value, json};

use super::{rest::at_rest, tag, tags};
use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            account::Account,
            error::{OrNone, failed, parent_not_yet, taken_up},
            fields::{fields, input, inputs, or_blank, parsed},
        },
    },
    resource::{Fields, Input, Resource, Schema, aws::glue::Crawler},
};

// What Glue does where nobody says otherwise (<https://docs.aws.amazon.com/glue/latest/webapi/API_CreateCrawler.html>).
const UPDATE_DEFAULT: &str = "UPDATE_IN_DATABASE";
const DELETE_DEFAULT: &str = "DEPRECATE_IN_DATABASE";
const RECRAWL_DEFAULT: &str = "CRAWL_EVERYTHING";

/// The configuration that asks for nothing
/// (<https://docs.aws.amazon.com/glue/latest/dg/crawler-configuration.html>).
const CONFIGURATION_DEFAULT: &str = r#"{"Version":1.0}"#;

pub(in crate::provider::aws) struct CrawlerKind {
    glue: Client,
    account: Account,
}

impl CrawlerKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        CrawlerKind { glue: clients.glue.clone(), account: clients.account.clone() }
    }

    async fn arn(&self, name: &str) -> Result<String, ProviderError> {
        self.account.arn("glue", &format!("crawler/{name}")).await
    }

    async fn make(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: Crawler = inputs(target)?;
        let call = self
            .glue
            .create_crawler()
            .name(target.identity)
            .description(inputs.description.known())
            .role(inputs.role.known())
            .database_name(inputs.database.known())
            .targets(targets(&inputs))
            .table_prefix(inputs.table_prefix.known())
            .schema_change_policy(schema_change(&inputs))
            .recrawl_policy(recrawl(&inputs))
            .set_configuration(inputs.configuration.as_ref().map(Value::to_string))
            .set_classifiers(Some(classifiers(&inputs)))
            .set_tags(Some(tags.clone().into_iter().collect()));
        // It is made right after its role and its database.
        call.send().await.map_err(failed("glue:CreateCrawler")).map_err(parent_not_yet)?;
        Ok(outputs(target.identity, &self.arn(target.identity).await?))
    }
}

#[async_trait]
impl Kind for CrawlerKind {
    fn schema(&self) -> &'static Schema {
        Crawler::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let call = self.glue.get_crawler().name(target.identity).send().await;
        let found = call.map_err(failed("glue:GetCrawler")).or_none()?.and_then(|answer| answer.crawler);
        let Some(found) = found else { return Ok(None) };
        let arn = self.arn(target.identity).await?;
        let tags = tags(&self.glue, &arn).await?;
        Ok(Some(Observed { inputs: observed(&found, target), outputs: outputs(target.identity, &arn), tags }))
    }

    async fn list(&self, prefix: &str) -> Result<Option<Vec<String>>, ProviderError> {
        let mut pages = self.glue.list_crawlers().into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            names.extend(page.map_err(failed("glue:ListCrawlers"))?.crawler_names.unwrap_or_default());
        }
        names.retain(|name| name.starts_with(prefix));
        Ok(Some(names))
    }

    async fn tag(&self, target: Target<'_>, tags: &Tags) -> Result<(), ProviderError> {
        tag(&self.glue, &self.arn(target.identity).await?, tags).await
    }

    async fn create(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        taken_up(self, target, tags, self.make(target, tags).await).await
    }

    /// UpdateCrawler keeps what is not given, so everything is.
    async fn update(&self, target: Target<'_>, prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        let inputs: Crawler = inputs(target)?;
        let configuration = inputs.configuration.as_ref().map(Value::to_string);
        let call = self
            .glue
            .update_crawler()
            .name(target.identity)
            .description(inputs.description.known())
            .role(inputs.role.known())
            .database_name(inputs.database.known())
            .targets(targets(&inputs))
            .table_prefix(inputs.table_prefix.known())
            .schema_change_policy(schema_change(&inputs))
            .recrawl_policy(recrawl(&inputs))
            .configuration(configuration.unwrap_or_else(|| CONFIGURATION_DEFAULT.to_owned()))
            .set_classifiers(Some(classifiers(&inputs)))
            // Somebody gave it one: it is on demand again.
            .set_schedule(prior.contains_key("schedule").then(String::new));
        let update = || call.clone().send();
        at_rest(&self.glue, target.identity, "glue:UpdateCrawler", update).await.map_err(parent_not_yet)?;
        let arn = self.arn(target.identity).await?;
        tag(&self.glue, &arn, tags).await?;
        Ok(outputs(target.identity, &arn))
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let delete = || self.glue.delete_crawler().name(target.identity).send();
        at_rest(&self.glue, target.identity, "glue:DeleteCrawler", delete).await.or_none().map(drop)
    }
}

fn targets(inputs: &Crawler) -> CrawlerTargets {
    let path = S3Target::builder().path(inputs.path.known()).set_exclusions(Some(inputs.exclusions.clone())).build();
    CrawlerTargets::builder().s3_targets(path).build()
}

fn schema_change(inputs: &Crawler) -> SchemaChangePolicy {
    SchemaChangePolicy::builder()
        .update_behavior(UpdateBehavior::from(inputs.update_behavior.known().as_str()))
        .delete_behavior(DeleteBehavior::from(inputs.delete_behavior.known().as_str()))
        .build()
}

fn recrawl(inputs: &Crawler) -> RecrawlPolicy {
    RecrawlPolicy::builder().recrawl_behavior(RecrawlBehavior::from(inputs.recrawl.known().as_str())).build()
}

fn classifiers(inputs: &Crawler) -> Vec<String> {
    inputs.classifiers.iter().map(Input::known).cloned().collect()
}

fn outputs(name: &str, arn: &str) -> Fields {
    fields(json!({ "name": name, "arn": arn }))
}

/// The crawler in the declared shape. What lake never declares is told besides, so that it shows as drift.
fn observed(found: &Found, target: Target<'_>) -> Fields {
    let policy = found.schema_change_policy();
    let update = policy.and_then(SchemaChangePolicy::update_behavior).map(UpdateBehavior::as_str);
    let delete = policy.and_then(SchemaChangePolicy::delete_behavior).map(DeleteBehavior::as_str);
    let recrawl = found.recrawl_policy().and_then(RecrawlPolicy::recrawl_behavior).map(RecrawlBehavior::as_str);
    let paths = found.targets().map(CrawlerTargets::s3_targets).unwrap_or_default();
    let named: Vec<&str> = paths.iter().filter_map(S3Target::path).collect();
    let exclusions: Vec<&String> = paths.iter().flat_map(S3Target::exclusions).collect();
    let others = found.targets().map(other_targets).unwrap_or_default();
    let schedule = found.schedule().filter(|schedule| schedule.state() != Some(&ScheduleState::NotScheduled));
    fields(json!({
        "description": found.description().unwrap_or_default(),
        "role": role(input(target, "role"), found.role().unwrap_or_default()),
        "database": found.database_name().unwrap_or_default(),
        "path": named.join(", "),
        "exclusions": exclusions,
        "table_prefix": found.table_prefix().unwrap_or_default(),
        "update_behavior": update.unwrap_or(UPDATE_DEFAULT),
        "delete_behavior": delete.unwrap_or(DELETE_DEFAULT),
        "recrawl": recrawl.unwrap_or(RECRAWL_DEFAULT),
        "configuration": configuration(target, found.configuration()),
        "classifiers": found.classifiers(),
        "schedule": schedule.and_then(|schedule| schedule.schedule_expression()).filter(|text| !text.is_empty()),
        "other_targets": (!others.is_empty()).then_some(others),
    }))
}

/// What a crawler crawls besides S3 paths.
fn other_targets(targets: &CrawlerTargets) -> Vec<&'static str> {
    [
        ("JDBC", targets.jdbc_targets().len()),
        ("MongoDB", targets.mongo_db_targets().len()),
        ("DynamoDB", targets.dynamo_db_targets().len()),
        ("Data Catalog", targets.catalog_targets().len()),
        ("Delta Lake", targets.delta_targets().len()),
        ("Iceberg", targets.iceberg_targets().len()),
        ("Hudi", targets.hudi_targets().len()),
    ]
    .into_iter()
    .filter_map(|(name, count)| (count > 0).then_some(name))
    .collect()
}

/// Glue takes a role's ARN and tells its name, with its path.
fn role(known: Option<&Value>, there: &str) -> Value {
    let same =
        |known: &&Value| known.as_str().is_some_and(|arn| arn.split_once(":role/").is_some_and(|(_, n)| n == there));
    known.filter(same).cloned().unwrap_or_else(|| there.into())
}

/// The configuration in our words: Glue adds what it does anyway to the one it got.
fn configuration(target: Target<'_>, there: Option<&str>) -> Option<Value> {
    let known = input(target, "configuration");
    let there = there.filter(|text| !text.is_empty()).map(parsed);
    let plain = |value: Option<&Value>| value.map_or_else(|| json!({}), without_defaults);
    if plain(known) == plain(there.as_ref()) {
        return known.cloned();
    }
    or_blank(target, "configuration", there)
}

fn without_defaults(configuration: &Value) -> Value {
    let Some(members) = configuration.as_object() else { return configuration.clone() };
    let is_default = |name: &str, value: &Value| name == "Version" || (name == "CreatePartitionIndex" && value == true);
    let said = members.iter().filter(|(name, value)| !is_default(name, value));
    Value::Object(said.map(|(name, value)| (name.clone(), value.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{
        ErrorKind,
        aws::replay::{Answer, Replay, answer, caller, json_error, target},
    };

    const ARN: &str = "arn:aws:glue:eu-west-1:123456789012:crawler/c";

    fn declared() -> Fields {
        let grouping = json!({ "Version": 1.0, "Grouping": { "TableGroupingPolicy": "CombineCompatibleSchemas" } });
        fields(json!({
            "description": "d", "role": "arn:aws:iam::123456789012:role/crawler", "database": "raw",
            "path": "s3://b/flights/", "exclusions": ["_lake/**"], "table_prefix": "", "recrawl": "CRAWL_EVERYTHING",
            "update_behavior": "UPDATE_IN_DATABASE", "delete_behavior": "LOG", "configuration": grouping,
            "classifiers": [],
        }))
    }

    fn ours() -> Tags {
        [("lake:stack".to_owned(), "local".to_owned())].into()
    }

    fn found(rest: &Value) -> Answer {
        let grouping = r#"{"Grouping":{"TableGroupingPolicy":"CombineCompatibleSchemas"},"Version":1.0,"CreatePartitionIndex":true}"#;
        let mut crawler = json!({
            "Name": "c", "Description": "d", "Role": "crawler", "DatabaseName": "raw", "State": "READY",
            "Targets": { "S3Targets": [{ "Path": "s3://b/flights/", "Exclusions": ["_lake/**"] }], "JdbcTargets": [],
                "CatalogTargets": [] },
            "SchemaChangePolicy": { "UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": "LOG" },
            "RecrawlPolicy": { "RecrawlBehavior": "CRAWL_EVERYTHING" }, "Classifiers": [], "Version": 1,
            "LineageConfiguration": { "CrawlerLineageSettings": "DISABLE" }, "Configuration": grouping,
            "LakeFormationConfiguration": { "UseLakeFormationCredentials": false, "AccountId": "" },
        });
        crawler.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        answer(200, json!({ "Crawler": crawler }).to_string())
    }

    fn state(state: &str) -> Answer {
        found(&json!({ "State": state }))
    }

    fn tags() -> Answer {
        answer(200, json!({ "Tags": { "lake:stack": "local" } }).to_string())
    }

    fn done() -> Answer {
        answer(200, "{}")
    }

    fn gone() -> Answer {
        json_error(400, "EntityNotFoundException", "Crawler c not found")
    }

    fn running() -> Answer {
        json_error(400, "CrawlerRunningException", "Crawler with name c is currently running")
    }

    #[tokio::test]
    async fn glues_spelling_of_roles_and_defaults_is_no_drift() {
        let replay = Replay::new([found(&json!({})), caller(), tags(), gone()]);
        let kind = CrawlerKind::new(&replay.clients());
        let there = kind.observe(target("c", &declared())).await.unwrap().unwrap();
        assert_eq!(there.inputs, declared());
        assert_eq!(there.outputs["arn"], ARN);
        assert_eq!(there.tags, ours());
        assert_eq!(kind.observe(target("c", &declared())).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_crawler_without_a_declared_configuration_has_glues_own() {
        let mut declared = declared();
        declared.remove("configuration");
        let configuration = |text: &str| found(&json!({ "Configuration": text }));
        let replay = Replay::new([
            configuration(r#"{"Version":1.0,"CreatePartitionIndex":true}"#),
            caller(),
            tags(),
            configuration(r#"{"Version":1.0,"CreatePartitionIndex":false}"#),
            tags(),
        ]);
        let kind = CrawlerKind::new(&replay.clients());
        assert_eq!(kind.observe(target("c", &declared)).await.unwrap().unwrap().inputs, declared);
        assert_ne!(kind.observe(target("c", &declared)).await.unwrap().unwrap().inputs, declared);
    }

    #[tokio::test]
    async fn what_somebody_changed_shows_as_drift_and_a_schedule_is_taken_away() {
        let changed = json!({ "Role": "other", "Configuration": "",
            "Schedule": { "ScheduleExpression": "cron(0 1 * * ? *)", "State": "SCHEDULED" },
            "Targets": { "S3Targets": [{ "Path": "s3://b/" }, { "Path": "s3://c/" }],
                "JdbcTargets": [{ "ConnectionName": "x" }] } });
        let replay = Replay::new([found(&changed), caller(), tags(), done(), done()]);
        let kind = CrawlerKind::new(&replay.clients());
        let drifted = kind.observe(target("c", &declared())).await.unwrap().unwrap().inputs;
        assert_eq!((&drifted["role"], &drifted["path"]), (&json!("other"), &json!("s3://b/, s3://c/")));
        assert_eq!((&drifted["configuration"], &drifted["other_targets"]), (&json!(""), &json!(["JDBC"])));
        kind.update(target("c", &declared()), &drifted, &ours()).await.unwrap();
        assert!(replay.asked()[3].contains(r#""Schedule":"""#), "{}", replay.asked()[3]);
    }

    #[tokio::test]
    async fn a_role_that_glue_cannot_assume_yet_is_tried_again_and_so_is_a_new_database() {
        let replay = Replay::new([
            json_error(
                400,
                "InvalidInputException",
                "Service is unable to assume provided role. Please verify role's TrustPolicy",
            ),
            json_error(400, "EntityNotFoundException", "Database raw not found."),
            done(),
            caller(),
        ]);
        let kind = CrawlerKind::new(&replay.clients());
        for _ in 0..2 {
            let error = kind.create(target("c", &declared()), &ours()).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotYet, "{error}");
        }
        assert_eq!(kind.create(target("c", &declared()), &ours()).await.unwrap()["arn"], ARN);
        let create = &replay.asked()[2];
        assert!(create.contains("CreateCrawler") && create.contains(r#""lake:stack":"local""#), "{create}");
        assert!(create.contains(r#""Exclusions":["_lake/**"]"#), "{create}");
    }

    #[tokio::test]
    async fn a_creation_that_meets_its_own_earlier_try_goes_on() {
        let replay = Replay::new([
            json_error(400, "AlreadyExistsException", "Crawler c already exists"),
            found(&json!({})),
            caller(),
            tags(),
            done(),
            done(),
        ]);
        let kind = CrawlerKind::new(&replay.clients());
        kind.create(target("c", &declared()), &ours()).await.unwrap();
        assert!(replay.asked()[4].contains("UpdateCrawler"), "{:#?}", replay.asked());
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn a_running_crawler_is_stopped_before_it_is_changed() {
        let replay = Replay::new([running(), done(), state("STOPPING"), state("READY"), done(), caller(), done()]);
        let kind = CrawlerKind::new(&replay.clients());
        kind.update(target("c", &declared()), &declared(), &ours()).await.unwrap();
        let asked = replay.asked();
        let operations: Vec<_> =
            asked.iter().filter_map(|line| line.split("AWSGlue.").nth(1)?.split(' ').next()).collect();
        assert_eq!(
            operations,
            ["UpdateCrawler", "StopCrawler", "GetCrawler", "GetCrawler", "UpdateCrawler", "TagResource"]
        );
    }

    #[tokio::test]
    async fn a_crawler_that_stops_by_itself_or_is_started_again_is_deleted_all_the_same() {
        let stopping = json_error(400, "CrawlerStoppingException", "Crawler with name c is stopping");
        let not_running = json_error(400, "CrawlerNotRunningException", "Crawler with name c is not running");
        let replay =
            Replay::new([running(), stopping, state("READY"), running(), not_running, state("READY"), done(), gone()]);
        let kind = CrawlerKind::new(&replay.clients());
        kind.delete(target("c", &declared())).await.unwrap();
        kind.delete(target("c", &declared())).await.unwrap();
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn a_crawler_that_is_started_again_and_again_is_given_up_for_a_while() {
        let rounds = (0..5).flat_map(|_| [running(), done(), state("READY")]);
        let replay = Replay::new(rounds.chain([running()]));
        let error = CrawlerKind::new(&replay.clients()).delete(target("c", &declared())).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotYet);
        replay.assert_used_up();
    }
}
