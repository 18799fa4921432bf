//! Users, and the account's root.

use std::collections::BTreeMap;

use http::StatusCode;
use jiff::Timestamp;
use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{
    Request, access_key, limit_exceeded, managed, no_such_entity, page,
    role::{date, path},
    tag::{self, Tag},
    valid_name, write_marker,
};
use crate::cloud::{
    error::ApiError,
    query::{Params, Xml},
    service::{ACCOUNT_ID, Caller},
    store::{Table, Transaction},
};

const ACCOUNTS: Table<Account> = Table::new("iam.accounts");
/// Users by their names in lower case.
const USERS: Table<User> = Table::new("iam.users");

/// Longest name of a user, in letters.
const NAME_LETTERS: usize = 64;
/// Users of one account; AWS's quota.
const USERS_PER_ACCOUNT: usize = 5000;

/// The account.
#[derive(Debug, Serialize, Deserialize)]
struct Account {
    /// When it was first asked after; nothing tells when its store was made.
    created: Timestamp,
}

/// A user.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    /// Its name as it was given; names differ by more than case.
    pub name: String,
    /// `AIDA…`
    pub id: String,
    /// `/`, or folders between slashes.
    pub path: String,
    /// When it was made.
    pub created: Timestamp,
    /// ARN of the policy that bounds the user.
    pub boundary: Option<String>,
    /// Tags, in the order of their keys.
    pub tags: Vec<Tag>,
    /// Inline policies by name.
    pub inline: BTreeMap<String, String>,
    /// Names of the attached policies by ARN.
    pub attached: BTreeMap<String, String>,
}

impl User {
    /// `arn:aws:iam::account:user/path/name`
    pub fn arn(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT_ID}:user{}{}", self.path, self.name)
    }

    /// Who signs with its keys.
    pub(super) fn caller(&self) -> Caller {
        Caller { arn: self.arn(), user_id: self.id.clone() }
    }

    fn write(&self, xml: &mut Xml) {
        xml.text("Path", &self.path);
        xml.text("UserName", &self.name);
        xml.text("UserId", &self.id);
        xml.text("Arn", self.arn());
        xml.text("CreateDate", date(self.created));
    }

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
    }
}

/// The user that an ARN names, if it is there.
pub fn find_by_arn(tx: &impl Transaction, arn: &str) -> Result<Option<User>, ApiError> {
    let Some((_, name)) = arn.rsplit_once('/') else { return Ok(None) };
    Ok(USERS.get(tx, &name.to_lowercase())?.filter(|user| user.arn() == arn))
}

/// The user called so, if it is there.
pub(super) fn find(tx: &impl Transaction, name: &str) -> Result<Option<User>, ApiError> {
    Ok(USERS.get(tx, &name.to_lowercase())?)
}

/// The user that `UserName` names, or `NoSuchEntity`.
pub(super) fn named(tx: &impl Transaction, params: &Params) -> Result<User, ApiError> {
    let name = valid_name(params, "UserName", NAME_LETTERS)?;
    find(tx, name)?.ok_or_else(|| no_such_entity(format!("The user with name {name} cannot be found.")))
}

/// The user that `UserName` names, else the one that asks.
pub(super) fn named_or_caller(tx: &impl Transaction, request: &Request) -> Result<User, ApiError> {
    if request.params.get("UserName").is_some() {
        return named(tx, &request.params);
    }
    find_by_arn(tx, &request.caller.arn)?.ok_or_else(|| {
        ApiError::client("ValidationError", "Must specify userName when calling with non-User credentials")
    })
}

pub(super) fn save(tx: &WriteTransaction, user: &User) -> Result<(), ApiError> {
    Ok(USERS.put(tx, &user.name.to_lowercase(), user)?)
}

/// Users that the policy is attached to.
pub(super) fn holders_of(tx: &impl Transaction, policy_arn: &str) -> Result<usize, ApiError> {
    let users = USERS.scan(tx, "", None, USERS_PER_ACCOUNT)?;
    Ok(users.iter().filter(|(_, user)| user.attached.contains_key(policy_arn)).count())
}

pub(super) fn create(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let params = &request.params;
    let name = valid_name(params, "UserName", NAME_LETTERS)?;
    let boundary = params.get("PermissionsBoundary");
    if let Some(boundary) = boundary {
        managed::attachable(tx, boundary)?;
    }
    let user = User {
        name: name.to_owned(),
        id: tag::unique_id("AIDA"),
        path: path(params.get("Path").unwrap_or("/"))?,
        created: Timestamp::now(),
        boundary: boundary.map(str::to_owned),
        tags: tag::merged(&[], params)?,
        inline: BTreeMap::new(),
        attached: BTreeMap::new(),
    };
    if find(tx, name)?.is_some() {
        return Err(ApiError::with_status(
            StatusCode::CONFLICT,
            "EntityAlreadyExists",
            format!("User with name {name} already exists."),
        ));
    }
    if USERS.scan(tx, "", None, USERS_PER_ACCOUNT)?.len() == USERS_PER_ACCOUNT {
        return Err(limit_exceeded(format!("Cannot exceed quota for UsersPerAccount: {USERS_PER_ACCOUNT}")));
    }
    save(tx, &user)?;
    Ok(Some(Xml::of(|xml| xml.element("User", |xml| user.write_whole(xml)))))
}

pub(super) fn list(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let prefix = request.params.get("PathPrefix").unwrap_or("/");
    let users = USERS.scan(tx, "", None, USERS_PER_ACCOUNT)?;
    let users = users.into_iter().filter(|(_, user)| user.path.starts_with(prefix));
    let (users, marker) = page(users, |(key, _)| key, &request.params)?;
    Ok(Xml::of(|xml| {
        xml.list("Users", &users, |xml, (_, user)| user.write(xml));
        write_marker(xml, marker);
    }))
}

pub(super) fn delete(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let user = named(tx, &request.params)?;
    let conflict = |message| Err(ApiError::with_status(StatusCode::CONFLICT, "DeleteConflict", message));
    if !user.attached.is_empty() {
        return conflict("Cannot delete entity, must detach all policies first.");
    }
    if !user.inline.is_empty() {
        return conflict("Cannot delete entity, must delete policies first.");
    }
    if access_key::has_any(tx, &user.name)? {
        return conflict("Cannot delete entity, must delete access keys first.");
    }
    USERS.delete(tx, &user.name.to_lowercase())?;
    Ok(None)
}

pub(super) fn get(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let root = format!("arn:aws:iam::{ACCOUNT_ID}:root");
    if request.params.get("UserName").is_some() || request.caller.arn != root {
        let user = named_or_caller(tx, request)?;
        return Ok(Some(Xml::of(|xml| xml.element("User", |xml| user.write_whole(xml)))));
    }
    let account = match ACCOUNTS.get(tx, ACCOUNT_ID)? {
        Some(account) => account,
        None => {
            let account = Account { created: Timestamp::now() };
            ACCOUNTS.put(tx, ACCOUNT_ID, &account)?;
            account
        }
    };
    Ok(Some(Xml::of(|xml| {
        xml.element("User", |xml| {
            xml.text("Path", "/");
            xml.text("UserId", ACCOUNT_ID);
            xml.text("Arn", root);
            xml.text("CreateDate", date(account.created));
        });
    })))
}
