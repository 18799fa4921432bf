//! One version of one object on its way through the pipeline, as the ledger tells it.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{
    dataset::Dataset,
    pipeline::{
        ledger::Run,
        ports::{CloudError, Objects},
        view::{self, KeyState, Stage},
    },
};

use super::{deployed::Deployed, error::CliError};

/// Pause between the first two looks at the ledger; it grows with each. (S3 tells nobody but functions of changes,
/// so that a client can only look.)
const LOOK_PAUSE_FIRST: Duration = Duration::from_millis(15);
/// Longest pause between two looks.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Looks in a row that may fail before waiting is given up; the SDK has retried each of them already.
const LOOK_FAILURES_MAX: u32 = 5;
/// How long nothing may be known of an object before it is looked whether it is still there.
const UNHEARD_MAX: Duration = Duration::from_millis(500);
/// How long a parked object's record may say that nobody has been told before that is taken as its end.
const UNTOLD_MAX: Duration = Duration::from_secs(2);

/// Where following came to an end.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Followed {
    /// Its rows are in the table.
    Committed {
        /// Rows in the table.
        rows: u64,
        /// Rows that the transform left out.
        filtered: u64,
        /// Rows set aside.
        rejected: u64,
        /// Whether the event was sent which alerts follow from.
        told: bool,
        /// The whole report, when it is (still) there.
        run: Option<Box<Run>>,
    },
    /// It was given up.
    Parked {
        /// Stable code of the reason.
        code: String,
        /// What is wrong, where, and what to do.
        message: String,
        /// Whether the event was sent which alerts follow from.
        told: bool,
    },
    /// Another version took its place, or it was deleted, before it was converted.
    Superseded,
    /// The time was up.
    TimedOut {
        /// Where it stood.
        stage: &'static str,
        /// What the last attempt ran into, if it did.
        last_error: Option<String>,
    },
}

impl Followed {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            Followed::Committed { .. } => "committed",
            Followed::Parked { .. } => "parked",
            Followed::Superseded => "superseded",
            Followed::TimedOut { .. } => "waiting",
        }
    }

    /// What went wrong; `None` when it is committed.
    pub fn failure(&self) -> Option<String> {
        match self {
            Followed::Committed { .. } => None,
            Followed::Parked { code, message, .. } => Some(format!("parked ({code}): {message}")),
            Followed::Superseded => {
                Some("another version took its place, or it was deleted, before it was converted".to_owned())
            }
            Followed::TimedOut { stage, last_error } => {
                let reason =
                    last_error.as_ref().map_or_else(String::new, |error| format!("; the last attempt: {error}"));
                Some(format!("not committed when the time was up: {stage}{reason}"))
            }
        }
    }
}

/// A stage that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hop {
    /// Which.
    pub stage: &'static str,
    /// How long it was looked at, milliseconds.
    pub milliseconds: u64,
}

impl Hop {
    /// How long it took, in words.
    pub fn told(&self) -> String {
        let what = match self.stage {
            UNHEARD => "noticed after",
            "awaiting_crawl" => "crawl:",
            "converting" => "conversion:",
            "finishing" => "finishing:",
            _ => "waited",
        };
        format!("{what} {} ms", self.milliseconds)
    }
}

/// Name of the stage before the ledger knows of an object.
const UNHEARD: &str = "unheard";

/// The way so far. Each stage is told once, when it begins, and how long it took when it is over.
struct Trail {
    /// Name of the stage, and crawls that have failed in it.
    at: (&'static str, u32),
    word: &'static str,
    since: Instant,
    hops: Vec<Hop>,
}

impl Trail {
    fn new() -> Self {
        let word = stage_word(&Stage::Unknown);
        Trail { at: (UNHEARD, 0), word, since: Instant::now(), hops: Vec::new() }
    }

