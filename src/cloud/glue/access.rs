//! What a caller must be allowed for each operation.
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsglue.html>
//! <https://docs.aws.amazon.com/glue/latest/dg/glue-specifying-resource-arns.html>

use serde_json::{Map, Value};

use super::{crawler, protocol};
use crate::cloud::{
    authorise::Need,
    error::ApiError,
    service::{ACCOUNT_ID, Call},
};

/// What operations of the catalog and of crawlers are about.
enum About {
    /// The catalog and the database that this member names.
    Database(&'static str),
    /// The same, and all that is in it.
    DatabaseWithContents,
    /// The catalog alone.
    Catalog,
    /// Catalog, database and the tables that this member names, one or many.
    Table(&'static str),
    /// Catalog, database and all its tables.
    Tables,
    /// The crawlers that this member names, one or many.
    Crawler(&'static str),
    /// All crawlers.
    Crawlers,
    /// What an ARN names.
    Arn,
    /// Nothing that has an ARN.
    Nothing,
}

impl About {
    fn of(operation: &str) -> Option<About> {
        Some(match operation {
            "CreateDatabase" => About::Database("DatabaseInput.Name"),
            "GetDatabase" | "UpdateDatabase" => About::Database("Name"),
            "DeleteDatabase" => About::DatabaseWithContents,
            "GetDatabases" => About::Catalog,
            "CreateTable" | "UpdateTable" => About::Table("TableInput.Name"),
            "GetTable" | "DeleteTable" => About::Table("Name"),
            "BatchDeleteTable" => About::Table("TablesToDelete"),
            "GetTables" => About::Tables,
            "GetTableVersion"
            | "GetTableVersions"
            | "DeleteTableVersion"
            | "BatchDeleteTableVersion"
            | "CreatePartition"
            | "GetPartition"
            | "GetPartitions"
            | "UpdatePartition"
            | "DeletePartition"
            | "BatchCreatePartition"
            | "BatchGetPartition"
            | "BatchDeletePartition"
            | "GetPartitionIndexes" => About::Table("TableName"),
            "TagResource" | "UntagResource" | "GetTags" => About::Arn,
            "CreateCrawler" | "UpdateCrawler" | "GetCrawler" | "DeleteCrawler" | "StartCrawler" | "StopCrawler" => {
                About::Crawler("Name")
            }
            "StartCrawlerSchedule" | "StopCrawlerSchedule" | "UpdateCrawlerSchedule" | "ListCrawls" => {
                About::Crawler("CrawlerName")
            }
            "BatchGetCrawlers" => About::Crawler("CrawlerNames"),
            "GetCrawlers" | "ListCrawlers" | "GetCrawlerMetrics" => About::Crawlers,
            "CreateClassifier" | "GetClassifier" | "GetClassifiers" | "UpdateClassifier" | "DeleteClassifier" => {
                About::Nothing
            }
            _ => return None,
        })
    }
}

/// Names of resources as ARNs of this account and region.
pub(super) struct Arns<'a>(pub &'a str);

impl Arns<'_> {
    fn arn(&self, resource: &str) -> String {
        format!("arn:aws:glue:{}:{ACCOUNT_ID}:{resource}", self.0)
    }

    /// The catalog, a database and, when it is named, a table: all of them must be allowed.
    pub(super) fn catalog(&self, action: &str, database: Option<&str>, tables: &[&str]) -> Vec<Need> {
        let mut resources = vec![self.arn("catalog")];
        if let Some(database) = database {
            resources.push(self.arn(&format!("database/{database}")));
            resources.extend(tables.iter().map(|table| self.arn(&format!("table/{database}/{table}"))));
        }
        resources.into_iter().map(|resource| Need::new(format!("glue:{action}"), resource)).collect()
    }
}

/// The needs of one call. An operation that is not there needs nothing: it is refused as unknown.
pub(super) fn needs(call: &Call) -> Result<Vec<Need>, ApiError> {
    let operation = protocol::operation(call)?;
    let Some(about) = About::of(operation) else { return Ok(Vec::new()) };
    let input: Map<String, Value> = protocol::input(call)?;
    let input = Value::Object(input);
    let arns = Arns(&call.region);
    let folded = |member: &str| -> Vec<String> {
        names(&input, member).unwrap_or_default().into_iter().map(str::to_lowercase).collect()
    };
    let database = folded("DatabaseName").pop();
    let database = database.as_deref();
    let action = format!("glue:{operation}");
    let mut needs: Vec<Need> = match about {
        About::Nothing => vec![Need::new(action, "*")],
        About::Catalog => arns.catalog(operation, None, &[]),
        About::Database(member) => arns.catalog(operation, folded(member).first().map(String::as_str), &[]),
        About::DatabaseWithContents => {
            let name = folded("Name").pop().unwrap_or_default();
            let mut needs = arns.catalog(operation, Some(&name), &["*"]);
            needs.push(Need::new(action, arns.arn(&format!("userDefinedFunction/{name}/*"))));
            needs
        }
        About::Tables => arns.catalog(operation, database, &["*"]),
        About::Table(member) => {
            let tables = folded(member);
            arns.catalog(operation, database, &tables.iter().map(String::as_str).collect::<Vec<_>>())
        }
        About::Crawlers => vec![Need::new(action, arns.arn("crawler/*"))],
        About::Crawler(member) => {
            let names = names(&input, member).unwrap_or_default();
            names.iter().map(|name| Need::new(action.clone(), arns.arn(&format!("crawler/{name}")))).collect()
        }
        About::Arn => {
            let arns = names(&input, "ResourceArn").unwrap_or_default();
            arns.into_iter().map(|arn| Need::new(action.clone(), arn)).collect()
        }
    };
    needs.extend(tagging(operation, &input, &needs));
    needs.extend(passing(operation, &input)?);
    Ok(needs)
}

/// The texts at a member, which may lie within another (`TableInput.Name`).
fn names<'a>(input: &'a Value, member: &str) -> Option<Vec<&'a str>> {
    let value = member.split('.').try_fold(input, |value, name| value.get(name))?;
    match value {
        Value::String(name) => Some(vec![name]),
        Value::Array(names) => Some(names.iter().filter_map(Value::as_str).collect()),
        _ => None,
    }
}

/// Tags given at creation take the permission to tag what is made.
/// <https://docs.aws.amazon.com/glue/latest/dg/monitor-tags.html>
fn tagging(operation: &str, input: &Value, needs: &[Need]) -> Option<Need> {
    let tagged = input.get("Tags").and_then(Value::as_object).is_some_and(|tags| !tags.is_empty());
    let creates = matches!(operation, "CreateCrawler" | "CreateDatabase") && tagged;
    needs.last().filter(|_| creates).map(|made| Need::new("glue:TagResource", made.resource.clone()))
}

/// A crawler's role is passed to Glue.
/// <https://docs.aws.amazon.com/glue/latest/dg/security_iam_id-based-policy-examples.html>
fn passing(operation: &str, input: &Value) -> Result<Option<Need>, ApiError> {
    if !matches!(operation, "CreateCrawler" | "UpdateCrawler") {
        return Ok(None);
    }
    let Some(role) = input.get("Role").and_then(Value::as_str) else { return Ok(None) };
    let need = Need::new("iam:PassRole", crawler::role_arn(role)?);
    Ok(Some(need.with("iam:PassedToService", crawler::PRINCIPAL)))
}
