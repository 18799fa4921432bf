//! A column of a row group in the making: arrays in, a column chunk out.

use arrow::{
    array::{Array, ArrowPrimitiveType, AsArray, PrimitiveArray, StringArray},
    buffer::NullBuffer,
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    },
};
use parquet::{
    basic::{Encoding as PageEncoding, Type},
    bloom_filter::Sbbf,
    data_type::{ByteArray, FixedLenByteArray},
    errors::{ParquetError, Result},
    file::statistics::{Statistics, ValueStatistics},
};

use super::{
    booleans::Booleans,
    chunk::{Chunk, ChunkEnd, DataPage, EncodedChunk, PageBounds, Press},
    encoding::{ColumnPlan, Encoding},
    levels::Levels,
    numbers::{Extent, Number, Numbers},
    page::Compressor,
    statistics::{lower_bound, upper_bound},
    store::Store,
    texts::{Bounds, Bytes, Texts},
};

/// Distinct values that a bloom filter is made for; it is folded to what the chunk has.
const BLOOM_VALUES: u64 = 1024 * 1024;
/// Share of lookups for values that are not there which a bloom filter lets pass.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Bytes of a buffer that is kept for the next row group; a page of texts has 1 MiB, unless one text has more.
const KEPT_BUFFER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What the columns of a row group share while they encode one after the other.
pub(super) struct Workshop {
    /// Body of the page.
    body: Vec<u8>,
    press: Press,
}

impl Workshop {
    pub fn new(encoding: &Encoding) -> Result<Self> {
        let compressor = Compressor::new(encoding.page_codec())?;
        let store = Store::new(encoding.pieces());
        Ok(Workshop { body: Vec::new(), press: Press { compressor, compressed: Vec::new(), store } })
    }

    /// Buffers that a page of very long texts has made large are not kept.
    pub fn let_go_of_large(&mut self) {
        for buffer in [&mut self.body, &mut self.press.compressed] {
            if buffer.capacity() > KEPT_BUFFER_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
    }

    /// The pages so far; those of another row group come next.
    pub fn pages(&mut self, encoding: &Encoding) -> Store {
        std::mem::replace(&mut self.press.store, Store::new(encoding.pieces()))
    }
}

enum Values {
    Booleans(Booleans),
    Int32(Numbers<i32>),
    Int64(Numbers<i64>),
    Doubles(Numbers<f64>),
    Texts(Texts),
}

/// One column of a row group in the making.
pub(super) struct ColumnEncoder {
    levels: Levels,
    values: Values,
    chunk: Chunk,
    bloom_filter: Option<Sbbf>,
}

/// The values of an array that are not null, as one piece.
fn dense<T: Copy>(values: &[T], nulls: &NullBuffer) -> Vec<T> {
    let mut dense = Vec::with_capacity(values.len() - nulls.null_count());
    nulls.valid_slices().for_each(|(start, end)| dense.extend_from_slice(&values[start..end]));
    dense
}

impl ColumnEncoder {
    pub fn new(plan: &ColumnPlan) -> Result<Self> {
        let values = match plan.column.physical_type() {
            Type::BOOLEAN => Values::Booleans(Booleans::default()),
            Type::INT32 => Values::Int32(Numbers::new()),
            Type::INT64 => Values::Int64(Numbers::new()),
            Type::DOUBLE => Values::Doubles(Numbers::new()),
            Type::BYTE_ARRAY => Values::Texts(Texts::new(Bytes::Text)),
            Type::FIXED_LEN_BYTE_ARRAY => Values::Texts(Texts::new(Bytes::Decimal)),
            Type::INT96 | Type::FLOAT => return Err(unexpected(&plan.data_type)),
        };
        let (levels, chunk) = (Levels::default(), Chunk::new(&plan.column));
        Ok(ColumnEncoder { levels, values, chunk, bloom_filter: bloom_filter(plan)? })
    }

    /// Memory that its rows take, tables included. What buffers hold ready for more is not counted: where row groups end
    /// must not depend on what was encoded before.
    pub fn memory_bytes(&self) -> usize {
        let values = match &self.values {
            Values::Booleans(values) => values.memory_bytes(),
            Values::Int32(values) => values.memory_bytes(),
            Values::Int64(values) => values.memory_bytes(),
            Values::Doubles(values) => values.memory_bytes(),
            Values::Texts(values) => values.memory_bytes(),
        };
        let filter = self.bloom_filter.as_ref().map_or(0, |filter| filter.num_blocks() * 32);
        values + self.levels.memory_bytes() + self.chunk.bytes() + filter
    }

