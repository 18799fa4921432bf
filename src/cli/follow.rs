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

/// Where following came to an end.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Followed {
    /// Its rows are in the table.
    Committed {
        /// Rows in the table.
        rows: u64,
        /// Rows set aside.
        rejected: u64,
        /// The whole report, when it is (still) there.
        run: Option<Box<Run>>,
    },
    /// It was given up.
    Parked {
        /// Stable code of the reason.
        code: String,
        /// What is wrong, where, and what to do.
        message: String,
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
            Followed::Parked { code, message } => Some(format!("parked ({code}): {message}")),
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

/// Follows the version `etag` of `key` until it is decided or `limit` is over. `hop` hears of each new stage, and what
/// the try before it ran into.
pub async fn follow(
    deployed: &Deployed,
    dataset: &Dataset,
    key: &str,
    etag: &str,
    limit: Duration,
    mut hop: impl FnMut(&'static str, &str),
) -> Result<Followed, CliError> {
    let objects = deployed.pipeline()?;
    let begun = Instant::now();
    let (mut pause, mut failures, mut last_word) = (LOOK_PAUSE_FIRST, 0, stage_word(&Stage::Unknown));
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
            let word = stage_word(&stage);
            if word != last_word && !matches!(stage, Stage::Unknown | Stage::Committed { .. } | Stage::Parked { .. }) {
                let last_error = state.marker.as_ref().and_then(|marker| marker.last_error.as_deref());
                hop(word, last_error.filter(|_| stage == Stage::Pending).unwrap_or_default());
            }
            last_word = word;
            let unheard = begun.elapsed() > UNHEARD_MAX;
            if let Some(end) = ended(&objects, dataset, key, etag, state, stage, unheard).await? {
                return Ok(end);
            }
        }
        if begun.elapsed() >= limit {
            let last_error = state.and_then(|state| state.marker).and_then(|marker| marker.last_error);
            return Ok(Followed::TimedOut { stage: last_word, last_error });
        }
        tokio::time::sleep(pause.min(limit.saturating_sub(begun.elapsed()))).await;
        pause = LOOK_PAUSE_MAX.min(pause * 5 / 4);
    }
}

/// The end, if `stage` is one.
async fn ended(
    objects: &impl Objects,
    dataset: &Dataset,
    key: &str,
    etag: &str,
    state: &KeyState,
    stage: Stage,
    unheard: bool,
) -> Result<Option<Followed>, CloudError> {
    match stage {
        Stage::Committed { run, .. } => {
            let current = state.commit.as_ref().and_then(|commit| commit.current.as_ref());
            let (rows, rejected) = current.map_or((0, 0), |current| (current.rows, current.rejected));
            let run = view::run(objects, &dataset.name, &run).await?.map(Box::new);
            Ok(Some(Followed::Committed { rows, rejected, run }))
        }
        Stage::Parked { code, message, .. } => Ok(Some(Followed::Parked { code, message })),
        Stage::Unknown if unheard => {
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

/// A stage in a word.
pub fn stage_word(stage: &Stage) -> &'static str {
    match stage {
        Stage::Unknown => "unheard of",
        Stage::Pending => "pending",
        Stage::AwaitingCrawl { since: None, .. } => "waiting for the crawler",
        Stage::AwaitingCrawl { .. } => "being crawled",
        Stage::Crawled { .. } => "crawled",
        Stage::Converting { .. } => "converting",
        Stage::Finishing => "finishing",
        Stage::Committed { .. } => "committed",
        Stage::Parked { .. } => "parked",
    }
}
