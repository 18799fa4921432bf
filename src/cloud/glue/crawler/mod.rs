//! Crawlers: they look at objects, as their role may, and describe them in the catalog.
//! <https://docs.aws.amazon.com/glue/latest/dg/add-crawler.html>
//!
//! | file | what |
//! |---|---|
//! | `api`, `schedule`, `history`, `classifier` | the operations |
//! | `model`, `settings` | what is kept of a crawler, and its `Configuration` |
//! | `state` | READY → RUNNING → STOPPING → READY, with the events |
//! | `crawl` | one crawl from its first listing to its last line |
//! | `classify/`, `folders`, `names`, `glob` | what objects are, which tables they make, what those are called |
//! | `describe`, `catalog` | how tables and partitions are written |
//! | `rights`, `log`, `cache`, `seams` | what a crawl works with |
//!
//! A crawl is a task of this process. One that is under way when the cloud ends is found at the next start and ends
//! as FAILED.

pub(super) mod api;
mod cache;
mod catalog;
pub(super) mod classifier;
mod classify;
mod crawl;
mod describe;
mod folders;
mod glob;
pub(super) mod history;
mod log;
mod model;
mod names;
mod rights;
pub(super) mod schedule;
pub(super) mod seams;
mod settings;
mod state;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Empty, Scope, not_found};
use crate::cloud::{
    delivery::Exchange,
    error::ApiError,
    logs::LogSink,
    store::{Store, Transaction},
};
use crawl::Assignment;
use log::Log;
use model::Outcome;
pub(super) use model::role_arn;
use rights::{Failure, Rights};
use seams::ObjectSource;

/// Who assumes a crawler's role.
pub(super) const PRINCIPAL: &str = "glue.amazonaws.com";
/// AWS's sentence for a role that Glue cannot assume.
const CANNOT_ASSUME: &str = "Service is unable to assume provided role. Please verify role's TrustPolicy.";
/// AWS's words for what is not the caller's doing.
const INTERNAL_FAILURE: &str = "Internal Service Exception";
/// How long a crawler rests between two crawls: one that is started earlier is RUNNING at once and looks at the objects
/// when this is over. AWS's crawlers take a minute to get going, so that whoever crawls again after each crawl of a
/// burst has few of them; without a rest, crawls of milliseconds would make it hundreds.
const REST: Duration = Duration::from_millis(500);
/// Crawls at work at the same time; more of them are RUNNING and wait.
const CRAWLS: usize = 4;

/// The crawlers of a cloud.
pub(super) struct Crawlers {
    store: Arc<Store>,
    exchange: Arc<Exchange>,
    sink: LogSink,
    objects: Arc<dyn ObjectSource>,
    cache: cache::Cache,
    places: Semaphore,
    /// What ends each crawl before its time, by its id.
    running: Mutex<HashMap<String, CancellationToken>>,
    stop: CancellationToken,
}

impl Crawlers {
    /// Ends what an earlier cloud has left under way.
    pub(super) fn start(
        store: Arc<Store>,
        exchange: Arc<Exchange>,
        sink: LogSink,
        objects: Arc<dyn ObjectSource>,
    ) -> Arc<Crawlers> {
        match store.write(|tx| state::recover(tx, &exchange)) {
            Ok(ended) if ended.is_empty() => {}
            Ok(ended) => {
                tracing::warn!(crawls = ended.len(), "crawls that an earlier cloud left under way have failed");
                exchange.wake();
            }
            Err(error) => tracing::error!(%error, "crawls that an earlier cloud left under way stay as they are"),
        }
        Arc::new(Crawlers {
            store,
            exchange,
            sink,
            objects,
            cache: cache::Cache::default(),
            places: Semaphore::new(CRAWLS),
            running: Mutex::default(),
            stop: CancellationToken::new(),
        })
    }