    /// Bytes of finished pages and, at most, of the one in the making.
    pub fn encoded_bytes(&self) -> usize {
        let pending = match &self.values {
            Values::Booleans(values) => values.pending_bytes(),
            Values::Int32(values) => values.pending_bytes(),
            Values::Int64(values) => values.pending_bytes(),
            Values::Doubles(values) => values.pending_bytes(),
            Values::Texts(values) => values.pending_bytes(),
        };
        self.chunk.bytes() + pending
    }

    /// Takes an array in; pages end where their rows or bytes say, wherever arrays do.
    pub fn push(
        &mut self,
        array: &dyn Array,
        plan: &ColumnPlan,
        encoding: &Encoding,
        workshop: &mut Workshop,
    ) -> Result<()> {
        if *array.data_type() != plan.data_type {
            return Err(unexpected(array.data_type()));
        }
        match (&plan.data_type, plan.column.physical_type()) {
            (DataType::Boolean, _) => {
                let array = array.as_boolean();
                self.pages(array.len(), encoding, workshop, |column, from, rows| {
                    let piece = array.slice(from, rows);
                    column.levels.push(rows, piece.nulls());
                    if let Values::Booleans(values) = &mut column.values {
                        values.push(&piece);
                    }
                })
            }
            (DataType::Int32, _) => self.push_numbers(array.as_primitive::<Int32Type>(), encoding, workshop),
            (DataType::Date32, _) => self.push_numbers(array.as_primitive::<Date32Type>(), encoding, workshop),
            (DataType::Int64, _) => self.push_numbers(array.as_primitive::<Int64Type>(), encoding, workshop),
            (DataType::Timestamp(TimeUnit::Microsecond, _), _) => {
                self.push_numbers(array.as_primitive::<TimestampMicrosecondType>(), encoding, workshop)
            }
            (DataType::Float64, _) => self.push_numbers(array.as_primitive::<Float64Type>(), encoding, workshop),
            (DataType::Decimal128(..), Type::INT32) => {
                let array = array.as_primitive::<Decimal128Type>();
                let array: PrimitiveArray<Int32Type> = narrow(array, i32::try_from)?;
                self.push_numbers(&array, encoding, workshop)
            }
            (DataType::Decimal128(..), Type::INT64) => {
                let array = array.as_primitive::<Decimal128Type>();
                let array: PrimitiveArray<Int64Type> = narrow(array, i64::try_from)?;
                self.push_numbers(&array, encoding, workshop)
            }
            (DataType::Decimal128(..), _) => {
                let length = usize::try_from(plan.column.type_length()).unwrap_or(size_of::<i128>());
                self.push_decimals(array.as_primitive::<Decimal128Type>(), length, encoding, workshop)
            }
            (DataType::Utf8, _) => self.push_texts(array.as_string(), encoding, workshop),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Calls `push` with (first row, rows) so that no page has too many, and ends the pages.
    fn pages(
        &mut self,
        rows: usize,
        encoding: &Encoding,
        workshop: &mut Workshop,
        mut push: impl FnMut(&mut Self, usize, usize),
    ) -> Result<()> {
        let mut from = 0;
        while from < rows {
            let piece = (rows - from).min(encoding.page_rows() - self.levels.rows());
            push(self, from, piece);
            from += piece;
            if self.levels.rows() == encoding.page_rows() {
                self.finish_page(workshop)?;
            }
        }
        Ok(())
    }

    fn push_numbers<A: ArrowPrimitiveType>(
        &mut self,
        array: &PrimitiveArray<A>,
        encoding: &Encoding,
        workshop: &mut Workshop,
    ) -> Result<()>
    where
        A::Native: Number + InColumn,
    {
        self.pages(array.len(), encoding, workshop, |column, from, rows| {
            let values = &array.values()[from..from + rows];
            let nulls = array.nulls().map(|nulls| nulls.slice(from, rows)).filter(|nulls| nulls.null_count() > 0);
            column.levels.push(rows, nulls.as_ref());
            if let Some(numbers) = A::Native::numbers(&mut column.values) {
                match &nulls {
                    Some(nulls) => numbers.push(&dense(values, nulls)),
                    None => numbers.push(values),
                }
            }
        })
    }

    fn push_decimals(
        &mut self,
        array: &PrimitiveArray<Decimal128Type>,
        length: usize,
        encoding: &Encoding,
        workshop: &mut Workshop,
    ) -> Result<()> {
        self.pages(array.len(), encoding, workshop, |column, from, rows| {
            let piece = array.slice(from, rows);
            column.levels.push(rows, piece.nulls());
            let mut data = Vec::with_capacity((rows - piece.null_count()) * length);
            let bytes = piece.iter().flatten().map(i128::to_be_bytes);
            bytes.for_each(|bytes| data.extend_from_slice(&bytes[size_of::<i128>() - length..]));
            let offsets: Vec<i32> = (0..=rows - piece.null_count()).map(|at| (at * length) as i32).collect();
            if let Values::Texts(texts) = &mut column.values {
                texts.push(&offsets, &data);
            }
        })
    }

    fn push_texts(&mut self, array: &StringArray, encoding: &Encoding, workshop: &mut Workshop) -> Result<()> {
        let (mut from, offsets, data) = (0, array.value_offsets(), array.value_data());
        while from < array.len() {
            let rows = (array.len() - from).min(encoding.page_rows() - self.levels.rows());
            let Values::Texts(texts) = &mut self.values else { return Err(unexpected(array.data_type())) };
            let room = encoding.page_text_bytes().saturating_sub(texts.page_bytes());
            let nulls = array.nulls().map(|nulls| nulls.slice(from, rows)).filter(|nulls| nulls.null_count() > 0);
            let ends = &offsets[from..=from + rows];
            let taken = match &nulls {
                None => {
                    let within = |end: &i32| ((end - ends[0]) as usize) < room;
                    (ends[1..].partition_point(within) + 1).min(rows)
                }
                Some(nulls) => rows_within(ends, nulls, room),
            };
            match nulls.map(|nulls| nulls.slice(0, taken)) {
                None => {
                    self.levels.push(taken, None);
                    texts.push(&ends[..=taken], data);
                }
                Some(nulls) => {
                    self.levels.push(taken, Some(&nulls));
                    let (mut packed, mut packed_ends) = (Vec::new(), vec![0]);
                    for (start, end) in nulls.valid_slices() {
                        let shift = packed.len() as i32 - ends[start];
                        packed.extend_from_slice(&data[ends[start] as usize..ends[end] as usize]);
                        packed_ends.extend(ends[start + 1..=end].iter().map(|end| end + shift));
                    }
                    texts.push(&packed_ends, &packed);
                }
            }
            from += taken;
            if self.levels.rows() == encoding.page_rows() || texts.page_bytes() >= encoding.page_text_bytes() {
                self.finish_page(workshop)?;
            }
        }
        Ok(())
    }

    fn finish_page(&mut self, workshop: &mut Workshop) -> Result<()> {
        match &mut self.values {
            Values::Booleans(_) => {}
            Values::Int32(values) => values.decide(),
            Values::Int64(values) => values.decide(),
            Values::Doubles(values) => values.decide(),
            Values::Texts(values) => values.decide(),
        }
        self.insert_into_filter();
        let Workshop { body, press } = workshop;
        body.clear();
        let (rows, nulls) = (self.levels.rows(), self.levels.nulls());
        self.levels.finish(body);
        let text_bytes = match &self.values {
            Values::Texts(texts) if texts.kind() == Bytes::Text => Some(texts.page_bytes()),
            _ => None,
        };
        let (encoding, bounds, nans) = match &mut self.values {
            Values::Booleans(values) => (PageEncoding::PLAIN, bounds_of_booleans(values.finish_page(body)), None),
            Values::Int32(values) => numbers_page(values, body, false),
            Values::Int64(values) => numbers_page(values, body, false),
            Values::Doubles(values) => numbers_page(values, body, true),
            Values::Texts(values) => {
                let kind = values.kind();
                let (encoding, bounds) = values.finish_page(body);
                (encoding, bounds_of_texts(kind, bounds), None)
            }
        };
        self.chunk.push(body, DataPage { encoding, rows, nulls, bounds, nans, text_bytes }, press)
    }

    /// Adds values that no dictionary will hold at the end.
    fn insert_into_filter(&mut self) {
        let Some(filter) = &mut self.bloom_filter else { return };
        match &self.values {
            Values::Booleans(_) => {}
            Values::Int32(values) => values.undictionaried().iter().for_each(|value| filter.insert(value)),
            Values::Int64(values) => values.undictionaried().iter().for_each(|value| filter.insert(value)),
            Values::Doubles(values) => values.undictionaried().iter().for_each(|value| filter.insert(value)),
            Values::Texts(values) => values.undictionaried().for_each(|value| filter.insert(value)),
        }
    }

    /// Ends the chunk, and begins the next one.
    pub fn finish(&mut self, plan: &ColumnPlan, encoding: &Encoding, workshop: &mut Workshop) -> Result<EncodedChunk> {
        if self.levels.rows() > 0 {
            self.finish_page(workshop)?;
        }
        let Workshop { body, press } = workshop;
        body.clear();
        let filter = &mut self.bloom_filter;
        let nulls = self.chunk.nulls() as u64;
        let (dictionary, statistics) = match &self.values {
            Values::Booleans(values) => (None, values.statistics(nulls)),
            Values::Int32(values) => (dictionary_of(values, filter, body), values.statistics(nulls)),
            Values::Int64(values) => (dictionary_of(values, filter, body), values.statistics(nulls)),
            Values::Doubles(values) => (dictionary_of(values, filter, body), values.statistics(nulls)),
            Values::Texts(values) => {
                let dictionary = values.dictionary().map(|dictionary| {
                    for value in dictionary.iter() {
                        if values.kind() == Bytes::Text {
                            body.extend_from_slice(&(value.len() as u32).to_le_bytes());
                        }
                        body.extend_from_slice(value);
                        filter.iter_mut().for_each(|filter| filter.insert(value));
                    }
                    dictionary.len()
                });
                (dictionary, statistics_of_texts(values, nulls))
            }
        };
        if let Some(filter) = filter {
            filter.fold_to_target_fpp(BLOOM_FALSE_POSITIVES);
        }
        let end = ChunkEnd {
            dictionary: dictionary.map(|values| (body.as_slice(), values)),
            statistics,
            bloom_filter: std::mem::replace(filter, bloom_filter(plan)?),
        };
        let chunk = std::mem::replace(&mut self.chunk, Chunk::new(&plan.column));
        let chunk = chunk.finish(&plan.column, encoding, end, press)?;
        match &mut self.values {
            Values::Booleans(values) => values.reset(),
            Values::Int32(values) => values.reset(),
            Values::Int64(values) => values.reset(),
            Values::Doubles(values) => values.reset(),
            Values::Texts(values) => values.reset(),
        }
        Ok(chunk)
    }
}

/// A filter with room for [`BLOOM_VALUES`], if the column is to have one.
fn bloom_filter(plan: &ColumnPlan) -> Result<Option<Sbbf>> {
    plan.bloom_filter.then(|| Sbbf::new_with_ndv_fpp(BLOOM_VALUES, BLOOM_FALSE_POSITIVES)).transpose()
}

/// Rows until `room` bytes of texts are reached, that row included.
fn rows_within(ends: &[i32], nulls: &NullBuffer, room: usize) -> usize {
    let mut bytes = 0;
    for (row, ends) in ends.array_windows::<2>().enumerate() {
        if nulls.is_valid(row) {
            bytes += (ends[1] - ends[0]) as usize;
        }
        if bytes >= room {
            return row + 1;
        }
    }
    ends.len() - 1
}

fn narrow<A: ArrowPrimitiveType, E>(
    array: &PrimitiveArray<Decimal128Type>,
    narrow: impl Fn(i128) -> std::result::Result<A::Native, E>,
) -> Result<PrimitiveArray<A>> {
    // What lies under a null is of no interest.
    let values = array.values().iter().enumerate().map(|(row, &value)| match narrow(value) {
        Ok(value) => Ok(value),
        Err(_) if array.is_null(row) => Ok(A::Native::default()),
        Err(_) => Err(ParquetError::General(format!("{value} has more digits than its column"))),
    });
    let values: Vec<A::Native> = values.collect::<Result<_>>()?;
    Ok(PrimitiveArray::new(values.into(), array.nulls().cloned()))
}

fn dictionary_of<T: Number + parquet::data_type::AsBytes>(
    values: &Numbers<T>,
    filter: &mut Option<Sbbf>,
    body: &mut Vec<u8>,
) -> Option<usize> {
    let values = values.dictionary()?;
    T::plain(values, body);
    if let Some(filter) = filter {
        values.iter().for_each(|value| filter.insert(value));
    }
    Some(values.len())
}

fn numbers_page<T: Number>(
    values: &mut Numbers<T>,
    body: &mut Vec<u8>,
    doubles: bool,
) -> (PageEncoding, PageBounds, Option<u64>) {
    let (encoding, extent) = values.finish_page(body);
    (encoding, bounds_of_numbers::<T>(&extent), doubles.then_some(extent.nans))
}

fn bounds_of_numbers<T: Number>(extent: &Extent) -> PageBounds {
    let Some(key) = extent.bounds else { return PageBounds::None };
    let bytes = |key| {
        let mut bytes = Vec::new();
        T::plain(&[T::of_integer(key)], &mut bytes);
        bytes
    };
    PageBounds::Numbers { key: (key.0.into(), key.1.into()), bytes: (bytes(key.0), bytes(key.1)) }
}

/// The number that two's complement bytes, big end first, say.
fn decimal(bytes: &[u8]) -> i128 {
    let sign = bytes.first().map_or(0, |first| i128::from(*first as i8) >> 8);
    bytes.iter().fold(sign, |number, &byte| number << 8 | i128::from(byte))
}

fn bounds_of_booleans(bounds: Option<(bool, bool)>) -> PageBounds {
    let byte = |value: bool| vec![u8::from(value)];
    bounds.map_or(PageBounds::None, |(least, most)| PageBounds::Numbers {
        key: (least.into(), most.into()),
        bytes: (byte(least), byte(most)),
    })
}

fn bounds_of_texts(kind: Bytes, bounds: Bounds) -> PageBounds {
    match (kind, bounds) {
        (_, None) => PageBounds::None,
        (Bytes::Text, Some((least, most))) => {
            PageBounds::Texts { least: lower_bound(&least).0.to_vec(), most: upper_bound(&most).0 }
        }
        (Bytes::Decimal, Some(bytes)) => PageBounds::Numbers { key: (decimal(&bytes.0), decimal(&bytes.1)), bytes },
    }
}

fn statistics_of_texts(values: &Texts, nulls: u64) -> Statistics {
    let distinct = values.distinct().map(|dictionary| dictionary.len() as u64);
    let bounds = values.bounds();
    match values.kind() {
        Bytes::Text => {
            let least = bounds.map(|(least, _)| lower_bound(least));
            let most = bounds.map(|(_, most)| upper_bound(most));
            let exact = (least.is_none_or(|(_, exact)| exact), most.as_ref().is_none_or(|(_, exact)| *exact));
            let least = least.map(|(bytes, _)| ByteArray::from(bytes.to_vec()));
            let most = most.map(|(bytes, _)| ByteArray::from(bytes));
            ValueStatistics::new(least, most, distinct, Some(nulls), false)
                .with_min_is_exact(exact.0)
                .with_max_is_exact(exact.1)
                .into()
        }
        Bytes::Decimal => {
            let bytes = |bytes: &Vec<u8>| FixedLenByteArray::from(bytes.clone());
            let (least, most) = (bounds.map(|(least, _)| bytes(least)), bounds.map(|(_, most)| bytes(most)));
            ValueStatistics::new(least, most, distinct, Some(nulls), false)
                .with_backwards_compatible_min_max(true)
                .into()
        }
    }
}

fn unexpected(data_type: &DataType) -> ParquetError {
    ParquetError::NYI(format!("columns of {data_type} cannot be written here"))
}

/// Numbers of a type among the values of a column.
trait InColumn: Sized {
    fn numbers(values: &mut Values) -> Option<&mut Numbers<Self>>;
}

impl InColumn for i32 {
    fn numbers(values: &mut Values) -> Option<&mut Numbers<i32>> {
        if let Values::Int32(numbers) = values { Some(numbers) } else { None }
    }
}

impl InColumn for i64 {
    fn numbers(values: &mut Values) -> Option<&mut Numbers<i64>> {
        if let Values::Int64(numbers) = values { Some(numbers) } else { None }
    }
}

impl InColumn for f64 {
    fn numbers(values: &mut Values) -> Option<&mut Numbers<f64>> {
        if let Values::Doubles(numbers) = values { Some(numbers) } else { None }
    }
}
