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

/// Whether `tags` are all among `present`.
pub(super) fn has_all(present: &Tags, tags: &Tags) -> bool {
    tags.iter().all(|(key, value)| present.get(key) == Some(value))
}

/// A value of the target's inputs, as it stands there.
pub(super) fn input<'a>(target: Target<'a>, name: &str) -> Option<&'a Value> {
    target.inputs.get(name)
}
