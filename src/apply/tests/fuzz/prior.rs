//! States to begin with: any sound snapshot, and a cloud that matches it or not.

use std::collections::BTreeSet;

use serde_json::json;

use super::{
    case::{Layout, Mark},
    cloud::{Cloud, Key, key_of},
    kinds::{KEYED, NAMED, SCHEMAS, WHOLE, address, kind_of},
};
use crate::{
    resource::{Declared, Fields, Naming, Packed, is_unknown, physical_name, resolve},
    state::{Intent, Recorded, Snapshot, Tombstone},
};

/// Makes the state that `layout` got to by `marks`, and what the cloud has of it. Tells what was left there on
/// purpose.
pub fn build(layout: &Layout, marks: &[Mark], cloud: &Cloud) -> (Snapshot, BTreeSet<Key>) {
    let mut builder = Builder { snapshot: Snapshot::new("flights", "local"), cloud, left: BTreeSet::new() };
    let mark = |slot: usize| marks.get(slot).copied().unwrap_or(Mark::Absent);
    let is_recorded = |slot: usize| !matches!(mark(slot), Mark::Absent | Mark::Creating { .. } | Mark::Deleted { .. });
    let kept = |more: Option<usize>| {
        let slots = layout.slots.iter().enumerate();
        let kept = |slot| is_recorded(slot) || more == Some(slot);
        Layout { order: layout.order, slots: slots.map(|(slot, node)| node.clone().filter(|_| kept(slot))).collect() }
    };
    let recorded = kept(None);
    let declared = recorded.declared();
    for slot in recorded.ranked() {
        if let Some(declared) = &declared[slot] {
            builder.record(declared, mark(slot));
        }
    }
    for slot in layout.ranked() {
        if !matches!(mark(slot), Mark::Creating { .. } | Mark::Deleted { .. }) {
            continue;
        }
        if let Some(Some(declared)) = kept(Some(slot)).declared().get(slot) {
            builder.begin_or_end(declared, mark(slot));
        }
    }
    for slot in recorded.ranked() {
        if declared[slot].is_some() {
            let address = address(&recorded, slot).expect("it is declared");
            builder.finish(&address, mark(slot));
        }
    }
    (builder.snapshot, builder.left)
}

struct Builder<'a> {
    snapshot: Snapshot,
    cloud: &'a Cloud,
    left: BTreeSet<Key>,
}

