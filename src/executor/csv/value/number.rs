//! Integers, doubles and decimals.

use super::{
    Formats, Text, comma, digits,
    digits::{DOUBLE_INTEGER_MAX, Plain},
};

/// Digits of an exponent that are taken.
const EXPONENT_DIGITS_MAX: usize = 6;

/// A 64-bit integer; a fraction of zeros (`5.0`) is the same number.
#[inline]
pub(crate) fn int(text: Text<'_>, formats: Formats) -> Option<i64> {
    match digits::integer(text) {
        Some(integer) => Some(signed(integer.negative, integer.value)),
        None => any_int(text, formats),
    }
}

/// An integer that would be found out to be one: `007`, `+7` and `7.0` are none.
#[inline]
pub(crate) fn strict_int(text: Text<'_>, formats: Formats) -> Option<i64> {
    match digits::integer(text) {
        Some(integer) => (!integer.leading_zero()).then(|| signed(integer.negative, integer.value)),
        None => any_strict_int(text, formats),
    }
}

/// A 32-bit integer.
#[inline]
pub(crate) fn int32(text: Text<'_>, formats: Formats) -> Option<i32> {
    int(text, formats)?.try_into().ok()
}

#[inline(always)]
fn signed(negative: bool, value: u64) -> i64 {
    let flip = -i64::from(negative);
    (value as i64 ^ flip) - flip
}

#[inline(never)]
fn any_strict_int(text: Text<'_>, formats: Formats) -> Option<i64> {
    if let Some(integer) = digits::long_integer(text)
        && integer.value <= i64::MAX as u64
    {
        return (!integer.leading_zero()).then(|| signed(integer.negative, integer.value));
    }
    super::shape(text, formats).kinds.has(super::Kinds::INT).then(|| any_int(text, formats)).flatten()
}

#[inline(never)]
fn any_int(text: Text<'_>, formats: Formats) -> Option<i64> {
    if formats.decimal_comma {
        return comma::with_point(text.trim().get(), |text| spelled_int(text.get()));
    }
    let text = text.trim();
    match digits::long_integer(text) {
        Some(integer) if integer.value <= i64::MAX as u64 => Some(signed(integer.negative, integer.value)),
        _ => spelled_int(text.get()),
    }
}

/// Splits the sign off: whether it is a minus, and what follows.
fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn spelled_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = sign(text);
    let mut value: i64 = 0;
    let mut seen = false;
    for (at, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let zeros = &digits[at + 1..];
            let same = byte == b'.' && seen && zeros.iter().all(|&zero| zero == b'0');
            return same.then_some(value);
        }
        seen = true;
        // Counted downwards, since there is one more negative number than positive ones.
        value = value.checked_mul(10)?;
        value = if negative { value.checked_sub(i64::from(digit))? } else { value.checked_add(i64::from(digit))? };
    }
    seen.then_some(value)
}

/// Powers of ten that a double holds exactly (as it does those up to 10^22).
const POWERS_OF_TEN: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A double, the nearest to what is written; `NaN` and `inf` in any case. A number too large for a double is none.
#[inline]
pub(crate) fn double(text: Text<'_>, formats: Formats) -> Option<f64> {
    match Plain::scan(text) {
        Some(plain) if !formats.decimal_comma && plain.mantissa <= DOUBLE_INTEGER_MAX => Some(plain_double(&plain)),
        _ => any_double(text, formats),
    }
}

/// A double that would be found out to be one, or an integer that is exact in one: `007`, `+7.5` and what has more
/// digits than a double tells apart are none.
#[inline]
pub(crate) fn strict_double(text: Text<'_>, formats: Formats) -> Option<f64> {
    if let Some(plain) = Plain::scan(text)
        && plain.mantissa <= DOUBLE_INTEGER_MAX
        && !plain.leading_zero()
        && !formats.decimal_comma
    {
        return Some(plain_double(&plain));
    }
    any_strict_double(text, formats)
}

#[inline(never)]
fn any_strict_double(text: Text<'_>, formats: Formats) -> Option<f64> {
    super::shape(text, formats).kinds.has(super::Kinds::DOUBLE).then(|| double(text, formats)).flatten()
}

/// The double next to a number whose mantissa is at most [`DOUBLE_INTEGER_MAX`], of at most 16 characters.
#[inline(always)]
fn plain_double(plain: &Plain) -> f64 {
    // Both factors exact, hence one rounding: the result is the nearest double (Clinger's fast path).
    let value = plain.mantissa as i64 as f64 / POWERS_OF_TEN[plain.fraction as usize & 15];
    with_sign(value, plain.negative)
}

#[inline(always)]
fn with_sign(value: f64, negative: bool) -> f64 {
    f64::from_bits(value.to_bits() | u64::from(negative) << 63)
}

#[inline(never)]
fn any_double(text: Text<'_>, formats: Formats) -> Option<f64> {
    if formats.decimal_comma {
        return comma::with_point(text.trim().get(), |text| double(text, Formats::default()));
    }
    let text = text.trim();
    if let Some(plain) = Plain::scan(text).or_else(|| Plain::scan_long(text))
        && let Some(value) = quotient(plain.mantissa, plain.fraction)
    {
        return Some(with_sign(value, plain.negative));
    }
    let text = text.get();
    let (_, digits) = sign(text);
    if !digits.first()?.is_ascii_alphabetic() {
        let exponent = digits.iter().position(|byte| matches!(byte, b'e' | b'E')).map(|at| sign(&digits[at + 1..]).1);
        if exponent.is_some_and(|digits| digits.len() > EXPONENT_DIGITS_MAX) {
            return None;
        }
        let value: f64 = str::from_utf8(text).ok()?.parse().ok()?;
        return value.is_finite().then_some(value);
    }
    str::from_utf8(text).ok()?.parse().ok()
}

