//! `[dataset.*]`: the tables of a lake.

use std::{collections::BTreeMap, path::Path};

use super::{
    csv,
    error::Problems,
    parquet, policy, rules,
    section::{Field, Section, nearest},
    transform::{self, Transform},
};
use crate::dataset::{CatalogMode, Column, ColumnType, Dataset};

/// Most datasets of a lake: the raw bucket has one notification entry for each, and S3 takes a hundred
/// (<https://docs.aws.amazon.com/general/latest/gr/s3.html>, event notifications).
pub const DATASETS_MAX: usize = 100;

const KEYS: &[&str] = &[
    "source",
    "catalog",
    policy::SCHEMA_CHANGE,
    policy::MAX_REJECTS,
    parquet::PARTITION_BY,
    "csv",
    "schema",
    transform::KEY,
    "parquet",
];
/// What other systems call our types.
const TYPE_ALIASES: &[(&str, &str)] = &[
    ("bool", "boolean"),
    ("bigint", "int64"),
    ("int", "int64"),
    ("integer", "int64"),
    ("long", "int64"),
    ("smallint", "int32"),
    ("float", "double"),
    ("float64", "double"),
    ("real", "double"),
    ("number", "double"),
    ("numeric", "decimal(18,2)"),
    ("decimal", "decimal(18,2)"),
    ("datetime", "timestamp"),
    ("timestamptz", "timestamp"),
    ("text", "string"),
    ("varchar", "string"),
    ("char", "string"),
    ("utf8", "string"),
];

/// The datasets in file order, and their transforms by their names.
pub(super) fn datasets(
    section: &Section<'_>,
    root: &Path,
    problems: &mut Problems,
) -> (Vec<Dataset>, BTreeMap<String, Transform>) {
    let (mut datasets, mut transforms) = (Vec::new(), BTreeMap::new());
    let mut sources: Vec<Source<'_>> = Vec::new();
    for (index, (name, section)) in section.sections(problems).into_iter().enumerate() {
        if index == DATASETS_MAX {
            let message = format!("a lake has at most {DATASETS_MAX} datasets");
            problems.at(name.span.clone(), message, "one too many").help("put the rest into a lake of their own");
        }
        let verdict = rules::dataset_name(name.value);
        let accepted = section.accept_name("dataset", name.clone(), verdict, problems);
        let source = source(&section, name.value, problems);
        if let Some(prefix) = &source {
            refuse_overlap(name.value, prefix, &sources, problems);
            sources.push(Source { dataset: name.value, prefix: prefix.clone() });
        }
        if let Some(transform) = transform::transform(&section, root, problems) {
            transforms.insert(name.value.to_owned(), transform);
        }
        let dataset = dataset(accepted, source, &section, problems);
        datasets.extend(dataset);
    }
    (datasets, transforms)
}

/// A prefix that is taken.
struct Source<'a> {
    dataset: &'a str,
    prefix: Field<&'a str>,
}

fn source<'a>(section: &Section<'a>, name: &str, problems: &mut Problems) -> Option<Field<&'a str>> {
    let example = format!("the prefix in the raw bucket where its files arrive, such as \"{name}/\"");
    let source = section.required("source", &example, problems)?;
    let verdict = rules::prefix(source.value);
    section.accept("source", source.clone(), verdict, problems).map(|_| source)
}

