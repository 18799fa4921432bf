//! Cloud + program → state: what a stack consists of is found again by its ownership tags.
//!
//! What carries tags tells its address and generation. What is a part of something else carries none: the program tells
//! what parts there may be, and the cloud whether they are there. A part of what is still declared, which the program
//! no longer declares, is therefore not found.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::{
    graph::Graph,
    provider::{Observed, Provider, ProviderError, Target},
    refresh::Owner,
    resource::{
        Address, Declared, Fields, Ownership, Program, Schema, is_unknown, name_prefix, physical_name, references,
        resolve, resolve_all,
    },
    state::{Outputs, Recorded, Snapshot, verify},
};

/// Generations that are tried for a name that only its hash tells to be ours.
const GENERATIONS_TRIED_MAX: u32 = 16;

/// Why nothing could be recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The resources of a kind could not be listed.
    #[error("what there is of {kind} could not be listed: {source}")]
    List {
        /// Which kind.
        kind: &'static str,
        /// Why.
        source: ProviderError,
    },
    /// A resource could not be read.
    #[error("`{identity}` could not be read: {source}")]
    Observe {
        /// What the cloud knows it by.
        identity: String,
        /// Why.
        source: ProviderError,
    },
    /// Two resources say that they are the same one.
    #[error(
        "`{one}` and `{other}` both carry the tags of {address}, generation {generation}\n\
         take the tags that begin with `lake:` off the one that lake did not make"
    )]
    Twice {
        /// The address in their tags.
        address: Address,
        /// The generation in their tags.
        generation: u32,
        /// One of them.
        one: String,
        /// The other.
        other: String,
    },
    /// The program's resources wait for each other.
    #[error("these resources wait for each other: {0}")]
    Circular(String),
    /// A kind that this version does not know.
    #[error("{0} is of a kind that this version of lake does not know; use the version that created it")]
    Kind(Address),
}

/// A resource whose tags name an owner.
#[derive(Debug, Clone)]
pub struct Tagged {
    /// Whose it is.
    pub owner: Owner,
    /// What the cloud knows it by.
    pub identity: String,
    observed: Observed,
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What carries the tags of the stack, of whatever lineage.
    pub tagged: Vec<Tagged>,
    /// Kinds that cannot be searched.
    pub unlisted: Vec<&'static str>,
}

impl Findings {
    /// The lineages among them, and how many resources each has.
    pub fn lineages(&self) -> BTreeMap<&str, usize> {
        let mut lineages = BTreeMap::new();
        for tagged in &self.tagged {
            *lineages.entry(tagged.owner.lineage.as_str()).or_default() += 1;
        }
        lineages
    }
}

/// Which names are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Those that lake gives to the stack's resources.
    OfStack,
    /// All: what was imported has a name of its own.
    Any,
}

/// Looks for everything that carries the ownership tags of a lake's stack, with up to `parallel` calls at once.
pub async fn search(
    provider: &Provider,
    (lake, stack): (&str, &str),
    names: Names,
    parallel: usize,
) -> Result<Findings, RecoverError> {
    let tagged = provider.kinds().filter(|kind| kind.schema().ownership == Ownership::Tags);
    let listed: Vec<_> = stream::iter(tagged)
        .map(async |kind| {
            let schema = kind.schema();
            let prefix = match names {
                Names::OfStack => name_prefix(schema.naming, lake, stack).unwrap_or_default(),
                Names::Any => String::new(),
            };
            let list = kind.list(&prefix).await.map_err(|source| RecoverError::List { kind: schema.kind, source })?;
            Ok::<_, RecoverError>((kind, list))
        })
        .buffered(parallel.max(1))
        .try_collect()
        .await?;
    let mut findings = Findings::default();
    let mut there = Vec::new();
    for (kind, list) in listed {
        match list {
            Some(list) => there.extend(list.into_iter().map(|identity| (kind, identity))),
            None => findings.unlisted.push(kind.schema().kind),
        }
    }
    let nothing = Fields::new();
    let mut observations = std::pin::pin!(
        stream::iter(there)
            .map(async |(kind, identity)| {
                let observed = kind.observe(Target { identity: &identity, inputs: &nothing }).await;
                (kind.schema().kind, observed, identity)
            })
            .buffered(parallel.max(1))
    );
    while let Some((kind, observed, identity)) = observations.next().await {
        let observed = match observed {
            Ok(Some(observed)) => observed,
            Ok(None) => continue,
            Err(source) => return Err(RecoverError::Observe { identity, source }),
        };
        // Another stack's names may begin like this one's.
        let ours = |owner: &Owner| owner.lake == lake && owner.stack == stack && owner.address.kind() == kind;
        if let Some(owner) = Owner::of(&observed.tags).filter(ours) {
            findings.tagged.push(Tagged { owner, identity, observed });
        }
    }
    Ok(findings)
}

