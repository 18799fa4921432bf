//! The time that rules are fired and deliveries retried by.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

/// Longest sleep without a look at the wall clock, which may be set, or stand still with the machine.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// A clock; tests have one of their own.
#[async_trait]
pub(super) trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;

    /// Returns when `now` has reached `time`.
    async fn sleep_until(&self, time: Timestamp);

    /// Milliseconds since 1970, as keys and records carry them.
    fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }
}

/// The system's clock.
pub(super) struct System;

#[async_trait]
impl Clock for System {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep_until(&self, time: Timestamp) {
        while let Ok(left) = Duration::try_from(time.duration_since(self.now())) {
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LONGEST_SLEEP)).await;
        }
    }
}
