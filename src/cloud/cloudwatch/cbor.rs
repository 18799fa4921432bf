//! CBOR to JSON and back, as rpc-v2-cbor has it: times carry tag 1, everything may be of indefinite length.
//! <https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html>

use ciborium::Value as Cbor;
use serde_json::{Number, Value};

use super::wire::is_time;
use crate::cloud::error::ApiError;

/// "Epoch-based date/time", RFC 8949 3.4.2.
const EPOCH_TAG: u64 = 1;

/// A document as JSON: its times become their numbers of seconds, numbers that JSON does not have become texts.
pub(super) fn decode(body: &[u8]) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    let refuse = |message: String| ApiError::client("SerializationException", message);
    let document: Cbor = ciborium::from_reader(body).map_err(|error| refuse(error.to_string()))?;
    json(document).map_err(|what| refuse(format!("the body holds {what}, which no member of CloudWatch is")))
}

fn json(value: Cbor) -> Result<Value, &'static str> {
    Ok(match value {
        Cbor::Null => Value::Null,
        Cbor::Bool(flag) => Value::Bool(flag),
        Cbor::Text(text) => Value::String(text),
        Cbor::Float(float) => match Number::from_f64(float) {
            Some(number) => Value::Number(number),
            // As JSON protocols spell them.
            None if float.is_nan() => Value::from("NaN"),
            None => Value::from(if float > 0.0 { "Infinity" } else { "-Infinity" }),
        },
        Cbor::Integer(integer) => match (u64::try_from(integer), i64::try_from(integer)) {
            (Ok(number), _) => Value::from(number),
            (_, Ok(number)) => Value::from(number),
            _ => return Err("an integer of more than 64 bits"),
        },
        Cbor::Tag(_, inner) => json(*inner)?,
        Cbor::Array(items) => Value::Array(items.into_iter().map(json).collect::<Result<_, _>>()?),
        Cbor::Map(entries) => {
            let entry = |(name, value)| match name {
                Cbor::Text(name) => Ok((name, json(value)?)),
                _ => Err("a key that is no text"),
            };
            Value::Object(entries.into_iter().map(entry).collect::<Result<_, _>>()?)
        }
        Cbor::Bytes(_) => return Err("bytes"),
        _ => return Err("a value of an unknown kind"),
    })
}

/// An output as CBOR.
pub(super) fn encode(output: &Value) -> Result<Vec<u8>, ApiError> {
    let mut body = Vec::new();
    ciborium::into_writer(&cbor(output, false), &mut body).map_err(ApiError::internal)?;
    Ok(body)
}

fn cbor(value: &Value, is_a_time: bool) -> Cbor {
    match value {
        Value::Null => Cbor::Null,
        Value::Bool(flag) => Cbor::Bool(*flag),
        Value::String(text) => Cbor::Text(text.clone()),
        Value::Number(number) => match number.as_i64() {
            Some(milliseconds) if is_a_time => {
                Cbor::Tag(EPOCH_TAG, Box::new(Cbor::Float(milliseconds as f64 / 1000.0)))
            }
            Some(integer) => Cbor::Integer(integer.into()),
            None => Cbor::Float(number.as_f64().unwrap_or_default()),
        },
        Value::Array(items) => Cbor::Array(items.iter().map(|item| cbor(item, is_a_time)).collect()),
        Value::Object(members) => {
            let entries = members.iter().map(|(name, value)| (Cbor::Text(name.clone()), cbor(value, is_time(name))));
            Cbor::Map(entries.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_of_indefinite_length_are_read() {
        // {_ "a": (_ "x", "y"), "b": [_ 1, 2.5], "t": 1(1.5), "n": null}
        let body = [
            b"\xbf\x61a\x7f\x61x\x61y\xff".as_slice(),
            b"\x61b\x9f\x01\xf9\x41\x00\xff",
            b"\x61t\xc1\xfb\x3f\xf8\0\0\0\0\0\0",
            b"\x61n\xf6\xff",
        ]
        .concat();
        assert_eq!(decode(&body).unwrap(), json!({ "a": "xy", "b": [1, 2.5], "t": 1.5, "n": null }));
        assert_eq!(decode(b"").unwrap(), json!({}));
    }

    #[test]
    fn what_is_no_input_is_refused() {
        for body in [b"\xbf".as_slice(), b"\xa1\x01\x01", b"\x41a", b"\xff"] {
            assert_eq!(decode(body).unwrap_err().code, "SerializationException", "{body:x?}");
        }
        assert_eq!(decode(b"\xa1\x61v\xf9\x7e\0").unwrap(), json!({ "v": "NaN" }));
    }

    #[test]
    fn times_are_tagged_and_doubles_stay_doubles() {
        let output = json!({ "Timestamps": [1500], "Values": [1.0], "Period": 60 });
        let read: Cbor = ciborium::from_reader(&*encode(&output).unwrap()).unwrap();
        let text = |text: &str| Cbor::Text(text.into());
        let time = Cbor::Tag(1, Box::new(Cbor::Float(1.5)));
        assert_eq!(
            read,
            Cbor::Map(vec![
                (text("Timestamps"), Cbor::Array(vec![time])),
                (text("Values"), Cbor::Array(vec![Cbor::Float(1.0)])),
                (text("Period"), Cbor::Integer(60.into())),
            ])
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>) {
            let _ = decode(&body); // does not panic
        }
    }
}
