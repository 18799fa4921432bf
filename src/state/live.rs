//! A snapshot while it changes. Indexes make an edit, and the check that it leaves the state sound, cost what it
//! changes and not what the stack has.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{Edit, Recorded, Snapshot, Tombstone, Unsound, edit::Removed, verify};
use crate::resource::Address;

/// A snapshot, and who depends on whom in it.
#[derive(Debug)]
pub struct Live {
    snapshot: Snapshot,
    dependents: HashMap<Address, BTreeSet<Address>>,
    /// Kinds and identities of all that is known.
    identities: HashSet<Box<str>>,
}

impl Live {
    /// A sound snapshot, ready to change.
    pub fn new(snapshot: Snapshot) -> Result<Self, Unsound> {
        verify(&snapshot)?;
        let mut live = Live { snapshot, dependents: HashMap::new(), identities: HashSet::new() };
        live.index();
        Ok(live)
    }

    /// The snapshot as it is now.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The snapshot, done changing.
    pub fn into_snapshot(self) -> Snapshot {
        self.snapshot
    }

    fn index(&mut self) {
        self.identities = self.snapshot.known().map(|recorded| identity(recorded)).collect();
        self.dependents.clear();
        for recorded in self.snapshot.resources.values() {
            for on in &recorded.dependencies {
                self.dependents.entry(on.clone()).or_default().insert(recorded.address.clone());
            }
        }
    }

    /// Does one edit. One that would leave the state unsound is refused; the snapshot is then not to be used any more.
    pub fn apply(&mut self, edit: &Edit) -> Result<(), Unsound> {
        match edit {
            Edit::Run(_) => {}
            Edit::Begin(intent) => self.snapshot.pending.push(Arc::clone(intent)),
            Edit::Record(recorded) => self.record(recorded)?,
            Edit::Remove(removed) => self.remove(removed),
            Edit::Differ(difference) => {
                difference.apply_to(&mut self.snapshot);
                verify(&self.snapshot)?;
                self.index();
            }
            Edit::Outputs(outputs) => self.snapshot.outputs.clone_from(outputs),
        }
        self.snapshot.serial += 1;
        Ok(())
    }

    fn record(&mut self, recorded: &Arc<Recorded>) -> Result<(), Unsound> {
        let address = &recorded.address;
        self.end(address, &recorded.identity);
        self.snapshot.tombstones.remove(address);
        let same = |old: &Recorded| old.address.kind() == address.kind() && old.identity == recorded.identity;
        self.snapshot.deposed.retain(|old| !same(old));
        let old = self.snapshot.resources.insert(address.clone(), Arc::clone(recorded));
        let before = old.as_ref().map_or(&[][..], |old| &old.dependencies);
        for on in before.iter().filter(|on| !recorded.dependencies.contains(on)) {
            self.unlink(address, on);
        }
        for on in &recorded.dependencies {
            if !self.snapshot.resources.contains_key(on) {
                return Err(Unsound::Dangling { of: address.clone(), on: on.clone() });
            }
            self.dependents.entry(on.clone()).or_default().insert(address.clone());
        }
        if recorded.dependencies.iter().any(|on| !before.contains(on)) && self.depends_on_itself(address) {
            return Err(Unsound::Circular(format!("{address} depends on itself")));
        }
        match old {
            Some(old) if old.identity == recorded.identity => return Ok(()),
            Some(old) => self.snapshot.deposed.push(old),
            None => {}
        }
        // It may have been deposed, and is current again.
        let known = self.identities.replace(identity(recorded)).is_some();
        if known && self.snapshot.known().filter(|it| same(it)).count() > 1 {
            return Err(Unsound::Twice { identity: recorded.identity.clone(), address: address.clone() });
        }
        Ok(())
    }

    fn remove(&mut self, gone: &Removed) {
        self.end(&gone.address, &gone.identity);
        if gone.deposed {
            let is_it = |old: &Recorded| old.address == gone.address && old.identity == gone.identity;
            if let Some(place) = self.snapshot.deposed.iter().position(|old| is_it(old)) {
                let old = self.snapshot.deposed.remove(place);
                self.identities.remove(&identity(&old));
            }
            return;
        }
        let Some(old) = self.snapshot.resources.remove(&gone.address) else { return };
        self.identities.remove(&identity(&old));
        for on in &old.dependencies {
            self.unlink(&gone.address, on);
        }
        for dependent in self.dependents.remove(&gone.address).unwrap_or_default() {
            if let Some(dependent) = self.snapshot.resources.get_mut(&dependent) {
                Arc::make_mut(dependent).dependencies.retain(|on| *on != gone.address);
            }
        }
        let tombstone = Tombstone { generation: gone.generation, retained: gone.retained };
        self.snapshot.tombstones.insert(gone.address.clone(), tombstone);
    }

    /// Strikes out the intent that a record ends. Two things at one address may be at work at once, one of them deposed:
    /// what tells them apart is what the cloud knows them by.
    fn end(&mut self, address: &Address, identity: &str) {
        let ended = |planned: &Recorded| planned.address == *address && planned.identity == identity;
        self.snapshot.pending.retain(|intent| !ended(&intent.planned));
    }

    fn unlink(&mut self, of: &Address, on: &Address) {
        if let Some(dependents) = self.dependents.get_mut(on) {
            dependents.remove(of);
            if dependents.is_empty() {
                self.dependents.remove(on);
            }
        }
    }

    /// Whether one that nothing depends on, or one of its dependents, is among what it depends on.
    fn depends_on_itself(&self, address: &Address) -> bool {
        let (mut seen, mut next) = (HashSet::new(), vec![address]);
        while let Some(at) = next.pop() {
            for dependent in self.dependents.get(at).into_iter().flatten() {
                if dependent == address {
                    return true;
                }
                if seen.insert(dependent) {
                    next.push(dependent);
                }
            }
        }
        false
    }
}

/// What tells two things in the cloud apart.
fn identity(recorded: &Recorded) -> Box<str> {
    format!("{}/{}", recorded.address.kind(), recorded.identity).into()
}
