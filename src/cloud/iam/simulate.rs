//! `SimulatePrincipalPolicy`: what the policies of a user or role say of actions.
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html>

use redb::ReadTransaction;

use super::{
    Request,
    evaluate::{Asked, Decider, Decision, Policies},
    no_such_entity, role,
    standing::Standing,
    user, write_marker,
};
use crate::cloud::{error::ApiError, query::Xml, service::Caller, store::Transaction};

/// Parameters that would change the result in ways that are not simulated here.
const REFUSED: [&str; 6] = [
    "CallerArn",
    "PermissionsBoundaryPolicyInputList.member.1",
    "PolicyInputList.member.1",
    "ResourceHandlingOption",
    "ResourceOwner",
    "ResourcePolicy",
];
/// Values of one context key, at most.
const CONTEXT_VALUES: usize = 100;

pub(super) fn principal_policy(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let params = &request.params;
    if let Some(refused) = REFUSED.iter().find(|name| params.get(name).is_some()) {
        return Err(ApiError::client("InvalidInput", format!("the embedded cloud does not simulate with {refused}")));
    }
    let mut standing = source(tx, params.require("PolicySourceArn")?)?;
    let names = params.records("ContextEntries", ["ContextKeyName"]);
    for (number, [name]) in names.into_iter().enumerate() {
        for value in 1..=CONTEXT_VALUES {
            let place = format!("ContextEntries.member.{}.ContextKeyValues.member.{value}", number + 1);
            let Some(value) = params.get(&place) else { break };
            standing.context.add(name.unwrap_or_default(), value);
        }
    }
    let actions = params.list("ActionNames");
    if actions.is_empty() {
        params.require("ActionNames")?;
    }
    let resources = match params.list("ResourceArns") {
        none if none.is_empty() => vec!["*"],
        some => some,
    };
    let Standing { who, identity, boundary, context } = standing;
    let policies = Policies { identity, boundary, resource: None };
    let asked = actions.iter().flat_map(|action| resources.iter().map(move |resource| (*action, *resource)));
    Ok(Xml::of(|xml| {
        xml.list("EvaluationResults", asked, |xml, (action, resource)| {
            let decision = policies.decide(who.principal(), &Asked { action, resource, context: &context });
            write_result(xml, action, resource, &decision);
        });
        write_marker(xml, None);
    }))
}

fn write_result(xml: &mut Xml, action: &str, resource: &str, decision: &Decision) {
    let (word, decider) = match decision {
        Decision::Allowed(decider) => ("allowed", decider.as_ref()),
        Decision::Denied(_, decider) => ("explicitDeny", Some(decider)),
        Decision::Unallowed(_) => ("implicitDeny", None),
    };
    xml.text("EvalActionName", action);
    xml.text("EvalResourceName", resource);
    xml.text("EvalDecision", word);
    xml.list("MatchedStatements", decider, |xml, Decider { policy, .. }| {
        xml.text("SourcePolicyId", policy);
        xml.text("SourcePolicyType", "IAM Policy");
    });
    xml.element("MissingContextValues", |_| ());
}

fn source(tx: &impl Transaction, arn: &str) -> Result<Standing, ApiError> {
    if let Some(user) = user::find_by_arn(tx, arn)? {
        return Standing::of(tx, &Caller { arn: user.arn(), user_id: user.id });
    }
    match role::find_by_arn(tx, arn)? {
        Some(_) => Standing::of_role(tx, arn)?.ok_or_else(|| missing(arn)),
        None => Err(missing(arn)),
    }
}

fn missing(arn: &str) -> ApiError {
    no_such_entity(format!("The entity {arn} cannot be found."))
}
