//! Columns of a batch, as they cross the border: laid out as Apache Arrow lays them out.

/// The values of a column, one a row. Where a row is null its value is not looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// One bit a row, eight to the byte, the least significant first.
    Boolean(Vec<u8>),
    /// One number a row.
    Int32(Vec<i32>),
    /// One number a row.
    Int64(Vec<i64>),
    /// One number a row.
    Double(Vec<f64>),
    /// Two halves a row of a 128-bit number in two's complement: the low one, then the high one.
    Decimal(Vec<u64>),
    /// Days since 1970-01-01.
    Date(Vec<i32>),
    /// Microseconds since 1970-01-01T00:00:00 UTC.
    Timestamp(Vec<i64>),
    /// Text.
    String(Text),
}

/// Strings, one a row: row `i` is the bytes from `offsets[i]` to `offsets[i + 1]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text {
    /// One more than there are rows, beginning with 0.
    pub offsets: Vec<i32>,
    /// UTF-8, of all rows together.
    pub bytes: Vec<u8>,
}

/// A column of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// One bit a row, set where there is a value. `None` where no row is null.
    pub validity: Option<Vec<u8>>,
    /// The values.
    pub values: Values,
}

/// Bytes that hold `rows` bits.
pub(crate) const fn bytes_of_bits(rows: usize) -> usize {
    rows.div_ceil(8)
}

#[inline(always)]
pub(crate) fn bit(bits: &[u8], at: usize) -> bool {
    bits[at / 8] >> (at % 8) & 1 == 1
}

/// Bits that are set, among the first `rows`.
pub(crate) fn count_bits(bits: &[u8], rows: usize) -> usize {
    let whole: usize = bits[..rows / 8].iter().map(|byte| byte.count_ones() as usize).sum();
    match rows % 8 {
        0 => whole,
        rest => whole + (bits[rows / 8] & ((1 << rest) - 1)).count_ones() as usize,
    }
}

fn gather_bits(bits: &[u8], rows: &[u32]) -> Vec<u8> {
    let mut gathered = vec![0; bytes_of_bits(rows.len())];
    for (to, &from) in rows.iter().enumerate() {
        gathered[to / 8] |= u8::from(bit(bits, from as usize)) << (to % 8);
    }
    gathered
}

fn gather<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
    rows.iter().map(|&row| values[row as usize]).collect()
}

impl Values {
    /// How many rows there are; of bits, how many there is room for.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Values::Boolean(bits) => bits.len() * 8,
            Values::Int32(values) | Values::Date(values) => values.len(),
            Values::Int64(values) | Values::Timestamp(values) => values.len(),
            Values::Double(values) => values.len(),
            Values::Decimal(halves) => halves.len() / 2,
            Values::String(text) => text.offsets.len().saturating_sub(1),
        }
    }

    fn gather(&self, rows: &[u32]) -> Values {
        match self {
            Values::Boolean(bits) => Values::Boolean(gather_bits(bits, rows)),
            Values::Int32(values) => Values::Int32(gather(values, rows)),
            Values::Int64(values) => Values::Int64(gather(values, rows)),
            Values::Double(values) => Values::Double(gather(values, rows)),
            Values::Date(values) => Values::Date(gather(values, rows)),
            Values::Timestamp(values) => Values::Timestamp(gather(values, rows)),
            Values::Decimal(halves) => {
                let pairs = rows.iter().flat_map(|&row| [halves[row as usize * 2], halves[row as usize * 2 + 1]]);
                Values::Decimal(pairs.collect())
            }
            Values::String(text) => Values::String(text.gather(rows)),
        }
    }
}

impl Text {
    fn gather(&self, rows: &[u32]) -> Text {
        let mut gathered = Text { offsets: Vec::with_capacity(rows.len() + 1), bytes: Vec::new() };
        gathered.offsets.push(0);
        for &row in rows {
            let (start, end) = (self.offsets[row as usize], self.offsets[row as usize + 1]);
            gathered.bytes.extend_from_slice(&self.bytes[start as usize..end as usize]);
            gathered.offsets.push(gathered.bytes.len() as i32);
        }
        gathered
    }
}

impl Column {
    /// The column with those of its rows, in that order.
    pub(crate) fn gather(&self, rows: &[u32]) -> Column {
        let validity = self.validity.as_deref().map(|bits| gather_bits(bits, rows));
        let validity = validity.filter(|bits| count_bits(bits, rows.len()) < rows.len());
        Column { validity, values: self.values.gather(rows) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_beyond_the_last_row_do_not_count() {
        assert_eq!(count_bits(&[0b1111_1111, 0b1111_1111], 11), 11);
        assert_eq!(count_bits(&[0b0000_0101, 0b1111_1000], 11), 2);
        assert_eq!(count_bits(&[0xff], 8), 8);
        assert_eq!(count_bits(&[], 0), 0);
    }

    #[test]
    fn rows_are_gathered_with_their_nulls_and_texts() {
        let text = Text { offsets: vec![0, 1, 1, 3], bytes: b"abc".to_vec() };
        let column = Column { validity: Some(vec![0b101]), values: Values::String(text) };
        let gathered = column.gather(&[2, 2, 1, 0]);
        assert_eq!(gathered.validity, Some(vec![0b1011]));
        let text = Text { offsets: vec![0, 2, 4, 4, 5], bytes: b"bcbca".to_vec() };
        assert_eq!(gathered.values, Values::String(text));
        assert_eq!(column.gather(&[2, 0]).validity, None, "none of these rows is null");
        let decimals = Column { validity: None, values: Values::Decimal(vec![1, 2, 3, 4]) };
        assert_eq!(decimals.gather(&[1, 0]).values, Values::Decimal(vec![3, 4, 1, 2]));
    }
}
