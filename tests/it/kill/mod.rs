//! Killed at every step: whatever call to the cloud an apply or a destroy is killed at, the same command run once more
//! succeeds without a question, and the cloud is exactly what the program declares.
//!
//! `lake` is the real binary, its stack any AWS for all that it knows; between it and the embedded cloud stands a proxy
//! ([`proxy`]) that counts calls. At the one that a [`Case`] names, nothing is forwarded any more and the process is
//! killed: before that call, or once the cloud has answered it. What is asked of the world after that stands in
//! [`verdict`]. Each case has a project and a cloud of its own, copied from what its [`Scenario`] starts from.
//!
//! Where the state lies in a bucket ([`bucket`]), its calls pass the proxy like all others.
//!
//! A test run that asks for nothing takes each kind of resource once, and each call to the bucket of a state. The rest
//! is asked for:
//!
//! ```sh
//! LAKE_KILL=all cargo test --release --test it -- kill::                  # every call of every scenario, in both modes
//! LAKE_KILL=all/7 cargo test --release --test it -- kill::                # every seventh of these cases
//! LAKE_KILL=all/7+2 cargo test --release --test it -- kill::              # every seventh, from the third on
//! LAKE_KILL=s3/7 cargo test --release --test it -- kill::                 # of the scenarios with state in a bucket
//! LAKE_KILL=create cargo test --release --test it -- kill::               # every call of one scenario
//! LAKE_KILL=create:137:after cargo test --release --test it -- kill::     # one case, by the number of its call
//! LAKE_KILL=create:iam.CreateRole#2:before cargo test …                   # or by its name, and how often it came
//! LAKE_KILL=s3-mixed:state.PutObject:seal#1:after cargo test …            # likewise, of the bucket of the state
//! LAKE_KILL_SEEDS=200 cargo test --release --test it -- kill::            # random kills and calls that go wrong, so many
//! LAKE_KILL_SEED=7 cargo test --release --test it -- kill::               # the one that a failure has named
//! ```
//!
//! Calls are concurrent, so that their numbers are those of one run, and the next may have two of them swapped.

mod bucket;
mod call;
mod drift;
mod faults;
mod inventory;
mod proxy;
mod scenario;
mod select;
mod stand;
mod verdict;
mod writes;

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    panic::AssertUnwindSafe,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use futures::FutureExt;
use lake::resource::aws::SCHEMAS;

use self::{
    call::Call,
    faults::Weather,
    proxy::{Behaviour, Mode, Point},
    scenario::{Action, Place, SCENARIOS, Scenario},
    select::{Case, Wish},
    stand::{Ended, Folders},
    verdict::{Complaint, Expected, converges, ends, expected},
};
use crate::faults::Dice;

/// Cases at once: each has a process and a cloud that wait for each other and for the disk.
const AT_ONCE: usize = 3;

/// Seeds of calls that go wrong, in a test run that asks for no number.
const SEEDS: u64 = 12;

/// A long run tells how it goes after so many cases.
const SAY_EVERY: usize = 100;

/// Kills of one command that is run again and again, at most.
const KILLS_MAX: u64 = 4;

/// The one that is begun with.
const CREATE: Scenario = Place::Folder.with(Action::Create);

/// A scenario, ready to be begun any number of times.
struct Prepared {
    scenario: Scenario,
    start: Folders,
    calls: Vec<Call>,
    expected: Expected,
}

impl Prepared {
    /// Makes it, and runs it once undisturbed.
    async fn new(scenario: Scenario, applied: &Folders) -> Prepared {
        let start = scenario.prepare(applied).await;
        let stand = start.copy().open().await;
        let (ran, calls) = stand.lake_through(Behaviour::Pass, scenario.command()).await;
        ran.ok();
        let expected = expected(scenario, &stand).await.unwrap_or_else(|complaint| panic!("{complaint}"));
        if scenario.action != Action::Destroy {
            ends(scenario, &stand).await.unwrap_or_else(|complaint| panic!("undisturbed: {complaint}"));
        }
        Prepared { scenario, start, calls, expected }
    }

