//! What is kept of a crawler and of its crawls, and what a caller may set.
//! <https://docs.aws.amazon.com/glue/latest/dg/aws-glue-api-crawler-crawling.html>

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{glob::Exclusions, names::Place};
use crate::cloud::{
    error::ApiError,
    glue::{at_most, invalid, single_line},
    service::ACCOUNT_ID,
    store::Table,
};

/// By region and name.
pub(super) const CRAWLERS: Table<Crawler> = Table::new("glue.crawlers");
/// Ended crawls by region, name and time, the last one first.
pub(super) const CRAWLS: Table<Crawl> = Table::new("glue.crawls");

/// Longest description, in letters.
const DESCRIPTION_LETTERS: usize = 2048;
/// Longest prefix of table names, in letters.
const PREFIX_LETTERS: usize = 128;
/// Most files of a leaf folder that a sample size may name.
const SAMPLE_FILES: u32 = 249;
/// Database of crawlers that name none.
const DEFAULT_DATABASE: &str = "default";

/// What a caller sets of a crawler; what is absent in an update stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Settings {
    pub role: Option<String>,
    pub database_name: Option<String>,
    pub description: Option<String>,
    pub targets: Option<Value>,
    pub schedule: Option<String>,
    pub classifiers: Option<Vec<String>>,
    pub table_prefix: Option<String>,
    pub schema_change_policy: Option<SchemaChangePolicy>,
    pub recrawl_policy: Option<RecrawlPolicy>,
    pub lineage_configuration: Option<Map<String, Value>>,
    pub lake_formation_configuration: Option<Map<String, Value>>,
    pub configuration: Option<String>,
    pub crawler_security_configuration: Option<String>,
}

/// <https://docs.aws.amazon.com/glue/latest/dg/crawler-schema-changes-prevent.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SchemaChangePolicy {
    #[serde(default)]
    pub update_behavior: UpdateBehavior,
    #[serde(default)]
    pub delete_behavior: DeleteBehavior,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum UpdateBehavior {
    #[default]
    UpdateInDatabase,
    Log,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum DeleteBehavior {
    #[default]
    DeprecateInDatabase,
    DeleteFromDatabase,
    Log,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RecrawlPolicy {
    #[serde(default)]
    pub recrawl_behavior: RecrawlBehavior,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RecrawlBehavior {
    #[default]
    #[serde(rename = "CRAWL_EVERYTHING")]
    Everything,
    #[serde(rename = "CRAWL_NEW_FOLDERS_ONLY")]
    NewFoldersOnly,
    #[serde(rename = "CRAWL_EVENT_MODE")]
    EventMode,
}

/// An Amazon S3 target.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct S3Target {
    pub path: String,
    #[serde(default)]
    pub exclusions: Option<Vec<String>>,
    /// Files of each leaf folder that are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_size: Option<u32>,
}

/// A crawler as it is defined.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Definition {
    pub name: String,
    /// The role's ARN.
    pub role: String,
    pub database: String,
    pub description: Option<String>,
    pub targets: Vec<S3Target>,
    pub classifiers: Vec<String>,
    pub table_prefix: String,
    pub schema_change: SchemaChangePolicy,
    pub recrawl: RecrawlPolicy,
    pub configuration: Option<String>,
}

/// Where a crawler is between two crawls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum State {
    Ready,
    Running,
    Stopping,
}

/// A crawler. All times are in milliseconds since 1970.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Crawler {
    pub definition: Definition,
    pub region: String,
    pub state: State,
    pub version: i64,
    pub created: i64,
    pub updated: i64,
    /// The crawl under way.
    pub run: Option<Run>,
    /// The last one that has ended.
    pub last: Option<Crawl>,
}

/// A crawl under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Run {
    pub id: String,
    pub started: i64,
    /// How it will have ended once the crawler is ready again; there from the moment in which it is decided.
    pub outcome: Option<Outcome>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    Succeeded(Box<Counts>),
    Cancelled,
    Failed(String),
}

/// What a crawl has done to the catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub tables_created: u64,
    pub tables_updated: u64,
    pub tables_deleted: u64,
    pub partitions_created: u64,
    pub partitions_updated: u64,
    pub partitions_deleted: u64,
    pub warning: Option<String>,
}

/// A crawl that has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Crawl {
    pub id: String,
    pub started: i64,
    pub ended: i64,
    pub outcome: Outcome,
}

