//! Tables and partitions as a crawler writes them into the catalog: SerDe, formats, parameters. AWS does not
//! document them in one place; these are those of tables that crawlers have made.
//! <https://docs.aws.amazon.com/glue/latest/dg/table-properties-crawler.html>

use super::{
    classify::{Column, Compression, CsvFormat, Format, Serde, Shape},
    folders::Stats,
};
use crate::cloud::glue::model::{self, Map, PartitionInput, SerdeInfo, StorageDescriptor, TableInput};

/// Whose work a table is.
pub(super) const CRAWLER_PARAMETER: &str = "UPDATED_BY_CRAWLER";
/// Since when a table is without objects, in milliseconds since 1970.
pub(super) const DEPRECATED_PARAMETER: &str = "DEPRECATED_BY_CRAWLER";
/// Which crawl wrote last; alone it makes no new version.
pub(super) const RUN_PARAMETER: &str = "CRAWL_RUN_ID";
/// What changes with every new object, without the schema changing.
pub(super) const COUNTS: [&str; 5] = ["averageRecordSize", "objectCount", "recordCount", "sizeKey", RUN_PARAMETER];

/// For whom something is described.
#[derive(Debug, Clone, Copy)]
pub(super) struct Author<'a> {
    pub crawler: &'a str,
    pub crawl: &'a str,
}

pub(super) fn table(
    author: Author<'_>,
    name: String,
    location: String,
    shape: &Shape,
    keys: &[String],
    stats: &Stats,
) -> TableInput {
    let parameters = parameters(Some(author), shape, stats);
    let key = |name: &String| column(name.clone(), "string".to_owned());
    TableInput {
        name,
        description: None,
        owner: Some("owner".to_owned()),
        last_access_time: None,
        last_analyzed_time: None,
        retention: 0,
        storage_descriptor: Some(storage(location, shape, parameters.clone())),
        partition_keys: Some(keys.iter().map(key).collect()),
        view_original_text: None,
        view_expanded_text: None,
        table_type: Some("EXTERNAL_TABLE".to_owned()),
        parameters: Some(parameters),
        target_table: None,
        federated_table: None,
        view_definition: None,
    }
}

pub(super) fn partition(values: Vec<String>, location: String, shape: &Shape, stats: &Stats) -> PartitionInput {
    let parameters = parameters(None, shape, stats);
    PartitionInput {
        values,
        last_access_time: None,
        storage_descriptor: Some(storage(location, shape, parameters.clone())),
        parameters: Some(parameters),
        last_analyzed_time: None,
    }
}

fn storage(location: String, shape: &Shape, parameters: Map) -> StorageDescriptor {
    let (input, output) = match shape.format {
        Format::Parquet => (
            "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        ),
        Format::Csv(_) | Format::Json => {
            ("org.apache.hadoop.mapred.TextInputFormat", "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat")
        }
    };
    StorageDescriptor {
        columns: Some(columns(&shape.columns)),
        location: Some(location),
        additional_locations: None,
        input_format: Some(input.to_owned()),
        output_format: Some(output.to_owned()),
        compressed: shape.compression != Compression::None,
        number_of_buckets: -1,
        serde_info: Some(serde_info(shape)),
        bucket_columns: Some(Vec::new()),
        sort_columns: Some(Vec::new()),
        parameters: Some(parameters),
        skewed_info: None,
        stored_as_sub_directories: false,
        schema_reference: None,
    }
}

pub(super) fn columns(columns: &[Column]) -> Vec<model::Column> {
    columns.iter().map(|found| column(found.name.clone(), found.kind.clone())).collect()
}

fn column(name: String, kind: String) -> model::Column {
    model::Column { name, r#type: Some(kind), comment: None, parameters: None }
}

fn serde_info(shape: &Shape) -> SerdeInfo {
    let pairs = |pairs: &[(&str, String)]| -> Map {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    let (library, parameters) = match &shape.format {
        Format::Parquet => {
            let library = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe";
            (library, pairs(&[("serialization.format", "1".to_owned())]))
        }
        Format::Json => {
            let mut names: Vec<_> = shape.columns.iter().map(|column| column.name.as_str()).collect();
            names.sort_unstable();
            ("org.openx.data.jsonserde.JsonSerDe", pairs(&[("paths", names.join(","))]))
        }
        Format::Csv(CsvFormat { delimiter, serde: Serde::LazySimple, .. }) => {
            let library = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe";
            (library, pairs(&[("field.delim", delimiter.to_string())]))
        }
        Format::Csv(CsvFormat { delimiter, quote, serde: Serde::OpenCsv, .. }) => {
            let separator = ("separatorChar", delimiter.to_string());
            let others = [("quoteChar", quote.to_string()), ("serialization.format", "1".to_owned())];
            ("org.apache.hadoop.hive.serde2.OpenCSVSerde", pairs(&[&[separator], &others[..]].concat()))
        }
    };
    SerdeInfo { name: None, serialization_library: Some(library.to_owned()), parameters: Some(parameters) }
}

/// What a crawler tells of a table, or without an author of a partition.
fn parameters(author: Option<Author<'_>>, shape: &Shape, stats: &Stats) -> Map {
    let compression = match shape.compression {
        Compression::None => "none",
        Compression::Gzip => "gzip",
    };
    let mut parameters = Map::from(
        [
            ("classification", shape.format.classification().to_owned()),
            ("compressionType", compression.to_owned()),
            ("typeOfData", "file".to_owned()),
            ("CrawlerSchemaSerializerVersion", "1.0".to_owned()),
            ("CrawlerSchemaDeserializerVersion", "1.0".to_owned()),
            ("objectCount", stats.objects.to_string()),
            ("sizeKey", stats.bytes.to_string()),
            ("averageRecordSize", stats.average().to_string()),
            ("recordCount", stats.count().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    if let Some(author) = author {
        parameters.insert(CRAWLER_PARAMETER.to_owned(), author.crawler.to_owned());
        parameters.insert(RUN_PARAMETER.to_owned(), author.crawl.to_owned());
    }
    if let Format::Csv(csv) = &shape.format {
        parameters.insert("delimiter".to_owned(), csv.delimiter.to_string());
        parameters.insert("columnsOrdered".to_owned(), "true".to_owned());
        parameters.insert("areColumnsQuoted".to_owned(), csv.quoted.to_string());
        if csv.header {
            parameters.insert("skip.header.line.count".to_owned(), "1".to_owned());
        }
    }
    parameters
}
