//! What a caller is and holds: its policies, and what conditions may ask about it.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principal-properties>

use std::collections::BTreeMap;

use super::{
    cache,
    context::Context,
    evaluate::{Principal, Source},
    managed,
    policy::PolicyKind,
    role::{self, Role},
    tag::Tag,
    user,
};
use crate::cloud::{
    error::ApiError,
    service::{ACCOUNT_ID, Caller},
    store::Transaction,
};

/// Who a caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// The account's root.
    Root(String),
    /// A user, or somebody whom the account does not know, who has no policies then.
    User(String),
    /// A session of a role.
    Role {
        /// The role's ARN.
        role: String,
        /// The session's, unless a service has assumed the role.
        session: Option<String>,
    },
}

/// A caller with its policies.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Who it is.
    pub who: Who,
    /// Its inline and attached policies.
    pub identity: Vec<Source>,
    /// Its permissions boundary.
    pub boundary: Option<Source>,
    /// What conditions may ask about it.
    pub context: Context,
}

impl Who {
    /// As policies name it.
    pub fn principal(&self) -> Principal<'_> {
        match self {
            Who::Root(arn) | Who::User(arn) => Principal::User(arn),
            Who::Role { role, session } => Principal::Role { role, session: session.as_deref() },
        }
    }
}

impl Standing {
    /// Of whoever signed a request.
    pub fn of(tx: &impl Transaction, caller: &Caller) -> Result<Standing, ApiError> {
        let mut standing = match caller.arn.split_once(":assumed-role/") {
            Some((_, session)) => Self::of_session(tx, caller, session)?,
            None => Self::of_user(tx, caller)?,
        };
        standing.context.set("aws:userid", &caller.user_id);
        Ok(standing)
    }

    /// Of a service with the rights of a role; `None` when there is no such role.
    pub fn of_role(tx: &impl Transaction, arn: &str) -> Result<Option<Standing>, ApiError> {
        role::find_by_arn(tx, arn)?.map(|role| Self::with_role(tx, role, None)).transpose()
    }

    fn of_session(tx: &impl Transaction, caller: &Caller, session: &str) -> Result<Standing, ApiError> {
        let name = session.split('/').next().unwrap_or_default();
        let id = caller.user_id.split(':').next().unwrap_or_default();
        match role::of_session(tx, name, id)? {
            Some(role) => Self::with_role(tx, role, Some(caller.arn.clone())),
            None => Ok(Self::stranger(caller)),
        }
    }

    fn with_role(tx: &impl Transaction, role: Role, session: Option<String>) -> Result<Standing, ApiError> {
        let arn = role.arn();
        let mut context = principal_context(&arn, "AssumedRole", &role.tags);
        if session.is_some() {
            context.set("aws:MultiFactorAuthPresent", "false");
        }
        Ok(Standing {
            identity: identity(tx, &format!("role {}", role.name), &role.inline, &role.attached)?,
            boundary: boundary(tx, role.boundary.as_deref())?,
            who: Who::Role { role: arn, session },
            context,
        })
    }

    fn of_user(tx: &impl Transaction, caller: &Caller) -> Result<Standing, ApiError> {
        if caller.arn == format!("arn:aws:iam::{ACCOUNT_ID}:root") {
            let context = principal_context(&caller.arn, "Account", &[]);
            let who = Who::Root(caller.arn.clone());
            return Ok(Standing { who, identity: Vec::new(), boundary: None, context });
        }
        let Some(user) = user::find_by_arn(tx, &caller.arn)?.filter(|user| user.id == caller.user_id) else {
            return Ok(Self::stranger(caller));
        };
        let mut context = principal_context(&caller.arn, "User", &user.tags);
        context.set("aws:username", &user.name);
        Ok(Standing {
            who: Who::User(caller.arn.clone()),
            identity: identity(tx, &format!("user {}", user.name), &user.inline, &user.attached)?,
            boundary: boundary(tx, user.boundary.as_deref())?,
            context,
        })
    }

    /// Somebody who was deleted after the credentials were issued.
    fn stranger(caller: &Caller) -> Standing {
        let context = principal_context(&caller.arn, "User", &[]);
        Standing { who: Who::User(caller.arn.clone()), identity: Vec::new(), boundary: None, context }
    }
}

fn principal_context(arn: &str, kind: &str, tags: &[Tag]) -> Context {
    let mut context = Context::default();
    context.set("aws:PrincipalArn", arn);
    context.set("aws:PrincipalAccount", ACCOUNT_ID);
    context.set("aws:PrincipalType", kind);
    context.set("aws:PrincipalIsAWSService", "false");
    for tag in tags {
        context.set(&format!("aws:PrincipalTag/{}", tag.key), &tag.value);
    }
    context
}

fn identity(
    tx: &impl Transaction,
    holder: &str,
    inline: &BTreeMap<String, String>,
    attached: &BTreeMap<String, String>,
) -> Result<Vec<Source>, ApiError> {
    let mut sources = Vec::with_capacity(inline.len() + attached.len());
    for (name, document) in inline {
        let policy = cache::policy(document, PolicyKind::Identity);
        sources.push(Source { name: format!("{holder}, policy {name}"), policy });
    }
    for arn in attached.keys() {
        sources.push(managed_source(tx, arn)?);
    }
    Ok(sources)
}

fn boundary(tx: &impl Transaction, arn: Option<&str>) -> Result<Option<Source>, ApiError> {
    arn.map(|arn| managed_source(tx, arn)).transpose()
}

fn managed_source(tx: &impl Transaction, arn: &str) -> Result<Source, ApiError> {
    let document = managed::document(tx, arn)?;
    let policy = document.and_then(|document| cache::policy(&document, PolicyKind::Identity));
    Ok(Source { name: arn.to_owned(), policy })
}
