//! State in memory, for the engine's tests: what was appended is kept, and nothing else is.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{Files, Guard, Holder, Mark, Medium, Resumed, Standing, StateError};

/// Base and journal.
pub type Kept = (Option<Vec<u8>>, Vec<u8>);

/// State in memory. Copies are the same state, so that it outlives whoever writes it.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Base and journal as they are.
    pub files: Arc<Mutex<Kept>>,
    /// The history, by serial.
    pub past: Arc<Mutex<Vec<(u64, Kept)>>>,
    /// Writes that work before every later one fails, as on a full disk; none for no end.
    pub room: Arc<Mutex<Option<u32>>>,
}

impl Memory {
    fn write(&self, body: impl FnOnce(&mut Kept)) -> Result<(), StateError> {
        if let Some(room) = self.room.lock().unwrap().as_mut() {
            *room = room
                .checked_sub(1)
                .ok_or_else(|| StateError::io("memory".as_ref(), std::io::ErrorKind::StorageFull.into()))?;
        }
        body(&mut self.files.lock().unwrap());
        Ok(())
    }
}

#[derive(Debug)]
struct Free(Holder);

#[async_trait]
impl Guard for Free {
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
impl Medium for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    async fn read(&self) -> Result<Files, StateError> {
        let (base, journal) = self.files.lock().unwrap().clone();
        Ok(Files { base, journal, mark: Mark::default() })
    }

    async fn resume(&self, _guard: &dyn Guard, _mark: &Mark, length: u64) -> Result<Resumed, StateError> {
        if length == 0 {
            return Ok(Resumed::ReplaceBase);
        }
        self.write(|files| files.1.truncate(length as usize))?;
        Ok(Resumed::GoesOn)
    }

    async fn append(&self, _guard: &dyn Guard, group: &[u8]) -> Result<(), StateError> {
        // A disk takes its time, in which others come.
        tokio::task::yield_now().await;
        self.write(|files| files.1.extend_from_slice(group))
    }

    async fn replace(&self, _guard: &dyn Guard, base: &[u8], header: &[u8], serial: u64) -> Result<(), StateError> {
        let before = self.files.lock().unwrap().clone();
        self.write(|files| *files = (Some(base.to_owned()), header.to_owned()))?;
        if before.0.is_some() {
            self.past.lock().unwrap().push((serial, before));
        }
        Ok(())
    }

    async fn mend(&self, _guard: &dyn Guard, base: &[u8], header: &[u8], _mark: &str) -> Result<(), StateError> {
        self.write(|files| *files = (Some(base.to_owned()), header.to_owned()))
    }

    async fn discard(&self, _guard: &dyn Guard, serial: u64, _mark: &str) -> Result<(), StateError> {
        self.past.lock().unwrap().retain(|(at, _)| *at != serial);
        Ok(())
    }

    async fn history(&self) -> Result<Vec<u64>, StateError> {
        Ok(self.past.lock().unwrap().iter().map(|(serial, _)| *serial).collect())
    }

    async fn historic(&self, serial: u64) -> Result<(Vec<u8>, Vec<u8>), StateError> {
        let past = self.past.lock().unwrap();
        let (_, (base, journal)) = past.iter().find(|(at, _)| *at == serial).expect("it is in the history");
        Ok((base.clone().unwrap_or_default(), journal.clone()))
    }

    async fn lock(&self, holder: Holder) -> Result<Box<dyn Guard>, StateError> {
        Ok(Box::new(Free(holder)))
    }

    async fn standing(&self) -> Result<Option<Standing>, StateError> {
        Ok(None)
    }

    async fn unlock(&self, _holder: &Holder) -> Result<(), StateError> {
        Ok(())
    }
}