impl Builder<'_> {
    fn planned(&self, declared: &Declared, generation: u32) -> Option<Recorded> {
        let known = |value| resolve(value, &|reference| self.snapshot.output(reference));
        let inputs: Fields =
            declared.inputs.unpack().iter().map(|(name, value)| (name.clone(), known(value))).collect();
        if inputs.values().any(is_unknown) {
            return None;
        }
        let address = declared.address.clone();
        let schema = SCHEMAS[kind_of(address.kind())];
        let Snapshot { lake, stack, lineage, .. } = &self.snapshot;
        let identity = match schema.naming {
            Naming::Physical { .. } => physical_name(schema.naming, lake, stack, lineage, &address, generation)?,
            Naming::Fields(fields) => {
                fields.iter().map(|field| inputs[*field].as_str().unwrap_or_default()).collect::<Vec<_>>().join("/")
            }
        };
        let dependencies = declared.dependencies().to_vec();
        let (inputs, outputs, retain) = (Packed::from(inputs), Packed::default(), declared.retain);
        Some(Recorded { address, generation, identity, inputs, outputs, dependencies, retain })
    }

    fn is_known(&self, planned: &Recorded) -> bool {
        let key = key_of(planned);
        self.snapshot.known().any(|it| key_of(it) == key)
            || self.snapshot.pending.iter().any(|intent| key_of(&intent.planned) == key)
            || self.cloud.things.lock().unwrap().contains_key(&key)
    }

    fn put(&self, planned: &Recorded) -> Fields {
        self.cloud.put(&key_of(planned), &planned.inputs.unpack(), Cloud::tags(&self.snapshot, planned), false)
    }

    fn record(&mut self, declared: &Declared, mark: Mark) {
        let kind = kind_of(declared.address.kind());
        let generation = if mark == Mark::Replaced && kind == NAMED { 2 } else { 1 };
        let Some(planned) = self.planned(declared, generation).filter(|it| !self.is_known(it)) else { return };
        let outputs = self.put(&planned);
        let recorded = Recorded { outputs: outputs.into(), ..planned };
        if mark == Mark::Replaced {
            self.depose(&recorded, declared);
        }
        self.snapshot.resources.insert(recorded.address.clone(), recorded.into());
    }

    /// What `recorded` has replaced.
    fn depose(&mut self, recorded: &Recorded, declared: &Declared) {
        let Some(mut old) = self.planned(declared, 1) else { return };
        if kind_of(old.address.kind()) == NAMED {
            set(&mut old, "shape", json!(77));
        } else if old.inputs.get("key").is_some() {
            rename(&mut old);
        }
        if old.identity == recorded.identity || self.is_known(&old) {
            return;
        }
        let outputs = self.put(&old);
        self.snapshot.deposed.push(Recorded { outputs: outputs.into(), ..old }.into());
    }

    /// A resource that is not recorded: its call had begun, or it had gone.
    fn begin_or_end(&mut self, declared: &Declared, mark: Mark) {
        let Some(planned) = self.planned(declared, 1).filter(|it| !self.is_known(it)) else { return };
        match mark {
            Mark::Creating { done } => {
                if done {
                    self.put(&planned);
                }
                self.intend(planned, "create", true);
            }
            Mark::Deleted { retained } => {
                if retained {
                    self.put(&planned);
                    self.left.insert(key_of(&planned));
                }
                self.snapshot
                    .tombstones
                    .insert(planned.address.clone(), Tombstone { generation: planned.generation, retained });
            }
            _ => {}
        }
    }

    fn intend(&mut self, planned: Recorded, operation: &str, observed_absent: bool) {
        let operation = operation.to_owned();
        let planned = Recorded { outputs: Packed::default(), ..planned };
        self.snapshot.pending.push(Intent { planned, operation, observed_absent }.into());
    }

    /// What became of a recorded resource.
    fn finish(&mut self, address: &crate::resource::Address, mark: Mark) {
        let Some(recorded) = self.snapshot.resources.get(address).map(|it| Recorded::clone(it)) else { return };
        let key = key_of(&recorded);
        match mark {
            Mark::Drifted => {
                if let Some(thing) = self.cloud.things.lock().unwrap().get_mut(&key) {
                    thing.inputs.insert("value".to_owned(), json!(99));
                    thing.version += 1;
                }
            }
            Mark::Gone => self.cloud.take(&key),
            Mark::Updating { done } => {
                let mut planned = recorded;
                set(&mut planned, "value", json!(55));
                set(&mut planned, "secret", json!(55));
                if let Some(thing) = self.cloud.things.lock().unwrap().get_mut(&key).filter(|_| done) {
                    thing.inputs = planned.inputs.unpack();
                    thing.version += 1;
                }
                self.intend(planned, "update", false);
            }
            Mark::Replacing { done } => self.replacing(recorded, done),
            Mark::Deleting { done } => {
                let is_used = self.snapshot.resources.values().any(|it| it.dependencies.contains(address));
                if !is_used {
                    if done {
                        self.cloud.take(&key);
                    }
                    self.intend(recorded, "delete", false);
                }
            }
            _ => {}
        }
    }

    fn replacing(&mut self, mut planned: Recorded, done: bool) {
        planned.generation += 1;
        set(&mut planned, "shape", json!(1));
        let kind = kind_of(planned.address.kind());
        if kind == NAMED {
            let Snapshot { lake, stack, lineage, .. } = &self.snapshot;
            let naming = SCHEMAS[kind].naming;
            let name = physical_name(naming, lake, stack, lineage, &planned.address, planned.generation);
            planned.identity = name.expect("it has a physical name");
        } else if kind == WHOLE {
            return;
        } else {
            rename(&mut planned);
        }
        let parent = planned.inputs.get("parent");
        let parent = parent.as_ref().and_then(|it| it.as_str());
        let things = self.cloud.things.lock().unwrap().clone();
        let has_parent = parent.is_none_or(|parent| things.keys().any(|key| key.0 <= KEYED && key.1 == parent));
        if self.is_known(&planned) || !has_parent {
            return;
        }
        if done {
            self.put(&planned);
        }
        self.intend(planned, "create", true);
    }
}

fn set(recorded: &mut Recorded, name: &str, value: serde_json::Value) {
    recorded.inputs.edit(|inputs| drop(inputs.insert(name.to_owned(), value)));
}

/// Gives a thing that is named by its key another one, which no layout has.
fn rename(recorded: &mut Recorded) {
    let old = recorded.inputs.unpack()["key"].as_str().unwrap_or_default().to_owned();
    let new = format!("{old}-old");
    recorded.identity = match recorded.identity.rsplit_once('/') {
        Some((parent, _)) => format!("{parent}/{new}"),
        None => new.clone(),
    };
    set(recorded, "key", json!(new));
}
