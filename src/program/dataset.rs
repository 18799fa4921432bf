//! What one dataset adds: its right of way through the buckets and the catalog, its notification, its output.

use serde_json::Value;

use super::{
    lake::{Buckets, Catalog},
    policy::inside,
};
use crate::{
    dataset::Dataset,
    resource::{Input, Program, aws::s3::FunctionNotification, concat},
};

/// Events that tell of a new or a new version of an object, however it was written.
const CREATED: &str = "s3:ObjectCreated:*";

/// Its objects in the raw bucket.
pub(super) fn raw_objects(dataset: &Dataset, buckets: &Buckets) -> Value {
    inside(&buckets.raw.arn(), &format!("/{}*", dataset.source))
}

/// Its files in the processed bucket.
pub(super) fn processed_objects(dataset: &Dataset, buckets: &Buckets) -> Value {
    inside(&buckets.processed.arn(), &format!("/{}/*", dataset.name))
}

/// The table called `name`.
pub(super) fn table(name: &str, catalog: &Catalog) -> Value {
    let (prefix, table) = (catalog.arn("table/"), format!("/{name}"));
    concat([prefix.as_str().into(), (&catalog.database.name()).into(), table.as_str().into()]).to_value()
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
