//! Glue: the Data Catalog's databases, crawlers, and what these and the executor write into a database.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resource::{Input, Naming, Ownership, Resource, Schema};

/// `aws:glue:Database`. Outputs: `name`, `arn`. Deleted only when every table left in it is the lake's own,
/// or one that a crawler of the stack wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// What it is for.
    pub description: Input<String>,
    /// Where its tables' data lie, `s3://…/`.
    pub location: Input<String>,
}

impl Resource for Database {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:glue:Database",
        // Athena wants lower case and underscores: https://docs.aws.amazon.com/athena/latest/ug/glue-best-practices.html
        naming: Naming::Physical { prefix: "", separator: '_', length_max: 255 },
        ownership: Ownership::Tags,
        replace_on: &[],
        volatile_outputs: &[],
    };
}

/// `aws:glue:Tables`: the tables of one dataset, which the executor and a crawler write. Making it makes nothing;
/// deleting it deletes those that the stack wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tables {
    /// Name of the database.
    pub database: Input<String>,
    /// Name of the table that the executor writes.
    pub table: String,
    /// Where the files are that a crawler makes tables of, `s3://bucket/prefix/`.
    pub crawled: Input<String>,
}

impl Resource for Tables {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:glue:Tables",
        naming: Naming::Fields(&["database", "table"]),
        ownership: Ownership::Parent("database"),
        replace_on: &["database", "table"],
        volatile_outputs: &[],
    };
}

/// `aws:glue:Classifier` for CSV: tells a crawler how files are written, where it is not to find out. Output: `name`. It
/// takes no tags and is part of nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classifier {
    /// Field delimiter; absent: found out.
    #[serde(default)]
    pub delimiter: Option<Input<String>>,
    /// Quote character; absent: `"`.
    #[serde(default)]
    pub quote: Option<Input<String>>,
    /// Whether the first record names the columns: `PRESENT`, `ABSENT` or `UNKNOWN`.
    pub header: Input<String>,
}

impl Resource for Classifier {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:glue:Classifier",
        // https://docs.aws.amazon.com/glue/latest/webapi/API_CreateCsvClassifierRequest.html
        naming: Naming::Physical { prefix: "", separator: '-', length_max: 255 },
        ownership: Ownership::Intent,
        replace_on: &[],
        volatile_outputs: &[],
    };
}

/// `aws:glue:Crawler` of one S3 path, on demand. Outputs: `name`, `arn`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crawler {
    /// What it is for.
    pub description: Input<String>,
    /// The role it reads and writes as: its ARN or its name.
    pub role: Input<String>,
    /// Name of the database that its tables go to.
    pub database: Input<String>,
    /// What it crawls, `s3://bucket/prefix/`.
    pub path: Input<String>,
    /// Glob patterns below the path that it leaves out.
    #[serde(default)]
    pub exclusions: Vec<String>,
    /// What its tables' names begin with.
    pub table_prefix: Input<String>,
    /// What it does about a schema that changed: `UPDATE_IN_DATABASE` or `LOG`.
    pub update_behavior: Input<String>,
    /// What it does about objects that are gone: `LOG`, `DEPRECATE_IN_DATABASE` or `DELETE_FROM_DATABASE`.
    pub delete_behavior: Input<String>,
    /// What it looks at each time: `CRAWL_EVERYTHING` or `CRAWL_NEW_FOLDERS_ONLY`.
    pub recrawl: Input<String>,
    /// Its configuration document (grouping, table level, how partitions inherit); absent: Glue's defaults.
    #[serde(default)]
    pub configuration: Option<Value>,
    /// Names of custom classifiers, tried in this order before the built-in ones.
    #[serde(default)]
    pub classifiers: Vec<Input<String>>,
}

impl Resource for Crawler {
    const SCHEMA: &'static Schema = &Schema {
        kind: "aws:glue:Crawler",
        // https://docs.aws.amazon.com/glue/latest/webapi/API_CreateCrawler.html
        naming: Naming::Physical { prefix: "", separator: '-', length_max: 255 },
        ownership: Ownership::Tags,
        replace_on: &[],
        volatile_outputs: &[],
    };
}
