//! `partition_by` and `[dataset.x.parquet]`: the files that a dataset becomes.

use std::{fmt, ops::RangeInclusive};

use super::{
    error::Problems,
    section::{Field, Section},
};
use crate::dataset::{Column, ColumnType, Compression, DEFAULT_ROW_GROUP_BYTES, PARTITION_COLUMNS_MAX, ParquetOptions};

/// Smallest `row_group_bytes`, 1 MiB: below it, footers and dictionaries outweigh the data.
pub const ROW_GROUP_BYTES_MIN: u64 = 1024 * 1024;
/// Largest `row_group_bytes`, 64 MiB: three of them in memory, not even compressible, are within what a conversion may
/// use ([`crate::executor::MEMORY_BYTES`]).
pub const ROW_GROUP_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Smallest `target_file_bytes`, 1 MiB: smaller files cost readers more in requests than they save them.
pub const TARGET_FILE_BYTES_MIN: u64 = 1024 * 1024;
/// Largest `target_file_bytes`, 64 GiB: what an upload's parts hold, with room for a row group.
pub const TARGET_FILE_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;

pub(super) const KEYS: &[&str] =
    &["compression", "compression_level", "row_group_bytes", "target_file_bytes", "bloom_filters", "sort_by"];

/// Levels of Zstandard that may be set: above 19 it takes more memory than a conversion has.
const COMPRESSION_LEVELS: RangeInclusive<i64> = 1..=19;

/// The dataset's key of the columns that its files lie in folders by.
pub(super) const PARTITION_BY: &str = "partition_by";

/// Columns that files lie in folders by.
pub(super) fn partition_by(section: &Section<'_>, contract: Option<&[Column]>, problems: &mut Problems) -> Vec<String> {
    let fields = table_columns(section, PARTITION_BY, contract, problems);
    let at = format!("`{}.{PARTITION_BY}`", section.path);
    for field in &fields {
        let column = contract.and_then(|columns| columns.iter().find(|column| column.name == field.value));
        if let Some(Column { ty, .. }) = column.filter(|column| !ColumnType::PARTITIONING.contains(&column.ty)) {
            problems
                .at(field.span.clone(), format!("{at}: `{}` is {ty}", field.value), "no partition column")
                .help("a table is partitioned by text, whole numbers, dates or booleans");
        }
    }
    let Some(last) = fields.last() else { return Vec::new() };
    if fields.len() > PARTITION_COLUMNS_MAX {
        problems
            .at(last.span.clone(), format!("{at} has {} columns", fields.len()), "too many")
            .help(format!("at most {PARTITION_COLUMNS_MAX}: each is a folder in a folder"));
    } else if contract.is_some_and(|columns| columns.len() == fields.len()) {
        problems
            .at(last.span.clone(), format!("{at} names every column of the table"), "no column is left")
            .help("take one out: at least one must be in the files");
    }
    fields.iter().map(|field| field.value.to_owned()).collect()
}

/// How the Parquet is written.
pub(super) fn options(
    section: &Section<'_>,
    contract: Option<&[Column]>,
    partition_by: &[String],
    problems: &mut Problems,
) -> ParquetOptions {
    section.refuse_unknown_keys(KEYS, &[], problems);
    let codecs = [("zstd", Compression::Zstd), ("snappy", Compression::Snappy), ("none", Compression::None)];
    let compression = section.choice("compression", &codecs, problems);
    let of_group = ROW_GROUP_BYTES_MIN..=ROW_GROUP_BYTES_MAX;
    let row_group_bytes = bytes(section, "row_group_bytes", of_group, &DEFAULT_ROW_GROUP_BYTES, problems);
    let of_file = TARGET_FILE_BYTES_MIN..=TARGET_FILE_BYTES_MAX;
    let target_file_bytes = bytes(section, "target_file_bytes", of_file, &"none: one file", problems);
    let defaults = ParquetOptions::default();
    let codec = compression.map_or(defaults.compression, |codec| codec.value);
    ParquetOptions {
        compression: codec,
        row_group_bytes: row_group_bytes.unwrap_or(defaults.row_group_bytes),
        compression_level: compression_level(section, codec, problems),
        target_file_bytes,
        bloom_filters: file_columns(section, "bloom_filters", contract, partition_by, problems),
        sort_by: file_columns(section, "sort_by", contract, partition_by, problems),
    }
}

/// A number of bytes within a range.
fn bytes(
    section: &Section<'_>,
    key: &str,
    range: RangeInclusive<u64>,
    default: &dyn fmt::Display,
    problems: &mut Problems,
) -> Option<u64> {
    let bytes = section.integer(key, problems)?;
    let in_range = u64::try_from(bytes.value).ok().filter(|bytes| range.contains(bytes));
    if in_range.is_none() {
        problems.at(bytes.span, format!("`{}.{key}` is out of range", section.path), "out of range").help(format!(
            "from {} to {}; the default is {default}",
            range.start(),
            range.end()
        ));
    }
    in_range
}

/// Names of columns that are in the files.
fn file_columns(
    section: &Section<'_>,
    key: &str,
    contract: Option<&[Column]>,
    partition_by: &[String],
    problems: &mut Problems,
) -> Vec<String> {
    let mut names = Vec::new();
    for name in table_columns(section, key, contract, problems) {
        if partition_by.iter().any(|by| by == name.value) {
            let message = format!("`{}.{key}`: `{}` is a partition column", section.path, name.value);
            problems.at(name.span, message, "not in the files").help("in each file it has one value only");
        } else {
            names.push(name.value.to_owned());
        }
    }
    names
}

fn compression_level(section: &Section<'_>, codec: Compression, problems: &mut Problems) -> Option<i32> {
    let level = section.integer("compression_level", problems)?;
    let (first, last) = (COMPRESSION_LEVELS.start(), COMPRESSION_LEVELS.end());
    let at = format!("`{}.compression_level`", section.path);
    if codec != Compression::Zstd {
        problems
            .at(level.span, format!("{at} has no meaning for this compression"), "only zstd has levels")
            .help("take it out, or set `compression = \"zstd\"`");
        return None;
    }
    if !COMPRESSION_LEVELS.contains(&level.value) {
        problems
            .at(level.span, format!("{at} is out of range"), "out of range")
            .help(format!("from {first} (fast, the default) to {last} (small)"));
        return None;
    }
    i32::try_from(level.value).ok()
}

/// Names of the table's columns. Without a contract they are compared with the columns when these are found out.
fn table_columns<'a>(
    section: &Section<'a>,
    key: &str,
    contract: Option<&[Column]>,
    problems: &mut Problems,
) -> Vec<Field<&'a str>> {
    let mut names: Vec<Field<&str>> = Vec::new();
    for name in section.strings(key, problems).unwrap_or_default() {
        let column = contract.map(|columns| columns.iter().find(|column| column.name == name.value));
        let at = format!("`{}.{key}`", section.path);
        if column == Some(None) {
            problems
                .at(name.span, format!("{at}: the dataset has no column `{}`", name.value), "not a column")
                .help("its columns are those of the dataset's `schema`");
        } else if names.iter().any(|known| known.value == name.value) {
            problems
                .at(name.span, format!("{at} names `{}` twice", name.value), "the second time")
                .help("take one of them out");
        } else if key == "bloom_filters" && column.flatten().is_some_and(|column| column.ty == ColumnType::Boolean) {
            problems
                .at(name.span, format!("{at}: `{}` is boolean", name.value), "no bloom filter")
                .help("a bloom filter helps where there are many values, not two");
        } else {
            names.push(name);
        }
    }
    names
}
