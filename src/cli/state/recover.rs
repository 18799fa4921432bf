//! `lake state recover`

use std::sync::Arc;

use serde_json::json;

use crate::{
    apply::Recorder,
    cli::{
        apply::confirm,
        connect::{Connection, connect},
    },
    config::{Config, OnDestroy, Stack},
    provider::{
        Provider,
        aws::{self, Assets},
    },
    recover::{Findings, Names, Recovered, rebuild, search},
    refresh::refresh,
    resource::{Address, Resource, aws::s3::Bucket},
    state::{
        Diagnosis, Remedy, Snapshot,
        store::{Loaded, Lock, StateError, Store},
    },
};

use super::{CliError, Context, control};

/// Makes a lost state again: what the stack has in the cloud is found by its tags, and what is part of that by what
/// lake.toml declares.
///
/// Run it with the lake.toml that was applied last. Names are looked for that lake gives; what was imported has another,
/// and is found with --any-name.
///
/// Example: lake state recover
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which one, when the cloud has resources of several states of this stack.
    #[arg(long, value_name = "ID")]
    lineage: Option<String>,
    /// Adds to the state that is there what it lacks.
    #[arg(long, conflicts_with = "lineage")]
    missing: bool,
    /// Looks at everything in the account, whatever its name.
    #[arg(long)]
    any_name: bool,
    /// Does not ask.
    #[arg(short, long)]
    yes: bool,
}

pub async fn run(args: &Args, context: &Context) -> Result<(), CliError> {
    let config = context.config()?;
    let stack = context.stack(&config)?;
    let store = context.store(stack).await?;
    let lock = Arc::new(context.lock(&store, "state recover").await?);
    let recovered = recover(args, context, (&config, stack), &store, &lock).await;
    let released = lock.release().await;
    let Recovered { snapshot, added, undeclared, missing } = recovered?;
    released?;
    context.console.note(format!("recovered: {} resources, lineage {}", added.len(), snapshot.lineage));
    context.console.json(&json!({
        "lineage": snapshot.lineage, "added": added, "undeclared": undeclared, "missing": missing,
        "deposed": snapshot.deposed.len(),
    }))
}

async fn recover(
    args: &Args,
    context: &Context,
    (config, stack): (&Config, &Stack),
    store: &Store,
    lock: &Arc<Lock>,
) -> Result<Recovered, CliError> {
    let present = present(args, store, &config.lake.name).await?;
    let connection = connect(context, stack).await?;
    let provider = aws::provider(&connection.sdk, Assets::default());
    let names = if args.any_name { Names::Any } else { Names::OfStack };
    let found = search(&provider, (&config.lake.name, &stack.name), names, context.parallel).await?;
    let begin = match &present {
        Present::Kept(loaded) => refresh(loaded.snapshot.clone(), &provider, context.parallel).await?.snapshot,
        Present::Empty(serial, _) => {
            let lineage = lineage(&found, args.lineage.as_deref(), stack)?;
            Snapshot { lineage, serial: *serial, ..Snapshot::new(&config.lake.name, &stack.name) }
        }
    };
    let recovered = put_together(context, (config, stack), &connection, &provider, &begin, &found).await?;
    tell(&recovered, &found, context);
    if recovered.added.is_empty() {
        return Ok(recovered);
    }
    confirm(context, args.yes, "Take this into the state?")?;
    let stored = match present {
        Present::Kept(loaded) => *loaded,
        Present::Empty(_, damaged) => {
            match damaged {
                Some(diagnosis) => store.mend(lock, &begin, &diagnosis, &super::mark()).await?,
                None => store.create(lock, &begin).await?,
            }
            let created = store.load().await?;
            created
                .ok_or_else(|| CliError::failed(format!("the state at {} is gone while it is made", store.name())))?
        }
    };
    let recorder = Recorder::begin(store, Arc::clone(lock), stored, &recovered.snapshot, "state recover").await?;
    recorder.close().await?;
    Ok(recovered)
}

/// What there is of a state.
enum Present {
    /// It is added to.
    Kept(Box<Loaded>),
    /// There is none, or nothing is in it or left of it. The serial that a new one begins with.
    Empty(u64, Option<Diagnosis>),
}

