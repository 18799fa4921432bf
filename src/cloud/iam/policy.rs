//! Policy documents: what they say, checked for structure as IAM does when they are put.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html>

use serde_json::{Map, Value};

use super::condition::{Condition, Operator};
use crate::cloud::error::ApiError;

/// What a document is for, which decides on the elements it must and must not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// Attached to a user or role: resources, no principal.
    Identity,
    /// Says who may assume a role: principals, no resource.
    Trust,
    /// Attached to a bucket, a queue, a topic, a bus, a function: principals and resources.
    Resource,
}

/// A policy document.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Its statements.
    pub statements: Vec<Statement>,
    /// Whether `${…}` stands for a value, as it does from version 2012-10-17 on.
    pub variables: bool,
}

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// `Sid`.
    pub sid: Option<String>,
    /// `Effect`.
    pub effect: Effect,
    /// `Action` or `NotAction`.
    pub actions: Selection,
    /// `Resource` or `NotResource`; trust policies have none.
    pub resources: Option<Selection>,
    /// `Principal` or `NotPrincipal`; identity policies have none.
    pub principals: Option<Principals>,
    /// `Condition`, all of which must hold.
    pub conditions: Vec<Condition>,
}

/// Whether a statement gives or takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Gives.
    Allow,
    /// Takes away, whatever else gives.
    Deny,
}

/// Patterns, or everything but them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// What the patterns match.
    Only(Vec<String>),
    /// What they do not match (`NotAction`, `NotResource`).
    AllBut(Vec<String>),
}

/// Whom a statement is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principals {
    /// `NotPrincipal` rather than `Principal`.
    pub inverted: bool,
    /// Pairs of type (`AWS`, `Service`, `Federated`, `CanonicalUser`) and name. `"*"` is `AWS: *`.
    pub named: Vec<(String, String)>,
}

impl Policy {
    /// Reads a document and checks its structure; `MalformedPolicyDocument` says what is wrong with it.
    pub fn parse(document: &str, kind: PolicyKind) -> Result<Policy, ApiError> {
        let value = match serde_json::from_str(document) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(syntax(kind, "the document is not a JSON object")),
            Err(error) if kind != PolicyKind::Identity => {
                return Err(malformed(format!("This policy contains invalid Json ({error})")));
            }
            Err(error) => return Err(syntax(kind, &error.to_string())),
        };
        only_elements(&value, &["Version", "Id", "Statement"], kind, "the document")?;
        match value.get("Version") {
            None if kind != PolicyKind::Identity => (),
            Some(Value::String(version)) if version == "2012-10-17" => (),
            Some(Value::String(version)) if version == "2008-10-17" && kind != PolicyKind::Identity => (),
            Some(Value::String(_)) | None => {
                return Err(malformed("Policy document must be version 2012-10-17 or greater."));
            }
            Some(_) => return Err(syntax(kind, "Version is not a string")),
        }
        let statements = match value.get("Statement") {
            Some(Value::Array(statements)) if !statements.is_empty() => statements.iter().collect(),
            Some(Value::Array(_)) | None => return Err(syntax(kind, "there is no Statement")),
            Some(statement) => vec![statement],
        };
        let statements = statements
            .into_iter()
            .enumerate()
            .map(|(index, value)| statement(value, kind, &format!("Statement[{index}]")))
            .collect::<Result<Vec<_>, _>>()?;
        unique_sids(&statements)?;
        let variables = value.get("Version").and_then(Value::as_str) == Some("2012-10-17");
        Ok(Policy { statements, variables })
    }
}

