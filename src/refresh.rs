//! State + provider → prior: what the cloud has now, in the terms of the state. The only reading step before a plan.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt, TryStream, TryStreamExt, stream};
use serde::Serialize;

use crate::{
    plan::{FieldChange, diff},
    provider::{Observed, Provider, ProviderError, Target},
    resource::{Address, Fields, Ownership, Schemas},
    state::{Intent, Recorded, Snapshot, Tombstone},
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
    let schemas = provider.schemas();
    let (mut drift, mut gone, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    {
        // Each is compared as it comes: of most nothing is kept.
        let mut observations = std::pin::pin!(observe(snapshot.resources.values().cloned(), provider, parallel));
        while let Some(Answer { recorded, inputs, observed }) = observations.try_next().await? {
            let Some(observed) = observed else {
                gone.push(recorded.address.clone());
                continue;
            };
            check_owner(&snapshot, schemas, &recorded, &observed)?;
            let Some(current) = merged(&recorded, &inputs, &observed) else { continue };
            let fields = diff(&inputs, &current.inputs.unpack(), &[]);
            if !fields.is_empty() {
                let Recorded { address, identity, .. } = current.clone();
                drift.push(Drift { address, identity, gone: false, fields });
            }
            changed.push(current);
        }
    }
    drift.sort_by(|one, other| one.address.cmp(&other.address));
    snapshot.resources.extend(changed.into_iter().map(|current| (current.address.clone(), Arc::new(current))));
    let mut before = predecessors(&snapshot, &gone, provider, parallel).await?;
    // Last, so that no edge to them comes back with a record that is read later.
    for address in gone {
        let gone = match before.remove(&address) {
            Some(old) => put_back(&mut snapshot, old),
            None => forget(&mut snapshot, schemas, &address),
        };
        let Recorded { address, identity, .. } = Arc::unwrap_or_clone(gone);
        drift.push(Drift { address, identity, gone: true, fields: Vec::new() });
    }
    resume(&mut snapshot, schemas, provider, parallel).await?;
    Ok(Prior { snapshot, drift })
}

/// What the cloud says of a record.
struct Answer {
    recorded: Arc<Recorded>,
    /// The record's.
    inputs: Fields,
    observed: Option<Observed>,
}

fn observe<'a>(
    resources: impl Iterator<Item = Arc<Recorded>> + 'a,
    provider: &'a Provider,
    parallel: usize,
) -> impl TryStream<Ok = Answer, Error = RefreshError> + 'a {
    let observe = async |recorded: Arc<Recorded>| {
        let inputs = recorded.inputs.unpack();
        let target = Target { identity: &recorded.identity, inputs: &inputs };
        let observed = match provider.kind(recorded.address.kind()) {
            Ok(kind) => provider.patience().call_to_the_end(|| kind.observe(target)).await,
            Err(error) => Err(error),
        };
        match observed {
            Ok(observed) => Ok(Answer { recorded, inputs, observed }),
            Err(source) => Err(RefreshError::Provider { address: recorded.address.clone(), source }),
        }
    };
    stream::iter(resources.map(observe)).buffer_unordered(parallel.max(1))
}

/// What was recorded, as the cloud has it; `None` when it has it so. Inputs and outputs that the cloud does not tell
/// stay as recorded.
fn merged(recorded: &Recorded, inputs: &Fields, observed: &Observed) -> Option<Recorded> {
    let same = |known: &Fields, told: &Fields| told.iter().all(|(name, value)| known.get(name) == Some(value));
    let mut outputs = recorded.outputs.unpack();
    if same(inputs, &observed.inputs) && same(&outputs, &observed.outputs) {
        return None;
    }
    let mut inputs = inputs.clone();
    inputs.extend(observed.inputs.clone());
    outputs.extend(observed.outputs.clone());
    Some(Recorded { inputs: inputs.into(), outputs: outputs.into(), ..recorded.clone() })
}

/// What was replaced by resources that are `gone` and is there still, the latest of each.
async fn predecessors(
    snapshot: &Snapshot,
    gone: &[Address],
    provider: &Provider,
    parallel: usize,
) -> Result<BTreeMap<Address, Arc<Recorded>>, RefreshError> {
    let deposed = snapshot.deposed.iter().filter(|old| gone.contains(&old.address)).cloned();
    let mut there: Vec<_> = observe(deposed, provider, parallel).try_collect().await?;
    there.sort_by_key(|answer| answer.recorded.generation);
    let ours = |old: &Recorded, observed: &Observed| check_owner(snapshot, provider.schemas(), old, observed).is_ok();
    let current = there.into_iter().filter_map(|Answer { recorded, inputs, observed }| {
        let observed = observed.filter(|observed| ours(&recorded, observed))?;
        let current = merged(&recorded, &inputs, &observed).map_or(recorded, Arc::new);
        Some((current.address.clone(), current))
    });
    Ok(current.collect())
}

