//! Transforms run natively, on a table written down in a test: `cargo test`, no WASM.
//!
//! ```
//! # use lake_transform::{testing::Table, *};
//! # struct Loud { name: In<str>, loud: Out<str> }
//! # impl RowTransform for Loud {
//! #     fn open(_: &Config, plan: &mut Plan) -> Result<Self, String> {
//! #         Ok(Loud { name: plan.read("name")?, loud: plan.output("loud") })
//! #     }
//! #     fn row(&mut self, row: Row<'_>, out: &mut RowOut) -> Result<Outcome, Reject> {
//! #         out.format(self.loud, format_args!("{}!", row.require(self.name)?));
//! #         Ok(Outcome::Keep)
//! #     }
//! # }
//! # fn main() -> Result<(), String> {
//! let done = Table::new().column("name", [Some("ann"), None]).transform::<Loud>(&[])?;
//! assert_eq!(done.cells("loud"), ["ann!"]);
//! assert_eq!(done.rejects(), ["row 1: missing_value (name): there is no value"]);
//! # Ok(())
//! # }
//! ```

use std::marker::PhantomData;

use crate::{
    BatchTransform, ByRow, Column, Config, Date, Decimal, Field, Opened, Plain, RowTransform, Schema, Timestamp,
    Transformed, Type, Value, Values,
    builder::Builders,
    column::{Text, bit},
    handle::Out,
};

/// A table that comes to a transform.
#[derive(Debug, Clone, Default)]
pub struct Table {
    fields: Vec<Field>,
    columns: Vec<Column>,
    rows: Option<usize>,
}

/// A cell of a table in a test: a value, or an `Option` of one.
pub trait Cell {
    /// What its column holds.
    type Of: Plain + ?Sized;

    /// The value.
    fn value(&self) -> Option<<Self::Of as Value>::Item<'_>>;
}

macro_rules! cells {
    ($($type:ty => $of:ty),* $(,)?) => {
        $(
            impl Cell for $type {
                type Of = $of;

                fn value(&self) -> Option<<$of as Value>::Item<'_>> {
                    Some(*self)
                }
            }

            impl Cell for Option<$type> {
                type Of = $of;

                fn value(&self) -> Option<<$of as Value>::Item<'_>> {
                    *self
                }
            }
        )*
    };
}

cells! {
    bool => bool,
    i32 => i32,
    i64 => i64,
    f64 => f64,
    Date => Date,
    Timestamp => Timestamp,
    &str => str,
}

impl Table {
    /// A table without columns.
    pub fn new() -> Table {
        Table::default()
    }

    /// The table with one more column: `column("miles", [Some(1.5), None])`. The cells' type is the column's.
    ///
    /// # Panics
    /// It has not as many rows as those before it.
    #[must_use]
    pub fn column<C: Cell>(self, name: &str, cells: impl IntoIterator<Item = C>) -> Table {
        let mut builders = Builders::default();
        let data_type = <C::Of as Plain>::TYPE;
        let at = builders.add(data_type);
        let out: Out<C::Of> = Out { at, of: PhantomData };
        let mut rows = 0;
        for cell in cells {
            if let Some(value) = cell.value() {
                <C::Of as Value>::set(&mut builders, out.at, rows, value);
            }
            builders.commit();
            rows += 1;
        }
        self.with(name, data_type, builders, at, rows)
    }

    /// The table with one more column, of decimals: the numbers without their points.
    ///
    /// # Panics
    /// It has not as many rows as those before it.
    #[must_use]
    pub fn decimals<C: Into<Option<i128>>>(
        self,
        name: &str,
        precision: u8,
        scale: u8,
        cells: impl IntoIterator<Item = C>,
    ) -> Table {
        let mut builders = Builders::default();
        let data_type = Type::Decimal { precision, scale };
        let at = builders.add(data_type);
        let mut rows = 0;
        for cell in cells {
            if let Some(unscaled) = cell.into() {
                Decimal::set(&mut builders, at, rows, Decimal { unscaled, scale });
            }
            rows += 1;
        }
        self.with(name, data_type, builders, at, rows)
    }

    fn with(mut self, name: &str, data_type: Type, mut builders: Builders, at: usize, rows: usize) -> Table {
        let before = *self.rows.get_or_insert(rows);
        assert_eq!(rows, before, "column {name} has {rows} rows, those before it have {before}");
        let column = builders.finish(data_type, at, rows).expect("a table of a test is small");
        self.fields.push(Field { name: name.to_owned(), data_type });
        self.columns.push(column);
        self
    }

