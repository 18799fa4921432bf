//! Columns of numbers: dictionary while it pays, else differences or plain values.

use arrow::datatypes::{ArrowNativeType, ToByteSlice};
use parquet::{basic::Encoding, file::statistics::Statistics, file::statistics::ValueStatistics};

use super::{
    delta,
    dictionary::Dictionary,
    pack::{hybrid, width_of},
};

/// Values after which a dictionary is given up when hardly any came twice.
const FIRST_SAMPLE_VALUES: usize = 512;
/// Values after which a dictionary of nearly as many distinct ones is given up.
pub(super) const SAMPLE_VALUES: usize = 2048;
/// Values and bytes after which a dictionary of long texts is given up for the same reason: copying them costs the most.
pub(super) const LONG_SAMPLE_VALUES: usize = 256;
pub(super) const LONG_SAMPLE_BYTES: usize = 32 * 1024;
/// Values of the first page after which new distinct ones are counted, to foresee how many more will come.
pub(super) const SETTLED_VALUES: usize = 16 * 1024;
/// Bytes of distinct values at which a dictionary takes no more.
pub(super) const DICTIONARY_BYTES_MAX: usize = 1024 * 1024;

/// A number as Parquet stores it.
pub(super) trait Number: Copy + Default + Send + 'static {
    /// Whether differences between values make sense.
    const INTEGER: bool;
    /// Bits that tell values apart.
    fn bits(self) -> u64;
    /// An integer that orders as the value does: for doubles, the total order of IEEE 754.
    fn integer(self) -> i64;
    /// The value with this order.
    fn of_integer(integer: i64) -> Self;
    /// Appends the values as `PLAIN`.
    fn plain(values: &[Self], out: &mut Vec<u8>);
    /// Appends the values as `DELTA_BINARY_PACKED`; only for integers.
    fn delta(values: &[Self], out: &mut Vec<u8>);
    /// Statistics of a column chunk.
    fn statistics(extent: &Extent, distinct: Option<u64>, nulls: u64) -> Statistics;
}

fn le_bytes<const N: usize, T: ArrowNativeType>(values: &[T], to_bytes: impl Fn(T) -> [u8; N], out: &mut Vec<u8>) {
    if cfg!(target_endian = "little") {
        return out.extend_from_slice(values.to_byte_slice());
    }
    let start = out.len();
    out.resize(start + values.len() * N, 0);
    for (bytes, &value) in out[start..].as_chunks_mut::<N>().0.iter_mut().zip(values) {
        *bytes = to_bytes(value);
    }
}

fn bounds<T: Number>(extent: &Extent) -> (Option<T>, Option<T>) {
    (extent.bounds.map(|(least, _)| T::of_integer(least)), extent.bounds.map(|(_, most)| T::of_integer(most)))
}

impl Number for i32 {
    const INTEGER: bool = true;

    fn bits(self) -> u64 {
        u64::from(self as u32)
    }

    fn integer(self) -> i64 {
        i64::from(self)
    }

    fn of_integer(integer: i64) -> Self {
        integer as i32
    }

    fn plain(values: &[Self], out: &mut Vec<u8>) {
        le_bytes(values, i32::to_le_bytes, out);
    }

    fn delta(values: &[Self], out: &mut Vec<u8>) {
        delta::encode(values, out);
    }

    fn statistics(extent: &Extent, distinct: Option<u64>, nulls: u64) -> Statistics {
        let (least, most) = bounds::<Self>(extent);
        ValueStatistics::new(least, most, distinct, Some(nulls), false).with_backwards_compatible_min_max(true).into()
    }
}

impl Number for i64 {
    const INTEGER: bool = true;

    fn bits(self) -> u64 {
        self as u64
    }

    fn integer(self) -> i64 {
        self
    }

    fn of_integer(integer: i64) -> Self {
        integer
    }

    fn plain(values: &[Self], out: &mut Vec<u8>) {
        le_bytes(values, i64::to_le_bytes, out);
    }

