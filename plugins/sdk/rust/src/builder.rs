//! Columns of an output while they are written. Rows may be written in any order up to the next one, written again,
//! and taken back; a row that is not written is null.

use crate::{
    column::{Column, Text, Values, bytes_of_bits, count_bits},
    types::Type,
};

/// Which rows have a value.
#[derive(Debug, Default)]
struct Valid(Vec<u8>);

impl Valid {
    #[inline(always)]
    fn set(&mut self, row: usize) {
        if row / 8 >= self.0.len() {
            self.grow(row);
        }
        self.0[row / 8] |= 1 << (row % 8);
    }

    #[cold]
    fn grow(&mut self, row: usize) {
        self.0.resize((row / 8 + 1) * 2, 0);
    }

    fn unset(&mut self, row: usize) {
        if let Some(byte) = self.0.get_mut(row / 8) {
            *byte &= !(1 << (row % 8));
        }
    }

    fn put(&mut self, validity: Option<Vec<u8>>, rows: usize) {
        self.0 = validity.unwrap_or_else(|| vec![0xff; bytes_of_bits(rows)]);
    }

    /// Absent where no row is null.
    fn finish(mut self, rows: usize) -> Option<Vec<u8>> {
        self.0.resize(bytes_of_bits(rows), 0);
        (count_bits(&self.0, rows) < rows).then_some(self.0)
    }
}

/// Values that lie one a row in a vector.
#[derive(Debug, Default)]
pub struct Fixed<T> {
    values: Vec<T>,
    valid: Valid,
    /// The column was given as a whole, with that many rows.
    given: Option<usize>,
}

impl<T: Copy + Default> Fixed<T> {
    fn reserve(&mut self, rows: usize) {
        self.values = vec![T::default(); rows];
        self.valid = Valid(vec![0; bytes_of_bits(rows)]);
    }

    #[inline(always)]
    pub(crate) fn set(&mut self, row: usize, value: T) {
        if row >= self.values.len() {
            self.grow(row);
        }
        self.values[row] = value;
        self.valid.set(row);
    }

    #[cold]
    fn grow(&mut self, row: usize) {
        self.values.resize((row + 1) * 2, T::default());
    }

    pub(crate) fn unset(&mut self, row: usize) {
        self.valid.unset(row);
    }

    pub(crate) fn put(&mut self, values: Vec<T>, validity: Option<Vec<u8>>) {
        self.given = Some(values.len());
        self.valid.put(validity, values.len());
        self.values = values;
    }

    fn finish(mut self, rows: usize) -> Result<(Vec<T>, Option<Vec<u8>>), String> {
        check_given(self.given, rows, &self.valid)?;
        self.values.resize(rows, T::default());
        Ok((self.values, self.valid.finish(rows)))
    }
}

/// Values that are bits.
#[derive(Debug, Default)]
pub struct Bits {
    values: Valid,
    valid: Valid,
    given: Option<usize>,
}

impl Bits {
    fn reserve(&mut self, rows: usize) {
        self.values = Valid(vec![0; bytes_of_bits(rows)]);
        self.valid = Valid(vec![0; bytes_of_bits(rows)]);
    }

    #[inline(always)]
    pub(crate) fn set(&mut self, row: usize, value: bool) {
        if value {
            self.values.set(row);
        } else {
            self.values.unset(row);
        }
        self.valid.set(row);
    }

    pub(crate) fn unset(&mut self, row: usize) {
        self.values.unset(row);
        self.valid.unset(row);
    }

    pub(crate) fn put(&mut self, bits: Vec<u8>, validity: Option<Vec<u8>>) {
        self.given = Some(bits.len() * 8);
        self.valid.put(validity, bits.len() * 8);
        self.values = Valid(bits);
    }

    fn finish(mut self, rows: usize) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
        let exact = self.given.filter(|&bits| bits.div_ceil(8) != bytes_of_bits(rows)).or(self.given.map(|_| rows));
        check_given(exact, rows, &self.valid)?;
        self.values.0.resize(bytes_of_bits(rows), 0);
        Ok((self.values.0, self.valid.finish(rows)))
    }
}