    /// Opens the transform with that configuration, gives it the table as one batch, and puts together the table that
    /// lake would write.
    ///
    /// # Errors
    /// `open` refuses.
    pub fn transform<T: RowTransform>(&self, config: &[(&str, &str)]) -> Result<Done, String> {
        self.transform_batch::<ByRow<T>>(config)
    }

    /// As [`Table::transform`], for a [`BatchTransform`].
    ///
    /// # Errors
    /// `open` refuses, or the batch fails.
    pub fn transform_batch<T: BatchTransform>(&self, config: &[(&str, &str)]) -> Result<Done, String> {
        let schema = Schema(self.fields.clone());
        let (mut transform, contract) = Opened::<T>::open(&Config::from(config), schema)?;
        let position = |name: &String| self.fields.iter().position(|field| field.name == *name);
        let read = contract.reads.iter().filter_map(position).map(|at| self.columns[at].clone()).collect();
        let rows = self.rows.unwrap_or_default() as u32;
        let transformed = transform.transform(rows, read)?;
        let all: Vec<u32> = (0..rows).collect();
        let sources = transformed.source_rows.as_ref().unwrap_or(&all);

        // As lake does it: what passes by stays, what is replaced keeps its place, what is new comes last.
        let mut table = Vec::new();
        let mut replaced = Vec::new();
        for (field, column) in self.fields.iter().zip(&self.columns) {
            match contract.output.iter().position(|output| output.name == field.name) {
                Some(at) => {
                    replaced.push(at);
                    table.push((contract.output[at].clone(), transformed.columns[at].clone()));
                }
                None if contract.reads.contains(&field.name) || contract.drops.contains(&field.name) => {}
                None => table.push((field.clone(), column.gather(sources))),
            }
        }
        let new = (0..contract.output.len()).filter(|at| !replaced.contains(at));
        table.extend(new.map(|at| (contract.output[at].clone(), transformed.columns[at].clone())));
        Ok(Done { table, transformed })
    }
}

/// What a transform made of a [`Table`].
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    table: Vec<(Field, Column)>,
    transformed: Transformed,
}

impl Done {
    /// The table's columns, as `name type`.
    pub fn columns(&self) -> Vec<String> {
        self.table.iter().map(|(field, _)| format!("{} {}", field.name, field.data_type)).collect()
    }

    /// How many rows the table has.
    pub fn rows(&self) -> usize {
        self.transformed.rows as usize
    }

    /// The cells of a column, written out; `null` where there is no value.
    ///
    /// # Panics
    /// There is no such column.
    pub fn cells(&self, name: &str) -> Vec<String> {
        let found = self.table.iter().find(|(field, _)| field.name == name);
        let Some((field, column)) = found else { panic!("there is no column {name}: {:?}", self.columns()) };
        (0..self.rows()).map(|row| written(field.data_type, column, row)).collect()
    }

    /// For each row the row that it comes from; `None` where rows went in and out one to one.
    pub fn source_rows(&self) -> Option<&[u32]> {
        self.transformed.source_rows.as_deref()
    }

    /// The rows set aside, as `row 3: code (column): message`.
    pub fn rejects(&self) -> Vec<String> {
        let errors = self.transformed.errors.iter();
        errors
            .map(|error| match &error.column {
                Some(column) => format!("row {}: {} ({column}): {}", error.row, error.code, error.message),
                None => format!("row {}: {}: {}", error.row, error.code, error.message),
            })
            .collect()
    }
}

fn written(data_type: Type, column: &Column, row: usize) -> String {
    if column.validity.as_deref().is_some_and(|bits| !bit(bits, row)) {
        return "null".to_owned();
    }
    match &column.values {
        Values::Boolean(bits) => bit(bits, row).to_string(),
        Values::Int32(values) => values[row].to_string(),
        Values::Int64(values) => values[row].to_string(),
        Values::Double(values) => values[row].to_string(),
        Values::Date(values) => Date(values[row]).to_string(),
        Values::Timestamp(values) => Timestamp(values[row]).to_string(),
        Values::Decimal(halves) => {
            let unscaled = (u128::from(halves[row * 2 + 1]) << 64 | u128::from(halves[row * 2])) as i128;
            let scale = if let Type::Decimal { scale, .. } = data_type { scale } else { 0 };
            Decimal { unscaled, scale }.to_string()
        }
        Values::String(Text { offsets, bytes }) => {
            String::from_utf8_lossy(&bytes[offsets[row] as usize..offsets[row + 1] as usize]).into_owned()
        }
    }
}