fn statement(value: &Value, kind: PolicyKind, at: &str) -> Result<Statement, ApiError> {
    let Value::Object(statement) = value else {
        return Err(syntax(kind, &format!("{at} is not an object")));
    };
    let elements =
        ["Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "NotPrincipal", "Condition"];
    only_elements(statement, &elements, kind, at)?;
    let sid = match statement.get("Sid") {
        None => None,
        Some(Value::String(sid)) => Some(sid.clone()),
        Some(_) => return Err(syntax(kind, &format!("{at}.Sid is not a string"))),
    };
    let effect = match statement.get("Effect") {
        Some(Value::String(effect)) if effect == "Allow" => Effect::Allow,
        Some(Value::String(effect)) if effect == "Deny" => Effect::Deny,
        Some(Value::String(effect)) => return Err(malformed(format!("Invalid effect: {effect}"))),
        Some(_) => return Err(syntax(kind, &format!("{at}.Effect is not a string"))),
        None if kind != PolicyKind::Identity => return Err(malformed("Missing required field Effect")),
        None => return Err(syntax(kind, &format!("{at} has no Effect"))),
    };
    Ok(Statement {
        sid,
        effect,
        actions: actions(statement, kind, at)?,
        resources: resources(statement, kind, at)?,
        principals: principals(statement, kind, at)?,
        conditions: conditions(statement.get("Condition"), kind, at)?,
    })
}

fn actions(statement: &Map<String, Value>, kind: PolicyKind, at: &str) -> Result<Selection, ApiError> {
    let Some(actions) = selection(statement, "Action", "NotAction", kind, at)? else {
        return Err(malformed(match kind {
            PolicyKind::Identity => "Policy statement must contain actions.",
            PolicyKind::Trust | PolicyKind::Resource => "Missing required field Action",
        }));
    };
    for action in actions.patterns() {
        let vendor = action.split_once(':').map(|(vendor, name)| (vendor.to_ascii_lowercase(), name));
        match (vendor, kind) {
            (Some((vendor, name)), PolicyKind::Trust) if vendor == "sts" && !name.is_empty() => (),
            (_, PolicyKind::Trust) => {
                return Err(malformed("AssumeRole policy may only specify STS AssumeRole actions."));
            }
            (Some((vendor, name)), _) if !vendor.is_empty() && !name.is_empty() => (),
            (None, _) if action == "*" => (),
            _ => return Err(malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")),
        }
    }
    Ok(actions)
}

fn resources(statement: &Map<String, Value>, kind: PolicyKind, at: &str) -> Result<Option<Selection>, ApiError> {
    let resources = selection(statement, "Resource", "NotResource", kind, at)?;
    match (&resources, kind) {
        (Some(Selection::Only(_)), PolicyKind::Trust) => return Err(malformed("Has prohibited field Resource")),
        (Some(Selection::AllBut(_)), PolicyKind::Trust) => return Err(malformed("Has prohibited field NotResource")),
        (None, PolicyKind::Identity) => return Err(malformed("Policy statement must contain resources.")),
        (None, PolicyKind::Resource) => return Err(malformed("Missing required field Resource")),
        _ => (),
    }
    let is_arn = |resource: &str| resource.starts_with("arn:") && resource.splitn(6, ':').count() == 6;
    if let Some(resource) =
        resources.iter().flat_map(Selection::patterns).find(|resource| *resource != "*" && !is_arn(resource))
    {
        return Err(malformed(format!("Resource {resource} must be in ARN format or \"*\".")));
    }
    Ok(resources)
}

fn principals(statement: &Map<String, Value>, kind: PolicyKind, at: &str) -> Result<Option<Principals>, ApiError> {
    let (inverted, value) = match (statement.get("Principal"), statement.get("NotPrincipal"), kind) {
        (None, None, PolicyKind::Identity) => return Ok(None),
        (_, _, PolicyKind::Identity) => return Err(malformed("Policy document should not specify a principal.")),
        (Some(value), None, _) => (false, value),
        (None, Some(value), _) => (true, value),
        (None, None, _) => return Err(malformed("Missing required field Principal")),
        _ => return Err(syntax(kind, &format!("{at} has both Principal and NotPrincipal"))),
    };
    let named = match value {
        Value::String(any) if any == "*" => vec![("AWS".to_owned(), "*".to_owned())],
        Value::String(name) => return Err(malformed(format!("Invalid principal in policy: {name}"))),
        Value::Object(types) if !types.is_empty() => {
            let mut named = Vec::new();
            for (kind_of, names) in types {
                if !["AWS", "Service", "Federated", "CanonicalUser"].contains(&kind_of.as_str()) {
                    return Err(malformed(format!("Invalid principal in policy: unknown type {kind_of}")));
                }
                for name in strings(names, kind, &format!("{at}.Principal.{kind_of}"))? {
                    named.push((kind_of.clone(), valid_principal(kind_of, name)?));
                }
            }
            named
        }
        _ => return Err(syntax(kind, &format!("{at}.Principal names nobody"))),
    };
    Ok(Some(Principals { inverted, named }))
}

fn valid_principal(kind: &str, name: String) -> Result<String, ApiError> {
    let account = name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_digit());
    let valid = match kind {
        "AWS" => name == "*" || account || name.starts_with("arn:"),
        "Service" => [".amazonaws.com", ".amazon.com", ".amazonaws.com.cn"].iter().any(|suffix| name.ends_with(suffix)),
        _ => !name.is_empty(),
    };
    if valid {
        return Ok(name);
    }
    Err(malformed(format!("Invalid principal in policy: \"{}\":\"{name}\"", kind.to_uppercase())))
}

fn conditions(value: Option<&Value>, kind: PolicyKind, at: &str) -> Result<Vec<Condition>, ApiError> {
    let Some(value) = value else { return Ok(Vec::new()) };
    let Value::Object(operators) = value else {
        return Err(syntax(kind, &format!("{at}.Condition is not an object")));
    };
    let mut conditions = Vec::new();
    for (operator, keys) in operators {
        let parsed = Operator::parse(operator);
        let parsed = parsed.ok_or_else(|| malformed(format!("Invalid Condition type : {operator}.")))?;
        let Value::Object(keys) = keys else {
            return Err(syntax(kind, &format!("{at}.Condition.{operator} is not an object")));
        };
        for (key, values) in keys {
            let values = strings(values, kind, &format!("{at}.Condition.{operator}.{key}"))?;
            conditions.push(Condition { operator: parsed, key: key.clone(), values });
        }
    }
    Ok(conditions)
}

impl Selection {
    /// The patterns, whichever way they are meant.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        let (Selection::Only(patterns) | Selection::AllBut(patterns)) = self;
        patterns.iter().map(String::as_str)
    }
}

