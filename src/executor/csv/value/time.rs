//! Dates and timestamps. All that is understood says by itself what it means; `01/02/2013` does not, and is a date
//! only in a dataset that says what comes first.

use super::{DateOrder, Formats, Text};

/// Digits after the second's point that are taken; those behind the sixth are cut off (Parquet has microseconds).
const FRACTION_DIGITS_MAX: usize = 9;
/// Microseconds in a second.
const SECOND: i64 = 1_000_000;
/// Microseconds in a day.
const DAY: i64 = 86_400 * SECOND;
/// Characters of `YYYY-MM-DD`.
const ISO_DATE_BYTES: usize = 10;
/// Characters of `YYYY-MM-DD HH:MM:SS`.
const ISO_TIMESTAMP_BYTES: usize = 19;

/// A date as days since 1970-01-01: `YYYY-MM-DD`, `YYYY/MM/DD`, `DD.MM.YYYY`, `13-Mar-1996`, `13 March 1996`,
/// `Mar 13, 1996`; `DD/MM/YYYY` or `MM/DD/YYYY` (also with `-`) when the dataset says which.
#[inline]
pub(crate) fn date(text: Text<'_>, formats: Formats) -> Option<i32> {
    if text.len() == ISO_DATE_BYTES
        && let Some(days) = text.first_chunk().and_then(iso_date)
    {
        return Some(days);
    }
    any_date(text, formats)
}

/// A date, and a time of day behind `T` or spaces, as microseconds since the epoch; a date alone is its midnight. The
/// time is `H:MM[:SS[.fraction]][ AM|PM][zone]`, the zone `Z`, `UTC`, `GMT`, `±hh`, `±hhmm` or `±hh:mm`; without one it
/// is taken as UTC. Digits behind the microsecond are cut off. `20130101T050000Z` is understood, too. Hour 24 and
/// second 60 are refused: there is no such moment in a day of 86,400 seconds.
#[inline]
pub(crate) fn timestamp(text: Text<'_>, formats: Formats) -> Option<i64> {
    if let Some(micros) = iso_timestamp(text) {
        return Some(micros);
    }
    any_timestamp(text, formats)
}

/// The numbers that neighbouring digits make (a byte is ten times its digit plus the next one), where `pattern` has a
/// `0` for each digit and all else stands as it is written. `over` is 0x76 for digits and 0x7F for the others: added,
/// it sets the highest bit of a byte that does not fit.
#[inline(always)]
fn digits_of(word: u64, pattern: [u8; 8], over: u64) -> Option<u64> {
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let digits = word ^ u64::from_le_bytes(pattern);
    ((digits.wrapping_add(over) | digits) & HIGHS == 0).then(|| digits.wrapping_mul(10).wrapping_add(digits >> 8))
}

#[inline(always)]
fn iso_date(&[ref word @ .., tens, ones]: &[u8; ISO_DATE_BYTES]) -> Option<i32> {
    let pairs = digits_of(u64::from_le_bytes(*word), *b"0000-00-", 0x7F76_767F_7676_7676)?;
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    if tens > 3 || ones > 9 {
        return None;
    }
    let (century, year, month) = (pairs & 0xFF, pairs >> 16 & 0xFF, pairs >> 40 & 0xFF);
    days(century as u32, year as u32, month as u32, u32::from(tens * 10 + ones))
}

/// Days from 1970-01-01 to a day of the proleptic Gregorian calendar; `year`: in its century.
#[inline(always)]
fn days(century: u32, year: u32, month: u32, day: u32) -> Option<i32> {
    /// For each month (from 1) of a year and of a leap year: days of the year before it, and its own.
    const MONTHS: [(i16, u8); 32] = months();
    let leap = if year == 0 { century.is_multiple_of(4) } else { year.is_multiple_of(4) };
    let &(before, length) = MONTHS.get((month & 15 | u32::from(leap) << 4) as usize)?;
    if month > 12 || day.wrapping_sub(1) >= u32::from(length) || century | year == 0 {
        return None;
    }
    let full = 100 * century + year;
    // Leap days up to and with this year; what is too much before March of a leap year is in `before`.
    let leap_days = full / 4 - century + century / 4;
    Some((365 * full + leap_days + day) as i32 + i32::from(before) - EPOCH)
}

/// What [`days`] counts for 1970-01-01.
const EPOCH: i32 = 1970 * 365 + 1970 / 4 - 19 + 19 / 4 + 1;

