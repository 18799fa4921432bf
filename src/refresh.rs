//! State + provider → prior: what the cloud has now, in the terms of the state. The only reading step before a plan.

use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use crate::{
    plan::{FieldChange, diff},
    provider::{Observed, Provider, ProviderError, Target},
    resource::{Address, Ownership},
    state::{Intent, Recorded, Snapshot},
};

/// State as the cloud confirms it, and where the two differed.
#[derive(Debug)]
pub struct Prior {
    /// The state, with inputs and outputs as the cloud has them.
    pub snapshot: Snapshot,
    /// What changed behind lake's back.
    pub drift: Vec<Drift>,
}

/// A resource that is not as lake left it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    /// Which one.
    pub address: Address,
    /// What the cloud knows it by.
    pub identity: String,
    /// It is gone.
    pub gone: bool,
    /// Its fields as recorded and as found.
    pub fields: Vec<FieldChange>,
}

/// Why the cloud could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// A call failed.
    #[error("{address} could not be read: {source}")]
    Provider {
        /// Which resource.
        address: Address,
        /// Why.
        source: ProviderError,
    },
    /// It bears the name and is not ours.
    #[error(
        "{address}: `{identity}` is there but does not carry this stack's ownership tags\n\
         it is left alone; give it its tags back, or remove it from the state"
    )]
    Foreign {
        /// Which resource.
        address: Address,
        /// What the cloud knows it by.
        identity: String,
    },
}

/// Observes every recorded resource, up to `parallel` at once, and takes up what a crash left between call and
/// record.
pub async fn refresh(mut snapshot: Snapshot, provider: &Provider, parallel: usize) -> Result<Prior, RefreshError> {
    let recorded: Vec<Recorded> = snapshot.resources.values().cloned().collect();
    let observations: Vec<(Recorded, Option<Observed>)> = observe(recorded, provider, parallel).await?;
    let (mut drift, mut gone) = (Vec::new(), Vec::new());
    for (recorded, observed) in observations {
        let Some(observed) = observed else {
            gone.push(recorded.address);
            continue;
        };
        check_owner(&snapshot, &recorded, &observed)?;
        let current = merged(&recorded, &observed);
        let fields = diff(&recorded.inputs, &current.inputs, &[]);
        if !fields.is_empty() {
            let Recorded { address, identity, .. } = recorded;
            drift.push(Drift { address, identity, gone: false, fields });
        }
        snapshot.resources.insert(current.address.clone(), current);
    }
    // Last, so that no edge to them comes back with a record that is read later.
    for address in gone {
        let Recorded { address, identity, .. } = forget(&mut snapshot, &address);
        drift.push(Drift { address, identity, gone: true, fields: Vec::new() });
    }
    resume(&mut snapshot, provider, parallel).await?;
    Ok(Prior { snapshot, drift })
}

async fn observe(
    resources: Vec<Recorded>,
    provider: &Provider,
    parallel: usize,
) -> Result<Vec<(Recorded, Option<Observed>)>, RefreshError> {
    let observe = async |recorded: Recorded| {
        let target = Target { identity: &recorded.identity, inputs: &recorded.inputs };
        let observed = match provider.kind(&recorded.address.kind) {
            Ok(kind) => kind.observe(target).await,
            Err(error) => Err(error),
        };
        match observed {
            Ok(observed) => Ok((recorded, observed)),
            Err(source) => Err(RefreshError::Provider { address: recorded.address, source }),
        }
    };
    stream::iter(resources.into_iter().map(observe)).buffer_unordered(parallel.max(1)).try_collect().await
}

/// What was recorded, as the cloud has it. Inputs and outputs that the cloud does not tell stay as recorded.
fn merged(recorded: &Recorded, observed: &Observed) -> Recorded {
    let mut current = recorded.clone();
    current.inputs.extend(observed.inputs.clone());
    current.outputs.extend(observed.outputs.clone());
    current
}

