//! IAM: users and roles with their policies, and the evaluation of policies. A global service: no region in its keys.
//!
//! | file | what |
//! |---|---|
//! | `policy`, `condition`, `wildcard` | what a document says |
//! | `context`, `standing` | what is known of a request and of its caller |
//! | `evaluate`, `cache` | the decision |
//! | `user`, `access_key`, `role`, `held_policy`, `managed`, `aws_managed`, `tag`, `simulate` | the operations |
//! | `access` | what their callers must be allowed |
//!
//! Left out, and refused: groups, instance profiles, login profiles, MFA, identity providers, versions of policies.
//! <https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html>

mod access;
mod access_key;
mod aws_managed;
pub mod cache;
pub mod condition;
pub mod context;
pub mod evaluate;
mod held_policy;
mod managed;
pub mod policy;
mod role;
mod simulate;
pub mod standing;
mod tag;
mod user;
pub mod wildcard;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use redb::{ReadTransaction, WriteTransaction};

pub use role::{Role, find_by_arn};
pub use user::User;

use super::{
    authorise::Need,
    error::ApiError,
    query::{self, Namespace, Params, Xml},
    service::{Call, Caller, Protocol, Service},
    store::{Store, Transaction},
};
use context::Context;

/// Version of the API.
const VERSION: &str = "2010-05-08";
/// Of the answers.
pub const NAMESPACE: Namespace = Namespace("https://iam.amazonaws.com/doc/2010-05-08/");
/// Entries of a page when the caller does not say.
const PAGE_ENTRIES: u32 = 100;

/// The service.
pub struct Iam {
    store: Arc<Store>,
}

/// What an operation gets to see.
struct Request {
    params: Params,
    caller: Caller,
}

enum Operation {
    Read(fn(&ReadTransaction, &Request) -> Result<Xml, ApiError>),
    Write(fn(&WriteTransaction, &Request) -> Result<Option<Xml>, ApiError>),
}

impl Iam {
    /// The service over `store`.
    pub fn new(store: Arc<Store>) -> Iam {
        Iam { store }
    }
}

/// Whether the role exists and its trust policy lets `service_principal` (`lambda.amazonaws.com`) assume it.
pub fn assumable_by(tx: &impl Transaction, role_arn: &str, service_principal: &str) -> Result<bool, ApiError> {
    let Some(role) = find_by_arn(tx, role_arn)? else { return Ok(false) };
    let facts: Context = [("aws:SourceAccount", super::service::ACCOUNT_ID)].into_iter().collect();
    Ok(role.trust_policy()?.trusts(service_principal, &facts))
}

fn operation(action: &str) -> Option<Operation> {
    use Operation::{Read, Write};
    Some(match action {
        "CreateRole" => Write(role::create),
        "GetRole" => Read(role::get),
        "ListRoles" => Read(role::list),
        "UpdateRole" => Write(role::update),
        "UpdateRoleDescription" => Write(role::update_description),
        "UpdateAssumeRolePolicy" => Write(role::update_trust),
        "DeleteRole" => Write(role::delete),
        "ListInstanceProfilesForRole" => Read(role::list_instance_profiles),
        "TagRole" => Write(tag::tag_role),
        "UntagRole" => Write(tag::untag_role),
        "ListRoleTags" => Read(tag::list_role_tags),
        "PutRolePolicy" => Write(held_policy::put::<Role>),
        "GetRolePolicy" => Read(held_policy::get::<Role>),
        "ListRolePolicies" => Read(held_policy::list::<Role>),
        "DeleteRolePolicy" => Write(held_policy::delete::<Role>),
        "AttachRolePolicy" => Write(held_policy::attach::<Role>),
        "DetachRolePolicy" => Write(held_policy::detach::<Role>),
        "ListAttachedRolePolicies" => Read(held_policy::list_attached::<Role>),
        "CreateUser" => Write(user::create),
        "GetUser" => Write(user::get),
        "ListUsers" => Read(user::list),
        "DeleteUser" => Write(user::delete),
        "PutUserPolicy" => Write(held_policy::put::<User>),
        "GetUserPolicy" => Read(held_policy::get::<User>),
        "ListUserPolicies" => Read(held_policy::list::<User>),
        "DeleteUserPolicy" => Write(held_policy::delete::<User>),
        "AttachUserPolicy" => Write(held_policy::attach::<User>),
        "DetachUserPolicy" => Write(held_policy::detach::<User>),
        "ListAttachedUserPolicies" => Read(held_policy::list_attached::<User>),
        "CreateAccessKey" => Write(access_key::create),
        "ListAccessKeys" => Read(access_key::list),
        "UpdateAccessKey" => Write(access_key::update),
        "DeleteAccessKey" => Write(access_key::delete),
        "CreatePolicy" => Write(managed::create),
        "GetPolicy" => Read(managed::get),
        "GetPolicyVersion" => Read(managed::get_version),
        "ListPolicyVersions" => Read(managed::list_versions),
        "ListPolicies" => Read(managed::list),
        "DeletePolicy" => Write(managed::delete),
        "SimulatePrincipalPolicy" => Read(simulate::principal_policy),
        _ => return None,
    })
}

