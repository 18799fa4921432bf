//! What a single value of an event is held against.

use std::net::IpAddr;

use serde_json::{Number, Value};

/// A condition on one string, number, boolean or null.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Matcher {
    Text(String),
    Number(Number),
    /// `true`, `false`, `null`.
    Constant(Value),
    Prefix(String),
    Suffix(String),
    /// In lower case, as the next two.
    EqualsIgnoreCase(String),
    PrefixIgnoreCase(String),
    SuffixIgnoreCase(String),
    Wildcard(Wildcard),
    Range(Range),
    Cidr(Cidr),
    Exists,
    /// None of these holds.
    AnythingBut(Vec<Matcher>),
}

impl Matcher {
    pub(super) fn matches(&self, value: &Value) -> bool {
        let text = value.as_str();
        let folded = |test: &dyn Fn(&str) -> bool| text.is_some_and(|text| test(&text.to_lowercase()));
        match self {
            Matcher::Text(wanted) => text == Some(wanted),
            Matcher::Number(wanted) => value.as_number().is_some_and(|number| equal(number, wanted)),
            Matcher::Constant(wanted) => value == wanted,
            Matcher::Prefix(prefix) => text.is_some_and(|text| text.starts_with(prefix)),
            Matcher::Suffix(suffix) => text.is_some_and(|text| text.ends_with(suffix)),
            Matcher::EqualsIgnoreCase(wanted) => folded(&|text| text == wanted),
            Matcher::PrefixIgnoreCase(prefix) => folded(&|text| text.starts_with(prefix)),
            Matcher::SuffixIgnoreCase(suffix) => folded(&|text| text.ends_with(suffix)),
            Matcher::Wildcard(wildcard) => text.is_some_and(|text| wildcard.matches(text)),
            Matcher::Range(range) => value.as_number().and_then(Number::as_f64).is_some_and(|it| range.contains(it)),
            Matcher::Cidr(cidr) => text.and_then(|text| text.parse().ok()).is_some_and(|address| cidr.has(address)),
            Matcher::Exists => true,
            Matcher::AnythingBut(excluded) => !excluded.iter().any(|one| one.matches(value)),
        }
    }
}

/// 300, 300.0 and 3e2 are one number; integers beyond what a double holds are told apart.
fn equal(one: &Number, other: &Number) -> bool {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => one == other,
        _ => one.as_f64() == other.as_f64(),
    }
}

/// Literal text between asterisks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wildcard {
    /// What the text begins with.
    first: String,
    /// What follows each asterisk; the last one ends the text.
    rest: Vec<String>,
}

impl Wildcard {
    /// Reads a pattern in which `\*` and `\\` stand for an asterisk and a backslash.
    pub(super) fn parse(pattern: &str) -> Result<Wildcard, String> {
        let mut pieces = vec![String::new()];
        let mut letters = pattern.char_indices().peekable();
        while let Some((place, letter)) = letters.next() {
            // AWS counts positions from the value's opening quote.
            let place = place + 1;
            let next = letters.peek().map(|(_, next)| *next);
            let literal = match (letter, next) {
                ('*', Some('*')) => return Err(format!("Consecutive wildcard characters at pos {place}")),
                ('*', _) => {
                    pieces.push(String::new());
                    continue;
                }
                ('\\', Some(next @ ('*' | '\\'))) => {
                    letters.next();
                    next
                }
                ('\\', _) => return Err(format!("Invalid escape character at pos {place}")),
                (letter, _) => letter,
            };
            if let Some(piece) = pieces.last_mut() {
                piece.push(literal);
            }
        }
        let first = pieces.remove(0);
        Ok(Wildcard { first, rest: pieces })
    }

    fn matches(&self, text: &str) -> bool {
        let Some((last, middle)) = self.rest.split_last() else { return text == self.first };
        let Some(mut text) = text.strip_prefix(self.first.as_str()) else { return false };
        for piece in middle {
            // The first place is the best one: it leaves most for the pieces to come.
            let Some(place) = text.find(piece.as_str()) else { return false };
            text = &text[place + piece.len()..];
        }
        text.ends_with(last.as_str())
    }
}

/// Numbers between two bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub(super) low: Option<Bound>,
    pub(super) high: Option<Bound>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bound {
    pub(super) value: f64,
    pub(super) inclusive: bool,
}

impl Range {
    fn contains(&self, number: f64) -> bool {
        let above = |low: Bound| number > low.value || low.inclusive && number == low.value;
        let below = |high: Bound| number < high.value || high.inclusive && number == high.value;
        self.low.is_none_or(above) && self.high.is_none_or(below)
    }
}

/// A block of IP addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cidr {
    address: IpAddr,
    bits: u32,
}

impl Cidr {
    pub(super) fn parse(text: &str) -> Result<Cidr, String> {
        let mut parts = text.split('/');
        let (Some(address), Some(bits), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err("Malformed CIDR, one '/' required".into());
        };
        let bits: i64 = bits.parse().map_err(|_| "Malformed CIDR, mask bits must be an integer")?;
        let address: IpAddr = address.parse().map_err(|_| format!("Nonstandard IP address: {address}"))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        match u32::try_from(bits) {
            Ok(bits) if bits <= most => Ok(Cidr { address, bits }),
            Ok(_) => Err(format!("Malformed CIDR, mask bits must be at most {most}")),
            Err(_) => Err("Malformed CIDR, mask bits must not be negative".into()),
        }
    }

    fn has(&self, other: IpAddr) -> bool {
        let differ = match (self.address, other) {
            (IpAddr::V4(one), IpAddr::V4(other)) => u128::from(one.to_bits() ^ other.to_bits()) << 96,
            (IpAddr::V6(one), IpAddr::V6(other)) => one.to_bits() ^ other.to_bits(),
            _ => return false,
        };
        differ.leading_zeros() >= self.bits
    }
}
