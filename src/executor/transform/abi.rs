//! Arrow arrays ↔ the lists of the contract. Going in, lists are slices of Arrow's buffers. Coming out, they become
//! Arrow's buffers as they are, once it is known that they may: nothing that a plugin gives is believed.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, PrimitiveArray, StringArray},
    buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::{
        ArrowNativeType, ArrowPrimitiveType, Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type,
        TimestampMicrosecondType,
    },
};

use super::{
    text::quoted,
    wit::{ColumnIn, ColumnOut, TextIn, TextOut, ValuesIn, ValuesOut},
};
use crate::{
    dataset::{Column, ColumnType},
    executor::parquet::TIMESTAMP_ZONE,
};

// A decimal crosses as its low half, then its high half: Arrow's own bytes where these are little-endian.
const _: () = assert!(cfg!(target_endian = "little"), "decimals cross the border as little-endian machines keep them");

/// The array without an offset into bytes of bits or into text: itself, unless it is a slice of another.
pub(super) fn aligned(array: &ArrayRef) -> Cow<'_, ArrayRef> {
    let nulls = array.nulls().map(NullBuffer::inner);
    let bits = array.as_boolean_opt().map(BooleanArray::values);
    let offsets = array.as_string_opt::<i32>().map(StringArray::value_offsets);
    let fits = |bits: Option<&BooleanBuffer>| bits.is_none_or(|bits| bits.offset() % 8 == 0);
    if fits(nulls) && fits(bits) && offsets.is_none_or(|offsets| offsets[0] == 0) {
        return Cow::Borrowed(array);
    }
    let nulls = array.nulls().map(|nulls| NullBuffer::new(copied(nulls.inner())));
    let array: ArrayRef = if let Some(bits) = bits {
        Arc::new(BooleanArray::new(copied(bits), nulls))
    } else if let Some(text) = array.as_string_opt::<i32>() {
        let offsets = text.offsets();
        let from = offsets[0];
        let values = text.values().slice_with_length(from.as_usize(), (offsets[offsets.len() - 1] - from).as_usize());
        let offsets: ScalarBuffer<i32> = offsets.iter().map(|offset| offset - from).collect();
        Arc::new(StringArray::new(OffsetBuffer::new(offsets), values, nulls))
    } else {
        // Numbers have their slices by themselves; only the bits of their nulls do not.
        let data = array.to_data().into_builder().nulls(nulls);
        arrow::array::make_array(data.build().expect("the same numbers with the same nulls"))
    };
    Cow::Owned(array)
}

fn copied(bits: &BooleanBuffer) -> BooleanBuffer {
    BooleanBuffer::new(bits.sliced(), 0, bits.len())
}

/// An [`aligned`] array as the contract's lists; `None` for a type that no column of a table has.
pub(super) fn lower(array: &ArrayRef) -> Option<ColumnIn<'_>> {
    let validity = array.nulls().filter(|nulls| nulls.null_count() > 0).map(|nulls| bytes_of(nulls.inner()));
    let values = if let Some(bits) = array.as_boolean_opt() {
        ValuesIn::Boolean(bytes_of(bits.values()))
    } else if let Some(numbers) = array.as_primitive_opt::<Int32Type>() {
        ValuesIn::Int32(numbers.values())
    } else if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
        ValuesIn::Int64(numbers.values())
    } else if let Some(numbers) = array.as_primitive_opt::<Float64Type>() {
        ValuesIn::Float64(numbers.values())
    } else if let Some(numbers) = array.as_primitive_opt::<Decimal128Type>() {
        ValuesIn::Decimal128(numbers.values().inner().typed_data())
    } else if let Some(days) = array.as_primitive_opt::<Date32Type>() {
        ValuesIn::Date32(days.values())
    } else if let Some(times) = array.as_primitive_opt::<TimestampMicrosecondType>() {
        ValuesIn::Timestamp(times.values())
    } else {
        let text = array.as_string_opt::<i32>()?;
        let offsets = text.value_offsets();
        let length = offsets[offsets.len() - 1].as_usize();
        ValuesIn::Utf8(TextIn { offsets, bytes: &text.value_data()[..length] })
    };
    Some(ColumnIn { validity, values })
}

/// The bytes of bits that begin with one.
fn bytes_of(bits: &BooleanBuffer) -> &[u8] {
    &bits.values()[bits.offset() / 8..][..bits.len().div_ceil(8)]
}

/// A column that a plugin gave back, as an array; or what is wrong with it.
pub(super) fn lift(column: &Column, found: ColumnOut, rows: usize) -> Result<ArrayRef, String> {
    array(column.ty, found, rows).map_err(|reason| format!("column {}: {reason}", quoted(&column.name)))
}

