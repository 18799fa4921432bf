//! Event patterns: compiled once, asked of every event.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html>,
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html>
//!
//! A field that is named in a pattern has to have one of the values that the pattern lists; all fields have to.
//! Where the event has an array, one of its elements has to match; fields of objects in an array have to match in the
//! same element. SNS's filter policies on the message body are the same language.
//! <https://docs.aws.amazon.com/sns/latest/dg/sns-message-filtering.html>

mod matcher;
mod parse;

use std::borrow::Cow;

use serde_json::{Map, Value};

use matcher::Matcher;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern(Node);

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Event pattern is not valid. Reason: {reason}")]
pub struct PatternError {
    reason: String,
}

impl PatternError {
    fn new(reason: impl Into<String>) -> PatternError {
        PatternError { reason: reason.into() }
    }

    /// The reason alone, for services that wrap it in a sentence of their own.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// What an object has to satisfy.
#[derive(Debug, Clone, Default, PartialEq)]
struct Node {
    /// All of these.
    fields: Vec<(String, Field)>,
    /// And of each `$or` one.
    alternatives: Vec<Vec<Node>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Field {
    Values(Leaf),
    Nested(Node),
}

/// One of `matchers` has to hold.
#[derive(Debug, Clone, PartialEq)]
struct Leaf {
    matchers: Vec<Matcher>,
    /// Way from the event's root to here when the field's absence would do, too.
    absence: Option<Vec<String>>,
}

impl Pattern {
    /// Compiles a pattern.
    pub fn parse(text: &str) -> Result<Pattern, PatternError> {
        parse::pattern(text).map(Pattern)
    }

    /// Whether `event` matches.
    pub fn matches(&self, event: &Value) -> bool {
        self.0.matches(event, Some(event))
    }
}

impl Node {
    fn matches(&self, root: &Value, at: Option<&Value>) -> bool {
        match at {
            Some(Value::Array(items)) if !items.is_empty() => items.iter().any(|item| self.matches(root, Some(item))),
            Some(Value::Object(members)) => self.holds(root, Some(members)),
            _ => self.holds(root, None),
        }
    }

    fn holds(&self, root: &Value, members: Option<&Map<String, Value>>) -> bool {
        let field = |(name, field): &(String, Field)| {
            let value = members.and_then(|members| member(members, name));
            match field {
                Field::Values(leaf) => leaf.matches(root, value.as_deref()),
                Field::Nested(node) => node.matches(root, value.as_deref()),
            }
        };
        let one = |node: &Node| node.holds(root, members);
        self.fields.iter().all(field) && self.alternatives.iter().all(|nodes| nodes.iter().any(one))
    }
}

impl Leaf {
    fn matches(&self, root: &Value, value: Option<&Value>) -> bool {
        let one = |scalar: &Value| self.matchers.iter().any(|matcher| matcher.matches(scalar));
        value.is_some_and(|value| any_leaf(value, &one))
            || self.absence.as_ref().is_some_and(|path| !exists(root, path))
    }
}

/// Whether one of the values that are no object and no array satisfies `test`. An empty array holds none: it counts
/// as if the field were not there.
fn any_leaf(value: &Value, test: &impl Fn(&Value) -> bool) -> bool {
    match value {
        Value::Object(_) => false,
        Value::Array(items) => items.iter().any(|item| any_leaf(item, test)),
        scalar => test(scalar),
    }
}

/// Whether the event has a value at `path`, in whichever element of the arrays on the way. "exists" works on leaf
/// nodes only.
fn exists(at: &Value, path: &[String]) -> bool {
    match (at, path) {
        (value, []) => any_leaf(value, &|_| true),
        (Value::Array(items), _) => items.iter().any(|item| exists(item, path)),
        (Value::Object(members), [name, rest @ ..]) => member(members, name).is_some_and(|value| exists(&value, rest)),
        _ => false,
    }
}

/// The member `name`. A dot in an event's name is the same as a step into an object.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html#eb-event-pattern-considerations>
fn member<'a>(members: &'a Map<String, Value>, name: &str) -> Option<Cow<'a, Value>> {
    if let Some(value) = members.get(name) {
        return Some(Cow::Borrowed(value));
    }
    let below = |(key, value): (&String, &Value)| {
        let rest = key.strip_prefix(name)?.strip_prefix('.')?;
        Some((rest.to_owned(), value.clone()))
    };
    let joined: Map<String, Value> = members.iter().filter_map(below).collect();
    (!joined.is_empty()).then_some(Cow::Owned(Value::Object(joined)))
}

#[cfg(test)]
mod tests;
