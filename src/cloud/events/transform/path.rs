//! The part of JSONPath that EventBridge has: dots, indices, wildcards; brackets besides.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html>

use std::collections::VecDeque;

use serde_json::Value;

/// A path from the event's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Index(usize),
    /// Every member or element.
    All,
}

impl JsonPath {
    /// Nothing when the text is no such path.
    pub(super) fn parse(text: &str) -> Option<JsonPath> {
        let mut rest = text.strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('.') {
                Some(after) => member(after)?,
                None => bracket(rest.strip_prefix('[')?)?,
            };
            steps.push(step);
            rest = after;
        }
        Some(JsonPath(steps))
    }

    /// The value there. A path with wildcards finds an array of values; nothing when there are none.
    pub(super) fn find(&self, event: &Value) -> Option<Value> {
        let mut found = VecDeque::from([event]);
        for step in &self.0 {
            for _ in 0..found.len() {
                let Some(value) = found.pop_front() else { break };
                match (step, value) {
                    (Step::Member(name), Value::Object(members)) => found.extend(members.get(name)),
                    (Step::Index(index), Value::Array(items)) => found.extend(items.get(*index)),
                    (Step::All, Value::Object(members)) => found.extend(members.values()),
                    (Step::All, Value::Array(items)) => found.extend(items),
                    _ => (),
                }
            }
        }
        if self.0.contains(&Step::All) {
            return (!found.is_empty()).then(|| Value::Array(found.into_iter().cloned().collect()));
        }
        found.pop_front().cloned()
    }
}

fn member(text: &str) -> Option<(Step, &str)> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, after) = text.split_at(end);
    let is_name = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '/' | ':' | '@' | '$');
    match name {
        "*" => Some((Step::All, after)),
        name if !name.is_empty() && name.chars().all(is_name) => Some((Step::Member(name.to_owned()), after)),
        _ => None,
    }
}

fn bracket(text: &str) -> Option<(Step, &str)> {
    for quote in ['\'', '"'] {
        if let Some(text) = text.strip_prefix(quote) {
            let (name, after) = text.split_once(quote)?;
            return Some((Step::Member(name.to_owned()), after.strip_prefix(']')?));
        }
    }
    let (inside, after) = text.split_once(']')?;
    let step = if inside == "*" { Step::All } else { Step::Index(inside.parse().ok()?) };
    Some((step, after))
}
