//! A crawler, the events of its crawls, and the event bus.

use std::collections::{BTreeMap, VecDeque};

use futures::executor::block_on;
use jiff::SignedDuration;

use super::{DATASET, Inner, Process, World};
use crate::pipeline::{
    convert::ConvertError,
    crawl::{CRAWLS_MAX, CrawlEnd, Heard, heard},
    ledger::{Marker, parse},
    ports::{CloudError, CrawlStatus, Crawler, CrawlerState, Crawlers, Events, LastCrawl, StartedCrawl},
    sweep::{Swept, sweep, sweep_older},
    telling::Telling,
};

pub const CRAWLER: &str = "the-crawler";

/// A crawl, in the order of things that happen in the world.
#[derive(Debug, Clone, Copy)]
pub struct Crawl {
    pub began: u64,
    pub ended: Option<(u64, CrawlStatus)>,
}

pub struct CrawlerSim {
    pub state: CrawlerState,
    pub last: Option<LastCrawl>,
    pub crawls: Vec<Crawl>,
    /// Events that EventBridge has not delivered, each with the request id of the invocation that it becomes.
    pub ends: VecDeque<(String, CrawlEnd)>,
    /// How the crawl under way began and is to end.
    under_way: Option<jiff::Timestamp>,
    /// When each marker was first written, by its id.
    markers: BTreeMap<String, u64>,
    ticks: u64,
}

impl Default for CrawlerSim {
    fn default() -> Self {
        CrawlerSim {
            state: CrawlerState::Ready,
            last: None,
            crawls: Vec::new(),
            ends: VecDeque::new(),
            under_way: None,
            markers: BTreeMap::new(),
            ticks: 0,
        }
    }
}

impl CrawlerSim {
    pub fn is_busy(&self) -> bool {
        self.state != CrawlerState::Ready || !self.ends.is_empty()
    }

    fn tick(&mut self) -> u64 {
        self.ticks += 1;
        self.ticks
    }
}

impl Inner {
    /// The promise that stands while things happen: convert claims a marker only after a crawl that began after the
    /// marker was written has succeeded, or after enough of them have failed.
    pub fn watch_marker(&mut self, key: &str, body: &[u8]) {
        let Some(marker) = key.starts_with("_lake/pending/").then(|| parse::<Marker>(key, body).unwrap()) else {
            return;
        };
        let tick = self.crawler.tick();
        let written = *self.crawler.markers.entry(marker.id.clone()).or_insert(tick);
        let Some(crawl) = marker.crawl.as_ref().filter(|_| marker.claim.is_some()) else { return };
        let since = self.crawler.crawls.iter().filter(|crawl| crawl.began > written);
        let ended = |wanted: bool| {
            since.clone().filter(|it| it.ended.is_some_and(|(_, it)| (it == CrawlStatus::Succeeded) == wanted)).count()
        };
        let (succeeded, failed) = (ended(true), ended(false));
        let handed_over = crawl.handed_over.as_ref();
        match handed_over.map(|it| it.crawl) {
            Some(Some(_)) if succeeded > 0 => {}
            Some(None) if failed >= CRAWLS_MAX as usize => {}
            _ => self.violations.push(format!("{marker:?} is claimed: {succeeded} crawls succeeded, {failed} failed")),
        }
    }
}

impl World {
    pub fn crawls(&self) -> usize {
        self.lock().crawler.crawls.len()
    }

    /// The crawl under way comes to its end: first it stops, then the crawler is ready. `early`: Glue tells of it while
    /// it is still stopping.
    pub fn crawl_step(&self, status: CrawlStatus, early: bool) {
        let mut inner = self.lock();
        let sim = &mut inner.crawler;
        let tell = |sim: &mut CrawlerSim| {
            let failure = match status {
                CrawlStatus::Succeeded => None,
                CrawlStatus::Failed => Some("no access".to_owned()),
                // Glue has no event for this.
                CrawlStatus::Cancelled => return,
            };
            let request = format!("crawl-{}", sim.tick());
            sim.ends.push_back((request, CrawlEnd { crawler: CRAWLER.into(), failure }));
        };
        match sim.state {
            CrawlerState::Ready => {}
            CrawlerState::Running => {
                sim.state = CrawlerState::Stopping;
                if early {
                    tell(sim);
                }
            }
            CrawlerState::Stopping => {
                let tick = sim.tick();
                sim.state = CrawlerState::Ready;
                sim.crawls.last_mut().unwrap().ended = Some((tick, status));
                let message = (status == CrawlStatus::Failed).then(|| "no access".to_owned());
                sim.last = sim.under_way.take().map(|start| LastCrawl { start, status, message });
                if !early {
                    tell(sim);
                }
            }
        }
    }

