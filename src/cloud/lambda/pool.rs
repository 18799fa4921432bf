//! Execution environments of all functions: reused while warm, started when none is free, within one limit.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    environment::{Environment, Host, Invocation, Outcome},
    metrics,
    model::{FUNCTIONS, Function},
};
use crate::cloud::{
    error::ApiError,
    store::{Store, StoreError},
};

/// How often idle environments are looked through, as a part of the idle timeout.
const LOOKS_PER_TIMEOUT: u32 = 4;
/// How long stopping waits for invocations that are being killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The environments.
pub(super) struct Pool {
    pub(super) host: Host,
    store: Arc<Store>,
    permits: Arc<Semaphore>,
    idle: Mutex<HashMap<String, Vec<Idle>>>,
    /// How many invocations of each function run.
    running: Mutex<HashMap<String, usize>>,
}

struct Idle {
    environment: Environment,
    since: Instant,
}

/// The right to one running invocation.
pub(super) struct Permit(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Pool {
    pub(super) fn new(host: Host, store: Arc<Store>) -> Arc<Pool> {
        let permits = Arc::new(Semaphore::new(host.options.concurrency));
        Arc::new(Pool { host, store, permits, idle: Mutex::default(), running: Mutex::default() })
    }

    /// A permit now, or AWS's refusal.
    pub(super) fn try_permit(&self) -> Result<Permit, ApiError> {
        if self.host.stop.is_cancelled() {
            return Err(stopping());
        }
        Arc::clone(&self.permits).try_acquire_owned().map(Permit).map_err(|_| {
            ApiError::with_status(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", "Rate Exceeded.")
        })
    }

    /// A permit as soon as one is free.
    pub(super) async fn permit(&self) -> Result<Permit, ApiError> {
        Arc::clone(&self.permits).acquire_owned().await.map(Permit).map_err(|_| stopping())
    }

    /// Drives an event through a warm environment or a new one. Goes on to its end when the caller goes away.
    pub(super) async fn run(
        self: &Arc<Self>,
        permit: Permit,
        function: Function,
        invocation: Invocation,
    ) -> Result<Outcome, ApiError> {
        let pool = Arc::clone(self);
        let run = tokio::spawn(async move {
            let arn = function.arn();
            pool.begin(&arn);
            let outcome = pool.run_here(Arc::new(function), invocation).await;
            pool.finish(&arn);
            drop(permit);
            outcome
        });
        run.await.map_err(ApiError::internal)?
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, arn: &str) {
        let (of_function, of_all) = {
            let mut running = self.running();
            *running.entry(arn.to_owned()).or_default() += 1;
            (running[arn], running.values().sum())
        };
        metrics::running(&self.host.meter, arn, of_function, of_all);
    }

    fn finish(&self, arn: &str) {
        let mut running = self.running();
        if let Some(count) = running.get_mut(arn) {
            *count -= 1;
            if *count == 0 {
                running.remove(arn);
            }
        }
    }

    async fn run_here(&self, function: Arc<Function>, invocation: Invocation) -> Result<Outcome, ApiError> {
        let (outcome, environment) = match self.take(&function) {
            Some(environment) => environment.invoke(&self.host, invocation).await,
            None => {
                self.make_room();
                Environment::first(&self.host, &function, invocation).await?
            }
        };
        match environment {
            Some(environment) => self.keep(environment).await,
            None => self.forget(&function).await,
        }
        Ok(outcome)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Idle>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The warm environment used last; those that can serve no more end.
    fn take(&self, function: &Function) -> Option<Environment> {
        let mut idle = self.lock();
        let warm = idle.get_mut(&function.arn())?;
        while let Some(Idle { mut environment, .. }) = warm.pop() {
            if environment.serves(function) {
                return Some(environment);
            }
        }
        None
    }

    async fn keep(&self, mut environment: Environment) {
        let arn = environment.function.arn();
        let current = self.store.read(|tx| FUNCTIONS.get(tx, &arn));
        match current {
            Ok(Some(current)) if environment.serves(&current) && !self.host.stop.is_cancelled() => {
                self.lock().entry(arn).or_default().push(Idle { environment, since: Instant::now() });
            }
            Ok(_) => {
                let function = Arc::clone(&environment.function);
                environment.end().await;
                self.forget(&function).await;
            }
            Err(error) => tracing::error!(%error, function = arn, "an environment is given up"),
        }
    }

    /// The last environment of an old package takes the package along.
    async fn forget(&self, function: &Function) {
        let current = self.store.read(|tx| FUNCTIONS.get(tx, &function.arn()));
        let used = matches!(&current, Ok(Some(current)) if current.code == function.code);
        if !used {
            self.host.packages.collect(&self.store).await;
        }
    }

    /// Ends the environment idle for longest when as many live as may run at once.
    fn make_room(&self) {
        let mut idle = self.lock();
        let running =
            self.host.options.concurrency - self.permits.available_permits().min(self.host.options.concurrency);
        let waiting: usize = idle.values().map(Vec::len).sum();
        if running + waiting <= self.host.options.concurrency {
            return;
        }
        let oldest = idle
            .iter()
            .filter_map(|(arn, warm)| warm.first().map(|first| (first.since, arn.clone())))
            .min_by_key(|(since, _)| *since);
        if let Some((_, arn)) = oldest
            && let Some(warm) = idle.get_mut(&arn)
        {
            drop(warm.remove(0));
        }
    }

    /// Ends the warm environments of a function that has changed or is gone, and writes their last lines.
    pub(super) async fn retire(&self, arn: &str) {
        let warm = self.lock().remove(arn).unwrap_or_default();
        for Idle { environment, .. } in warm {
            environment.end().await;
        }
        self.host.sink.flush().await;
        self.host.packages.collect(&self.store).await;
    }

    /// Ends environments that have been idle too long, until the cloud stops.
    pub(super) async fn reap(self: Arc<Self>) {
        let mut tick = tokio::time::interval(self.host.options.idle_timeout / LOOKS_PER_TIMEOUT);
        while self.host.stop.run_until_cancelled(tick.tick()).await.is_some() {
            let mut spent = Vec::new();
            self.lock().retain(|_, warm| {
                let timeout = self.host.options.idle_timeout;
                spent.extend(warm.extract_if(.., |idle| idle.since.elapsed() > timeout));
                !warm.is_empty()
            });
            for Idle { environment, .. } in spent {
                environment.end().await;
            }
        }
    }

    /// Kills everything and waits for it, with all lines written.
    pub(super) async fn stop(&self) {
        self.host.stop.cancel();
        let all = u32::try_from(self.host.options.concurrency).unwrap_or(u32::MAX);
        match tokio::time::timeout(STOP_TIMEOUT, self.permits.acquire_many(all)).await {
            Ok(_) => {}
            Err(_) => tracing::warn!("invocations did not end in time; they are given up"),
        }
        self.permits.close();
        let idle: Vec<Idle> = self.lock().drain().flat_map(|(_, warm)| warm).collect();
        for Idle { environment, .. } in idle {
            environment.end().await;
        }
        self.host.sink.flush().await;
    }

    /// Reads the function that `arn` names now.
    pub(super) fn function(&self, arn: &str) -> Result<Option<Function>, StoreError> {
        self.store.read(|tx| FUNCTIONS.get(tx, arn))
    }
}

fn stopping() -> ApiError {
    ApiError::with_status(StatusCode::SERVICE_UNAVAILABLE, "ServiceException", "the embedded cloud is stopping")
}
