//! A dataset's crawler, as Glue tells of it.

use aws_sdk_glue::types::LastCrawlStatus;
use jiff::Timestamp;
use serde::Serialize;

use crate::cli::{console::Style, context::Context, deployed::Deployed, error::CliError, service_error, table};

use super::ago;

/// A crawler and its last crawl.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Crawler {
    /// Its name in Glue.
    name: String,
    /// `READY`, `RUNNING` or `STOPPING`.
    state: String,
    /// `None` when it has never crawled.
    last_crawl: Option<LastCrawl>,
}

#[derive(Debug, Clone, Serialize)]
struct LastCrawl {
    /// `SUCCEEDED`, `FAILED` or `CANCELLED`.
    status: String,
    started: Option<Timestamp>,
    error: Option<String>,
}

impl Crawler {
    /// The crawler of `dataset`; `None` when it has none.
    pub(super) async fn of(deployed: &Deployed, dataset: &str) -> Result<Option<Self>, CliError> {
        let Some(name) = deployed.output(&format!("crawler_{dataset}")) else { return Ok(None) };
        let answer = aws_sdk_glue::Client::new(&deployed.connection.sdk).get_crawler().name(name).send().await;
        let answer = answer.map_err(|error| service_error("glue:GetCrawler", name, error))?;
        let crawler = answer.crawler();
        let last_crawl = crawler.and_then(|crawler| crawler.last_crawl()).map(|last| LastCrawl {
            status: last.status().map_or("", LastCrawlStatus::as_str).to_owned(),
            started: last.start_time().and_then(|time| Timestamp::from_second(time.secs()).ok()),
            error: last.error_message().filter(|message| !message.is_empty()).map(str::to_owned),
        });
        let state = crawler.and_then(|crawler| crawler.state()).map_or("", |state| state.as_str()).to_owned();
        Ok(Some(Crawler { name: name.to_owned(), state, last_crawl }))
    }

    /// Tells of it in a line.
    pub(super) fn show(&self, context: &Context, now: Timestamp) {
        let line = match &self.last_crawl {
            None => "it has not crawled yet".to_owned(),
            Some(LastCrawl { status, started, error }) => {
                let style = match status.as_str() {
                    "SUCCEEDED" => Style::Good,
                    "FAILED" => Style::Bad,
                    _ => Style::Changed,
                };
                let status = context.console.paint(status, style);
                let when = started.map_or_else(String::new, |started| format!(", begun {}", ago(started, now)));
                let error = error.as_ref().map_or_else(String::new, |error| {
                    format!(": {}; `lake logs crawler` says more", table::printable(error))
                });
                format!("last crawl {status}{when}{error}")
            }
        };
        context.console.say(format!("  crawler {}: {}; {line}", self.name, self.state));
    }
}
