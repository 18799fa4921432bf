//! Columns of a batch, ready to be read: what could be wrong with them has been looked at.

use crate::{
    column::{Column, Values, bit, bytes_of_bits},
    plan::{Plan, ViewOf},
    value::Kind,
};

/// Values that lie in a slice.
#[derive(Debug, Clone, Copy)]
pub struct View<'a, V: ?Sized> {
    pub(crate) values: &'a V,
    pub(crate) validity: Option<&'a [u8]>,
}

impl<V: ?Sized> View<'_, V> {
    #[inline(always)]
    fn is_null(&self, row: usize) -> bool {
        self.validity.is_some_and(|validity| !bit(validity, row))
    }
}

impl<T: Copy> View<'_, [T]> {
    #[inline(always)]
    pub(crate) fn get(&self, row: usize) -> Option<T> {
        if self.is_null(row) { None } else { Some(self.values[row]) }
    }
}

/// Values that are bits.
#[derive(Debug, Clone, Copy)]
pub struct BitView<'a> {
    pub(crate) values: &'a [u8],
    pub(crate) validity: Option<&'a [u8]>,
}

impl BitView<'_> {
    #[inline(always)]
    pub(crate) fn get(&self, row: usize) -> Option<bool> {
        let is_null = self.validity.is_some_and(|validity| !bit(validity, row));
        if is_null { None } else { Some(bit(self.values, row)) }
    }
}

/// The strings of a column.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    offsets: &'a [i32],
    text: &'a str,
}

impl<'a> Texts<'a> {
    /// The string of a row; empty where it is null.
    #[inline(always)]
    pub fn get(&self, row: usize) -> &'a str {
        let place = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        self.text.get(place).unwrap_or_else(|| not_text(row))
    }

    /// Where each row's string begins, and after the last row the length of [`Texts::text`].
    pub fn offsets(&self) -> &'a [i32] {
        self.offsets
    }

    /// The strings of all rows, one after the other.
    pub fn text(&self) -> &'a str {
        self.text
    }
}

#[cold]
#[inline(never)]
fn not_text(row: usize) -> &'static str {
    panic!("the offsets of row {row} are not those of a string")
}

/// Values that are strings.
#[derive(Debug, Clone, Copy)]
pub struct TextView<'a> {
    pub(crate) values: Texts<'a>,
    pub(crate) validity: Option<&'a [u8]>,
}

impl<'a> TextView<'a> {
    #[inline(always)]
    pub(crate) fn get(&self, row: usize) -> Option<&'a str> {
        let is_null = self.validity.is_some_and(|validity| !bit(validity, row));
        if is_null { None } else { Some(self.values.get(row)) }
    }
}

/// Columns of 32 bits that are read as wider numbers.
#[derive(Debug, Default)]
pub struct Widened {
    i64s: Vec<Vec<i64>>,
    f64s: Vec<Vec<f64>>,
}

impl Widened {
    pub(crate) fn new(plan: &Plan, columns: &[Column]) -> Widened {
        let mut widened = Widened::default();
        for view in &plan.views {
            let Some(Values::Int32(values)) = columns.get(view.column).map(|column| &column.values) else { continue };
            match view.kind {
                Kind::I64OfI32 => widened.i64s.push(values.iter().map(|&value| value.into()).collect()),
                Kind::F64OfI32 => widened.f64s.push(values.iter().map(|&value| value.into()).collect()),
                _ => {}
            }
        }
        widened
    }
}

/// The columns of a batch by kind: a handle's `at` is a place in one of these lists.
#[derive(Debug, Default)]
pub struct Views<'a> {
    pub(crate) i32s: Vec<View<'a, [i32]>>,
    pub(crate) i64s: Vec<View<'a, [i64]>>,
    pub(crate) f64s: Vec<View<'a, [f64]>>,
    pub(crate) bools: Vec<BitView<'a>>,
    /// With the scale of each.
    pub(crate) decimals: Vec<(View<'a, [[u64; 2]]>, u8)>,
    pub(crate) texts: Vec<TextView<'a>>,
}

impl<'a> Views<'a> {
    /// # Errors
    /// The columns are not those of the plan, or break the contract.
    pub(crate) fn new(
        plan: &Plan,
        rows: usize,
        columns: &'a [Column],
        widened: &'a Widened,
    ) -> Result<Views<'a>, String> {
        if columns.len() != plan.reads.len() {
            return Err(format!("{} columns came where {} are read", columns.len(), plan.reads.len()));
        }
        for (column, read) in columns.iter().zip(&plan.reads) {
            check(column, rows).map_err(|message| format!("column {}: {message}", read.field.name))?;
        }
        let mut views = Views::default();
        let (mut i64s, mut f64s) = (widened.i64s.iter(), widened.f64s.iter());
        for view in &plan.views {
            let column = &columns[view.column];
            let validity = column.validity.as_deref();
            match (view.kind, &column.values) {
                (Kind::Bool, Values::Boolean(values)) => views.bools.push(BitView { values, validity }),
                (Kind::I32, Values::Int32(values) | Values::Date(values)) => views.i32s.push(View { values, validity }),
                (Kind::I64, Values::Int64(values) | Values::Timestamp(values)) => {
                    views.i64s.push(View { values, validity });
                }
                (Kind::I64OfI32, Values::Int32(_)) => {
                    views.i64s.extend(i64s.next().map(|values| View { values: values.as_slice(), validity }));
                }
                (Kind::F64, Values::Double(values)) => views.f64s.push(View { values, validity }),
                (Kind::F64OfI32, Values::Int32(_)) => {
                    views.f64s.extend(f64s.next().map(|values| View { values: values.as_slice(), validity }));
                }
                (Kind::Decimal, Values::Decimal(halves)) => {
                    let values = halves.as_chunks().0;
                    views.decimals.push((View { values, validity }, view.scale));
                }
                (Kind::Text, Values::String(text)) => {
                    let message = |error| format!("column {}: {error}", plan.reads[view.column].field.name);
                    let whole = std::str::from_utf8(&text.bytes).map_err(message)?;
                    views.texts.push(TextView { values: Texts { offsets: &text.offsets, text: whole }, validity });
                }
                _ => return Err(not_as_planned(plan, view)),
            }
        }
        Ok(views)
    }
}

fn not_as_planned(plan: &Plan, view: &ViewOf) -> String {
    let field = &plan.reads[view.column].field;
    format!("column {}: the values that came are not {}", field.name, field.data_type)
}

fn check(column: &Column, rows: usize) -> Result<(), String> {
    let there = column.values.rows();
    let enough = match &column.values {
        Values::Boolean(_) => there >= rows,
        Values::String(text) => there == rows && text.offsets.len() == rows + 1,
        _ => there == rows,
    };
    if !enough {
        return Err(format!("{there} values came for {rows} rows"));
    }
    match &column.validity {
        Some(bits) if bits.len() < bytes_of_bits(rows) => {
            Err(format!("{} bytes of validity came for {rows} rows", bits.len()))
        }
        _ => Ok(()),
    }
}
