//! Columns of a file ↔ columns that are asked for: by name, or by position where the file has no names.

use std::collections::{HashMap, HashSet};

use super::super::{Error, csv::Opened};
use crate::dataset::{Column, Dataset, SchemaChange};

/// Which field of a file belongs to which column of the table.
pub(super) struct Matching {
    /// For each column.
    pub fields: Vec<Option<usize>>,
    /// Fields of a row.
    pub width: usize,
    /// The header ends with a delimiter behind which no column is expected.
    pub trailing: bool,
    /// Fields that the table has no column for, and their names, where rows without a value in them are taken.
    pub unknown: Vec<(usize, String)>,
}

impl Matching {
    /// Fails where the file has columns that the table does not have, unless its rows are to be told apart.
    pub fn new(reading: &Opened<'_>, columns: &[Column], dataset: &Dataset) -> Result<Self, Error> {
        let asked = dataset.csv.has_header();
        let table: HashSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let mut names = reading.names.clone();
        let by_position = !reading.dialect.has_header() && !names.iter().all(|name| table.contains(name.as_str()));
        if by_position && asked != Some(false) {
            let message = "the file seems to have no header, and the table's columns have names; if its columns are \
                           in the table's order, set csv.header = false"
                .to_owned();
            return Err(Error::Schema { name: reading.name.clone(), message, unknown: Vec::new() });
        }
        if by_position {
            for (name, column) in names.iter_mut().zip(columns) {
                name.clone_from(&column.name);
            }
        }
        let trailing = reading.trailing && names.last().is_some_and(|last| !table.contains(last.as_str()));
        names.truncate(names.len() - usize::from(trailing));
        let unknown: Vec<(usize, String)> =
            names.iter().cloned().enumerate().filter(|(_, name)| !table.contains(name.as_str())).collect();
        let places: HashMap<&str, usize> = names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        let fields: Vec<Option<usize>> =
            columns.iter().map(|column| places.get(column.name.as_str()).copied()).collect();
        let may_have_others = dataset.schema_change() == SchemaChange::Reject;
        if (unknown.is_empty() || may_have_others) && fields.iter().any(Option::is_some) {
            return Ok(Matching { fields, width: names.len(), trailing, unknown });
        }
        let unknown: Vec<String> = unknown.into_iter().map(|(_, name)| name).collect();
        let list = |names: Vec<&str>| names.join("`, `");
        let has = list(columns.iter().map(|column| column.name.as_str()).collect());
        let message = match unknown.len() {
            0 => format!("the file has none of the table's columns (`{has}`)"),
            _ => format!(
                "the table has no column `{}`; it has `{has}`. Add the column to the dataset's schema, or put the \
                 file where it belongs",
                list(unknown.iter().map(String::as_str).collect()),
            ),
        };
        Err(Error::Schema { name: reading.name.clone(), message, unknown })
    }

    pub fn missing<'a>(&'a self, columns: &'a [Column]) -> impl Iterator<Item = String> + 'a {
        let absent = columns.iter().zip(&self.fields).filter(|(_, field)| field.is_none());
        absent.map(|(column, _)| column.name.clone())
    }
}
