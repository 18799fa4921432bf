//! The query protocol's forms as JSON, and JSON as its XML.
//! <https://smithy.io/2.0/aws/protocols/aws-query-protocol.html>

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{values::iso, wire::is_time};
use crate::cloud::{error::ApiError, query::Xml};

/// Most steps of a parameter's name (`MetricData.member.1.Dimensions.member.1.Name` has seven).
const STEPS: usize = 16;

/// A form as a tree: `A.member.1.B=x` is `{"A": {"member": {"1": {"B": "x"}}}}`.
#[derive(Default)]
struct Node {
    text: Option<String>,
    children: BTreeMap<String, Node>,
}

/// A form as JSON. Every value is text; lists are what counts its members.
pub(super) fn decode(body: &[u8]) -> Result<Value, ApiError> {
    let mut root = Node::default();
    for (name, value) in form_urlencoded::parse(body) {
        if matches!(&*name, "Action" | "Version") {
            continue;
        }
        if name.split('.').count() > STEPS {
            return Err(ApiError::client("MalformedQueryString", format!("the parameter {name} has too many parts")));
        }
        let leaf = name.split('.').fold(&mut root, |node, step| node.children.entry(step.to_owned()).or_default());
        leaf.text = Some(value.into_owned());
    }
    Ok(Value::Object(members(root.children)))
}

fn members(children: BTreeMap<String, Node>) -> Map<String, Value> {
    children.into_iter().map(|(name, node)| (name, value(node))).collect()
}

fn value(mut node: Node) -> Value {
    if node.children.is_empty() {
        return Value::from(node.text.unwrap_or_default());
    }
    match node.children.remove("member") {
        Some(list) => {
            let mut items: Vec<_> = list
                .children
                .into_iter()
                .filter_map(|(place, item)| Some((place.parse::<u32>().ok()?, item)))
                .collect();
            items.sort_by_key(|(place, _)| *place);
            items.into_iter().map(|(_, item)| value(item)).collect()
        }
        None => Value::Object(members(node.children)),
    }
}

/// An output as XML.
pub(super) fn encode(output: &Value) -> Xml {
    Xml::of(|xml| {
        for (name, value) in output.as_object().into_iter().flatten() {
            xml.element(name, |xml| write(xml, value, is_time(name)));
        }
    })
}

fn write(xml: &mut Xml, value: &Value, is_a_time: bool) {
    match value {
        Value::Null => {}
        Value::String(text) => xml.value(text),
        Value::Number(number) => match number.as_i64() {
            Some(milliseconds) if is_a_time => xml.value(&iso(milliseconds)),
            _ => xml.value(&number.to_string()),
        },
        Value::Bool(flag) => xml.value(if *flag { "true" } else { "false" }),
        Value::Array(items) => {
            for item in items {
                xml.element("member", |xml| write(xml, item, is_a_time));
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                xml.element(name, |xml| write(xml, value, is_time(name)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_becomes_lists_and_structures_in_their_order() {
        let form = b"Action=X&Version=1&N=a&L.member.10=j&L.member.2=b&D.member.1.Name=n&D.member.1.Value=v%20w";
        assert_eq!(decode(form).unwrap(), json!({ "N": "a", "L": ["b", "j"], "D": [{ "Name": "n", "Value": "v w" }] }));
        assert!(decode("a.".repeat(20).as_bytes()).is_err());
    }
}
