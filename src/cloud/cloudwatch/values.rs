//! Scalars as the three wire formats write them, and how inputs are read.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error};
use serde_json::Value;

use super::fault::{Fault, missing, validation};
use crate::cloud::{error::ApiError, json::must_not_be_null};

/// A double, also as text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number(pub f64);

/// A whole number, also as text or as a double without a fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole(pub i64);

/// A truth value, also as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag(pub bool);

/// A time in milliseconds since 1970, from seconds or ISO 8601.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time(pub i64);

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        // `NaN`, `Infinity`, `-Infinity` among them.
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        number(&value).map(Number).ok_or_else(|| D::Error::custom(format!("{value} is not a number")))
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let whole = value.as_i64().or_else(|| {
            let number = number(&value)?;
            (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
        });
        whole.map(Whole).ok_or_else(|| D::Error::custom(format!("{value} is not a whole number")))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(flag) => Ok(Flag(flag)),
            Value::String(text) if text == "true" => Ok(Flag(true)),
            Value::String(text) if text == "false" => Ok(Flag(false)),
            other => Err(D::Error::custom(format!("{other} is neither true nor false"))),
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let seconds = number(&value).filter(|seconds| seconds.abs() < 1e12);
        let time = match (seconds, &value) {
            (Some(seconds), _) => Some((seconds * 1000.0).round() as i64),
            (None, Value::String(text)) => text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond),
            _ => None,
        };
        time.map(Time).ok_or_else(|| D::Error::custom(format!("{value} is not a time")))
    }
}

/// `2026-01-31T12:00:00.000Z`
pub(super) fn iso(milliseconds: i64) -> String {
    format_time(milliseconds, "%Y-%m-%dT%H:%M:%S%.3fZ")
}

/// `2026-01-31T12:00:00.000+0000`, as alarms' messages have it.
pub(super) fn offset_time(milliseconds: i64) -> String {
    format_time(milliseconds, "%Y-%m-%dT%H:%M:%S%.3f+0000")
}

/// `31/01/26 12:00:00`, as alarms' reasons have it.
pub(super) fn reason_time(milliseconds: i64) -> String {
    format_time(milliseconds, "%d/%m/%y %H:%M:%S")
}

fn format_time(milliseconds: i64, format: &str) -> String {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default().strftime(format).to_string()
}

/// The operation's input. What it does not know is refused: a member that is ignored would be worse.
pub(super) fn input<T: DeserializeOwned>(value: Value) -> Result<T, Fault> {
    serde_json::from_value(value).map_err(|error| {
        let text = error.to_string();
        let named = |start: &str| text.strip_prefix(start).and_then(|rest| rest.split('`').next().map(str::to_owned));
        if let Some(member) = named("missing field `") {
            return validation(must_not_be_null(&lower_camel(&member)));
        }
        match named("unknown field `") {
            Some(member) => validation(format!("the embedded cloud's CloudWatch does not have {member}; leave it out")),
            None => ApiError::client("SerializationException", text).into(),
        }
    })
}

/// [`input`] of the operations whose model declares `MissingParameter`.
pub(super) fn input_or_missing<T: DeserializeOwned>(value: Value) -> Result<T, Fault> {
    let refused: String = match serde_json::from_value(value.clone()) {
        Ok(read) => return Ok(read),
        Err(error) => error.to_string(),
    };
    match refused.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        Some(member) => Err(missing(member)),
        None => input(value),
    }
}

/// Validation messages name members by their model name: `AlarmName` is told as `alarmName`.
fn lower_camel(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scalars_are_read_from_each_spelling() {
        let time = |value: Value| serde_json::from_value::<Time>(value).map(|time| time.0).ok();
        assert_eq!(time(json!(1.5)), Some(1500));
        assert_eq!(time(json!("1970-01-01T00:00:01Z")), Some(1000));
        assert_eq!(time(json!("2")), Some(2000));
        assert_eq!(time(json!("soon")), None);
        let whole = |value: Value| serde_json::from_value::<Whole>(value).map(|whole| whole.0).ok();
        assert_eq!((whole(json!(60.0)), whole(json!("60")), whole(json!(0.5))), (Some(60), Some(60), None));
        assert!(serde_json::from_value::<Number>(json!("NaN")).unwrap().0.is_nan());
        assert_eq!(serde_json::from_value::<Flag>(json!("true")).unwrap(), Flag(true));
        assert_eq!(offset_time(1), "1970-01-01T00:00:00.001+0000");
    }
}