fn array(ty: ColumnType, found: ColumnOut, rows: usize) -> Result<ArrayRef, String> {
    let nulls = match found.validity {
        Some(bytes) => Some(NullBuffer::new(bits("validity", bytes, rows)?)),
        None => None,
    };
    Ok(match (ty, found.values) {
        (ColumnType::Boolean, ValuesOut::Boolean(bytes)) => {
            Arc::new(BooleanArray::new(bits("boolean", bytes, rows)?, nulls))
        }
        (ColumnType::Int32, ValuesOut::Int32(values)) => Arc::new(numbers::<Int32Type>(values, nulls, rows)?),
        (ColumnType::Int64, ValuesOut::Int64(values)) => Arc::new(numbers::<Int64Type>(values, nulls, rows)?),
        (ColumnType::Double, ValuesOut::Float64(values)) => Arc::new(numbers::<Float64Type>(values, nulls, rows)?),
        (ColumnType::Date, ValuesOut::Date32(values)) => Arc::new(numbers::<Date32Type>(values, nulls, rows)?),
        (ColumnType::Timestamp, ValuesOut::Timestamp(values)) => {
            let times = numbers::<TimestampMicrosecondType>(values, nulls, rows)?;
            Arc::new(times.with_timezone(TIMESTAMP_ZONE))
        }
        (ColumnType::Decimal { precision, scale }, ValuesOut::Decimal128(halves)) => {
            Arc::new(decimals(halves, nulls, rows, precision, scale)?)
        }
        (ColumnType::String, ValuesOut::Utf8(text)) => Arc::new(strings(text, nulls, rows)?),
        (ty, values) => return Err(format!("it is {ty} by contract, and comes as {}", case(&values))),
    })
}

fn case(values: &ValuesOut) -> &'static str {
    match values {
        ValuesOut::Boolean(_) => "boolean",
        ValuesOut::Int32(_) => "int32",
        ValuesOut::Int64(_) => "int64",
        ValuesOut::Float64(_) => "float64",
        ValuesOut::Decimal128(_) => "decimal128",
        ValuesOut::Date32(_) => "date32",
        ValuesOut::Timestamp(_) => "timestamp",
        ValuesOut::Utf8(_) => "utf8",
    }
}

fn bits(what: &str, bytes: Vec<u8>, rows: usize) -> Result<BooleanBuffer, String> {
    if bytes.len() != rows.div_ceil(8) {
        return Err(format!("{what} has {} bytes; {rows} rows have {}", bytes.len(), rows.div_ceil(8)));
    }
    Ok(BooleanBuffer::new(Buffer::from_vec(bytes), 0, rows))
}

fn numbers<T: ArrowPrimitiveType>(
    values: Vec<T::Native>,
    nulls: Option<NullBuffer>,
    rows: usize,
) -> Result<PrimitiveArray<T>, String> {
    expect_length(values.len(), rows, "values")?;
    PrimitiveArray::try_new(ScalarBuffer::from(values), nulls).map_err(|error| error.to_string())
}

fn expect_length(found: usize, wanted: usize, what: &str) -> Result<(), String> {
    if found != wanted {
        return Err(format!("{wanted} {what} are due; {found} came"));
    }
    Ok(())
}

fn decimals(
    halves: Vec<u64>,
    nulls: Option<NullBuffer>,
    rows: usize,
    precision: u8,
    scale: u8,
) -> Result<Decimal128Array, String> {
    expect_length(halves.len(), rows.saturating_mul(2), "halves of decimals")?;
    let halves = Buffer::from_vec(halves);
    // What is large comes from the allocator aligned for 16 bytes; where it does not, it is copied.
    let values = match halves.as_ptr().align_offset(align_of::<i128>()) {
        0 => ScalarBuffer::<i128>::new(halves, 0, rows),
        _ => ScalarBuffer::from_iter(halves.typed_data::<u64>().chunks_exact(2).map(joined)),
    };
    let limit = 10_i128.pow(precision.into());
    let fits = |value: i128| -limit < value && value < limit;
    if !values.iter().all(|value| fits(*value)) {
        let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        if let Some(row) = (0..rows).find(|row| !fits(values[*row]) && !is_null(*row)) {
            return Err(format!("row {row} has more than {precision} digits"));
        }
    }
    let scale = i8::try_from(scale).map_err(|error| error.to_string())?;
    let array =
        Decimal128Array::try_new(values, nulls).and_then(|array| array.with_precision_and_scale(precision, scale));
    array.map_err(|error| error.to_string())
}

fn joined(halves: &[u64]) -> i128 {
    (u128::from(halves[0]) | u128::from(halves[1]) << 64) as i128
}

fn strings(text: TextOut, nulls: Option<NullBuffer>, rows: usize) -> Result<StringArray, String> {
    let TextOut { offsets, bytes } = text;
    expect_length(offsets.len(), rows.saturating_add(1), "offsets")?;
    if offsets.first() != Some(&0) {
        return Err(format!("its first offset is {}, not 0", offsets[0]));
    }
    if let Some(row) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
        return Err(format!("row {row} ends at byte {} and begins at {}", offsets[row + 1], offsets[row]));
    }
    if usize::try_from(offsets[rows]) != Ok(bytes.len()) {
        return Err(format!("its last offset is {}, and it has {} bytes of text", offsets[rows], bytes.len()));
    }
    let bytes = Buffer::from_vec(bytes);
    let found = StringArray::try_new(OffsetBuffer::new(ScalarBuffer::from(offsets.clone())), bytes.clone(), nulls);
    found.map_err(|error| {
        let slice = |row: usize| &bytes[offsets[row] as usize..offsets[row + 1] as usize];
        match (0..rows).find(|row| std::str::from_utf8(slice(*row)).is_err()) {
            Some(row) => format!("row {row} is not UTF-8"),
            None => error.to_string(),
        }
    })
}