    /// Ends all crawls where they are; the next start finds them.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Starts a crawl. <https://docs.aws.amazon.com/glue/latest/webapi/API_StartCrawler.html>
    pub(super) async fn start_crawler(
        self: &Arc<Self>,
        scope: Scope,
        input: api::NamedCrawler,
    ) -> Result<Empty, ApiError> {
        let (region, crawler) = (scope.region.clone(), input.name.clone());
        let exchange = Arc::clone(&self.exchange);
        let id = self.store.commit(move |tx| state::start(tx, &scope, &exchange, &input.name)).await?;
        self.exchange.wake();
        let ending = self.stop.child_token();
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), ending.clone());
        tokio::spawn(Arc::clone(self).run(Assignment { region, crawler, id }, ending));
        Ok(Empty {})
    }

    /// Stops a crawl. <https://docs.aws.amazon.com/glue/latest/webapi/API_StopCrawler.html>
    pub(super) async fn stop_crawler(&self, scope: Scope, input: api::NamedCrawler) -> Result<Empty, ApiError> {
        let id = self.store.commit(move |tx| state::stop(tx, &scope, &input.name)).await?;
        if let Some(ending) = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            ending.cancel();
        }
        Ok(Empty {})
    }

    /// A crawl from its start until the crawler is ready again.
    async fn run(self: Arc<Self>, assignment: Assignment, ending: CancellationToken) {
        let crawling = tokio::spawn(Arc::clone(&self).crawl(assignment.clone()));
        let abort = crawling.abort_handle();
        let (outcome, log) = tokio::select! {
            ended = crawling => ended.unwrap_or_else(|panic| {
                tracing::error!(%panic, crawler = assignment.crawler, "a crawl panicked");
                (Outcome::Failed(INTERNAL_FAILURE.to_owned()), None)
            }),
            () = ending.cancelled() => {
                abort.abort();
                (Outcome::Cancelled, None)
            }
        };
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&assignment.id);
        if !self.stop.is_cancelled()
            && let Err(error) = self.finish(&assignment, outcome, log).await
        {
            tracing::error!(%error, crawler = assignment.crawler, "a crawl's end could not be written");
        }
    }

    async fn crawl(self: Arc<Self>, assignment: Assignment) -> (Outcome, Option<Log>) {
        if let Some(rest) = self.rest(&assignment) {
            tokio::time::sleep(rest).await;
        }
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        let work = match Arc::clone(&self).work(assignment).await {
            Ok(work) => work,
            Err(failure) => return (failure.into(), None),
        };
        let ended = work.crawl().await;
        let log = work.into_log();
        if let Err(Failure::Told(message)) = &ended {
            log.error(message).await;
        }
        // What it has done is in the store already.
        let outcome = ended.map_or_else(Outcome::from, |()| Outcome::Succeeded(Box::default()));
        (outcome, Some(log))
    }

    /// What is left of the crawler's rest.
    fn rest(&self, assignment: &Assignment) -> Option<Duration> {
        let crawler = self.store.read(|tx| state::existing(tx, &assignment.scope(""), &assignment.crawler)).ok()?;
        let since = u64::try_from(log::now() - crawler.last?.ended).ok()?;
        REST.checked_sub(Duration::from_millis(since))
    }

    async fn finish(&self, assignment: &Assignment, outcome: Outcome, log: Option<Log>) -> Result<(), ApiError> {
        let scope = assignment.scope("");
        let (exchange, name, id) = (Arc::clone(&self.exchange), assignment.crawler.clone(), assignment.id.clone());
        let ended = self.store.commit(move |tx| {
            let role = state::existing(tx, &scope, &name)?.definition.role;
            state::finish(tx, &scope, &exchange, &name, &id, outcome)?;
            Ok::<_, ApiError>(role)
        });
        let role = ended.await?;
        self.exchange.wake();
        let Assignment { region, crawler, id } = assignment;
        let log = match log {
            Some(log) => log,
            None => {
                let access = Rights::of(&role).log_access(&self.store, region, crawler).await?;
                Log::new(&self.sink, region, crawler, id, access)
            }
        };
        log.benchmark("Crawler has finished running and is in state READY").await;
        Ok(())
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Outcome {
        match failure {
            Failure::Told(message) => Outcome::Failed(message),
            Failure::Stopped => Outcome::Cancelled,
        }
    }
}

/// The name that a crawler is kept under, if it is there: for tags.
pub(super) fn check_exists(tx: &impl Transaction, scope: &Scope, name: &str) -> Result<(), ApiError> {
    state::existing(tx, scope, name).map(drop)
}

#[cfg(test)]
pub(super) mod tests;
