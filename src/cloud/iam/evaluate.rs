//! What policies say of a request. One evaluator for identity, trust and resource policies.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>

use std::sync::Arc;

use super::{
    condition,
    context::Context,
    policy::{Effect, Policy, PolicyKind, Principals, Selection, Statement},
    wildcard::Pattern,
};
use crate::cloud::service::ACCOUNT_ID;

pub use super::wildcard::matches;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Principal<'a> {
    /// A service of AWS, by its principal name (`lambda.amazonaws.com`).
    Service(&'a str),
    /// A user of the account, or its root, by its ARN.
    User(&'a str),
    /// A session of a role; the session's own ARN is not known of roles that services assume.
    Role {
        /// The role's ARN.
        role: &'a str,
        /// The session's ARN.
        session: Option<&'a str>,
    },
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `s3:GetObject`
    pub action: &'a str,
    /// An ARN, or `*`.
    pub resource: &'a str,
    /// What conditions may ask about.
    pub context: &'a Context,
}

/// A policy and where it is from.
#[derive(Debug, Clone)]
pub struct Source {
    /// `inline policy read of role convert`, say.
    pub name: String,
    /// The policy; `None` for a document that cannot be read, which denies.
    pub policy: Option<Arc<Policy>>,
}

/// The statement that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decider {
    /// The policy's name, as its [`Source`] has it.
    pub policy: String,
    /// The statement's `Sid`, or its place (`#1`, from one on).
    pub statement: String,
}

/// How a resource policy reaches a principal, by growing weight.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Through the account, which leaves it to the principal's own policies whether it is allowed.
    Account,
    /// Through its role: a permissions boundary still limits it.
    Role,
    /// By itself: nothing but an explicit deny limits it.
    Itself,
}

/// What policies of one kind say, taken together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saying {
    /// An explicit deny.
    pub deny: Option<Decider>,
    /// The weightiest allow.
    pub allow: Option<(Reach, Decider)>,
}

/// Kinds of policies, as messages name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Of the user or role.
    Identity,
    /// Of the resource.
    Resource,
    /// Of the role that is to be assumed.
    Trust,
    /// The limit of the user or role.
    Boundary,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Allowed; `None` where it is the root's.
    Allowed(Option<Decider>),
    /// Some statement denies.
    Denied(Kind, Decider),
    /// No statement of that kind allows.
    Unallowed(Kind),
}

impl Decision {
    /// Whether it may be done.
    pub fn is_allowed(&self) -> bool {
        matches!(self, Decision::Allowed(_))
    }
}

/// All that bears on one request.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// The principal's own.
    pub identity: Vec<Source>,
    /// The limit of what those can allow.
    pub boundary: Option<Source>,
    /// The resource's, and whether it is a role's trust policy.
    pub resource: Option<(Source, PolicyKind)>,
}

impl Policies {
    /// Decides as AWS does within one account. An explicit deny anywhere wins. Then the resource's policy or the
    /// principal's own have to allow, the latter within the boundary; a role's trust policy has to allow in any
    /// case, and its word is enough where it names the principal rather than the account.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html>
    pub fn decide(&self, principal: Principal<'_>, asked: &Asked<'_>) -> Decision {
        let own = |sources: &mut dyn Iterator<Item = &Source>| Saying::of(sources, None, asked);
        let identity = own(&mut self.identity.iter());
        let boundary = self.boundary.as_ref().map(|boundary| own(&mut std::iter::once(boundary)));
        let trust = matches!(self.resource, Some((_, PolicyKind::Trust)));
        let kind = if trust { Kind::Trust } else { Kind::Resource };
        let resource = self.resource.as_ref().map(|(source, _)| source);
        let resource = Saying::of(&mut resource.into_iter(), Some(principal), asked);
        let bounded = boundary.as_ref().is_none_or(|boundary| boundary.allow.is_some());
        for (kind, deny) in [
            (Kind::Identity, identity.deny),
            (Kind::Boundary, boundary.and_then(|boundary| boundary.deny)),
            (kind, resource.deny),
        ] {
            if let Some(deny) = deny {
                return Decision::Denied(kind, deny);
            }
        }
        let service = matches!(principal, Principal::Service(_));
        let unallowed = if service { Kind::Resource } else { Kind::Identity };
        match (resource.allow, identity.allow) {
            (Some((Reach::Itself, decider)), _) => Decision::Allowed(Some(decider)),
            (Some((Reach::Role, decider)), _) if bounded => Decision::Allowed(Some(decider)),
            (None, _) if trust => Decision::Unallowed(Kind::Trust),
            (_, Some((_, decider))) if bounded => Decision::Allowed(Some(decider)),
            (Some((Reach::Role, _)), _) | (_, Some(_)) => Decision::Unallowed(Kind::Boundary),
            (_, None) => Decision::Unallowed(unallowed),
        }
    }
}