/// A state that was put together from what was found.
#[derive(Debug)]
pub struct Recovered {
    /// The state.
    pub snapshot: Snapshot,
    /// What was added to it.
    pub added: Vec<Address>,
    /// What is added and not declared: the next plan deletes it.
    pub undeclared: Vec<Address>,
    /// What is declared and not there: the next apply makes it.
    pub missing: Vec<Address>,
}

/// Adds to `snapshot` what was found of its lineage, and the parts of that which `program` declares. What is added
/// without being declared is kept in the cloud by the next apply if `keeps` says so.
pub async fn rebuild(
    snapshot: Snapshot,
    findings: &Findings,
    program: &Program,
    provider: &Provider,
    keeps: impl Fn(&Address) -> bool,
    parallel: usize,
) -> Result<Recovered, RecoverError> {
    let (found, old) = generations(&snapshot, findings)?;
    let recovered = Recovered { snapshot, added: Vec::new(), undeclared: Vec::new(), missing: Vec::new() };
    let mut rebuild = Rebuild { found, provider, recovered };
    for level in levels(program)? {
        rebuild.declared(level, parallel).await?;
    }
    rebuild.undeclared(keeps);
    rebuild.deposed(old);
    let mut recovered = rebuild.recovered;
    let resolved = |value: &Value| resolve(value, &|reference| recovered.snapshot.output(reference));
    let outputs: Outputs = program.outputs().iter().map(|(name, value)| (name.clone(), resolved(value))).collect();
    // A stack that was not applied to its end has none.
    if !outputs.values().any(is_unknown) {
        recovered.snapshot.outputs = outputs;
    }
    Ok(recovered)
}

/// The latest generation of each address that the state does not have, and the others.
fn generations<'a>(
    snapshot: &Snapshot,
    findings: &'a Findings,
) -> Result<(HashMap<&'a Address, &'a Tagged>, Vec<&'a Tagged>), RecoverError> {
    let known: BTreeSet<(&str, &str)> =
        snapshot.known().map(|recorded| (recorded.address.kind(), recorded.identity.as_str())).collect();
    let ours = findings.tagged.iter().filter(|tagged| tagged.owner.lineage == snapshot.lineage);
    let mut unknown: Vec<&Tagged> =
        ours.filter(|tagged| !known.contains(&(tagged.owner.address.kind(), tagged.identity.as_str()))).collect();
    unknown.sort_by_key(|tagged| (&tagged.owner.address, std::cmp::Reverse(tagged.owner.generation)));
    let (mut latest, mut old): (HashMap<&Address, &Tagged>, Vec<&Tagged>) = Default::default();
    for tagged in unknown {
        let address = &tagged.owner.address;
        let before = old.last().filter(|last| last.owner.address == *address).or(latest.get(address));
        let generation = tagged.owner.generation;
        let before = before.filter(|before| before.owner.generation == generation).map(|before| &before.identity);
        let is_twin = |it: &&Arc<Recorded>| it.address == *address && it.generation == generation;
        if let Some(one) = before.or_else(|| snapshot.known().find(is_twin).map(|twin| &twin.identity)) {
            let (address, one, other) = (address.clone(), one.clone(), tagged.identity.clone());
            return Err(RecoverError::Twice { address, generation, one, other });
        }
        if latest.contains_key(address) || snapshot.resources.contains_key(address) {
            old.push(tagged);
        } else {
            latest.insert(address, tagged);
        }
    }
    Ok((latest, old))
}

