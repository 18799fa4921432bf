//! Inputs: values, or references to outputs of other resources. A reference *is* the edge of the graph.
//!
//! In a resource's fields (JSON) a reference is `{"$ref": "address#output"}`, and text around references is
//! `{"$concat": [...]}`. They may stand at any depth, also inside a policy document.

use std::{collections::BTreeSet, fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use serde_json::{Value, json};

use super::Address;

const REFERENCE: &str = "$ref";
const CONCAT: &str = "$concat";

/// An output of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Whose output.
    pub address: Address,
    /// Which one.
    pub output: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.address, self.output)
    }
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, output) = text.rsplit_once('#').ok_or_else(|| format!("`{text}` is not a reference"))?;
        let address = address.parse().map_err(|error: super::ParseAddressError| error.to_string())?;
        Ok(Reference { address, output: output.to_owned() })
    }
}

/// A value, a reference to one, or text with references in it.
#[derive(Debug, Clone, PartialEq)]
pub enum Input<T> {
    /// Known when the program runs.
    Value(T),
    /// Some resource's output.
    Reference(Reference, PhantomData<T>),
    /// Text made of literals and outputs.
    Concat(Vec<Part>),
}

/// A piece of [`concat`]ed text.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// As it stands.
    Literal(String),
    /// Some resource's output.
    Reference(Reference),
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Part::Literal(text.to_owned())
    }
}

impl From<&Input<String>> for Part {
    fn from(input: &Input<String>) -> Self {
        match input {
            Input::Value(text) => Part::Literal(text.clone()),
            Input::Reference(reference, _) => Part::Reference(reference.clone()),
            Input::Concat(_) => panic!("BUG: concatenated text inside concatenated text; give its parts instead"),
        }
    }
}

/// Text made of `parts`: `concat([(&bucket.arn()).into(), "/*".into()])`.
pub fn concat<const N: usize>(parts: [Part; N]) -> Input<String> {
    Input::Concat(parts.into())
}

impl<T> Input<T> {
    /// A reference to `output` of the resource at `address`.
    pub fn reference(address: Address, output: &str) -> Self {
        Input::Reference(Reference { address, output: output.to_owned() }, PhantomData)
    }

    /// The value of an input whose references have been resolved, as providers get it.
    pub fn known(&self) -> &T {
        match self {
            Input::Value(value) => value,
            _ => panic!("BUG: an unresolved input reached a provider"),
        }
    }
}

impl<T: Serialize> Input<T> {
    /// The input as it stands in a resource's fields.
    pub fn to_value(&self) -> Value {
        match self {
            Input::Value(value) => serde_json::to_value(value).expect("inputs are plain data and always serialise"),
            Input::Reference(reference, _) => json!({ REFERENCE: reference.to_string() }),
            Input::Concat(parts) => {
                let parts = parts.iter().map(|part| match part {
                    Part::Literal(text) => Value::String(text.clone()),
                    Part::Reference(reference) => json!({ REFERENCE: reference.to_string() }),
                });
                json!({ CONCAT: parts.collect::<Vec<_>>() })
            }
        }
    }
}

impl<T> From<T> for Input<T> {
    fn from(value: T) -> Self {
        Input::Value(value)
    }
}

impl From<&str> for Input<String> {
    fn from(text: &str) -> Self {
        Input::Value(text.to_owned())
    }
}

impl<T: Serialize> Serialize for Input<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Input<T> {
    /// Reads resolved fields only: those that state and plan hold for a provider.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Input::Value)
    }
}

fn as_reference(value: &Value) -> Option<Reference> {
    let object = value.as_object()?;
    if object.len() != 1 {
        return None;
    }
    object.get(REFERENCE)?.as_str()?.parse().ok()
}

fn as_concat(value: &Value) -> Option<&Vec<Value>> {
    let object = value.as_object()?;
    if object.len() != 1 {
        return None;
    }
    object.get(CONCAT)?.as_array()
}

/// Every reference in `value`, at any depth.
pub fn references(value: &Value) -> BTreeSet<Reference> {
    let mut found = BTreeSet::new();
    collect(value, &mut found);
    found
}

fn collect(value: &Value, found: &mut BTreeSet<Reference>) {
    if let Some(reference) = as_reference(value) {
        found.insert(reference);
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, found)),
        _ => {}
    }
}

/// Whether `value` still holds a reference: what it will be is known only after apply.
pub fn is_unknown(value: &Value) -> bool {
    as_reference(value).is_some()
        || match value {
            Value::Array(items) => items.iter().any(is_unknown),
            Value::Object(fields) => fields.values().any(is_unknown),
            _ => false,
        }
}

/// `value` with every reference that `lookup` knows replaced by what it stands for; the others stay.
pub fn resolve(value: &Value, lookup: &dyn Fn(&Reference) -> Option<Value>) -> Value {
    if let Some(reference) = as_reference(value) {
        return lookup(&reference).unwrap_or_else(|| value.clone());
    }
    if let Some(parts) = as_concat(value) {
        let parts: Vec<Value> = parts.iter().map(|part| resolve(part, lookup)).collect();
        let text: Option<String> = parts.iter().map(Value::as_str).collect();
        return text.map_or_else(|| json!({ CONCAT: parts }), Value::String);
    }
    match value {
        Value::Array(items) => items.iter().map(|item| resolve(item, lookup)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), resolve(field, lookup))).collect::<super::Fields>().into()
        }
        other => other.clone(),
    }
}

/// Replaces, in `fields`, every reference that `lookup` knows by what it stands for; the others stay.
pub fn resolve_all(mut fields: super::Fields, lookup: &dyn Fn(&Reference) -> Option<Value>) -> super::Fields {
    for value in fields.values_mut().filter(|value| is_unknown(value)) {
        *value = resolve(value, lookup);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn() -> Input<String> {
        Input::reference(Address::new("aws:s3:Bucket", "raw"), "arn")
    }

    #[test]
    fn references_are_found_at_any_depth() {
        let document = json!({ "Statement": [{ "Resource": [concat([(&arn()).into(), "/*".into()])] }] });
        let found: Vec<_> = references(&document).into_iter().map(|reference| reference.to_string()).collect();
        assert_eq!(found, ["aws:s3:Bucket/raw#arn"]);
    }

    #[test]
    fn text_with_a_reference_is_text_once_the_reference_is_known() {
        let input = concat([(&arn()).into(), "/flights/*".into()]).to_value();
        assert!(is_unknown(&input));
        assert_eq!(resolve(&input, &|_| None), input, "an unknown reference stays");
        let known = resolve(&input, &|_| Some(json!("arn:aws:s3:::b")));
        assert_eq!(known, json!("arn:aws:s3:::b/flights/*"));
        assert!(!is_unknown(&known));
    }
}