impl Settings {
    /// `old` with what is set, or a new definition; refused where the caller asks for what cannot be.
    pub(super) fn applied_to(self, name: &str, old: Option<&Definition>) -> Result<Definition, ApiError> {
        self.check_unsupported()?;
        let role = match (self.role, old) {
            (Some(role), _) => role_arn(&role)?,
            (None, Some(old)) => old.role.clone(),
            (None, None) => return Err(missing("role")),
        };
        let targets = match (self.targets, old) {
            (Some(targets), _) => s3_targets(targets)?,
            (None, Some(old)) => old.targets.clone(),
            (None, None) => return Err(missing("targets")),
        };
        let old_or = |member: fn(&Definition) -> String| old.map(member).unwrap_or_default();
        let database = self.database_name.filter(|name| !name.is_empty());
        let database = database.unwrap_or_else(|| match old {
            Some(old) => old.database.clone(),
            None => DEFAULT_DATABASE.to_owned(),
        });
        let recrawl = self.recrawl_policy.or(old.map(|old| old.recrawl)).unwrap_or(RecrawlPolicy::EVERYTHING);
        let policy = match (self.schema_change_policy, old) {
            (Some(policy), _) => Some(policy),
            (None, Some(old)) if old.recrawl == recrawl => Some(old.schema_change),
            (None, _) => None,
        };
        let definition = Definition {
            name: name.to_owned(),
            role,
            database: database.to_lowercase(),
            description: self.description.or_else(|| old.and_then(|old| old.description.clone())),
            targets,
            classifiers: self.classifiers.or(old.map(|old| old.classifiers.clone())).unwrap_or_default(),
            table_prefix: self.table_prefix.unwrap_or_else(|| old_or(|old| old.table_prefix.clone())),
            schema_change: recrawl.schema_change(policy)?,
            recrawl,
            configuration: self.configuration.or_else(|| old.and_then(|old| old.configuration.clone())),
        };
        definition.check()?;
        Ok(definition)
    }

    fn check_unsupported(&self) -> Result<(), ApiError> {
        let lineage = self.lineage_configuration.as_ref().and_then(|members| members.get("CrawlerLineageSettings"));
        let formation =
            self.lake_formation_configuration.as_ref().and_then(|members| members.get("UseLakeFormationCredentials"));
        let wanted = [
            ("Schedule", self.schedule.as_ref().is_some_and(|text| !text.is_empty())),
            ("LineageConfiguration", lineage.is_some_and(|value| value == "ENABLE")),
            ("LakeFormationConfiguration", formation.is_some_and(|value| value == true)),
            (
                "CrawlerSecurityConfiguration",
                self.crawler_security_configuration.as_ref().is_some_and(|text| !text.is_empty()),
            ),
        ];
        match wanted.iter().find(|(_, wanted)| *wanted) {
            Some((name, _)) => Err(unsupported(name)),
            None => Ok(()),
        }
    }
}

impl RecrawlPolicy {
    pub(super) const EVERYTHING: RecrawlPolicy = RecrawlPolicy { recrawl_behavior: RecrawlBehavior::Everything };

    /// A crawl of new folders alone changes and deletes nothing.
    /// <https://docs.aws.amazon.com/glue/latest/dg/incremental-crawls.html>
    fn schema_change(self, given: Option<SchemaChangePolicy>) -> Result<SchemaChangePolicy, ApiError> {
        const LOG: SchemaChangePolicy =
            SchemaChangePolicy { update_behavior: UpdateBehavior::Log, delete_behavior: DeleteBehavior::Log };
        match self.recrawl_behavior {
            RecrawlBehavior::EventMode => Err(unsupported("RecrawlPolicy CRAWL_EVENT_MODE")),
            RecrawlBehavior::NewFoldersOnly if given.is_some_and(|given| given != LOG) => Err(invalid(
                "The SchemaChangePolicy for \"Crawl new folders only\" Amazon S3 target can have only LOG \
                 DeleteBehavior value and LOG UpdateBehavior value."
                    .into(),
            )),
            RecrawlBehavior::NewFoldersOnly => Ok(LOG),
            RecrawlBehavior::Everything => Ok(given.unwrap_or(SchemaChangePolicy {
                update_behavior: UpdateBehavior::default(),
                delete_behavior: DeleteBehavior::default(),
            })),
        }
    }
}

impl Definition {
    fn check(&self) -> Result<(), ApiError> {
        at_most(self.table_prefix.chars().count(), PREFIX_LETTERS, "tablePrefix")?;
        at_most(self.description.iter().flat_map(|text| text.chars()).count(), DESCRIPTION_LETTERS, "description")?;
        single_line(&self.table_prefix, "TablePrefix")?;
        super::settings::Configuration::parse(self.configuration.as_deref())?;
        for target in &self.targets {
            if Place::parse(&target.path).is_none() {
                return Err(invalid(format!("the S3 target `{}` is not s3://bucket/folder", target.path)));
            }
            Exclusions::parse(target.exclusions.as_deref().unwrap_or_default())?;
            if target.sample_size.is_some_and(|files| !(1..=SAMPLE_FILES).contains(&files)) {
                return Err(invalid(format!("SampleSize must be from 1 to {SAMPLE_FILES}")));
            }
        }
        Ok(())
    }

