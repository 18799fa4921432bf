//! Taking, releasing and clearing a marker. All three name the version they saw, so that a newer event, which
//! overwrites the marker, is never swept away with an older one.

use jiff::Timestamp;

use super::{Claim, Decision, Marker, Versioned, body, parse, put_decisively, read};
use crate::pipeline::{
    Invocation,
    ports::{Clock, CloudError, Condition, Delete, Objects},
};

/// A marker that this invocation holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// Key of the marker.
    pub key: String,
    /// The marker, as we wrote it.
    pub marker: Marker,
    /// The version we wrote.
    pub etag: String,
}

/// A marker as it was read or written, which nobody need hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Key of the marker.
    pub key: String,
    /// What it says.
    pub marker: Marker,
    /// Its version.
    pub etag: String,
}

/// Answer to [`take`].
#[derive(Debug, Clone, PartialEq)]
pub enum Taken {
    /// It is ours.
    Ours(Box<Claimed>),
    /// Another invocation works on it.
    Held {
        /// Its request id.
        owner: String,
        /// When its claim dies.
        until: Timestamp,
    },
    /// It may not be taken yet; nothing is written.
    NotReady(Box<Found>),
    /// There is no marker.
    Absent,
    /// It changed under us: look again.
    Contended,
}

/// Claims the marker at `key` for `invocation`. A claim past its deadline is taken over, and so is one of the same
/// request id: that is an earlier try of this invocation, which Lambda has given up. One that is not `ready` is left
/// untouched.
pub async fn take<C: Objects + Clock>(
    cloud: &C,
    key: &str,
    invocation: &Invocation,
    ready: impl Fn(&Marker) -> bool,
) -> Result<Taken, CloudError> {
    let Some(Versioned { value: mut marker, etag }) = read::<Marker>(cloud, key).await? else {
        return Ok(Taken::Absent);
    };
    let now = cloud.now();
    match marker.claim.as_ref() {
        Some(claim) if claim.token == invocation.token => {
            return Ok(Taken::Ours(Box::new(Claimed { key: key.to_owned(), marker, etag })));
        }
        Some(claim) if claim.owner != invocation.request_id && now < claim.deadline => {
            return Ok(Taken::Held { owner: claim.owner.clone(), until: claim.deadline });
        }
        _ => {}
    }
    if !ready(&marker) {
        return Ok(Taken::NotReady(Box::new(Found { key: key.to_owned(), marker, etag })));
    }
    marker.attempts = marker.attempts.saturating_add(1);
    marker.claim = Some(Claim {
        owner: invocation.request_id.clone(),
        token: invocation.token.clone(),
        since: now,
        deadline: invocation.deadline,
    });
    marker.changed_at = Some(now);
    let ours = |there: &[u8]| is_claimed_by(key, there, &invocation.token);
    match put_decisively(cloud, key, body(&marker), Condition::Matches(&etag), ours).await? {
        Decision::Won(etag) => Ok(Taken::Ours(Box::new(Claimed { key: key.to_owned(), marker, etag }))),
        Decision::Lost => Ok(Taken::Contended),
    }
}

/// Gives the marker back with the reason, so that the next try need not wait for the claim's end. A newer event
/// in its place is left as it is.
pub async fn release<C: Objects + Clock>(cloud: &C, claimed: &Claimed, error: &str) -> Result<(), CloudError> {
    let (last_error, changed_at) = (Some(error.to_owned()), Some(cloud.now()));
    let marker = Marker { claim: None, last_error, changed_at, ..claimed.marker.clone() };
    let bytes = body(&marker);
    put_decisively(cloud, &claimed.key, bytes.clone(), Condition::Matches(&claimed.etag), |there| there == bytes)
        .await?;
    Ok(())
}

/// Answer to [`clear`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleared {
    /// The marker is gone.
    Gone,
    /// A newer one is in its place, and must be looked at.
    Newer,
}

/// Deletes the marker that we hold, and only that version.
pub async fn clear<C: Objects + Clock>(cloud: &C, claimed: &Claimed) -> Result<Cleared, CloudError> {
    let answer = cloud.delete(&claimed.key, Some(&claimed.etag)).await;
    if answer == Ok(Delete::Deleted) {
        return Ok(Cleared::Gone);
    }
    // Refused, or not known: what is there tells. Our own version still there means that nothing happened.
    match (cloud.get(&claimed.key).await?, answer) {
        (None, _) => Ok(Cleared::Gone),
        (Some(object), _) if object.etag != claimed.etag => Ok(Cleared::Newer),
        (Some(_), Err(error)) => Err(error),
        (Some(_), Ok(_)) => Ok(Cleared::Newer),
    }
}

fn is_claimed_by(key: &str, there: &[u8], token: &str) -> bool {
    parse::<Marker>(key, there).is_ok_and(|marker| marker.claim.is_some_and(|claim| claim.token == token))
}
