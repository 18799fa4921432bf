//! Between a resource's fields and Rust values.

use serde_json::Value;

use crate::{
    provider::{ErrorKind, ProviderError, Tags, Target},
    resource::{Fields, Resource},
};

/// The typed inputs of a target.
pub(super) fn inputs<R: Resource>(target: Target<'_>) -> Result<R, ProviderError> {
    serde_json::from_value(Value::Object(target.inputs.clone())).map_err(|error| {
        ProviderError::new(
            ErrorKind::Invalid,
            R::SCHEMA.kind,
            format!("the inputs of {} are not those of this kind: {error}", target.identity),
        )
    })
}

/// A JSON object as fields. Nulls are left out: what the cloud does not tell is absent.
pub(super) fn fields(value: Value) -> Fields {
    match value {
        Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => unreachable!("fields are made of objects, not of {other}"),
    }
}

/// The two parts of an identity made of two inputs. The first never holds a `/`: it names a bucket, a role or a
/// function.
pub(super) fn two<'a>(kind: &str, target: Target<'a>) -> Result<(&'a str, &'a str), ProviderError> {
    target.identity.split_once('/').ok_or_else(|| {
        ProviderError::new(ErrorKind::Invalid, kind, format!("`{}` is no identity of this kind", target.identity))
    })
}

/// The three parts of an identity made of three inputs. Only the last may hold a `/`.
pub(super) fn three<'a>(kind: &str, target: Target<'a>) -> Result<(&'a str, &'a str, &'a str), ProviderError> {
    let (first, rest) = two(kind, target)?;
    let (second, third) = two(kind, Target { identity: rest, ..target })?;
    Ok((first, second, third))
}

/// A setting that may be absent, as an observation tells it: one that is declared and not there is blank, so that its
/// loss shows as drift.
pub(super) fn or_blank(target: Target<'_>, name: &str, there: Option<Value>) -> Option<Value> {
    there.or_else(|| input(target, name).map(|_| Value::String(String::new())))
}

/// A list whose order means nothing to the service, in the order of `known` when both hold the same.
pub(super) fn in_order_of(known: Option<&Value>, there: Vec<String>) -> Value {
    let sorted = |texts: &[String]| {
        let mut texts = texts.to_vec();
        texts.sort();
        texts
    };
    let texts = known.and_then(Value::as_array).into_iter().flatten();
    let texts: Option<Vec<String>> = texts.map(|text| text.as_str().map(str::to_owned)).collect();
    match texts {
        Some(known) if sorted(&known) == sorted(&there) => known.into(),
        _ => there.into(),
    }
}

/// JSON text as what it says. Text that is no JSON stays text, and shows as drift.
pub(super) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// A number as the SDKs take it.
pub(super) fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// Whether `tags` are all among `present`.
pub(super) fn has_all(present: &Tags, tags: &Tags) -> bool {
    tags.iter().all(|(key, value)| present.get(key) == Some(value))
}

/// A prefix as the SDKs take it: an empty one is none.
pub(super) fn begins_with(prefix: &str) -> Option<String> {
    (!prefix.is_empty()).then(|| prefix.to_owned())
}

/// A value of the target's inputs, as it stands there.
pub(super) fn input<'a>(target: Target<'a>, name: &str) -> Option<&'a Value> {
    target.inputs.get(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_last_part_of_an_identity_may_hold_a_slash() {
        let target =
            Target { identity: "arn:aws:sns:eu-west-1:1:t/https/https://example.com/x", inputs: &Fields::new() };
        let parts = three("k", target).unwrap();
        assert_eq!(parts, ("arn:aws:sns:eu-west-1:1:t", "https", "https://example.com/x"));
        assert!(three("k", Target { identity: "a/b", ..target }).is_err());
    }

    #[test]
    fn a_list_that_holds_the_same_is_told_in_the_declared_order() {
        let known = json!(["b", "a"]);
        assert_eq!(in_order_of(Some(&known), vec!["a".into(), "b".into()]), known);
        assert_eq!(in_order_of(Some(&known), vec!["a".into()]), json!(["a"]));
        assert_eq!(in_order_of(None, vec!["a".into()]), json!(["a"]));
    }

    #[test]
    fn what_is_declared_and_not_there_is_blank_and_what_nobody_declared_is_absent() {
        let inputs = fields(json!({ "pattern": {} }));
        let target = Target { identity: "r", inputs: &inputs };
        assert_eq!(or_blank(target, "pattern", None), Some(json!("")));
        assert_eq!(or_blank(target, "schedule", None), None);
        assert_eq!(or_blank(target, "schedule", Some(json!("rate(1 day)"))), Some(json!("rate(1 day)")));
    }
}
