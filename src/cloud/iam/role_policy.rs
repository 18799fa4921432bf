//! Policies of a role: inline ones with their documents, managed ones by ARN.

use redb::{ReadTransaction, WriteTransaction};

use super::{
    Request, limit_exceeded, no_such_entity, page,
    policy::{Policy, PolicyKind},
    role::{self, url_encoded},
    valid_name, write_marker,
};
use crate::cloud::{error::ApiError, query::Xml};

/// Longest name of a policy, in letters.
const NAME_LETTERS: usize = 128;
/// All inline policies of a role together, in letters other than white space.
const INLINE_LETTERS: usize = 10_240;
/// Managed policies of a role; AWS's default quota.
const ATTACHED_PER_ROLE: usize = 10;
/// What the ARNs of AWS's own policies begin with.
const AWS_MANAGED: &str = "arn:aws:iam::aws:policy/";

pub(super) fn put(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let mut role = role::named(tx, &request.params)?;
    let name = valid_name(&request.params, "PolicyName", NAME_LETTERS)?;
    let document = request.params.require("PolicyDocument")?;
    Policy::parse(document, PolicyKind::Identity)?;
    role.inline.insert(name.to_owned(), document.to_owned());
    let letters = |document: &String| document.chars().filter(|letter| !letter.is_whitespace()).count();
    if role.inline.values().map(letters).sum::<usize>() > INLINE_LETTERS {
        let name = &role.name;
        return Err(limit_exceeded(format!("Maximum policy size of {INLINE_LETTERS} bytes exceeded for role {name}")));
    }
    role::save(tx, &role)?;
    Ok(None)
}

pub(super) fn get(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let role = role::named(tx, &request.params)?;
    let name = valid_name(&request.params, "PolicyName", NAME_LETTERS)?;
    let document = role.inline.get(name).ok_or_else(|| not_found(name))?;
    Ok(Xml::of(|xml| {
        xml.text("RoleName", &role.name);
        xml.text("PolicyName", name);
        xml.text("PolicyDocument", url_encoded(document));
    }))
}

pub(super) fn list(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let role = role::named(tx, &request.params)?;
    let (names, marker) = page(role.inline.keys(), |name| name, &request.params)?;
    Ok(Xml::of(|xml| {
        xml.list("PolicyNames", names, |xml, name| xml.value(name));
        write_marker(xml, marker);
    }))
}

pub(super) fn delete(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let mut role = role::named(tx, &request.params)?;
    let name = valid_name(&request.params, "PolicyName", NAME_LETTERS)?;
    role.inline.remove(name).ok_or_else(|| not_found(name))?;
    role::save(tx, &role)?;
    Ok(None)
}

/// AWS's own policies are taken by their names; there are no others here to attach.
pub(super) fn attach(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let mut role = role::named(tx, &request.params)?;
    let arn = request.params.require("PolicyArn")?;
    let name = arn.strip_prefix(AWS_MANAGED).and_then(|path| path.rsplit('/').next()).filter(|name| !name.is_empty());
    let Some(name) = name else {
        return Err(no_such_entity(format!("Policy {arn} does not exist or is not attachable.")));
    };
    role.attached.insert(arn.to_owned(), name.to_owned());
    if role.attached.len() > ATTACHED_PER_ROLE {
        return Err(limit_exceeded(format!("Cannot exceed quota for PoliciesPerRole: {ATTACHED_PER_ROLE}")));
    }
    role::save(tx, &role)?;
    Ok(None)
}

pub(super) fn detach(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let mut role = role::named(tx, &request.params)?;
    let arn = request.params.require("PolicyArn")?;
    if role.attached.remove(arn).is_none() {
        return Err(no_such_entity(format!("Policy {arn} was not found.")));
    }
    role::save(tx, &role)?;
    Ok(None)
}

pub(super) fn list_attached(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let role = role::named(tx, &request.params)?;
    let (policies, marker) = page(role.attached.iter(), |(arn, _)| arn, &request.params)?;
    Ok(Xml::of(|xml| {
        xml.list("AttachedPolicies", policies, |xml, (arn, name)| {
            xml.text("PolicyName", name);
            xml.text("PolicyArn", arn);
        });
        write_marker(xml, marker);
    }))
}

fn not_found(name: &str) -> ApiError {
    no_such_entity(format!("The role policy with name {name} cannot be found."))
}
