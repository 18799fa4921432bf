//! The same, a byte at a time: what the quick ways must agree with. It knows ISO dates only, and no decimals that
//! would be found out.

use super::super::Kinds;

/// Integers up to this size are exact in a double.
const DOUBLE_INTEGER_MAX: u64 = 1 << 53;
/// Significant digits that a double can always be told apart by; more are not found out to be a double.
const DOUBLE_DIGITS_MAX: usize = 17;
/// Digits after the second's point that are taken; those behind the sixth are cut off (Parquet has microseconds).
const FRACTION_DIGITS_MAX: usize = 9;
/// Microseconds in a second.
const SECOND: i64 = 1_000_000;

/// What a cell's (trimmed) text can be read as without loss, and whether it says so: `NaN` and `inf` fit a column
/// of doubles, but do not make one.
pub fn classify(text: &[u8]) -> (Kinds, bool) {
    let kinds = match text {
        [b'0'..=b'9', ..] if text.len() >= 10 && text[4] == b'-' => classify_time(text),
        [b'0'..=b'9' | b'.', ..] => classify_number(text),
        [b'-', b'0'..=b'9' | b'.', ..] => classify_number(&text[1..]),
        [b't' | b'T' | b'f' | b'F', ..] if boolean(text).is_some() => Kinds::BOOLEAN,
        _ if not_finite(text) => return (Kinds::DOUBLE, false),
        _ => Kinds::NONE,
    };
    (kinds, true)
}

fn classify_time(text: &[u8]) -> Kinds {
    if date(text).is_some() {
        Kinds::DATE.or(Kinds::TIMESTAMP)
    } else if timestamp(text).is_some() {
        Kinds::TIMESTAMP
    } else {
        Kinds::NONE
    }
}

/// `digits`: the text behind the sign.
fn classify_number(digits: &[u8]) -> Kinds {
    let Some(number) = Number::scan(digits) else { return Kinds::NONE };
    if number.integer_digits > 1 && digits[0] == b'0' {
        return Kinds::NONE;
    }
    if !number.plain_integer {
        let finite = number.significant <= DOUBLE_DIGITS_MAX && double(digits).is_some();
        return if finite { Kinds::DOUBLE } else { Kinds::NONE };
    }
    match int(digits) {
        Some(value) if value.unsigned_abs() <= DOUBLE_INTEGER_MAX => Kinds::INT.or(Kinds::DOUBLE),
        Some(_) => Kinds::INT,
        None => Kinds::NONE,
    }
}

/// The spellings of what is no finite number that files of doubles hold.
fn not_finite(text: &[u8]) -> bool {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    matches!(unsigned, b"NaN" | b"nan" | b"NAN" | b"inf" | b"Inf" | b"INF" | b"Infinity" | b"infinity")
}

/// `digits [. digits] [e [sign] digits]`, at least one digit before the exponent.
struct Number {
    integer_digits: usize,
    /// Digits that count: without zeros in front.
    significant: usize,
    plain_integer: bool,
    /// All digits before the exponent as one number, when they fit.
    mantissa: Option<u64>,
    /// Power of ten to multiply the mantissa with.
    exponent: i32,
}

impl Number {
    fn scan(text: &[u8]) -> Option<Number> {
        let mut mantissa: Option<u64> = Some(0);
        let (mut integer_digits, mut fraction_digits, mut significant) = (0, 0, 0);
        let (mut point, mut at) = (false, 0);
        while let Some(&byte) = text.get(at) {
            match byte {
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    mantissa = mantissa.and_then(|value| value.checked_mul(10)?.checked_add(digit));
                    significant += usize::from(significant > 0 || digit > 0);
                    *(if point { &mut fraction_digits } else { &mut integer_digits }) += 1;
                }
                b'.' if !point => point = true,
                _ => break,
            }
            at += 1;
        }
        if integer_digits + fraction_digits == 0 {
            return None;
        }
        let power = match &text[at..] {
            [] => 0,
            [b'e' | b'E', rest @ ..] => exponent(rest)?,
            _ => return None,
        };
        let plain_integer = !point && at == text.len();
        let exponent = power.checked_sub(i32::try_from(fraction_digits).ok()?)?;
        Some(Number { integer_digits, significant, plain_integer, mantissa, exponent })
    }
}