fn selection(
    statement: &Map<String, Value>,
    only: &str,
    all_but: &str,
    kind: PolicyKind,
    at: &str,
) -> Result<Option<Selection>, ApiError> {
    match (statement.get(only), statement.get(all_but)) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(Selection::Only(strings(value, kind, &format!("{at}.{only}"))?))),
        (None, Some(value)) => Ok(Some(Selection::AllBut(strings(value, kind, &format!("{at}.{all_but}"))?))),
        _ => Err(syntax(kind, &format!("{at} has both {only} and {all_but}"))),
    }
}

/// One or many; numbers and booleans stand for their spelling, as in conditions.
fn strings(value: &Value, kind: PolicyKind, at: &str) -> Result<Vec<String>, ApiError> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err(syntax(kind, &format!("{at} is neither a string nor a list of strings"))),
    };
    match value {
        Value::Array(values) if values.is_empty() => Err(syntax(kind, &format!("{at} is empty"))),
        Value::Array(values) => values.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

fn only_elements(object: &Map<String, Value>, known: &[&str], kind: PolicyKind, at: &str) -> Result<(), ApiError> {
    match object.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) if kind != PolicyKind::Identity => Err(malformed(format!("Unknown field {name}"))),
        Some(name) => Err(syntax(kind, &format!("{at} has an unknown element {name}"))),
    }
}

fn unique_sids(statements: &[Statement]) -> Result<(), ApiError> {
    let mut seen = std::collections::HashSet::new();
    let repeated = statements.iter().filter_map(|statement| statement.sid.as_deref()).any(|sid| !seen.insert(sid));
    if repeated {
        return Err(malformed("Statement IDs (SID) in a single policy must be unique."));
    }
    Ok(())
}

fn syntax(kind: PolicyKind, detail: &str) -> ApiError {
    malformed(match kind {
        PolicyKind::Identity => format!("Syntax errors in policy. ({detail})"),
        PolicyKind::Trust => format!("Syntax errors in the assume role policy. ({detail})"),
        PolicyKind::Resource => format!("Invalid policy syntax. ({detail})"),
    })
}