async fn present(args: &Args, store: &Store, lake: &str) -> Result<Present, CliError> {
    let loaded = match store.load().await {
        Ok(Some(loaded)) => loaded,
        Ok(None) => return Ok(Present::Empty(0, None)),
        Err(StateError::Damaged { place, source }) => {
            let diagnosis = store.diagnose().await?;
            if !matches!(diagnosis.remedy, Remedy::Lost) {
                let error = CliError::failed(format!("the state at {place} is damaged, not lost: {source}"));
                return Err(error.hint("`lake state repair` tells what can be done"));
            }
            return Ok(Present::Empty(0, Some(diagnosis)));
        }
        Err(error) => return Err(error.into()),
    };
    let snapshot = &loaded.snapshot;
    if snapshot.is_empty() && snapshot.tombstones.is_empty() && !args.missing {
        return Ok(Present::Empty(snapshot.serial + 1, None));
    }
    if !args.missing || snapshot.lake != lake {
        let count = snapshot.resources.len();
        let message =
            format!("there is a state at {}, of lake `{}`, with {count} resources", store.name(), snapshot.lake);
        return Err(CliError::failed(message)
            .hint("--missing adds to it what carries its tags in the cloud; `lake refresh` compares what it has"));
    }
    Ok(Present::Kept(Box::new(loaded)))
}

/// The lineage to recover.
fn lineage(found: &Findings, wanted: Option<&str>, stack: &Stack) -> Result<String, CliError> {
    let lineages = found.lineages();
    let told = || -> Vec<String> {
        lineages.iter().map(|(lineage, count)| format!("{lineage} ({count} resources)")).collect()
    };
    match (wanted, lineages.len()) {
        (_, 0) => Err(CliError::failed(format!("nothing in the cloud carries the tags of stack `{}`", stack.name))
            .hint("check its region and credentials; `lake apply` makes it anew")),
        (Some(wanted), _) if lineages.contains_key(wanted) => Ok(wanted.to_owned()),
        (Some(wanted), _) => Err(CliError::failed(format!("nothing in the cloud is of lineage {wanted}"))
            .hint(format!("there are: {}", told().join(", ")))),
        (None, 1) => Ok(lineages.keys().next().copied().unwrap_or_default().to_owned()),
        (None, _) => Err(CliError::failed("the cloud has resources of several states of this stack")
            .hint(format!("choose one with --lineage: {}", told().join(", ")))),
    }
}

/// The state, put together. What a transform makes of columns may depend on tables that are there, so that the program
/// is known for certain only once the stack is.
async fn put_together(
    context: &Context,
    (config, stack): (&Config, &Stack),
    connection: &Connection,
    provider: &Provider,
    begin: &Snapshot,
    found: &Findings,
) -> Result<Recovered, CliError> {
    // Data that the stack keeps are not deleted because nobody declares their bucket any more.
    let keeps = |address: &Address| stack.on_destroy == OnDestroy::Retain && address.kind() == Bucket::SCHEMA.kind;
    let program = control::program(context, config, stack, connection, None).await?;
    let recovered = rebuild(begin.clone(), found, &program, provider, keeps, context.parallel).await?;
    let known = control::program(context, config, stack, connection, Some(&recovered.snapshot)).await?;
    if known.resources() == program.resources() {
        return Ok(recovered);
    }
    Ok(rebuild(begin.clone(), found, &known, provider, keeps, context.parallel).await?)
}

fn tell(recovered: &Recovered, found: &Findings, context: &Context) {
    let console = &context.console;
    let Recovered { snapshot, added, undeclared, missing } = recovered;
    for address in added {
        match snapshot.resources.get(address) {
            Some(recorded) => console.note(format!("{address} ({})", recorded.identity)),
            None => console.note(format!("{address}, replaced and to be deleted")),
        }
    }
    if added.is_empty() {
        console.note("nothing was found that the state lacks");
    }
    for address in undeclared {
        console.note(format!("{address} is no longer declared: the next apply deletes it, or leaves what it keeps"));
    }
    if !missing.is_empty() {
        console.note(format!("{} declared resources are not there: the next apply makes them", missing.len()));
    }
    for kind in &found.unlisted {
        console.warn(format!("what there is of {kind} cannot be listed, and was not looked for"));
    }
}