/// Values that are strings: those of the rows before `offsets`' last, then what the next row has been set to.
#[derive(Debug)]
pub struct Strings {
    offsets: Vec<i32>,
    bytes: Vec<u8>,
    valid: Valid,
    given: Option<usize>,
}

impl Default for Strings {
    fn default() -> Self {
        Strings { offsets: vec![0], bytes: Vec::new(), valid: Valid::default(), given: None }
    }
}

/// Appends a string. In WASM a copy of unknown length is a call to the host, which costs more than most strings have
/// bytes; short ones are written as two words that may overlap.
#[inline(always)]
fn append(bytes: &mut Vec<u8>, text: &[u8]) {
    fn overlapping<const N: usize>(bytes: &mut Vec<u8>, text: &[u8]) {
        let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) else { return };
        let end = bytes.len() + text.len();
        bytes.extend_from_slice(first);
        bytes.extend_from_slice(first);
        bytes[end - N..end].copy_from_slice(last);
        bytes.truncate(end);
    }
    match text.len() {
        0 => {}
        1..=3 => text.iter().for_each(|&byte| bytes.push(byte)),
        4..=8 => overlapping::<4>(bytes, text),
        9..=16 => overlapping::<8>(bytes, text),
        _ => bytes.extend_from_slice(text),
    }
}

/// Bytes a string is taken to have, until it is known.
const STRING_BYTES_GUESS: usize = 8;

impl Strings {
    fn reserve(&mut self, rows: usize) {
        self.offsets.reserve(rows);
        self.bytes.reserve(rows * STRING_BYTES_GUESS);
        self.valid = Valid(vec![0; bytes_of_bits(rows)]);
    }

    #[inline(always)]
    pub(crate) fn set(&mut self, row: usize, text: &str) {
        append(self.begin(row), text.as_bytes());
    }

    /// The buffer, to which the string of the next row is to be appended.
    #[inline(always)]
    pub(crate) fn begin(&mut self, row: usize) -> &mut Vec<u8> {
        self.valid.set(row);
        self.bytes.truncate(self.offsets[row] as usize);
        &mut self.bytes
    }

    pub(crate) fn unset(&mut self, row: usize) {
        self.bytes.truncate(self.offsets[row] as usize);
        self.valid.unset(row);
    }

    /// The next row is as it is.
    #[inline(always)]
    fn commit(&mut self) {
        self.offsets.push(self.bytes.len() as i32);
    }

    fn take_back(&mut self, first: usize) {
        self.offsets.truncate(first + 1);
        self.bytes.truncate(self.offsets[first] as usize);
    }

    pub(crate) fn put(&mut self, text: Text, validity: Option<Vec<u8>>) {
        let rows = text.offsets.len().saturating_sub(1);
        self.given = Some(rows);
        self.valid.put(validity, rows);
        self.offsets = text.offsets;
        self.bytes = text.bytes;
    }

    fn finish(mut self, rows: usize) -> Result<(Text, Option<Vec<u8>>), String> {
        if i32::try_from(self.bytes.len()).is_err() {
            return Err(format!("{} bytes of text in one batch: there may be 2 GiB", self.bytes.len()));
        }
        check_given(self.given, rows, &self.valid)?;
        // Never written: all null.
        self.offsets.resize(rows + 1, self.bytes.len() as i32);
        Ok((Text { offsets: self.offsets, bytes: self.bytes }, self.valid.finish(rows)))
    }
}

fn check_given(given: Option<usize>, rows: usize, valid: &Valid) -> Result<(), String> {
    match given {
        Some(given) if given != rows => Err(format!("{given} values for {rows} rows")),
        Some(_) if valid.0.len() < bytes_of_bits(rows) => {
            Err(format!("{} bytes of validity for {rows} rows", valid.0.len()))
        }
        _ => Ok(()),
    }
}

