//! What was done to a stack: its edits, run by run, as far back as its history goes.

use serde::Serialize;

use super::{
    Edit, FormatError, Intent, Removed, Run, Snapshot,
    format::replayed,
    store::{Historic, StateError, Store},
};
use crate::resource::Address;

/// A stack's past and present.
#[derive(Debug, Default)]
pub struct History {
    /// Bases with the edits since, the oldest first; the last is the present.
    segments: Vec<Historic>,
    /// States of the history that cannot be read.
    pub damaged: Vec<u64>,
}

/// What a command did.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Serial of its first edit.
    pub from: u64,
    /// Serial of its last edit.
    pub to: u64,
    /// Who; unknown for edits whose beginning is not kept.
    #[serde(flatten)]
    pub run: Option<Run>,
    /// Resources that it made.
    pub created: usize,
    /// Resources that it changed.
    pub updated: usize,
    /// Resources that it deleted.
    pub deleted: usize,
    /// Resources that it left in the cloud and forgot.
    pub forgotten: usize,
    /// Resources that were taken in: imported, recovered, found otherwise than recorded, or filed elsewhere.
    pub noted: usize,
    /// Resources that were found to be gone.
    pub gone: usize,
    /// Calls that began and ended in no record.
    pub open: Vec<Open>,
}

/// A call that began and ended in no record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Open {
    /// What was called: `create`, `update`, `delete`…
    pub operation: String,
    /// For which resource.
    pub address: Address,
    /// What the cloud knows it by.
    #[serde(skip)]
    identity: String,
}

impl Historic {
    /// Serial of the state after its last edit.
    pub fn end(&self) -> u64 {
        self.base.serial + self.edits.len() as u64
    }

    /// The state of that serial; `None` when it is not among these.
    pub fn at(&self, serial: u64) -> Result<Option<Snapshot>, FormatError> {
        let edits = serial.checked_sub(self.base.serial).and_then(|count| usize::try_from(count).ok());
        match edits.and_then(|count| self.edits.get(..count)) {
            Some(edits) => replayed(self.base.clone(), edits).map(Some),
            None => Ok(None),
        }
    }
}

impl Store {
    /// All that is kept of the stack's past, up to the present.
    pub async fn past(&self) -> Result<History, StateError> {
        let mut history = History::default();
        for serial in self.history().await? {
            match self.historic(serial).await {
                Ok(historic) => history.segments.push(historic),
                Err(StateError::Damaged { .. }) => history.damaged.push(serial),
                Err(error) => return Err(error),
            }
        }
        history.segments.extend(self.present().await?);
        Ok(history)
    }
}

impl History {
    /// The serial of the oldest state that is kept.
    pub fn first(&self) -> Option<u64> {
        self.segments.iter().map(|segment| segment.base.serial).min()
    }

    /// The serial of the present state.
    pub fn last(&self) -> Option<u64> {
        self.segments.last().map(Historic::end)
    }

