//! Access keys: the root user's, minted once for a folder, and temporary ones that STS and Lambda issue.
//!
//! Keys are kept in the store, so that a function that is still running after a restart of the cloud goes on.
//! Nothing here prints a secret: `Debug` shows the access key id and hides the rest.

use std::{fmt, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use redb::WriteTransaction;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    service::{ACCOUNT_ID, Caller},
    store::{Store, StoreError, Table, Transaction},
};

/// Access key id → what it stands for.
const KEYS: Table<StoredKey> = Table::new("cloud.access_keys");
/// `{expiry in seconds, 20 digits}/{access key id}`: expired keys are found without a full scan.
const EXPIRIES: Table<()> = Table::new("cloud.access_key_expiries");
/// The root user's access key id.
const ROOT: Table<String> = Table::new("cloud.root");
const ROOT_KEY: &str = "access_key_id";

/// Expired keys that one `issue` sweeps away, at most.
const SWEEP_LIMIT: usize = 100;
/// Expired keys are remembered for this long, so that their holder is told "expired", not "unknown".
const EXPIRED_KEPT: Duration = Duration::from_secs(24 * 3600);

/// What an access key id stands for.
#[derive(Clone)]
pub struct Secret {
    /// The secret access key that requests are signed with.
    pub secret_access_key: String,
    /// Token that must come with every request; temporary credentials only.
    pub session_token: Option<String>,
    /// When the credentials cease to be valid; temporary credentials only.
    pub expires: Option<Timestamp>,
    /// Whose credentials these are.
    pub caller: Caller,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("caller", &self.caller).field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl Secret {
    /// Whether the credentials have ceased to be valid.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Whether `token` is the session token of these credentials (none for permanent ones).
    pub fn has_token(&self, token: Option<&str>) -> bool {
        match (&self.session_token, token) {
            (None, None) => true,
            (Some(expected), Some(given)) => equal(expected.as_bytes(), given.as_bytes()),
            _ => false,
        }
    }
}

/// Credentials on their way to whoever asked for them.
#[derive(Clone)]
pub struct AccessKey {
    /// `AKIA…` when permanent, `ASIA…` when temporary.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: String,
    /// Session token; temporary credentials only.
    pub session_token: Option<String>,
    /// When they cease to be valid; temporary credentials only.
    pub expires: Option<Timestamp>,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("access_key_id", &self.access_key_id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize, Deserialize)]
struct StoredKey {
    secret_access_key: String,
    session_token: Option<String>,
    expires: Option<Timestamp>,
    arn: String,
    user_id: String,
    /// Kept, but good for nothing until it is made active again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    inactive: bool,
}

/// What `access_key_id` stands for, unless it is inactive. Expired credentials are told for a day: see
/// [`Secret::is_expired`].
pub fn lookup(tx: &impl Transaction, access_key_id: &str) -> Result<Option<Secret>, StoreError> {
    Ok(KEYS.get(tx, access_key_id)?.filter(|key| !key.inactive).map(|key| Secret {
        secret_access_key: key.secret_access_key,
        session_token: key.session_token,
        expires: key.expires,
        caller: Caller { arn: key.arn, user_id: key.user_id },
    }))
}

/// Issues temporary credentials for `caller` as part of `tx`, and sweeps long expired ones.
pub fn issue(tx: &WriteTransaction, caller: Caller, duration: Duration) -> Result<AccessKey, StoreError> {
    let now = Timestamp::now();
    sweep(tx, now)?;
    let expires = now + duration;
    let key = AccessKey {
        access_key_id: access_key_id("ASIA"),
        secret_access_key: random_text(40),
        session_token: Some(format!("{}{}", random_text(40), random_text(40))),
        expires: Some(expires),
    };
    put(tx, &key, caller)?;
    EXPIRIES.put(tx, &expiry_key(expires, &key.access_key_id), &())?;
    Ok(key)
}

/// Issues permanent credentials for `caller` as part of `tx`.
pub fn issue_permanent(tx: &WriteTransaction, caller: Caller) -> Result<AccessKey, StoreError> {
    let key = AccessKey {
        access_key_id: access_key_id("AKIA"),
        secret_access_key: random_text(40),
        session_token: None,
        expires: None,
    };
    put(tx, &key, caller)?;
    Ok(key)
}

/// Makes permanent credentials good for nothing, or good again.
pub fn set_active(tx: &WriteTransaction, access_key_id: &str, active: bool) -> Result<(), StoreError> {
    match KEYS.get(tx, access_key_id)? {
        Some(key) => KEYS.put(tx, access_key_id, &StoredKey { inactive: !active, ..key }),
        None => Ok(()),
    }
}

/// Takes credentials away.
pub fn revoke(tx: &WriteTransaction, access_key_id: &str) -> Result<(), StoreError> {
    KEYS.delete(tx, access_key_id).map(drop)
}

/// The root user's credentials, minted when the store has none yet.
pub fn root(store: &Store) -> Result<AccessKey, StoreError> {
    store.write(|tx| {
        if let Some(access_key_id) = ROOT.get(tx, ROOT_KEY)?
            && let Some(secret) = lookup(tx, &access_key_id)?
        {
            let secret_access_key = secret.secret_access_key;
            return Ok(AccessKey { access_key_id, secret_access_key, session_token: None, expires: None });
        }
        let caller = Caller { arn: format!("arn:aws:iam::{ACCOUNT_ID}:root"), user_id: ACCOUNT_ID.to_owned() };
        let key = issue_permanent(tx, caller)?;
        ROOT.put(tx, ROOT_KEY, &key.access_key_id)?;
        Ok(key)
    })
}

/// Compares two secrets in a time that tells nothing of where they differ.
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

fn put(tx: &WriteTransaction, key: &AccessKey, caller: Caller) -> Result<(), StoreError> {
    let stored = StoredKey {
        secret_access_key: key.secret_access_key.clone(),
        session_token: key.session_token.clone(),
        expires: key.expires,
        arn: caller.arn,
        user_id: caller.user_id,
        inactive: false,
    };
    KEYS.put(tx, &key.access_key_id, &stored)
}

fn sweep(tx: &WriteTransaction, now: Timestamp) -> Result<(), StoreError> {
    let horizon = now.as_second() - EXPIRED_KEPT.as_secs() as i64;
    for (entry, ()) in EXPIRIES.scan(tx, "", None, SWEEP_LIMIT)? {
        let Some((expiry, id)) = entry.split_once('/') else { continue };
        if expiry.parse::<i64>().is_ok_and(|expiry| expiry > horizon) {
            break;
        }
        KEYS.delete(tx, id)?;
        EXPIRIES.delete(tx, &entry)?;
    }
    Ok(())
}

fn expiry_key(expires: Timestamp, access_key_id: &str) -> String {
    format!("{:020}/{access_key_id}", expires.as_second().max(0))
}

/// 20 characters as AWS's: a prefix that tells the kind, then base 32 (RFC 4648).
fn access_key_id(prefix: &str) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let random = random_bytes();
    let tail = random.iter().take(20 - prefix.len()).map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
    prefix.chars().chain(tail).collect()
}

