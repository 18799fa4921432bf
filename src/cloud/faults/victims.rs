//! The functions' processes, found by the credentials that they work with.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::process::{Pid, Signal, kill_process_group};

/// Process groups by access key.
#[derive(Default)]
pub struct Victims(Mutex<HashMap<String, Pid>>);

impl Victims {
    /// Enters a process group; it is there until the returned value is dropped.
    pub fn enter(self: &Arc<Self>, access_key_id: &str, group: Pid) -> Victim {
        self.lock().insert(access_key_id.to_owned(), group);
        Victim { victims: Arc::clone(self), access_key_id: access_key_id.to_owned() }
    }

    pub(super) fn has(&self, access_key_id: &str) -> bool {
        self.lock().contains_key(access_key_id)
    }

    pub(super) fn kill(&self, access_key_id: &str) {
        if let Some(group) = self.lock().remove(access_key_id) {
            // No such process: it has ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Pid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process group's being entered.
pub struct Victim {
    victims: Arc<Victims>,
    access_key_id: String,
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.victims.lock().remove(&self.access_key_id);
    }
}
