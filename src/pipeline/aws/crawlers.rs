//! Glue's crawlers.

use aws_sdk_glue::{
    error::ProvideErrorMetadata,
    operation::start_crawler::StartCrawlerError,
    primitives::DateTime,
    types::{self, LastCrawlStatus},
};
use jiff::Timestamp;

use super::{Aws, failed};
use crate::pipeline::ports::{
    CloudError, CloudErrorKind, CrawlStatus, Crawler, CrawlerState, Crawlers, LastCrawl, StartedCrawl,
};

impl Crawlers for Aws {
    async fn crawler(&self, dataset: &str) -> Result<Crawler, CloudError> {
        let name = self.crawler_name("GetCrawler", dataset)?;
        let answer = self.glue.get_crawler().name(name).send().await;
        let answer = answer.map_err(|error| missing(failed("GetCrawler", name, &error), error.code()))?;
        let there = answer.crawler.ok_or_else(|| unusable("GetCrawler", name, "the answer has no crawler"))?;
        read(name, there)
    }

    async fn start_crawl(&self, dataset: &str) -> Result<StartedCrawl, CloudError> {
        let name = self.crawler_name("StartCrawler", dataset)?;
        match self.glue.start_crawler().name(name).send().await {
            Ok(_) => Ok(StartedCrawl::Started),
            Err(error) if error.as_service_error().is_some_and(StartCrawlerError::is_crawler_running_exception) => {
                Ok(StartedCrawl::AlreadyRunning)
            }
            Err(error) => Err(missing(failed("StartCrawler", name, &error), error.code())),
        }
    }

    fn dataset_of_crawler(&self, crawler: &str) -> Option<String> {
        self.crawlers.iter().find(|(_, name)| *name == crawler).map(|(dataset, _)| dataset.clone())
    }

    fn crawler_of_dataset(&self, dataset: &str) -> Option<String> {
        self.crawlers.get(dataset).cloned()
    }
}

impl Aws {
    fn crawler_name(&self, operation: &'static str, dataset: &str) -> Result<&str, CloudError> {
        let name = self.crawlers.get(dataset).map(String::as_str);
        name.ok_or_else(|| unusable(operation, dataset, "the dataset's crawler is not known; run `lake apply`"))
    }
}

/// Says what to do about a crawler that somebody deleted.
fn missing(error: CloudError, code: Option<&str>) -> CloudError {
    match code {
        Some("EntityNotFoundException") => {
            CloudError { message: format!("{}; `lake apply` makes the crawler again", error.message), ..error }
        }
        _ => error,
    }
}

fn read(name: &str, there: types::Crawler) -> Result<Crawler, CloudError> {
    let state = match there.state {
        Some(types::CrawlerState::Ready) => CrawlerState::Ready,
        Some(types::CrawlerState::Running) => CrawlerState::Running,
        Some(types::CrawlerState::Stopping) => CrawlerState::Stopping,
        other => return Err(unusable("GetCrawler", name, &format!("the crawler's state is {other:?}"))),
    };
    Ok(Crawler { state, last: there.last_crawl.and_then(last_crawl) })
}

/// A crawl without a start cannot be told from another: it is as if there had been none.
fn last_crawl(last: types::LastCrawlInfo) -> Option<LastCrawl> {
    let start = timestamp(last.start_time()?)?;
    let status = match last.status()? {
        LastCrawlStatus::Succeeded => CrawlStatus::Succeeded,
        LastCrawlStatus::Cancelled => CrawlStatus::Cancelled,
        _ => CrawlStatus::Failed,
    };
    Some(LastCrawl { start, status, message: last.error_message })
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}

fn unusable(operation: &'static str, target: &str, message: &str) -> CloudError {
    CloudError { operation, target: target.to_owned(), message: message.to_owned(), kind: CloudErrorKind::Retriable }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crawler(state: &str, status: Option<&str>) -> types::Crawler {
        let last = status.map(|status| {
            let start = DateTime::from_secs_f64(1_735_787_045.25);
            types::LastCrawlInfo::builder().status(status.into()).start_time(start).error_message("why").build()
        });
        types::Crawler::builder().name("c").state(state.into()).set_last_crawl(last).build()
    }

    #[test]
    fn state_and_last_crawl_are_read_to_the_fraction_of_a_second() {
        let found = read("c", crawler("READY", Some("FAILED"))).unwrap();
        assert_eq!(found.state, CrawlerState::Ready);
        let last = found.last.unwrap();
        assert_eq!(last.start, "2025-01-02T03:04:05.25Z".parse().unwrap());
        assert_eq!((last.status, last.message.as_deref()), (CrawlStatus::Failed, Some("why")));
        assert_eq!(read("c", crawler("STOPPING", None)).unwrap().last, None);
    }

    #[test]
    fn a_state_that_is_not_known_is_an_error_and_not_taken_for_ready() {
        assert!(read("c", crawler("DREAMING", None)).unwrap_err().message.contains("DREAMING"));
    }
}
