//! The object `lock`: who has the state, and that it still lives.
//!
//! It is written with `If-None-Match` the first time and with `If-Match` ever after, and never deleted: a lock that is
//! given back is a free lock with its last holder's fencing number, so that the numbers rise over all holders. A holder
//! says every [`HEARTBEAT`](super::HEARTBEAT) that it lives, by writing the object again on the etag of its last
//! write; one whose object is older than [`TTL`](super::TTL) has ended. Both times are the service's own: the local
//! clock is not asked.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    S3, Timing,
    objects::{Condition, Object, Objects, Put},
};
use crate::state::store::{Guard, Holder, Life, Replaced, Standing, StateError};

/// The lock.
const LOCK: &str = "lock";
/// Tries for a lock that others keep changing.
const TRIES_MAX: u32 = 10;
/// Longest time for giving a lock back. What is not given back by then is found stale.
const RELEASE_MAX: Duration = Duration::from_secs(15);

/// What the object says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Text {
    /// Somebody has it.
    Held(Holder),
    /// Nobody has it.
    Free {
        /// The last holder's fencing number.
        fence: u64,
        /// The last holder.
        by: Uuid,
        /// Whether all that the last holder wrote had been answered.
        clean: bool,
    },
}

impl Text {
    fn fence(&self) -> u64 {
        match self {
            Text::Held(holder) => holder.fence,
            Text::Free { fence, .. } => *fence,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a lock is plain data")
    }
}

/// The lock as it is now.
#[derive(Debug)]
struct Present {
    text: Text,
    object: Object,
}

impl Present {
    /// Whether its holder lives.
    fn life(&self, holder: &Holder, ttl: Duration) -> Life {
        if holder.has_ended() {
            return Life::Ended(format!("process {} of this machine is gone", holder.pid));
        }
        match self.object.age() {
            Some(age) if age >= ttl => Life::Ended(format!("it was last heard of {} s ago", age.as_secs())),
            Some(age) => Life::Lives(format!("it was last heard of {} s ago", age.as_secs())),
            None => Life::Lives("the service does not tell when it was last heard of".to_owned()),
        }
    }

    /// The holder, with when it was last heard of by the service's clock.
    fn holder(&self) -> Option<Holder> {
        match &self.text {
            Text::Held(holder) => Some(Holder { heartbeat: self.object.modified, ..holder.clone() }),
            Text::Free { .. } => None,
        }
    }
}

/// A lock that this process holds, as its heartbeat knows it.
#[derive(Debug)]
pub(super) struct Lease {
    objects: Objects,
    pub(super) holder: Holder,
    etag: Mutex<String>,
    /// Somebody else has it by now.
    pub(super) lost: AtomicBool,
    /// A write of state may still be under way.
    pub(super) doubtful: AtomicBool,
    stop: CancellationToken,
}

/// [`Lease`], with what was found when it was taken.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) lease: Arc<Lease>,
    /// The last holder may still be writing.
    pub(super) has_to_fence: bool,
    replaced: Option<Replaced>,
}

impl S3 {
    async fn present(&self) -> Result<Option<Present>, StateError> {
        present(&self.objects).await
    }

    /// Takes the lock, if nobody has it who lives.
    pub(super) async fn acquire(&self, mut holder: Holder) -> Result<Held, StateError> {
        let mut seen = None;
        for _ in 0..TRIES_MAX {
            let there = self.present().await?;
            let mut replaced = None;
            if let Some(there) = &there
                && let Some(present) = there.holder()
                && present.id != holder.id
            {
                match there.life(&present, self.timing.ttl) {
                    Life::Lives(_) => return Err(StateError::Locked(Box::new(present))),
                    Life::Ended(why) => replaced = Some(Replaced { holder: present.clone(), why }),
                }
                seen = Some(present);
            }
            let has_to_fence = !matches!(there.as_ref().map(|it| &it.text), Some(Text::Free { clean: true, .. }));
            holder.fence = there.as_ref().map_or(0, |there| there.text.fence()) + 1;
            let condition = there.as_ref().map_or(Condition::Absent, |there| Condition::Is(&there.object.etag));
            let text = Text::Held(holder.clone()).bytes();
            if let Put::Written(etag) = self.objects.put(LOCK, text, condition, holder.id).await? {
                let lease = Arc::new(Lease::new(self.objects.clone(), holder, etag));
                tokio::spawn(Arc::clone(&lease).beat(self.timing));
                return Ok(Held { lease, has_to_fence, replaced });
            }
        }
        Err(match seen {
            Some(holder) => StateError::Locked(Box::new(holder)),
            None => self.objects.failed("others take its lock and give it back all the time"),
        })
    }

    /// Who has the lock.
    pub(super) async fn standing_of_lock(&self) -> Result<Option<Standing>, StateError> {
        let Some(there) = self.present().await? else { return Ok(None) };
        let standing = |holder: Holder| Standing { life: there.life(&holder, self.timing.ttl), holder };
        Ok(there.holder().map(standing))
    }

