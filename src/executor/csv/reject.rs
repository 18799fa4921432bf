//! A row that is set aside: where it was, why, and its text.

use std::{borrow::Cow, fmt::Write};

/// Why a row was rejected by lake itself. The text form is what the rejects table and the reports hold; it never
/// changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// Fewer fields than columns.
    TooFewFields,
    /// More fields than columns.
    TooManyFields,
    /// A value in a column that the table does not have, and is not to get.
    UnknownColumn,
    /// A value that the column's type cannot hold.
    TypeMismatch,
    /// Bytes that are no text in the file's encoding.
    InvalidUtf8,
    /// A quote that never closes.
    UnterminatedQuote,
    /// Text between a closing quote and the next delimiter.
    StrayQuote,
    /// A record longer than [`super::RECORD_BYTES_MAX`].
    RecordTooLarge,
}

/// Put before a code of a plugin that is one of lake's own, so that a report tells which of the two set a row aside.
pub const PLUGIN_CODE_PREFIX: &str = "plugin_";

impl Code {
    /// Each of them.
    pub const ALL: [Code; 8] = [
        Code::TooFewFields,
        Code::TooManyFields,
        Code::UnknownColumn,
        Code::TypeMismatch,
        Code::InvalidUtf8,
        Code::UnterminatedQuote,
        Code::StrayQuote,
        Code::RecordTooLarge,
    ];

    /// Its text form.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::TooFewFields => "too_few_fields",
            Code::TooManyFields => "too_many_fields",
            Code::UnknownColumn => "unknown_column",
            Code::TypeMismatch => "type_mismatch",
            Code::InvalidUtf8 => "invalid_utf8",
            Code::UnterminatedQuote => "unterminated_quote",
            Code::StrayQuote => "stray_quote",
            Code::RecordTooLarge => "record_too_large",
        }
    }
}

/// The code of a row that a plugin has rejected, as reports and the rejects table have it: the plugin's own, unless
/// that is one of lake's.
pub(crate) fn plugin_code(code: String) -> Cow<'static, str> {
    match is_lakes(&code) {
        true => format!("{PLUGIN_CODE_PREFIX}{code}").into(),
        false => code.into(),
    }
}

/// Whether a code is one of lake's own.
pub(crate) fn is_lakes(code: &str) -> bool {
    Code::ALL.iter().any(|own| own.as_str() == code)
}

/// A rejected row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reject {
    pub line: u64,
    pub offset: u64,
    pub column: Option<String>,
    /// A [`Code`]'s text, or [`plugin_code`].
    pub code: Cow<'static, str>,
    pub message: String,
    pub raw: String,
    pub truncated: bool,
}

/// Bytes as text that loses nothing a person needs: what is no UTF-8 becomes `\xNN`.
pub(crate) fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02X}"); // writing to a String cannot fail
        }
    }
    text
}

/// A value for a message: on one line, at most [`QUOTED_CHARS_MAX`] characters.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(4 * QUOTED_CHARS_MAX)];
    let text = readable(head);
    let mut short: String = text.chars().take(QUOTED_CHARS_MAX).flat_map(char::escape_debug).collect();
    if head.len() < bytes.len() || text.chars().count() > QUOTED_CHARS_MAX {
        short.push('…');
    }
    format!("`{short}`")
}

/// Characters of a value that a message shows.
const QUOTED_CHARS_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugins_code_stays_as_it_is_unless_it_is_one_of_lakes() {
        assert_eq!(plugin_code("impossible_time".into()), "impossible_time");
        assert_eq!(plugin_code("type_mismatch".into()), "plugin_type_mismatch");
        for code in Code::ALL {
            assert_ne!(plugin_code(code.as_str().into()), code.as_str());
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_spelled_out() {
        assert_eq!(readable(b"caf\xe9,\xff\xfe1"), "caf\\xE9,\\xFF\\xFE1");
        assert_eq!(readable("naïve".as_bytes()), "naïve");
    }

    #[test]
    fn a_long_value_is_shortened_in_a_message_and_stays_on_one_line() {
        assert_eq!(quoted(b"a\nb"), "`a\\nb`");
        let long = quoted("é".repeat(500).as_bytes());
        assert_eq!(long.chars().count(), QUOTED_CHARS_MAX + 3);
        assert!(long.ends_with("…`"));
    }
}
