//! Glue: the Data Catalog's databases. (Tables are the executor's.)

use serde::{Deserialize, Serialize};

use crate::resource::{Input, Naming, Ownership, Resource, Schema};

/// `aws:glue:Database`. Outputs: `name`, `arn`. Deleted only when every table left in it is the lake's own.
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
