//! What a handle may be of: the values of columns, and how each is kept.

use crate::{
    builder::Builders,
    column::Text,
    types::{Date, Decimal, Timestamp, Type},
    view::{Texts, Views},
};

/// How the values of a column are kept while a batch is worked on. One column may be kept in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    I32,
    I64,
    /// 32-bit numbers, widened once a batch.
    I64OfI32,
    F64,
    /// 32-bit numbers, widened once a batch.
    F64OfI32,
    Decimal,
    Text,
}

mod sealed {
    pub trait Sealed {}
}

/// What a column's handle may be of: `bool`, `i32`, `i64`, `f64`, [`Decimal`], [`Date`], [`Timestamp`], `str`.
pub trait Value: sealed::Sealed {
    /// One value.
    type Item<'a>;
    /// The values of all rows of a batch, laid out as [`Values`](crate::Values) says.
    type Slice<'a>;
    /// The values of all rows of an output, laid out as [`Values`](crate::Values) says.
    type Owned;

    /// The types of columns that can be read so.
    #[doc(hidden)]
    const WANTED: &'static str;
    #[doc(hidden)]
    fn kind(from: Type) -> Option<Kind>;
    #[doc(hidden)]
    fn get<'a>(views: &Views<'a>, at: usize, row: usize) -> Option<Self::Item<'a>>;
    #[doc(hidden)]
    fn slice<'a>(views: &Views<'a>, at: usize) -> Self::Slice<'a>;
    #[doc(hidden)]
    fn validity<'a>(views: &Views<'a>, at: usize) -> Option<&'a [u8]>;
    #[doc(hidden)]
    fn set(builders: &mut Builders, at: usize, row: usize, item: Self::Item<'_>);
    #[doc(hidden)]
    fn unset(builders: &mut Builders, at: usize, row: usize);
    #[doc(hidden)]
    fn put(builders: &mut Builders, at: usize, values: Self::Owned, validity: Option<Vec<u8>>);
}

/// A value whose column needs no more than its name: all but [`Decimal`], which has digits too.
pub trait Plain: Value {
    /// The type of an output of it.
    const TYPE: Type;
}

/// Values that lie one a row in a vector of numbers. `$wrap` and `$bare` go from the number to the value and back.
macro_rules! number {
    (
        $value:ty, $number:ty, $list:ident, $type:expr, $wanted:literal, $wrap:expr, $bare:expr,
        $($from:pat => $kind:expr),+
    ) => {
        impl sealed::Sealed for $value {}

        impl Value for $value {
            type Item<'a> = $value;
            type Slice<'a> = &'a [$number];
            type Owned = Vec<$number>;

            const WANTED: &'static str = $wanted;

            fn kind(from: Type) -> Option<Kind> {
                match from {
                    $($from => Some($kind),)+
                    _ => None,
                }
            }

            #[inline(always)]
            fn get<'a>(views: &Views<'a>, at: usize, row: usize) -> Option<Self::Item<'a>> {
                views.$list[at].get(row).map($wrap)
            }

            fn slice<'a>(views: &Views<'a>, at: usize) -> Self::Slice<'a> {
                views.$list[at].values
            }

            fn validity<'a>(views: &Views<'a>, at: usize) -> Option<&'a [u8]> {
                views.$list[at].validity
            }

            #[inline(always)]
            fn set(builders: &mut Builders, at: usize, row: usize, item: Self::Item<'_>) {
                builders.$list[at].set(row, $bare(item));
            }

            fn unset(builders: &mut Builders, at: usize, row: usize) {
                builders.$list[at].unset(row);
            }

            fn put(builders: &mut Builders, at: usize, values: Self::Owned, validity: Option<Vec<u8>>) {
                builders.$list[at].put(values, validity);
            }
        }

        impl Plain for $value {
            const TYPE: Type = $type;
        }
    };
}

const fn same<T: Copy>(value: T) -> T {
    value
}

number!(i32, i32, i32s, Type::Int32, "int32", same, same, Type::Int32 => Kind::I32);
number!(
    i64, i64, i64s, Type::Int64, "int64 or int32", same, same,
    Type::Int64 => Kind::I64, Type::Int32 => Kind::I64OfI32
);
number!(
    f64, f64, f64s, Type::Double, "double or int32", same, same,
    Type::Double => Kind::F64, Type::Int32 => Kind::F64OfI32
);
number!(Date, i32, i32s, Type::Date, "date", Date, |date: Date| date.0, Type::Date => Kind::I32);
number!(
    Timestamp, i64, i64s, Type::Timestamp, "timestamp", Timestamp, |time: Timestamp| time.0,
    Type::Timestamp => Kind::I64
);