fn refuse_overlap(name: &str, prefix: &Field<&str>, taken: &[Source<'_>], problems: &mut Problems) {
    let overlaps = |other: &str| other.starts_with(prefix.value) || prefix.value.starts_with(other);
    if let Some(other) = taken.iter().find(|other| overlaps(other.prefix.value)) {
        problems
            .at(
                prefix.span.clone(),
                format!("the sources of datasets `{}` and `{name}` overlap", other.dataset),
                "a file under both would belong to two datasets",
            )
            .also(other.prefix.span.clone(), format!("`{}` is here", other.dataset))
            .help("give each dataset a prefix of its own, neither of them the beginning of the other");
    }
}

fn dataset(
    name: Option<String>,
    source: Option<Field<&str>>,
    section: &Section<'_>,
    problems: &mut Problems,
) -> Option<Dataset> {
    section.refuse_unknown_keys(
        KEYS,
        &[("csv", csv::KEYS), ("transform", transform::KEYS), ("parquet", parquet::KEYS)],
        problems,
    );
    let catalog = catalog(section, problems);
    let csv = section.section("csv", problems).map(|section| csv::options(&section, problems)).unwrap_or_default();
    let contract = section.section("schema", problems);
    let schema_change = policy::schema_change(section, contract.as_ref(), problems);
    let max_rejects = policy::max_rejects(section, problems);
    let schema = contract.map(|section| schema(&section, problems));
    // With a transform the table has the columns that the plugin names.
    let contract = schema.as_deref().filter(|_| !section.has(transform::KEY));
    let partition_by = parquet::partition_by(section, contract, problems);
    let parquet = section
        .section("parquet", problems)
        .map(|section| parquet::options(&section, contract, &partition_by, problems));
    Some(Dataset {
        name: name?,
        source: source?.value.to_owned(),
        catalog,
        csv,
        schema,
        schema_change,
        max_rejects,
        transform: None,
        partition_by,
        parquet: parquet.unwrap_or_default(),
    })
}

/// The default is the crawler: raw files are tables too, and a conversion begins when they are known.
fn catalog(section: &Section<'_>, problems: &mut Problems) -> CatalogMode {
    let modes = [("crawler", CatalogMode::Crawler), ("direct", CatalogMode::Direct)];
    section.choice("catalog", &modes, problems).map_or(CatalogMode::Crawler, |mode| mode.value)
}

fn schema(section: &Section<'_>, problems: &mut Problems) -> Vec<Column> {
    let entries = section.strings_by_name(problems);
    if section.is_empty() {
        problems
            .at(section.span.clone(), format!("[{}] has no columns", section.path), "empty")
            .help("write `column = \"type\"` lines, or take the section out to have the types found out");
    }
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.value).collect();
    entries.iter().filter_map(|(name, ty)| column(section, name, ty, &names, problems)).collect()
}

fn column(
    section: &Section<'_>,
    name: &Field<&str>,
    ty: &Field<&str>,
    names: &[&str],
    problems: &mut Problems,
) -> Option<Column> {
    let type_read = ty.value.parse::<ColumnType>();
    if type_read.is_err() {
        let help = match likely_type(ty.value) {
            Some(likely) => format!("did you mean `{likely}`?"),
            None => "types: boolean, int32, int64, double, decimal(1..38,scale), date, timestamp, string".to_owned(),
        };
        problems.at(ty.span.clone(), format!("`{}` is not a column type", ty.value), "not known").help(help);
    }
    if let Err(reason) = rules::column_name(name.value) {
        let help = match rules::column_name_like(name.value) {
            Some(like) if names.contains(&like.as_str()) => {
                format!("catalogs know lower case only: it would collide with the column `{like}`")
            }
            Some(like) => format!("write `{like}`: header names are matched to it without case"),
            None => reason,
        };
        let message = format!("{:?} cannot be a column of [{}]", name.value, section.path);
        problems.at(name.span.clone(), message, "not a column name").help(help);
        return None;
    }
    Some(Column { name: name.value.to_owned(), ty: type_read.ok()? })
}

fn likely_type(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    let word = lower.split('(').next().unwrap_or_default();
    if word == "decimal" && lower.contains('(') {
        return None;
    }
    if let Some((_, likely)) = TYPE_ALIASES.iter().find(|(alias, _)| *alias == word) {
        return Some(likely);
    }
    nearest(&lower, &["boolean", "int32", "int64", "double", "decimal(18,2)", "date", "timestamp", "string"])
}
