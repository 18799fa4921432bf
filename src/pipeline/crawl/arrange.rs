//! Does for a number of markers what [`super::next`] says.

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use super::{Next, next};
use crate::pipeline::{
    ledger::{self, Crawl, Decision, Found, HandOver, Marker, Note, put_decisively},
    ports::{Clock, CloudError, Condition, CrawlStatus, Crawler, Crawlers, Functions, Objects, StartedCrawl},
};

/// Markers that are written, or handed over, at the same time.
const CONCURRENT_MARKERS_MAX: usize = 16;

/// How long a marker that was handed over is left alone by all but those who handed it over and the sweep, which has a
/// grace of its own.
pub const HAND_OVER_GRACE: SignedDuration = SignedDuration::from_mins(5);

/// What became of the markers.
#[derive(Debug, Default)]
pub struct Arranged {
    /// A crawl was started, by us.
    pub started: bool,
    /// Markers that wait for a crawl.
    pub waiting: u64,
    /// Of these, the ones that needed a crawl to be started.
    pub crawled: u64,
    /// Keys of the markers that convert must be told of, now.
    pub ready: Vec<String>,
    /// Why the last crawl failed, when markers were waiting for it.
    pub crawl_failure: Option<String>,
    /// What did not work; the rest was done.
    pub failures: Vec<CloudError>,
}

/// What is to be done about one marker.
enum Action {
    /// Nothing, or nothing that must be written.
    None,
    /// Write it so.
    Note(Marker),
    /// Write it so, and it is convert's.
    HandOver(Marker),
    /// It is convert's as it is.
    Tell,
}

/// Looks at the dataset's crawler and does what each of `markers` needs. They must have been read before: that the
/// crawler is ready says nothing of an object that comes later. `owner` is the invocation's request id; what others have
/// handed over is left alone for `grace`.
///
/// # Errors
/// When the crawler cannot be looked at; nothing is done then. What else fails is in the answer.
pub async fn arrange<C: Objects + Crawlers + Clock>(
    cloud: &C,
    dataset: &str,
    owner: &str,
    grace: SignedDuration,
    markers: Vec<Found>,
) -> Result<Arranged, CloudError> {
    let mut arranged = Arranged::default();
    if markers.is_empty() {
        return Ok(arranged);
    }
    let crawler = cloud.crawler(dataset).await?;
    let now = cloud.now();
    // An earlier try of this invocation may have claimed one and died.
    let is_anothers = |found: &Found| found.marker.live_claim(now).is_some_and(|claim| claim.owner != owner);
    let decided = markers.into_iter().filter(|found| !is_anothers(found));
    let decided: Vec<(Found, Next)> = decided
        .map(|found| match found.marker.needs_no_crawl() {
            true => (found, Next::NotNeeded),
            false => {
                let next = next(found.marker.crawl.as_ref(), &crawler);
                (found, next)
            }
        })
        .collect();
    arranged.crawled = decided.iter().filter(|(_, next)| wants_start(next)).count() as u64;
    if arranged.crawled > 0 {
        match cloud.start_crawl(dataset).await {
            Ok(started) => arranged.started = started == StartedCrawl::Started,
            // It may have begun even so. Then its end is heard of, and whoever hears it finds these markers.
            Err(error) => arranged.failures.push(error),
        }
    }
    let is_failure = |next: &Next| matches!(next, Next::CrawlAgain { .. } | Next::GiveUp { .. });
    if decided.iter().any(|(_, next)| is_failure(next)) {
        arranged.crawl_failure = Some(reason(&crawler));
    }
    let act = Act { owner, grace, now, started: arranged.started, reason: reason(&crawler) };
    let mut done = stream::iter(decided)
        .map(|(found, next)| {
            let action = act.on(&found.marker, next);
            async move { carry_out(cloud, &found, action).await.map(|is_ready| (found.key, next, is_ready)) }
        })
        .buffer_unordered(CONCURRENT_MARKERS_MAX);
    while let Some(result) = done.next().await {
        match result {
            Ok((key, _, true)) => arranged.ready.push(key),
            Ok((_, Next::HandedOver | Next::HandOver { .. } | Next::GiveUp { .. } | Next::NotNeeded, false)) => {}
            Ok(_) => arranged.waiting += 1,
            Err(error) => arranged.failures.push(error),
        }
    }
    drop(done);
    Ok(arranged)
}

fn wants_start(next: &Next) -> bool {
    matches!(next, Next::Crawl { .. } | Next::CrawlAsNoted | Next::CrawlAgain { start: true, .. })
}

