//! Runs cases: commands as `lake` runs them, and what must be true after each.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::{
    case::{Aim, Case, Command, Drift, Layout, Round, Trouble},
    cloud::{Cloud, Key, Thing, key_of},
    disk::Disk,
    kinds::{KEYED, LONE, NAMED, SCHEMAS, address, kind_of, schemas},
    prior,
    shared::Shared,
};
use crate::{
    apply::{Options, Outcome, Recorder, StepError, apply, is_needed},
    plan::{Action, Inputs, Pattern, Plan, PlanError, Scope, plan, plan_within},
    provider::ErrorKind,
    refresh::{RefreshError, refresh},
    resource::{Ownership, Program, resolve},
    state::{
        Snapshot,
        store::{StateError, Store},
    },
};

/// What must be true is, or what is not.
pub type Check = Result<(), String>;

macro_rules! ensure {
    ($holds:expr, $($otherwise:tt)+) => {
        if !$holds {
            return Err(format!($($otherwise)+));
        }
    };
}

/// Runs a case to its end.
pub fn check(case: &Case) -> Check {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(&case.prior, &case.marks).await;
        for (number, round) in case.rounds.iter().enumerate() {
            world.round(round).await.map_err(|why| format!("round {number}: {why}\n{}", world.told().join("\n")))?;
        }
        world.settle(&case.last, case.refreshed).await.map_err(|why| format!("{why}\n{}", world.told().join("\n")))
    })
}

/// A cloud, a disk, and what is known to stay.
pub struct World {
    shared: Arc<Shared>,
    pub cloud: Arc<Cloud>,
    store: Store,
    /// Left in the cloud on purpose.
    left: BTreeSet<Key>,
    log: Vec<String>,
}

/// How a command ended that was not killed.
pub struct Ended {
    pub plan: Plan,
    pub outcome: Option<Outcome>,
    cancelled: bool,
}

/// Why a command did not get to its end.
#[derive(Debug)]
pub enum Stopped {
    Refresh(RefreshError),
    Plan(PlanError),
    State(#[expect(dead_code, reason = "told when a case fails")] StateError),
}

impl World {
    pub async fn new(layout: &Layout, marks: &[super::case::Mark]) -> Self {
        let shared: Arc<Shared> = Arc::default();
        let disk = Disk::new(&shared);
        let cloud = Cloud::new(&shared, &disk);
        let store = Store::new(disk);
        let (snapshot, left) = prior::build(layout, marks, &cloud);
        shared.begin(&Trouble::default());
        let lock = store.lock("plan").await.unwrap();
        store.create(&lock, &snapshot).await.expect("the state to begin with is sound");
        let world = World { shared, cloud, store, left, log: Vec::new() };
        world.mark_left();
        world
    }

    /// What happened, for who reads a failure.
    pub fn told(&self) -> Vec<String> {
        self.log.iter().cloned().chain(self.cloud.calls.lock().unwrap().iter().cloned()).collect()
    }

    /// The state as a crash would leave it now; refused when it is not sound.
    pub async fn state(&self) -> Result<Snapshot, String> {
        let loaded = self.store.load().await.map_err(|error| format!("the state is not sound: {error}"))?;
        Ok(loaded.ok_or("there is no state any more")?.snapshot)
    }

    async fn round(&mut self, round: &Round) -> Check {
        let program = match round.command {
            Command::Destroy => Program::default(),
            _ => round.program.program(),
        };
        for drift in &round.drifts {
            self.drift(*drift, &round.program, &program).await?;
        }
        let scope = scope(&round.program, &round.aims);
        let ended = self.run(round.command, &program, &scope, &round.trouble).await?;
        let outcome = ended.and_then(|ended| ended.outcome);
        let is_done = outcome.is_some_and(|outcome| outcome.failed.is_empty() && outcome.skipped == 0);
        if !is_done || !scope.replaces.is_empty() {
            return Ok(());
        }
        let again = self.run(Command::Plan, &program, &scope, &Trouble::default()).await?;
        let left = again.map_or_else(Vec::new, |ended| ended.plan.steps);
        ensure!(left.is_empty(), "the same again has something to do: {left:#?}");
        Ok(())
    }

