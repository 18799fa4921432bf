//! `aws:glue:Database`. DeleteDatabase takes every table along, so whose they are is asked before.

use async_trait::async_trait;
use aws_sdk_glue::{
    Client,
    types::{Database as Found, DatabaseInput, Table},
};
use serde_json::json;

use super::{tag, tags};
use crate::{
    provider::{
        ErrorKind, Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed, incomplete, taken_up, unbuildable},
            fields::{fields, inputs},
            partition,
        },
    },
    resource::{Fields, Resource, Schema, aws::glue::Database},
};

/// A table's parameters that tell its owner, and the database's tags that they must equal.
const OWNER: [(&str, &str); 2] = [("lake.name", "lake:name"), ("lake.stack", "lake:stack")];

/// The parameter in which a crawler signs the tables that it writes
/// (<https://docs.aws.amazon.com/glue/latest/dg/table-properties-crawler.html>).
const CRAWLED_BY: &str = "UPDATED_BY_CRAWLER";

/// Tables that a refusal names.
const TABLES_NAMED_MAX: usize = 5;

pub(in crate::provider::aws) struct DatabaseKind {
    glue: Client,
    region: String,
}

impl DatabaseKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        DatabaseKind { glue: clients.glue.clone(), region: clients.region.clone() }
    }

    /// The database and its ARN, which Glue does not tell.
    async fn get(&self, name: &str) -> Result<Option<(Found, String)>, ProviderError> {
        const OPERATION: &str = "glue:GetDatabase";
        let call = self.glue.get_database().name(name).send().await;
        let Some(found) = call.map_err(failed(OPERATION)).or_none()?.and_then(|answer| answer.database) else {
            return Ok(None);
        };
        let account = found.catalog_id().ok_or_else(|| incomplete(OPERATION, "CatalogId"))?;
        let arn = format!("arn:{}:glue:{}:{account}:database/{name}", partition(&self.region), self.region);
        Ok(Some((found, arn)))
    }

    async fn arn(&self, name: &str) -> Result<String, ProviderError> {
        let found = self.get(name).await?;
        found.map(|(_, arn)| arn).ok_or_else(|| {
            ProviderError::new(ErrorKind::NotYet, "glue:GetDatabase", format!("database {name} is not visible yet"))
        })
    }

    /// The tags that tell whose the database is; `None` when it is not there.
    pub(super) async fn owner(&self, name: &str) -> Result<Option<Tags>, ProviderError> {
        let Some((_, arn)) = self.get(name).await? else { return Ok(None) };
        tags(&self.glue, &arn).await.map(Some)
    }

    /// Every table of the database.
    pub(super) async fn tables(&self, database: &str) -> Result<Vec<Table>, ProviderError> {
        let mut tables: Vec<Table> = Vec::new();
        let mut pages = self.glue.get_tables().database_name(database).into_paginator().send();
        while let Some(page) = pages.next().await {
            tables.extend(page.map_err(failed("glue:GetTables"))?.table_list.unwrap_or_default());
        }
        Ok(tables)
    }

    /// Deletes the lake's tables; refuses, before it deletes any, when others are among them.
    async fn delete_tables(&self, database: &str, owner: &Tags) -> Result<(), ProviderError> {
        let tables = self.tables(database).await?;
        let foreign: Vec<&str> = tables.iter().filter(|table| !is_of(table, owner)).map(Table::name).collect();
        if !foreign.is_empty() {
            let named: Vec<&str> = foreign.iter().copied().take(TABLES_NAMED_MAX).collect();
            let message = format!(
                "database {database} holds {} of others ({}), which would go with it; drop or move them, then try again",
                if foreign.len() == 1 { "a table".to_owned() } else { format!("{} tables", foreign.len()) },
                named.join(", "),
            );
            return Err(ProviderError::new(ErrorKind::Invalid, "glue:DeleteDatabase", message));
        }
        for table in &tables {
            let call = self.glue.delete_table().database_name(database).name(table.name());
            call.send().await.map_err(failed("glue:DeleteTable")).or_none()?;
        }
        Ok(())
    }

    async fn make(&self, target: Target<'_>, tags: &Tags) -> Result<Fields, ProviderError> {
        const OPERATION: &str = "glue:CreateDatabase";
        let input = database_input(OPERATION, target)?;
        let call = self.glue.create_database().database_input(input);
        let call = call.set_tags(Some(tags.clone().into_iter().collect()));
        call.send().await.map_err(failed(OPERATION))?;
        Ok(outputs(target.identity, &self.arn(target.identity).await?))
    }
}