    /// Kills, runs once more, and looks. Whether the call came at all.
    async fn killed(&self, case: &Case) -> Result<Option<Call>, Complaint> {
        let stand = self.start.copy().open().await;
        let behaviour = Behaviour::Stop(case.point.clone(), case.mode);
        let reached = match stand.lake_killed(behaviour, self.scenario.command()).await {
            Ended::Killed(call) => Some(call),
            Ended::ByItself(ran) if ran.code == 0 => None,
            Ended::ByItself(ran) => return Err(format!("undisturbed, it failed\n{}", ran.stderr)),
        };
        let looked = converges(self.scenario, &stand, &self.expected).await;
        looked.map_err(|complaint| match &reached {
            Some(call) => format!("killed {} {call}: {complaint}", case.mode.word()),
            None => format!("never killed: {complaint}"),
        })?;
        Ok(reached)
    }

    /// Kills, and kills what goes on, at calls of the seed's choice; then runs once more, and looks.
    async fn killed_again(&self, seed: u64) -> Result<(), Complaint> {
        let stand = self.start.copy().open().await;
        let mut dice = Dice::new(seed);
        let mut kills = Vec::new();
        for _ in 0..dice.within(2..KILLS_MAX + 1) {
            let call = dice.within(1..self.calls.len() as u64 + 1);
            let mode = if dice.one_in(2) { Mode::Before } else { Mode::After };
            let behaviour = Behaviour::Stop(Point::Number(usize::try_from(call).unwrap()), mode);
            match stand.lake_killed(behaviour, self.scenario.command()).await {
                Ended::Killed(call) => kills.push(format!("{} {call}", mode.word())),
                Ended::ByItself(ran) if ran.code == 0 => kills.push("not at all".to_owned()),
                Ended::ByItself(ran) => return Err(format!("killed {kills:?}, it failed\n{}", ran.stderr)),
            }
        }
        let looked = converges(self.scenario, &stand, &self.expected).await;
        looked.map_err(|complaint| format!("killed {}: {complaint}", kills.join(", then ")))
    }

    /// Lets calls go wrong: the command comes through, or says why not, and the next one does.
    async fn disturbed(&self, seed: u64) -> Result<(), Complaint> {
        let stand = self.start.copy().open().await;
        let (ran, _) = stand.lake_through(Behaviour::Faults(Weather::new(seed)), self.scenario.command()).await;
        let came_through = ran.code == 0;
        if !came_through && (ran.code != 1 || ran.stderr.trim().is_empty()) {
            return Err(format!("it ended with {} and says\n{}", ran.code, ran.stderr));
        }
        let told =
            || if came_through { String::new() } else { format!("; at first it had failed with\n{}", ran.stderr) };
        let looked = converges(self.scenario, &stand, &self.expected).await;
        looked.map_err(|complaint| format!("{complaint}{}", told()))
    }
}

fn prepare(scenarios: impl IntoIterator<Item = Scenario>) -> BTreeMap<Scenario, Prepared> {
    runtime().block_on(async {
        let (mut prepared, mut applied) = (BTreeMap::new(), BTreeMap::new());
        for scenario in scenarios.into_iter().collect::<BTreeSet<_>>() {
            let applied = match applied.entry(scenario.place) {
                Entry::Occupied(applied) => applied.into_mut(),
                Entry::Vacant(applied) => applied.insert(scenario.place.applied().await),
            };
            prepared.insert(scenario, Prepared::new(scenario, applied).await);
        }
        prepared
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// For whoever watches.
#[expect(clippy::print_stdout, reason = "for whoever watches the test with --nocapture")]
fn say(text: &str) {
    println!("{text}");
}

/// What a panic says.
fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}

/// Does `work` for each of `things`, [`AT_ONCE`] at a time; collects what they complain of.
fn for_each<T: Sync>(things: &[T], work: impl AsyncFn(&T) -> Result<(), Complaint> + Sync) -> Vec<Complaint> {
    let (next, complaints) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(things.len()) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(thing) = things.get(place) else { return };
                    if place > 0 && place.is_multiple_of(SAY_EVERY) {
                        say(&format!("{place} of {}", things.len()));
                    }
                    // A runtime of its own: what a case has left running ends with it.
                    let worked = runtime().block_on(AssertUnwindSafe(work(thing)).catch_unwind());
                    let complaint = match worked {
                        Ok(Ok(())) => continue,
                        Ok(Err(complaint)) => complaint,
                        Err(panic) => text(&*panic),
                    };
                    say(&complaint);
                    complaints.lock().unwrap().push(complaint);
                }
            });
        }
    });
    complaints.into_inner().unwrap()
}