    /// Runs a command to its end or its death, and checks what it leaves.
    pub async fn run(
        &mut self,
        command: Command,
        program: &Program,
        scope: &Scope,
        trouble: &Trouble,
    ) -> Result<Option<Ended>, String> {
        self.shared.begin(trouble);
        let before = self.state().await?;
        let (store, cloud, shared) = (self.store.clone(), Arc::clone(&self.cloud), Arc::clone(&self.shared));
        let parallel = usize::from(trouble.parallel.max(1));
        let running = execute(command, program, scope, parallel, store, cloud, &shared);
        let ended = tokio::select! {
            biased;
            () = shared.death() => None,
            ended = running => Some(ended),
        };
        self.shared.begin(&Trouble::default());
        let how = ended.as_ref().map_or("killed".to_owned(), |ended| match ended {
            Ok(ended) => format!("ended: {:?}", ended.outcome),
            Err(stopped) => format!("stopped: {stopped:?}"),
        });
        self.log.push(format!("{command:?}: {how}"));
        if let Some(violation) = self.shared.violations.lock().unwrap().first() {
            return Err(format!("a rule was broken: {violation}"));
        }
        let state = self.state().await?;
        self.note_forgotten(&before, &state);
        match ended {
            None => Ok(None),
            Some(Ok(ended)) => self.check_outcome(&ended, trouble).map(|()| Some(ended)),
            Some(Err(stopped)) => allowed(&stopped, trouble).map(|()| None),
        }
    }

    /// What is retained and leaves the state is left in the cloud on purpose, until it is known again.
    fn note_forgotten(&mut self, before: &Snapshot, after: &Snapshot) {
        let known: BTreeSet<Key> = after.known().map(|recorded| key_of(recorded)).collect();
        let began = before.pending.iter().map(|intent| &intent.planned);
        let were = before.known().map(AsRef::as_ref).chain(began).filter(|recorded| recorded.retain);
        self.left.extend(were.map(key_of));
        self.left.retain(|key| !known.contains(key));
        self.mark_left();
    }

    fn mark_left(&self) {
        let mut things = self.cloud.things.lock().unwrap();
        things.iter_mut().filter(|(key, _)| self.left.contains(*key)).for_each(|(_, thing)| thing.left = true);
    }

    fn check_outcome(&self, ended: &Ended, trouble: &Trouble) -> Check {
        let Some(outcome) = &ended.outcome else { return Ok(()) };
        for (address, error) in &outcome.failed {
            let allowed = match error {
                // Who is interrupted does not try again.
                StepError::Provider(error) if error.kind == ErrorKind::NotYet => ended.cancelled,
                StepError::Provider(error) => error.kind == ErrorKind::Unreachable,
                StepError::Foreign { identity } => {
                    let key = (kind_of(address.kind()), identity.clone());
                    let things = self.cloud.things.lock().unwrap();
                    things.get(&key).is_some_and(|thing| thing.foreign) || self.left.contains(&key)
                }
                StepError::State(_) => trouble.room.is_some(),
                StepError::Unresolved(_) | StepError::Held { .. } => false,
            };
            ensure!(allowed, "{address} failed: {error}");
        }
        let stopped = !outcome.failed.is_empty() || ended.cancelled;
        ensure!(stopped || outcome.skipped == 0, "steps wait for each other: {:#?}", ended.plan.steps);
        Ok(())
    }

    /// Whatever somebody else does.
    async fn drift(&mut self, drift: Drift, layout: &Layout, program: &Program) -> Check {
        let state = self.state().await?;
        let known: Vec<Key> = {
            let things = self.cloud.things.lock().unwrap();
            let mut known: Vec<Key> = state.known().map(|recorded| key_of(recorded)).collect();
            known.retain(|key| things.contains_key(key));
            known
        };
        let chosen = |place: u8| known.get(usize::from(place) % known.len().max(1));
        match drift {
            Drift::Delete(place) => {
                if let Some(key) = chosen(place) {
                    self.cloud.take(key);
                    self.log.push(format!("somebody deletes {key:?}"));
                }
            }
            Drift::Change(place) => {
                if let Some(key) = chosen(place) {
                    let mut things = self.cloud.things.lock().unwrap();
                    let thing = things.get_mut(key).expect("it is known to be there");
                    thing.inputs.insert("value".to_owned(), json!(99));
                    thing.version += 1;
                    self.log.push(format!("somebody changes {key:?}"));
                }
            }
            Drift::Foreign(slot) => self.make_foreign(usize::from(slot), layout, program, &state),
        }
        Ok(())
    }

