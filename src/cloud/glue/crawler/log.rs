//! A crawl's log: lines with its id before them, in the group of all crawlers and a stream of its crawler's name.
//! <https://docs.aws.amazon.com/glue/latest/dg/console-crawlers-details.html>

use std::sync::Arc;

use crate::cloud::logs::{LogLine, LogSink};

/// The log group of all crawlers.
pub(super) const GROUP: &str = "/aws-glue/crawlers";

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    LogLine::now()
}

/// Where the lines of one crawl go.
#[derive(Clone)]
pub(super) struct Log {
    sink: LogSink,
    region: Arc<str>,
    group: Arc<str>,
    stream: Arc<str>,
    crawl: Arc<str>,
    access: Access,
}

/// What the crawler's role may do with its log. What it may not do does not end a crawl: a role without these
/// permissions leaves no log on AWS either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Access {
    /// `logs:PutLogEvents`
    pub writes: bool,
    /// `logs:CreateLogGroup` and `logs:CreateLogStream`
    pub creates: bool,
}

impl Log {
    pub(super) fn new(sink: &LogSink, region: &str, crawler: &str, crawl: &str, access: Access) -> Log {
        let (group, stream) = (GROUP.into(), crawler.into());
        Log { sink: sink.clone(), region: region.into(), group, stream, crawl: crawl.into(), access }
    }

    pub(super) async fn benchmark(&self, text: &str) {
        self.write("BENCHMARK", text).await;
    }

    pub(super) async fn info(&self, text: &str) {
        self.write("INFO", text).await;
    }

    pub(super) async fn warn(&self, text: &str) {
        self.write("WARN", text).await;
    }

    pub(super) async fn error(&self, text: &str) {
        self.write("ERROR", text).await;
    }

    async fn write(&self, level: &str, text: &str) {
        if self.access.writes {
            self.sink
                .write(LogLine {
                    region: Arc::clone(&self.region),
                    group: Arc::clone(&self.group),
                    stream: Arc::clone(&self.stream),
                    timestamp: now(),
                    message: format!("[{}] {level} : {text}", self.crawl),
                    creates: self.access.creates,
                })
                .await;
        }
    }
}
