//! What becomes of files that are not as the table is: other columns, rows of another length, rows that do not fit.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What happens when a later file brings columns that the table does not have. A column that the table has never
/// changes its type: values that do not fit it are set aside with their rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchemaChange {
    /// They are added to the table, and are null in the rows that came before.
    Evolve,
    /// The file is refused as a whole.
    Freeze,
    /// The file is read by the table's columns; rows with a value in another one are set aside.
    Reject,
}

/// What becomes of a row with more or fewer fields than the file has columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ragged {
    /// It is set aside.
    #[default]
    Reject,
    /// Fields that it lacks at its end are null; one with more fields is set aside.
    Pad,
    /// The file is refused as a whole.
    Fail,
}

impl Ragged {
    pub(super) fn is_default(&self) -> bool {
        *self == Ragged::default()
    }
}

/// All rows, in the unit of [`MaxRejects::Percent`].
const MILLION: u32 = 1_000_000;

/// Decimals of a percentage: those that are whole millionths.
const PERCENT_DECIMALS_MAX: usize = 4;

/// How many rows of a file may be set aside; with more of them it is refused as a whole.
///
/// Written as a number of rows, or as a share: `"2.5%"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Spelled", into = "Spelled")]
pub enum MaxRejects {
    /// So many.
    Rows(u64),
    /// A share of the rows that were read.
    Percent {
        /// So many of a million rows, at most all of them.
        millionths: u32,
    },
}

impl MaxRejects {
    /// How many of `read` rows may be set aside.
    pub fn allowed(self, read: u64) -> u64 {
        match self {
            MaxRejects::Rows(rows) => rows,
            MaxRejects::Percent { millionths } => {
                let share = u128::from(read) * u128::from(millionths) / u128::from(MILLION);
                u64::try_from(share).unwrap_or(read)
            }
        }
    }
}

impl fmt::Display for MaxRejects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millionths = match self {
            MaxRejects::Rows(rows) => return write!(f, "{rows}"),
            MaxRejects::Percent { millionths } => *millionths,
        };
        let (whole, rest) = (millionths / 10_000, millionths % 10_000);
        match rest {
            0 => write!(f, "{whole}%"),
            rest => write!(f, "{whole}.{}%", format!("{rest:04}").trim_end_matches('0')),
        }
    }
}

/// The text is no share of rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it must be a number of rows, or a share of them from \"0%\" to \"100%\" with at most four decimals")]
pub struct ParseMaxRejectsError;

impl FromStr for MaxRejects {
    type Err = ParseMaxRejectsError;

    /// Reads a share; a number of rows is no text.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix('%').map(str::trim_end).ok_or(ParseMaxRejectsError)?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !is_number(whole) || !is_number(decimals) || whole.len() > 3 || decimals.len() > PERCENT_DECIMALS_MAX {
            return Err(ParseMaxRejectsError);
        }
        let digits = format!("{whole}{decimals:0<PERCENT_DECIMALS_MAX$}");
        let millionths = digits.parse().ok().filter(|millionths| *millionths <= MILLION).ok_or(ParseMaxRejectsError)?;
        Ok(MaxRejects::Percent { millionths })
    }
}

/// [`MaxRejects`] in JSON.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum Spelled {
    Rows(u64),
    Share(String),
}

impl From<MaxRejects> for Spelled {
    fn from(max: MaxRejects) -> Self {
        match max {
            MaxRejects::Rows(rows) => Spelled::Rows(rows),
            share @ MaxRejects::Percent { .. } => Spelled::Share(share.to_string()),
        }
    }
}

impl TryFrom<Spelled> for MaxRejects {
    type Error = ParseMaxRejectsError;

    fn try_from(spelled: Spelled) -> Result<Self, Self::Error> {
        match spelled {
            Spelled::Rows(rows) => Ok(MaxRejects::Rows(rows)),
            Spelled::Share(text) => text.parse(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dataset::{Column, ColumnType, Dataset};

    #[test]
    fn shares_of_rows_are_read_to_the_millionth_and_nothing_else_is() {
        let share = |text: &str| text.parse::<MaxRejects>();
        for (text, millionths) in [("0%", 0), ("1%", 10_000), ("2.5 %", 25_000), ("0.0001%", 1), ("100.0%", MILLION)] {
            assert_eq!(share(text), Ok(MaxRejects::Percent { millionths }), "{text}");
        }
        for text in ["", "5", "%", "-1%", "+1%", ".5%", "5.%", "100.0001%", "0.00001%", "1e1%", "1,5%", "1000%"] {
            assert_eq!(share(text), Err(ParseMaxRejectsError), "{text}");
        }
    }

    #[test]
    fn a_share_allows_whole_rows_only_and_never_more_than_were_read() {
        let half = MaxRejects::Percent { millionths: MILLION / 2 };
        assert_eq!([0, 1, 3, u64::MAX].map(|read| half.allowed(read)), [0, 0, 1, u64::MAX / 2]);
        assert_eq!(MaxRejects::Percent { millionths: MILLION }.allowed(u64::MAX), u64::MAX);
        assert_eq!(MaxRejects::Rows(7).allowed(0), 7);
    }

    #[test]
    fn only_what_changes_the_rows_of_a_file_makes_its_output_stale() {
        let plain = Dataset::new("t", "t/");
        let with = |change: fn(&mut Dataset)| {
            let mut dataset = plain.clone();
            change(&mut dataset);
            dataset.config_hash()
        };
        assert_eq!(with(|it| it.max_rejects = Some(MaxRejects::Rows(1))), plain.config_hash());
        assert_eq!(with(|it| it.schema_change = Some(SchemaChange::Freeze)), plain.config_hash());
        assert_eq!(with(|it| it.csv.ragged = Ragged::Fail), plain.config_hash());
        assert_ne!(with(|it| it.schema_change = Some(SchemaChange::Reject)), plain.config_hash());
        assert_ne!(with(|it| it.csv.ragged = Ragged::Pad), plain.config_hash());
    }

    #[test]
    fn a_manifest_without_them_is_as_it_was_before_they_were() {
        let mut dataset = Dataset::new("t", "t/");
        let json = serde_json::to_string(&dataset).unwrap();
        assert!(!["schema_change", "max_rejects", "ragged"].iter().any(|key| json.contains(key)), "{json}");
        assert_eq!(serde_json::from_str::<Dataset>(&json).unwrap(), dataset);
        assert_eq!(dataset.schema_change(), SchemaChange::Evolve);
        dataset.schema = Some(vec![Column { name: "a".into(), ty: ColumnType::Date }]);
        assert_eq!(dataset.schema_change(), SchemaChange::Freeze);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_the_same(millionths in 0..=MILLION, rows in any::<u64>()) {
            for max in [MaxRejects::Percent { millionths }, MaxRejects::Rows(rows)] {
                let json = serde_json::to_string(&max).unwrap();
                prop_assert_eq!(serde_json::from_str::<MaxRejects>(&json).unwrap(), max);
            }
        }
    }
}