impl Saying {
    /// What `sources` say; of `principal`, where they are policies that name principals.
    pub fn of(
        sources: &mut dyn Iterator<Item = &Source>,
        principal: Option<Principal<'_>>,
        asked: &Asked<'_>,
    ) -> Saying {
        let mut saying = Saying::default();
        for source in sources {
            let decider = |statement: String| Decider { policy: source.name.clone(), statement };
            let Some(policy) = &source.policy else {
                saying.deny.get_or_insert_with(|| decider("a document that cannot be read".to_owned()));
                continue;
            };
            for (index, statement) in policy.statements.iter().enumerate() {
                let Some(reach) = policy.applies(statement, principal, asked) else { continue };
                let name = || statement.sid.clone().unwrap_or_else(|| format!("#{}", index + 1));
                match statement.effect {
                    Effect::Deny => saying.deny = saying.deny.or_else(|| Some(decider(name()))),
                    Effect::Allow => {
                        if saying.allow.as_ref().is_none_or(|(known, _)| *known < reach) {
                            saying.allow = Some((reach, decider(name())));
                        }
                    }
                }
            }
        }
        saying
    }
}

impl Policy {
    /// Whether this trust policy lets the service `principal` assume its role.
    pub fn trusts(&self, principal: &str, context: &Context) -> bool {
        let asked = Asked { action: "sts:AssumeRole", resource: "*", context };
        let applies = |effect: Effect| {
            let statements = self.statements.iter().filter(move |statement| statement.effect == effect);
            statements.filter_map(|it| self.applies(it, Some(Principal::Service(principal)), &asked)).next().is_some()
        };
        applies(Effect::Allow) && !applies(Effect::Deny)
    }

    /// How `statement` applies to the request, if it does. What cannot be judged denies, never allows.
    fn applies(&self, statement: &Statement, principal: Option<Principal<'_>>, asked: &Asked<'_>) -> Option<Reach> {
        if !statement.actions.selects_action(asked.action) || !self.covers(statement, asked) {
            return None;
        }
        let reach = match (&statement.principals, principal) {
            (Some(principals), Some(principal)) => principals.reach(principal, statement.effect)?,
            (None, None) => Reach::Itself,
            // Not a statement of this kind of policy.
            _ => return (statement.effect == Effect::Deny).then_some(Reach::Itself),
        };
        let held = condition::all(statement.conditions.iter().map(|it| it.holds(asked.context, self.variables)));
        match (statement.effect, held) {
            (_, Some(true)) | (Effect::Deny, None) => Some(reach),
            _ => None,
        }
    }

    /// Whether the statement is about the resource. Trust policies are about their role alone.
    fn covers(&self, statement: &Statement, asked: &Asked<'_>) -> bool {
        let Some(resources) = &statement.resources else { return true };
        let matched = |pattern: &str| match self.variables {
            true => Pattern::filled(pattern, asked.context),
            false => Some(Pattern::plain(pattern)),
        };
        // A variable without a value is no resource's name.
        let any = |patterns: &[String]| {
            patterns.iter().any(|pattern| {
                pattern == "*" || matched(pattern).is_some_and(|pattern| pattern.matches_arn(asked.resource))
            })
        };
        match resources {
            Selection::Only(patterns) => any(patterns),
            Selection::AllBut(patterns) => !any(patterns),
        }
    }
}

impl Selection {
    /// Whether the action `name` is selected; case does not matter.
    pub fn selects_action(&self, name: &str) -> bool {
        let matched = |patterns: &[String]| patterns.iter().any(|pattern| matches(pattern, name, true));
        match self {
            Selection::Only(patterns) => matched(patterns),
            Selection::AllBut(patterns) => !matched(patterns),
        }
    }
}

impl Principals {
    /// How the statement reaches `principal`, if it does.
    fn reach(&self, principal: Principal<'_>, effect: Effect) -> Option<Reach> {
        let reaches = self.named.iter().filter_map(|(kind, name)| named(kind, name, principal));
        if !self.inverted {
            // An account as principal of a deny is everyone in it.
            return reaches.max();
        }
        match effect {
            Effect::Allow => reaches.max().is_none().then_some(Reach::Itself),
            // To be left out of a deny, all that a principal is has to be named: the account, the role, the session.
            // <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html>
            Effect::Deny => {
                let named: Vec<Reach> = reaches.collect();
                let left_out = match principal {
                    Principal::Service(_) => !named.is_empty(),
                    Principal::User(arn) if arn == root() => !named.is_empty(),
                    Principal::User(_) => [Reach::Account, Reach::Itself].iter().all(|one| named.contains(one)),
                    Principal::Role { session, .. } => {
                        named.contains(&Reach::Account)
                            && named.contains(&Reach::Role)
                            && (session.is_none() || named.contains(&Reach::Itself))
                    }
                };
                (!left_out).then_some(Reach::Itself)
            }
        }
    }
}

/// The account's root user.
fn root() -> String {
    format!("arn:aws:iam::{ACCOUNT_ID}:root")
}

fn named(kind: &str, name: &str, principal: Principal<'_>) -> Option<Reach> {
    if kind == "AWS" && name == "*" {
        return Some(Reach::Itself);
    }
    let account = kind == "AWS" && (name == ACCOUNT_ID || name == root());
    match principal {
        Principal::Service(service) => (kind == "Service" && name == service).then_some(Reach::Itself),
        Principal::User(arn) if arn == root() => account.then_some(Reach::Itself),
        _ if account => Some(Reach::Account),
        Principal::User(arn) => (kind == "AWS" && name == arn).then_some(Reach::Itself),
        Principal::Role { session, .. } if kind == "AWS" && session == Some(name) => Some(Reach::Itself),
        Principal::Role { role, .. } => (kind == "AWS" && name == role).then_some(Reach::Role),
    }
}

#[cfg(test)]
mod tests;
