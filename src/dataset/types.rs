//! The types a column can have: those that Athena, Spark, DuckDB and Polars all read.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The type of a column. Its text form is what `lake.toml` and `lake show` use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `boolean`
    Boolean,
    /// `int32`: 32-bit signed; only by contract, never found out.
    Int32,
    /// `int64`: 64-bit signed.
    Int64,
    /// `double`: 64-bit IEEE 754.
    Double,
    /// `decimal(p,s)`: up to 38 digits.
    Decimal {
        /// Total digits, 1..=38.
        precision: u8,
        /// Digits after the point, 0..=precision.
        scale: u8,
    },
    /// `date`: days since 1970-01-01.
    Date,
    /// `timestamp`: microseconds since the epoch, UTC.
    Timestamp,
    /// `string`: UTF-8.
    String,
}

/// Largest precision of a decimal: what a 128-bit integer holds.
pub const DECIMAL_PRECISION_MAX: u8 = 38;

impl ColumnType {
    /// The types by whose values files may be told apart: they are written one way only, and are not measured.
    pub const PARTITIONING: [ColumnType; 5] =
        [ColumnType::Boolean, ColumnType::Int32, ColumnType::Int64, ColumnType::Date, ColumnType::String];

    /// The type's name in the Glue Data Catalog (Hive types:
    /// <https://docs.aws.amazon.com/athena/latest/ug/data-types.html>).
    pub fn glue_name(self) -> String {
        match self {
            ColumnType::Boolean => "boolean".into(),
            ColumnType::Int32 => "int".into(),
            ColumnType::Int64 => "bigint".into(),
            ColumnType::Double => "double".into(),
            ColumnType::Decimal { precision, scale } => format!("decimal({precision},{scale})"),
            ColumnType::Date => "date".into(),
            ColumnType::Timestamp => "timestamp".into(),
            ColumnType::String => "string".into(),
        }
    }

    /// The type that a Glue column type stands for; `None` for those that lake does not write.
    pub fn from_glue_name(name: &str) -> Option<Self> {
        match name {
            "int" | "integer" => Some(ColumnType::Int32),
            "bigint" => Some(ColumnType::Int64),
            other => other.parse().ok(),
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ColumnType::Int32 => f.write_str("int32"),
            ColumnType::Int64 => f.write_str("int64"),
            other => f.write_str(&other.glue_name()),
        }
    }
}

/// A type name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a column type; expected one of boolean, int32, int64, double, decimal(p,s), date, timestamp, string"
)]
pub struct ParseTypeError(String);

impl FromStr for ColumnType {
    type Err = ParseTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || ParseTypeError(text.to_owned());
        match text {
            "boolean" => Ok(ColumnType::Boolean),
            "int32" => Ok(ColumnType::Int32),
            "int64" => Ok(ColumnType::Int64),
            "double" => Ok(ColumnType::Double),
            "date" => Ok(ColumnType::Date),
            "timestamp" => Ok(ColumnType::Timestamp),
            "string" => Ok(ColumnType::String),
            _ => {
                let arguments =
                    text.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')).ok_or_else(unknown)?;
                let (precision, scale) = arguments.split_once(',').ok_or_else(unknown)?;
                let precision: u8 = precision.trim().parse().map_err(|_| unknown())?;
                let scale: u8 = scale.trim().parse().map_err(|_| unknown())?;
                if precision == 0 || precision > DECIMAL_PRECISION_MAX || scale > precision {
                    return Err(unknown());
                }
                Ok(ColumnType::Decimal { precision, scale })
            }
        }
    }
}

impl Serialize for ColumnType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_reads_back_from_its_text_and_from_its_glue_name() {
        let types = [
            ColumnType::Boolean,
            ColumnType::Int32,
            ColumnType::Int64,
            ColumnType::Double,
            ColumnType::Decimal { precision: 10, scale: 2 },
            ColumnType::Date,
            ColumnType::Timestamp,
            ColumnType::String,
        ];
        for ty in types {
            assert_eq!(ty.to_string().parse(), Ok(ty));
            assert_eq!(ColumnType::from_glue_name(&ty.glue_name()), Some(ty));
        }
    }

    #[test]
    fn a_decimal_wider_than_128_bits_or_with_more_scale_than_digits_is_refused() {
        for text in ["decimal(39,0)", "decimal(0,0)", "decimal(4,5)", "decimal(4)", "decimal", "decimal(4,2"] {
            assert!(text.parse::<ColumnType>().is_err(), "{text}");
        }
    }
}
