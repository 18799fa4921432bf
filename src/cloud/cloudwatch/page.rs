//! Pages of lists: the token of the next one is the last key of this one.

use serde_json::Value;

use super::fault::{Fault, invalid_token};
use crate::cloud::store::Step;

/// Entries that one page looks through at most; it ends early with a token then.
const SCANNED_ENTRIES: usize = 20_000;

/// A page in the making.
pub(super) struct Page {
    pub items: Vec<Value>,
    /// The key after which the next page begins, where there may be one.
    pub last_of_many: Option<String>,
    limit: usize,
    scanned: usize,
    last: Option<String>,
}

impl Page {
    pub fn new(limit: usize) -> Page {
        Page { items: Vec::new(), last_of_many: None, limit, scanned: 0, last: None }
    }

    /// Takes the entry at `key`, where it fits; tells how the walk goes on.
    pub fn take(&mut self, key: &str, item: Option<Value>) -> Step {
        if self.scanned == SCANNED_ENTRIES || (item.is_some() && self.items.len() == self.limit) {
            self.last_of_many = self.last.take();
            return Step::Stop;
        }
        self.scanned += 1;
        self.items.extend(item);
        self.last = Some(key.to_owned());
        Step::Next
    }
}

/// The token for what comes after `key`.
pub(super) fn token(key: &str, prefix: &str) -> String {
    hex::encode(key.strip_prefix(prefix).unwrap_or(key))
}

/// The key that a token stands for.
pub(super) fn after(token: Option<&str>, prefix: &str) -> Result<Option<String>, Fault> {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
    let rest = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    rest.map(|rest| Some(format!("{prefix}{rest}"))).ok_or_else(invalid_token)
}