    /// Takes the lock from `holder`; whether that one had it.
    pub(super) async fn take_from(&self, holder: &Holder) -> Result<bool, StateError> {
        let by = Uuid::new_v4();
        for _ in 0..TRIES_MAX {
            let Some(there) = self.present().await? else { return Ok(false) };
            if there.holder().is_none_or(|present| present.id != holder.id) {
                return Ok(false);
            }
            let text = Text::Free { fence: there.text.fence(), by, clean: false }.bytes();
            let condition = Condition::Is(&there.object.etag);
            if self.objects.put(LOCK, text, condition, by).await? != Put::Refused {
                return Ok(true);
            }
            // Its heartbeat came in between.
        }
        Err(self.objects.failed("the lock changes all the time"))
    }
}

async fn present(objects: &Objects) -> Result<Option<Present>, StateError> {
    let Some(object) = objects.get(LOCK).await? else { return Ok(None) };
    let text = serde_json::from_slice(&object.body);
    let text = text.map_err(|error| {
        let place = objects.url(LOCK);
        objects.failed(format!("{place} is no lock of lake: {error}; delete it when nobody works on the stack"))
    })?;
    Ok(Some(Present { text, object }))
}

impl Lease {
    fn new(objects: Objects, holder: Holder, etag: String) -> Self {
        Lease {
            objects,
            holder,
            etag: Mutex::new(etag),
            lost: AtomicBool::new(false),
            doubtful: AtomicBool::new(false),
            stop: CancellationToken::new(),
        }
    }

    fn etag(&self) -> String {
        self.etag.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_etag(&self, etag: String) {
        *self.etag.lock().unwrap_or_else(PoisonError::into_inner) = etag;
    }

    /// Says again and again that the holder lives, until it is stopped or somebody else has the lock.
    async fn beat(self: Arc<Self>, timing: Timing) {
        let mut pause = timing.heartbeat;
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let said = tokio::select! {
                () = self.stop.cancelled() => return,
                said = self.say(Text::Held(Holder {
                    heartbeat: Some(jiff::Timestamp::now()),
                    ..self.holder.clone()
                })) => said,
            };
            pause = match said {
                Ok(true) => timing.heartbeat,
                Ok(false) => {
                    self.lost.store(true, Ordering::SeqCst);
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "the holder of the lock could not say that it lives");
                    timing.heartbeat / 4
                }
            };
        }
    }

    /// Writes the lock as its holder; whether it is still its holder's.
    async fn say(&self, text: Text) -> Result<bool, StateError> {
        let bytes = text.bytes();
        for _ in 0..TRIES_MAX {
            let etag = self.etag();
            match self.objects.put(LOCK, bytes.clone(), Condition::Is(&etag), self.holder.id).await? {
                Put::Written(etag) => {
                    self.set_etag(etag);
                    return Ok(true);
                }
                Put::Refused => {}
            }
            // An earlier write of ours whose answer never came may have taken effect since.
            match present(&self.objects).await? {
                Some(there) if there.text == text => return Ok(true),
                Some(there) if there.holder().is_some_and(|holder| holder.id == self.holder.id) => {
                    self.set_etag(there.object.etag);
                }
                _ => return Ok(false),
            }
        }
        Err(self.objects.failed("the lock changes all the time"))
    }

    fn fenced(&self) -> StateError {
        StateError::Fenced { place: self.objects.url("") }
    }

    /// Fails unless the lock is still its holder's.
    pub(super) async fn confirm(&self) -> Result<(), StateError> {
        let there = present(&self.objects).await?.and_then(|there| there.holder());
        match there.is_some_and(|holder| holder.id == self.holder.id) {
            true => Ok(()),
            false => Err(self.fenced()),
        }
    }

    async fn give_back(&self, clean: bool) -> Result<(), StateError> {
        self.stop.cancel();
        if self.lost.swap(true, Ordering::SeqCst) {
            // It was lost, or given back before.
            return Ok(());
        }
        let clean = clean && !self.doubtful.load(Ordering::SeqCst);
        let text = Text::Free { fence: self.holder.fence, by: self.holder.id, clean };
        match tokio::time::timeout(RELEASE_MAX, self.say(text)).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(self.fenced()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.objects.failed("it did not take the lock back in time")),
        }
    }
}

#[async_trait]
impl Guard for Held {
    fn holder(&self) -> &Holder {
        &self.lease.holder
    }

    fn check(&self) -> Result<(), StateError> {
        match self.lease.lost.load(Ordering::SeqCst) {
            true => Err(self.lease.fenced()),
            false => Ok(()),
        }
    }

    async fn release(&self) -> Result<(), StateError> {
        self.lease.give_back(true).await
    }

    async fn abandon(&self) -> Result<(), StateError> {
        self.lease.give_back(false).await
    }

    fn outlives(&self) -> bool {
        true
    }

    fn replaced(&self) -> Option<&Replaced> {
        self.replaced.as_ref()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Nobody speaks for a holder that is gone.
        self.lease.stop.cancel();
    }
}
