//! What one cell looks like. Coarser than types: it tells tables from prose and names from values, no more.

use super::super::value::{self, Kinds};

/// What a cell looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Look {
    Empty,
    /// A usual spelling of a value that is not there.
    Null,
    Number,
    Date,
    Time,
    Boolean,
    /// An address of the web, of mail or of a machine.
    Address,
    /// One word with a digit in it.
    Code,
    /// Other text.
    Text,
    /// Text in which another delimiter stands: it may have been cut in the wrong places.
    Mixed,
}

/// How many there are.
pub(super) const LOOKS: usize = 10;

impl Look {
    /// Of a cell's bytes, spaces around them taken off. `mixed`: whether a byte is another delimiter.
    pub fn of(text: &[u8], mixed: impl Fn(u8) -> bool) -> Look {
        if text.is_empty() {
            return Look::Empty;
        }
        if is_null(text) {
            return Look::Null;
        }
        let kinds = value::classify(text).0;
        if kinds.has(Kinds::DATE.or(Kinds::TIMESTAMP)) || is_date(text) {
            Look::Date
        } else if kinds.has(Kinds::BOOLEAN) {
            Look::Boolean
        } else if kinds != Kinds::NONE || is_number(text) {
            Look::Number
        } else if is_time(text) {
            Look::Time
        } else if is_address(text) {
            Look::Address
        } else if has_foreign(text, mixed) {
            Look::Mixed
        } else if !text.contains(&b' ') && text.iter().any(u8::is_ascii_digit) {
            Look::Code
        } else {
            Look::Text
        }
    }

    /// It says what its column holds: no name of a column looks so.
    pub fn is_typed(self) -> bool {
        matches!(self, Look::Number | Look::Date | Look::Time | Look::Boolean | Look::Address)
    }

    pub fn is_text(self) -> bool {
        matches!(self, Look::Code | Look::Text | Look::Mixed)
    }

    /// There is something in it.
    pub fn is_filled(self) -> bool {
        self != Look::Empty
    }
}

/// A delimiter in prose is followed by a space; any other may have been one.
fn has_foreign(text: &[u8], mixed: impl Fn(u8) -> bool) -> bool {
    let mut next = text.iter().skip(1).chain([&b' ']);
    text.iter().any(|&byte| {
        let followed_by_space = next.next() == Some(&b' ');
        mixed(byte) && !followed_by_space
    })
}

/// `https://…`, `ann@example.com`, `192.0.2.1`.
fn is_address(text: &[u8]) -> bool {
    if text.iter().any(|byte| matches!(byte, b' ' | b'\n' | b'"')) {
        return false;
    }
    let mail = || {
        let at = memchr::memchr(b'@', text).filter(|&at| at > 0);
        at.is_some_and(|at| memchr::memchr(b'.', &text[at..]).is_some_and(|dot| dot > 1))
    };
    let machine = || {
        let parts: Vec<&[u8]> = text.split(|&byte| byte == b'.').collect();
        parts.len() == 4 && parts.iter().all(|part| matches!(part.len(), 1..=3) && part.iter().all(u8::is_ascii_digit))
    };
    let web = text.starts_with(b"http://") || text.starts_with(b"https://");
    web || mail() || machine()
}

fn is_null(text: &[u8]) -> bool {
    const SPELLINGS: [&[u8]; 9] = [b"NA", b"N/A", b"NULL", b"None", b"NaN", b"#N/A", b"-", b"?", b"."];
    SPELLINGS.iter().any(|spelling| text.eq_ignore_ascii_case(spelling)) || text == b"\\N"
}

/// A number as people write it: a sign, a currency, groups of thousands, a decimal comma, a percent sign.
fn is_number(text: &[u8]) -> bool {
    let text = text.strip_suffix(b"%").map_or(text, value::trim);
    let text = match text {
        [b'(', inner @ .., b')'] => inner,
        _ => text,
    };
    let mut digits = text;
    // The signs of Euro and Pound are two and three bytes of UTF-8.
    for sign in [&b"-"[..], b"+", b"$", "€".as_bytes(), "£".as_bytes(), b"-"] {
        digits = value::trim(digits.strip_prefix(sign).unwrap_or(digits));
    }
    digits = value::trim(digits.strip_suffix("€".as_bytes()).unwrap_or(digits));
    let [b'0'..=b'9' | b'.' | b',', ..] = digits else { return false };
    let groups: Vec<&[u8]> = digits.split(|byte| matches!(byte, b'.' | b',' | b'\'')).collect();
    let of_digits = |group: &&[u8]| group.iter().all(u8::is_ascii_digit);
    if !groups.iter().all(of_digits) {
        return false;
    }
    match groups.as_slice() {
        [first, last] => !last.is_empty() || !first.is_empty(),
        [first, middle @ .., last] => {
            matches!(first.len(), 1..=3) && middle.iter().all(|group| group.len() == 3) && !last.is_empty()
        }
        // Digits alone: that there are some has been seen.
        _ => true,
    }
}

