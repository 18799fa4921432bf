//! Maps of the query protocol, and how they are answered. <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html#map-serialization>

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::cloud::{
    delivery::Attribute,
    error::ApiError,
    query::{Params, Xml},
};

/// Most entries read of a map; the operations' own limits are lower.
const MAP_ENTRIES: usize = 1000;

/// `Attributes.entry.1.key`, `Attributes.entry.1.value`…
pub(super) fn map(params: &Params, name: &str) -> BTreeMap<String, String> {
    let entry = |number: usize| {
        let key = params.get(&format!("{name}.entry.{number}.key"))?;
        let value = params.get(&format!("{name}.entry.{number}.value")).unwrap_or_default();
        Some((key.to_owned(), value.to_owned()))
    };
    (1..=MAP_ENTRIES).map_while(entry).collect()
}

/// Message attributes below `prefix`: `{prefix}MessageAttributes.entry.1.Name`, `….Value.DataType`…
/// <https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html>
pub(super) fn message_attributes(params: &Params, prefix: &str) -> Result<BTreeMap<String, Attribute>, ApiError> {
    let refusal = |name: &str, what: &str| {
        ApiError::client("ParameterValueInvalid", format!("The message attribute '{name}' {what}."))
    };
    let mut attributes = BTreeMap::new();
    for number in 1..=MAP_ENTRIES {
        let entry = format!("{prefix}MessageAttributes.entry.{number}");
        let Some(name) = params.get(&format!("{entry}.Name")) else { break };
        let part = |part: &str| params.get(&format!("{entry}.Value.{part}"));
        let data_type = part("DataType").unwrap_or_default().to_owned();
        let text = part("StringValue").filter(|text| !text.is_empty());
        let data = part("BinaryValue").filter(|data| !data.is_empty());
        let value = match (data_type.split('.').next().unwrap_or_default(), text, data) {
            ("Number", Some(text), None) if text.trim().parse::<f64>().is_err() => {
                return Err(refusal(name, "has a value that is not a number"));
            }
            ("String" | "Number", Some(text), None) => text,
            ("Binary", None, Some(data)) if STANDARD.decode(data).is_ok() => data,
            ("String" | "Number" | "Binary", ..) => {
                return Err(refusal(name, "must contain a non-empty value of its type"));
            }
            _ => {
                return Err(refusal(
                    name,
                    "has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and \
                     String",
                ));
            }
        };
        if data_type == "String.Array" && serde_json::from_str::<Vec<serde_json::Value>>(value).is_err() {
            return Err(refusal(name, "has a value that is not a JSON array"));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || name.len() > 256 || !name.chars().all(fits) {
            return Err(refusal(name, "has an invalid name"));
        }
        attributes.insert(name.to_owned(), Attribute { data_type, value: value.to_owned() });
    }
    Ok(attributes)
}

/// `<name><entry><key>…</key><value>…</value></entry>…</name>`
pub(super) fn write_map(xml: &mut Xml, name: &str, map: &BTreeMap<String, String>) {
    xml.element(name, |xml| {
        for (key, value) in map {
            xml.element("entry", |xml| {
                xml.text("key", key);
                xml.text("value", value);
            });
        }
    });
}