/// Makes what was replaced current again in place of its successor, which is gone: others may need it still.
fn put_back(snapshot: &mut Snapshot, old: Arc<Recorded>) -> Arc<Recorded> {
    snapshot.deposed.retain(|other| other.address != old.address || other.identity != old.identity);
    let alone = Recorded { dependencies: Vec::new(), ..Recorded::clone(&old) };
    let gone = snapshot.resources.insert(old.address.clone(), alone.into());
    for on in &old.dependencies {
        depend(snapshot, &old.address, on);
    }
    gone.expect("BUG: what was observed is in the snapshot")
}

/// Drops a resource that is gone, and the edges to it. Its name may be used again, unless it was a call of ours that
/// deleted it; but what bears no tags and is found under that name later is somebody else's.
fn forget(snapshot: &mut Snapshot, schemas: &Schemas, address: &Address) -> Arc<Recorded> {
    for other in snapshot.resources.values_mut().filter(|other| other.dependencies.contains(address)) {
        Arc::make_mut(other).dependencies.retain(|dependency| dependency != address);
    }
    let recorded = snapshot.resources.remove(address).expect("BUG: what was observed is in the snapshot");
    let by_intent = schemas.get(address.kind()).is_some_and(|schema| schema.ownership == Ownership::Intent);
    let is_it =
        |intent: &Arc<Intent>| intent.planned.address == *address && intent.planned.identity == recorded.identity;
    let deleted = snapshot.pending.iter().any(|intent| is_it(intent) && intent.operation == "delete");
    let tombstone = Tombstone { generation: recorded.generation, retained: !by_intent && !deleted };
    snapshot.tombstones.insert(address.clone(), tombstone);
    recorded
}

fn check_owner(
    snapshot: &Snapshot,
    schemas: &Schemas,
    recorded: &Recorded,
    observed: &Observed,
) -> Result<(), RefreshError> {
    let by_tags = schemas.get(recorded.address.kind()).is_none_or(|schema| schema.ownership == Ownership::Tags);
    if !by_tags || is_ours(snapshot, &recorded.address, observed) || is_moved(snapshot, recorded, observed) {
        return Ok(());
    }
    Err(RefreshError::Foreign { address: recorded.address.clone(), identity: recorded.identity.clone() })
}

/// Operation of an intent to give a resource another address of the stack: its tags change, nothing else does.
pub const MOVE: &str = "move";

/// Whether a move that was interrupted had given it the tags of its new address already.
fn is_moved(snapshot: &Snapshot, recorded: &Recorded, observed: &Observed) -> bool {
    let mut moves = snapshot.pending.iter().filter(|intent| intent.operation == MOVE).map(|intent| &intent.planned);
    moves.any(|to| is_same(to, recorded) && is_ours(snapshot, &to.address, observed))
}

/// Whether both are the same thing in the cloud.
fn is_same(one: &Recorded, other: &Recorded) -> bool {
    one.address.kind() == other.address.kind() && one.identity == other.identity
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

/// Whose a resource is, by its tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Name of the lake.
    pub lake: String,
    /// Name of the stack.
    pub stack: String,
    /// Lineage of the stack's state.
    pub lineage: String,
    /// Where it is in the stack.
    pub address: Address,
    /// Its generation.
    pub generation: u32,
}

impl Owner {
    /// The owner that `tags` name; `None` for what no lake made.
    pub fn of(tags: &crate::provider::Tags) -> Option<Self> {
        let tag = |key: &str| tags.get(&format!("{TAG}{key}"));
        Some(Owner {
            lake: tag("name")?.clone(),
            stack: tag("stack")?.clone(),
            lineage: tag("lineage")?.clone(),
            address: tag("address")?.parse().ok()?,
            generation: tag("generation")?.parse().ok()?,
        })
    }
}

