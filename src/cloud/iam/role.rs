//! Roles.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{
    Request, limit_exceeded, managed, no_such_entity, page,
    policy::{Policy, PolicyKind},
    tag::{self, Tag},
    valid_name, write_marker,
};
use crate::cloud::{
    error::ApiError,
    query::{Params, Xml},
    service::ACCOUNT_ID,
    store::{Table, Transaction},
};

const ROLES: Table<Role> = Table::new("iam.roles");

/// Longest name of a role, in letters.
pub(super) const NAME_LETTERS: usize = 64;
/// Roles of one account; AWS's default quota.
const ROLES_PER_ACCOUNT: usize = 1000;
/// Longest trust policy, in letters other than white space.
const TRUST_POLICY_LETTERS: usize = 2048;
/// Longest description, in letters.
const DESCRIPTION_LETTERS: usize = 1000;
/// A session's longest duration when the role does not say, in seconds.
const SESSION_SECONDS: u32 = 3600;

/// What RFC 3986 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A role, with all that belongs to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Role {
    /// Its name as it was given; names differ by more than case.
    pub name: String,
    /// `AROA…`: a role made anew under the same name has another.
    pub id: String,
    /// `/`, or folders between slashes.
    pub path: String,
    /// The trust policy, as it was given.
    pub trust: String,
    /// Description.
    pub description: Option<String>,
    /// Longest session, in seconds.
    pub max_session_seconds: u32,
    /// ARN of the policy that bounds the role.
    pub boundary: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Tags, in the order of their keys.
    pub tags: Vec<Tag>,
    /// Inline policies by name.
    pub inline: BTreeMap<String, String>,
    /// Names of the attached policies by ARN.
    pub attached: BTreeMap<String, String>,
}

impl Role {
    /// `arn:aws:iam::account:role/path/name`
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT_ID}:role{}{}", self.path, self.name)
    }

    /// The trust policy, read.
    pub fn trust_policy(&self) -> Result<Policy, ApiError> {
        Policy::parse(&self.trust, PolicyKind::Trust)
    }

    /// What lists tell of a role.
    fn write(&self, xml: &mut Xml) {
        xml.text("Path", &self.path);
        xml.text("RoleName", &self.name);
        xml.text("RoleId", &self.id);
        xml.text("Arn", self.arn());
        xml.text("CreateDate", date(self.created));
        xml.text("AssumeRolePolicyDocument", url_encoded(&self.trust));
        xml.optional("Description", self.description.as_ref());
        xml.text("MaxSessionDuration", self.max_session_seconds.to_string());
    }

    /// What `CreateRole` and `GetRole` tell besides.
    fn write_whole(&self, xml: &mut Xml) {
        self.write(xml);
        if let Some(boundary) = &self.boundary {
            xml.element("PermissionsBoundary", |xml| {
                xml.text("PermissionsBoundaryType", "Policy");
                xml.text("PermissionsBoundaryArn", boundary);
            });
        }
        if !self.tags.is_empty() {
            xml.list("Tags", &self.tags, |xml, tag| tag.write(xml));
        }
        xml.element("RoleLastUsed", |_| ());
    }
}

/// `2024-05-29T18:43:21Z`
pub(super) fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// IAM returns policy documents so.
pub(super) fn url_encoded(document: &str) -> String {
    utf8_percent_encode(document, UNRESERVED).to_string()
}

/// The role that an ARN names, if it is there.
pub fn find_by_arn(tx: &impl Transaction, arn: &str) -> Result<Option<Role>, ApiError> {
    let Some((_, name)) = arn.rsplit_once('/') else { return Ok(None) };
    Ok(ROLES.get(tx, &name.to_lowercase())?.filter(|role| role.arn() == arn))
}

/// The role called so, if it is there.
pub(super) fn find(tx: &impl Transaction, name: &str) -> Result<Option<Role>, ApiError> {
    Ok(ROLES.get(tx, &name.to_lowercase())?)
}

/// The role of a session, if it is the one that the session is of and not another of its name.
pub(super) fn of_session(tx: &impl Transaction, name: &str, id: &str) -> Result<Option<Role>, ApiError> {
    Ok(find(tx, name)?.filter(|role| role.id == id))
}

/// Roles that the policy is attached to.
pub(super) fn holders_of(tx: &impl Transaction, policy_arn: &str) -> Result<usize, ApiError> {
    let roles = ROLES.scan(tx, "", None, ROLES_PER_ACCOUNT)?;
    Ok(roles.iter().filter(|(_, role)| role.attached.contains_key(policy_arn)).count())
}

/// The role that `RoleName` names, or `NoSuchEntity`.
pub(super) fn named(tx: &impl Transaction, params: &Params) -> Result<Role, ApiError> {
    let name = valid_name(params, "RoleName", NAME_LETTERS)?;
    ROLES
        .get(tx, &name.to_lowercase())?
        .ok_or_else(|| no_such_entity(format!("The role with name {name} cannot be found.")))
}

pub(super) fn save(tx: &WriteTransaction, role: &Role) -> Result<(), ApiError> {
    Ok(ROLES.put(tx, &role.name.to_lowercase(), role)?)
}