#[async_trait]
impl Kind for DatabaseKind {
    fn schema(&self) -> &'static Schema {
        Database::SCHEMA
    }

    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let Some((found, arn)) = self.get(target.identity).await? else { return Ok(None) };
        Ok(Some(Observed {
            inputs: fields(json!({
                "description": found.description().unwrap_or_default(),
                "location": found.location_uri().unwrap_or_default(),
            })),
            tags: tags(&self.glue, &arn).await?,
            outputs: outputs(target.identity, &arn),
        }))
    }

    async fn list(&self, prefix: &str) -> Result<Option<Vec<String>>, ProviderError> {
        let mut pages = self.glue.get_databases().into_paginator().send();
        let mut names: Vec<String> = Vec::new();
        while let Some(page) = pages.next().await {
            names.extend(page.map_err(failed("glue:GetDatabases"))?.database_list.into_iter().map(|found| found.name));
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

    async fn update(&self, target: Target<'_>, _prior: &Fields, tags: &Tags) -> Result<Fields, ProviderError> {
        const OPERATION: &str = "glue:UpdateDatabase";
        let input = database_input(OPERATION, target)?;
        let call = self.glue.update_database().name(target.identity).database_input(input);
        call.send().await.map_err(failed(OPERATION))?;
        let arn = self.arn(target.identity).await?;
        tag(&self.glue, &arn, tags).await?;
        Ok(outputs(target.identity, &arn))
    }

    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let Some(owner) = self.owner(target.identity).await? else { return Ok(()) };
        if self.delete_tables(target.identity, &owner).await.or_none()?.is_none() {
            return Ok(());
        }
        let call = self.glue.delete_database().name(target.identity);
        call.send().await.map_err(failed("glue:DeleteDatabase")).or_none().map(drop)
    }
}

/// Whether the lake wrote the table, or a crawler of its stack did.
fn is_of(table: &Table, owner: &Tags) -> bool {
    is_signed(table, owner) || crawled_by(table).is_some_and(|crawler| is_crawler_of(crawler, owner))
}

/// Whether its parameters say that the lake wrote it.
pub(super) fn is_signed(table: &Table, owner: &Tags) -> bool {
    let signed = |(parameter, tag): &(&str, &str)| {
        let owner = owner.get(*tag);
        owner.is_some() && parameter_of(table, parameter) == owner
    };
    OWNER.iter().all(signed)
}

/// The crawler that wrote it.
pub(super) fn crawled_by(table: &Table) -> Option<&String> {
    parameter_of(table, CRAWLED_BY)
}

fn parameter_of<'a>(table: &'a Table, name: &str) -> Option<&'a String> {
    table.parameters().and_then(|parameters| parameters.get(name))
}

/// A crawler is gone before its database is, so that its name alone tells whose it was.
pub(super) fn is_crawler_of(crawler: &str, owner: &Tags) -> bool {
    match (owner.get("lake:name"), owner.get("lake:stack")) {
        (Some(lake), Some(stack)) => crawler.starts_with(&format!("{lake}-{stack}-")),
        _ => false,
    }
}

fn outputs(name: &str, arn: &str) -> Fields {
    fields(json!({ "name": name, "arn": arn }))
}