/// `length` (at most 40) base 64 characters that nobody can guess.
fn random_text(length: usize) -> String {
    let mut text = STANDARD.encode(&random_bytes()[..30]);
    text.truncate(length);
    text
}

/// 244 bits from the system's generator, spread over 32 bytes.
fn random_bytes() -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(uuid::Uuid::new_v4().as_bytes());
    hash.update(uuid::Uuid::new_v4().as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller { arn: "arn:aws:sts::000000000000:assumed-role/intake/1".into(), user_id: "AROA:1".into() }
    }

    #[test]
    fn root_credentials_are_minted_once_and_survive_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let first = root(&store).unwrap();
        assert_eq!(first.access_key_id.len(), 20);
        assert!(first.access_key_id.starts_with("AKIA"));
        assert_eq!(first.secret_access_key.len(), 40);
        drop(store);
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(root(&store).unwrap().secret_access_key, first.secret_access_key);
    }

    #[test]
    fn temporary_credentials_need_their_own_token_and_expire() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = store.write(|tx| issue(tx, caller(), Duration::from_secs(900))).unwrap();
        let secret = store.read(|tx| lookup(tx, &key.access_key_id)).unwrap().unwrap();
        assert!(key.access_key_id.starts_with("ASIA"));
        assert!(secret.has_token(key.session_token.as_deref()));
        assert!(!secret.has_token(None));
        assert!(!secret.has_token(Some("other")));
        assert!(!secret.is_expired(Timestamp::now()));
        assert!(secret.is_expired(Timestamp::now() + Duration::from_secs(901)));
        assert_eq!(secret.caller, caller());
    }

    #[test]
    fn long_expired_credentials_are_swept_by_the_next_issue() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = store.write(|tx| issue(tx, caller(), Duration::ZERO)).unwrap();
        let later = Timestamp::now() + EXPIRED_KEPT + Duration::from_secs(2);
        store.write(|tx| sweep(tx, Timestamp::now())).unwrap();
        assert!(store.read(|tx| lookup(tx, &key.access_key_id)).unwrap().is_some(), "kept for a day");
        store.write(|tx| sweep(tx, later)).unwrap();
        assert!(store.read(|tx| lookup(tx, &key.access_key_id)).unwrap().is_none());
    }

    #[test]
    fn debug_shows_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = store.write(|tx| issue(tx, caller(), Duration::from_secs(1))).unwrap();
        let secret = store.read(|tx| lookup(tx, &key.access_key_id)).unwrap().unwrap();
        let shown = format!("{key:?} {secret:?}");
        assert!(!shown.contains(&key.secret_access_key));
        assert!(!shown.contains(key.session_token.as_deref().unwrap()));
    }
}