    /// The role as `GetCrawler` tells it: without account, with its path.
    fn told_role(&self) -> &str {
        self.role.split_once(":role/").map_or(self.role.as_str(), |(_, name)| name)
    }
}

impl Crawler {
    /// The crawler as `GetCrawler` tells it.
    pub(super) fn told(&self, now: i64) -> Value {
        let definition = &self.definition;
        let mut told = json!({
            "Name": definition.name,
            "Role": definition.told_role(),
            "Targets": {
                "S3Targets": definition.targets, "JdbcTargets": [], "MongoDBTargets": [], "DynamoDBTargets": [],
                "CatalogTargets": [], "DeltaTargets": [], "IcebergTargets": [], "HudiTargets": [],
            },
            "DatabaseName": definition.database,
            "Classifiers": definition.classifiers,
            "RecrawlPolicy": definition.recrawl,
            "SchemaChangePolicy": definition.schema_change,
            "LineageConfiguration": { "CrawlerLineageSettings": "DISABLE" },
            "LakeFormationConfiguration": { "UseLakeFormationCredentials": false, "AccountId": "" },
            "State": self.state,
            "CrawlElapsedTime": self.run.as_ref().map_or(0, |run| (now - run.started).max(0)),
            "CreationTime": seconds(self.created),
            "LastUpdated": seconds(self.updated),
            "Version": self.version,
        });
        let optional = [
            ("Description", definition.description.clone()),
            ("TablePrefix", Some(definition.table_prefix.clone()).filter(|text| !text.is_empty())),
            ("Configuration", definition.configuration.clone()),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                told[name] = value.into();
            }
        }
        if let Some(last) = &self.last {
            told["LastCrawl"] = last.told_as_last(&definition.name);
        }
        told
    }
}

impl Outcome {
    pub(super) fn error(&self) -> Option<&str> {
        match self {
            Outcome::Failed(message) => Some(message),
            _ => None,
        }
    }
}

impl Crawl {
    fn told_as_last(&self, crawler: &str) -> Value {
        let status = match self.outcome {
            Outcome::Succeeded(_) => "SUCCEEDED",
            Outcome::Cancelled => "CANCELLED",
            Outcome::Failed(_) => "FAILED",
        };
        let mut told = json!({
            "Status": status,
            "LogGroup": super::log::GROUP,
            "LogStream": crawler,
            "MessagePrefix": self.id,
            "StartTime": seconds(self.started),
        });
        if let Some(message) = self.outcome.error() {
            told["ErrorMessage"] = message.into();
        }
        told
    }
}

/// A time on the wire, with its milliseconds: crawls here may follow each other within a second.
pub(super) fn seconds(milliseconds: i64) -> Value {
    json!(milliseconds as f64 / 1000.0)
}

/// "The IAM role or Amazon Resource Name (ARN) of an IAM role".
pub(in crate::cloud::glue) fn role_arn(role: &str) -> Result<String, ApiError> {
    single_line(role, "Role")?;
    let role = role.trim_start_matches('/');
    match role {
        "" => Err(invalid("Role must name an IAM role".into())),
        arn if arn.starts_with("arn:") => Ok(arn.to_owned()),
        name => Ok(format!("arn:aws:iam::{ACCOUNT_ID}:role/{name}")),
    }
}

fn s3_targets(targets: Value) -> Result<Vec<S3Target>, ApiError> {
    let mut targets: Map<String, Value> = crate::cloud::json::decode(targets)?;
    let s3 = targets.remove("S3Targets").unwrap_or(Value::Null);
    let filled = |value: &Value| value.as_array().is_some_and(|entries| !entries.is_empty());
    if let Some((kind, _)) = targets.iter().find(|(_, value)| filled(value)) {
        return Err(unsupported(kind));
    }
    let s3: Vec<Map<String, Value>> = match s3 {
        Value::Null => Vec::new(),
        s3 => crate::cloud::json::decode(s3)?,
    };
    for member in ["ConnectionName", "EventQueueArn", "DlqEventQueueArn"] {
        if s3.iter().any(|target| target.get(member).is_some_and(|value| !value.is_null() && value != "")) {
            return Err(unsupported(&format!("S3Targets.{member}")));
        }
    }
    let s3: Vec<S3Target> = crate::cloud::json::decode(json!(s3))?;
    if s3.is_empty() {
        return Err(invalid("At least one crawl target must be specified.".into()));
    }
    Ok(s3)
}

fn unsupported(what: &str) -> ApiError {
    invalid(format!("the embedded cloud's crawlers do not have {what}; leave it out"))
}

fn missing(member: &str) -> ApiError {
    ApiError::client("ValidationException", crate::cloud::json::must_not_be_null(member))
}
