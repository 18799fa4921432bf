//! Plans, drift and outputs as people and as JSON documents.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::{
    plan::{Action, Change, FieldChange, Partial, Plan},
    refresh::Drift,
    resource::is_unknown,
};

use super::{
    console::{Console, Style},
    control::Meaning,
    differences,
    plugin::listed,
    stale,
};

/// A plan as a JSON document.
#[derive(Debug, Serialize)]
pub struct PlanDocument<'a> {
    changes: &'a [Change],
    drift: &'a [Drift],
    summary: Summary,
    #[serde(flatten)]
    meaning: &'a Meaning,
    lineage: &'a str,
    serial: u64,
    /// What a plan of a part leaves out.
    #[serde(skip_serializing_if = "Option::is_none")]
    partial: Option<&'a Partial>,
}

/// How many resources each action touches.
#[derive(Debug, Serialize)]
struct Summary {
    create: usize,
    update: usize,
    replace: usize,
    delete: usize,
    forget: usize,
    unchanged: usize,
}

impl Summary {
    fn of(plan: &Plan) -> Self {
        Summary {
            create: plan.count(Action::Create),
            update: plan.count(Action::Update),
            replace: plan.count(Action::ReplaceCreateFirst) + plan.count(Action::ReplaceDeleteFirst),
            delete: plan.count(Action::Delete),
            forget: plan.count(Action::Forget),
            unchanged: plan.unchanged,
        }
    }
}

impl<'a> PlanDocument<'a> {
    /// The document of `plan`.
    pub fn new(plan: &'a Plan, drift: &'a [Drift], meaning: &'a Meaning) -> Self {
        PlanDocument {
            changes: &plan.changes,
            drift,
            summary: Summary::of(plan),
            meaning,
            lineage: &plan.lineage,
            serial: plan.serial,
            partial: plan.partial.as_ref(),
        }
    }
}

/// A plan without changes.
pub fn no_changes(console: &Console, plan: &Plan) {
    match &plan.partial {
        Some(_) => console.note("no changes in this part"),
        None => console.note(format!("no changes: all {} resources are as declared", plan.unchanged)),
    }
    partial(console, plan);
}

/// What a plan of a part takes along, and that it is not the whole.
fn partial(console: &Console, plan: &Plan) {
    let Some(Partial { left_out, along }) = &plan.partial else { return };
    for along in along {
        console.note(format!("  {along}"));
    }
    console.note(match left_out {
        0 => "this is a part of the stack; nothing else would change".to_owned(),
        1 => "this is a part of the stack: 1 change is left out".to_owned(),
        several => format!("this is a part of the stack: {several} changes are left out"),
    });
}

/// A plan, field by field, in dependency order.
pub fn plan(console: &Console, plan: &Plan) {
    if plan.changes.is_empty() {
        no_changes(console, plan);
        return;
    }
    for change in &plan.changes {
        headline(console, change);
        for field in &change.fields {
            for line in field_lines(change.action, field) {
                console.note(format!("      {line}"));
            }
        }
    }
    totals(console, plan);
}

/// What a plan means for transforms and for data.
pub fn meaning(console: &Console, plan: &Plan, meaning: &Meaning) {
    let Meaning { transforms, differences, stale, left } = meaning;
    differences::tell(console, differences);
    let is_news = plan.changes.iter().any(|change| change.address.to_string() == "aws:s3:Object/manifest");
    for known in transforms.iter().filter(|_| is_news) {
        let columns = match &known.columns {
            Some(columns) => listed(columns),
            None => "known with the first file".to_owned(),
        };
        let (plugin, hash) = (console.paint(&known.plugin, Style::Strong), stale::shown(&known.component));
        console.note(format!("{}: rows go through {plugin} ({hash}); the table's columns: {columns}", known.dataset));
    }
    stale::tell(console, stale, transforms);
    for line in left {
        console.note(line);
    }
}

/// A plan without its fields: what an apply is about to do.
pub fn summary_of_changes(console: &Console, plan: &Plan) {
    for change in &plan.changes {
        headline(console, change);
    }
    totals(console, plan);
}

fn headline(console: &Console, change: &Change) {
    let sign = console.paint(format!("{:>2}", change.action.symbol()), style(change.action));
    let identity = change.identity.as_deref().unwrap_or("(named after apply)");
    let what = match change.action {
        Action::Create => String::new(),
        action => format!("  {}", action.verb()),
    };
    let address = console.paint(&change.address, Style::Strong);
    console.note(format!("{sign} {address}  {}{what}", console.paint(identity, Style::Faint)));
}