/// Drops a resource that is gone, and the edges to it. Its name may be used again: nobody else had it.
fn forget(snapshot: &mut Snapshot, address: &Address) -> Recorded {
    for other in snapshot.resources.values_mut() {
        other.dependencies.retain(|dependency| dependency != address);
    }
    let recorded = snapshot.resources.remove(address).expect("BUG: what was observed is in the snapshot");
    let tombstone = crate::state::Tombstone { generation: recorded.generation, retained: true };
    snapshot.tombstones.insert(address.clone(), tombstone);
    recorded
}

fn check_owner(snapshot: &Snapshot, recorded: &Recorded, observed: &Observed) -> Result<(), RefreshError> {
    let by_tags =
        crate::resource::aws::schema(&recorded.address.kind).is_none_or(|schema| schema.ownership == Ownership::Tags);
    if !by_tags || is_ours(snapshot, &recorded.address, observed) {
        return Ok(());
    }
    Err(RefreshError::Foreign { address: recorded.address.clone(), identity: recorded.identity.clone() })
}

/// Key prefix of the ownership tags.
const TAG: &str = "lake:";

/// The tags that say whose a resource is.
pub fn ownership_tags(snapshot: &Snapshot, address: &Address, generation: u32) -> crate::provider::Tags {
    [
        ("name", snapshot.lake.clone()),
        ("stack", snapshot.stack.clone()),
        ("lineage", snapshot.lineage.clone()),
        ("address", address.to_string()),
        ("generation", generation.to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (format!("{TAG}{key}"), value))
    .collect()
}

/// Whether a resource's tags say that it is this stack's, at this address.
pub fn is_ours(snapshot: &Snapshot, address: &Address, observed: &Observed) -> bool {
    let tag = |key: &str| observed.tags.get(&format!("{TAG}{key}"));
    tag("lineage") == Some(&snapshot.lineage) && tag("address") == Some(&address.to_string())
}

/// Calls that began and were not recorded: what they made is taken up, what they deleted is let go. Nobody is asked.
async fn resume(snapshot: &mut Snapshot, provider: &Provider, parallel: usize) -> Result<(), RefreshError> {
    let intents = std::mem::take(&mut snapshot.pending);
    let planned: Vec<Recorded> = intents.iter().map(|intent| intent.planned.clone()).collect();
    for (planned, observed) in observe(planned, provider, parallel).await? {
        let Some(observed) = observed else { continue };
        let intent = intents.iter().find(|intent| intent.planned == planned);
        let intent = intent.expect("BUG: only intents were observed");
        if is_recorded(snapshot, &planned) || !made_by_us(snapshot, intent, &observed) {
            continue;
        }
        let mut current = merged(&planned, &observed);
        // An input that the cloud does not tell may still be the old one: it is left out, hence set again.
        current.inputs.retain(|name, _| observed.inputs.contains_key(name));
        current.dependencies.retain(|dependency| snapshot.resources.contains_key(dependency));
        if snapshot.resources.contains_key(&current.address) {
            // A replacement that did not get to its record. It is made current if the program still wants it, and
            // deleted if not.
            snapshot.deposed.push(current);
        } else {
            snapshot.resources.insert(current.address.clone(), current);
        }
    }
    Ok(())
}

/// Whether the state knows what the intent was about, as it is or as something to be deleted.
fn is_recorded(snapshot: &Snapshot, planned: &Recorded) -> bool {
    let same = |known: &Recorded| known.address.kind == planned.address.kind && known.identity == planned.identity;
    snapshot.resources.values().chain(&snapshot.deposed).any(same)
}

fn made_by_us(snapshot: &Snapshot, intent: &Intent, observed: &Observed) -> bool {
    let address = &intent.planned.address;
    match crate::resource::aws::schema(&address.kind).map(|schema| schema.ownership) {
        Some(Ownership::Parent(_)) => intent.observed_absent,
        _ => is_ours(snapshot, address, observed),
    }
}
