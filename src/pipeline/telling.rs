//! What is told on the event bus.
//!
//! Source `lake.<lake>`, detail-type `Lake Job State Change`, `resources` the ARN of the object in the raw bucket,
//! detail:
//!
//! ```json
//! {
//!   "lake": "flights", "stack": "local", "dataset": "flights", "state": "Succeeded",
//!   "run": "20250102T030405006Z-1a2b3c4d", "source": "flights/2025-01.csv",
//!   "rows": { "read": 100, "kept": 97, "filtered": 1, "rejected": 2, "exploded": 0 },
//!   "bytes": { "read": 12345, "written": 2345 }, "seconds": 1.2,
//!   "message": "flights/2025-01.csv is in the table flights: 97 of 100 rows in 1.2 s, 1 filtered, 2 rejected;
//!               run 20250102T030405006Z-1a2b3c4d"
//! }
//! ```
//!
//! Of the rows that were read, each is kept, filtered or rejected; the table has `kept + exploded`. `state` is
//! `Succeeded` or `Failed`; a failure has `"error": { "code", "message" }` besides. A crawl that failed
//! has neither `run` nor `source`; `"crawler"` names its crawler instead. `message` is one line without quotation
//! marks and backslashes, so that an input transformer may put it into any text.

pub use crate::dataset::{JOB_EVENT as DETAIL_TYPE, event_source as source};

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::ledger::{Run, RunOutcome};

/// Longest message of an event, characters.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// An object's rows are in the table.
    Succeeded,
    /// An object was given up, or a crawl failed.
    Failed,
}

impl JobState {
    /// As the event has it; rules match it.
    pub fn word(self) -> &'static str {
        match self {
            JobState::Succeeded => "Succeeded",
            JobState::Failed => "Failed",
        }
    }
}

/// What the event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A run.
    Run {
        /// Its id.
        id: String,
        /// Key of the object in the raw bucket.
        source: String,
        /// What it counted.
        counts: Counts,
    },
    /// A crawl.
    Crawl {
        /// Name of the crawler.
        crawler: String,
    },
}

/// What a run counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows found in the object.
    pub read: u64,
    /// Rows of the object that are in the table.
    pub kept: u64,
    /// Rows in the table beyond one for each of these.
    pub exploded: u64,
    /// Rows that a transform left out.
    pub filtered: u64,
    /// Rows set aside.
    pub rejected: u64,
    /// Bytes of the object.
    pub bytes_read: u64,
    /// Bytes of the files made of it.
    pub bytes_written: u64,
    /// Milliseconds from the invocation's begin to the decision.
    pub milliseconds: u64,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// The dataset.
    pub dataset: String,
    /// How it ended.
    pub state: JobState,
    /// What ended.
    pub subject: Subject,
    /// Stable code and message of what went wrong.
    pub error: Option<(String, String)>,
    /// All of it in one line.
    pub message: String,
}

impl Telling {
    /// The event of a run.
    pub fn of_run(run: &Run) -> Self {
        let report = &run.report;
        let counts = Counts {
            read: report.read,
            kept: report.kept,
            exploded: report.exploded,
            filtered: report.filtered,
            rejected: report.rejected,
            bytes_read: report.bytes_read,
            bytes_written: report.bytes_written,
            milliseconds: run.duration_ms,
        };
        let (state, message) = match run.outcome {
            RunOutcome::Committed => (JobState::Succeeded, committed(run, &counts)),
            RunOutcome::Parked => (JobState::Failed, parked(run)),
        };
        Telling {
            dataset: run.dataset.clone(),
            state,
            subject: Subject::Run { id: run.id.clone(), source: run.key.clone(), counts },
            error: run.error.clone(),
            message: one_line(&message),
        }
    }

    /// The event of a crawl that failed: its objects wait for another one.
    pub fn of_failed_crawl(dataset: &str, crawler: &str, reason: &str) -> Self {
        let message = format!("the crawl of {dataset} failed, its objects wait for another one: {reason}");
        Telling {
            dataset: dataset.to_owned(),
            state: JobState::Failed,
            subject: Subject::Crawl { crawler: crawler.to_owned() },
            error: Some((CRAWL_FAILED.to_owned(), reason.to_owned())),
            message: one_line(&message),
        }
    }

    /// The event's detail.
    pub fn detail(&self, lake: &str, stack: &str) -> Value {
        let mut detail = json!({
            "lake": lake,
            "stack": stack,
            "dataset": self.dataset,
            "state": self.state.word(),
            "message": self.message,
        });
        match &self.subject {
            Subject::Crawl { crawler } => detail["crawler"] = json!(crawler),
            Subject::Run { id, source, counts } => {
                let Counts { read, kept, exploded, filtered, rejected, bytes_read, bytes_written, milliseconds } =
                    counts;
                detail["run"] = json!(id);
                detail["source"] = json!(source);
                detail["rows"] = json!({
                    "read": read, "kept": kept, "filtered": filtered, "rejected": rejected, "exploded": exploded,
                });
                detail["bytes"] = json!({ "read": bytes_read, "written": bytes_written });
                detail["seconds"] = json!(seconds(*milliseconds));
            }
        }
        if let Some((code, message)) = &self.error {
            detail["error"] = json!({ "code": code, "message": shortened(message) });
        }
        detail
    }
}

/// Code of a crawl that failed, and of objects whose crawls all did.
pub const CRAWL_FAILED: &str = "crawl_failed";

fn committed(run: &Run, counts: &Counts) -> String {
    let Counts { read, kept, exploded, filtered, rejected, milliseconds, .. } = counts;
    let (key, table, seconds) = (&run.key, &run.dataset, seconds(*milliseconds));
    let written = if *exploded > 0 { format!(" as {}", kept + exploded) } else { String::new() };
    let mut message = format!("{key} is in the table {table}: {kept} of {read} rows{written} in {seconds} s");
    for (count, what) in [(filtered, "filtered"), (rejected, "rejected")] {
        if *count > 0 {
            let _ = write!(message, ", {count} {what}");
        }
    }
    let _ = write!(message, "; run {}", run.id);
    message
}

fn parked(run: &Run) -> String {
    let (code, message) = run.error.as_ref().map_or(("unknown", ""), |(code, message)| (code, message));
    let Run { id, key, dataset, .. } = run;
    format!("{key} could not be converted for the table {dataset} and is set aside by run {id} ({code}): {message}")
}

/// Milliseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "a run takes minutes")]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}

/// One line that may stand inside any quotation.
fn one_line(message: &str) -> String {
    let plain = |letter: char| match letter {
        '"' => '\'',
        '\\' => '/',
        letter if letter.is_control() => ' ',
        letter => letter,
    };
    shortened(&message.chars().map(plain).collect::<String>())
}

fn shortened(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}
