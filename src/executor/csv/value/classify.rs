//! What a text could be.

use super::{
    Formats, Text, boolean, comma, date, digits,
    digits::{DOUBLE_DIGITS_MAX, DOUBLE_INTEGER_MAX, Plain},
    double, timestamp,
};
use crate::dataset::DECIMAL_PRECISION_MAX;

/// Kinds of value, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub const NONE: Kinds = Kinds(0);
    pub const BOOLEAN: Kinds = Kinds(1);
    pub const INT: Kinds = Kinds(2);
    pub const DOUBLE: Kinds = Kinds(4);
    pub const DATE: Kinds = Kinds(8);
    pub const TIMESTAMP: Kinds = Kinds(16);
    pub const DECIMAL: Kinds = Kinds(32);
    pub const NUMBER: Kinds = Kinds::INT.or(Kinds::DOUBLE).or(Kinds::DECIMAL);
    pub const ALL: Kinds = Kinds(63);

    pub const fn and(self, other: Kinds) -> Kinds {
        Kinds(self.0 & other.0)
    }

    pub const fn or(self, other: Kinds) -> Kinds {
        Kinds(self.0 | other.0)
    }

    pub const fn without(self, other: Kinds) -> Kinds {
        Kinds(self.0 & !other.0)
    }

    pub const fn has(self, other: Kinds) -> bool {
        self.0 & other.0 != 0
    }
}

/// What a cell's text can be read as without loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub kinds: Kinds,
    /// Whether it says so: `NaN` and `inf` fit a column of doubles, but do not make one.
    pub makes_type: bool,
    /// Digits before the point of what can be a decimal, without zeros in front.
    pub whole: u8,
    /// Digits behind its point.
    pub fraction: u8,
}

impl Shape {
    const fn of(kinds: Kinds) -> Shape {
        Shape { kinds, makes_type: true, whole: 0, fraction: 0 }
    }
}

/// [`shape`] of a text by itself, in a file of which no formats are known.
pub(crate) fn classify(text: &[u8]) -> (Kinds, bool) {
    let shape = shape(text.into(), Formats::default());
    (shape.kinds, shape.makes_type)
}

/// What a cell's text can be read as without loss.
#[inline]
pub(crate) fn shape(text: Text<'_>, formats: Formats) -> Shape {
    match Plain::scan(text) {
        Some(plain) if !formats.decimal_comma => plain_shape(&plain),
        _ => any_shape(text, formats),
    }
}

/// What a number has of digits; a lone zero before the point is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digits {
    pub whole: u32,
    pub fraction: u32,
}

/// The digits of an integer that is exact in a double. What it does not see at a glance it takes for none.
#[inline(always)]
pub(crate) fn glance_at_integer(text: Text<'_>) -> Option<Digits> {
    let integer = digits::integer(text)?;
    let plain = !integer.leading_zero() && integer.digits <= EXACT_DIGITS;
    plain.then_some(Digits { whole: integer.digits - u32::from(integer.first == b'0'), fraction: 0 })
}

/// The digits of a number that can be a double and a decimal. What it does not see at a glance it takes for none.
#[inline(always)]
pub(crate) fn glance_at_number(text: Text<'_>, formats: Formats) -> Option<Digits> {
    let number = Plain::scan(text)?;
    let exact = number.point || number.digits <= EXACT_DIGITS; // at most 15 digits stand around a point
    let plain = exact && !number.leading_zero() && !formats.decimal_comma;
    let whole = || number.digits - number.fraction - u32::from(number.first == b'0');
    plain.then(|| Digits { whole: whole(), fraction: number.fraction })
}

/// Any number of so many digits is exact in a double.
const EXACT_DIGITS: u32 = 15;

#[inline(always)]
fn plain_shape(plain: &Plain) -> Shape {
    if plain.leading_zero() {
        return Shape::of(Kinds::NONE);
    }
    let whole = plain.digits - plain.fraction - u32::from(plain.first == b'0');
    let exact = if plain.is_exact_in_double() { Kinds::DOUBLE } else { Kinds::NONE };
    let kinds = if plain.point {
        exact.or(Kinds::DECIMAL)
    } else if plain.mantissa <= i64::MAX as u64 {
        exact.or(Kinds::DECIMAL).or(Kinds::INT)
    } else {
        Kinds::NONE
    };
    Shape { kinds, makes_type: true, whole: whole as u8, fraction: plain.fraction as u8 }
}