/// Calls that began and were not recorded: what they made is taken up, what they deleted is let go. Nobody is asked.
async fn resume(
    snapshot: &mut Snapshot,
    schemas: &Schemas,
    provider: &Provider,
    parallel: usize,
) -> Result<(), RefreshError> {
    let intents = std::mem::take(&mut snapshot.pending);
    let planned = intents.iter().map(|intent| Arc::new(intent.planned.clone()));
    let mut observations: Vec<_> = observe(planned, provider, parallel).try_collect().await?;
    // In the order of their beginning, whichever answered first: what was made is in place before what needs it.
    let place = |planned: &Recorded| intents.iter().position(|intent| intent.planned == *planned);
    observations.sort_by_key(|answer| place(&answer.recorded));
    for Answer { recorded: planned, inputs, observed } in observations {
        let Some(observed) = observed else { continue };
        let intent = place(&planned).map(|place| &intents[place]).expect("BUG: only intents were observed");
        if intent.operation == MOVE {
            finish_move(snapshot, &planned, &observed);
            continue;
        }
        unset_what_may_have_changed(snapshot, &planned, &inputs, &observed);
        if is_recorded(snapshot, &planned) || !made_by_us(snapshot, schemas, intent, &observed) {
            continue;
        }
        let mut current = merged(&planned, &inputs, &observed).unwrap_or_else(|| Recorded::clone(&planned));
        // An input that the cloud does not tell may still be the old one: it is left out, hence set again.
        current.inputs.edit(|inputs| inputs.retain(|name, _| observed.inputs.contains_key(name)));
        current.dependencies.retain(|dependency| snapshot.resources.contains_key(dependency));
        if snapshot.resources.contains_key(&current.address) {
            // A replacement that did not get to its record. It is made current if the program still wants it, and
            // deleted if not.
            snapshot.deposed.push(current.into());
        } else {
            snapshot.resources.insert(current.address.clone(), current.into());
        }
    }
    Ok(())
}

/// A move is done once the tags say so; before that, nothing has happened.
fn finish_move(snapshot: &mut Snapshot, to: &Recorded, observed: &Observed) {
    let from = snapshot.resources.values().find(|recorded| is_same(recorded, to)).map(|from| from.address.clone());
    if let Some(from) = from.filter(|_| is_ours(snapshot, &to.address, observed)) {
        snapshot.relocate(&from, &to.address, to.generation);
    }
}

/// An update that was interrupted may have set inputs that the cloud does not tell: they are left out, hence set again,
/// whatever the program wants by now. What they refer to it may need by now.
fn unset_what_may_have_changed(snapshot: &mut Snapshot, planned: &Recorded, inputs: &Fields, observed: &Observed) {
    let is_it = |recorded: &Arc<Recorded>| recorded.identity == planned.identity;
    // Where it is still to be deleted, its edges may close a circle: they are no more than what is waited for.
    for old in snapshot.deposed.iter_mut().filter(|old| old.address == planned.address && is_it(old)) {
        let old = Arc::make_mut(old);
        old.dependencies.extend(planned.dependencies.iter().cloned());
        old.dependencies.sort();
        old.dependencies.dedup();
    }
    if !snapshot.resources.get(&planned.address).is_some_and(is_it) {
        return;
    }
    for on in &planned.dependencies {
        depend(snapshot, &planned.address, on);
    }
    let Some(recorded) = snapshot.resources.get_mut(&planned.address) else { return };
    let mut known = recorded.inputs.unpack();
    let names = inputs.keys().chain(known.keys());
    let other = |name: &&String| inputs.get(*name) != known.get(*name);
    let uncertain: Vec<String> =
        names.filter(other).filter(|name| !observed.inputs.contains_key(*name)).cloned().collect();
    if !uncertain.is_empty() {
        known.retain(|name, _| !uncertain.contains(name));
        Arc::make_mut(recorded).inputs = known.into();
    }
}

/// Adds an edge, where that closes no circle.
fn depend(snapshot: &mut Snapshot, of: &Address, on: &Address) {
    let (mut seen, mut next) = (HashSet::new(), vec![on]);
    while let Some(at) = next.pop() {
        let Some(recorded) = snapshot.resources.get(at).filter(|_| at != of) else { return };
        next.extend(recorded.dependencies.iter().filter(|on| seen.insert(*on)));
    }
    let on = on.clone();
    let recorded = snapshot.resources.get_mut(of).map(Arc::make_mut);
    if let Some(recorded) = recorded.filter(|recorded| !recorded.dependencies.contains(&on)) {
        recorded.dependencies.push(on);
        recorded.dependencies.sort();
    }
}

/// Whether the state knows what the intent was about, as it is or as something to be deleted.
fn is_recorded(snapshot: &Snapshot, planned: &Recorded) -> bool {
    snapshot.known().any(|known| is_same(known, planned))
}

fn made_by_us(snapshot: &Snapshot, schemas: &Schemas, intent: &Intent, observed: &Observed) -> bool {
    let address = &intent.planned.address;
    match schemas.get(address.kind()).map(|schema| schema.ownership) {
        Some(Ownership::Parent(_) | Ownership::Intent) => intent.observed_absent,
        _ => is_ours(snapshot, address, observed),
    }
}
