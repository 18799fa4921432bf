//! Tags, and the ids that entities get.

use redb::{ReadTransaction, WriteTransaction};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Request, limit_exceeded, page, role, write_marker};
use crate::cloud::{
    error::ApiError,
    query::{Params, Xml},
};

/// Tags of one role; AWS's quota.
const TAGS_PER_ROLE: usize = 50;
/// Longest key, in letters.
const KEY_LETTERS: usize = 128;
/// Longest value, in letters.
const VALUE_LETTERS: usize = 256;

/// A tag. Keys differ by more than case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Key.
    pub key: String,
    /// Value.
    pub value: String,
}

impl Tag {
    pub(super) fn write(&self, xml: &mut Xml) {
        xml.text("Key", &self.key);
        xml.text("Value", &self.value);
    }
}

/// `tags` with those of the call's `Tags` set, in the order of their keys.
pub(super) fn merged(tags: &[Tag], params: &Params) -> Result<Vec<Tag>, ApiError> {
    let mut given: Vec<Tag> = Vec::new();
    for [key, value] in params.records("Tags", ["Key", "Value"]) {
        let (key, value) = (key.unwrap_or_default(), value.unwrap_or_default());
        validate(key, value)?;
        if given.iter().any(|tag| tag.key.eq_ignore_ascii_case(key)) {
            return Err(ApiError::client(
                "InvalidInput",
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        given.push(Tag { key: key.to_owned(), value: value.to_owned() });
    }
    let kept = tags.iter().filter(|old| !given.iter().any(|new| new.key.eq_ignore_ascii_case(&old.key)));
    let mut merged: Vec<Tag> = kept.cloned().collect();
    merged.append(&mut given);
    merged.sort_by(|a, b| a.key.cmp(&b.key));
    if merged.len() > TAGS_PER_ROLE {
        return Err(limit_exceeded(format!("The number of tags has reached the maximum limit of {TAGS_PER_ROLE}.")));
    }
    Ok(merged)
}

fn validate(key: &str, value: &str) -> Result<(), ApiError> {
    let letter = |letter: char| letter.is_alphanumeric() || letter.is_whitespace() || "_.:/=+-@".contains(letter);
    let key_fits = !key.is_empty() && key.chars().count() <= KEY_LETTERS && key.chars().all(letter);
    if !key_fits || value.chars().count() > VALUE_LETTERS || !value.chars().all(letter) {
        return Err(ApiError::client(
            "ValidationError",
            format!(
                "1 validation error detected: the tag '{key}' does not satisfy the pattern [\\p{{L}}\\p{{Z}}\\p{{N}}_.:/=+\\-@] \
                 with a key of 1 to {KEY_LETTERS} and a value of 0 to {VALUE_LETTERS} letters"
            ),
        ));
    }
    if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
        return Err(ApiError::client("InvalidInput", "Tag keys may not begin with aws:, which AWS keeps for itself."));
    }
    Ok(())
}

pub(super) fn tag_role(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let mut role = role::named(tx, &request.params)?;
    role.tags = merged(&role.tags, &request.params)?;
    role::save(tx, &role)?;
    Ok(None)
}

pub(super) fn untag_role(tx: &WriteTransaction, request: &Request) -> Result<Option<Xml>, ApiError> {
    let mut role = role::named(tx, &request.params)?;
    let keys = request.params.list("TagKeys");
    role.tags.retain(|tag| !keys.iter().any(|key| key.eq_ignore_ascii_case(&tag.key)));
    role::save(tx, &role)?;
    Ok(None)
}

pub(super) fn list_role_tags(tx: &ReadTransaction, request: &Request) -> Result<Xml, ApiError> {
    let role = role::named(tx, &request.params)?;
    let (tags, marker) = page(role.tags.iter(), |tag| &tag.key, &request.params)?;
    Ok(Xml::of(|xml| {
        xml.list("Tags", tags, |xml, tag| tag.write(xml));
        write_marker(xml, marker);
    }))
}

/// `AROA` and 17 letters or digits, as IAM's unique ids are.
pub(super) fn unique_id(prefix: &str) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut bits = Uuid::new_v4().as_u128();
    let mut id = prefix.to_owned();
    for _ in 0..17 {
        id.push(char::from(LETTERS[(bits & 31) as usize]));
        bits >>= 5;
    }
    id
}
