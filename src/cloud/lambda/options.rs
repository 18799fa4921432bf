//! What can be set about the embedded Lambda, with the defaults of a laptop.

use std::time::Duration;

/// Delays before the second and the third try of a failed asynchronous event on AWS.
/// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-retries.html>
pub const AWS_RETRY_DELAYS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(120)];
/// The same delays here: who develops does not wait for minutes.
pub const RETRY_DELAYS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];
/// How long an environment stays warm without an invocation.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Concurrent invocations for each core.
pub const CONCURRENCY_PER_CORE: usize = 2;
/// Concurrent invocations at least.
pub const CONCURRENCY_MIN: usize = 4;
/// How long the credentials of an environment are good. It is retired long before.
pub const CREDENTIALS_TTL: Duration = Duration::from_secs(6 * 60 * 60);

/// What can be set.
#[derive(Debug, Clone)]
pub struct Options {
    /// `AWS_ENDPOINT_URL` of the functions: this cloud's own port.
    pub endpoint_url: String,
    /// Invocations at one time, of all functions together. A further synchronous one is refused with 429, an
    /// asynchronous one waits.
    pub concurrency: usize,
    /// How long an environment stays warm without an invocation.
    pub idle_timeout: Duration,
    /// How long the initialisation of an environment may take before it is tried once more, as part of the
    /// invocation.
    pub init_timeout: Duration,
    /// Delays before the retries of a failed asynchronous event; [`AWS_RETRY_DELAYS`] on AWS.
    pub retry_delays: [Duration; 2],
    /// How long the credentials of an environment are good.
    pub credentials_ttl: Duration,
}

impl Options {
    /// The defaults for a cloud at `endpoint_url`.
    pub fn new(endpoint_url: impl Into<String>) -> Options {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Options {
            endpoint_url: endpoint_url.into(),
            concurrency: (cores * CONCURRENCY_PER_CORE).max(CONCURRENCY_MIN),
            idle_timeout: IDLE_TIMEOUT,
            init_timeout: Duration::from_secs(10),
            retry_delays: RETRY_DELAYS,
            credentials_ttl: CREDENTIALS_TTL,
        }
    }
}