#[test]
fn killed_at_any_call_it_goes_on_the_next_time_and_the_cloud_is_what_the_program_declares() {
    let wish = Wish::from(std::env::var("LAKE_KILL").ok().as_deref());
    let prepared = prepare(wish.scenarios());
    let calls = |scenario: Scenario| prepared[&scenario].calls.as_slice();
    let cases = wish.cases(calls);
    if wish == Wish::Kinds {
        let made = prepared.values().flat_map(|prepared| &prepared.calls).map(ToString::to_string).collect();
        assert_eq!(bucket::missing(&made), Vec::<&str>::new(), "these calls to the bucket of a state never come");
    }
    if let Some(created) = prepared.get(&CREATE) {
        let missing: Vec<&str> = SCHEMAS.iter().map(|it| it.kind).filter(|kind| !created.expected.has(kind)).collect();
        assert!(missing.is_empty(), "of these kinds the lake has nothing: {missing:?}");
    }
    let begun = Instant::now();
    let reached = AtomicUsize::new(0);
    let complaints = for_each(&cases, async |case: &Case| {
        let killed = prepared[&case.scenario].killed(case).await;
        reached.fetch_add(usize::from(matches!(killed, Ok(Some(_)))), Ordering::Relaxed);
        killed.map(drop).map_err(|complaint| format!("{case}: {complaint}\nrepeat it with: {}", case.command()))
    });
    let seconds = begun.elapsed().as_secs();
    for (scenario, prepared) in &prepared {
        let count = cases.iter().filter(|case| case.scenario == *scenario).count();
        say(&format!("{}: {} calls, {count} cases", scenario.name(), prepared.calls.len()));
    }
    let reached = reached.into_inner();
    say(&format!("{} cases in {seconds} s, {reached} of them killed, {} failed", cases.len(), complaints.len()));
    assert!(complaints.is_empty(), "{} of {} cases failed\n{}", complaints.len(), cases.len(), complaints.join("\n\n"));
}

/// Does `work` for a scenario of each seed.
fn by_seed(name: &str, work: impl AsyncFn(&Prepared, u64) -> Result<(), Complaint> + Sync) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match (number("LAKE_KILL_SEED"), number("LAKE_KILL_SEEDS")) {
        (Some(seed), runs) => seed..seed + runs.unwrap_or(1),
        (None, runs) => 1..runs.unwrap_or(SEEDS) + 1,
    };
    let scenario = |seed: u64| SCENARIOS[usize::try_from(seed).unwrap() % SCENARIOS.len()];
    let seeds: Vec<u64> = seeds.collect();
    let prepared = prepare(seeds.iter().map(|seed| scenario(*seed)));
    let begun = Instant::now();
    let complaints = for_each(&seeds, async |seed: &u64| {
        let worked = AssertUnwindSafe(work(&prepared[&scenario(*seed)], *seed)).catch_unwind().await;
        worked.unwrap_or_else(|panic| Err(text(&*panic))).map_err(|complaint| {
            let repeat = format!("LAKE_KILL_SEED={seed} cargo test --release --test it -- kill::{name}");
            format!("{} under seed {seed}: {complaint}\nrepeat it with: {repeat}", scenario(*seed).name())
        })
    });
    let (count, seconds) = (seeds.len(), begun.elapsed().as_secs());
    say(&format!("{name}: {count} seeds in {seconds} s, {} failed", complaints.len()));
    assert!(complaints.is_empty(), "{} of {count} seeds failed\n{}", complaints.len(), complaints.join("\n\n"));
}

#[test]
fn killed_again_and_again_it_still_goes_on_and_the_cloud_is_what_the_program_declares() {
    by_seed("killed_again", async |prepared: &Prepared, seed| prepared.killed_again(seed).await);
}

#[test]
fn calls_that_are_dropped_doubled_delayed_or_throttled_are_put_right_by_the_next_run() {
    by_seed("calls", async |prepared: &Prepared, seed| prepared.disturbed(seed).await);
}

#[test]
fn an_engine_that_forgot_what_it_began_would_be_found_out() {
    let prepared = prepare([CREATE]);
    runtime().block_on(async {
        let prepared = &prepared[&CREATE];
        let stand = prepared.start.copy().open().await;
        let behaviour = Behaviour::Stop(Point::Named("sqs.CreateQueue".to_owned(), 1), Mode::After);
        assert!(matches!(stand.lake_killed(behaviour, prepared.scenario.command()).await, Ended::Killed(_)));
        std::fs::remove_dir_all(stand.folders.project().join("state")).unwrap();
        let complaint = converges(prepared.scenario, &stand, &prepared.expected).await.unwrap_err();
        assert!(complaint.contains("+ queue shop-local-dead-letters-HASH"), "{complaint}");
    });
}
