//! A disk that keeps what was durably written, and at its process's death perhaps half of a write.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::shared::Shared;
use crate::state::store::{Files, Guard, Holder, Mark, Medium, Resumed, Standing, StateError};

/// The disk. Copies are the same one.
#[derive(Debug, Clone)]
pub struct Disk {
    base: Arc<Mutex<Option<Vec<u8>>>>,
    journal: Arc<Mutex<Vec<u8>>>,
    shared: Arc<Shared>,
}

impl Disk {
    pub fn new(shared: &Arc<Shared>) -> Self {
        Disk { base: Arc::default(), journal: Arc::default(), shared: Arc::clone(shared) }
    }

    fn room(&self) -> Result<(), StateError> {
        match self.shared.is_full() {
            true => Err(StateError::io("disk".as_ref(), std::io::ErrorKind::StorageFull.into())),
            false => Ok(()),
        }
    }
}

#[derive(Debug)]
struct Held(Holder);

#[async_trait]
impl Guard for Held {
    fn holder(&self) -> &Holder {
        &self.0
    }

    fn check(&self) -> Result<(), StateError> {
        Ok(())
    }

    async fn release(&self) -> Result<(), StateError> {
        Ok(())
    }
}

#[async_trait]
impl Medium for Disk {
    fn name(&self) -> String {
        "disk".to_owned()
    }

    async fn read(&self) -> Result<Files, StateError> {
        let (base, journal) = (self.base.lock().unwrap().clone(), self.journal.lock().unwrap().clone());
        Ok(Files { base, journal, mark: Mark::default() })
    }

    async fn resume(&self, _guard: &dyn Guard, _mark: &Mark, length: u64) -> Result<Resumed, StateError> {
        if length == 0 {
            return Ok(Resumed::ReplaceBase);
        }
        self.shared.moment().await;
        self.room()?;
        self.journal.lock().unwrap().truncate(length as usize);
        self.shared.moment().await;
        Ok(Resumed::GoesOn)
    }

    async fn append(&self, _guard: &dyn Guard, group: &[u8]) -> Result<(), StateError> {
        let half = || self.journal.lock().unwrap().extend_from_slice(&group[..group.len() / 2]);
        self.shared.moment_or(half).await;
        if let Err(full) = self.room() {
            half();
            return Err(full);
        }
        self.journal.lock().unwrap().extend_from_slice(group);
        self.shared.moment().await;
        Ok(())
    }

    async fn replace(&self, _guard: &dyn Guard, base: &[u8], header: &[u8], _serial: u64) -> Result<(), StateError> {
        // The base comes first; the journal of the one before it is known by its header.
        self.shared.moment_or(|| *self.base.lock().unwrap() = Some(base.to_owned())).await;
        self.room()?;
        *self.base.lock().unwrap() = Some(base.to_owned());
        *self.journal.lock().unwrap() = header.to_owned();
        self.shared.moment().await;
        Ok(())
    }

    async fn mend(&self, _guard: &dyn Guard, _base: &[u8], _header: &[u8], _mark: &str) -> Result<(), StateError> {
        unreachable!("nothing is repaired")
    }

    async fn discard(&self, _guard: &dyn Guard, _serial: u64, _mark: &str) -> Result<(), StateError> {
        unreachable!("nothing is repaired")
    }

    async fn history(&self) -> Result<Vec<u64>, StateError> {
        Ok(Vec::new())
    }

    async fn historic(&self, _serial: u64) -> Result<(Vec<u8>, Vec<u8>), StateError> {
        unreachable!("nobody asks for the past")
    }

    async fn lock(&self, holder: Holder) -> Result<Box<dyn Guard>, StateError> {
        Ok(Box::new(Held(holder)))
    }

    async fn standing(&self) -> Result<Option<Standing>, StateError> {
        Ok(None)
    }

    async fn unlock(&self, _holder: &Holder) -> Result<(), StateError> {
        Ok(())
    }
}