fn malformed(message: impl Into<String>) -> ApiError {
    ApiError::client("MalformedPolicyDocument", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(document: &str, kind: PolicyKind) -> String {
        let error = Policy::parse(document, kind).unwrap_err();
        assert_eq!(error.code, "MalformedPolicyDocument");
        error.message
    }

    fn identity(statement: &str) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":{statement}}}"#)
    }

    #[test]
    fn a_statement_may_stand_alone_or_in_a_list_and_so_may_its_values() {
        let alone = identity(r#"{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}"#);
        let listed = identity(r#"[{"Effect":"Allow","Action":["s3:GetObject"],"Resource":["arn:aws:s3:::b/*"]}]"#);
        let policy = Policy::parse(&alone, PolicyKind::Identity).unwrap();
        assert_eq!(policy, Policy::parse(&listed, PolicyKind::Identity).unwrap());
        assert_eq!(policy.statements[0].actions, Selection::Only(vec!["s3:GetObject".into()]));
    }

    #[test]
    fn an_identity_policy_is_refused_in_iams_words() {
        let cases = [
            ("{", "Syntax errors in policy."),
            (r#"{"Version":"2012-10-17"}"#, "Syntax errors in policy."),
            (r#"{"Statement":[]}"#, "Policy document must be version 2012-10-17 or greater."),
            (&identity(r#"{"Effect":"Allow","Resource":"*"}"#), "Policy statement must contain actions."),
            (&identity(r#"{"Effect":"Allow","Action":"*"}"#), "Policy statement must contain resources."),
            (&identity(r#"{"Effect":"Allow","Action":"Get","Resource":"*"}"#), "Actions/Conditions must be prefaced"),
            (
                &identity(r#"{"Effect":"Allow","Action":"*","Resource":"b"}"#),
                "Resource b must be in ARN format or \"*\".",
            ),
            (&identity(r#"{"Effect":"Perhaps","Action":"*","Resource":"*"}"#), "Invalid effect: Perhaps"),
            (
                &identity(r#"{"Effect":"Allow","Action":"*","Resource":"*","Principal":"*"}"#),
                "Policy document should not specify a principal.",
            ),
            (
                &identity(r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Like":{"a":"b"}}}"#),
                "Invalid Condition type : Like.",
            ),
            (
                &identity(
                    r#"[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"}]"#,
                ),
                "Statement IDs (SID) in a single policy must be unique.",
            ),
        ];
        for (document, expected) in cases {
            let message = refusal(document, PolicyKind::Identity);
            assert!(message.starts_with(expected), "{document}: {message}");
        }
    }

    #[test]
    fn a_resource_policy_names_principals_and_resources() {
        let statement = |more: &str| {
            format!(r#"{{"Statement":{{"Effect":"Allow","Principal":"*","Action":"SQS:SendMessage"{more}}}}}"#)
        };
        assert_eq!(refusal(&statement(""), PolicyKind::Resource), "Missing required field Resource");
        let policy = Policy::parse(&statement(r#","Resource":"arn:aws:sqs:r:0:q""#), PolicyKind::Resource).unwrap();
        assert!(!policy.variables, "a policy without a version is one of 2008");
    }

    #[test]
    fn a_trust_policy_is_refused_in_iams_words() {
        let cases = [
            ("{", "This policy contains invalid Json"),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"s3:GetObject","Principal":"*"}}"#,
                "AssumeRole policy may only specify STS AssumeRole actions.",
            ),
            (r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole"}}"#, "Missing required field Principal"),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":"*","Resource":"*"}}"#,
                "Has prohibited field Resource",
            ),
            (
                r#"{"Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":"lambda"}}}"#,
                "Invalid principal in policy: \"SERVICE\":\"lambda\"",
            ),
            (r#"{"Statement":{"Effect":"Allow","Actions":"sts:AssumeRole"}}"#, "Unknown field Actions"),
        ];
        for (document, expected) in cases {
            let message = refusal(document, PolicyKind::Trust);
            assert!(message.starts_with(expected), "{document}: {message}");
        }
    }
}