    fn delta(values: &[Self], out: &mut Vec<u8>) {
        delta::encode(values, out);
    }

    fn statistics(extent: &Extent, distinct: Option<u64>, nulls: u64) -> Statistics {
        let (least, most) = bounds::<Self>(extent);
        ValueStatistics::new(least, most, distinct, Some(nulls), false).with_backwards_compatible_min_max(true).into()
    }
}

impl Number for f64 {
    const INTEGER: bool = false;

    fn bits(self) -> u64 {
        self.to_bits()
    }

    fn integer(self) -> i64 {
        let bits = self.to_bits() as i64;
        // Negative numbers order against their magnitude.
        bits ^ ((bits >> 63) as u64 >> 1) as i64
    }

    fn of_integer(integer: i64) -> Self {
        f64::from_bits((integer ^ ((integer >> 63) as u64 >> 1) as i64) as u64)
    }

    fn plain(values: &[Self], out: &mut Vec<u8>) {
        le_bytes(values, f64::to_le_bytes, out);
    }

    fn delta(_: &[Self], _: &mut Vec<u8>) {}

    fn statistics(extent: &Extent, distinct: Option<u64>, nulls: u64) -> Statistics {
        let (least, most) = bounds::<Self>(extent);
        ValueStatistics::new(least, most, distinct, Some(nulls), false)
            .with_nan_count(Some(extent.nans))
            .with_backwards_compatible_min_max(true)
            .into()
    }
}

/// Least and greatest value, in the order of [`Number::integer`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extent {
    /// Of the numbers; of NaNs where there is nothing else. `None`: no value at all.
    pub bounds: Option<(i64, i64)>,
    /// Values that are no number.
    pub nans: u64,
    /// Values that are a number.
    numbers: u64,
}

impl Extent {
    fn of<T: Number>(values: &[T]) -> Self {
        let mut lanes = [(i64::MAX, i64::MIN); 4];
        let (fours, rest) = values.as_chunks::<4>();
        let widen = |lane: &mut (i64, i64), value: &T| {
            let value = value.integer();
            *lane = (value.min(lane.0), value.max(lane.1));
        };
        for four in fours {
            lanes.iter_mut().zip(four).for_each(|(lane, value)| widen(lane, value));
        }
        lanes.iter_mut().zip(rest).for_each(|(lane, value)| widen(lane, value));
        let (least, most) = lanes.iter().fold((i64::MAX, i64::MIN), |all, lane| (all.0.min(lane.0), all.1.max(lane.1)));
        if values.is_empty() {
            return Extent::default();
        }
        if !T::INTEGER && (least < f64::NEG_INFINITY.integer() || most > f64::INFINITY.integer()) {
            return Extent::of_doubles_with_nan(values);
        }
        Extent { bounds: Some((least, most)), nans: 0, numbers: values.len() as u64 }
    }

    fn of_doubles_with_nan<T: Number>(values: &[T]) -> Self {
        let numeric = f64::NEG_INFINITY.integer()..=f64::INFINITY.integer();
        values.iter().fold(Extent::default(), |all, value| {
            let key = value.integer();
            let number = numeric.contains(&key);
            let one = Extent { bounds: Some((key, key)), nans: u64::from(!number), numbers: u64::from(number) };
            all.with(one)
        })
    }

