//! A crawl has ended: whoever waited for one is looked at.

use std::time::Duration;

use futures::{StreamExt, stream};
use serde::Serialize;

use super::{HAND_OVER_GRACE, arrange, hand_over};
use crate::{
    dataset::{CatalogMode, Manifest},
    pipeline::{
        Failure, Invocation,
        convert::{Answer, ConvertError, convert},
        ledger::{Found, Kind, read},
        ports::{Clock, Cloud, CloudError, CloudErrorKind, CrawlerState, Crawlers, Objects},
        telling::Telling,
    },
};

/// Looks at a crawler that has crawled and is not ready yet.
const STOPPING_LOOKS_MAX: u32 = 8;

/// Pause before the second look; doubles with each further one.
const STOPPING_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause between two looks.
const STOPPING_PAUSE_MAX: Duration = Duration::from_secs(8);

/// Markers that are looked at together: one crawl is started for all of them. About 1 KB of memory each.
pub(in crate::pipeline) const MARKERS_MAX: usize = 10_000;

/// Keys that S3 lists at once.
const LIST_KEYS_MAX: u16 = 1000;

/// Markers that are read at the same time.
const CONCURRENT_READS_MAX: usize = 32;

/// The end of a crawl, as EventBridge tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrawlEnd {
    /// Name of the crawler.
    pub crawler: String,
    /// Why it failed; `None` when it succeeded.
    pub failure: Option<String>,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Heard {
    /// The crawler's dataset; `None` when it is none of the lake's.
    pub dataset: Option<String>,
    /// Another crawl was started.
    pub started: bool,
    /// Markers that wait for it, or for one that was under way.
    pub waiting: u64,
    /// Markers that convert was invoked for.
    pub handed_over: u64,
    /// What became of the only marker, which was converted right here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converted: Option<Answer>,
}

/// Handles the end of a crawl.
///
/// # Errors
/// When something must be tried again; what could be done is done.
pub async fn heard<C: Cloud>(
    cloud: &C,
    manifest: &Manifest,
    invocation: &Invocation,
    end: &CrawlEnd,
) -> Result<Heard, ConvertError> {
    let mut heard = Heard::default();
    let dataset = cloud.dataset_of_crawler(&end.crawler);
    let dataset = dataset.and_then(|name| manifest.dataset(&name)).filter(|it| it.catalog == CatalogMode::Crawler);
    let Some(dataset) = dataset else {
        tracing::warn!(crawler = %end.crawler, "no dataset of the lake has this crawler");
        return Ok(heard);
    };
    heard.dataset = Some(dataset.name.clone());
    // Not before the crawler is ready: a marker that came while it was stopping must be among those that are listed.
    settled(cloud, &dataset.name).await.map_err(unfinished)?;
    let (mut failures, mut page, mut here) = (Vec::new(), None, None);
    loop {
        let (markers, next) = pending(cloud, &dataset.name, page, MARKERS_MAX).await.map_err(unfinished)?;
        let arranged = arrange(cloud, &dataset.name, &invocation.request_id, HAND_OVER_GRACE, markers).await;
        let mut arranged = arranged.map_err(unfinished)?;
        heard.started |= arranged.started;
        heard.waiting += arranged.waiting;
        failures.append(&mut arranged.failures);
        page = next;
        if page.is_none() && heard.handed_over == 0 && arranged.ready.len() == 1 {
            here = arranged.ready.pop();
        }
        heard.handed_over += arranged.ready.len() as u64;
        failures.extend(hand_over(cloud, &arranged.ready).await);
        if page.is_none() {
            break;
        }
    }
    if let Some(reason) = &end.failure {
        let telling = Telling::of_failed_crawl(&dataset.name, &end.crawler, reason);
        failures.extend(cloud.tell(&telling).await.err());
    }
    let runs = match here {
        Some(marker) => {
            let answer = convert(cloud, manifest, invocation, &marker).await?;
            heard.converted.insert(answer).runs.clone()
        }
        None => Vec::new(),
    };
    match failures.into_iter().next() {
        Some(error) => Err(ConvertError { failure: error.into(), runs }),
        None => Ok(heard),
    }
}

fn unfinished(error: impl Into<Failure>) -> ConvertError {
    ConvertError { failure: error.into(), runs: Vec::new() }
}

/// Waits until the crawler is not stopping any more. Nothing tells of that, so it is looked at.
async fn settled<C: Crawlers + Clock>(cloud: &C, dataset: &str) -> Result<(), Failure> {
    let mut pause = STOPPING_PAUSE;
    for _ in 0..STOPPING_LOOKS_MAX {
        if cloud.crawler(dataset).await?.state != CrawlerState::Stopping {
            return Ok(());
        }
        cloud.sleep(pause).await;
        pause = STOPPING_PAUSE_MAX.min(pause * 2);
    }
    Err(Failure::retriable("crawler_stopping", "the crawler has ended its crawl and is not ready yet"))
}

/// Markers of `dataset` from `page` on, about `max` at most, and where to go on. One that cannot be read is left for
/// `lake status` to show.
pub(in crate::pipeline) async fn pending(
    cloud: &impl Objects,
    dataset: &str,
    mut page: Option<String>,
    max: usize,
) -> Result<(Vec<Found>, Option<String>), CloudError> {
    let mut markers = Vec::new();
    loop {
        let listing = cloud.list(&Kind::Pending.prefix(dataset), false, page.as_deref(), LIST_KEYS_MAX).await?;
        let mut read = stream::iter(listing.keys)
            .map(|key| async move { (read(cloud, &key).await, key) })
            .buffered(CONCURRENT_READS_MAX);
        while let Some((result, key)) = read.next().await {
            match result {
                Ok(Some(found)) => markers.push(Found { key, marker: found.value, etag: found.etag }),
                Ok(None) => {}
                Err(error) if error.kind == CloudErrorKind::Damaged => {
                    tracing::error!(%error, "a marker cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        page = listing.next;
        if page.is_none() || markers.len() >= max {
            return Ok((markers, page));
        }
    }
}