pub(super) fn create(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let params = &request.params;
    let name = valid_name(params, "RoleName", NAME_LETTERS)?;
    if let Some(boundary) = params.get("PermissionsBoundary") {
        managed::attachable(tx, boundary)?;
    }
    let role = Role {
        name: name.to_owned(),
        id: tag::unique_id("AROA"),
        path: path(params.get("Path").unwrap_or("/"))?,
        trust: trust(params, "AssumeRolePolicyDocument")?,
        description: params.get("Description").map(description).transpose()?,
        max_session_seconds: params.number("MaxSessionDuration", 3600..=43200)?.unwrap_or(SESSION_SECONDS),
        boundary: params.get("PermissionsBoundary").map(str::to_owned),
        created: Timestamp::now(),
        tags: tag::merged(&[], params)?,
        inline: BTreeMap::new(),
        attached: BTreeMap::new(),
    };
    if ROLES.get(tx, &name.to_lowercase())?.is_some() {
        return Err(ApiError::with_status(
            StatusCode::CONFLICT,
            "EntityAlreadyExists",
            format!("Role with name {name} already exists."),
        ));
    }
    if ROLES.scan(tx, "", None, ROLES_PER_ACCOUNT)?.len() == ROLES_PER_ACCOUNT {
        return Err(limit_exceeded(format!("Cannot exceed quota for RolesPerAccount: {ROLES_PER_ACCOUNT}")));
    }
    save(tx, &role)?;
    Ok(Some(Xml::of(|xml| xml.element("Role", |xml| role.write_whole(xml)))))
}

pub(super) fn get(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let role = named(tx, &request.params)?;
    Ok(Xml::of(|xml| xml.element("Role", |xml| role.write_whole(xml))))
}

pub(super) fn list(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let prefix = request.params.get("PathPrefix").unwrap_or("/");
    let roles = ROLES.scan(tx, "", None, ROLES_PER_ACCOUNT)?;
    let roles = roles.into_iter().filter(|(_, role)| role.path.starts_with(prefix));
    let (roles, marker) = page(roles, |(key, _)| key, &request.params)?;
    Ok(Xml::of(|xml| {
        xml.list("Roles", &roles, |xml, (_, role)| role.write(xml));
        write_marker(xml, marker);
    }))
}

pub(super) fn update(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let mut role = named(tx, &request.params)?;
    if let Some(text) = request.params.get("Description") {
        role.description = Some(description(text)?);
    }
    // An update without a duration sets it back; the API reference says so.
    role.max_session_seconds = request.params.number("MaxSessionDuration", 3600..=43200)?.unwrap_or(SESSION_SECONDS);
    save(tx, &role)?;
    Ok(Some(Xml::default()))
}

pub(super) fn update_description(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let mut role = named(tx, &request.params)?;
    role.description = Some(description(request.params.require("Description")?)?);
    save(tx, &role)?;
    Ok(Some(Xml::of(|xml| xml.element("Role", |xml| role.write_whole(xml)))))
}

pub(super) fn update_trust(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let mut role = named(tx, &request.params)?;
    role.trust = trust(&request.params, "PolicyDocument")?;
    save(tx, &role)?;
    Ok(None)
}

pub(super) fn delete(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let role = named(tx, &request.params)?;
    let conflict = |message| Err(ApiError::with_status(StatusCode::CONFLICT, "DeleteConflict", message));
    if !role.attached.is_empty() {
        return conflict("Cannot delete entity, must detach all policies first.");
    }
    if !role.inline.is_empty() {
        return conflict("Cannot delete entity, must delete policies first.");
    }
    ROLES.delete(tx, &role.name.to_lowercase())?;
    Ok(None)
}

/// There are no instances, hence no profiles: the list that tools ask for before they delete a role is empty.
pub(super) fn list_instance_profiles(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    named(tx, &request.params)?;
    Ok(Xml::of(|xml| {
        xml.element("InstanceProfiles", |_| ());
        write_marker(xml, None);
    }))
}

fn trust(params: &Params, member: &str) -> Result<String, ApiError> {
    let document = params.require(member)?;
    Policy::parse(document, PolicyKind::Trust)?;
    if document.chars().filter(|letter| !letter.is_whitespace()).count() > TRUST_POLICY_LETTERS {
        return Err(limit_exceeded(format!("Cannot exceed quota for ACLSizePerRole: {TRUST_POLICY_LETTERS}")));
    }
    Ok(document.to_owned())
}

fn description(text: &str) -> Result<String, ApiError> {
    if text.chars().count() > DESCRIPTION_LETTERS {
        return Err(ApiError::client(
            "ValidationError",
            format!(
                "1 validation error detected: Value at 'description' failed to satisfy constraint: Member must have \
                 length less than or equal to {DESCRIPTION_LETTERS}"
            ),
        ));
    }
    Ok(text.to_owned())
}

/// A path as IAM takes it.
pub(super) fn path(path: &str) -> Result<String, ApiError> {
    let letters = path.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
    if path == "/" || (letters && path.len() > 2 && path.len() <= 512 && path.starts_with('/') && path.ends_with('/')) {
        return Ok(path.to_owned());
    }
    Err(ApiError::client(
        "ValidationError",
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric \
         characters and/or / characters.",
    ))
}
