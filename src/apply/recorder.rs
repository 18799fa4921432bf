//! The state while it changes: every change is on disk before the step that made it counts.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::state::{
    Intent, Recorded, Snapshot, Tombstone,
    store::{StateError, Store},
};

type Outputs = BTreeMap<String, serde_json::Value>;

/// Records what steps begin and end, one durable save each.
pub struct Recorder {
    store: Arc<dyn Store>,
    snapshot: Arc<Mutex<Snapshot>>,
    /// What refreshing found is not in the store yet.
    refreshed: bool,
}

impl Recorder {
    /// Records into `store`, which holds `stored`, from the refreshed `prior` on.
    pub fn new(store: Arc<dyn Store>, stored: &Snapshot, prior: Snapshot) -> Self {
        let refreshed = *stored != prior;
        Recorder { store, snapshot: Arc::new(Mutex::new(prior)), refreshed }
    }

    /// Reads from the snapshot as it is now.
    pub fn read<R>(&self, body: impl FnOnce(&Snapshot) -> R) -> R {
        body(&self.snapshot.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes down that a call is about to begin.
    pub(super) async fn begin(&self, intent: Intent) -> Result<(), StateError> {
        self.change(move |snapshot| snapshot.pending.push(intent)).await
    }

    /// Writes down what a call made or changed, in place of its intent. What stood at the address under another
    /// identity becomes deposed.
    pub(super) async fn record(&self, recorded: Recorded) -> Result<(), StateError> {
        self.change(move |snapshot| {
            let address = recorded.address.clone();
            end(snapshot, &recorded);
            snapshot.tombstones.remove(&address);
            let identity = recorded.identity.clone();
            snapshot.deposed.retain(|old| old.address.kind != address.kind || old.identity != identity);
            if let Some(old) = snapshot.resources.insert(address, recorded)
                && old.identity != identity
            {
                snapshot.deposed.push(old);
            }
        })
        .await
    }

    /// Writes down that a resource is gone, or no longer ours to keep.
    pub(super) async fn remove(&self, gone: Recorded, deposed: bool, retained: bool) -> Result<(), StateError> {
        self.change(move |snapshot| {
            end(snapshot, &gone);
            if deposed {
                snapshot.deposed.retain(|old| old.address != gone.address || old.identity != gone.identity);
                return;
            }
            snapshot.resources.remove(&gone.address);
            for other in snapshot.resources.values_mut() {
                other.dependencies.retain(|dependency| *dependency != gone.address);
            }
            snapshot.tombstones.insert(gone.address, Tombstone { generation: gone.generation, retained });
        })
        .await
    }

    /// Writes down the program's outputs and what refreshing found. A snapshot that neither changes is not written
    /// again.
    pub(super) async fn finish(&self, outputs: impl FnOnce(&Snapshot) -> Outputs) -> Result<Outputs, StateError> {
        let outputs = self.read(outputs);
        if self.refreshed || self.read(|snapshot| snapshot.outputs != outputs) {
            let told = outputs.clone();
            self.change(move |snapshot| snapshot.outputs = told).await?;
        }
        Ok(outputs)
    }

    /// Changes the snapshot and saves it. The lock is held until the save ends, so saves are in order.
    async fn change(&self, body: impl FnOnce(&mut Snapshot) + Send + 'static) -> Result<(), StateError> {
        let (store, snapshot) = (Arc::clone(&self.store), Arc::clone(&self.snapshot));
        let saved = tokio::task::spawn_blocking(move || {
            let mut snapshot = snapshot.lock().unwrap_or_else(PoisonError::into_inner);
            body(&mut snapshot);
            snapshot.serial += 1;
            store.save(&snapshot)
        });
        match saved.await {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

/// Strikes out the intent that `recorded` ends.
fn end(snapshot: &mut Snapshot, recorded: &Recorded) {
    snapshot.pending.retain(|intent| {
        intent.planned.address != recorded.address || intent.planned.generation != recorded.generation
    });
}
