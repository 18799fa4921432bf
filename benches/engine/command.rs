//! What a measured process does: all that `lake plan`, `lake apply` and `lake destroy` do between reading their
//! arguments and printing, with a program and a provider of its own.

use std::{error::Error, fs, path::Path, process::ExitCode, sync::Arc};

use lake::{
    apply::{self, Options, PARALLEL_DEFAULT, Recorder},
    plan::{self, Plan},
    provider::Provider,
    refresh::{Prior, refresh},
    resource::Program,
    state::{
        Snapshot,
        store::{Loaded, Local, Lock, Store},
    },
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::{cloud::Cloud, shape};

/// The argument by which a process knows that it is measured.
pub const CHILD: &str = "measured";

/// Ticks of the processor times in `/proc`, a second (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

type Failure = Box<dyn Error>;

/// What a measured process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Plan,
    Apply,
    Destroy,
}

impl Verb {
    const ALL: [Verb; 3] = [Verb::Plan, Verb::Apply, Verb::Destroy];

    /// The command's name.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Plan => "plan",
            Verb::Apply => "apply",
            Verb::Destroy => "destroy",
        }
    }
}

/// What a measured process tells of itself.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Told {
    /// Its memory at its peak, with the cloud's.
    pub peak_bytes: u64,
    /// Time on all processors.
    pub processor_seconds: f64,
    /// Bytes that it wrote between taking the stack's lock and giving it back.
    pub written_bytes: u64,
}

/// The measured process: `apply 1000 0 FOLDER`.
#[expect(clippy::print_stderr, reason = "a measured process tells why it failed")]
pub fn main(arguments: &[String]) -> ExitCode {
    match measured(arguments) {
        Ok(told) => {
            println!("{}", serde_json::json!(told));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measured(arguments: &[String]) -> Result<Told, Failure> {
    let [verb, resources, changed, folder] = arguments else { return Err("expected VERB N CHANGED FOLDER".into()) };
    let verb = Verb::ALL.into_iter().find(|known| known.name() == verb).ok_or("no such verb")?;
    let (resources, changed) = (resources.parse()?, changed.parse()?);
    let written_bytes = tokio::runtime::Runtime::new()?.block_on(run(verb, resources, changed, Path::new(folder)))?;
    let (peak_bytes, processor_seconds) = (peak()?, processor_seconds()?);
    Ok(Told { peak_bytes, processor_seconds, written_bytes })
}

async fn run(verb: Verb, resources: usize, changed: usize, folder: &Path) -> Result<u64, Failure> {
    let file = folder.join("cloud");
    let cloud = Arc::new(Cloud::load(&file)?);
    let provider = cloud.provider();
    let store = Store::new(Local::new(folder.join("state")));
    let before = written()?;
    if verb == Verb::Plan {
        let loaded = store.load().await?.ok_or("nothing was applied")?;
        let program = shape::program(resources, changed);
        let (plan, prior) = planned(&loaded, &program, &provider).await?;
        if apply::is_needed(&plan, &loaded.snapshot, &prior.snapshot) || plan.unchanged != resources {
            return Err("the plan is to have no changes".into());
        }
        return Ok(written()? - before);
    }
    let lock = Arc::new(store.lock(verb.name()).await?);
    let loaded = load(&store, &lock).await?;
    let program = if verb == Verb::Apply { shape::program(resources, changed) } else { Program::default() };
    let (plan, prior) = planned(&loaded, &program, &provider).await?;
    drop(program);
    let recorder = Recorder::begin(&store, Arc::clone(&lock), loaded, &prior.snapshot, verb.name()).await?;
    let options = Options { parallel: PARALLEL_DEFAULT, cancel: CancellationToken::new() };
    let outcome = apply::apply(&plan, &provider, &recorder, &options, &|_| {}).await?;
    recorder.close().await?;
    lock.release().await?;
    let written = written()? - before;
    let expected = if verb == Verb::Apply { resources } else { 0 };
    if !outcome.failed.is_empty() || cloud.count() != expected {
        return Err(format!("{} things are in the cloud; {:?}", cloud.count(), outcome.failed).into());
    }
    cloud.save(&file)?;
    Ok(written)
}

/// The state; a new stack's is written at once.
async fn load(store: &Store, lock: &Lock) -> Result<Loaded, Failure> {
    if let Some(loaded) = store.load().await? {
        return Ok(loaded);
    }
    store.create(lock, &Snapshot::new("bench", "local")).await?;
    Ok(store.load().await?.ok_or("the state is gone")?)
}

async fn planned(loaded: &Loaded, program: &Program, provider: &Provider) -> Result<(Plan, Prior), Failure> {
    let prior = refresh(loaded.snapshot.clone(), provider, PARALLEL_DEFAULT).await?;
    let inputs = plan::Inputs { program, prior: &prior.snapshot, schemas: provider.schemas(), config_hash: "the same" };
    Ok((plan::plan(inputs)?, prior))
}

/// Most memory that this process ever had.
fn peak() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// Bytes that this process has written to any file.
fn written() -> Result<u64, Failure> {
    let io = fs::read_to_string("/proc/self/io")?;
    Ok(io.lines().find_map(|line| line.strip_prefix("wchar: ")).ok_or("no wchar")?.parse()?)
}

/// Processor time of this process, its own and the system's for it: the 14th and 15th of its numbers.
fn processor_seconds() -> Result<f64, Failure> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, numbers) = stat.rsplit_once(") ").ok_or("no stat")?;
    let ticks: Result<Vec<f64>, _> = numbers.split(' ').skip(11).take(2).map(str::parse).collect();
    Ok(ticks?.iter().sum::<f64>() / TICKS)
}
