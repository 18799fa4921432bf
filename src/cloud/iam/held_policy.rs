//! Policies that a user or role holds: inline ones with their documents, managed ones by ARN.

use std::collections::BTreeMap;

use redb::{ReadTransaction, WriteTransaction};

use super::{
    Request, limit_exceeded, managed, no_such_entity, page,
    policy::{Policy, PolicyKind},
    role::{Role, url_encoded},
    user::User,
    valid_name, write_marker,
};
use crate::cloud::{
    error::ApiError,
    query::{Params, Xml},
    store::Transaction,
};

/// Longest name of a policy, in letters.
pub(super) const NAME_LETTERS: usize = 128;
/// Managed policies of a user or role; AWS's default quota.
const ATTACHED_POLICIES: usize = 10;

/// Inline policies by name, names of the attached ones by ARN.
pub(super) struct Held<'a> {
    pub inline: &'a mut BTreeMap<String, String>,
    pub attached: &'a mut BTreeMap<String, String>,
}

/// A user or a role.
pub(super) trait Holder: Sized {
    /// `role`
    const NOUN: &'static str;
    /// The quota's name.
    const QUOTA: &'static str;
    /// The member that names it.
    const MEMBER: &'static str;
    /// All inline policies together, in letters other than white space.
    /// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>
    const INLINE_LETTERS: usize;

    fn named(tx: &impl Transaction, params: &Params) -> Result<Self, ApiError>;
    fn save(&self, tx: &WriteTransaction) -> Result<(), ApiError>;
    fn name(&self) -> &str;
    fn held(&mut self) -> Held<'_>;
}

impl Holder for Role {
    const NOUN: &'static str = "role";
    const QUOTA: &'static str = "PoliciesPerRole";
    const MEMBER: &'static str = "RoleName";
    const INLINE_LETTERS: usize = 10_240;

    fn named(tx: &impl Transaction, params: &Params) -> Result<Self, ApiError> {
        super::role::named(tx, params)
    }

    fn save(&self, tx: &WriteTransaction) -> Result<(), ApiError> {
        super::role::save(tx, self)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn held(&mut self) -> Held<'_> {
        Held { inline: &mut self.inline, attached: &mut self.attached }
    }
}

impl Holder for User {
    const NOUN: &'static str = "user";
    const QUOTA: &'static str = "PoliciesPerUser";
    const MEMBER: &'static str = "UserName";
    const INLINE_LETTERS: usize = 2048;

    fn named(tx: &impl Transaction, params: &Params) -> Result<Self, ApiError> {
        super::user::named(tx, params)
    }

    fn save(&self, tx: &WriteTransaction) -> Result<(), ApiError> {
        super::user::save(tx, self)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn held(&mut self) -> Held<'_> {
        Held { inline: &mut self.inline, attached: &mut self.attached }
    }
}

pub(super) fn put<H: Holder>(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let mut holder = H::named(tx, &request.params)?;
    let name = valid_name(&request.params, "PolicyName", NAME_LETTERS)?;
    let document = request.params.require("PolicyDocument")?;
    Policy::parse(document, PolicyKind::Identity)?;
    let inline = holder.held().inline;
    inline.insert(name.to_owned(), document.to_owned());
    let letters = |document: &String| document.chars().filter(|letter| !letter.is_whitespace()).count();
    if inline.values().map(letters).sum::<usize>() > H::INLINE_LETTERS {
        let (most, noun, name) = (H::INLINE_LETTERS, H::NOUN, holder.name());
        return Err(limit_exceeded(format!("Maximum policy size of {most} bytes exceeded for {noun} {name}")));
    }
    holder.save(tx)?;
    Ok(None)
}

pub(super) fn get<H: Holder>(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let mut holder = H::named(tx, &request.params)?;
    let name = valid_name(&request.params, "PolicyName", NAME_LETTERS)?;
    let document = holder.held().inline.remove(name).ok_or_else(|| not_found::<H>(name))?;
    Ok(Xml::of(|xml| {
        xml.text(H::MEMBER, holder.name());
        xml.text("PolicyName", name);
        xml.text("PolicyDocument", url_encoded(&document));
    }))
}

pub(super) fn list<H: Holder>(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let mut holder = H::named(tx, &request.params)?;
    let (names, marker) = page(holder.held().inline.keys(), |name| name, &request.params)?;
    Ok(Xml::of(|xml| {
        xml.list("PolicyNames", names, |xml, name| xml.value(name));
        write_marker(xml, marker);
    }))
}

pub(super) fn delete<H: Holder>(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let mut holder = H::named(tx, &request.params)?;
    let name = valid_name(&request.params, "PolicyName", NAME_LETTERS)?;
    holder.held().inline.remove(name).ok_or_else(|| not_found::<H>(name))?;
    holder.save(tx)?;
    Ok(None)
}

/// A policy of AWS whose document is not known here would be attached in vain: it is refused as one that does not
/// exist.
pub(super) fn attach<H: Holder>(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let mut holder = H::named(tx, &request.params)?;
    let arn = request.params.require("PolicyArn")?;
    let name = managed::attachable(tx, arn)?;
    let attached = holder.held().attached;
    attached.insert(arn.to_owned(), name);
    if attached.len() > ATTACHED_POLICIES {
        return Err(limit_exceeded(format!("Cannot exceed quota for {}: {ATTACHED_POLICIES}", H::QUOTA)));
    }
    holder.save(tx)?;
    Ok(None)
}

pub(super) fn detach<H: Holder>(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let mut holder = H::named(tx, &request.params)?;
    let arn = request.params.require("PolicyArn")?;
    if holder.held().attached.remove(arn).is_none() {
        return Err(no_such_entity(format!("Policy {arn} was not found.")));
    }
    holder.save(tx)?;
    Ok(None)
}

pub(super) fn list_attached<H: Holder>(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let mut holder = H::named(tx, &request.params)?;
    let (policies, marker) = page(holder.held().attached.iter(), |(arn, _)| arn, &request.params)?;
    Ok(Xml::of(|xml| {
        xml.list("AttachedPolicies", policies, |xml, (arn, name)| {
            xml.text("PolicyName", name);
            xml.text("PolicyArn", arn);
        });
        write_marker(xml, marker);
    }))
}

fn not_found<H: Holder>(name: &str) -> ApiError {
    no_such_entity(format!("The {} policy with name {name} cannot be found.", H::NOUN))
}