    /// The state of that serial; `None` when it is not kept.
    pub fn at(&self, serial: u64) -> Result<Option<Snapshot>, FormatError> {
        for segment in self.segments.iter().rev() {
            if let Some(snapshot) = segment.at(serial)? {
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }

    /// Every edit with the serial of the state that it made, the oldest first.
    pub fn edits(&self) -> impl Iterator<Item = (u64, &Edit)> {
        let mut done = 0;
        let numbered = self.segments.iter().flat_map(|segment| (segment.base.serial + 1..).zip(&segment.edits));
        // A base that was written again has its edits in the history already.
        numbered.filter(move |(serial, _)| {
            let is_new = *serial > done;
            done = done.max(*serial);
            is_new
        })
    }

    /// What was done, command by command, the oldest first.
    pub fn runs(&self) -> Vec<Summary> {
        let mut runs: Vec<Summary> = Vec::new();
        for (serial, edit) in self.edits() {
            let follows = runs.last().is_some_and(|run| run.to + 1 == serial);
            if matches!(edit, Edit::Run(_)) || !follows {
                runs.push(Summary { from: serial, ..Summary::default() });
            }
            if let Some(run) = runs.last_mut() {
                run.to = serial;
                run.count(edit);
            }
        }
        runs
    }
}

impl Summary {
    fn count(&mut self, edit: &Edit) {
        match edit {
            Edit::Run(run) => self.run = Some(run.clone()),
            Edit::Begin(intent) => self.open.push(Open::of(intent)),
            Edit::Record(recorded) => {
                let ended = self.end(&recorded.address, &recorded.identity);
                match ended.as_ref().map(|open| open.operation.as_str()) {
                    Some("create") => self.created += 1,
                    Some("update") => self.updated += 1,
                    _ => self.noted += 1,
                }
            }
            Edit::Remove(Removed { address, identity, retained, .. }) => {
                self.end(address, identity);
                match retained {
                    true => self.forgotten += 1,
                    false => self.deleted += 1,
                }
            }
            Edit::Differ(difference) => {
                // One that only has another address leaves a tombstone that nothing is taken up by.
                let tombstone = |address: &&Address| difference.tombstones.get(*address).copied().flatten();
                let is_gone = |address: &&Address| tombstone(address).is_none_or(|tombstone| tombstone.retained);
                self.noted += difference.put.len();
                self.gone += difference.removed.iter().filter(is_gone).count();
                if let Some(pending) = &difference.pending {
                    self.open.retain(|open| pending.iter().any(|intent| Open::of(intent) == *open));
                }
            }
            Edit::Outputs(_) => {}
        }
    }

    /// Strikes out the call that a record ends.
    fn end(&mut self, address: &Address, identity: &str) -> Option<Open> {
        let is_it = |open: &Open| open.address == *address && open.identity == identity;
        self.open.iter().position(is_it).map(|place| self.open.remove(place))
    }
}

impl Open {
    fn of(intent: &Intent) -> Self {
        Open {
            operation: intent.operation.clone(),
            address: intent.planned.address.clone(),
            identity: intent.planned.identity.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        resource::Packed,
        state::{Recorded, store::memory::Memory},
    };

    fn recorded(name: &str) -> Recorded {
        Recorded {
            address: Address::new("fake:test:Thing", name),
            generation: 1,
            identity: name.to_owned(),
            inputs: Packed::default(),
            outputs: Packed::default(),
            dependencies: Vec::new(),
            retain: false,
        }
    }

    fn begin(name: &str, operation: &str) -> Edit {
        let intent = Intent { planned: recorded(name), operation: operation.to_owned(), observed_absent: true };
        Edit::Begin(intent.into())
    }

    fn record(name: &str) -> Edit {
        Edit::Record(recorded(name).into())
    }

    fn remove(name: &str, retained: bool) -> Edit {
        let Recorded { address, generation, identity, .. } = recorded(name);
        Edit::Remove(Removed { address, generation, identity, deposed: false, retained })
    }

    async fn run(store: &Store, command: &str, edits: Vec<Edit>) {
        let lock = Arc::new(store.lock(command).await.unwrap());
        if store.load().await.unwrap().is_none() {
            store.create(&lock, &Snapshot::new("flights", "local")).await.unwrap();
        }
        let journal = store.journal(lock, store.load().await.unwrap().unwrap()).await.unwrap();
        journal.append(journal.run(command)).await.unwrap();
        for edit in edits {
            journal.append(edit).await.unwrap();
        }
        journal.close().await.unwrap();
    }

    #[tokio::test]
    async fn each_command_is_told_with_what_it_did_and_what_it_left_open() {
        let store = Store::new(Memory::default());
        let edits = vec![begin("a", "create"), begin("b", "create"), record("a"), begin("c", "create"), record("c")];
        run(&store, "apply", edits).await;
        let edits = vec![begin("a", "update"), record("a"), begin("c", "delete"), remove("c", false), record("a")];
        run(&store, "apply", edits).await;
        run(&store, "state rm", vec![remove("a", true)]).await;
        let runs = store.past().await.unwrap().runs();
        let told: Vec<_> =
            runs.iter().map(|run| (run.from, run.to, run.run.as_ref().unwrap().command.as_str())).collect();
        assert_eq!(told, [(1, 6, "apply"), (7, 12, "apply"), (13, 14, "state rm")]);
        assert_eq!((runs[0].created, runs[0].open.len()), (2, 1));
        assert_eq!((runs[0].open[0].operation.as_str(), runs[0].open[0].address.name()), ("create", "b"));
        assert_eq!((runs[1].updated, runs[1].deleted, runs[1].noted), (1, 1, 1));
        assert_eq!(runs[2].forgotten, 1);
    }

    #[tokio::test]
    async fn the_state_of_every_serial_that_is_kept_can_be_had() {
        let store = Store::new(Memory::default());
        run(&store, "apply", vec![begin("a", "create"), record("a")]).await;
        run(&store, "destroy", vec![begin("a", "delete"), remove("a", false)]).await;
        let history = store.past().await.unwrap();
        assert_eq!((history.first(), history.last()), (Some(0), Some(6)));
        let count = |serial| history.at(serial).unwrap().map(|it| (it.serial, it.resources.len(), it.pending.len()));
        assert_eq!(count(0), Some((0, 0, 0)));
        assert_eq!(count(2), Some((2, 0, 1)));
        assert_eq!(count(3), Some((3, 1, 0)));
        assert_eq!(count(6), Some((6, 0, 0)));
        assert_eq!(count(7), None);
    }
}
