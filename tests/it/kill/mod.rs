//! Killed at every step: whatever call to the cloud an apply or a destroy is killed at, the same command run once more
//! succeeds without a question, and the cloud is exactly what the program declares.
//!
//! `lake` is the real binary, its stack any AWS for all that it knows; between it and the embedded cloud stands a proxy
//! ([`proxy`]) that counts calls. At the one that a [`Case`] names, nothing is forwarded any more and the process is
//! killed: before that call, or once the cloud has answered it. What is asked of the world after that stands in
//! [`verdict`]. Each case has a project and a cloud of its own, copied from what its [`Scenario`] starts from.
//!
//! A test run that asks for nothing takes each kind of resource once. The rest is asked for:
//!
//! ```sh
//! LAKE_KILL=all cargo test --release --test it -- kill::                  # every call of every scenario, in both modes
//! LAKE_KILL=all/7 cargo test --release --test it -- kill::                # every seventh of these cases
//! LAKE_KILL=create cargo test --release --test it -- kill::               # every call of one scenario
//! LAKE_KILL=create:137:after cargo test --release --test it -- kill::     # one case, by the number of its call
//! LAKE_KILL=create:iam.CreateRole#2:before cargo test …                   # or by its name, and how often it came
//! LAKE_KILL_SEEDS=200 cargo test --release --test it -- kill::            # calls that go wrong, from so many seeds
//! LAKE_KILL_SEED=7 cargo test --release --test it -- kill::               # from this one
//! ```
//!
//! Calls are concurrent, so that their numbers are those of one run, and the next may have two of them swapped.

mod call;
mod drift;
mod faults;
mod inventory;
mod proxy;
mod scenario;
mod select;
mod stand;
mod verdict;

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use futures::FutureExt;

use self::{
    call::Call,
    faults::Weather,
    proxy::Behaviour,
    scenario::{SCENARIOS, Scenario},
    select::{Case, Wish},
    stand::{Ended, Folders},
    verdict::{Complaint, Expected, converges, ends, expected},
};

/// Cases at once: each has a process and a cloud that wait for each other and for the disk.
const AT_ONCE: usize = 3;

/// Seeds of calls that go wrong, in a test run that asks for no number.
const SEEDS: u64 = 12;

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
        if scenario != Scenario::Destroy {
            ends(&stand).await.unwrap_or_else(|complaint| panic!("undisturbed: {complaint}"));
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

    /// Lets calls go wrong. Whether the command came through.
    async fn disturbed(&self, seed: u64) -> Result<bool, Complaint> {
        let stand = self.start.copy().open().await;
        let (ran, _) = stand.lake_through(Behaviour::Faults(Weather::new(seed)), self.scenario.command()).await;
        let came_through = ran.code == 0;
        if !came_through && (ran.code != 1 || ran.stderr.trim().is_empty()) {
            return Err(format!("it ended with {} and says\n{}", ran.code, ran.stderr));
        }
        let told =
            || if came_through { String::new() } else { format!("; at first it had failed with\n{}", ran.stderr) };
        let looked = converges(self.scenario, &stand, &self.expected).await;
        looked.map(|()| came_through).map_err(|complaint| format!("{complaint}{}", told()))
    }
}

fn prepare(scenarios: impl IntoIterator<Item = Scenario>) -> BTreeMap<Scenario, Prepared> {
    runtime().block_on(async {
        let applied = scenario::applied().await;
        let mut prepared = BTreeMap::new();
        for scenario in scenarios {
            prepared.insert(scenario, Prepared::new(scenario, &applied).await);
        }
        prepared
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A long run tells how it goes.
#[expect(clippy::print_stdout, reason = "for whoever watches the test with --nocapture")]
fn say(text: &str) {
    println!("{text}");
}

/// Does `work` for each of `things`, [`AT_ONCE`] at a time; collects what they complain of.
fn for_each<T: Sync>(things: &[T], work: impl AsyncFn(&T) -> Result<(), Complaint> + Sync) -> Vec<Complaint> {
    let (next, complaints) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(things.len()) {
            scope.spawn(|| {
                while let Some(thing) = things.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // A runtime of its own: what a case has left running ends with it.
                    let worked = runtime().block_on(AssertUnwindSafe(work(thing)).catch_unwind());
                    let complaint = match worked {
                        Ok(Ok(())) => continue,
                        Ok(Err(complaint)) => complaint,
                        Err(panic) => match panic.downcast_ref::<String>() {
                            Some(text) => text.clone(),
                            None => "it panicked".to_owned(),
                        },
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
    let (cases, begun) = (wish.cases(calls), Instant::now());
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

#[test]
fn calls_that_are_dropped_doubled_delayed_or_throttled_leave_nothing_that_the_next_run_does_not_put_right() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match (number("LAKE_KILL_SEED"), number("LAKE_KILL_SEEDS")) {
        (Some(seed), runs) => seed..seed + runs.unwrap_or(1),
        (None, runs) => 1..runs.unwrap_or(SEEDS) + 1,
    };
    let prepared = prepare(SCENARIOS);
    let (seeds, begun) = (seeds.collect::<Vec<_>>(), Instant::now());
    let came_through = AtomicUsize::new(0);
    let scenario = |seed: u64| SCENARIOS[usize::try_from(seed).unwrap() % SCENARIOS.len()];
    let complaints = for_each(&seeds, async |seed: &u64| {
        let disturbed = prepared[&scenario(*seed)].disturbed(*seed).await;
        let repeat = format!("LAKE_KILL_SEED={seed} cargo test --release --test it -- kill::calls");
        let disturbed = disturbed.map_err(|complaint| {
            format!("{} under seed {seed}: {complaint}\nrepeat it with: {repeat}", scenario(*seed).name())
        })?;
        came_through.fetch_add(usize::from(disturbed), Ordering::Relaxed);
        Ok(())
    });
    let (count, seconds) = (seeds.len(), begun.elapsed().as_secs());
    let came_through = came_through.into_inner();
    say(&format!("{count} seeds in {seconds} s: {came_through} came through at once, {} failed", complaints.len()));
    assert!(complaints.is_empty(), "{} of {count} seeds failed\n{}", complaints.len(), complaints.join("\n\n"));
}