fn exponent(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    if digits.is_empty() || digits.len() > 6 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(sign * digits.iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0')))
}

/// `true` or `false` in any case.
pub fn boolean(text: &[u8]) -> Option<bool> {
    if text.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else if text.eq_ignore_ascii_case(b"false") {
        Some(false)
    } else {
        None
    }
}

/// A 64-bit integer; a fraction of zeros (`5.0`) is the same number.
pub fn int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
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

/// Powers of ten that a double holds exactly.
const POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// A double, the nearest to what is written; `NaN` and `inf` in any case. A number too large for a double is none.
pub fn double(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let Some(number) = Number::scan(digits) else {
        let words = matches!(digits, [b'a'..=b'z' | b'A'..=b'Z', ..]);
        return words.then(|| str::from_utf8(text).ok()?.parse().ok()).flatten();
    };
    // Both factors exact, hence one rounding: the result is the nearest double (Clinger's fast path).
    if let Some(mantissa) = number.mantissa.filter(|&mantissa| mantissa <= DOUBLE_INTEGER_MAX)
        && let Some(&power) = POWERS_OF_TEN.get(number.exponent.unsigned_abs() as usize)
    {
        let value = if number.exponent < 0 { mantissa as f64 / power } else { mantissa as f64 * power };
        return Some(if negative { -value } else { value });
    }
    let value: f64 = str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// A decimal as its digits without the point. Digits behind the scale must be zeros: nothing is rounded.
pub fn decimal(text: &[u8], precision: u8, scale: u8) -> Option<i128> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
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
    if !seen || value >= 10i128.checked_pow(u32::from(precision))? {
        return None;
    }
    Some(if negative { -value } else { value })
}

/// `YYYY-MM-DD` as days since 1970-01-01.
pub fn date(text: &[u8]) -> Option<i32> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else { return None };
    let year = i64::from(pair(y1, y2)?) * 100 + i64::from(pair(y3, y4)?);
    let (month, day) = (pair(m1, m2)?, pair(d1, d2)?);
    if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    i32::try_from(days_since_epoch(year, i64::from(month), i64::from(day))).ok()
}

/// `YYYY-MM-DD[T ]HH:MM:SS[.fraction][zone]` or a date (its midnight) as microseconds since the epoch. Without a
/// zone it is taken as UTC; digits behind the microsecond are cut off.
pub fn timestamp(text: &[u8]) -> Option<i64> {
    let day = i64::from(date(text.get(..10)?)?);
    let midnight = day * 86_400 * SECOND;
    if text.len() == 10 {
        return Some(midnight);
    }
    let &[b'T' | b't' | b' ', h1, h2, b':', m1, m2, b':', s1, s2, ref rest @ ..] = &text[10..] else { return None };
    let (hour, minute, second) = (pair(h1, h2)?, pair(m1, m2)?, pair(s1, s2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, zone) = fraction(rest)?;
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second) - offset_seconds(zone)?;
    Some(midnight + seconds * SECOND + fraction)
}

/// Microseconds of `.digits`, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', rest @ ..] = text else { return Some((0, text)) };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 || length > FRACTION_DIGITS_MAX {
        return None;
    }
    let micros = (0..6).fold(0, |value, at| match rest.get(at) {
        Some(digit) if at < length => value * 10 + i64::from(digit - b'0'),
        _ => value * 10,
    });
    Some((micros, &rest[length..]))
}

/// Seconds east of UTC of `Z`, `±hh:mm`, `±hhmm`, `±hh`, or nothing.
fn offset_seconds(zone: &[u8]) -> Option<i64> {
    let (sign, hour, minute) = match *zone {
        [] | [b'Z' | b'z'] => return Some(0),
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => (sign, pair(h1, h2)?, pair(m1, m2)?),
        [sign, h1, h2] => (sign, pair(h1, h2)?, 0),
        _ => return None,
    };
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60;
    match sign {
        _ if hour > 23 || minute > 59 => None,
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn pair(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

fn days_in_month(year: i64, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. Years are counted from March, so that the leap day is
/// the last of its year.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}
