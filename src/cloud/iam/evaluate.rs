//! Who may assume a role. (Whether an identity policy allows a call is decided here too, once the gateway asks.)

use super::policy::{Condition, Effect, Policy, Principals, Selection, Statement};
use crate::cloud::service::ACCOUNT_ID;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal<'a> {
    /// A service of AWS, by its principal name (`lambda.amazonaws.com`).
    Service(&'a str),
    /// A user, role or session of the account, by its ARN.
    Aws(&'a str),
}

/// What conditions may ask about, besides `aws:SourceAccount`-like facts that every call has.
pub type Context<'a> = [(&'a str, &'a str)];

impl Policy {
    /// Whether this trust policy lets `principal` do `action`: some statement allows and none denies it.
    pub fn trusts(&self, principal: Principal<'_>, action: &str, context: &Context<'_>) -> bool {
        let applies = |statement: &&Statement| {
            statement.actions.selects(action, true)
                && statement.principals.as_ref().is_some_and(|principals| principals.include(principal))
        };
        let mut allowed = false;
        for statement in self.statements.iter().filter(applies) {
            match (statement.effect, all_hold(&statement.conditions, context)) {
                (Effect::Allow, Some(true)) => allowed = true,
                // What cannot be judged denies, never allows.
                (Effect::Deny, Some(true) | None) => return false,
                _ => (),
            }
        }
        allowed
    }
}

impl Selection {
    /// Whether `name` is selected. Actions are compared without regard to case.
    pub fn selects(&self, name: &str, ignore_case: bool) -> bool {
        let matched = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, name, ignore_case));
        match self {
            Selection::Only(patterns) => matched(patterns),
            Selection::AllBut(patterns) => !matched(patterns),
        }
    }
}

impl Principals {
    fn include(&self, principal: Principal<'_>) -> bool {
        let named = self.named.iter().any(|(kind, name)| match (kind.as_str(), principal) {
            ("Service", Principal::Service(service)) => name == service,
            ("AWS", Principal::Aws(arn)) => name == "*" || covers(name, arn),
            _ => false,
        });
        named != self.inverted
    }
}

/// A principal that is the account covers everyone in it; one that is a role covers its sessions.
fn covers(name: &str, arn: &str) -> bool {
    if name == arn || name == ACCOUNT_ID || name == format!("arn:aws:iam::{ACCOUNT_ID}:root") {
        return true;
    }
    let role = name.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/"));
    let session = arn.strip_prefix("arn:aws:sts::").and_then(|rest| rest.split_once(":assumed-role/"));
    match (role, session) {
        (Some((owner, path)), Some((account, session))) => {
            owner == account && path.rsplit('/').next() == session.split('/').next()
        }
        _ => false,
    }
}

/// `None` when an operator is one that is not evaluated here.
fn all_hold(conditions: &[Condition], context: &Context<'_>) -> Option<bool> {
    let mut all = true;
    for condition in conditions {
        all &= holds(condition, context)?;
    }
    Some(all)
}

fn holds(condition: &Condition, context: &Context<'_>) -> Option<bool> {
    let actual = context.iter().find(|(key, _)| key.eq_ignore_ascii_case(&condition.key)).map(|(_, value)| *value);
    let (operator, if_exists) = match condition.operator.strip_suffix("IfExists") {
        Some(operator) => (operator, true),
        None => (condition.operator.as_str(), false),
    };
    let any = |test: &dyn Fn(&str, &str) -> bool| {
        actual.map_or(if_exists, |actual| condition.values.iter().any(|value| test(value, actual)))
    };
    // A negated operator holds when its key is absent.
    let none = |test: &dyn Fn(&str, &str) -> bool| {
        actual.is_none_or(|actual| !condition.values.iter().any(|value| test(value, actual)))
    };
    let equal = |value: &str, actual: &str| value == actual;
    let like = |value: &str, actual: &str| matches(value, actual, false);
    Some(match operator {
        "StringEquals" => any(&equal),
        "StringNotEquals" => none(&equal),
        "StringEqualsIgnoreCase" => any(&|value, actual| value.eq_ignore_ascii_case(actual)),
        "StringLike" | "ArnLike" | "ArnEquals" => any(&like),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => none(&like),
        "Null" => condition.values.iter().any(|value| (value == "true") == actual.is_none()),
        _ => return None,
    })
}

/// Whether `text` matches `pattern`, in which `*` stands for any letters and `?` for one.
pub fn matches(pattern: &str, text: &str, ignore_case: bool) -> bool {
    let same = |a: u8, b: u8| if ignore_case { a.eq_ignore_ascii_case(&b) } else { a == b };
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on from when what follows the last `*` fails: that star, and the text it has taken in.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == b'?' {
            let letter = text[t..].iter().skip(1).take_while(|byte| **byte & 0xc0 == 0x80).count() + 1;
            (p, t) = (p + 1, t + letter);
        } else if p < pattern.len() && same(pattern[p], text[t]) {
            (p, t) = (p + 1, t + 1);
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            (p, t) = (at + 1, taken + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::iam::policy::PolicyKind;

    fn trusts(statements: &str, principal: Principal<'_>, context: &Context<'_>) -> bool {
        let document = format!(r#"{{"Version":"2012-10-17","Statement":{statements}}}"#);
        Policy::parse(&document, PolicyKind::Trust).unwrap().trusts(principal, "sts:AssumeRole", context)
    }

    #[test]
    fn a_trust_policy_lets_in_whom_it_names_and_nobody_else() {
        let policy = r#"{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com"]},"Action":"sts:assumerole"}"#;
        assert!(trusts(policy, Principal::Service("lambda.amazonaws.com"), &[]));
        assert!(!trusts(policy, Principal::Service("glue.amazonaws.com"), &[]));
        assert!(!trusts(policy, Principal::Aws("arn:aws:iam::000000000000:root"), &[]));
    }

    #[test]
    fn a_role_as_principal_covers_its_sessions() {
        let policy =
            r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:role/p/a"},"Action":"sts:AssumeRole"}"#;
        assert!(trusts(policy, Principal::Aws("arn:aws:sts::000000000000:assumed-role/a/session"), &[]));
        assert!(!trusts(policy, Principal::Aws("arn:aws:sts::000000000000:assumed-role/b/session"), &[]));
    }

    #[test]
    fn a_deny_wins_and_a_condition_must_hold() {
        let allow = r#"{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:*"}"#;
        let deny = r#"{"Effect":"Deny","Principal":{"AWS":"*"},"Action":"sts:*"}"#;
        let only = r#"{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:*","Condition":{"StringEquals":{"sts:ExternalId":"7"}}}"#;
        let root = Principal::Aws("arn:aws:iam::000000000000:root");
        assert!(trusts(allow, root, &[]));
        assert!(!trusts(&format!("[{allow},{deny}]"), root, &[]));
        assert!(trusts(only, root, &[("sts:ExternalId", "7")]));
        assert!(!trusts(only, root, &[("sts:ExternalId", "8")]));
        assert!(!trusts(only, root, &[]));
    }

    #[test]
    fn stars_and_question_marks_match_as_in_policies() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("s3:Get*", "s3:getobject", true),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "axxbyybz", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a?c", "aéc", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text, true), expected, "{pattern} {text}");
        }
    }
}
