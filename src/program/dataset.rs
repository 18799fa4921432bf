//! What one dataset adds: its right of way through the buckets and the catalog, its notification, its output.

use serde_json::Value;

use super::{
    policy::inside,
    storage::{Buckets, Catalog},
};
use crate::{
    dataset::Dataset,
    resource::{Input, Program, aws::s3::FunctionNotification, concat},
};

/// Events that tell of a new or a new version of an object, however it was written.
const CREATED: &str = "s3:ObjectCreated:*";

/// What the names of crawled tables begin with.
pub(super) const RAW_TABLE_PREFIX: &str = "raw_";

/// What the crawler puts before the name of the folder that it crawls, to make its table's. The dataset's name is part
/// of it where the folder is called otherwise, so that two datasets whose folders bear one name have two tables.
pub(super) fn raw_table_prefix(dataset: &Dataset) -> String {
    let folder = dataset.source.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    match folder == dataset.name {
        true => RAW_TABLE_PREFIX.to_owned(),
        false => format!("{RAW_TABLE_PREFIX}{}_", dataset.name),
    }
}

/// Its objects in the raw bucket.
pub(super) fn raw_objects(dataset: &Dataset, buckets: &Buckets) -> Value {
    inside(&buckets.raw.arn(), &format!("/{}*", dataset.source))
}

/// Its files in the processed bucket.
pub(super) fn processed_objects(dataset: &Dataset, buckets: &Buckets) -> Value {
    inside(&buckets.processed.arn(), &format!("/{}/*", dataset.name))
}

/// The ARN of its table of Parquet files.
pub(super) fn table(dataset: &Dataset, catalog: &Catalog) -> Value {
    catalog.table(&dataset.name).to_value()
}

/// Objects below its prefix go to `function`.
pub(super) fn notification(dataset: &Dataset, function: Input<String>) -> FunctionNotification {
    FunctionNotification {
        id: format!("lake-{}", dataset.name),
        function,
        events: vec![CREATED.to_owned()],
        prefix: dataset.source.clone(),
    }
}

/// Tells where its files are to be put.
pub(super) fn output(program: &mut Program, dataset: &Dataset, buckets: &Buckets) {
    let place = format!("/{}", dataset.source);
    let url = concat(["s3://".into(), (&buckets.raw.name()).into(), place.as_str().into()]);
    program.output(&format!("upload_{}", dataset.name), url);
}