/// The outputs by kind: a handle's `at` is a place in one of these lists.
#[derive(Debug, Default)]
pub struct Builders {
    pub(crate) i32s: Vec<Fixed<i32>>,
    pub(crate) i64s: Vec<Fixed<i64>>,
    pub(crate) f64s: Vec<Fixed<f64>>,
    pub(crate) bools: Vec<Bits>,
    /// With the scale of each.
    pub(crate) decimals: Vec<(Fixed<[u64; 2]>, u8)>,
    pub(crate) texts: Vec<Strings>,
}

impl Builders {
    /// One more, for values of that type; its place in its list.
    pub(crate) fn add(&mut self, data_type: Type) -> usize {
        fn push<T>(list: &mut Vec<T>, builder: T) -> usize {
            list.push(builder);
            list.len() - 1
        }
        match data_type {
            Type::Boolean => push(&mut self.bools, Bits::default()),
            Type::Int32 | Type::Date => push(&mut self.i32s, Fixed::default()),
            Type::Int64 | Type::Timestamp => push(&mut self.i64s, Fixed::default()),
            Type::Double => push(&mut self.f64s, Fixed::default()),
            Type::Decimal { scale, .. } => push(&mut self.decimals, (Fixed::default(), scale)),
            Type::String => push(&mut self.texts, Strings::default()),
        }
    }

    /// Makes room for that many rows at once.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.i32s.iter_mut().for_each(|builder| builder.reserve(rows));
        self.i64s.iter_mut().for_each(|builder| builder.reserve(rows));
        self.f64s.iter_mut().for_each(|builder| builder.reserve(rows));
        self.bools.iter_mut().for_each(|builder| builder.reserve(rows));
        self.decimals.iter_mut().for_each(|(builder, _)| builder.reserve(rows));
        self.texts.iter_mut().for_each(|builder| builder.reserve(rows));
    }

    #[inline(always)]
    pub(crate) fn commit(&mut self) {
        for builder in &mut self.texts {
            builder.commit();
        }
    }

    /// Rows from `first` on, up to and with `last`, are as if never written; `last` is not committed.
    pub(crate) fn take_back(&mut self, first: usize, last: usize) {
        self.texts.iter_mut().for_each(|builder| builder.take_back(first));
        for row in first..=last {
            self.i32s.iter_mut().for_each(|builder| builder.unset(row));
            self.i64s.iter_mut().for_each(|builder| builder.unset(row));
            self.f64s.iter_mut().for_each(|builder| builder.unset(row));
            self.bools.iter_mut().for_each(|builder| builder.unset(row));
            self.decimals.iter_mut().for_each(|(builder, _)| builder.unset(row));
            self.texts.iter_mut().for_each(|builder| builder.valid.unset(row));
        }
    }

    /// The column of an output.
    pub(crate) fn finish(&mut self, data_type: Type, at: usize, rows: usize) -> Result<Column, String> {
        use std::mem::take;
        let (values, validity) = match data_type {
            Type::Boolean => take(&mut self.bools[at]).finish(rows).map(|(bits, valid)| (Values::Boolean(bits), valid)),
            Type::Int32 => take(&mut self.i32s[at]).finish(rows).map(|(values, valid)| (Values::Int32(values), valid)),
            Type::Date => take(&mut self.i32s[at]).finish(rows).map(|(values, valid)| (Values::Date(values), valid)),
            Type::Int64 => take(&mut self.i64s[at]).finish(rows).map(|(values, valid)| (Values::Int64(values), valid)),
            Type::Timestamp => {
                take(&mut self.i64s[at]).finish(rows).map(|(values, valid)| (Values::Timestamp(values), valid))
            }
            Type::Double => {
                take(&mut self.f64s[at]).finish(rows).map(|(values, valid)| (Values::Double(values), valid))
            }
            Type::Decimal { .. } => {
                let finished = take(&mut self.decimals[at].0).finish(rows);
                finished.map(|(values, valid)| (Values::Decimal(values.into_flattened()), valid))
            }
            Type::String => take(&mut self.texts[at]).finish(rows).map(|(text, valid)| (Values::String(text), valid)),
        }?;
        Ok(Column { validity, values })
    }
}
