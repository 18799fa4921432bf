//! What a marker needs next of its crawler. Pure.

use jiff::Timestamp;

use crate::pipeline::{
    ledger::Crawl,
    ports::{CrawlStatus, Crawler, CrawlerState},
};

/// Crawls for one marker that may fail before its object is parked.
pub const CRAWLS_MAX: u32 = 3;

/// What a marker needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: whoever hears of the end of the crawl under way looks again.
    Wait,
    /// A crawl. If it is we who start it, `seen_start` is noted.
    Crawl {
        /// Start of the last crawl that does not count.
        seen_start: Option<Timestamp>,
    },
    /// The crawl that it has noted: starting it was lost on the way.
    CrawlAsNoted,
    /// The crawl that would have counted did not succeed. That is noted, and another is needed.
    CrawlAgain {
        /// Start of the crawl that failed.
        seen_start: Timestamp,
        /// Crawls that have failed by now.
        failures: u32,
        /// No crawl is under way: start one.
        start: bool,
    },
    /// Convert may have it: the crawl with that start counts.
    HandOver {
        /// Start of the crawl.
        crawl: Timestamp,
    },
    /// Too many crawls have failed: convert is to park it.
    GiveUp {
        /// Crawls that have failed by now.
        failures: u32,
    },
    /// Convert has it already.
    HandedOver,
    /// None: convert may have it as it is.
    NotNeeded,
}

/// What a marker that says `crawl` needs next of a crawler that was looked at after the marker was read.
pub fn next(crawl: Option<&Crawl>, crawler: &Crawler) -> Next {
    let is_ready = crawler.state == CrawlerState::Ready;
    let last_start = crawler.last.as_ref().map(|last| last.start);
    let Some((crawl, note)) = crawl.and_then(|crawl| Some((crawl, crawl.noted.as_ref()?))) else {
        return match crawl.is_some_and(|crawl| crawl.handed_over.is_some()) {
            true => Next::HandedOver,
            false if is_ready => Next::Crawl { seen_start: last_start },
            false => Next::Wait,
        };
    };
    if crawl.handed_over.is_some() {
        return Next::HandedOver;
    }
    let Some(last) = crawler.last.as_ref().filter(|last| Some(last.start) != note.seen_start) else {
        return if is_ready { Next::CrawlAsNoted } else { Next::Wait };
    };
    let failures = crawl.failures.saturating_add(1);
    match last.status {
        CrawlStatus::Succeeded => Next::HandOver { crawl: last.start },
        CrawlStatus::Failed | CrawlStatus::Cancelled if failures >= CRAWLS_MAX => Next::GiveUp { failures },
        CrawlStatus::Failed | CrawlStatus::Cancelled => {
            Next::CrawlAgain { seen_start: last.start, failures, start: is_ready }
        }
    }
}
