//! Whole columns at once.

use crate::{
    builder::Builders,
    config::Config,
    handle::{In, Out},
    plan::{Plan, Read},
    row::Reject,
    value::Value,
    view::Views,
};

/// A transform that looks at the rows of a batch together, as slices.
/// [`export!(batch …)`](crate::export) makes it the plugin.
///
/// ```
/// # use lake_transform::{testing::Table, *};
/// struct Total {
///     fare: In<f64>,
///     tip: In<f64>,
///     total: Out<f64>,
/// }
///
/// impl BatchTransform for Total {
///     fn open(_: &Config, plan: &mut Plan) -> Result<Self, String> {
///         Ok(Total { fare: plan.read("fare")?, tip: plan.read("tip")?, total: plan.output("total") })
///     }
///
///     fn batch(&mut self, batch: &Batch<'_>, out: &mut BatchOut) -> Result<(), String> {
///         let (fares, tips) = (batch.values(self.fare), batch.values(self.tip));
///         let totals = fares.iter().zip(tips).map(|(fare, tip)| fare + tip).collect();
///         // Null where either is null.
///         let valid = (0..batch.rows()).map(|row| batch.get(self.fare, row).and(batch.get(self.tip, row)).is_some());
///         out.put_nullable(self.total, totals, Some(pack(valid)));
///         Ok(())
///     }
/// }
///
/// export!(batch Total);
///
/// # fn main() -> Result<(), String> {
/// let done = Table::new().column("fare", [8.0, 9.5]).column("tip", [Some(1.5), None]).transform_batch::<Total>(&[])?;
/// assert_eq!(done.cells("total"), ["9.5", "null"]);
/// # Ok(())
/// # }
/// ```
pub trait BatchTransform: Sized {
    /// As [`RowTransform::open`](crate::RowTransform::open).
    ///
    /// # Errors
    /// What is wrong with the configuration or the columns, for a person to read.
    fn open(config: &Config, plan: &mut Plan) -> Result<Self, String>;

    /// Looks at the rows of a batch and puts the outputs.
    ///
    /// # Errors
    /// The whole file cannot be used; it is set aside as it is. A single row is rejected by [`BatchOut::reject`].
    fn batch(&mut self, batch: &Batch<'_>, out: &mut BatchOut) -> Result<(), String>;
}

/// Rows that came, by column.
#[derive(Debug)]
pub struct Batch<'a> {
    pub(crate) rows: usize,
    pub(crate) views: Views<'a>,
    pub(crate) reads: &'a [Read],
}

impl<'a> Batch<'a> {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The values of a column, one a row. Those of null rows mean nothing.
    pub fn values<T: Value + ?Sized>(&self, column: In<T>) -> T::Slice<'a> {
        T::slice(&self.views, column.at)
    }

    /// Which rows of a column have a value: one bit a row, eight to the byte, the least significant first. `None` where
    /// no row is null.
    pub fn validity<T: Value + ?Sized>(&self, column: In<T>) -> Option<&'a [u8]> {
        T::validity(&self.views, column.at)
    }

    /// The value of a column in a row; `None` where it is null.
    #[inline]
    pub fn get<T: Value + ?Sized>(&self, column: In<T>, row: usize) -> Option<T::Item<'a>> {
        T::get(&self.views, column.at, row)
    }

    /// The name of a column.
    pub fn name<T: ?Sized>(&self, column: In<T>) -> &'a str {
        &self.reads[column.column].field.name
    }
}

/// Where the outputs of a batch are put. An output that is not put is null in all rows.
#[derive(Debug)]
pub struct BatchOut {
    pub(crate) builders: Builders,
    pub(crate) sources: Option<Vec<u32>>,
    pub(crate) rejects: Vec<(u32, Reject)>,
}

impl BatchOut {
    /// The values of an output, one a row.
    pub fn put<T: Value + ?Sized>(&mut self, column: Out<T>, values: T::Owned) {
        self.put_nullable(column, values, None);
    }

    /// The values of an output, one a row, and which of them are there: one bit a row, as [`pack`] makes them.
    pub fn put_nullable<T: Value + ?Sized>(&mut self, column: Out<T>, values: T::Owned, validity: Option<Vec<u8>>) {
        T::put(&mut self.builders, column.at, values, validity);
    }

    /// For each row of the outputs, the row of the batch that it comes from, from 0: to be said unless rows go in and
    /// out one to one.
    pub fn source_rows(&mut self, rows: Vec<u32>) {
        self.sources = Some(rows);
    }

    /// Sets a row of the batch aside with the reason. It may not be among [`BatchOut::source_rows`].
    pub fn reject(&mut self, row: u32, reason: Reject) {
        self.rejects.push((row, reason));
    }
}

/// Bits, eight to the byte, the least significant first: for [`BatchOut::put_nullable`], and for outputs of `bool`.
pub fn pack(bits: impl IntoIterator<Item = bool>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, bit) in bits.into_iter().enumerate() {
        if at % 8 == 0 {
            bytes.push(0);
        }
        bytes[at / 8] |= u8::from(bit) << (at % 8);
    }
    bytes
}
