//! Which failures are worth the same call again, and when. Nothing else in the engine waits for the cloud.
//!
//! What is not visible yet is asked for soon and often, for as long as the slowest thing takes. A service that asks for
//! fewer calls is asked seldom and at random: the SDK does so too, but its clients share a quota of retries, which can
//! run dry when many steps are throttled at once
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html>).

use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::{ErrorKind, ProviderError};

/// First pause before trying again what is not visible yet. It doubles up to [`NOT_YET_PAUSE_MAX`].
const NOT_YET_PAUSE_FIRST: Duration = Duration::from_millis(250);
/// Longest pause between two such tries.
const NOT_YET_PAUSE_MAX: Duration = Duration::from_secs(2);
/// What is not visible after so long counts as missing. The longest that is documented is the minute for which SQS keeps
/// the name of a queue that was deleted
/// (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html>); roles take up to ten
/// seconds, rarely more (<https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html>).
const NOT_YET_MAX: Duration = Duration::from_secs(90);

/// Longest first pause after a call that was throttled. It doubles up to [`THROTTLED_PAUSE_MAX`]; each pause is a random
/// part of that, down to none: so callers that were throttled together do not come back together
/// (<https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>, full jitter).
const THROTTLED_PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Longest pause between two such tries.
const THROTTLED_PAUSE_MAX: Duration = Duration::from_secs(20);
/// Tries of a call that is throttled, besides the first, each of which the SDK has tried several times.
const THROTTLED_RETRIES_MAX: u32 = 6;

/// How time passes, and chance. Tests have a clock of their own, on which pauses take no time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Time since a moment that stays the same.
    fn now(&self) -> Duration;
    /// Returns when so much time has passed.
    async fn sleep(&self, pause: Duration);
    /// A random part of `whole`.
    fn part(&self, whole: Duration) -> Duration;
}

/// The clock of whoever is not a test.
struct RealClock(Instant);

#[async_trait]
impl Clock for RealClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
    }

    fn part(&self, whole: Duration) -> Duration {
        // The lower half of a random UUID holds 62 random bits.
        let chance = uuid::Uuid::new_v4().as_u64_pair().1;
        let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(chance % (millis + 1))
    }
}

/// Tries calls again that are worth it.
pub struct Patience {
    clock: Box<dyn Clock>,
}

impl Default for Patience {
    fn default() -> Self {
        Patience::on(RealClock(Instant::now()))
    }
}

impl Patience {
    /// Patience by this clock.
    pub fn on(clock: impl Clock + 'static) -> Self {
        Patience { clock: Box::new(clock) }
    }

    /// Calls until what it needs is visible and the service takes it, as long as that may be. `waiting` is told before
    /// each pause why. Once cancelled, nothing is waited for.
    pub async fn call<R, F: Future<Output = Result<R, ProviderError>>>(
        &self,
        call: impl Fn() -> F,
        cancel: &CancellationToken,
        waiting: impl Fn(&ProviderError),
    ) -> Result<R, ProviderError> {
        let mut pauses = Pauses::default();
        loop {
            let error = match call().await {
                Err(error) if !cancel.is_cancelled() => error,
                result => return result,
            };
            let Some(pause) = pauses.before_next(error.kind, &*self.clock) else { return Err(error) };
            waiting(&error);
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(error),
                () = self.clock.sleep(pause) => {}
            }
        }
    }

    /// The same for who is never cancelled, and tells nobody.
    pub async fn call_to_the_end<R, F: Future<Output = Result<R, ProviderError>>>(
        &self,
        call: impl Fn() -> F,
    ) -> Result<R, ProviderError> {
        let told = |error: &ProviderError| tracing::info!(%error, "tried again");
        self.call(call, &CancellationToken::new(), told).await
    }
}

/// What has been waited for during one call.
#[derive(Debug, Default)]
struct Pauses {
    /// When it was not yet for the first time.
    not_yet_since: Option<Duration>,
    not_yet: u32,
    throttled: u32,
}

impl Pauses {
    /// How long to wait before the next try; `None`: no more tries.
    fn before_next(&mut self, kind: ErrorKind, clock: &dyn Clock) -> Option<Duration> {
        match kind {
            ErrorKind::NotYet => {
                let now = clock.now();
                let elapsed = now.saturating_sub(*self.not_yet_since.get_or_insert(now));
                let left = NOT_YET_MAX.checked_sub(elapsed).filter(|left| !left.is_zero())?;
                let pause = doubled(NOT_YET_PAUSE_FIRST, self.not_yet, NOT_YET_PAUSE_MAX);
                self.not_yet += 1;
                Some(pause.min(left))
            }
            ErrorKind::Throttled if self.throttled < THROTTLED_RETRIES_MAX => {
                let most = doubled(THROTTLED_PAUSE_FIRST, self.throttled, THROTTLED_PAUSE_MAX);
                self.throttled += 1;
                Some(clock.part(most))
            }
            _ => None,
        }
    }
}

fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    first.saturating_mul(2_u32.saturating_pow(times)).min(most)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;
    use crate::provider::fake::TestClock;

    /// What came of a call that fails so until its `works`-th try: its result, its tries, and the pauses between.
    async fn tried(
        fails: impl Fn(u32) -> ErrorKind,
        works: Option<u32>,
    ) -> (Result<u32, ErrorKind>, u32, Vec<Duration>) {
        let clock = Arc::new(TestClock::default());
        let tries = AtomicU32::new(0);
        let moments = Mutex::new(Vec::new());
        let call = || async {
            let now = tries.fetch_add(1, Ordering::Relaxed) + 1;
            moments.lock().unwrap().push(clock.now());
            match works {
                Some(works) if works == now => Ok(now),
                _ => Err(ProviderError::new(fails(now), "test", "no")),
            }
        };
        let result = Patience::on(Arc::clone(&clock)).call_to_the_end(call).await;
        let moments = moments.lock().unwrap();
        let pauses = moments.windows(2).map(|two| two[1] - two[0]).collect();
        (result.map_err(|error| error.kind), tries.load(Ordering::Relaxed), pauses)
    }

    fn seconds(of: &[f64]) -> Vec<Duration> {
        of.iter().copied().map(Duration::from_secs_f64).collect()
    }

    #[tokio::test]
    async fn what_is_not_visible_yet_is_tried_soon_and_often() {
        let (result, _, pauses) = tried(|_| ErrorKind::NotYet, Some(7)).await;
        assert_eq!(result, Ok(7));
        assert_eq!(pauses, seconds(&[0.25, 0.5, 1.0, 2.0, 2.0, 2.0]));
    }

    #[tokio::test]
    async fn what_stays_invisible_is_given_up_by_the_clock_after_longer_than_a_queues_name_is_kept() {
        const NAME_KEPT: Duration = Duration::from_secs(60);
        let (result, _, pauses) = tried(|_| ErrorKind::NotYet, None).await;
        assert_eq!(result, Err(ErrorKind::NotYet));
        let waited: Duration = pauses.iter().sum();
        assert_eq!(waited, NOT_YET_MAX, "the last try is at the end of it");
        assert!(waited > NAME_KEPT);
    }

    #[tokio::test]
    async fn calls_that_take_long_themselves_count() {
        const CALL: Duration = Duration::from_secs(40);
        let clock = Arc::new(TestClock::default());
        let tries = AtomicU32::new(0);
        let call = || async {
            tries.fetch_add(1, Ordering::Relaxed);
            clock.sleep(CALL).await;
            Err::<(), _>(ProviderError::new(ErrorKind::NotYet, "test", "no"))
        };
        Patience::on(Arc::clone(&clock)).call_to_the_end(call).await.unwrap_err();
        assert_eq!(tries.load(Ordering::Relaxed), 4, "the others answer 40, 81 and 122 s after the first");
    }

    #[tokio::test]
    async fn what_is_throttled_is_tried_seldom_and_at_random() {
        // The clock of the tests takes the whole for a part of it.
        let (result, tries, pauses) = tried(|_| ErrorKind::Throttled, None).await;
        assert_eq!((result, tries), (Err(ErrorKind::Throttled), THROTTLED_RETRIES_MAX + 1));
        assert_eq!(pauses, seconds(&[1.0, 2.0, 4.0, 8.0, 16.0, 20.0]));
        let real = RealClock(Instant::now());
        let parts: Vec<Duration> = (0..1000).map(|_| real.part(THROTTLED_PAUSE_MAX)).collect();
        assert!(parts.iter().all(|part| *part <= THROTTLED_PAUSE_MAX));
        for quarter in 0..4 {
            let from = THROTTLED_PAUSE_MAX / 4 * quarter;
            assert!(parts.iter().any(|part| (from..=from + THROTTLED_PAUSE_MAX / 4).contains(part)), "{quarter}");
        }
    }

    #[tokio::test]
    async fn what_is_throttled_uses_up_nothing_of_the_patience_with_what_is_not_visible() {
        let alternating = |now| if now % 2 == 0 { ErrorKind::NotYet } else { ErrorKind::Throttled };
        let (result, _, pauses) = tried(alternating, Some(7)).await;
        assert_eq!(result, Ok(7));
        assert_eq!(pauses, seconds(&[1.0, 0.25, 2.0, 0.5, 4.0, 1.0]));
    }

    #[tokio::test]
    async fn every_other_failure_is_the_answer() {
        use ErrorKind::{AlreadyExists, Denied, Invalid, NotFound, Unreachable};
        for kind in [AlreadyExists, Denied, Invalid, NotFound, Unreachable] {
            let (result, tries, _) = tried(|_| kind, None).await;
            assert_eq!((result, tries), (Err(kind), 1));
        }
    }

    #[tokio::test]
    async fn who_cancels_does_not_wait() {
        /// On which no pause ends.
        struct Stopped;
        #[async_trait]
        impl Clock for Stopped {
            fn now(&self) -> Duration {
                Duration::ZERO
            }
            async fn sleep(&self, _: Duration) {
                std::future::pending::<()>().await;
            }
            fn part(&self, whole: Duration) -> Duration {
                whole
            }
        }
        for kind in [ErrorKind::NotYet, ErrorKind::Throttled] {
            let failing = || async move { Err::<(), _>(ProviderError::new(kind, "test", "no")) };
            let (patience, cancel) = (Patience::on(Stopped), CancellationToken::new());
            let during = patience.call(failing, &cancel, |_| cancel.cancel()).await;
            assert_eq!(during.unwrap_err().kind, kind);
            let told = AtomicU32::new(0);
            let waiting = |_: &ProviderError| {
                told.fetch_add(1, Ordering::Relaxed);
            };
            assert_eq!(patience.call(failing, &cancel, waiting).await.unwrap_err().kind, kind);
            assert_eq!(told.load(Ordering::Relaxed), 0);
        }
    }
}
