//! What changes a snapshot, as values: the lines of the journal.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Intent, Recorded, Snapshot, Tombstone, snapshot::Outputs};
use crate::resource::Address;

/// One change of a stack's state. Each is durable before anything that follows from it is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edit {
    /// A command begins to change the stack.
    Run(Run),
    /// A call to the cloud is about to begin.
    Begin(Arc<Intent>),
    /// What a call made or changed, in place of its intent. What stood at the address under another identity becomes
    /// deposed.
    Record(Arc<Recorded>),
    /// A resource is gone, or no longer lake's to keep.
    Remove(Removed),
    /// What is otherwise than recorded: the cloud was asked, or somebody changed the state by hand.
    Differ(Box<Difference>),
    /// The program's outputs after an apply that did all it had to.
    Outputs(Outputs),
}

/// Who changes the stack, for its history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The command, `apply`.
    pub command: String,
    /// When it began.
    pub at: jiff::Timestamp,
    /// On which host.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// Its lock's fencing number.
    pub fence: u64,
}

/// A resource that leaves the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// Where it was.
    pub address: Address,
    /// Its generation.
    pub generation: u32,
    /// What the cloud knows it by, or knew it by.
    pub identity: String,
    /// It had been replaced.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deposed: bool,
    /// It stays in the cloud.
    #[serde(default, skip_serializing_if = "is_false")]
    pub retained: bool,
}

/// serde asks by reference.
fn is_false(value: &bool) -> bool {
    !value
}

/// From one snapshot to another of the same stack, by what differs. Absent is what stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Difference {
    /// Records that are new or other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub put: Vec<Arc<Recorded>>,
    /// Records that are gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<Address>,
    /// All that is still to be deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deposed: Option<Vec<Arc<Recorded>>>,
    /// Tombstones that are new or other; `None` for those that are gone.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tombstones: BTreeMap<Address, Option<Tombstone>>,
    /// All calls without a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<Vec<Arc<Intent>>>,
    /// The program's outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Outputs>,
}

impl Difference {
    /// How to get from `before` to `after`. Serials are not compared.
    pub fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let same = |one: &Arc<Recorded>, other: &Arc<Recorded>| Arc::ptr_eq(one, other) || one == other;
        let known = |recorded: &Arc<Recorded>| before.resources.get(&recorded.address);
        let put = after.resources.values().filter(|it| !known(it).is_some_and(|known| same(known, it)));
        let removed = before.resources.keys().filter(|address| !after.resources.contains_key(*address));
        let mut tombstones = BTreeMap::new();
        for (address, tombstone) in &after.tombstones {
            if before.tombstones.get(address) != Some(tombstone) {
                tombstones.insert(address.clone(), Some(*tombstone));
            }
        }
        for address in before.tombstones.keys().filter(|address| !after.tombstones.contains_key(*address)) {
            tombstones.insert(address.clone(), None);
        }
        Difference {
            put: put.cloned().collect(),
            removed: removed.cloned().collect(),
            deposed: (before.deposed != after.deposed).then(|| after.deposed.clone()),
            tombstones,
            pending: (before.pending != after.pending).then(|| after.pending.clone()),
            outputs: (before.outputs != after.outputs).then(|| after.outputs.clone()),
        }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }

    /// Changes `snapshot`, which is what the difference was made from.
    pub(super) fn apply_to(&self, snapshot: &mut Snapshot) {
        for address in &self.removed {
            snapshot.resources.remove(address);
        }
        for recorded in &self.put {
            snapshot.resources.insert(recorded.address.clone(), Arc::clone(recorded));
        }
        for (address, tombstone) in &self.tombstones {
            match tombstone {
                Some(tombstone) => drop(snapshot.tombstones.insert(address.clone(), *tombstone)),
                None => drop(snapshot.tombstones.remove(address)),
            }
        }
        snapshot.deposed = self.deposed.clone().unwrap_or_else(|| std::mem::take(&mut snapshot.deposed));
        snapshot.pending = self.pending.clone().unwrap_or_else(|| std::mem::take(&mut snapshot.pending));
        snapshot.outputs = self.outputs.clone().unwrap_or_else(|| std::mem::take(&mut snapshot.outputs));
    }
}