    /// Makes something that is not ours under the name that a slot is going to have.
    fn make_foreign(&mut self, slot: usize, layout: &Layout, program: &Program, state: &Snapshot) {
        let Some(address) = address(layout, slot) else { return };
        let kind = kind_of(address.kind());
        let inputs = Inputs { program, prior: state, schemas: &schemas(), config_hash: "c" };
        let Ok(plan) = plan(inputs) else { return };
        let is_new =
            |action| matches!(action, Action::Create | Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst);
        let change = plan.changes.iter().find(|it| it.address == address && is_new(it.action));
        let Some(identity) = change.and_then(|change| change.identity.clone()) else { return };
        let key = (kind, identity);
        let is_ours = state.known().any(|it| key_of(it) == key)
            || state.pending.iter().any(|intent| key_of(&intent.planned) == key)
            || self.cloud.things.lock().unwrap().contains_key(&key);
        if is_ours || ![NAMED, KEYED, LONE].contains(&kind) {
            return;
        }
        let theirs = json!({ "value": 7, "shape": 7, "on": [] });
        let tags = match SCHEMAS[kind].ownership {
            Ownership::Tags => [("team".to_owned(), "other".to_owned())].into(),
            _ => Default::default(),
        };
        self.cloud.put(&key, theirs.as_object().expect("an object"), tags, true);
        self.log.push(format!("somebody makes {key:?}"));
    }

    /// Applies `program` without trouble. What somebody else has in the way is taken out of it by hand.
    pub async fn apply(&mut self, program: &Program) -> Result<Ended, String> {
        loop {
            let ended = self.run(Command::Apply, program, &Scope::default(), &Trouble::default()).await?;
            let ended = ended.ok_or("an apply without trouble stopped")?;
            let failed = ended.outcome.as_ref().map_or(&[][..], |outcome| &outcome.failed);
            let mut cleared = false;
            for (address, error) in failed {
                let StepError::Foreign { identity } = error else { return Err(format!("{address} failed: {error}")) };
                cleared |=
                    self.cloud.things.lock().unwrap().remove(&(kind_of(address.kind()), identity.clone())).is_some();
            }
            if !cleared {
                return Ok(ended);
            }
        }
    }

    /// One apply, and all is as declared; another has nothing to do; a destroy leaves nothing.
    pub async fn settle(&mut self, last: &Layout, refreshed: bool) -> Check {
        let program = last.program();
        if refreshed {
            self.run(Command::Refresh, &program, &Scope::default(), &Trouble::default()).await?;
        }
        self.apply(&program).await?;
        self.check_converged(last).await?;
        let calls = self.cloud.calls.lock().unwrap().len();
        let again = self.apply(&program).await?;
        ensure!(again.outcome.is_none(), "a second apply has something to do: {:#?}", again.plan);
        ensure!(self.cloud.calls.lock().unwrap().len() == calls, "a second apply calls");
        self.apply(&Program::default()).await?;
        self.check_alone(&BTreeSet::new())?;
        let state = self.state().await?;
        ensure!(state.is_empty(), "after a destroy the state has {state:#?}");
        Ok(())
    }

    /// The cloud has what is declared, as it is declared, and the state says so.
    pub async fn check_converged(&self, last: &Layout) -> Check {
        let state = self.state().await?;
        ensure!(state.pending.is_empty(), "pending: {:#?}", state.pending);
        ensure!(state.deposed.is_empty(), "deposed: {:#?}", state.deposed);
        let declared: Vec<_> = last.declared().into_iter().flatten().collect();
        ensure!(state.resources.len() == declared.len(), "the state has {:?}", state.resources.keys());
        let things = self.cloud.things.lock().unwrap().clone();
        let output = |reference: &crate::resource::Reference| {
            let key = key_of(state.resources.get(&reference.address)?);
            things.get(&key)?.outputs(&key).get(&reference.output).cloned()
        };
        let mut ours = BTreeSet::new();
        for declared in declared {
            let address = &declared.address;
            let recorded = state.resources.get(address).ok_or_else(|| format!("{address} is not in the state"))?;
            let key = key_of(recorded);
            let Thing { inputs, tags, .. } =
                things.get(&key).ok_or_else(|| format!("{address} is not in the cloud"))?;
            let resolved = |value: &Value| resolve(value, &output);
            let wanted = declared.inputs.unpack().iter().map(|(name, value)| (name.clone(), resolved(value))).collect();
            ensure!(*inputs == wanted, "{address} is {inputs:?} and not {wanted:?}");
            ensure!(
                recorded.inputs.unpack() == wanted,
                "{address} is recorded as {:?} and not {wanted:?}",
                recorded.inputs
            );
            ensure!(recorded.retain == declared.retain, "{address}: retain");
            ensure!(recorded.dependencies == declared.dependencies(), "{address}: {:?}", recorded.dependencies);
            ensure!(*tags == Cloud::tags(&state, recorded), "{address} bears {tags:?}");
            ours.insert(key);
        }
        drop(things);
        self.check_alone(&ours)
    }

