//! The state while an apply changes it: every change is durable before the step that made it counts.

use std::sync::Arc;

use crate::state::{
    Difference, Edit, Intent, Journal, Outputs, Recorded, Removed, Snapshot,
    store::{Loaded, Lock, StateError, Store},
};

/// Records what steps begin and end.
#[derive(Debug)]
pub struct Recorder {
    journal: Journal,
}

impl Recorder {
    /// Records into `store`, which `loaded` was read from under `lock`, for `command`. What refreshing found in `prior`
    /// is written down first.
    pub async fn begin(
        store: &Store,
        lock: Arc<Lock>,
        loaded: Loaded,
        prior: &Snapshot,
        command: &str,
    ) -> Result<Self, StateError> {
        let difference = Difference::between(&loaded.snapshot, prior);
        let journal = store.journal(lock, loaded).await?;
        journal.append(journal.run(command)).await?;
        if !difference.is_empty() {
            journal.append(Edit::Differ(Box::new(difference))).await?;
        }
        Ok(Recorder { journal })
    }

    /// Reads from the state as it is now.
    pub fn read<R>(&self, body: impl FnOnce(&Snapshot) -> R) -> R {
        self.journal.read(body)
    }

    /// Writes down that a call is about to begin.
    pub async fn intend(&self, intent: Intent) -> Result<(), StateError> {
        self.journal.append(Edit::Begin(Arc::new(intent))).await
    }

    /// Writes down what a call made or changed, in place of its intent.
    pub async fn record(&self, recorded: Recorded) -> Result<(), StateError> {
        self.journal.append(Edit::Record(Arc::new(recorded))).await
    }

    /// Writes down that a resource is gone, or no longer lake's to keep.
    pub async fn remove(&self, gone: &Recorded, deposed: bool, retained: bool) -> Result<(), StateError> {
        let Recorded { address, generation, identity, .. } = gone.clone();
        self.journal.append(Edit::Remove(Removed { address, generation, identity, deposed, retained })).await
    }

    /// Writes down what somebody has changed by hand.
    pub(super) async fn differ(&self, difference: Difference) -> Result<(), StateError> {
        self.journal.append(Edit::Differ(Box::new(difference))).await
    }

    /// Writes down the program's outputs, if they are others.
    pub(super) async fn outputs(&self, outputs: &Outputs) -> Result<(), StateError> {
        if self.read(|snapshot| snapshot.outputs == *outputs) {
            return Ok(());
        }
        self.journal.append(Edit::Outputs(outputs.clone())).await
    }

    /// Ends the recording. All is durable already.
    pub async fn close(self) -> Result<Snapshot, StateError> {
        self.journal.close().await
    }
}
