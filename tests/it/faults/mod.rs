//! Random faults under random work: nothing is lost, nothing is there twice, and every row is accounted for.
//!
//! Each run has a seed, and from it a plan of faults and a few things that people do meanwhile ([`Scenario`]). Then
//! the faults end, the sweep is run by hand until nothing waits, and everything that the ledger promises is compared
//! with what was put ([`verdict`]). A seed repeats plan and work, not the order in which concurrent requests come to
//! throw the dice.
//!
//! `LAKE_FAULT_RUNS=200 cargo test --release --test it -- faults::` makes 200 runs; `LAKE_FAULT_SEED=7` repeats one.

mod scenario;
mod shop;
mod verdict;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

pub use self::scenario::Dice;
use self::{scenario::Scenario, shop::Lake};

/// Runs of a test run that asks for no number: about a minute.
const RUNS: u64 = 12;

/// Clouds side by side: most of a run is waiting.
const CLOUDS: usize = 3;

/// What really happened, over all runs.
#[derive(Default)]
struct Tally {
    runs: u64,
    faults: BTreeMap<String, u64>,
    failures: Vec<String>,
}

#[test]
fn random_faults_lose_nothing_double_nothing_and_leave_every_row_accounted_for() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match (number("LAKE_FAULT_SEED"), number("LAKE_FAULT_RUNS")) {
        (Some(seed), runs) => seed..seed + runs.unwrap_or(1),
        (None, runs) => 1..runs.unwrap_or(RUNS) + 1,
    };
    let (next, tally, begun) = (AtomicU64::new(seeds.start), Mutex::new(Tally::default()), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..CLOUDS.min(usize::try_from(seeds.end - seeds.start).unwrap()) {
            scope.spawn(|| work(&next, seeds.end, &tally));
        }
    });
    let Tally { runs, faults, failures } = tally.into_inner().unwrap();
    let text: Vec<String> = faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
    say(&format!("{runs} runs in {:.0} s: {}", begun.elapsed().as_secs_f64(), text.join(", ")));
    assert!(failures.is_empty(), "{} of {runs} runs failed\n{}", failures.len(), failures.join("\n"));
}

/// Runs seeds on clouds of its own; one that failed takes its cloud with it.
fn work(next: &AtomicU64, end: u64, tally: &Mutex<Tally>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let claim = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < end);
    let mut claimed = claim();
    while let Some(first) = claimed {
        let mut lake = runtime.block_on(Lake::start());
        let mut scenarios = Vec::new();
        while let Some(seed) = claimed {
            let scenario = Scenario::new(seed);
            let begun = Instant::now();
            let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(lake.run(&scenario))));
            tally.lock().unwrap().runs += 1;
            say(&format!("seed {seed}: {:.1} s", begun.elapsed().as_secs_f64()));
            scenarios.push(seed);
            claimed = claim();
            if let Err(panic) = ran {
                let failure = failure(&lake, &scenario, &*panic);
                say(&failure);
                tally.lock().unwrap().failures.push(failure);
                break;
            }
        }
        let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(lake.end())));
        let mut tally = tally.lock().unwrap();
        for (fault, count) in &lake.happened {
            *tally.faults.entry(fault.clone()).or_default() += count;
        }
        if let Err(panic) = ended {
            let folder = lake.keep_logs(first);
            let failure = format!("after the seeds {scenarios:?}: {}\nlogs: {folder}", text(&*panic));
            say(&failure);
            tally.failures.push(failure);
        }
    }
}

/// A long run tells how it goes.
#[expect(clippy::print_stdout, reason = "for whoever watches the test with --nocapture")]
fn say(text: &str) {
    println!("{text}");
}

fn failure(lake: &Lake, scenario: &Scenario, panic: &(dyn std::any::Any + Send)) -> String {
    let Scenario { seed, plan, .. } = scenario;
    let folder = lake.keep_logs(*seed);
    format!(
        "seed {seed}: {}\nplan: {plan}\nbefore: {:?}\nsteps: {:?}\nlogs: {folder}\nrepeat it with: LAKE_FAULT_SEED={seed} cargo test --release --test it -- faults::",
        text(panic),
        scenario.before,
        scenario.steps,
    )
}

fn text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}