    /// The crawl under way ends so, if there is one, and Glue tells of it.
    pub fn crawl_ends(&self, status: CrawlStatus) {
        self.crawl_step(status, false);
        self.crawl_step(status, false);
    }

    /// Convert hears of the oldest end of a crawl that has not been delivered; Lambda tries again what fails.
    pub fn hear(&self) -> Option<Heard> {
        let (request, end) = self.lock().crawler.ends.pop_front()?;
        let heard = (0..3).find_map(|_| self.hear_on(&self.process(), &request, &end).ok());
        Some(heard.expect("three tries"))
    }

    pub fn hear_on(&self, process: &Process, request: &str, end: &CrawlEnd) -> Result<Heard, ConvertError> {
        block_on(heard(process, &self.manifest(), &self.invocation(request), end))
    }

    pub fn sweep(&self) -> Swept {
        self.sweep_on(&self.process())
    }

    pub fn sweep_on(&self, process: &Process) -> Swept {
        block_on(sweep(process, &self.manifest(), &self.invocation("sweep")))
    }

    /// The sweep by hand, which leaves nothing to anybody.
    pub fn sweep_all(&self) -> Swept {
        let (manifest, invocation) = (self.manifest(), self.invocation("sweep"));
        block_on(sweep_older(&self.process(), &manifest, &invocation, SignedDuration::ZERO))
    }

    /// An event is delivered, or the crawl under way ends well. `false` when there is neither.
    pub fn crawler_goes_on(&self, request: &str) -> bool {
        let next = self.lock().crawler.ends.pop_front();
        if let Some((_, end)) = next {
            // An early event finds the crawler stopping: that ends meanwhile.
            if self.lock().crawler.state == CrawlerState::Stopping {
                self.crawl_step(CrawlStatus::Succeeded, true);
            }
            self.hear_on(&self.process(), request, &end).unwrap();
            return true;
        }
        let is_running = self.lock().crawler.state != CrawlerState::Ready;
        self.crawl_step(CrawlStatus::Succeeded, false);
        is_running
    }
}

impl Crawlers for Process {
    async fn crawler(&self, dataset: &str) -> Result<Crawler, CloudError> {
        let crawler = |inner: &mut Inner| Crawler { state: inner.crawler.state, last: inner.crawler.last.clone() };
        self.call("GetCrawler", dataset, None, crawler).await
    }

    async fn start_crawl(&self, dataset: &str) -> Result<StartedCrawl, CloudError> {
        self.call("StartCrawler", dataset, Some(StartedCrawl::AlreadyRunning), |inner| {
            if inner.crawler.state != CrawlerState::Ready {
                return StartedCrawl::AlreadyRunning;
            }
            inner.now = inner.now.checked_add(SignedDuration::from_millis(1)).unwrap();
            let (now, tick) = (inner.now, inner.crawler.tick());
            inner.crawler.state = CrawlerState::Running;
            inner.crawler.under_way = Some(now);
            inner.crawler.crawls.push(Crawl { began: tick, ended: None });
            StartedCrawl::Started
        })
        .await
    }

    fn dataset_of_crawler(&self, crawler: &str) -> Option<String> {
        (crawler == CRAWLER).then(|| DATASET.to_owned())
    }

    fn crawler_of_dataset(&self, dataset: &str) -> Option<String> {
        (dataset == DATASET).then(|| CRAWLER.to_owned())
    }
}

impl Events for Process {
    async fn tell(&self, telling: &Telling) -> Result<(), CloudError> {
        self.call("PutEvents", &telling.dataset, None, |inner| inner.told.push(telling.clone())).await
    }
}