impl sealed::Sealed for bool {}

impl Value for bool {
    type Item<'a> = bool;
    /// One bit a row, eight to the byte, the least significant first.
    type Slice<'a> = &'a [u8];
    type Owned = Vec<u8>;

    const WANTED: &'static str = "boolean";

    fn kind(from: Type) -> Option<Kind> {
        (from == Type::Boolean).then_some(Kind::Bool)
    }

    #[inline(always)]
    fn get<'a>(views: &Views<'a>, at: usize, row: usize) -> Option<Self::Item<'a>> {
        views.bools[at].get(row)
    }

    fn slice<'a>(views: &Views<'a>, at: usize) -> Self::Slice<'a> {
        views.bools[at].values
    }

    fn validity<'a>(views: &Views<'a>, at: usize) -> Option<&'a [u8]> {
        views.bools[at].validity
    }

    #[inline(always)]
    fn set(builders: &mut Builders, at: usize, row: usize, item: Self::Item<'_>) {
        builders.bools[at].set(row, item);
    }

    fn unset(builders: &mut Builders, at: usize, row: usize) {
        builders.bools[at].unset(row);
    }

    fn put(builders: &mut Builders, at: usize, values: Self::Owned, validity: Option<Vec<u8>>) {
        builders.bools[at].put(values, validity);
    }
}

impl Plain for bool {
    const TYPE: Type = Type::Boolean;
}

impl sealed::Sealed for Decimal {}

impl Value for Decimal {
    type Item<'a> = Decimal;
    /// The low half of each number, then the high half.
    type Slice<'a> = &'a [[u64; 2]];
    type Owned = Vec<[u64; 2]>;

    const WANTED: &'static str = "decimal";

    fn kind(from: Type) -> Option<Kind> {
        matches!(from, Type::Decimal { .. }).then_some(Kind::Decimal)
    }

    #[inline(always)]
    fn get<'a>(views: &Views<'a>, at: usize, row: usize) -> Option<Self::Item<'a>> {
        let (view, scale) = &views.decimals[at];
        let [low, high] = view.get(row)?;
        Some(Decimal { unscaled: (u128::from(high) << 64 | u128::from(low)) as i128, scale: *scale })
    }

    fn slice<'a>(views: &Views<'a>, at: usize) -> Self::Slice<'a> {
        views.decimals[at].0.values
    }

    fn validity<'a>(views: &Views<'a>, at: usize) -> Option<&'a [u8]> {
        views.decimals[at].0.validity
    }

    #[inline(always)]
    fn set(builders: &mut Builders, at: usize, row: usize, item: Self::Item<'_>) {
        let (builder, scale) = &mut builders.decimals[at];
        let Some(Decimal { unscaled, .. }) = item.rescale(*scale) else {
            panic!("{item} has no exact form with {scale} digits after the point: round it, with Decimal::rescale");
        };
        builder.set(row, [unscaled as u64, (unscaled >> 64) as u64]);
    }

    fn unset(builders: &mut Builders, at: usize, row: usize) {
        builders.decimals[at].0.unset(row);
    }

    fn put(builders: &mut Builders, at: usize, values: Self::Owned, validity: Option<Vec<u8>>) {
        builders.decimals[at].0.put(values, validity);
    }
}

impl sealed::Sealed for str {}

impl Value for str {
    type Item<'a> = &'a str;
    type Slice<'a> = Texts<'a>;
    type Owned = Text;

    const WANTED: &'static str = "string";

    fn kind(from: Type) -> Option<Kind> {
        (from == Type::String).then_some(Kind::Text)
    }

    #[inline(always)]
    fn get<'a>(views: &Views<'a>, at: usize, row: usize) -> Option<Self::Item<'a>> {
        views.texts[at].get(row)
    }

    fn slice<'a>(views: &Views<'a>, at: usize) -> Self::Slice<'a> {
        views.texts[at].values
    }

    fn validity<'a>(views: &Views<'a>, at: usize) -> Option<&'a [u8]> {
        views.texts[at].validity
    }

    #[inline(always)]
    fn set(builders: &mut Builders, at: usize, row: usize, item: Self::Item<'_>) {
        builders.texts[at].set(row, item);
    }

    fn unset(builders: &mut Builders, at: usize, row: usize) {
        builders.texts[at].unset(row);
    }

    fn put(builders: &mut Builders, at: usize, values: Self::Owned, validity: Option<Vec<u8>>) {
        builders.texts[at].put(values, validity);
    }
}

impl Plain for str {
    const TYPE: Type = Type::String;
}
