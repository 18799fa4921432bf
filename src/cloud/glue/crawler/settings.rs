//! A crawler's `Configuration`: a document of its own.
//! <https://docs.aws.amazon.com/glue/latest/dg/crawler-configuration.html>

use serde::Deserialize;

use crate::cloud::{error::ApiError, glue::invalid};

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(super) struct Configuration {
    version: f64,
    crawler_output: CrawlerOutput,
    grouping: Grouping,
    create_partition_index: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct CrawlerOutput {
    partitions: Output,
    tables: Output,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct Output {
    add_or_update_behavior: Option<Behavior>,
    table_threshold: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Behavior {
    InheritFromTable,
    MergeNewColumns,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
struct Grouping {
    table_grouping_policy: Option<Policy>,
    table_level_configuration: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Policy {
    CombineCompatibleSchemas,
}

impl Configuration {
    /// Reads the document; none and an empty one are the default.
    pub(super) fn parse(text: Option<&str>) -> Result<Configuration, ApiError> {
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(Configuration::default()) };
        // Through a map: a list is none, though its entries could stand for members.
        let read: Configuration = serde_json::from_str::<serde_json::Map<_, _>>(text)
            .and_then(|members| serde_json::from_value(members.into()))
            .map_err(|error| invalid(format!("Configuration is not what a crawler's may be: {error}")))?;
        let output = &read.crawler_output;
        let wrong = [
            (!(read.version == 1.0 || read.version == 0.0), "Version must be 1.0"),
            (
                output.partitions.add_or_update_behavior == Some(Behavior::MergeNewColumns),
                "Partitions can only inherit from the table (InheritFromTable)",
            ),
            (
                output.tables.add_or_update_behavior == Some(Behavior::InheritFromTable),
                "Tables can only merge new columns (MergeNewColumns)",
            ),
            (output.partitions.table_threshold.is_some(), "TableThreshold belongs to Tables"),
            (output.tables.table_threshold == Some(0), "TableThreshold must be 1 or more"),
            (read.grouping.table_level_configuration == Some(0), "TableLevelConfiguration must be 1 or more"),
            (read.create_partition_index, "the embedded cloud's Glue does not have partition indexes"),
        ];
        match wrong.iter().find(|(is, _)| *is) {
            Some((_, why)) => Err(invalid(format!("Configuration: {why}"))),
            None => Ok(read),
        }
    }

    /// Whether new columns are added to a table and nothing else of its schema changes.
    pub(super) fn merges_new_columns(&self) -> bool {
        self.crawler_output.tables.add_or_update_behavior == Some(Behavior::MergeNewColumns)
    }

    /// Whether partitions take schema and SerDe of their table.
    pub(super) fn partitions_inherit(&self) -> bool {
        self.crawler_output.partitions.add_or_update_behavior == Some(Behavior::InheritFromTable)
    }

    /// Most tables that a crawl may find.
    /// <https://docs.aws.amazon.com/glue/latest/dg/crawler-maximum-number-of-tables.html>
    pub(super) fn table_threshold(&self) -> Option<usize> {
        self.crawler_output.tables.table_threshold
    }

    /// How the folders below an include path of `depth` folders are put together. Levels count from the bucket,
    /// which is the first; one above the include path is the include path's own.
    /// <https://docs.aws.amazon.com/glue/latest/dg/crawler-table-level.html>
    pub(super) fn grouping(&self, depth: usize) -> super::folders::Grouping {
        super::folders::Grouping {
            combine: self.grouping.table_grouping_policy == Some(Policy::CombineCompatibleSchemas),
            level: self.grouping.table_level_configuration.map(|level| level.saturating_sub(depth + 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_read_and_what_is_not_one_refused() {
        let text = r#"{"Version":1.0,"Grouping":{"TableGroupingPolicy":"CombineCompatibleSchemas","TableLevelConfiguration":3},
            "CrawlerOutput":{"Partitions":{"AddOrUpdateBehavior":"InheritFromTable"},
            "Tables":{"AddOrUpdateBehavior":"MergeNewColumns","TableThreshold":5}}}"#;
        let read = Configuration::parse(Some(text)).unwrap();
        assert!(read.merges_new_columns() && read.partitions_inherit());
        assert_eq!(read.table_threshold(), Some(5));
        assert!(read.grouping(1).combine);
        assert_eq!((read.grouping(1).level, read.grouping(4).level), (Some(1), Some(0)));
        assert_eq!(Configuration::parse(None).unwrap(), Configuration::parse(Some("{}")).unwrap());
        for wrong in [
            "[]",
            r#"{"Version":2}"#,
            r#"{"Versio":1}"#,
            r#"{"CreatePartitionIndex":true}"#,
            r#"{"CrawlerOutput":{"Tables":{"AddOrUpdateBehavior":"InheritFromTable"}}}"#,
            r#"{"Grouping":{"TableGroupingPolicy":"Other"}}"#,
        ] {
            assert_eq!(Configuration::parse(Some(wrong)).unwrap_err().code, "InvalidInputException", "{wrong}");
        }
    }
}