    fn with(self, other: Extent) -> Extent {
        let bounds = match (self.numbers > 0, other.numbers > 0) {
            (true, false) => self.bounds,
            (false, true) => other.bounds,
            _ => match (self.bounds, other.bounds) {
                (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
                (a, b) => a.or(b),
            },
        };
        Extent { bounds, nans: self.nans + other.nans, numbers: self.numbers + other.numbers }
    }
}

/// The values of a column of numbers.
pub(super) struct Numbers<T> {
    /// Values of the page in the making, once there is no dictionary.
    plain: Vec<T>,
    /// The same as indices, while there is one.
    indices: Vec<u32>,
    dictionary: Option<Dictionary<T>>,
    /// Whether values still go to the dictionary.
    building: bool,
    /// Distinct values after [`SETTLED_VALUES`], or after the page before.
    settled: (usize, usize),
    pages: usize,
    extent: Extent,
}

impl<T: Number> Numbers<T> {
    pub fn new() -> Self {
        Numbers {
            plain: Vec::new(),
            indices: Vec::new(),
            dictionary: Some(Dictionary::new()),
            building: true,
            settled: (0, 0),
            pages: 0,
            extent: Extent::default(),
        }
    }

    /// Begins the next chunk.
    pub fn reset(&mut self) {
        let mut dictionary = self.dictionary.take().unwrap_or_else(Dictionary::new);
        dictionary.clear();
        let (mut plain, mut indices) = (std::mem::take(&mut self.plain), std::mem::take(&mut self.indices));
        plain.clear();
        indices.clear();
        *self = Numbers { plain, indices, dictionary: Some(dictionary), ..Numbers::new() };
    }

    pub fn memory_bytes(&self) -> usize {
        let dictionary = self.dictionary.as_ref().map_or(0, Dictionary::memory_bytes);
        self.pending_bytes() + dictionary
    }

    /// Bytes that the page in the making will have at most.
    pub fn pending_bytes(&self) -> usize {
        self.plain.len() * size_of::<T>() + self.indices.len() * 4
    }

    /// Distinct values, if all values of the chunk are in the dictionary.
    pub fn distinct(&self) -> Option<&[T]> {
        self.dictionary().filter(|_| self.building)
    }

    /// Values of the page in the making that are in no dictionary.
    pub fn undictionaried(&self) -> &[T] {
        &self.plain
    }

    /// Takes values in.
    pub fn push(&mut self, mut values: &[T]) {
        while self.building && !values.is_empty() {
            let Some(dictionary) = &mut self.dictionary else { break };
            let seen = self.indices.len();
            let stop = match self.pages {
                0 if seen < FIRST_SAMPLE_VALUES => FIRST_SAMPLE_VALUES,
                0 if seen < SAMPLE_VALUES => SAMPLE_VALUES,
                0 if seen < SETTLED_VALUES => SETTLED_VALUES,
                _ => usize::MAX,
            };
            let (now, later) = values.split_at(values.len().min(stop - seen));
            dictionary.encode(now, &mut self.indices);
            values = later;
            let distinct = dictionary.values().len();
            match self.indices.len() {
                FIRST_SAMPLE_VALUES if self.pages == 0 && distinct * 50 > FIRST_SAMPLE_VALUES * 49 => self.abandon(),
                SAMPLE_VALUES if self.pages == 0 && distinct * 10 > SAMPLE_VALUES * 9 => self.abandon(),
                SAMPLE_VALUES if self.pages == 0 => _ = dictionary.use_direct(),
                SETTLED_VALUES if self.pages == 0 => self.settled = (SETTLED_VALUES, distinct),
                _ => {}
            }
        }
        self.plain.extend_from_slice(values);
    }

    /// Gives the dictionary up before any page used it.
    fn abandon(&mut self) {
        if let Some(dictionary) = self.dictionary.take() {
            let values = dictionary.values();
            self.plain.extend(self.indices.drain(..).map(|index| values[index as usize]));
        }
        self.indices = Vec::new();
        self.building = false;
    }

    /// Decides, before the first page with values is written, whether there is to be a dictionary.
    pub fn decide(&mut self) {
        if self.building && self.pages == 0 && !self.indices.is_empty() && !self.pays() {
            self.abandon();
        }
    }

