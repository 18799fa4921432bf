//! Trying again, by hand: what is parked or pending gets a fresh marker, and convert is told.

use serde::Serialize;

use super::{
    intake,
    ledger::{Kind, Marker, Origin, Parked, Versioned, read},
    ports::{Clock, CloudError, Functions, Objects},
    view,
};

/// Which of a dataset's objects to try again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All that is parked, and all that is pending without a live claim.
    All,
    /// These keys of the raw bucket, whatever state they are in; committed ones are converted again only if the
    /// dataset's configuration or its plugin has changed.
    Keys(Vec<String>),
}

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retried {
    /// Key in the raw bucket.
    pub key: String,
    /// What was done.
    pub action: Action,
}

/// What was done about a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Convert was told.
    Invoked,
    /// Somebody works on it; nothing was done.
    InProgress {
        /// When that claim dies at the latest.
        until: jiff::Timestamp,
    },
}

/// Tries the selected objects of `dataset` again. The parked record stays until the object is committed or parked
/// anew, so that nothing is forgotten on the way.
///
/// # Errors
/// On the first key that could not be handled; those before it are on their way.
pub async fn retry<C: Objects + Functions + Clock>(
    cloud: &C,
    dataset: &str,
    selection: &Selection,
) -> Result<Vec<Retried>, CloudError> {
    let keys = match selection {
        Selection::Keys(keys) => keys.clone(),
        Selection::All => stuck(cloud, dataset).await?,
    };
    let mut done = Vec::with_capacity(keys.len());
    for key in keys {
        let action = retry_one(cloud, dataset, &key).await?;
        done.push(Retried { key, action });
    }
    Ok(done)
}

async fn retry_one<C: Objects + Functions + Clock>(cloud: &C, dataset: &str, key: &str) -> Result<Action, CloudError> {
    let marker: Option<Versioned<Marker>> = read(cloud, &Kind::Pending.key(dataset, key)).await?;
    let now = cloud.now();
    if let Some(claim) = marker.as_ref().and_then(|marker| marker.value.live_claim(now)) {
        return Ok(Action::InProgress { until: claim.deadline });
    }
    let fresh = Marker::new(dataset, key, Origin::Retry, None, now);
    let fresh = match marker.map(|marker| marker.value) {
        // A backfill asks for more than a retry.
        Some(Marker { origin: Origin::Backfill, id, event, crawl, columns_of, .. }) => {
            Marker { origin: Origin::Backfill, id, event, crawl, columns_of, ..fresh }
        }
        Some(Marker { event, .. }) => Marker { event, ..fresh },
        None => fresh,
    };
    intake::drive(cloud, &fresh).await?;
    Ok(Action::Invoked)
}

/// Keys that are parked or pending.
async fn stuck(cloud: &impl Objects, dataset: &str) -> Result<Vec<String>, CloudError> {
    let mut keys = Vec::new();
    let mut page = None;
    loop {
        let parked: view::Page<Parked> = view::parked(cloud, dataset, page.as_deref()).await?;
        keys.extend(parked.records.into_iter().map(|parked| parked.key));
        page = parked.next;
        if page.is_none() {
            break;
        }
    }
    loop {
        let pending: view::Page<Marker> = view::pending(cloud, dataset, page.as_deref()).await?;
        keys.extend(pending.records.into_iter().map(|marker| marker.key));
        page = pending.next;
        if page.is_none() {
            break;
        }
    }
    keys.sort();
    keys.dedup();
    Ok(keys)
}
