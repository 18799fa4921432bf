//! Managed policies: the account's own, with one version each, and those of AWS.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-vs-inline.html>

use http::StatusCode;
use jiff::Timestamp;
use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{
    Request, aws_managed,
    held_policy::NAME_LETTERS,
    limit_exceeded, no_such_entity, page,
    policy::{Policy, PolicyKind},
    role::{self, date, path, url_encoded},
    tag::{self, Tag},
    user, valid_name, write_marker,
};
use crate::cloud::{
    error::ApiError,
    query::Xml,
    service::ACCOUNT_ID,
    store::{Table, Transaction},
};

/// The account's policies by their names in lower case.
const POLICIES: Table<Managed> = Table::new("iam.policies");

/// Longest document, in letters other than white space.
const DOCUMENT_LETTERS: usize = 6144;
/// Policies of one account; AWS's default quota.
const POLICIES_PER_ACCOUNT: usize = 1500;
/// The one version that a policy has.
const VERSION: &str = "v1";

/// A managed policy of the account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Managed {
    name: String,
    id: String,
    path: String,
    description: Option<String>,
    created: Timestamp,
    document: String,
    tags: Vec<Tag>,
}

impl Managed {
    fn arn(&self) -> String {
        format!("arn:aws:iam::{ACCOUNT_ID}:policy{}{}", self.path, self.name)
    }

    fn write(&self, xml: &mut Xml, attachments: usize) {
        xml.text("PolicyName", &self.name);
        xml.text("PolicyId", &self.id);
        xml.text("Arn", self.arn());
        xml.text("Path", &self.path);
        xml.text("DefaultVersionId", VERSION);
        xml.text("AttachmentCount", attachments.to_string());
        xml.text("PermissionsBoundaryUsageCount", "0");
        xml.text("IsAttachable", "true");
        xml.optional("Description", self.description.as_ref());
        xml.text("CreateDate", date(self.created));
        xml.text("UpdateDate", date(self.created));
        if !self.tags.is_empty() {
            xml.list("Tags", &self.tags, |xml, tag| tag.write(xml));
        }
    }

    fn write_version(&self, xml: &mut Xml, document: bool) {
        if document {
            xml.text("Document", url_encoded(&self.document));
        }
        xml.text("VersionId", VERSION);
        xml.text("IsDefaultVersion", "true");
        xml.text("CreateDate", date(self.created));
    }
}

/// The document of the policy that `arn` names.
pub(super) fn document(tx: &impl Transaction, arn: &str) -> Result<Option<String>, ApiError> {
    Ok(find(tx, arn)?.map(|policy| policy.document))
}

/// The name of the policy that `arn` names, if one can be attached.
pub(super) fn attachable(tx: &impl Transaction, arn: &str) -> Result<String, ApiError> {
    match find(tx, arn)? {
        Some(policy) => Ok(policy.name),
        None => {
            let hint = match arn.starts_with(aws_managed::ARN_START) {
                true => " (the embedded cloud does not know what this policy of AWS says)",
                false => "",
            };
            Err(no_such_entity(format!("Policy {arn} does not exist or is not attachable.{hint}")))
        }
    }
}

/// The policy that `arn` names. One of AWS is as old as the store's epoch: nothing tells when AWS made it.
fn find(tx: &impl Transaction, arn: &str) -> Result<Option<Managed>, ApiError> {
    if let Some(policy) = aws_managed::find(arn) {
        let (folder, name) = policy.path.rsplit_once('/').unwrap_or(("", policy.path));
        return Ok(Some(Managed {
            name: name.to_owned(),
            id: format!("ANPA{name}"),
            path: if folder.is_empty() { "/".to_owned() } else { format!("/{folder}/") },
            description: None,
            created: Timestamp::UNIX_EPOCH,
            document: policy.document.to_owned(),
            tags: Vec::new(),
        }));
    }
    let Some((_, name)) = arn.rsplit_once('/') else { return Ok(None) };
    Ok(POLICIES.get(tx, &name.to_lowercase())?.filter(|policy| policy.arn() == arn))
}

fn named(tx: &impl Transaction, request: &Request) -> Result<(String, Managed), ApiError> {
    let arn = request.params.require("PolicyArn")?;
    let policy = find(tx, arn)?;
    let policy = policy.ok_or_else(|| no_such_entity(format!("Policy {arn} does not exist or is not attachable.")))?;
    Ok((arn.to_owned(), policy))
}

fn attachments(tx: &impl Transaction, arn: &str) -> Result<usize, ApiError> {
    Ok(role::holders_of(tx, arn)? + user::holders_of(tx, arn)?)
}

