//! From a pattern's JSON to what matches. The reasons of refusals are AWS's.

use serde_json::{Map, Number, Value};

use super::{
    Field, Leaf, Node, PatternError,
    matcher::{Bound, Cidr, Matcher, Range, Wildcard},
};

/// Rules that the alternatives of a pattern may multiply to.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html#eb-filtering-complex-example-or>
const COMBINATIONS: usize = 1000;
/// Numbers in numeric matches lie between this and its negative.
const NUMBER_MAX: f64 = 5.0e9;
/// Names that make an object in an array a condition on a value, and `$or` before it a field's name.
const OPERATORS: [&str; 8] =
    ["prefix", "suffix", "anything-but", "numeric", "exists", "equals-ignore-case", "wildcard", "cidr"];
const ONLY_ONE_KEY: &str = "Only one key allowed in match expression";

type Parsed<T> = Result<T, PatternError>;

pub(super) fn pattern(text: &str) -> Parsed<Node> {
    let document: Value = serde_json::from_str(text).map_err(|error| PatternError::new(error.to_string()))?;
    let Value::Object(members) = document else { return refuse("Filter is not an object") };
    let node = object(&members, &mut Vec::new())?;
    match combinations(&node) {
        Some(count) if count <= COMBINATIONS => Ok(node),
        _ => refuse(format!("Rule is too complex - it has more than {COMBINATIONS} combinations of values in $or")),
    }
}

fn refuse<T>(reason: impl Into<String>) -> Parsed<T> {
    Err(PatternError::new(reason))
}

fn object(members: &Map<String, Value>, path: &mut Vec<String>) -> Parsed<Node> {
    if members.is_empty() {
        return refuse("Empty objects are not allowed");
    }
    let mut node = Node::default();
    for (name, value) in members {
        match alternatives(name, value) {
            Some(branches) => {
                let nodes = branches.into_iter().map(|branch| object(branch, path)).collect::<Parsed<_>>()?;
                node.alternatives.push(nodes);
            }
            None => node.fields.push(field(name, value, path)?),
        }
    }
    // What is cheapest and refuses most comes first.
    node.fields.sort_by_key(|(_, field)| matches!(field, Field::Nested(_)));
    Ok(node)
}

/// The objects of an `$or`. It is a field of that name unless it lists two objects or more that name fields.
fn alternatives<'a>(name: &str, value: &'a Value) -> Option<Vec<&'a Map<String, Value>>> {
    let items = value.as_array().filter(|items| name == "$or" && items.len() >= 2)?;
    let of_fields = |item: &'a Value| {
        item.as_object().filter(|members| !members.keys().any(|name| OPERATORS.contains(&name.as_str())))
    };
    items.iter().map(of_fields).collect()
}

/// A field. A dot in its name is a step into an object.
fn field(name: &str, value: &Value, path: &mut Vec<String>) -> Parsed<(String, Field)> {
    let (name, below) = match name.split_once('.') {
        Some((name, below)) if !name.is_empty() && !below.is_empty() => (name, Some(below)),
        _ => (name, None),
    };
    path.push(name.to_owned());
    let field = match (below, value) {
        (Some(below), value) => {
            Field::Nested(Node { fields: vec![field(below, value, path)?], alternatives: Vec::new() })
        }
        (None, Value::Object(members)) => Field::Nested(object(members, path)?),
        (None, Value::Array(items)) => Field::Values(leaf(items, path)?),
        (None, _) => return refuse(format!("\"{name}\" must be an object or an array")),
    };
    path.pop();
    Ok((name.to_owned(), field))
}

fn leaf(items: &[Value], path: &[String]) -> Parsed<Leaf> {
    if items.is_empty() {
        return refuse("Empty arrays are not allowed");
    }
    let mut leaf = Leaf { matchers: Vec::new(), absence: None };
    for item in items {
        match item {
            Value::Null | Value::Bool(_) => leaf.matchers.push(Matcher::Constant(item.clone())),
            Value::Number(number) => leaf.matchers.push(Matcher::Number(number.clone())),
            Value::String(text) => leaf.matchers.push(Matcher::Text(text.clone())),
            Value::Object(expression) => match condition(expression)? {
                Some(matcher) => leaf.matchers.push(matcher),
                None => leaf.absence = Some(path.to_vec()),
            },
            Value::Array(_) => return refuse("Match value must be String, number, true, false, or null"),
        }
    }
    Ok(leaf)
}

