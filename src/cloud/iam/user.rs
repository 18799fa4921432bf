//! The account's root: the one user there is.

use jiff::Timestamp;
use redb::WriteTransaction;
use serde::{Deserialize, Serialize};

use super::{Request, no_such_entity, role::date};
use crate::cloud::{error::ApiError, query::Xml, service::ACCOUNT_ID, store::Table};

const ACCOUNTS: Table<Account> = Table::new("iam.accounts");

/// The account.
#[derive(Debug, Serialize, Deserialize)]
struct Account {
    /// When it was first asked after; nothing tells when its store was made.
    created: Timestamp,
}

pub(super) fn get(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    if let Some(name) = request.params.get("UserName") {
        return Err(no_such_entity(format!("The user with name {name} cannot be found.")));
    }
    let root = format!("arn:aws:iam::{ACCOUNT_ID}:root");
    if request.caller.arn != root {
        return Err(ApiError::client(
            "ValidationError",
            "Must specify userName when calling with non-User credentials",
        ));
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
