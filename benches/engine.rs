//! What the engine costs by itself: whole processes that plan, apply and destroy programs of many resources in chains
//! of ten, against a cloud in memory and with the state on this machine's disk; and Terraform with the same shape,
//! when it is on the PATH. `cargo bench --bench engine`; with `-- --long` also what takes minutes of Terraform.
#![expect(clippy::print_stdout, reason = "a benchmark prints its tables")]

#[path = "engine/cloud.rs"]
mod cloud;
#[path = "engine/command.rs"]
mod command;
#[path = "engine/shape.rs"]
mod shape;
#[path = "engine/terraform.rs"]
mod terraform;

use std::{
    path::Path,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use command::{Told, Verb};

/// The allocator of the lake binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Times that each measurement is made; the median counts.
const ROUNDS: usize = 5;
/// Programs that are applied from nothing, and destroyed.
const APPLIED: &[usize] = &[1_000, 2_000, 5_000, 10_000];
/// Programs that are planned without changes, applied once before.
const PLANNED: &[usize] = &[1_000, 10_000, 100_000];
/// Resources that change in an apply of many.
const CHANGED: &[usize] = &[10, 100, 1_000];
/// How many there are then.
const CHANGED_OF: usize = 10_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == command::CHILD) {
        return command::main(&arguments[1..]);
    }
    let long = arguments.iter().any(|argument| argument == "--long");
    let applied = from_nothing();
    changes();
    let planned = without_changes();
    terraform::side_by_side(&applied, &planned, long);
    ExitCode::SUCCESS
}

/// What was measured of one process, or the median of several.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Resources of its program.
    pub resources: usize,
    /// From its start to its end.
    pub wall: Duration,
    /// What it tells of itself.
    pub told: Told,
}

/// Runs this program as `verb` in a process of its own.
fn run(verb: Verb, resources: usize, changed: usize, folder: &Path) -> Measured {
    let program = std::env::current_exe().expect("a program knows where it lies");
    let mut command = Command::new(program);
    command.args([command::CHILD, verb.name(), &resources.to_string(), &changed.to_string()]).arg(folder);
    let begun = Instant::now();
    let output = command.output().expect("this program runs again");
    let wall = begun.elapsed();
    assert!(output.status.success(), "{}: {}", verb.name(), String::from_utf8_lossy(&output.stderr));
    let told = serde_json::from_slice(&output.stdout).expect("a measured process tells what it used");
    Measured { resources, wall, told }
}

/// The median by time.
fn median(mut rounds: Vec<Measured>) -> Measured {
    rounds.sort_by_key(|measured| measured.wall);
    rounds[rounds.len() / 2]
}

fn folder() -> tempfile::TempDir {
    // Not in memory, as /tmp may be: every group of edits is synced to a disk.
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder beside what is built")
}

/// Applies and destroys from nothing to nothing.
fn from_nothing() -> Vec<Measured> {
    let mut medians = Vec::new();
    println!("| | resources | time | a resource | processor | peak memory | written | a resource |");
    println!("|---|---|---|---|---|---|---|---|");
    let mut destroyed = Vec::new();
    for &resources in APPLIED {
        let (mut applies, mut destroys) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let folder = folder();
            applies.push(run(Verb::Apply, resources, 0, folder.path()));
            destroys.push(run(Verb::Destroy, resources, 0, folder.path()));
        }
        let apply = median(applies);
        row("apply from nothing", apply, resources);
        medians.push(apply);
        destroyed.push(median(destroys));
    }
    for destroy in destroyed {
        row("destroy", destroy, destroy.resources);
    }
    medians
}

/// Applies that change some of many.
fn changes() {
    let folder = folder();
    run(Verb::Apply, CHANGED_OF, 0, folder.path());
    for &changed in CHANGED {
        // Back and forth between two sets of values.
        let rounds = (0..ROUNDS).map(|_| {
            let there = run(Verb::Apply, CHANGED_OF, changed, folder.path());
            run(Verb::Apply, CHANGED_OF, 0, folder.path());
            there
        });
        row(&format!("apply of {changed} changes"), median(rounds.collect()), changed);
    }
}

fn without_changes() -> Vec<Measured> {
    let mut medians = Vec::new();
    for &resources in PLANNED {
        let folder = folder();
        let applied = run(Verb::Apply, resources, 0, folder.path());
        if !APPLIED.contains(&resources) {
            row("apply from nothing (once)", applied, resources);
        }
        let rounds = (0..ROUNDS).map(|_| run(Verb::Plan, resources, 0, folder.path()));
        let planned = median(rounds.collect());
        row("plan without changes", planned, resources);
        medians.push(planned);
    }
    println!();
    medians
}

/// One line of the table. What each resource costs is by those that change, when there are any.
fn row(what: &str, measured: Measured, changed: usize) {
    let Measured { resources, wall, told } = measured;
    let each = |sum: f64| sum / changed as f64;
    println!(
        "| {what} | {resources} | {:.3} s | {:.1} µs | {:.2} s | {} MB | {} | {} |",
        wall.as_secs_f64(),
        each(wall.as_secs_f64() * 1e6),
        told.processor_seconds,
        told.peak_bytes / 1_000_000,
        kilobytes(told.written_bytes as f64),
        kilobytes(each(told.written_bytes as f64)),
    );
}

fn kilobytes(bytes: f64) -> String {
    if bytes < 10_000.0 { format!("{bytes:.0} B") } else { format!("{:.0} kB", bytes / 1000.0) }
}