    /// Nothing is in the cloud but `ours`, what is somebody else's, and what was left there on purpose.
    fn check_alone(&self, ours: &BTreeSet<Key>) -> Check {
        let things = self.cloud.things.lock().unwrap();
        let orphan =
            things.iter().find(|(key, thing)| !thing.foreign && !ours.contains(*key) && !self.left.contains(*key));
        ensure!(orphan.is_none(), "an orphan: {orphan:?}");
        Ok(())
    }
}

/// What `aims` ask for.
fn scope(layout: &Layout, aims: &[Aim]) -> Scope {
    let pattern = |slot: u8, kind: bool| -> Option<Pattern> {
        let address = address(layout, usize::from(slot))?;
        let text = if kind { format!("{}/*", address.kind()) } else { address.to_string() };
        text.parse().ok()
    };
    let mut scope = Scope::default();
    for aim in aims {
        match *aim {
            Aim::Target { slot, kind } => scope.targets.extend(pattern(slot, kind)),
            Aim::Exclude { slot, kind } => scope.excludes.extend(pattern(slot, kind)),
            Aim::Replace { slot } => scope.replaces.extend(pattern(slot, false)),
        }
    }
    scope
}

/// Whether a command may stop so.
fn allowed(stopped: &Stopped, trouble: &Trouble) -> Check {
    let allowed = match stopped {
        Stopped::Refresh(RefreshError::Provider { .. }) => trouble.read.is_some(),
        Stopped::Refresh(RefreshError::Foreign { .. }) => false,
        Stopped::Plan(error) => matches!(error, PlanError::Unmatched { .. }),
        Stopped::State(_) => trouble.room.is_some(),
    };
    ensure!(allowed, "it stopped: {stopped:?}");
    Ok(())
}

/// What `lake` does, from lock to release.
async fn execute(
    command: Command,
    program: &Program,
    scope: &Scope,
    parallel: usize,
    store: Store,
    cloud: Arc<Cloud>,
    shared: &Shared,
) -> Result<Ended, Stopped> {
    let provider = cloud.provider();
    let lock = Arc::new(store.lock("apply").await.map_err(Stopped::State)?);
    let stored = store.load().await.map_err(Stopped::State)?.expect("there is a state");
    let prior = refresh(stored.snapshot.clone(), &provider, parallel).await.map_err(Stopped::Refresh)?.snapshot;
    let inputs = Inputs { program, prior: &prior, schemas: provider.schemas(), config_hash: "c" };
    let plan = match command {
        Command::Refresh => plan_within(Inputs { program: &Program::default(), ..inputs }, &Scope::default()),
        _ => plan_within(inputs, scope),
    };
    let plan = plan.map_err(Stopped::Plan)?;
    let ended = Ended { plan, outcome: None, cancelled: false };
    *shared.plan.lock().unwrap() = Some(ended.plan.clone());
    match command {
        Command::Plan => return Ok(ended),
        Command::Refresh if prior == stored.snapshot => return Ok(ended),
        Command::Apply | Command::Destroy if !is_needed(&ended.plan, &stored.snapshot, &prior) => return Ok(ended),
        _ => {}
    }
    let recorder = Recorder::begin(&store, Arc::clone(&lock), stored, &prior, "apply").await.map_err(Stopped::State)?;
    let mut ended = ended;
    if command != Command::Refresh {
        let options = Options { parallel, cancel: shared.cancel.lock().unwrap().clone() };
        let outcome = apply(&ended.plan, &provider, &recorder, &options, &|_| {}).await.map_err(Stopped::State)?;
        ended.cancelled = options.cancel.is_cancelled();
        ended.outcome = Some(outcome);
    }
    let full = ended
        .outcome
        .as_ref()
        .is_some_and(|outcome| outcome.failed.iter().any(|(_, error)| matches!(error, StepError::State(_))));
    match recorder.close().await {
        Err(error) if !full => Err(Stopped::State(error)),
        _ => Ok(ended),
    }
}
