//! What a target is given of an event: the event, a constant, a part of it, or a template filled in.
//! <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html>

mod path;

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::{Value, json};

use path::JsonPath;

/// An event on its way to a target, with what templates may name.
pub(super) struct Given<'a> {
    pub event: &'a Value,
    pub rule_arn: &'a str,
    pub rule_name: &'a str,
    /// When EventBridge received it, in ISO 8601.
    pub ingestion_time: &'a str,
}

/// How a target's input is made.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Input {
    Event,
    Constant(String),
    Path(JsonPath),
    Template(Vec<Piece>),
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Variable {
        variable: Variable,
        /// Whether it stands within a JSON string.
        quoted: bool,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Variable {
    Path(JsonPath),
    RuleArn,
    RuleName,
    IngestionTime,
    /// The event without its detail.
    Event,
    EventJson,
}

impl Input {
    /// `InputPath`. Nothing when it is no path of the supported kind.
    pub(super) fn path(path: &str) -> Option<Input> {
        JsonPath::parse(path).map(Input::Path)
    }

    /// `Input`: any JSON.
    pub(super) fn constant(text: &str) -> Result<Input, String> {
        match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => Ok(Input::Constant(text.to_owned())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// `InputTransformer`: what is wrong with it, as AWS puts it, when it is.
    pub(super) fn template(paths: &BTreeMap<String, String>, template: &str) -> Result<Input, TemplateError> {
        let mut variables = BTreeMap::new();
        for (name, path) in paths {
            let parsed = JsonPath::parse(path).ok_or_else(|| TemplateError::Path(path.clone()))?;
            variables.insert(name.as_str(), parsed);
        }
        let pieces = pieces(template, &variables)?;
        check(&pieces)?;
        Ok(Input::Template(pieces))
    }

    /// The input for `given`; nothing when it is the event as it is.
    pub(super) fn render(&self, given: &Given<'_>) -> Option<String> {
        match self {
            Input::Event => None,
            Input::Constant(text) => Some(text.clone()),
            Input::Path(path) => Some(path.find(given.event).unwrap_or_default().to_string()),
            Input::Template(pieces) => Some(pieces.iter().map(|piece| piece.render(given)).collect()),
        }
    }
}

/// Why a transformer is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TemplateError {
    Path(String),
    Placeholder(String),
    Json(String),
}

impl Piece {
    fn render(&self, given: &Given<'_>) -> String {
        let (variable, quoted) = match self {
            Piece::Text(text) => return text.clone(),
            Piece::Variable { variable, quoted } => (variable, *quoted),
        };
        match (variable.value(given), quoted) {
            // What is not in the event is empty, in a string and for one.
            (None, true) => String::new(),
            (None, false) => "\"\"".to_owned(),
            // "EventBridge doesn't escape values extracted by Input Path, when populating the Input Template".
            (Some(Value::String(text)), true) => text,
            // "EventBridge removes any internal quotes to ensure a valid string".
            (Some(value @ (Value::Object(_) | Value::Array(_))), true) => value.to_string().replace('"', ""),
            // "Quotes are not required for variables that represent strings": they are added.
            (Some(value), _) => value.to_string(),
        }
    }
}

impl Variable {
    fn reserved(name: &str) -> Option<Variable> {
        Some(match name {
            "aws.events.rule-arn" => Variable::RuleArn,
            "aws.events.rule-name" => Variable::RuleName,
            "aws.events.event.ingestion-time" => Variable::IngestionTime,
            "aws.events.event" => Variable::Event,
            "aws.events.event.json" => Variable::EventJson,
            _ => return None,
        })
    }

    fn value(&self, given: &Given<'_>) -> Option<Value> {
        match self {
            Variable::Path(path) => path.find(given.event),
            Variable::RuleArn => Some(given.rule_arn.into()),
            Variable::RuleName => Some(given.rule_name.into()),
            Variable::IngestionTime => Some(given.ingestion_time.into()),
            Variable::EventJson => Some(given.event.clone()),
            Variable::Event => {
                let of = |name: &str| given.event.get(name).cloned().unwrap_or_default();
                // AWS writes it with a `detailType`.
                Some(json!({
                    "id": of("id"), "account": of("account"), "detailType": of("detail-type"), "time": of("time"),
                    "source": of("source"), "region": of("region"), "resources": of("resources"),
                    "version": of("version"),
                }))
            }
        }
    }
}

/// Cuts a template at its `<placeholders>`. A `<` that begins none is text.
fn pieces(template: &str, variables: &BTreeMap<&str, JsonPath>) -> Result<Vec<Piece>, TemplateError> {
    let (mut pieces, mut text) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    let mut rest = template;
    while let Some(letter) = rest.chars().next() {
        if let Some((name, after)) = placeholder(rest).filter(|_| !escaped) {
            let variable = match Variable::reserved(name) {
                Some(variable) => variable,
                None => match variables.get(name) {
                    Some(path) => Variable::Path(path.clone()),
                    None => return Err(TemplateError::Placeholder(name.to_owned())),
                },
            };
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(Piece::Variable { variable, quoted });
            rest = after;
            continue;
        }
        quoted ^= letter == '"' && !escaped;
        escaped = quoted && letter == '\\' && !escaped;
        text.push(letter);
        rest = &rest[letter.len_utf8()..];
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// The name between `<` and `>` at the beginning of `text`, and what follows.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('<')?.split_once('>')?;
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
    (!name.is_empty() && name.chars().all(is_name)).then_some((name, after))
}

/// A template has to be JSON once its variables are filled in: an object, an array, or strings, each in its quotes.
fn check(pieces: &[Piece]) -> Result<(), TemplateError> {
    let filled: String = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::Variable { quoted: true, .. } => "",
            Piece::Variable { quoted: false, .. } => "\"\"",
        })
        .collect();
    let mut values = serde_json::Deserializer::from_str(&filled).into_iter::<IgnoredAny>();
    match values.find_map(Result::err) {
        Some(error) => Err(TemplateError::Json(error.to_string())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