    /// Appends the values of the page in the making, which [`Self::decide`] has seen, and begins the next one.
    pub fn finish_page(&mut self, out: &mut Vec<u8>) -> (Encoding, Extent) {
        if self.indices.is_empty() && self.plain.is_empty() {
            return (Encoding::PLAIN, Extent::default());
        }
        let page = match &self.dictionary {
            Some(dictionary) if self.building => {
                let values = dictionary.values();
                let width = width_of(values.len().saturating_sub(1) as u64).max(1);
                out.push(width as u8);
                hybrid(&self.indices, width, out);
                (Encoding::RLE_DICTIONARY, extent_of_indices(values, &self.indices))
            }
            _ => (plain_or_delta(&self.plain, out), Extent::of(&self.plain)),
        };
        if self.building {
            self.close_if_spent();
        }
        self.plain.clear();
        self.indices.clear();
        self.pages += 1;
        self.extent = self.extent.with(page.1);
        page
    }

    /// Whether the dictionary makes the first page, without the values that are known early, shorter.
    fn pays(&self) -> bool {
        let Some(dictionary) = &self.dictionary else { return false };
        let (values, distinct) = (self.indices.len(), dictionary.values().len());
        if distinct <= 256 && distinct * 4 < values {
            return true;
        }
        let (tail, new) = (values - self.settled.0, distinct - self.settled.1);
        let coded = new * size_of::<T>() + tail * width_of(distinct as u64) as usize / 8;
        let mut otherwise = values * size_of::<T>() / 5 * 4;
        if T::INTEGER {
            let known = dictionary.values();
            let values: Vec<T> = self.indices.iter().map(|&index| known[index as usize]).collect();
            let mut differences = Vec::new();
            T::delta(&values, &mut differences);
            otherwise = otherwise.min(differences.len());
        }
        // In proportion, without floating point.
        coded * values < otherwise * tail
    }

    /// Closes the dictionary once it is full, or once most values are new to it.
    fn close_if_spent(&mut self) {
        let Some(dictionary) = &mut self.dictionary else { return };
        let distinct = dictionary.values().len();
        let new = if self.pages == 0 { 0 } else { distinct - self.settled.1 };
        self.settled.1 = distinct;
        if size_of_val(dictionary.values()) >= DICTIONARY_BYTES_MAX || new * 10 > self.indices.len() * 7 {
            dictionary.seal();
            self.building = false;
            self.indices = Vec::new();
        }
    }

    /// The values of the dictionary page, if pages use it.
    pub fn dictionary(&self) -> Option<&[T]> {
        self.dictionary.as_ref().filter(|_| self.pages > 0).map(Dictionary::values)
    }

    pub fn statistics(&self, nulls: u64) -> Statistics {
        let distinct = self.distinct().filter(|_| self.extent.nans == 0).map(|values| values.len() as u64);
        T::statistics(&self.extent, distinct, nulls)
    }
}

/// Appends integers as differences where that is shorter, else plain.
fn plain_or_delta<T: Number>(values: &[T], out: &mut Vec<u8>) -> Encoding {
    if T::INTEGER {
        let start = out.len();
        T::delta(values, out);
        if out.len() - start < size_of_val(values) / 20 * 19 {
            return Encoding::DELTA_BINARY_PACKED;
        }
        out.truncate(start);
    }
    T::plain(values, out);
    Encoding::PLAIN
}

fn extent_of_indices<T: Number>(values: &[T], indices: &[u32]) -> Extent {
    if values.len() > indices.len() / 2 {
        return Extent::of(&indices.iter().map(|&index| values[index as usize]).collect::<Vec<_>>());
    }
    let mut seen = vec![0_u8; values.len()];
    indices.iter().for_each(|&index| seen[index as usize] = 1);
    let used: Vec<T> = values.iter().zip(&seen).filter(|(_, seen)| **seen == 1).map(|(value, _)| *value).collect();
    let extent = Extent::of(&used);
    if extent.nans == 0 {
        return extent;
    }
    let nan = |index: &&u32| Extent::of(&values[**index as usize..][..1]).nans == 1;
    Extent { nans: indices.iter().filter(nan).count() as u64, ..extent }
}
