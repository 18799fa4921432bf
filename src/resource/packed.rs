//! Fields as they are kept: a stack has many resources, and looks at few of them at a time.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use super::Fields;

/// [`Fields`] as their JSON: a fifth of the memory, and what is read from a file or written to one is copied as it is.
#[derive(Clone)]
pub struct Packed(Box<RawValue>);

impl Packed {
    /// The fields, to work with.
    pub fn unpack(&self) -> Fields {
        serde_json::from_str(self.0.get()).expect("BUG: packed fields were checked when they were packed")
    }

    /// One of the fields; the others are not made.
    pub fn get(&self, name: &str) -> Option<Value> {
        let mut reader = serde_json::Deserializer::from_str(self.0.get());
        reader.deserialize_map(Find(name)).expect("BUG: packed fields were checked when they were packed")
    }

    /// Changes the fields.
    pub fn edit(&mut self, change: impl FnOnce(&mut Fields)) {
        let mut fields = self.unpack();
        change(&mut fields);
        *self = fields.into();
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.unpack().is_empty()
    }
}

impl From<&Fields> for Packed {
    fn from(fields: &Fields) -> Self {
        Packed(to_raw_value(fields).expect("fields are plain data and always serialise"))
    }
}

impl From<Fields> for Packed {
    fn from(fields: Fields) -> Self {
        Packed::from(&fields)
    }
}

impl Default for Packed {
    fn default() -> Self {
        Packed::from(&Fields::new())
    }
}

impl fmt::Debug for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get())
    }
}

impl PartialEq for Packed {
    /// Fields have no order, and their JSON has one.
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get() || self.unpack() == other.unpack()
    }
}

impl Eq for Packed {}

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        if !text.get().starts_with('{') {
            return Err(D::Error::custom("expected an object"));
        }
        // What is skipped is not looked at closely: a number may be too large, a string no text.
        serde_json::from_str::<Readable>(text.get()).map_err(D::Error::custom)?;
        Ok(Packed(text))
    }
}

/// JSON of which all can be read; none of it is kept.
struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Readable)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = Readable;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_str<E>(self, _: &str) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_unit<E>(self) -> Result<Readable, E> {
        Ok(Readable)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Readable, A::Error> {
        while items.next_element::<Readable>()?.is_some() {}
        Ok(Readable)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Readable, A::Error> {
        while fields.next_entry::<Readable, Readable>()?.is_some() {}
        Ok(Readable)
    }
}

/// Looks for the field of this name.
struct Find<'a>(&'a str);

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Option<Value>, A::Error> {
        let mut found = None;
        while let Some(name) = fields.next_key::<std::borrow::Cow<'de, str>>()? {
            // The last of a name counts, as everywhere in JSON.
            if name == self.0 {
                found = Some(fields.next_value()?);
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn packed(value: &Value) -> Packed {
        Packed::from(value.as_object().unwrap())
    }

    #[test]
    fn fields_come_back_as_they_were_in_their_order() {
        let value = json!({ "z": [1, -2, 0.5, null, true], "a": { "b": "two \"lines\"\n" }, "ü": "\u{1F6F0}" });
        let packed = packed(&value);
        assert_eq!(Value::Object(packed.unpack()), value);
        assert_eq!(packed.unpack().keys().collect::<Vec<_>>(), ["z", "a", "ü"]);
        assert_eq!(packed.get("a"), Some(json!({ "b": "two \"lines\"\n" })));
        assert_eq!((packed.get("ü"), packed.get("b")), (Some(json!("\u{1F6F0}")), None));
        assert_eq!(serde_json::to_value(&packed).unwrap(), value);
        assert_eq!(serde_json::from_value::<Packed>(value).unwrap(), packed);
    }

    #[test]
    fn the_order_of_fields_makes_no_difference() {
        assert_eq!(packed(&json!({ "a": 1, "b": 2 })), packed(&json!({ "b": 2, "a": 1 })));
        assert_ne!(packed(&json!({ "a": 1 })), packed(&json!({ "a": 2 })));
        assert!(Packed::default().is_empty() && !packed(&json!({ "a": 1 })).is_empty());
    }

    #[test]
    fn what_could_not_be_unpacked_is_not_packed() {
        for text in ["[]", "1", "null", "{", r#"{"a":1e999}"#, r#"{"a":"\ud800"}"#, r#"{"a":tru}"#, r#"{1:2}"#] {
            assert!(serde_json::from_str::<Packed>(text).is_err(), "{text}");
        }
    }
}
