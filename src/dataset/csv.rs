//! How a CSV file is written, as far as the configuration says.

use std::collections::BTreeMap;

use super::Ragged;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How a CSV file is written. `None` means: find out from the file. What is set is obeyed.
///
/// What was added after the first release is left out of the JSON when it is not set, so that the hash of a
/// configuration ([`super::Dataset::config_hash`]) is the same as before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CsvOptions {
    /// Field delimiter, one ASCII character.
    pub delimiter: Option<char>,
    /// Quote character, one ASCII character, or none: then quotes are ordinary characters.
    pub quote: Option<Mark>,
    /// Whether there is a header that names the columns. `true` leaves open how many rows it has.
    pub header: Option<bool>,
    /// Spellings of null besides the empty unquoted field. `None`: [`DEFAULT_NULLS`].
    pub nulls: Option<Vec<String>>,
    /// Character encoding, by its WHATWG label (`utf-8`, `windows-1252`, `utf-16le`, …).
    pub encoding: Option<String>,
    /// Escape character within quotes, or none: then a doubled quote stands for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escape: Option<Mark>,
    /// What ends a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newline: Option<Newline>,
    /// Lines above the header that are no part of the table. At most [`SKIP_LINES_MAX`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skip_lines: Option<u64>,
    /// Rows of the header; 0: there is none. At most [`HEADER_ROWS_MAX`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header_rows: Option<u32>,
    /// A record that begins with this ASCII character is no row, wherever it stands. `None`: there are no comments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<char>,
    /// Spellings of null of single columns, by their names; they stand in for `nulls`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub column_nulls: BTreeMap<String, Vec<String>>,
    /// Which comes first in `01/02/2026`, the day or the month. `None`: such a text is no date unless it is plain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_order: Option<DateOrder>,
    /// `1.234,5` is a number. `None`: it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decimal_comma: Option<bool>,
    /// What becomes of rows with more or fewer fields than there are columns.
    #[serde(skip_serializing_if = "Ragged::is_default")]
    pub ragged: Ragged,
}

impl CsvOptions {
    /// Rows of the header, as far as the options say: `header = false` is 0, `header = true` leaves it open.
    pub fn rows_of_header(&self) -> Option<u32> {
        self.header_rows.or_else(|| (self.header == Some(false)).then_some(0))
    }

    /// Whether there is a header, as far as the options say.
    pub fn has_header(&self) -> Option<bool> {
        self.header_rows.map(|rows| rows > 0).or(self.header)
    }
}

/// Spellings of null that are recognised when `nulls` is not set; matched whole and with their case.
pub const DEFAULT_NULLS: &[&str] = &["", "NA", "N/A", "NULL", "null"];

/// Rows of a header at most.
pub const HEADER_ROWS_MAX: u32 = 8;

/// Lines above a header that can be skipped at most.
pub const SKIP_LINES_MAX: u64 = 10_000;

/// A character with a meaning, or that there is none with it. In JSON the character, or empty text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub Option<char>);

impl Mark {
    /// No character has the meaning.
    pub const NONE: Mark = Mark(None);
}

impl From<char> for Mark {
    fn from(character: char) -> Self {
        Mark(Some(character))
    }
}

impl Serialize for Mark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.map(String::from).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Mark {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (one, None) => Ok(Mark(one)),
            _ => Err(de::Error::invalid_value(de::Unexpected::Str(&text), &"one character, or empty text")),
        }
    }
}

/// What ends a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Newline {
    /// LF or CRLF.
    Lf,
    /// CR alone: old Macintosh files.
    Cr,
}

impl Newline {
    /// The byte that a record ends with; a CR before an LF belongs to the line end, too.
    pub fn byte(self) -> u8 {
        match self {
            Newline::Lf => b'\n',
            Newline::Cr => b'\r',
        }
    }
}

/// Which of day and month comes first in a date of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DateOrder {
    /// Day, month, year: `31/12/2026`, `31.12.2026`.
    Dmy,
    /// Month, day, year: `12/31/2026`.
    Mdy,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;

    #[test]
    fn options_that_are_not_set_leave_the_configurations_hash_as_it_was() {
        let json = serde_json::to_string(&CsvOptions::default()).unwrap();
        assert_eq!(json, r#"{"delimiter":null,"quote":null,"header":null,"nulls":null,"encoding":null}"#);
        let set = CsvOptions { quote: Some('\''.into()), ..CsvOptions::default() };
        assert_eq!(
            serde_json::to_string(&set).unwrap(),
            r#"{"delimiter":null,"quote":"'","header":null,"nulls":null,"encoding":null}"#
        );
    }

    #[test]
    fn every_option_that_is_set_changes_the_hash_and_comes_back_from_json() {
        let plain = Dataset::new("a", "a/");
        let set = |change: fn(&mut CsvOptions)| {
            let mut dataset = plain.clone();
            change(&mut dataset.csv);
            let json = serde_json::to_string(&dataset).unwrap();
            assert_eq!(serde_json::from_str::<Dataset>(&json).unwrap(), dataset);
            assert_ne!(dataset.config_hash(), plain.config_hash());
        };
        set(|csv| csv.quote = Some(Mark::NONE));
        set(|csv| csv.escape = Some('\\'.into()));
        set(|csv| csv.newline = Some(Newline::Cr));
        set(|csv| csv.skip_lines = Some(0));
        set(|csv| csv.header_rows = Some(2));
        set(|csv| csv.comment = Some('#'));
        set(|csv| csv.column_nulls = BTreeMap::from([("a".into(), vec!["-".into()])]));
        set(|csv| csv.date_order = Some(DateOrder::Dmy));
        set(|csv| csv.decimal_comma = Some(true));
    }
}