/// The only member of a match expression.
fn only<'a>(expression: &'a Map<String, Value>, nameless: &str) -> Parsed<(&'a str, &'a Value)> {
    let mut members = expression.iter();
    match (members.next(), members.next()) {
        (Some((name, value)), None) => Ok((name, value)),
        (Some(_), Some(_)) => refuse(ONLY_ONE_KEY),
        (None, _) => refuse(nameless),
    }
}

/// What `{"prefix": "a"}` and its like stand for; nothing for the absence of the field.
fn condition(expression: &Map<String, Value>) -> Parsed<Option<Matcher>> {
    let (operator, value) = only(expression, "Match expression name not found")?;
    let text = |reason: &str| text(value, reason);
    Ok(Some(match operator {
        "prefix" => affix(operator, value, Matcher::Prefix, Matcher::PrefixIgnoreCase)?,
        "suffix" => affix(operator, value, Matcher::Suffix, Matcher::SuffixIgnoreCase)?,
        "equals-ignore-case" => {
            Matcher::EqualsIgnoreCase(text("equals-ignore-case match pattern must be a string")?.to_lowercase())
        }
        "wildcard" => wildcard(value)?,
        // So AWS says, too.
        "cidr" => {
            Matcher::Cidr(Cidr::parse(text("prefix match pattern must be a string")?).map_err(PatternError::new)?)
        }
        "numeric" => match value {
            Value::Array(terms) => Matcher::Range(range(terms)?),
            _ => return refuse("Value of numeric must be an array."),
        },
        "anything-but" => Matcher::AnythingBut(excluded(value)?),
        "exists" => match value {
            Value::Bool(true) => Matcher::Exists,
            Value::Bool(false) => return Ok(None),
            _ => return refuse("exists match pattern must be either true or false."),
        },
        unknown => return refuse(format!("Unrecognized match type {unknown}")),
    }))
}

fn text<'a>(value: &'a Value, reason: &str) -> Parsed<&'a str> {
    value.as_str().map_or_else(|| refuse(reason), Ok)
}

/// A prefix or suffix, as it is or in any case.
fn affix(
    operator: &str,
    value: &Value,
    exact: fn(String) -> Matcher,
    folded: fn(String) -> Matcher,
) -> Parsed<Matcher> {
    match value {
        Value::Object(expression) => {
            let (inner, value) = only(expression, "Match expression name not found")?;
            if inner != "equals-ignore-case" {
                return refuse(format!("Unsupported {operator} pattern: {inner}"));
            }
            Ok(folded(text(value, "equals-ignore-case match pattern must be a string")?.to_lowercase()))
        }
        value => Ok(exact(text(value, &format!("{operator} match pattern must be a string"))?.to_owned())),
    }
}

fn wildcard(value: &Value) -> Parsed<Matcher> {
    let pattern = text(value, "wildcard match pattern must be a string")?;
    Wildcard::parse(pattern).map(Matcher::Wildcard).map_err(PatternError::new)
}