/// The program's resources, in groups: each comes after all that it depends on.
fn levels(program: &Program) -> Result<Vec<Vec<&Declared>>, RecoverError> {
    let mut graph = Graph::default();
    let declared: BTreeMap<&Address, &Declared> =
        program.resources().iter().map(|declared| (&declared.address, declared)).collect();
    for resource in program.resources() {
        graph.insert(resource.address.clone());
        for on in resource.dependencies() {
            graph.order(resource.address.clone(), on.clone());
        }
    }
    let sorted = graph.sorted().map_err(|cycle| RecoverError::Circular(cycle.to_string()))?;
    let mut levels: Vec<Vec<&Declared>> = Vec::new();
    let mut level_of: HashMap<&Address, usize> = HashMap::new();
    for address in sorted {
        let below = graph.dependencies(address).filter_map(|on| level_of.get(on));
        let level = below.max().map_or(0, |level| level + 1);
        level_of.insert(address, level);
        if levels.len() == level {
            levels.push(Vec::new());
        }
        levels[level].extend(declared.get(address));
    }
    Ok(levels)
}

struct Rebuild<'a> {
    found: HashMap<&'a Address, &'a Tagged>,
    provider: &'a Provider,
    recovered: Recovered,
}

impl Rebuild<'_> {
    /// Asks for what is declared, all of which depends on what has been asked for before at most. It is observed against
    /// the declared inputs, so that it is told in their words.
    async fn declared(&mut self, declared: Vec<&Declared>, parallel: usize) -> Result<(), RecoverError> {
        let this = &*self;
        let there: Vec<_> = stream::iter(declared)
            .map(async |declared| Ok::<_, RecoverError>((declared, this.find(declared).await?)))
            .buffered(parallel.max(1))
            .try_collect()
            .await?;
        for (declared, found) in there {
            self.found.remove(&declared.address);
            let Recovered { snapshot, added, missing, .. } = &mut self.recovered;
            if snapshot.resources.contains_key(&declared.address) {
                continue;
            }
            let Some(Found { identity, generation, observed }) = found else {
                missing.push(declared.address.clone());
                continue;
            };
            let dependencies = declared.dependencies().iter().filter(|on| snapshot.resources.contains_key(*on));
            let dependencies = dependencies.cloned().collect();
            let recorded = Recorded {
                address: declared.address.clone(),
                generation,
                identity,
                inputs: observed.inputs.into(),
                outputs: observed.outputs.into(),
                dependencies,
                retain: declared.retain,
            };
            added.push(declared.address.clone());
            snapshot.resources.insert(declared.address.clone(), recorded.into());
        }
        Ok(())
    }

    async fn find(&self, declared: &Declared) -> Result<Option<Found>, RecoverError> {
        let snapshot = &self.recovered.snapshot;
        let address = &declared.address;
        if snapshot.resources.contains_key(address) {
            return Ok(None);
        }
        let kind = self.provider.kind(address.kind()).map_err(|_| RecoverError::Kind(address.clone()))?;
        let inputs = resolve_all(declared.inputs.unpack(), &|reference| snapshot.output(reference));
        for (identity, generation) in self.candidates(declared, kind.schema(), &inputs) {
            let target = Target { identity: &identity, inputs: &inputs };
            match kind.observe(target).await {
                Ok(Some(observed)) => return Ok(Some(Found { identity, generation, observed })),
                Ok(None) => {}
                Err(source) => return Err(RecoverError::Observe { identity, source }),
            }
        }
        Ok(None)
    }

    /// What the resource may be known by, so that whatever is found under it is ours.
    fn candidates(&self, declared: &Declared, schema: &Schema, inputs: &Fields) -> Vec<(String, u32)> {
        let snapshot = &self.recovered.snapshot;
        let address = &declared.address;
        match schema.ownership {
            Ownership::Tags => {
                let found = self.found.get(address);
                found.map(|tagged| (tagged.identity.clone(), tagged.owner.generation)).into_iter().collect()
            }
            Ownership::Parent(parent) => {
                let parent = declared.inputs.get(parent).as_ref().map(references).unwrap_or_default();
                let ours =
                    !parent.is_empty() && parent.iter().all(|parent| snapshot.resources.contains_key(&parent.address));
                schema
                    .naming
                    .identity(None, inputs)
                    .filter(|_| ours)
                    .map(|identity| (identity, 1))
                    .into_iter()
                    .collect()
            }
            // The name holds a hash of the lineage, which nobody else's has.
            Ownership::Intent => {
                let Snapshot { lake, stack, lineage, .. } = snapshot;
                let name = |generation| physical_name(schema.naming, lake, stack, lineage, address, generation);
                let tried = (1..=GENERATIONS_TRIED_MAX).rev();
                tried.filter_map(|generation| Some((name(generation)?, generation))).collect()
            }
        }
    }

    /// Records what is there, ours, and no longer declared.
    fn undeclared(&mut self, keeps: impl Fn(&Address) -> bool) {
        let mut left: Vec<&Tagged> = self.found.drain().map(|(_, tagged)| tagged).collect();
        left.sort_by_key(|tagged| &tagged.owner.address);
        let Recovered { snapshot, added, undeclared, .. } = &mut self.recovered;
        for tagged in left {
            let address = &tagged.owner.address;
            let recorded = Recorded { retain: keeps(address), ..tagged.recorded() };
            snapshot.resources.insert(address.clone(), recorded.into());
            added.push(address.clone());
            undeclared.push(address.clone());
        }
        let edges: Vec<(Address, Vec<Address>)> =
            undeclared.iter().map(|address| (address.clone(), mentioned(snapshot, address))).collect();
        let mut guessed = snapshot.clone();
        for (address, dependencies) in edges {
            if let Some(recorded) = guessed.resources.get_mut(&address) {
                Arc::make_mut(recorded).dependencies = dependencies;
            }
        }
        // A guess that goes in a circle is none.
        if verify(&guessed).is_ok() {
            *snapshot = guessed;
        }
    }

    /// Records what has been replaced and not been deleted.
    fn deposed(&mut self, old: Vec<&Tagged>) {
        let Recovered { snapshot, added, .. } = &mut self.recovered;
        for tagged in old {
            let address = &tagged.owner.address;
            let retain = snapshot.resources.get(address).is_some_and(|current| current.retain);
            snapshot.deposed.push(Recorded { retain, ..tagged.recorded() }.into());
            added.push(address.clone());
        }
    }
}

/// What was found of a declared resource.
struct Found {
    identity: String,
    generation: u32,
    observed: Observed,
}

impl Tagged {
    fn recorded(&self) -> Recorded {
        Recorded {
            address: self.owner.address.clone(),
            generation: self.owner.generation,
            identity: self.identity.clone(),
            inputs: (&self.observed.inputs).into(),
            outputs: (&self.observed.outputs).into(),
            dependencies: Vec::new(),
            retain: false,
        }
    }
}

/// What the inputs of a resource mention by name or ARN: nobody declares any more what it depends on, and this is what
/// it must be deleted before.
fn mentioned(snapshot: &Snapshot, address: &Address) -> Vec<Address> {
    let Some(recorded) = snapshot.resources.get(address) else { return Vec::new() };
    let text = Value::Object(recorded.inputs.unpack()).to_string();
    let is_mentioned = |other: &&Arc<Recorded>| {
        let arn = other.outputs.get("arn");
        let has_arn = || arn.as_ref().and_then(Value::as_str).is_some_and(|arn| text.contains(arn));
        other.address != *address && (text.contains(&other.identity) || has_arn())
    };
    snapshot.resources.values().filter(is_mentioned).map(|other| other.address.clone()).collect()
}

#[cfg(test)]
mod tests;
