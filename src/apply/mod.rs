//! Plan → cloud, in dependency order, concurrently. Reads the plan, never a mode: destroying is applying the plan of
//! the empty program.
//!
//! `step` does one step (begin → call → record), this file decides which steps may run.

pub mod by_hand;
mod recorder;
mod step;

use std::collections::BTreeMap;

use futures::{StreamExt, stream::FuturesUnordered};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use recorder::Recorder;

use crate::{
    plan::{Operation, Plan, Step},
    provider::{Provider, ProviderError},
    resource::{Address, is_unknown, resolve},
    state::{Snapshot, store::StateError},
};

/// Steps that run at once unless told otherwise.
pub const PARALLEL_DEFAULT: usize = 16;

/// How an apply runs.
#[derive(Debug, Clone)]
pub struct Options {
    /// Steps that run at once.
    pub parallel: usize,
    /// Once cancelled, no step begins; those under way end and are recorded.
    pub cancel: CancellationToken,
}

/// What happens while a plan is applied, for whoever shows it.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A step begins.
    Started(&'a Step),
    /// A step waits for something it needs to become visible, or for the service to take more calls.
    Waiting(&'a Step, &'a ProviderError),
    /// A step is done and recorded.
    Done(&'a Step),
    /// A step failed.
    Failed(&'a Step, &'a StepError),
}

/// Who is told what happens. Called from several tasks, in order for each step.
pub type Observer<'a> = &'a (dyn Fn(Event<'_>) + Sync);

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The cloud refused, or did not answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The name is taken.
    #[error(
        "`{identity}` exists and is not this stack's; it is left alone\n\
         remove or rename it, or give the stack another name"
    )]
    Foreign {
        /// What the cloud knows it by.
        identity: String,
    },
    /// The name turned out to be that of another resource, which goes later.
    #[error("`{identity}` is still recorded at {by}, which goes; apply again once it has gone")]
    Held {
        /// What the cloud knows it by.
        identity: String,
        /// Who has the name.
        by: Address,
    },
    /// An output that should be there is not.
    #[error("it needs {0}, which is not known")]
    Unresolved(String),
    /// The state could not be written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// How it ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Steps done and recorded.
    pub done: usize,
    /// Steps that failed, and why.
    pub failed: Vec<(Address, StepError)>,
    /// Steps that did not begin, because of those or because the apply was cancelled.
    pub skipped: usize,
    /// The program's outputs.
    pub outputs: BTreeMap<String, Value>,
}

/// Whether applying `plan` does or writes anything, where the state was `stored` and the cloud says `prior`.
pub fn is_needed(plan: &Plan, stored: &Snapshot, prior: &Snapshot) -> bool {
    !plan.steps.is_empty() || stored != prior || outputs(plan, prior) != prior.outputs
}

/// Applies `plan` to the cloud, recording every step through `recorder`.
pub async fn apply(
    plan: &Plan,
    provider: &Provider,
    recorder: &Recorder,
    options: &Options,
    observer: Observer<'_>,
) -> Result<Outcome, StateError> {
    let mut outcome = Outcome::default();
    let mut schedule = Schedule::new(&plan.steps);
    let mut running = FuturesUnordered::new();
    loop {
        while running.len() < options.parallel.max(1) && !options.cancel.is_cancelled() {
            let Some(id) = schedule.next() else { break };
            let step = &plan.steps[id];
            observer(Event::Started(step));
            running.push(async move { (id, step::run(step, provider, recorder, &options.cancel, observer).await) });
        }
        let Some((id, result)) = running.next().await else { break };
        let step = &plan.steps[id];
        match result {
            Ok(()) => {
                observer(Event::Done(step));
                outcome.done += 1;
                schedule.done(id);
            }
            Err(error) => {
                observer(Event::Failed(step, &error));
                outcome.failed.push((step.address.clone(), error));
            }
        }
    }
    outcome.skipped = plan.steps.len() - outcome.done - outcome.failed.len();
    if outcome.failed.is_empty() && outcome.skipped == 0 {
        outcome.outputs = recorder.read(|snapshot| outputs(plan, snapshot));
        recorder.outputs(&outcome.outputs).await?;
    }
    Ok(outcome)
}

/// The program's outputs, from what is recorded. After a part of the program those that are not known are left as they
/// were.
fn outputs(plan: &Plan, snapshot: &Snapshot) -> BTreeMap<String, Value> {
    let resolved = |value| resolve(value, &|reference| snapshot.output(reference));
    let outputs = plan.outputs.iter().map(|(name, value)| (name.clone(), resolved(value)));
    if plan.partial.is_none() {
        return outputs.collect();
    }
    let mut known = snapshot.outputs.clone();
    known.extend(outputs.filter(|(_, value)| !is_unknown(value)));
    known
}

/// Which steps may run: those whose predecessors are recorded.
struct Schedule {
    waits: Vec<usize>,
    followers: Vec<Vec<usize>>,
    ready: std::collections::VecDeque<usize>,
}

impl Schedule {
    fn new(steps: &[Step]) -> Self {
        let mut followers = vec![Vec::new(); steps.len()];
        for (id, step) in steps.iter().enumerate() {
            for &earlier in &step.after {
                followers[earlier].push(id);
            }
        }
        let waits: Vec<usize> = steps.iter().map(|step| step.after.len()).collect();
        let ready = (0..steps.len()).filter(|&id| waits[id] == 0).collect();
        Schedule { waits, followers, ready }
    }

    fn next(&mut self) -> Option<usize> {
        self.ready.pop_front()
    }

    fn done(&mut self, id: usize) {
        for &follower in &self.followers[id] {
            self.waits[follower] -= 1;
            if self.waits[follower] == 0 {
                self.ready.push_back(follower);
            }
        }
    }
}

impl Operation {
    /// What the step does, in a word.
    pub fn verb(&self) -> &'static str {
        match self {
            Operation::Create(_) => "create",
            Operation::Update(_) => "update",
            Operation::Note(_) => "note",
            Operation::Delete | Operation::DeleteDeposed(_) => "delete",
            Operation::Forget | Operation::ForgetDeposed(_) => "forget",
        }
    }
}

#[cfg(test)]
mod tests;