    /// Takes note of where the object is; tells whether that is news.
    fn goes_to(&mut self, stage: &Stage) -> bool {
        let failures = if let Stage::AwaitingCrawl { failures, .. } = stage { *failures } else { 0 };
        let at = (stage_name(stage), failures);
        // What was known cannot become unknown: the ledger's records are not read at one instant.
        if at == self.at || at.0 == UNHEARD {
            return false;
        }
        let milliseconds = super::put::milliseconds(self.since.elapsed());
        self.hops.push(Hop { stage: self.at.0, milliseconds });
        (self.at, self.word, self.since) = (at, stage_word(stage), Instant::now());
        true
    }
}

/// Follows the version `etag` of `key` until it is decided or `limit` is over. `tell` hears of each new stage, with how
/// long the one before it took and what that ran into.
pub async fn follow(
    deployed: &Deployed,
    dataset: &Dataset,
    key: &str,
    etag: &str,
    limit: Duration,
    mut tell: impl FnMut(&'static str, &str),
) -> Result<(Followed, Vec<Hop>), CliError> {
    let objects = deployed.pipeline()?;
    let begun = Instant::now();
    let (mut pause, mut failures, mut trail) = (LOOK_PAUSE_FIRST, 0, Trail::new());
    loop {
        let state = match view::key_state(&objects, &dataset.name, key).await {
            Ok(state) => Some(state),
            Err(error) => {
                failures += 1;
                if failures > LOOK_FAILURES_MAX {
                    return Err(CliError::failed(format!("the ledger cannot be read: {error}")));
                }
                tracing::warn!(%error, "the ledger cannot be read at present");
                None
            }
        };
        if let Some(state) = &state {
            failures = 0;
            let stage = state.stage(etag, jiff::Timestamp::now());
            if trail.goes_to(&stage) {
                // It goes on: the next stage may be as short.
                pause = LOOK_PAUSE_FIRST;
                if !matches!(stage, Stage::Committed { .. } | Stage::Parked { .. }) {
                    tell(trail.word, &detail(&trail, &stage, state));
                }
            }
            let patience =
                Patience { unheard: begun.elapsed() > UNHEARD_MAX, untold: trail.since.elapsed() > UNTOLD_MAX };
            if let Some(end) = ended(&objects, dataset, key, etag, state, stage, patience).await? {
                return Ok((end, trail.hops));
            }
        }
        if begun.elapsed() >= limit {
            let last_error = state.and_then(|state| state.marker).and_then(|marker| marker.last_error);
            return Ok((Followed::TimedOut { stage: trail.word, last_error }, trail.hops));
        }
        tokio::time::sleep(pause.min(limit.saturating_sub(begun.elapsed()))).await;
        pause = LOOK_PAUSE_MAX.min(pause * 5 / 4);
    }
}

/// What is told beside a stage: how long the one before it took, and why it is there once more.
fn detail(trail: &Trail, stage: &Stage, state: &KeyState) -> String {
    let took = trail.hops.last().map(Hop::told).unwrap_or_default();
    let last_error = state.marker.as_ref().and_then(|marker| marker.last_error.as_deref());
    match (stage, last_error) {
        (Stage::Pending, Some(error)) | (Stage::AwaitingCrawl { failures: 1.., .. }, Some(error)) => {
            format!("{took}; {error}")
        }
        _ => took,
    }
}

/// What has been waited for long enough.
struct Patience {
    /// That anything is known of the object.
    unheard: bool,
    /// That somebody is told of where it is.
    untold: bool,
}

/// The end, if `stage` is one.
async fn ended(
    objects: &impl Objects,
    dataset: &Dataset,
    key: &str,
    etag: &str,
    state: &KeyState,
    stage: Stage,
    patience: Patience,
) -> Result<Option<Followed>, CloudError> {
    match stage {
        Stage::Committed { run, told } => {
            let current = state.commit.as_ref().and_then(|commit| commit.current.as_ref());
            let (rows, filtered, rejected) =
                current.map_or((0, 0, 0), |current| (current.rows, current.filtered, current.rejected));
            let run = view::run(objects, &dataset.name, &run).await?.map(Box::new);
            Ok(Some(Followed::Committed { rows, filtered, rejected, told, run }))
        }
        // It is parked first and told of then.
        Stage::Parked { told: false, .. } if !patience.untold => Ok(None),
        Stage::Parked { code, message, told } => Ok(Some(Followed::Parked { code, message, told })),
        Stage::Unknown if patience.unheard => {
            let is_current = objects.source(key).await?.is_some_and(|head| head.etag == etag);
            Ok((!is_current).then_some(Followed::Superseded))
        }
        Stage::Unknown
        | Stage::Pending
        | Stage::AwaitingCrawl { .. }
        | Stage::Crawled { .. }
        | Stage::Converting { .. }
        | Stage::Finishing => Ok(None),
    }
}

/// A stage for programs.
fn stage_name(stage: &Stage) -> &'static str {
    match stage {
        Stage::Unknown => UNHEARD,
        Stage::Pending => "pending",
        Stage::AwaitingCrawl { since: None, .. } => "awaiting_crawler",
        Stage::AwaitingCrawl { .. } => "awaiting_crawl",
        Stage::Crawled { .. } => "crawled",
        Stage::Converting { .. } => "converting",
        Stage::Finishing => "finishing",
        Stage::Committed { .. } => "committed",
        Stage::Parked { .. } => "parked",
    }
}

/// A stage for people.
fn stage_word(stage: &Stage) -> &'static str {
    match stage {
        Stage::Unknown => "not noticed",
        Stage::Pending => "waiting",
        Stage::AwaitingCrawl { since: None, .. } => "to be crawled",
        Stage::AwaitingCrawl { .. } => "being crawled",
        Stage::Crawled { .. } => "crawled",
        Stage::Converting { .. } => "converting",
        Stage::Finishing => "finishing",
        Stage::Committed { .. } => "committed",
        Stage::Parked { .. } => "parked",
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn each_stage_is_news_once_and_a_crawl_that_failed_is_news() {
        let awaiting = |failures| Stage::AwaitingCrawl { since: Some(Timestamp::UNIX_EPOCH), failures };
        let converting = Stage::Converting { owner: "x".into(), since: Timestamp::UNIX_EPOCH };
        let mut trail = Trail::new();
        let seen = [
            (Stage::Unknown, false),
            (Stage::AwaitingCrawl { since: None, failures: 0 }, true),
            (awaiting(0), true),
            (awaiting(0), false),
            (awaiting(1), true),
            (Stage::Unknown, false),
            (awaiting(1), false),
            (converting.clone(), true),
            (converting, false),
            (Stage::Finishing, true),
        ];
        for (stage, is_news) in seen {
            assert_eq!(trail.goes_to(&stage), is_news, "{stage:?}");
        }
        let stages: Vec<_> = trail.hops.iter().map(|hop| hop.stage).collect();
        assert_eq!(stages, ["unheard", "awaiting_crawler", "awaiting_crawl", "awaiting_crawl", "converting"]);
    }

    #[test]
    fn what_a_stage_took_is_told_in_words() {
        let told = |stage| Hop { stage, milliseconds: 12 }.told();
        assert_eq!(told("unheard"), "noticed after 12 ms");
        assert_eq!(told("awaiting_crawl"), "crawl: 12 ms");
        assert_eq!(told("crawled"), "waited 12 ms");
    }
}
