//! One row at a time.

use std::{borrow::Cow, fmt, io::Write};

use crate::{
    batch::Batch,
    builder::Builders,
    config::Config,
    handle::{In, Out},
    plan::Plan,
    value::Value,
};

/// A transform that looks at one row at a time. [`export!`](crate::export) makes it the plugin.
pub trait RowTransform: Sized {
    /// Reads the configuration, and says what is done with the columns: `plan` gives the handles.
    ///
    /// It is called when the lake is planned, if the columns are known then, and before the first row of each file.
    ///
    /// # Errors
    /// What is wrong with the configuration or the columns, for a person to read.
    fn open(config: &Config, plan: &mut Plan) -> Result<Self, String>;

    /// Looks at a row, writes the outputs, and says what becomes of it.
    ///
    /// # Errors
    /// The row cannot be used: it is set aside with the reason, and the rows around it go on.
    fn row(&mut self, row: Row<'_>, out: &mut RowOut) -> Result<Outcome, Reject>;
}

/// What becomes of a row. That it is rejected is an `Err` of [`Reject`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on, with the outputs that were set. Those that were not are null.
    Keep,
    /// Nothing of it goes on.
    Filter,
    /// What goes on was given by [`RowOut::emit`]: no row, one, or several.
    Emitted,
}

/// Why a row cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject(Box<Reason>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) code: Cow<'static, str>,
    pub(crate) column: Option<String>,
    pub(crate) message: String,
}

impl Reject {
    /// `code` is a short word that stays the same, such as `impossible_time`, by which reports count: lower-case
    /// letters, digits and `_`. `message` says what is wrong, for a person to read.
    #[cold]
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Reject(Box::new(Reason { code: code.into(), column: None, message: message.into() }))
    }

    /// The same, with the column at fault. [`Row::reject`] takes its name from a handle.
    #[must_use]
    pub fn in_column(mut self, name: impl Into<String>) -> Self {
        self.0.column = Some(name.into());
        self
    }

    pub(crate) fn into_reason(self) -> Reason {
        *self.0
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reason { code, column, message } = self.0.as_ref();
        match column {
            Some(column) => write!(f, "{code} ({column}): {message}"),
            None => write!(f, "{code}: {message}"),
        }
    }
}

impl std::error::Error for Reject {}

/// A row that came.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    pub(crate) batch: &'a Batch<'a>,
    pub(crate) index: usize,
}

impl<'a> Row<'a> {
    /// The value of a column; `None` where it is null.
    #[inline(always)]
    pub fn get<T: Value + ?Sized>(&self, column: In<T>) -> Option<T::Item<'a>> {
        T::get(&self.batch.views, column.at, self.index)
    }

    /// The value of a column that must have one.
    ///
    /// # Errors
    /// It is null: the row is rejected as `missing_value`, with the column's name.
    #[inline(always)]
    pub fn require<T: Value + ?Sized>(&self, column: In<T>) -> Result<T::Item<'a>, Reject> {
        match self.get(column) {
            Some(value) => Ok(value),
            None => Err(self.reject(column, "missing_value", "there is no value")),
        }
    }

    /// The reason that the value of a column cannot be used.
    #[cold]
    pub fn reject<T: ?Sized>(
        &self,
        column: In<T>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Reject {
        Reject::new(code, message).in_column(self.batch.name(column))
    }

    /// Its place in the batch, from 0. Batches are of no fixed size.
    pub fn index(&self) -> usize {
        self.index
    }
}

/// Where the outputs of rows are written.
#[derive(Debug)]
pub struct RowOut {
    builders: Builders,
    /// For each row that was given back, the one that it comes from.
    sources: Vec<u32>,
    /// The row that is looked at.
    source: u32,
    /// Rows given back before it.
    first: usize,
    /// The next row has outputs.
    dirty: bool,
    /// Each row so far came from the row in its place.
    in_place: bool,
}

impl RowOut {
    pub(crate) fn new(mut builders: Builders, rows: usize) -> Self {
        builders.reserve(rows);
        let sources = Vec::with_capacity(rows);
        RowOut { builders, sources, source: 0, first: 0, dirty: false, in_place: true }
    }

    /// Sets an output of the row: to a value, or to what [`Row::get`] gave.
    ///
    /// A decimal is brought to the scale of its column.
    ///
    /// # Panics
    /// A decimal has more digits after the point than its column.
    #[inline(always)]
    pub fn set<'v, T: Value + ?Sized>(&mut self, column: Out<T>, value: impl Into<Option<T::Item<'v>>>) {
        let row = self.sources.len();
        match value.into() {
            Some(value) => {
                self.dirty = true;
                T::set(&mut self.builders, column.at, row, value);
            }
            None => T::unset(&mut self.builders, column.at, row),
        }
    }

    /// Sets an output to formatted text, written where it stays: `out.format(self.route, format_args!("{from}-{to}"))`.
    pub fn format(&mut self, column: Out<str>, text: fmt::Arguments<'_>) {
        self.dirty = true;
        let buffer = self.builders.texts[column.at].begin(self.sources.len());
        buffer.write_fmt(text).expect("a vector takes all that is written");
    }

    /// Gives back a row with the outputs that were set, and begins another for the same row. To be followed, in the
    /// end, by [`Outcome::Emitted`], or by [`Outcome::Keep`] for one more.
    ///
    /// ```
    /// # use lake_transform::{testing::Table, *};
    /// struct Words {
    ///     text: In<str>,
    ///     word: Out<str>,
    /// }
    ///
    /// impl RowTransform for Words {
    ///     fn open(_: &Config, plan: &mut Plan) -> Result<Self, String> {
    ///         Ok(Words { text: plan.take("text")?, word: plan.output("word") })
    ///     }
    ///
    ///     fn row(&mut self, row: Row<'_>, out: &mut RowOut) -> Result<Outcome, Reject> {
    ///         for word in row.require(self.text)?.split_whitespace() {
    ///             out.set(self.word, word);
    ///             out.emit();
    ///         }
    ///         Ok(Outcome::Emitted)
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), String> {
    /// let done = Table::new().column("page", [1, 2, 3]).column("text", ["to be", "", "or"]).transform::<Words>(&[])?;
    /// assert_eq!(done.cells("word"), ["to", "be", "or"]);
    /// assert_eq!(done.cells("page"), ["1", "1", "3"]); // columns that are not read follow their row
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn emit(&mut self) {
        self.in_place &= self.sources.len() == self.source as usize;
        self.builders.commit();
        self.sources.push(self.source);
        self.dirty = false;
    }

    #[inline(always)]
    pub(crate) fn begin(&mut self, source: usize) {
        self.source = source as u32;
        self.first = self.sources.len();
    }

    /// Nothing of the row goes on.
    #[inline]
    pub(crate) fn take_back(&mut self) {
        if self.dirty || self.sources.len() > self.first {
            self.take_back_from(self.first);
        }
    }

    /// What was set since the last row was given back does not go on.
    #[inline]
    pub(crate) fn take_back_unfinished(&mut self) {
        if self.dirty {
            self.take_back_from(self.sources.len());
        }
    }

    #[cold]
    fn take_back_from(&mut self, first: usize) {
        self.builders.take_back(first, self.sources.len());
        self.sources.truncate(first);
        self.dirty = false;
    }

    /// The outputs, and the rows that they come from, unless it was one to one.
    pub(crate) fn finish(self, rows: usize) -> (Builders, Option<Vec<u32>>) {
        let one_to_one = self.in_place && self.sources.len() == rows;
        (self.builders, (!one_to_one).then_some(self.sources))
    }
}
