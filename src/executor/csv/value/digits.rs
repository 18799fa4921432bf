//! Plain numbers, read with arithmetic on whole words: eight characters at a time, no branch on what they are.
//!
//! A word holds characters in the order of their bytes, the first in the lowest; with `0` taken off each, a byte is a
//! digit's value. Words are filled from the top, so that empty bytes are zeros in front of the number.

use super::Text;

/// `0` in each byte.
const ZEROS: u64 = 0x3030_3030_3030_3030;
/// What `.` is in each byte when `0` is taken off (`^`).
const POINTS: u64 = 0x1E1E_1E1E_1E1E_1E1E;
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
/// Added to a byte, it sets the highest bit of all but digits.
const ABOVE_NINE: u64 = 0x7676_7676_7676_7676;
/// `-` becomes `0` by it (`^`).
const MINUS: u64 = (b'-' ^ b'0') as u64;
/// Digits beyond the sixteenth that are taken: three, since 19 digits fit 64 bits.
const LEADING_MAX: u64 = 1000;
/// Characters that [`Plain`] reads at most.
pub(super) const PLAIN_BYTES_MAX: usize = 24;

/// Integers up to this size are exact in a double.
pub(super) const DOUBLE_INTEGER_MAX: u64 = 1 << 53;
/// Significant digits that a double can always be told apart by; more are not found out to be a double.
pub(super) const DOUBLE_DIGITS_MAX: usize = 17;
/// The least number with more digits than that.
const DOUBLE_MANTISSA_END: u64 = 10u64.pow(DOUBLE_DIGITS_MAX as u32);

/// `[-] digits [. digits]` with at least one digit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain {
    pub negative: bool,
    /// All digits as one number.
    pub mantissa: u64,
    pub digits: u32,
    /// Digits behind the point.
    pub fraction: u32,
    pub point: bool,
    /// The character behind the sign.
    pub first: u8,
}

impl Plain {
    /// `None` for what is no plain number, and for some that are: of more than 16 characters (see [`Plain::scan_long`]),
    /// or at the very end of the buffer.
    #[inline(always)]
    pub fn scan(text: Text<'_>) -> Option<Plain> {
        let length = text.len();
        if length.wrapping_sub(1) < 8 {
            Plain::scan_one_word(text)
        } else if length.wrapping_sub(9) < 8 {
            Plain::scan_two_words(text)
        } else {
            None
        }
    }

    #[inline(always)]
    fn scan_one_word(text: Text<'_>) -> Option<Plain> {
        let length = text.len() as u32;
        let (word, negative, first) = without_sign(text.first_word()?);
        let word = word << (64 - 8 * length);
        let point = point_in(word);
        let digits = length - u32::from(negative) - u32::from(point != 0);
        // All without a branch, since columns mix numbers with and without a point: nothing moves when there is none.
        let below = word & point.wrapping_sub(1);
        let word = (below << (8 * u32::from(point != 0))) | (word & (point << 8).wrapping_neg());
        let fraction = 7 - ((point | 1 << 56).trailing_zeros() >> 3);
        (are_digits(word) && digits > 0).then(|| Plain {
            negative,
            mantissa: value(word),
            digits,
            fraction,
            point: point != 0,
            first,
        })
    }

    #[inline(always)]
    fn scan_two_words(text: Text<'_>) -> Option<Plain> {
        let length = text.len() as u32;
        let (high, negative, first) = without_sign(text.first_word()?);
        let mut high = high << (128 - 8 * length);
        let mut low = text.last_word(0)? ^ ZEROS;
        let (in_low, mut in_high, mut fraction) = (point_in(low), 0, 0);
        if in_low != 0 {
            low = without_point(low, in_low) | high >> 56;
            high <<= 8;
            fraction = behind(in_low);
        } else {
            in_high = point_in(high);
            if in_high != 0 {
                high = without_point(high, in_high);
                fraction = 8 + behind(in_high);
            }
        }
        let point = in_low | in_high != 0;
        let digits = length - u32::from(negative) - u32::from(point);
        (are_digits(low) & are_digits(high)).then(|| Plain {
            negative,
            mantissa: value(high) * 100_000_000 + value(low),
            digits,
            fraction,
            point,
            first,
        })
    }

    /// A plain number of 17 to [`PLAIN_BYTES_MAX`] characters, if its digits fit 64 bits.
    #[inline]
    pub fn scan_long(text: Text<'_>) -> Option<Plain> {
        if text.len() <= 16 || text.len() > PLAIN_BYTES_MAX {
            return None;
        }
        let length = text.len() as u32;
        let (high, negative, first) = without_sign(text.first_word()?);
        let mut high = high << (192 - 8 * length);
        let (mut middle, mut low) = (text.last_word(1)? ^ ZEROS, text.last_word(0)? ^ ZEROS);
        // The digits before the point move up through all words before it.
        let (in_high, in_middle, in_low) = (point_in(high), point_in(middle), point_in(low));
        let (mut point, mut fraction) = (true, 0);
        if in_high != 0 {
            high = without_point(high, in_high);
            fraction = 16 + behind(in_high);
        } else if in_middle != 0 {
            middle = without_point(middle, in_middle) | high >> 56;
            high <<= 8;
            fraction = 8 + behind(in_middle);
        } else if in_low != 0 {
            low = without_point(low, in_low) | middle >> 56;
            middle = middle << 8 | high >> 56;
            high <<= 8;
            fraction = behind(in_low);
        } else {
            point = false;
        }
        if !(are_digits(low) & are_digits(middle) & are_digits(high)) || value(high) >= LEADING_MAX {
            return None;
        }
        let mantissa = (value(high) * 100_000_000 + value(middle)) * 100_000_000 + value(low);
        let digits = length - u32::from(negative) - u32::from(point);
        Some(Plain { negative, mantissa, digits, fraction, point, first })
    }

