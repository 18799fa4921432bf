//! From a marker to a finished commit record. Each round looks at everything afresh and takes one step that can
//! be repeated; what to do next follows from what is there, never from what this process remembers.

mod event;
mod round;
mod run;

pub use event::{Event, EventError};

use serde::Serialize;

use super::{
    Failure, Invocation, UNFINISHED, crawl,
    ledger::{self, Claimed, Found, Marker, Run, RunOutcome, Taken},
    ports::Cloud,
};
use crate::dataset::{CatalogMode, Manifest};

/// Claims of one marker after which its object is parked: Lambda's own number of tries of an asynchronous event.
pub const ATTEMPTS_MAX: u32 = 3;

/// Rounds of one invocation. Each but the last finds that something has changed while it worked.
pub const ROUNDS_MAX: u32 = 8;

/// How an invocation of convert ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The object's rows are in the table.
    Committed {
        /// Id of the run.
        run: String,
    },
    /// They were already.
    AlreadyCommitted,
    /// The object was given up; it waits for a new version or `lake retry`.
    Parked {
        /// Stable code of the reason.
        code: String,
    },
    /// This version of it was given up before.
    AlreadyParked,
    /// The object is not there any more. Outputs of an earlier version stay.
    Deleted,
    /// Another invocation works on it. Should that one die, Lambda's retry of it takes over, and so may anybody
    /// after its deadline.
    ClaimedByOther {
        /// Its request id.
        owner: String,
        /// When its claim dies.
        until: jiff::Timestamp,
    },
    /// A crawl that counts for the object has not ended yet; its end is heard of, and convert invoked again.
    AwaitsCrawl,
    /// There is no such marker: the work is done.
    NothingPending,
}

/// What an invocation did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Reports of what it committed or parked, in order; to be logged.
    #[serde(skip)]
    pub runs: Vec<Run>,
}

/// An invocation that Lambda should try again, with the reports of what it did before it failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{failure}")]
pub struct ConvertError {
    /// Why.
    #[source]
    pub failure: Failure,
    /// Reports of what it committed or parked, in order; to be logged.
    pub runs: Vec<Run>,
}

/// What a round found.
enum Step {
    /// The marker is dealt with.
    Done(Outcome),
    /// Something has changed: look at everything again.
    Again(&'static str),
}

/// Converts the object that the marker at `marker_key` stands for.
///
/// # Errors
/// When the object is neither committed nor parked nor somebody else's: the invocation is to be tried again.
pub async fn convert<C: Cloud>(
    cloud: &C,
    manifest: &Manifest,
    invocation: &Invocation,
    marker_key: &str,
) -> Result<Answer, ConvertError> {
    let mut converter = Converter { cloud, manifest, invocation, tried: None, runs: Vec::new() };
    match converter.rounds(marker_key).await {
        Ok(outcome) => {
            let outcome = converter.credit(outcome);
            Ok(Answer { outcome, runs: converter.runs })
        }
        Err(failure) => Err(ConvertError { failure, runs: converter.runs }),
    }
}

struct Converter<'a, C> {
    cloud: &'a C,
    manifest: &'a Manifest,
    invocation: &'a Invocation,
    /// Entity tag of the version that this round tried to convert.
    tried: Option<String>,
    runs: Vec<Run>,
}

impl<C: Cloud> Converter<'_, C> {
    async fn rounds(&mut self, marker_key: &str) -> Result<Outcome, Failure> {
        for _ in 0..ROUNDS_MAX {
            let ready = |marker: &Marker| !self.awaits_crawl(marker);
            let claimed = match ledger::take(self.cloud, marker_key, self.invocation, ready).await? {
                Taken::Ours(claimed) => claimed,
                Taken::NotReady(found) => match self.arrange_crawl(*found).await? {
                    true => continue,
                    false => return Ok(Outcome::AwaitsCrawl),
                },
                Taken::Held { owner, until } => return Ok(Outcome::ClaimedByOther { owner, until }),
                Taken::Absent => match self.tidy(marker_key).await? {
                    Step::Done(outcome) => return Ok(outcome),
                    Step::Again(_) => continue,
                },
                Taken::Contended => continue,
            };
            self.tried = None;
            let step = match self.round(&claimed).await {
                Ok(step) => step,
                Err(failure) => self.give_up(&claimed, failure).await?,
            };
            match step {
                Step::Done(outcome) => return Ok(outcome),
                Step::Again(reason) => tracing::info!(key = %claimed.marker.key, reason, "looking again"),
            }
        }
        Err(Failure::retriable("unsettled", format!("the object or its records changed {ROUNDS_MAX} times under us")))
    }

    fn awaits_crawl(&self, marker: &Marker) -> bool {
        let dataset = self.manifest.dataset(&marker.dataset);
        dataset.is_some_and(|dataset| dataset.catalog == CatalogMode::Crawler)
            && !marker.is_handed_over()
            && !marker.needs_no_crawl()
    }

    /// Whether the marker's crawl is over. If not, it is seen to that there is one: the marker may be one that a
    /// person wrote, or a newer one whose intake has not got that far.
    async fn arrange_crawl(&self, found: Found) -> Result<bool, Failure> {
        let dataset = found.marker.dataset.clone();
        let (owner, found) = (&self.invocation.request_id, vec![found]);
        let arranged = crawl::arrange(self.cloud, &dataset, owner, crawl::HAND_OVER_GRACE, found).await?;
        match arranged.failures.into_iter().next() {
            Some(error) => Err(error.into()),
            None => Ok(!arranged.ready.is_empty()),
        }
    }

    /// Parks what cannot succeed or has failed too often; else gives the marker back and fails, for Lambda to
    /// try again. What is decided is never parked for want of a service: it is finished as soon as it can be.
    async fn give_up(&mut self, claimed: &Claimed, failure: Failure) -> Result<Step, Failure> {
        let attempts = claimed.marker.attempts;
        tracing::error!(key = %claimed.marker.key, attempts, %failure, "the conversion failed");
        if failure.permanent || attempts >= ATTEMPTS_MAX && failure.code != UNFINISHED {
            return self.park(claimed, &failure).await;
        }
        if let Err(error) = ledger::release(self.cloud, claimed, &failure.to_string()).await {
            tracing::warn!(%error, "the marker could not be given back; its claim ends by itself");
        }
        Err(failure)
    }

    /// An invocation that committed and then met a second event of the same version has committed.
    fn credit(&self, outcome: Outcome) -> Outcome {
        let last = self.runs.last().filter(|run| run.outcome == RunOutcome::Committed);
        match (outcome, last) {
            (Outcome::AlreadyCommitted | Outcome::NothingPending, Some(run)) => {
                Outcome::Committed { run: run.id.clone() }
            }
            (outcome, _) => outcome,
        }
    }
}
