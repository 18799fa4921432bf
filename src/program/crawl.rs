//! The crawlers: one for each dataset that wants its raw files in the catalog, a role for all of them, and where the
//! functions read which crawler is whose.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    Inputs, MANIFEST_PREFIX,
    data::Data,
    dataset, policy,
    storage::{Buckets, Catalog},
};
use crate::{
    dataset::{CsvOptions, Dataset},
    resource::{
        Handle, Input, Program,
        aws::{
            glue::{Classifier, Crawler},
            iam::{Role, RolePolicy},
            s3::Document,
        },
        concat,
    },
};

/// Where the functions read the crawlers' names, by dataset.
pub(super) const CRAWLERS_KEY: &str = "crawlers.json";

/// Log group that Glue writes what crawlers do to. It is the account's, not the lake's.
/// <https://docs.aws.amazon.com/glue/latest/dg/console-crawlers.html>
const LOG_GROUP: &str = "log-group:/aws-glue/crawlers:*";

/// The crawlers of a lake that has some.
pub(super) struct Crawlers {
    /// By dataset.
    pub by_dataset: BTreeMap<String, Handle<Crawler>>,
    /// Their names, for the functions.
    pub names: Handle<Document>,
}

pub(super) fn declare(
    program: &mut Program,
    inputs: &Inputs,
    buckets: &Buckets,
    catalog: &Catalog,
    data: &[Data],
) -> Option<Crawlers> {
    let datasets: Vec<&Dataset> = inputs.crawled().collect();
    if datasets.is_empty() {
        return None;
    }
    let description = format!("Lake {}, stack {}: crawls the raw files", inputs.lake, inputs.stack);
    let role = Role { trust: policy::trust("glue.amazonaws.com"), description: description.into() };
    let role = program.declare("crawler", role);
    let document = policy::policy(rights(inputs, &datasets, buckets, catalog));
    let rights = RolePolicy { role: role.name(), policy: "crawler".into(), document };
    let rights = program.declare("crawler", rights);
    let mut by_dataset = BTreeMap::new();
    for dataset in datasets {
        let mut crawler = crawler(dataset, buckets, catalog, role.arn());
        crawler.classifiers.extend(classifier(program, dataset).map(|classifier| classifier.name()));
        let crawler = program.declare(&dataset.name, crawler);
        program.after(&crawler, &rights);
        if let Some(data) = data.iter().find(|data| data.dataset == dataset.name) {
            data.catalogued_by(program, &crawler);
            program.after(&crawler, &data.raw);
        }
        by_dataset.insert(dataset.name.clone(), crawler);
    }
    let names = Document {
        bucket: buckets.artifacts.name(),
        key: format!("{MANIFEST_PREFIX}{CRAWLERS_KEY}").into(),
        content: by_dataset.iter().map(|(dataset, crawler)| (dataset.clone(), crawler.name())).collect(),
    };
    let names = program.declare("crawlers", names);
    Some(Crawlers { by_dataset, names })
}

/// How a dataset's files are written, as far as lake.toml says: its crawler need not find that out.
fn classifier(program: &mut Program, dataset: &Dataset) -> Option<Handle<Classifier>> {
    let CsvOptions { delimiter, quote, .. } = &dataset.csv;
    // A classifier always has a quote character: that there is none cannot be said to it.
    let quote = quote.and_then(|quote| quote.0);
    let header = dataset.csv.has_header();
    if delimiter.is_none() && quote.is_none() && header.is_none() {
        return None;
    }
    let character = |it: Option<char>| it.map(|it| Input::from(it.to_string()));
    let header = match header {
        Some(true) => "PRESENT",
        Some(false) => "ABSENT",
        None => "UNKNOWN",
    };
    let classifier = Classifier { delimiter: character(*delimiter), quote: character(quote), header: header.into() };
    Some(program.declare(&dataset.name, classifier))
}

fn crawler(dataset: &Dataset, buckets: &Buckets, catalog: &Catalog, role: Input<String>) -> Crawler {
    let place = format!("/{}", dataset.source);
    Crawler {
        role,
        database: catalog.database.name(),
        path: concat(["s3://".into(), (&buckets.raw.name()).into(), place.as_str().into()]),
        exclusions: Vec::new(),
        table_prefix: dataset::raw_table_prefix(dataset).into(),
        description: format!("Raw files of the dataset {}", dataset.name).into(),
        update_behavior: "UPDATE_IN_DATABASE".into(),
        // A file that is gone tomorrow has been there: its table stays.
        delete_behavior: "LOG".into(),
        recrawl: "CRAWL_EVERYTHING".into(),
        // One table a dataset, whatever the files look like.
        configuration: Some(json!({
            "Version": 1.0,
            "Grouping": { "TableGroupingPolicy": "CombineCompatibleSchemas" },
        })),
        classifiers: Vec::new(),
    }
}

/// What crawlers may do, together: read the raw files of their datasets, and keep their tables.
fn rights(inputs: &Inputs, datasets: &[&Dataset], buckets: &Buckets, catalog: &Catalog) -> Vec<Value> {
    let files: Vec<Value> = match super::function::fit_a_role(&inputs.datasets) {
        true => datasets.iter().map(|dataset| dataset::raw_objects(dataset, buckets)).collect(),
        false => vec![policy::inside(&buckets.raw.arn(), "/*")],
    };
    let tables = [
        catalog.arn("catalog").into(),
        catalog.database.arn().to_value(),
        catalog.table(&format!("{}*", dataset::RAW_TABLE_PREFIX)).to_value(),
    ];
    let table_actions = [
        "glue:GetDatabase",
        "glue:GetTable",
        "glue:CreateTable",
        "glue:UpdateTable",
        "glue:BatchGetPartition",
        "glue:BatchCreatePartition",
        "glue:BatchUpdatePartition",
        // Folders that are named otherwise than before make other partition keys; those of before go.
        "glue:BatchDeletePartition",
    ];
    vec![
        policy::allow("List", &["s3:ListBucket"], [buckets.raw.arn().to_value()]),
        policy::allow("Read", &["s3:GetObject"], files),
        policy::allow("Tables", &table_actions, tables),
        policy::allow(
            "Log",
            &["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
            [inputs.arn("logs", LOG_GROUP).into()],
        ),
    ]
}
