//! What people do to a state by hand and the cloud has to know of: with the same order of intent, call and record as a
//! step of an apply, so that a crash in between leaves nothing to be asked.

use super::{Recorder, StepError};
use crate::{
    provider::{Provider, Target},
    refresh::{MOVE, ownership_tags},
    resource::{Address, Ownership},
    state::{Difference, Intent, Recorded, Snapshot},
};

/// Operation of the intent to take a resource in.
const IMPORT: &str = "import";

/// Files the resource of `from` under `to`, where nothing is, and tells the cloud: its tags change, nothing else does.
pub async fn relocate(recorder: &Recorder, provider: &Provider, from: &Address, to: &Address) -> Result<(), StepError> {
    let after = recorder.read(|snapshot| {
        let mut after = snapshot.clone();
        let own = snapshot.resources.get(from).map_or(1, |recorded| recorded.generation);
        after.relocate(from, to, own.max(generation_after_others(snapshot, to)));
        after
    });
    let moved = after.resources.get(to).map(|moved| Recorded::clone(moved));
    let moved = moved.ok_or_else(|| StepError::Unresolved(format!("the record of {from}")))?;
    tell(recorder, provider, &moved, MOVE).await?;
    let difference = recorder.read(|snapshot| Difference::between(snapshot, &after));
    Ok(recorder.differ(difference).await?)
}

/// Records what is in the cloud as the resource of an address where nothing is, and gives it the tags of that.
pub async fn import(recorder: &Recorder, provider: &Provider, recorded: Recorded) -> Result<(), StepError> {
    tell(recorder, provider, &recorded, IMPORT).await?;
    Ok(recorder.record(recorded).await?)
}

/// The generation of a resource that comes to an address: none that another one there had.
pub fn generation_after_others(snapshot: &Snapshot, address: &Address) -> u32 {
    let there = snapshot.tombstones.get(address).map(|tombstone| tombstone.generation);
    let deposed = snapshot.deposed.iter().filter(|old| old.address == *address).map(|old| old.generation);
    deposed.chain(there).max().map_or(1, |last| last + 1)
}

async fn tell(recorder: &Recorder, provider: &Provider, to: &Recorded, operation: &str) -> Result<(), StepError> {
    let kind = provider.kind(to.address.kind())?;
    if kind.schema().ownership != Ownership::Tags {
        return Ok(());
    }
    let intent = Intent { planned: to.clone(), operation: operation.to_owned(), observed_absent: false };
    recorder.intend(intent).await?;
    let tags = recorder.read(|snapshot| ownership_tags(snapshot, &to.address, to.generation));
    let inputs = to.inputs.unpack();
    Ok(kind.tag(Target { identity: &to.identity, inputs: &inputs }, &tags).await?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        provider::fake::{Cloud, Fault, Thing},
        refresh::refresh,
        resource::{Fields, Packed},
        state::store::{Store, memory::Memory},
    };

    fn address(name: &str) -> Address {
        Address::new("aws:s3:Bucket", name)
    }

    fn recorded(name: &str, dependencies: &[&str]) -> Recorded {
        Recorded {
            address: address(name),
            generation: 1,
            identity: format!("id-{name}"),
            inputs: Packed::default(),
            outputs: Packed::default(),
            dependencies: dependencies.iter().map(|on| address(on)).collect(),
            retain: false,
        }
    }

    /// `old`, and `user` that depends on it; `loose` is in the cloud and nobody's.
    async fn stack() -> (Arc<Cloud>, Store) {
        let (cloud, store) = (Arc::new(Cloud::default()), Store::new(Memory::default()));
        let mut snapshot = Snapshot::new("flights", "local");
        for record in [recorded("old", &[]), recorded("user", &["old"])] {
            let tags = ownership_tags(&snapshot, &record.address, 1);
            let key = ("aws:s3:Bucket".to_owned(), record.identity.clone());
            cloud.things.lock().unwrap().insert(key, Thing { inputs: Fields::new(), tags });
            snapshot.resources.insert(record.address.clone(), record.into());
        }
        let loose = Thing { inputs: Fields::new(), tags: [("theirs".to_owned(), "x".to_owned())].into() };
        cloud.things.lock().unwrap().insert(("aws:s3:Bucket".to_owned(), "id-loose".to_owned()), loose);
        let lock = store.lock("plan").await.unwrap();
        store.create(&lock, &snapshot).await.unwrap();
        (cloud, store)
    }

    async fn recorder(store: &Store) -> Recorder {
        let lock = Arc::new(store.lock("state mv").await.unwrap());
        let stored = store.load().await.unwrap().unwrap();
        let prior = stored.snapshot.clone();
        Recorder::begin(store, lock, stored, &prior, "state mv").await.unwrap()
    }

    /// The state as the next command has it.
    async fn next(cloud: &Arc<Cloud>, store: &Store) -> Snapshot {
        let stored = store.load().await.unwrap().unwrap().snapshot;
        let prior = refresh(stored, &cloud.provider(), 4).await.unwrap().snapshot;
        assert_eq!(prior.pending, []);
        crate::state::verify(&prior).unwrap();
        prior
    }

    #[tokio::test]
    async fn a_move_takes_the_edges_along_and_its_old_address_is_free() {
        let (cloud, store) = stack().await;
        let recorder = recorder(&store).await;
        relocate(&recorder, &cloud.provider(), &address("old"), &address("new")).await.unwrap();
        recorder.close().await.unwrap();
        let after = next(&cloud, &store).await;
        assert_eq!(after.resources[&address("new")].identity, "id-old");
        assert_eq!(after.resources[&address("user")].dependencies, [address("new")]);
        assert!(!after.resources.contains_key(&address("old")) && !after.tombstones[&address("old")].retained);
        assert_eq!(generation_after_others(&after, &address("old")), 2);
    }

    #[tokio::test]
    async fn a_move_whose_call_fails_has_happened_when_the_tags_say_so() {
        for (fault, expected) in [(Fault::Before, "old"), (Fault::After, "new")] {
            let (cloud, store) = stack().await;
            cloud.faults.lock().unwrap().push_back(fault);
            let recorder = recorder(&store).await;
            relocate(&recorder, &cloud.provider(), &address("old"), &address("new")).await.unwrap_err();
            drop(recorder);
            let after = next(&cloud, &store).await;
            assert_eq!(after.resources[&address(expected)].identity, "id-old");
            assert_eq!(after.resources[&address("user")].dependencies, [address(expected)]);
        }
    }

    #[tokio::test]
    async fn an_import_adds_our_tags_to_its_own_and_is_taken_in_once_it_has_them() {
        for fault in [Fault::None, Fault::Before, Fault::After] {
            let (cloud, store) = stack().await;
            cloud.faults.lock().unwrap().push_back(fault);
            let recorder = recorder(&store).await;
            let imported = import(&recorder, &cloud.provider(), recorded("loose", &[])).await;
            assert_eq!(imported.is_ok(), fault == Fault::None);
            drop(recorder);
            let after = next(&cloud, &store).await;
            assert_eq!(after.resources.contains_key(&address("loose")), fault != Fault::Before);
            let key = ("aws:s3:Bucket".to_owned(), "id-loose".to_owned());
            assert_eq!(cloud.things.lock().unwrap()[&key].tags["theirs"], "x");
        }
    }
}