fn database_input(operation: &str, target: Target<'_>) -> Result<DatabaseInput, ProviderError> {
    let inputs: Database = inputs(target)?;
    DatabaseInput::builder()
        .name(target.identity)
        .description(inputs.description.known())
        .location_uri(inputs.location.known())
        .build()
        .map_err(|error| unbuildable(operation, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::replay::{Answer, Replay, answer, json_error, target};

    fn found() -> Answer {
        let database =
            json!({ "Name": "d", "CatalogId": "123456789012", "Description": "t", "LocationUri": "s3://p/" });
        answer(200, json!({ "Database": database }).to_string())
    }

    fn tags() -> Answer {
        answer(200, json!({ "Tags": { "lake:name": "flights", "lake:stack": "local" } }).to_string())
    }

    fn tables(tables: &[(&str, &str)]) -> Answer {
        let tables: Vec<_> = tables
            .iter()
            .map(|(name, stack)| json!({ "Name": name, "Parameters": { "lake.name": "flights", "lake.stack": stack } }))
            .collect();
        answer(200, json!({ "TableList": tables }).to_string())
    }

    #[tokio::test]
    async fn a_database_is_read_with_its_tags_by_the_arn_made_of_its_catalog() {
        let replay = Replay::new([found(), tags(), json_error(400, "EntityNotFoundException", "none")]);
        let kind = DatabaseKind::new(&replay.clients());
        let observed = kind.observe(target("d", &Fields::new())).await.unwrap().unwrap();
        assert_eq!(observed.outputs["arn"], "arn:aws:glue:eu-west-1:123456789012:database/d");
        assert_eq!(observed.inputs, fields(json!({ "description": "t", "location": "s3://p/" })));
        assert_eq!(observed.tags["lake:stack"], "local");
        assert_eq!(kind.observe(target("d", &Fields::new())).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_database_with_somebody_elses_table_is_not_deleted_nor_is_any_of_its_tables() {
        let replay = Replay::new([found(), tags(), tables(&[("ours", "local"), ("theirs", "prod")])]);
        let error = DatabaseKind::new(&replay.clients()).delete(target("d", &Fields::new())).await.unwrap_err();
        assert!(error.message.contains("(theirs)"), "{error}");
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn a_table_that_the_stacks_crawler_wrote_goes_and_another_crawlers_table_stays() {
        let crawled = |crawler: &str| {
            let table = json!({ "Name": "flights", "Parameters": { "UPDATED_BY_CRAWLER": crawler } });
            answer(200, json!({ "TableList": [table] }).to_string())
        };
        let ours = crawled("flights-local-flights-0a1b2c");
        let replay = Replay::new([found(), tags(), ours, answer(200, "{}"), answer(200, "{}")]);
        DatabaseKind::new(&replay.clients()).delete(target("d", &Fields::new())).await.unwrap();
        replay.assert_used_up();

        let replay = Replay::new([found(), tags(), crawled("flights-prod-flights-0a1b2c")]);
        let error = DatabaseKind::new(&replay.clients()).delete(target("d", &Fields::new())).await.unwrap_err();
        assert!(error.message.contains("(flights)"), "{error}");

        let untagged = answer(200, json!({ "Tags": {} }).to_string());
        let replay = Replay::new([found(), untagged, crawled("flights-local-flights-0a1b2c")]);
        DatabaseKind::new(&replay.clients()).delete(target("d", &Fields::new())).await.unwrap_err();
    }

    #[tokio::test]
    async fn our_tables_are_deleted_before_the_database() {
        let replay = Replay::new([found(), tags(), tables(&[("ours", "local")]), answer(200, "{}"), answer(200, "{}")]);
        DatabaseKind::new(&replay.clients()).delete(target("d", &Fields::new())).await.unwrap();
        let asked = replay.asked();
        assert!(asked[3].contains("DeleteTable") && asked[3].contains("ours"), "{asked:?}");
        assert!(asked[4].contains("DeleteDatabase"), "{asked:?}");
    }
}