    /// No two numbers written so differently become the same double.
    #[inline(always)]
    pub fn is_exact_in_double(&self) -> bool {
        if self.point { self.mantissa < DOUBLE_MANTISSA_END } else { self.mantissa <= DOUBLE_INTEGER_MAX }
    }

    /// There is a zero in front that says nothing: `007`, `00.5`, not `0.5`.
    #[inline(always)]
    pub fn leading_zero(&self) -> bool {
        self.first == b'0' && self.digits - self.fraction > 1
    }
}

/// `[-] digits`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Integer {
    pub negative: bool,
    pub value: u64,
    pub digits: u32,
    /// The character behind the sign.
    pub first: u8,
}

impl Integer {
    /// There is a zero in front that says nothing: `007`.
    #[inline(always)]
    pub fn leading_zero(&self) -> bool {
        self.first == b'0' && self.digits > 1
    }
}

/// An integer of at most 16 characters; `None` for some at the very end of the buffer, too.
#[inline(always)]
pub(super) fn integer(text: Text<'_>) -> Option<Integer> {
    let length = text.len() as u32;
    if text.len().wrapping_sub(1) < 8 {
        let (word, negative, first) = without_sign(text.first_word()?);
        let word = word << (64 - 8 * length);
        let digits = length - u32::from(negative);
        (are_digits(word) && digits > 0).then(|| Integer { negative, value: value(word), digits, first })
    } else if text.len().wrapping_sub(9) < 8 {
        let (high, negative, first) = without_sign(text.first_word()?);
        let high = high << (128 - 8 * length);
        let low = text.last_word(0)? ^ ZEROS;
        let digits = length - u32::from(negative);
        let value = value(high) * 100_000_000 + value(low);
        (are_digits(low) & are_digits(high)).then_some(Integer { negative, value, digits, first })
    } else {
        None
    }
}

/// An integer of 17 to 20 characters with at most 19 digits that count.
#[inline]
pub(super) fn long_integer(text: Text<'_>) -> Option<Integer> {
    if text.len() <= 16 || text.len() > 20 {
        return None;
    }
    let length = text.len() as u32;
    let (high, negative, first) = without_sign(text.first_word()?);
    let high = high << (192 - 8 * length);
    let (middle, low) = (text.last_word(1)? ^ ZEROS, text.last_word(0)? ^ ZEROS);
    if !(are_digits(low) & are_digits(middle) & are_digits(high)) || value(high) >= LEADING_MAX {
        return None;
    }
    let value = (value(high) * 100_000_000 + value(middle)) * 100_000_000 + value(low);
    Some(Integer { negative, value, digits: length - u32::from(negative), first })
}

/// The values of a number's first characters, with a zero for the minus; the minus; the character behind it.
#[inline(always)]
fn without_sign(word: u64) -> (u64, bool, u8) {
    let negative = word as u8 == b'-';
    let first = (word >> (8 * u32::from(negative))) as u8;
    ((word ^ ZEROS) ^ (MINUS * u64::from(negative)), negative, first)
}

/// The first point's place as the lowest bit of its byte; 0 for none.
#[inline(always)]
fn point_in(word: u64) -> u64 {
    let others = word ^ POINTS;
    let hits = others.wrapping_sub(ONES) & !others & HIGHS;
    (hits & hits.wrapping_neg()) >> 7
}

/// Closes the gap that a point leaves.
#[inline(always)]
fn without_point(word: u64, point: u64) -> u64 {
    ((word & (point - 1)) << 8) | (word & (point << 8).wrapping_neg())
}

/// Bytes behind the point.
#[inline(always)]
fn behind(point: u64) -> u32 {
    7 - (point.trailing_zeros() >> 3)
}

#[inline(always)]
fn are_digits(word: u64) -> bool {
    (word.wrapping_add(ABOVE_NINE) | word) & HIGHS == 0
}

/// Eight digits as one number: pairs, then fours, then all.
#[inline(always)]
fn value(word: u64) -> u64 {
    const PAIRS: u64 = 0x0000_00FF_0000_00FF;
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
    let first_and_third = (pairs & PAIRS).wrapping_mul(100 + (1_000_000 << 32));
    let second_and_fourth = ((pairs >> 16) & PAIRS).wrapping_mul(1 + (10_000 << 32));
    first_and_third.wrapping_add(second_and_fourth) >> 32
}