/// Why the crawler's last crawl did not succeed.
fn reason(crawler: &Crawler) -> String {
    let Some(last) = &crawler.last else { return String::new() };
    let word = match last.status {
        CrawlStatus::Cancelled => "the crawl was stopped",
        CrawlStatus::Failed | CrawlStatus::Succeeded => "the crawler gives no reason; see its log",
    };
    last.message.clone().filter(|message| !message.is_empty()).unwrap_or_else(|| word.to_owned())
}

/// What all markers of one look share.
struct Act<'a> {
    owner: &'a str,
    grace: SignedDuration,
    now: Timestamp,
    started: bool,
    reason: String,
}

impl Act<'_> {
    fn on(&self, marker: &Marker, next: Next) -> Action {
        let crawl = marker.crawl.clone().unwrap_or_default();
        match next {
            Next::Wait | Next::CrawlAsNoted => Action::None,
            // Of a crawl that somebody else started it is not known whether it began after the marker.
            Next::Crawl { .. } if !self.started => Action::None,
            Next::Crawl { seen_start } => Action::Note(self.with(marker, self.note(seen_start, &crawl))),
            Next::CrawlAgain { seen_start, failures, .. } => {
                let crawl = Crawl { failures, ..self.note(Some(seen_start), &crawl) };
                Action::Note(Marker { last_error: Some(self.failed(failures)), ..self.with(marker, crawl) })
            }
            Next::HandOver { crawl: start } => {
                Action::HandOver(self.with(marker, self.handed_over(Some(start), &crawl)))
            }
            Next::GiveUp { failures } => {
                let crawl = Crawl { failures, ..self.handed_over(None, &crawl) };
                Action::HandOver(Marker { last_error: Some(self.failed(failures)), ..self.with(marker, crawl) })
            }
            // Whoever wrote it has told convert; if that was long ago, it was lost.
            Next::NotNeeded if self.now.duration_since(marker.last_written_at()) < self.grace => Action::None,
            Next::NotNeeded => Action::HandOver(Marker { changed_at: Some(self.now), ..marker.clone() }),
            Next::HandedOver => match &crawl.handed_over {
                Some(before) if before.by == self.owner => Action::Tell,
                Some(before) if self.now.duration_since(marker.last_written_at()) < self.grace => {
                    tracing::debug!(key = %marker.key, by = %before.by, "handed over already");
                    Action::None
                }
                before => {
                    let start = before.as_ref().and_then(|before| before.crawl);
                    Action::HandOver(self.with(marker, self.handed_over(start, &crawl)))
                }
            },
        }
    }

    fn with(&self, marker: &Marker, crawl: Crawl) -> Marker {
        Marker { crawl: Some(crawl), changed_at: Some(self.now), ..marker.clone() }
    }

    fn note(&self, seen_start: Option<Timestamp>, crawl: &Crawl) -> Crawl {
        Crawl { noted: Some(Note { seen_start, at: self.now }), ..crawl.clone() }
    }

    fn handed_over(&self, start: Option<Timestamp>, crawl: &Crawl) -> Crawl {
        let handed_over = HandOver { crawl: start, at: self.now, by: self.owner.to_owned() };
        Crawl { handed_over: Some(handed_over), ..crawl.clone() }
    }

    fn failed(&self, failures: u32) -> String {
        format!("{failures} crawls failed; the last: {}", self.reason)
    }
}

/// Whether convert must be told of the marker now. A marker that has changed since it was read is somebody else's
/// business: a newer event's intake, or another invocation that looked at the same time.
async fn carry_out<C: Objects + Clock>(cloud: &C, found: &Found, action: Action) -> Result<bool, CloudError> {
    let condition = Condition::Matches(&found.etag);
    match action {
        Action::None => Ok(false),
        Action::Tell => Ok(true),
        // No need to read back: should a retry inside the SDK have met its own write, the note is there.
        Action::Note(marker) => cloud.put(&found.key, ledger::body(&marker), condition).await.map(|_| false),
        Action::HandOver(marker) => {
            let bytes = ledger::body(&marker);
            let decision = put_decisively(cloud, &found.key, bytes.clone(), condition, |there| there == bytes).await?;
            Ok(matches!(decision, Decision::Won(_)))
        }
    }
}

/// Invokes convert for each of the markers.
pub async fn hand_over(cloud: &impl Functions, keys: &[String]) -> Vec<CloudError> {
    let invoked = stream::iter(keys).map(|key| cloud.invoke_convert(key)).buffer_unordered(CONCURRENT_MARKERS_MAX);
    invoked.filter_map(async |result| result.err()).collect().await
}
