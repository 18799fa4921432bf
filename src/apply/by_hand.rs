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
    Ok(kind.tag(Target { identity: &to.identity, inputs: &to.inputs }, &tags).await?)
}