pub(super) fn create(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let params = &request.params;
    let name = valid_name(params, "PolicyName", NAME_LETTERS)?;
    let document = params.require("PolicyDocument")?;
    Policy::parse(document, PolicyKind::Identity)?;
    if document.chars().filter(|letter| !letter.is_whitespace()).count() > DOCUMENT_LETTERS {
        return Err(limit_exceeded(format!("Cannot exceed quota for PolicySize: {DOCUMENT_LETTERS}")));
    }
    let key = name.to_lowercase();
    if POLICIES.get(tx, &key)?.is_some() {
        return Err(ApiError::with_status(
            StatusCode::CONFLICT,
            "EntityAlreadyExists",
            format!("A policy called {name} already exists. Duplicate names are not allowed."),
        ));
    }
    if POLICIES.scan(tx, "", None, POLICIES_PER_ACCOUNT)?.len() == POLICIES_PER_ACCOUNT {
        return Err(limit_exceeded(format!("Cannot exceed quota for PoliciesPerAccount: {POLICIES_PER_ACCOUNT}")));
    }
    let policy = Managed {
        name: name.to_owned(),
        id: tag::unique_id("ANPA"),
        path: path(params.get("Path").unwrap_or("/"))?,
        description: params.get("Description").map(str::to_owned),
        created: Timestamp::now(),
        document: document.to_owned(),
        tags: tag::merged(&[], params)?,
    };
    POLICIES.put(tx, &key, &policy)?;
    Ok(Some(Xml::of(|xml| xml.element("Policy", |xml| policy.write(xml, 0)))))
}

pub(super) fn get(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let (arn, policy) = named(tx, request)?;
    let attachments = attachments(tx, &arn)?;
    Ok(Xml::of(|xml| {
        xml.element("Policy", |xml| {
            policy.write(xml, attachments);
        });
    }))
}

pub(super) fn get_version(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let (arn, policy) = named(tx, request)?;
    let version = request.params.require("VersionId")?;
    if version != VERSION {
        return Err(no_such_entity(format!("Policy {arn} version {version} does not exist or is not attachable.")));
    }
    Ok(Xml::of(|xml| xml.element("PolicyVersion", |xml| policy.write_version(xml, true))))
}

pub(super) fn list_versions(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let (_, policy) = named(tx, request)?;
    Ok(Xml::of(|xml| {
        xml.list("Versions", [policy], |xml, policy| policy.write_version(xml, false));
        write_marker(xml, None);
    }))
}

pub(super) fn list(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let params = &request.params;
    let scope = params.get("Scope").unwrap_or("All");
    let mut found: Vec<(String, Managed)> = Vec::new();
    if matches!(scope, "All" | "AWS") {
        for policy in &aws_managed::ALL {
            let arn = format!("{}{}", aws_managed::ARN_START, policy.path);
            found.extend(find(tx, &arn)?.map(|policy| (arn, policy)));
        }
    }
    if matches!(scope, "All" | "Local") {
        let own = POLICIES.scan(tx, "", None, POLICIES_PER_ACCOUNT)?;
        found.extend(own.into_iter().map(|(_, policy)| (policy.arn(), policy)));
    }
    let prefix = params.get("PathPrefix").unwrap_or("/");
    let attached_only = params.get("OnlyAttached") == Some("true");
    let mut counted = Vec::new();
    for (arn, policy) in found.into_iter().filter(|(_, policy)| policy.path.starts_with(prefix)) {
        let attachments = attachments(tx, &arn)?;
        if !attached_only || attachments > 0 {
            counted.push((arn, policy, attachments));
        }
    }
    counted.sort_by(|a, b| a.0.cmp(&b.0));
    let (policies, marker) = page(counted.into_iter(), |(arn, ..)| arn, params)?;
    Ok(Xml::of(|xml| {
        xml.list("Policies", &policies, |xml, (_, policy, attachments)| policy.write(xml, *attachments));
        write_marker(xml, marker);
    }))
}

pub(super) fn delete(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let (arn, policy) = named(tx, request)?;
    if arn.starts_with(aws_managed::ARN_START) {
        return Err(ApiError::with_status(
            StatusCode::FORBIDDEN,
            "AccessDenied",
            format!("Policy {arn} is AWS's own and cannot be deleted."),
        ));
    }
    if attachments(tx, &arn)? > 0 {
        return Err(ApiError::with_status(
            StatusCode::CONFLICT,
            "DeleteConflict",
            "Cannot delete a policy attached to entities.",
        ));
    }
    POLICIES.delete(tx, &policy.name.to_lowercase())?;
    Ok(None)
}
