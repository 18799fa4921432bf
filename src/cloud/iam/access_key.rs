//! Access keys of users. Their secrets are where all credentials are; here is whose they are.

use jiff::Timestamp;
use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{Request, limit_exceeded, no_such_entity, page, role::date, user, write_marker};
use crate::cloud::{
    credentials,
    error::ApiError,
    query::Xml,
    store::{Table, Transaction},
};

/// `user in lower case/access key id` → key.
const KEYS: Table<Key> = Table::new("iam.access_keys");

/// Access keys of one user; AWS's quota.
const KEYS_PER_USER: usize = 2;

/// What is told of an access key.
#[derive(Debug, Serialize, Deserialize)]
struct Key {
    created: Timestamp,
    active: bool,
}

impl Key {
    fn status(&self) -> &'static str {
        if self.active { "Active" } else { "Inactive" }
    }
}

fn folder(user: &str) -> String {
    format!("{}/", user.to_lowercase())
}

/// Whether the user has access keys.
pub(super) fn has_any(tx: &impl Transaction, user: &str) -> Result<bool, ApiError> {
    Ok(!KEYS.scan(tx, &folder(user), None, 1)?.is_empty())
}

pub(super) fn create(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let user = user::named_or_caller(tx, request)?;
    if KEYS.scan(tx, &folder(&user.name), None, KEYS_PER_USER)?.len() == KEYS_PER_USER {
        return Err(limit_exceeded(format!("Cannot exceed quota for AccessKeysPerUser: {KEYS_PER_USER}")));
    }
    let key = Key { created: Timestamp::now(), active: true };
    let secret = credentials::issue_permanent(tx, user.caller())?;
    KEYS.put(tx, &format!("{}{}", folder(&user.name), secret.access_key_id), &key)?;
    Ok(Some(Xml::of(|xml| {
        xml.element("AccessKey", |xml| {
            xml.text("UserName", &user.name);
            xml.text("AccessKeyId", &secret.access_key_id);
            xml.text("Status", key.status());
            xml.text("SecretAccessKey", &secret.secret_access_key);
            xml.text("CreateDate", date(key.created));
        });
    })))
}

pub(super) fn list(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let user = user::named_or_caller(tx, request)?;
    let folder = folder(&user.name);
    let keys = KEYS.scan(tx, &folder, None, KEYS_PER_USER)?;
    let (keys, marker) = page(keys.into_iter(), |(key, _)| key, &request.params)?;
    Ok(Xml::of(|xml| {
        xml.list("AccessKeyMetadata", &keys, |xml, (id, key)| {
            xml.text("UserName", &user.name);
            xml.text("AccessKeyId", id.trim_start_matches(&folder));
            xml.text("Status", key.status());
            xml.text("CreateDate", date(key.created));
        });
        write_marker(xml, marker);
    }))
}

pub(super) fn update(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let (place, id, key) = find(tx, request)?;
    let active = match request.params.require("Status")? {
        "Active" => true,
        "Inactive" => false,
        other => {
            return Err(ApiError::client(
                "ValidationError",
                format!(
                    "1 validation error detected: Value '{other}' at 'status' failed to satisfy constraint: Member must \
                     satisfy enum value set: [Active, Inactive]"
                ),
            ));
        }
    };
    credentials::set_active(tx, &id, active)?;
    KEYS.put(tx, &place, &Key { active, ..key })?;
    Ok(None)
}

pub(super) fn delete(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let (place, id, _) = find(tx, request)?;
    credentials::revoke(tx, &id)?;
    KEYS.delete(tx, &place)?;
    Ok(None)
}

fn find(tx: &impl Transaction, request: &Request) -> Result<(String, String, Key), ApiError> {
    let user = user::named_or_caller(tx, request)?;
    let id = request.params.require("AccessKeyId")?;
    let place = format!("{}{id}", folder(&user.name));
    let key = KEYS.get(tx, &place)?;
    let key = key.ok_or_else(|| no_such_entity(format!("The Access Key with id {id} cannot be found.")))?;
    Ok((place, id.to_owned(), key))
}
