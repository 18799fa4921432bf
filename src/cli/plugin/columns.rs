//! The columns that a plugin gets, as a user gives them.

use std::path::{Path, PathBuf};

use crate::{
    dataset::{Column, CsvOptions},
    executor::{self, Progress, Source, local::FileSource},
};

use super::super::{context::Context, deployed::no_dataset, error::CliError};

/// How a user names columns.
#[derive(Debug, Default, clap::Args)]
#[group(multiple = false)]
pub struct Columns {
    /// The columns that come, such as `id:int64,fare:decimal(9,2)`.
    #[arg(long, value_name = "COLUMNS")]
    pub schema: Option<String>,
    /// The columns that the contract of this `[dataset.NAME]` fixes.
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<String>,
    /// The columns of this CSV file, as they are found out.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
}

impl Columns {
    /// The columns, if any are named.
    pub fn read(&self, context: &Context) -> Result<Option<Vec<Column>>, CliError> {
        if let Some(text) = &self.schema {
            return parse(text).map(Some).map_err(CliError::usage);
        }
        if let Some(name) = &self.dataset {
            let config = context.config()?;
            let dataset = config.datasets.iter().find(|dataset| dataset.name == *name);
            let dataset = dataset.ok_or_else(|| no_dataset(&config, name))?;
            return match &dataset.schema {
                Some(columns) => Ok(Some(columns.clone())),
                None => Err(CliError::usage(format!("dataset `{name}` has no schema in lake.toml"))
                    .hint("--csv FILE finds the columns of one of its files out")),
            };
        }
        match &self.csv {
            Some(file) => Ok(Some(found(file, &CsvOptions::default())?)),
            None => Ok(None),
        }
    }
}

/// The columns of a CSV file.
pub fn found(file: &Path, options: &CsvOptions) -> Result<Vec<Column>, CliError> {
    let source = FileSource::new(file);
    let sources: [&dyn Source; 1] = [&source];
    Ok(executor::infer_all(&sources, options, false, &Progress::new())?.columns)
}

/// `id:int64,fare:decimal(9,2)`.
pub fn parse(text: &str) -> Result<Vec<Column>, String> {
    let mut columns: Vec<Column> = Vec::new();
    for part in parts(text) {
        let (name, ty) = part.split_once(':').ok_or_else(|| format!("`{part}` is no column: write it as name:type"))?;
        let (name, ty) = (name.trim(), ty.trim());
        let ty = ty.parse().map_err(|error| format!("column `{name}`: {error}"))?;
        if name.is_empty() || columns.iter().any(|column| column.name == name) {
            return Err(format!("`{name}` cannot be the name of a column here: it is empty, or there twice"));
        }
        columns.push(Column { name: name.to_owned(), ty });
    }
    Ok(columns)
}

/// The text between commas that stand outside of parentheses.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0_usize, 0, Vec::new());
    for (place, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The columns as a line: `id int64, name string`.
pub fn listed(columns: &[Column]) -> String {
    columns.iter().map(|column| format!("{} {}", column.name, column.ty)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::ColumnType;

    #[test]
    fn columns_are_names_with_types_and_decimals_have_commas_of_their_own() {
        let columns = parse("id:int64, fare : decimal(9,2),name:string,").unwrap();
        assert_eq!(listed(&columns), "id int64, fare decimal(9,2), name string");
        assert_eq!(columns[1].ty, ColumnType::Decimal { precision: 9, scale: 2 });
    }

    #[test]
    fn what_is_no_column_is_told() {
        for (text, expected) in [
            ("id", "write it as name:type"),
            ("id:integer", "column `id`: `integer` is not a column type"),
            ("id:int64,id:date", "there twice"),
            (":int64", "it is empty"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