#[async_trait]
impl Service for Iam {
    fn scope(&self) -> &'static str {
        "iam"
    }

    fn protocol(&self, _headers: &HeaderMap) -> Protocol {
        Protocol::Query
    }

    fn needs(&self, call: &Call) -> Result<Vec<Need>, ApiError> {
        access::needs(&self.store, call)
    }

    async fn call(&self, call: Call) -> Result<Response<Bytes>, ApiError> {
        let request = Request { params: Params::of(&call), caller: call.caller.clone() };
        let action = request.params.action()?.to_owned();
        let result = match operation(&action) {
            None => return Err(query::unknown_action(&action, VERSION)),
            Some(Operation::Read(read)) => Some(self.store.read(|tx| read(tx, &request))?),
            Some(Operation::Write(write)) => self.store.commit(move |tx| write(tx, &request)).await?,
        };
        query::answer(&call, NAMESPACE, &action, result)
    }
}

/// One page of `items`, which are in the order of their `key`; the marker is the last key told.
fn page<'a, T>(
    items: impl Iterator<Item = T> + 'a,
    key: impl Fn(&T) -> &str,
    params: &Params,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let limit = params.number("MaxItems", 1..=1000)?.unwrap_or(PAGE_ENTRIES) as usize;
    let after = match params.get("Marker") {
        None => None,
        Some(marker) => Some(
            hex::decode(marker)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| ApiError::client("ValidationError", "Invalid Marker: use the one of the page before"))?,
        ),
    };
    let mut rest = items.skip_while(|item| after.as_deref().is_some_and(|after| key(item) <= after));
    let found: Vec<T> = rest.by_ref().take(limit).collect();
    let marker = match (rest.next(), found.last()) {
        (Some(_), Some(last)) => Some(hex::encode(key(last))),
        _ => None,
    };
    Ok((found, marker))
}

/// The end of every list's answer.
fn write_marker(xml: &mut Xml, marker: Option<String>) {
    xml.text("IsTruncated", if marker.is_some() { "true" } else { "false" });
    xml.optional("Marker", marker);
}

/// Names of roles and policies: `[\w+=,.@-]+` up to `limit` letters.
fn valid_name<'a>(params: &'a Params, member: &str, limit: usize) -> Result<&'a str, ApiError> {
    let name = params.require(member)?;
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if name.is_empty() || name.len() > limit || !name.bytes().all(letter) {
        return Err(ApiError::client(
            "ValidationError",
            format!(
                "The specified value for {member} is invalid. It must contain only alphanumeric characters and/or \
                 the following: +=,.@_- and have a length of 1 to {limit}"
            ),
        ));
    }
    Ok(name)
}

fn no_such_entity(message: String) -> ApiError {
    ApiError::with_status(StatusCode::NOT_FOUND, "NoSuchEntity", message)
}

fn limit_exceeded(message: String) -> ApiError {
    ApiError::with_status(StatusCode::CONFLICT, "LimitExceeded", message)
}

#[cfg(test)]
mod tests;
