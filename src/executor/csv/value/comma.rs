//! Numbers with a comma before the fraction and points between thousands.

use super::Text;

/// Characters of a number that are rewritten without an allocation, and those that follow it.
const SHORT_BYTES_MAX: usize = 56;
/// Digits between two points.
const GROUP_DIGITS: usize = 3;

/// Hands the number on as it is written with a point: `1.234,5` as `1234.5`. Points that do not stand between groups
/// of three digits are none of thousands, hence the text no number.
pub(super) fn with_point<T>(text: &[u8], read: impl FnOnce(Text<'_>) -> Option<T>) -> Option<T> {
    if !text.iter().any(|byte| matches!(byte, b',' | b'.')) {
        return read(text.into());
    }
    let (mut short, mut long) = ([0; SHORT_BYTES_MAX + 8], Vec::new());
    let buffer: &mut [u8] = if text.len() <= SHORT_BYTES_MAX {
        &mut short
    } else {
        long.resize(text.len(), 0);
        &mut long
    };
    let mut length = 0;
    let mut push = |byte| {
        buffer[length] = byte;
        length += 1;
    };
    let (whole, behind) = match text.iter().position(|&byte| byte == b',') {
        Some(comma) => (&text[..comma], Some(&text[comma + 1..])),
        None => (text, None),
    };
    let digits = whole.iter().position(|byte| !matches!(byte, b'-' | b'+')).unwrap_or(whole.len());
    if whole.contains(&b'.') && !is_grouped(&whole[digits..]) {
        return None;
    }
    whole.iter().filter(|&&byte| byte != b'.').for_each(|&byte| push(byte));
    if let Some(behind) = behind {
        if behind.contains(&b'.') {
            return None;
        }
        push(b'.');
        behind.iter().for_each(|&byte| push(byte));
    }
    read(Text::new(buffer, 0, length))
}

/// `1.234.567`: one to three digits, the first no zero, then threes.
fn is_grouped(digits: &[u8]) -> bool {
    digits.split(|&byte| byte == b'.').enumerate().all(|(at, group)| {
        let fits = if at == 0 {
            (1..=GROUP_DIGITS).contains(&group.len()) && group[0] != b'0'
        } else {
            group.len() == GROUP_DIGITS
        };
        fits && group.iter().all(u8::is_ascii_digit)
    })
}