/// What an `anything-but` excludes: values, or everything that one kind of condition holds for.
fn excluded(value: &Value) -> Parsed<Vec<Matcher>> {
    const VALUE: &str = "Value of anything-but must be an array or single string/number value.";
    const TEXT: &str = "prefix/suffix match pattern must be a string";
    const FOLDED: &str = "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.";
    let Value::Object(expression) = value else {
        return match value {
            Value::Array(items) => excluded_values(items),
            Value::String(_) | Value::Number(_) => excluded_values(std::slice::from_ref(value)),
            _ => refuse(VALUE),
        };
    };
    let (operator, value) = only(expression, "Anything-But expression name not found")?;
    let one = |value: &Value| match operator {
        "prefix" | "suffix" => match text(value, TEXT)? {
            "" => refuse("Null prefix/suffix not allowed"),
            prefix if operator == "prefix" => Ok(Matcher::Prefix(prefix.to_owned())),
            suffix => Ok(Matcher::Suffix(suffix.to_owned())),
        },
        "wildcard" => wildcard(value),
        "equals-ignore-case" => Ok(Matcher::EqualsIgnoreCase(text(value, FOLDED)?.to_lowercase())),
        unknown => refuse(format!("Unsupported anything-but pattern: {unknown}")),
    };
    match value {
        Value::Object(_) | Value::Null | Value::Bool(_) => refuse(VALUE),
        Value::Array(items) if items.is_empty() => refuse("Empty arrays are not allowed"),
        Value::Array(items) => items.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

fn excluded_values(items: &[Value]) -> Parsed<Vec<Matcher>> {
    let one = |item: &Value| match item {
        Value::String(text) => Ok(Matcher::Text(text.clone())),
        Value::Number(number) => Ok(Matcher::Number(number.clone())),
        _ => refuse("Inside anything but list, start|null|boolean is not supported."),
    };
    let matchers: Vec<Matcher> = items.iter().map(one).collect::<Parsed<_>>()?;
    let texts = matchers.iter().filter(|matcher| matches!(matcher, Matcher::Text(_))).count();
    if matchers.is_empty() || texts != 0 && texts != matchers.len() {
        return refuse("Inside anything but list, either all values are number or string, mixed type is not supported");
    }
    Ok(matchers)
}

/// `[">", 0, "<=", 5]`.
fn range(terms: &[Value]) -> Parsed<Range> {
    let Some(Value::String(operator)) = terms.first() else {
        let first = terms.first().map_or_else(|| "]".to_owned(), Value::to_string);
        return refuse(format!("Invalid member in numeric match: {first}"));
    };
    let too_many = "Too many elements in numeric expression";
    let value = |name: &str| bound(terms.get(1), name);
    let single = |range: Range| if terms.len() > 2 { refuse(too_many) } else { Ok(range) };
    match operator.as_str() {
        "=" => {
            let both = Some(Bound { value: value("equals")?, inclusive: true });
            single(Range { low: both, high: both })
        }
        "<" | "<=" => {
            let high = Bound { value: value(operator)?, inclusive: operator == "<=" };
            single(Range { low: None, high: Some(high) })
        }
        ">" | ">=" => {
            let low = Bound { value: value(operator)?, inclusive: operator == ">=" };
            Ok(Range { low: Some(low), high: upper(&terms[2..], low.value)? })
        }
        unknown => refuse(format!("Unrecognized numeric range operator: {unknown}")),
    }
}

fn upper(terms: &[Value], low: f64) -> Parsed<Option<Bound>> {
    let operator = match terms.first() {
        None => return Ok(None),
        Some(Value::String(operator)) => operator.as_str(),
        Some(other) => return refuse(format!("Bad value in numeric range: {other}")),
    };
    if !matches!(operator, "<" | "<=") {
        return refuse(format!("Bad numeric range operator: {operator}"));
    }
    let value = bound(terms.get(1), operator)?;
    if terms.len() > 2 {
        return refuse("Too many terms in numeric range expression");
    }
    if low >= value {
        return refuse("Bottom must be less than top");
    }
    Ok(Some(Bound { value, inclusive: operator == "<=" }))
}

fn bound(term: Option<&Value>, operator: &str) -> Parsed<f64> {
    match term.and_then(Value::as_number).and_then(Number::as_f64) {
        Some(number) if number.abs() <= NUMBER_MAX => Ok(number),
        Some(_) => refuse("Value must be between -5.0E9 and 5.0E9, inclusive"),
        None => refuse(format!("Value of {operator} must be numeric")),
    }
}

/// How many rules without `$or` say the same; nothing when that is past counting.
fn combinations(node: &Node) -> Option<usize> {
    let mut product = 1usize;
    for (_, field) in &node.fields {
        if let Field::Nested(node) = field {
            product = product.checked_mul(combinations(node)?)?;
        }
    }
    for nodes in &node.alternatives {
        let mut sum = 0usize;
        for node in nodes {
            sum = sum.checked_add(combinations(node)?)?;
        }
        product = product.checked_mul(sum)?;
    }
    Some(product)
}
