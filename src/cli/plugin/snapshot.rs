//! What came out of a case, as text that a person reads and a repository compares.

use std::fmt::Write;

use arrow::array::RecordBatch;
use serde_json::Value;

use crate::{dataset::Column, executor::Report};

use super::super::{
    error::CliError,
    rows,
    table::{Align, Table, printable},
};

/// How a case ended.
#[derive(Debug)]
pub enum Outcome {
    /// Rows came out.
    Converted(Box<Converted>),
    /// The plugin refused, failed or broke off: its error.
    Failed(String),
}

/// What became of the rows.
#[derive(Debug)]
pub struct Converted {
    /// The counts.
    pub report: Report,
    /// The table's columns.
    pub table: Vec<Column>,
    /// The rows in the data file.
    pub kept: Vec<RecordBatch>,
    /// The rows in the rejects file.
    pub rejects: Vec<RecordBatch>,
}

impl Outcome {
    /// The text.
    pub fn text(&self) -> Result<String, CliError> {
        match self {
            Outcome::Converted(converted) => converted.text(),
            // Where in the code it was is of no use in a repository: it changes with every build.
            Outcome::Failed(message) => {
                Ok(format!("failed\n{}\n", printable(message.lines().next().unwrap_or_default())))
            }
        }
    }
}

impl Converted {
    fn text(&self) -> Result<String, CliError> {
        let Report { read, kept, exploded, filtered, rejected, .. } = &self.report;
        let multiplied = match exploded {
            0 => String::new(),
            more => format!(" (as {} rows)", kept + more),
        };
        let mut text =
            format!("{read} rows read = {kept} kept{multiplied} + {filtered} filtered + {rejected} rejected\n");
        let mut columns = Table::new([("column", Align::Left), ("type", Align::Left)]);
        for column in &self.table {
            columns.row(vec![(&column.name).into(), column.ty.into()]);
        }
        section(&mut text, "columns", &columns);
        section(&mut text, "kept", &rows::table(&self.kept)?);
        section(&mut text, "rejected", &self.rejected()?);
        Ok(text)
    }

    fn rejected(&self) -> Result<Table, CliError> {
        let names = ["line", "column", "code", "message"];
        let align = |name| if name == "line" { Align::Right } else { Align::Left };
        let mut table = Table::new(names.map(|name| (name, align(name))));
        for batch in &self.rejects {
            for row in rows::objects(batch)? {
                let cell = |name| match row.get(name) {
                    Some(Value::String(text)) => text.into(),
                    None | Some(Value::Null) => "".into(),
                    Some(other) => other.into(),
                };
                table.row(names.map(cell).into());
            }
        }
        Ok(table)
    }
}

fn section(text: &mut String, title: &str, table: &Table) {
    if table.is_empty() {
        return;
    }
    // Writing to a string does not fail.
    let _ = writeln!(text, "\n{title}");
    for line in table.plain() {
        let _ = writeln!(text, "  {line}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;
    use crate::dataset::ColumnType;

    #[test]
    fn an_outcome_is_counts_columns_rows_and_reasons() {
        let batch = |columns: Vec<(&str, ArrayRef)>| RecordBatch::try_from_iter(columns).unwrap();
        let kept = batch(vec![
            ("id", Arc::new(Int64Array::from(vec![1, 20]))),
            ("name", Arc::new(StringArray::from(vec![Some("a\nb"), None]))),
        ]);
        let rejects = batch(vec![
            ("file", Arc::new(StringArray::from(vec!["/tmp/x.csv"]))),
            ("line", Arc::new(Int64Array::from(vec![4]))),
            ("column", Arc::new(StringArray::from(vec![None::<&str>]))),
            ("code", Arc::new(StringArray::from(vec!["impossible_time"]))),
            ("message", Arc::new(StringArray::from(vec!["no clock shows 2561"]))),
        ]);
        let table = [("id", ColumnType::Int64), ("name", ColumnType::String)];
        let converted = Converted {
            report: Report { read: 4, kept: 1, exploded: 1, filtered: 2, rejected: 1, ..Report::default() },
            table: table.map(|(name, ty)| Column { name: name.to_owned(), ty }).into(),
            kept: vec![kept],
            rejects: vec![rejects],
        };
        insta::assert_snapshot!(Outcome::Converted(Box::new(converted)).text().unwrap(), @r"
        4 rows read = 1 kept (as 2 rows) + 2 filtered + 1 rejected

        columns
          column  type
          id      int64
          name    string

        kept
          id  name
           1  a\nb
          20  null

        rejected
          line  column  code             message
             4          impossible_time  no clock shows 2561
        ");
        assert_eq!(
            Outcome::Failed("plugin p stopped: x\n  at f".to_owned()).text().unwrap(),
            "failed\nplugin p stopped: x\n"
        );
    }
}
