//! The types of a file's columns, found out over the whole input: a type must fit every value, else the column
//! becomes wider, and text at last. So a type never depends on where a sample happened to end.

use std::collections::HashMap;

use super::{
    super::{Error, Progress, Source},
    Dialect,
    nulls::Nulls,
    reading::Reading,
    split::{Batch, Field, Quoting, Row},
    value::{self, Kinds},
};
use crate::dataset::{Column, ColumnType, CsvOptions};

/// What [`infer`] finds out.
#[derive(Debug, Clone, PartialEq)]
pub struct Inference {
    /// How the file is written.
    pub dialect: Dialect,
    /// Its columns, in file order.
    pub columns: Vec<Column>,
    /// Its rows, those included that would be rejected.
    pub rows: u64,
}

/// What [`infer_all`] finds out.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceOfAll {
    /// How each file is written; `None` for one without any record.
    pub dialects: Vec<Option<Dialect>>,
    /// The columns of all files by name, in the order in which they first appear.
    pub columns: Vec<Column>,
    /// The rows of all files, those included that would be rejected.
    pub rows: u64,
}

/// Finds out how a file is written and what its columns are. `text`: leave every column a string.
///
/// # Errors
/// [`Error::Empty`] when there is no record in it, [`Error::NotCsv`], [`Error::Header`], [`Error::Option`],
/// [`Error::Quotes`], [`Error::Read`], [`Error::Cancelled`].
pub fn infer(source: &dyn Source, options: &CsvOptions, text: bool, progress: &Progress) -> Result<Inference, Error> {
    let all = infer_all(&[source], options, text, progress)?;
    let empty = || Error::Empty { name: source.name().to_owned() };
    let dialect = all.dialects.into_iter().next().flatten().ok_or_else(empty)?;
    Ok(Inference { dialect, columns: all.columns, rows: all.rows })
}

/// Finds out the columns of several files that are to become one table: a column has the narrowest type that fits
/// its values in every file.
///
/// # Errors
/// As [`infer`]; [`Error::Empty`] only when there is no record in any file.
pub fn infer_all(
    sources: &[&dyn Source],
    options: &CsvOptions,
    text: bool,
    progress: &Progress,
) -> Result<InferenceOfAll, Error> {
    let nulls = Nulls::new(options);
    let mut found: Vec<(String, Evidence)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut dialects = Vec::with_capacity(sources.len());
    let mut rows = 0;
    for source in sources {
        let Some(mut reading) = Reading::open(*source, options, None, &[], progress)? else {
            dialects.push(None);
            continue;
        };
        let mut file = File::new(&reading, text);
        while let Some(batch) = reading.next()? {
            file.look(&batch, &nulls);
        }
        rows += file.rows;
        for (name, evidence) in file.columns() {
            match places.get(&name) {
                Some(&place) => found[place].1.merge(evidence),
                None => {
                    places.insert(name.clone(), found.len());
                    found.push((name, evidence));
                }
            }
        }
        dialects.push(Some(reading.dialect));
    }
    if dialects.iter().all(Option::is_none) {
        let name = sources.first().map_or_else(String::new, |source| source.name().to_owned());
        return Err(Error::Empty { name });
    }
    let columns = found.into_iter().map(|(name, evidence)| Column { name, ty: evidence.column_type() }).collect();
    Ok(InferenceOfAll { dialects, columns, rows })
}

/// What the values of a column say about its type.
#[derive(Debug, Clone, Copy)]
struct Evidence {
    /// Every value so far can be read as each of these.
    kinds: Kinds,
    /// There was a value that makes a type.
    seen: bool,
}

impl Evidence {
    fn merge(&mut self, other: Evidence) {
        self.kinds = self.kinds.and(other.kinds);
        self.seen |= other.seen;
    }

    fn column_type(self) -> ColumnType {
        let order = [
            (Kinds::BOOLEAN, ColumnType::Boolean),
            (Kinds::INT, ColumnType::Int64),
            (Kinds::DOUBLE, ColumnType::Double),
            (Kinds::DATE, ColumnType::Date),
            (Kinds::TIMESTAMP, ColumnType::Timestamp),
        ];
        let fitting = order.into_iter().find(|(kind, _)| self.seen && self.kinds.has(*kind));
        fitting.map_or(ColumnType::String, |(_, ty)| ty)
    }
}

/// One file's columns while it is read.
struct File {
    names: Vec<String>,
    evidence: Vec<Evidence>,
    quote: Quoting,
    rows: u64,
    /// The header ends with a delimiter, and so far nothing stands behind it in any row.
    trailing: bool,
    scratch: Vec<u8>,
}

impl File {
    fn new(reading: &Reading<'_>, text: bool) -> Self {
        let kinds = if text { Kinds::NONE } else { Kinds::ALL };
        File {
            names: reading.names.clone(),
            evidence: vec![Evidence { kinds, seen: false }; reading.names.len()],
            quote: Quoting::new(&reading.dialect),
            rows: 0,
            trailing: reading.trailing && reading.dialect.has_header(),
            scratch: Vec::new(),
        }
    }

    /// Takes a batch into account. Rows that a conversion would reject for their shape have no say.
    fn look(&mut self, batch: &Batch<'_>, nulls: &Nulls) {
        self.rows += (batch.rows.len() + batch.faults.len()) as u64;
        let valid = str::from_utf8(batch.text()).is_ok();
        let width = self.names.len();
        let fits = |row: &&Row| row.field_count() == width && (valid || str::from_utf8(batch.raw(row)).is_ok());
        let rows: Vec<Row> = batch.rows.iter().filter(fits).copied().collect();
        if self.trailing {
            self.trailing = rows.iter().all(|row| {
                let last = batch.field(row, width - 1);
                last.is_empty() && !last.quoted
            });
        }
        for index in 0..width {
            self.look_at_column(rows.iter().map(|row| batch.field(row, index)), index, batch.bytes, nulls);
        }
    }

    fn look_at_column(&mut self, fields: impl Iterator<Item = Field>, index: usize, bytes: &[u8], nulls: &Nulls) {
        let evidence = &mut self.evidence[index];
        for field in fields {
            if evidence.kinds == Kinds::NONE {
                return;
            }
            let text = value::trim(field.text(bytes, self.quote, &mut self.scratch));
            if !nulls.contain(text) {
                let (kinds, makes_type) = value::classify(text);
                evidence.merge(Evidence { kinds, seen: makes_type });
            }
        }
    }

    fn columns(self) -> impl Iterator<Item = (String, Evidence)> {
        let count = self.names.len() - usize::from(self.trailing);
        self.names.into_iter().zip(self.evidence).take(count)
    }
}

#[cfg(test)]
mod tests;
