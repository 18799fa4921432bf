//! `aws:glue:Tables`: a dataset's tables. They come without lake's doing, and go when nobody wants to keep them.

use async_trait::async_trait;
use aws_sdk_glue::{Client, types::Table};
use serde_json::json;

use super::database::{DatabaseKind, crawled_by, is_crawler_of, is_signed};
use crate::{
    provider::{
        Kind, Observed, ProviderError, Tags, Target,
        aws::{
            Clients,
            error::{OrNone, failed},
            fields::{fields, inputs, two},
        },
    },
    resource::{Fields, Resource, Schema, aws::glue::Tables},
};

pub(in crate::provider::aws) struct TablesKind {
    glue: Client,
    databases: DatabaseKind,
}

impl TablesKind {
    pub(in crate::provider::aws) fn new(clients: &Clients) -> Self {
        TablesKind { glue: clients.glue.clone(), databases: DatabaseKind::new(clients) }
    }
}

#[async_trait]
impl Kind for TablesKind {
    fn schema(&self) -> &'static Schema {
        Tables::SCHEMA
    }

    /// There as long as its database is, whether there is a table or not. Where the crawled files are the cloud does not
    /// keep for it: that is as the target says.
    async fn observe(&self, target: Target<'_>) -> Result<Option<Observed>, ProviderError> {
        let (database, table) = two(Tables::SCHEMA.kind, target)?;
        let call = self.glue.get_database().name(database).send().await;
        let found = call.map_err(failed("glue:GetDatabase")).or_none()?;
        let named = fields(json!({ "database": database, "table": table }));
        Ok(found.map(|_| Observed {
            inputs: target.inputs.clone().into_iter().chain(named).collect(),
            outputs: Fields::new(),
            tags: Tags::new(),
        }))
    }

    async fn create(&self, _target: Target<'_>, _tags: &Tags) -> Result<Fields, ProviderError> {
        Ok(Fields::new())
    }

    async fn update(&self, _target: Target<'_>, _prior: &Fields, _tags: &Tags) -> Result<Fields, ProviderError> {
        Ok(Fields::new())
    }

    /// Tables of others stay, whatever they are called and wherever their files are.
    async fn delete(&self, target: Target<'_>) -> Result<(), ProviderError> {
        let wanted: Tables = inputs(target)?;
        let database = wanted.database.known();
        let Some(owner) = self.databases.owner(database).await? else { return Ok(()) };
        let Some(tables) = self.databases.tables(database).await.or_none()? else { return Ok(()) };
        for table in tables.iter().filter(|table| is_of(table, &wanted, &owner)) {
            let call = self.glue.delete_table().database_name(database).name(table.name());
            call.send().await.map_err(failed("glue:DeleteTable")).or_none()?;
        }
        Ok(())
    }
}

/// Whether the lake wrote it as the dataset's table, or a crawler of its stack made it of the dataset's raw files.
fn is_of(table: &Table, wanted: &Tables, owner: &Tags) -> bool {
    if table.name() == wanted.table {
        return is_signed(table, owner);
    }
    let location = table.storage_descriptor().and_then(|storage| storage.location()).unwrap_or_default();
    // Crawlers write a folder with or without its last slash.
    let within = format!("{}/", location.trim_end_matches('/')).starts_with(wanted.crawled.known());
    within && crawled_by(table).is_some_and(|crawler| is_crawler_of(crawler, owner))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::provider::aws::replay::{Answer, Replay, answer, json_error, target};

    fn declared() -> Fields {
        fields(json!({ "database": "d", "table": "flights", "crawled": "s3://raw/in/flights/" }))
    }

    fn database() -> Answer {
        answer(200, json!({ "Database": { "Name": "d", "CatalogId": "123456789012" } }).to_string())
    }

    fn owner() -> Answer {
        answer(200, json!({ "Tags": { "lake:name": "flights", "lake:stack": "local" } }).to_string())
    }

    fn table(name: &str, parameters: &Value, location: &str) -> Value {
        json!({ "Name": name, "Parameters": parameters, "StorageDescriptor": { "Location": location } })
    }

    #[tokio::test]
    async fn it_is_there_as_long_as_its_database_is() {
        let replay = Replay::new([database(), json_error(400, "EntityNotFoundException", "none")]);
        let kind = TablesKind::new(&replay.clients());
        let declared = declared();
        let target = target("d/flights", &declared);
        assert_eq!(kind.observe(target).await.unwrap().unwrap().inputs["table"], "flights");
        assert_eq!(kind.observe(target).await.unwrap(), None);
    }

    #[tokio::test]
    async fn deletion_takes_the_lakes_table_and_what_its_crawler_made_of_these_files_and_no_other() {
        let ours = json!({ "lake.name": "flights", "lake.stack": "local" });
        let crawled = json!({ "UPDATED_BY_CRAWLER": "flights-local-flights-0a1b2c" });
        let foreign = json!({ "UPDATED_BY_CRAWLER": "flights-prod-flights-0a1b2c" });
        let tables = json!({ "TableList": [
            table("flights", &ours, "s3://processed/flights/"),
            table("other", &ours, "s3://processed/other/"),
            table("raw_flights", &crawled, "s3://raw/in/flights"),
            table("raw_flights_2", &crawled, "s3://raw/in/flights2/"),
            table("theirs", &foreign, "s3://raw/in/flights/"),
        ]});
        let deleted = || answer(200, "{}");
        let replay = Replay::new([database(), owner(), answer(200, tables.to_string()), deleted(), deleted()]);
        let kind = TablesKind::new(&replay.clients());
        kind.delete(target("d/flights", &declared())).await.unwrap();
        let asked = replay.asked();
        assert!(asked[3].contains("DeleteTable") && asked[3].contains("\"flights\""), "{asked:?}");
        assert!(asked[4].contains("DeleteTable") && asked[4].contains("\"raw_flights\""), "{asked:?}");
        replay.assert_used_up();
    }

    #[tokio::test]
    async fn a_table_of_that_name_which_is_anothers_stays() {
        let theirs = json!({ "TableList": [table("flights", &json!({}), "s3://elsewhere/")] });
        let replay = Replay::new([database(), owner(), answer(200, theirs.to_string())]);
        TablesKind::new(&replay.clients()).delete(target("d/flights", &declared())).await.unwrap();
        replay.assert_used_up();
    }
}