const MONTHS: [&[u8]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

/// Three parts of day, month and year in any order, a time behind them or none.
fn is_date(text: &[u8]) -> bool {
    let end = text.iter().position(|byte| matches!(byte, b' ' | b'T')).unwrap_or(text.len());
    let (date, rest) = text.split_at(end);
    if !rest.is_empty() && !is_time(&rest[1..]) {
        return false;
    }
    let Some(&separator) = date.iter().find(|byte| matches!(byte, b'/' | b'-' | b'.')) else { return false };
    let parts: Vec<&[u8]> = date.split(|&byte| byte == separator).collect();
    let [first, second, third] = parts.as_slice() else { return false };
    let number = |part: &[u8], digits: &[usize], most: u32| {
        digits.contains(&part.len()) && part.iter().all(u8::is_ascii_digit) && {
            part.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')) <= most
        }
    };
    let month = |part: &[u8]| number(part, &[1, 2], 12) || part.get(..3).is_some_and(is_month);
    let day = |part: &[u8]| number(part, &[1, 2], 31);
    let year = |part: &[u8]| number(part, &[4], 9999) || (separator != b'.' && number(part, &[2], 99));
    (day(first) && month(second) && year(third))
        || (month(first) && day(second) && year(third))
        || (number(first, &[4], 9999) && month(second) && day(third))
}

fn is_month(name: &[u8]) -> bool {
    MONTHS.iter().any(|month| name.eq_ignore_ascii_case(month))
}

/// `h:mm`, `hh:mm:ss`, with a fraction, a half of the day or a zone behind it.
fn is_time(text: &[u8]) -> bool {
    let mut parts = text.split(|&byte| byte == b':');
    let two = |part: &[u8]| part.len() == 2 && part.iter().all(u8::is_ascii_digit);
    let hour = parts.next().is_some_and(|hour| matches!(hour.len(), 1 | 2) && hour.iter().all(u8::is_ascii_digit));
    let Some(minute) = parts.next().filter(|_| hour) else { return false };
    if !minute.get(..2).is_some_and(two) {
        return false;
    }
    let rest = match parts.next() {
        None => &minute[2..],
        Some(second) if minute.len() == 2 && second.get(..2).is_some_and(two) => &second[2..],
        Some(_) => return false,
    };
    rest.iter().all(|byte| byte.is_ascii_digit() || b".,Z+- APMapm".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str) -> Look {
        Look::of(text.as_bytes(), |byte| b",;|".contains(&byte))
    }

    #[test]
    fn numbers_are_seen_as_people_write_them() {
        for text in ["1", "-1.5", "1e9", "$74.69", "€ 5", "1.234,56", "1,234,567.8", "12 %", "(3.5)", "007", "+4", ".5"]
        {
            assert_eq!(look(text), Look::Number, "{text}");
        }
        for text in ["1.2.3.4", "12,34,5", "$", "5x", "1-2"] {
            assert_ne!(look(text), Look::Number, "{text}");
        }
    }

    #[test]
    fn dates_and_times_are_seen_in_the_usual_orders() {
        for text in [
            "28/01/2018",
            "1/28/18",
            "2018-01-28",
            "28.01.2018",
            "5-Jan-2019",
            "2018-01-28T10:00:00Z",
            "1/2/03 5:07 PM",
        ] {
            assert_eq!(look(text), Look::Date, "{text}");
        }
        for text in ["10:00", "9:05:01.25", "11:15 pm"] {
            assert_eq!(look(text), Look::Time, "{text}");
        }
        for text in ["https://example.com/a,b", "ann@example.com", "192.0.2.1"] {
            assert_eq!(look(text), Look::Address, "{text}");
        }
        for text in ["99/99/2018", "1.2.3", "a:b", "MG-8769", "10:5", "@ann", "a b@example.com"] {
            assert!(!look(text).is_typed(), "{text} is {:?}", look(text));
        }
    }

    #[test]
    fn a_delimiter_in_prose_is_followed_by_a_space() {
        assert_eq!(look("Hello, world"), Look::Text);
        assert_eq!(look("a,b"), Look::Mixed);
        assert_eq!(look("AB12"), Look::Code);
        assert_eq!((look(""), look("n/a")), (Look::Empty, Look::Null));
    }
}