#[inline(never)]
fn any_shape(text: Text<'_>, formats: Formats) -> Shape {
    let text = text.trim();
    let bytes = text.get();
    let number = match bytes {
        [b'0'..=b'9' | b'-' | b'.' | b',', ..] if formats.decimal_comma => comma::with_point(bytes, number_shape),
        [b'0'..=b'9' | b'-' | b'.', ..] => number_shape(text),
        [b't' | b'T' | b'f' | b'F', ..] if boolean(text).is_some() => return Shape::of(Kinds::BOOLEAN),
        _ if not_finite(bytes) => Some(Shape { makes_type: false, ..Shape::of(Kinds::DOUBLE) }),
        _ => None,
    };
    if let Some(shape) = number {
        shape
    } else if date(text, formats).is_some() {
        Shape::of(Kinds::DATE.or(Kinds::TIMESTAMP))
    } else if timestamp(text, formats).is_some() {
        Shape::of(Kinds::TIMESTAMP)
    } else {
        Shape::of(Kinds::NONE)
    }
}

/// The spellings of what is no finite number that files of doubles hold.
fn not_finite(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    matches!(unsigned, b"NaN" | b"nan" | b"NAN" | b"inf" | b"Inf" | b"INF" | b"Infinity" | b"infinity")
}

/// `None` for what is no number.
fn number_shape(text: Text<'_>) -> Option<Shape> {
    if let Some(plain) = Plain::scan(text).or_else(|| Plain::scan_long(text)) {
        return Some(plain_shape(&plain));
    }
    let bytes = text.get();
    if not_finite(bytes) {
        return Some(Shape { makes_type: false, ..Shape::of(Kinds::DOUBLE) });
    }
    let number = Number::scan(bytes.strip_prefix(b"-").unwrap_or(bytes))?;
    if number.leading_zero {
        return Some(Shape::of(Kinds::NONE));
    }
    let mut kinds = Kinds::NONE;
    if let Some(integer) = number.integer {
        if integer <= DOUBLE_INTEGER_MAX {
            kinds = kinds.or(Kinds::DOUBLE);
        }
        if integer <= i64::MAX as u64 {
            kinds = kinds.or(Kinds::INT).or(Kinds::DECIMAL);
        }
    } else if number.point || number.exponent {
        if number.significant <= DOUBLE_DIGITS_MAX && double(text, Formats::default()).is_some() {
            kinds = kinds.or(Kinds::DOUBLE);
        }
        if !number.exponent && number.whole + number.fraction <= usize::from(DECIMAL_PRECISION_MAX) {
            kinds = kinds.or(Kinds::DECIMAL);
        }
    }
    let digits = |count: usize| if kinds.has(Kinds::DECIMAL) { count as u8 } else { 0 };
    Some(Shape { kinds, makes_type: true, whole: digits(number.whole), fraction: digits(number.fraction) })
}

/// `digits [. digits] [e [sign] digits]`, at least one digit before the exponent.
struct Number {
    /// Digits before the point but a lone zero.
    whole: usize,
    fraction: usize,
    /// Digits that count: without zeros in front.
    significant: usize,
    leading_zero: bool,
    point: bool,
    exponent: bool,
    /// The value, without a point and an exponent, when it fits.
    integer: Option<u64>,
}

impl Number {
    fn scan(text: &[u8]) -> Option<Number> {
        let count = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (whole, rest) = text.split_at(count(text));
        let (point, rest) = match rest {
            [b'.', rest @ ..] => (true, rest),
            _ => (false, rest),
        };
        let (fraction, rest) = rest.split_at(if point { count(rest) } else { 0 });
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let exponent = match rest {
            [] => false,
            [b'e' | b'E', b'-' | b'+', digits @ ..] | [b'e' | b'E', digits @ ..] => {
                if digits.is_empty() || count(digits) < digits.len() {
                    return None;
                }
                true
            }
            _ => return None,
        };
        let zeros = whole.iter().chain(fraction).take_while(|&&digit| digit == b'0').count();
        let integer = (!point && !exponent).then(|| {
            whole.iter().try_fold(0u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
        });
        Some(Number {
            whole: whole.len() - usize::from(whole == b"0"),
            fraction: fraction.len(),
            significant: whole.len() + fraction.len() - zeros,
            leading_zero: whole.len() > 1 && whole[0] == b'0',
            point,
            exponent,
            integer: integer.flatten(),
        })
    }
}
