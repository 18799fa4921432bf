//! The snapshot: every resource of a stack as the last call left it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::resource::{Address, Packed, Reference};

/// The program's outputs, by name.
pub type Outputs = BTreeMap<String, Value>;

/// What a stack consists of. Records are shared between copies, so a copy costs little.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The lake it belongs to.
    pub lake: String,
    /// The stack it describes.
    pub stack: String,
    /// Identity of this line of states: names and ownership tags derive from it.
    pub lineage: String,
    /// Rises by one with every [edit](super::Edit).
    pub serial: u64,
    /// What is there.
    pub resources: BTreeMap<Address, Arc<Recorded>>,
    /// What has been replaced and is still to be deleted.
    #[serde(default)]
    pub deposed: Vec<Arc<Recorded>>,
    /// What was there, so that a name is not used twice.
    #[serde(default)]
    pub tombstones: BTreeMap<Address, Tombstone>,
    /// Calls that began and have not been recorded: what a crash leaves behind.
    #[serde(default)]
    pub pending: Vec<Arc<Intent>>,
    /// The program's outputs after the last apply.
    #[serde(default)]
    pub outputs: Outputs,
}

/// A resource as the last call on it left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Where it is in the stack.
    pub address: Address,
    /// Counts replacements; part of the physical name.
    pub generation: u32,
    /// What the cloud knows it by.
    pub identity: String,
    /// Its inputs, resolved.
    pub inputs: Packed,
    /// Its outputs.
    pub outputs: Packed,
    /// What must outlive it.
    #[serde(deserialize_with = "exactly")]
    pub dependencies: Vec<Address>,
    /// Stays in the cloud when it is no longer declared.
    #[serde(default)]
    pub retain: bool,
}

/// A list with room for what it has: most are short, and a list that grows takes room for four.
fn exactly<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Address>, D::Error> {
    let mut list = Vec::deserialize(deserializer)?;
    list.shrink_to_fit();
    Ok(list)
}

/// What is left of a resource that is gone from the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tombstone {
    /// Its last generation.
    pub generation: u32,
    /// It was left in the cloud; declared again, it is taken up again under the same name.
    pub retained: bool,
}

/// A call that began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// What the resource is to be; its outputs are not known yet.
    pub planned: Recorded,
    /// The kind of call.
    pub operation: String,
    /// Nothing of this identity was there before the call: what is found there later is ours.
    pub observed_absent: bool,
}

impl Snapshot {
    /// An empty stack with a lineage of its own.
    pub fn new(lake: &str, stack: &str) -> Self {
        Snapshot {
            lake: lake.to_owned(),
            stack: stack.to_owned(),
            lineage: uuid::Uuid::new_v4().to_string(),
            serial: 0,
            resources: BTreeMap::new(),
            deposed: Vec::new(),
            tombstones: BTreeMap::new(),
            pending: Vec::new(),
            outputs: BTreeMap::new(),
        }
    }

    /// Whether nothing of the stack is in the cloud, as far as lake knows.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.deposed.is_empty() && self.pending.is_empty()
    }

    /// Files the resource of `from` under `to`, where nothing is: it stays what it is in the cloud, and whatever depends
    /// on it goes on to. Its old address is free, for a resource of another name.
    pub fn relocate(&mut self, from: &Address, to: &Address, generation: u32) {
        let Some(mut moved) = self.resources.remove(from) else { return };
        self.tombstones.insert(from.clone(), Tombstone { generation: moved.generation, retained: false });
        self.tombstones.remove(to);
        for other in self.resources.values_mut().filter(|other| other.dependencies.contains(from)) {
            let dependencies = &mut Arc::make_mut(other).dependencies;
            dependencies.iter_mut().filter(|on| *on == from).for_each(|on| *on = to.clone());
            dependencies.sort();
        }
        let record = Arc::make_mut(&mut moved);
        record.address = to.clone();
        record.generation = generation;
        self.resources.insert(to.clone(), moved);
    }

    /// An output of a resource.
    pub fn output(&self, reference: &Reference) -> Option<Value> {
        self.resources.get(&reference.address)?.outputs.get(&reference.output)
    }

    /// Every resource that is in the cloud as far as lake knows: what is current, and what is still to be deleted.
    pub fn known(&self) -> impl Iterator<Item = &Arc<Recorded>> {
        self.resources.values().chain(&self.deposed)
    }
}