fn totals(console: &Console, plan: &Plan) {
    let Summary { create, update, replace, delete, forget, unchanged } = Summary::of(plan);
    let mut parts = Vec::new();
    for (count, what) in [
        (create, "to create"),
        (update, "to update"),
        (replace, "to replace"),
        (delete, "to delete"),
        (forget, "to keep in the cloud"),
        (unchanged, "unchanged"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    console.note(format!("plan: {}", parts.join(", ")));
    partial(console, plan);
}

fn style(action: Action) -> Style {
    match action {
        Action::Create => Style::Good,
        Action::Delete | Action::ReplaceDeleteFirst => Style::Bad,
        Action::Keep | Action::Note | Action::Forget => Style::Faint,
        Action::Update | Action::ReplaceCreateFirst => Style::Changed,
    }
}

/// A field's lines: `path = value` for what is new, `path: before → after` for what changes.
fn field_lines(action: Action, field: &FieldChange) -> Vec<String> {
    let after = field.after.as_ref().map_or_else(|| vec!["(none)".to_owned()], value_lines);
    let mut lines = match (&field.before, action) {
        (None, Action::Create) => prefixed(&format!("{} = ", field.path), after),
        (before, _) => {
            let before = before.as_ref().map_or_else(|| vec!["(none)".to_owned()], value_lines);
            if before.len() == 1 && after.len() == 1 {
                vec![format!("{}: {} → {}", field.path, before[0], after[0])]
            } else {
                let mut lines = vec![format!("{}:", field.path)];
                lines.extend(before.iter().map(|line| format!("- {line}")));
                lines.extend(after.iter().map(|line| format!("+ {line}")));
                lines
            }
        }
    };
    if field.replaces {
        lines[0].push_str("  (forces a new one)");
    }
    lines
}

fn prefixed(prefix: &str, mut lines: Vec<String>) -> Vec<String> {
    if let Some(first) = lines.first_mut() {
        first.insert_str(0, prefix);
    }
    lines
}

/// Longest value shown on one line, in characters.
const LINE_MAX: usize = 100;

fn value_lines(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Object(_) | Value::Array(_) if is_unknown(value) && !is_document(value) => {
            vec!["(known after apply)".to_owned()]
        }
        _ => {
            let shown = known_after_apply(value);
            let line = shown.to_string();
            if line.chars().count() <= LINE_MAX {
                return vec![line];
            }
            let pretty = serde_json::to_string_pretty(&shown).unwrap_or(line);
            pretty.lines().map(str::to_owned).collect()
        }
    }
}

/// A document with unknown parts is shown; a reference by itself is just unknown.
fn is_document(value: &Value) -> bool {
    value.as_object().is_none_or(|fields| !fields.keys().any(|key| key.starts_with('$')))
}

/// `value` with every reference in words.
fn known_after_apply(value: &Value) -> Value {
    match value {
        Value::Object(fields) => match (fields.get("$ref"), fields.get("$concat")) {
            (Some(Value::String(reference)), _) => Value::String(format!("(after apply: {reference})")),
            (_, Some(Value::Array(parts))) => {
                let text = |part: &Value| match known_after_apply(part) {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                Value::String(parts.iter().map(text).collect())
            }
            _ => fields.iter().map(|(name, value)| (name.clone(), known_after_apply(value))).collect(),
        },
        Value::Array(items) => items.iter().map(known_after_apply).collect(),
        other => other.clone(),
    }
}

/// What changed behind lake's back.
pub fn drift(console: &Console, drift: &[Drift]) {
    for drift in drift {
        let address = console.paint(&drift.address, Style::Strong);
        if drift.gone {
            console.note(format!("drift: {address} {} is gone", drift.identity));
            continue;
        }
        console.note(format!("drift: {address} {} was changed outside lake", drift.identity));
        for field in &drift.fields {
            for line in field_lines(Action::Update, field) {
                console.note(format!("      {line}"));
            }
        }
    }
}

/// What an apply is about to change of a resource that is there.
pub fn fields(console: &Console, fields: &[FieldChange]) {
    for line in fields.iter().flat_map(|field| field_lines(Action::Update, field)) {
        console.note(format!("      {line}"));
    }
}

/// The stack's outputs.
pub fn outputs(console: &Console, outputs: &BTreeMap<String, Value>) {
    let width = outputs.keys().map(String::len).max().unwrap_or(0);
    for (name, value) in outputs {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        console.note(format!("{name:width$} = {text}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(before: Option<Value>, after: Option<Value>, replaces: bool) -> FieldChange {
        FieldChange { path: "memory_mb".to_owned(), before, after, replaces }
    }

    #[test]
    fn a_field_shows_its_value_before_and_after_and_what_forces_a_new_resource() {
        let changed = field(Some(json!(512)), Some(json!(1024)), true);
        assert_eq!(field_lines(Action::Update, &changed), ["memory_mb: 512 → 1024  (forces a new one)"]);
        assert_eq!(field_lines(Action::Create, &field(None, Some(json!(512)), false)), ["memory_mb = 512"]);
        assert_eq!(field_lines(Action::Update, &field(Some(json!(1)), None, false)), ["memory_mb: 1 → (none)"]);
    }

    #[test]
    fn what_is_known_only_after_apply_says_so_inside_a_document_as_well() {
        let arn = json!({ "$ref": "aws:s3:Bucket/raw#arn" });
        assert_eq!(value_lines(&arn), ["(known after apply)"]);
        let document = json!({ "Resource": [{ "$concat": [arn, "/*"] }] });
        assert_eq!(value_lines(&document), [r#"{"Resource":["(after apply: aws:s3:Bucket/raw#arn)/*"]}"#]);
    }
}