const fn months() -> [(i16, u8); 32] {
    const LENGTHS: [u8; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut months = [(0, 0); 32];
    let (mut month, mut before) = (1, 0);
    while month <= 12 {
        let length = LENGTHS[month - 1];
        months[month] = (before, length);
        months[16 + month] = if month <= 2 { (before - 1, length + (month == 2) as u8) } else { (before, length) };
        before += length as i16;
        month += 1;
    }
    months
}

/// `YYYY-MM-DD[T ]HH:MM:SS[.fraction][zone]`; `None` for what is written otherwise.
#[inline(always)]
fn iso_timestamp(text: Text<'_>) -> Option<i64> {
    let length = text.len();
    if length < ISO_TIMESTAMP_BYTES {
        return None;
    }
    let head = text.first_chunk::<ISO_TIMESTAMP_BYTES>()?;
    let (date, behind) = head.split_first_chunk::<ISO_DATE_BYTES>()?;
    let (between, time) = behind.split_first()?;
    let day = iso_date(date)?;
    if !matches!(between, b'T' | b' ' | b't') {
        return None;
    }
    let time = u64::from_le_bytes(*time.first_chunk()?);
    let pairs = digits_of(time, *b"00:00:00", 0x7676_7F76_767F_7676)?;
    let (hour, minute, second) = ((pairs & 0xFF) as i64, (pairs >> 24 & 0xFF) as i64, (pairs >> 48 & 0xFF) as i64);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = i64::from(day) * DAY + (hour * 3600 + minute * 60 + second) * SECOND;
    if length == ISO_TIMESTAMP_BYTES {
        return Some(micros);
    }
    let rest = text.bytes.get(text.start + ISO_TIMESTAMP_BYTES..text.end)?;
    if let [b'Z'] = rest {
        return Some(micros);
    }
    let (fraction, zone) = fraction(rest)?;
    Some(micros + fraction - offset_seconds(zone)? * SECOND)
}

#[inline(never)]
fn any_date(text: Text<'_>, formats: Formats) -> Option<i32> {
    let mut rest = text.trim().get();
    let day = take_date(&mut rest, formats.date_order)?;
    rest.is_empty().then_some(day)
}

#[inline(never)]
fn any_timestamp(text: Text<'_>, formats: Formats) -> Option<i64> {
    let text = text.trim().get();
    if let Some(micros) = compact_timestamp(text) {
        return Some(micros);
    }
    let mut rest = text;
    let midnight = i64::from(take_date(&mut rest, formats.date_order)?) * DAY;
    match rest {
        [] => Some(midnight),
        [b'T' | b't', time @ ..] => Some(midnight + time_of_day(time)?),
        [b' ', ..] => Some(midnight + time_of_day(past_spaces(rest))?),
        _ => None,
    }
}

/// `YYYYMMDDTHHMMSS[.fraction][zone]`.
fn compact_timestamp(text: &[u8]) -> Option<i64> {
    let &[y1, y2, y3, y4, m1, m2, d1, d2, b'T' | b't', h1, h2, n1, n2, s1, s2, ref rest @ ..] = text else {
        return None;
    };
    let day = days(pair(y1, y2)?, pair(y3, y4)?, pair(m1, m2)?, pair(d1, d2)?)?;
    let time = micros_of(pair(h1, h2)?, pair(n1, n2)?, pair(s1, s2)?)?;
    let (fraction, zone) = fraction(rest)?;
    Some(i64::from(day) * DAY + time + fraction - offset_seconds(zone)? * SECOND)
}

/// Takes a date off the front.
fn take_date(rest: &mut &[u8], order: DateOrder) -> Option<i32> {
    if rest.first()?.is_ascii_alphabetic() {
        let month = take_month(rest)?;
        take_spaces(rest)?;
        let day = take_number(rest, 1, 2)?;
        if let [b',', behind @ ..] = *rest {
            *rest = behind;
        }
        take_spaces(rest)?;
        let year = take_number(rest, 4, 4)?;
        return day_of(year, month, day);
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let first = take_number(rest, 1, 4)?;
    let (&separator, behind) = rest.split_first()?;
    *rest = behind;
    match (digits, separator, rest.first()?) {
        (4, b'-' | b'/', b'0'..=b'9') => {
            let month = take_number(rest, 1, 2)?;
            take(rest, separator)?;
            let day = take_number(rest, 1, 2)?;
            day_of(first, month, day)
        }
        (1 | 2, b'-' | b' ', b'a'..=b'z' | b'A'..=b'Z') => {
            let month = take_month(rest)?;
            take(rest, separator)?;
            let year = take_number(rest, 4, 4)?;
            day_of(year, month, first)
        }
        (1 | 2, b'.' | b'/' | b'-', b'0'..=b'9') => {
            let second = take_number(rest, 1, 2)?;
            take(rest, separator)?;
            let year = take_number(rest, 4, 4)?;
            match (separator, order) {
                (b'.', _) | (_, DateOrder::DayFirst) => day_of(year, second, first),
                (_, DateOrder::MonthFirst) => day_of(year, first, second),
                (_, DateOrder::None) => None,
            }
        }
        _ => None,
    }
}

fn day_of(year: u32, month: u32, day: u32) -> Option<i32> {
    days(year / 100, year % 100, month, day)
}

fn take(rest: &mut &[u8], byte: u8) -> Option<()> {
    *rest = rest.strip_prefix(&[byte])?;
    Some(())
}

/// At least one space.
fn take_spaces(rest: &mut &[u8]) -> Option<()> {
    take(rest, b' ')?;
    *rest = past_spaces(rest);
    Some(())
}

fn past_spaces(mut text: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] = text {
        text = rest;
    }
    text
}

/// A number of `least` to `most` digits; no digit may follow.
fn take_number(rest: &mut &[u8], least: usize, most: usize) -> Option<u32> {
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length < least || length > most {
        return None;
    }
    let (digits, behind) = rest.split_at(length);
    *rest = behind;
    Some(digits.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
}

/// The English name of a month or its first three letters, in any case.
fn take_month(rest: &mut &[u8]) -> Option<u32> {
    const NAMES: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let length = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (word, behind) = rest.split_at(length);
    let is =
        |name: &&str| word.eq_ignore_ascii_case(name.as_bytes()) || word.eq_ignore_ascii_case(&name.as_bytes()[..3]);
    let month = NAMES.iter().position(is)?;
    *rest = behind;
    Some(month as u32 + 1)
}

/// Microseconds since midnight, in UTC.
fn time_of_day(mut rest: &[u8]) -> Option<i64> {
    let rest = &mut rest;
    let mut hour = take_number(rest, 1, 2)?;
    take(rest, b':')?;
    let minute = take_number(rest, 2, 2)?;
    let (mut second, mut micros) = (0, 0);
    if take(rest, b':').is_some() {
        second = take_number(rest, 2, 2)?;
        (micros, *rest) = fraction(rest)?;
    }
    let behind = past_spaces(rest);
    if let [half @ (b'a' | b'A' | b'p' | b'P'), b'm' | b'M', zone @ ..] = behind {
        if !(1..=12).contains(&hour) {
            return None;
        }
        hour = hour % 12 + if half.eq_ignore_ascii_case(&b'p') { 12 } else { 0 };
        *rest = zone;
    }
    Some(micros_of(hour, minute, second)? + micros - offset_seconds(rest)? * SECOND)
}

fn micros_of(hour: u32, minute: u32, second: u32) -> Option<i64> {
    let fits = hour <= 23 && minute <= 59 && second <= 59;
    fits.then(|| i64::from(hour * 3600 + minute * 60 + second) * SECOND)
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

/// Seconds east of UTC of a zone, or of nothing.
fn offset_seconds(zone: &[u8]) -> Option<i64> {
    let zone = past_spaces(zone);
    let (sign, hour, minute) = match *zone {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'U' | b'u', b'T' | b't', b'C' | b'c'] | [b'G' | b'g', b'M' | b'm', b'T' | b't'] => return Some(0),
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => (sign, pair(h1, h2)?, pair(m1, m2)?),
        [sign, h1, h2] => (sign, pair(h1, h2)?, 0),
        _ => return None,
    };
    let seconds = i64::from(hour * 3600 + minute * 60);
    match sign {
        _ if hour > 23 || minute > 59 => None,
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

fn pair(tens: u8, ones: u8) -> Option<u32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

/// `YYYY-MM-DD`, as most files have it.
#[inline(always)]
pub(crate) fn is_iso_date(text: Text<'_>) -> bool {
    text.len() == ISO_DATE_BYTES && text.first_chunk().and_then(iso_date).is_some()
}

/// `YYYY-MM-DD[T ]HH:MM:SS[.fraction][zone]`, as most files have it.
#[inline(always)]
pub(crate) fn is_iso_timestamp(text: Text<'_>) -> bool {
    iso_timestamp(text).is_some()
}
