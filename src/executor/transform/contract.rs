//! What a plugin has answered to `open`, checked: which columns it reads, and what the table's columns are.

use std::collections::HashSet;

use super::{
    text::quoted,
    wit::{self, DataType, DecimalType},
};
use crate::dataset::{Column, ColumnType, DECIMAL_PRECISION_MAX, column_name};

/// What a plugin does with the columns that come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Indexes of the input's columns that batches bring, in the plugin's order.
    pub reads: Vec<usize>,
    /// The table's columns: those that pass by untouched, in the input's order, with replaced ones in their place, then
    /// the new ones.
    pub columns: Vec<Column>,
    /// For each of the table's columns, where it comes from.
    pub(super) origins: Vec<Origin>,
    /// The columns that the plugin gives back, in its order.
    pub(super) output: Vec<Column>,
}

/// Where a column of the table comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// That column of the input, untouched.
    Input(usize),
    /// That column of the plugin's output.
    Output(usize),
}

impl Contract {
    /// What a plugin's answer makes of these columns.
    pub(super) fn check(answer: wit::Contract, input: &[Column]) -> Result<Contract, String> {
        let reads = indexes(&answer.reads, input, "reads")?;
        let drops = indexes(&answer.drops, input, "drops")?;
        if let Some(both) = drops.iter().find(|index| reads.contains(index)) {
            let name = quoted(&input[*both].name);
            return Err(format!("it reads column {name} and lists it among those that it does not read (drops)"));
        }
        let output = output(answer.output)?;
        let mut origins = Vec::with_capacity(input.len() + output.len());
        let mut placed = vec![false; output.len()];
        for (index, column) in input.iter().enumerate() {
            let place = output.iter().position(|output| output.name == column.name);
            match place {
                Some(_) if !reads.contains(&index) => {
                    return Err(format!(
                        "it gives back a column {} and does not read the one of that name",
                        quoted(&column.name)
                    ));
                }
                Some(place) => {
                    placed[place] = true;
                    origins.push(Origin::Output(place));
                }
                None if reads.contains(&index) || drops.contains(&index) => {}
                None => origins.push(Origin::Input(index)),
            }
        }
        origins.extend((0..output.len()).filter(|place| !placed[*place]).map(Origin::Output));
        if origins.is_empty() {
            return Err("it leaves the table without a column".to_owned());
        }
        let columns = origins.iter().map(|origin| match origin {
            Origin::Input(index) => input[*index].clone(),
            Origin::Output(place) => output[*place].clone(),
        });
        Ok(Contract { reads, columns: columns.collect(), origins, output })
    }
}

/// The columns of the input with these names.
fn indexes(names: &[String], input: &[Column], verb: &str) -> Result<Vec<usize>, String> {
    let mut seen = HashSet::new();
    let index = |name: &String| {
        let Some(index) = input.iter().position(|column| column.name == *name) else {
            return Err(format!("it {verb} column {}, which does not come", quoted(name)));
        };
        if !seen.insert(index) {
            return Err(format!("it {verb} column {} twice", quoted(name)));
        }
        Ok(index)
    };
    names.iter().map(index).collect()
}

/// The columns that it gives back, each a column that a table may have.
fn output(fields: Vec<wit::FieldOut>) -> Result<Vec<Column>, String> {
    let mut seen = HashSet::new();
    let column = |field: wit::FieldOut| {
        let name = quoted(&field.name);
        column_name(&field.name).map_err(|reason| format!("it gives back a column {name}: {reason}"))?;
        if !seen.insert(field.name.clone()) {
            return Err(format!("it gives back two columns {name}"));
        }
        let ty = column_type(field.data_type).map_err(|reason| format!("column {name}: {reason}"))?;
        Ok(Column { name: field.name, ty })
    };
    fields.into_iter().map(column).collect()
}

fn column_type(data_type: DataType) -> Result<ColumnType, String> {
    Ok(match data_type {
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int32 => ColumnType::Int32,
        DataType::Int64 => ColumnType::Int64,
        DataType::Float64 => ColumnType::Double,
        DataType::Date => ColumnType::Date,
        DataType::Timestamp => ColumnType::Timestamp,
        DataType::Utf8 => ColumnType::String,
        DataType::Decimal(DecimalType { precision, scale }) => {
            if !(1..=DECIMAL_PRECISION_MAX).contains(&precision) || scale > precision {
                return Err(format!(
                    "there is no decimal({precision},{scale}); the precision is 1 to {DECIMAL_PRECISION_MAX}, the scale \
                     0 to the precision"
                ));
            }
            ColumnType::Decimal { precision, scale }
        }
    })
}

impl<'a> From<&'a Column> for wit::FieldIn<'a> {
    fn from(column: &'a Column) -> Self {
        let data_type = match column.ty {
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::Int32 => DataType::Int32,
            ColumnType::Int64 => DataType::Int64,
            ColumnType::Double => DataType::Float64,
            ColumnType::Decimal { precision, scale } => DataType::Decimal(DecimalType { precision, scale }),
            ColumnType::Date => DataType::Date,
            ColumnType::Timestamp => DataType::Timestamp,
            ColumnType::String => DataType::Utf8,
        };
        wit::FieldIn { name: &column.name, data_type }
    }
}