/// Powers of five in [`RECIPROCALS`].
const FIVES: usize = digits::PLAIN_BYTES_MAX + 1;
/// For each power of five but the zeroth: 2^`shift` / 5^n, rounded down, with its highest bit set; and `shift`.
const RECIPROCALS: [(u128, i32); FIVES] = reciprocals();

const fn reciprocals() -> [(u128, i32); FIVES] {
    let mut all = [(0, 0); FIVES];
    let (mut at, mut five) = (1, 1u64);
    while at < FIVES {
        five *= 5;
        let bits = 64 - five.leading_zeros() as i32;
        // Long division of a one with 127 + `bits` zeros; the first `bits` bits are less than the divisor.
        let (mut quotient, mut rest, mut left) = (0u128, 1u128 << (bits - 1), 128);
        while left > 0 {
            rest *= 2;
            quotient <<= 1;
            if rest >= five as u128 {
                rest -= five as u128;
                quotient |= 1;
            }
            left -= 1;
        }
        all[at] = (quotient, 127 + bits);
        at += 1;
    }
    all
}

/// The double next to `mantissa` / 10^`power`; `None` when it lies between two so evenly that this cannot tell.
///
/// The product with a reciprocal of 128 bits is at most 2 units of its last place below the true quotient (one for the
/// reciprocal, one for the product, both rounded down), and 74 of its bits lie behind those that a double holds. So
/// rounding is certain unless these bits are within 2 of one half (the method of Eisel and Lemire).
fn quotient(mantissa: u64, power: u32) -> Option<f64> {
    if power == 0 || mantissa == 0 {
        return Some(mantissa as f64);
    }
    let &(reciprocal, shift) = RECIPROCALS.get(power as usize)?;
    let zeros = mantissa.leading_zeros();
    let times = |half: u64| u128::from(mantissa << zeros) * u128::from(half);
    let product = times((reciprocal >> 64) as u64) + (times(reciprocal as u64) >> 64);
    let behind = 75 - product.leading_zeros();
    let (value, rest, half) = (product >> behind, product & ((1 << behind) - 1), 1u128 << (behind - 1));
    if rest <= half && rest + 2 >= half {
        return None;
    }
    let exponent = behind as i32 + 64 - zeros as i32 - shift - power as i32;
    let scale = f64::from_bits(u64::try_from(1023 + exponent).ok()? << 52);
    Some((value as u64 + u64::from(rest > half)) as f64 * scale)
}

/// Powers of ten of at most this are taken on the quick way: 19 digits times these fit 127 bits.
const QUICK_POWER_MAX: u32 = 18;

/// A decimal as its digits without the point. Digits behind the scale must be zeros: nothing is rounded.
#[inline]
pub(crate) fn decimal(text: Text<'_>, precision: u8, scale: u8, formats: Formats) -> Option<i128> {
    if let Some(plain) = Plain::scan(text)
        && !formats.decimal_comma
        && let Some(power) = u32::from(scale).checked_sub(plain.fraction)
        && power <= QUICK_POWER_MAX
    {
        let value = i128::from(plain.mantissa) * i128::from(POWERS[power as usize]);
        let fits = value < *LIMITS.get(usize::from(precision))?;
        return fits.then_some(if plain.negative { -value } else { value });
    }
    any_decimal(text, precision, scale, formats)
}

/// Powers of ten of 64 bits.
const POWERS: [u64; QUICK_POWER_MAX as usize + 1] = {
    let mut powers = [1; QUICK_POWER_MAX as usize + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// For each precision, the least number that does not fit it.
const LIMITS: [i128; 39] = {
    let mut limits = [1; 39];
    let mut at = 1;
    while at < limits.len() {
        limits[at] = limits[at - 1] * 10;
        at += 1;
    }
    limits
};

#[inline(never)]
fn any_decimal(text: Text<'_>, precision: u8, scale: u8, formats: Formats) -> Option<i128> {
    let text = text.trim();
    if formats.decimal_comma {
        return comma::with_point(text.get(), |text| spelled_decimal(text.get(), precision, scale));
    }
    spelled_decimal(text.get(), precision, scale)
}

fn spelled_decimal(text: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let (negative, digits) = sign(text);
    let (mut value, mut seen, mut point, mut fraction): (i128, _, _, u8) = (0, false, false, 0);
    for &byte in digits {
        match byte {
            b'.' if !point => point = true,
            b'0' if point && fraction == scale => {}
            b'0'..=b'9' if !point || fraction < scale => {
                value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                seen = true;
                fraction += u8::from(point);
            }
            _ => return None,
        }
    }
    value = value.checked_mul(10i128.checked_pow(u32::from(scale - fraction))?)?;
    if !seen || value >= *LIMITS.get(usize::from(precision))? {
        return None;
    }
    Some(if negative { -value } else { value })
}
