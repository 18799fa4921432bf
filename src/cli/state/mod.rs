//! `lake state`: one file a command.

mod history;
mod list;
mod mv;
mod recover;
mod repair;
mod rm;
mod show;
mod unlock;
mod verify;

use std::sync::Arc;

use clap::Subcommand;

use crate::{
    apply::Recorder,
    provider::{
        Provider,
        aws::{self, Assets},
    },
    refresh::{Prior, refresh},
    state::{
        Snapshot,
        store::{Loaded, Lock, Store},
    },
};

use super::{connect::connect, context::Context, control, error::CliError};

/// Looks into the stack's state, and changes it by hand.
///
/// Example: lake state list
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    History(history::Args),
    Verify(verify::Args),
    Mv(mv::Args),
    Rm(rm::Args),
    Repair(repair::Args),
    Recover(recover::Args),
    Unlock(unlock::Args),
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        Command::List(args) => list::run(&args, context).await,
        Command::Show(args) => show::run(&args, context).await,
        Command::History(args) => history::run(&args, context).await,
        Command::Verify(args) => verify::run(&args, context).await,
        Command::Mv(args) => mv::run(&args, context).await,
        Command::Rm(args) => rm::run(&args, context).await,
        Command::Repair(args) => repair::run(&args, context).await,
        Command::Recover(args) => recover::run(&args, context).await,
        Command::Unlock(args) => unlock::run(args, context).await,
    }
}

/// Where the stack's state is kept.
async fn store(context: &Context) -> Result<Store, CliError> {
    let config = context.config()?;
    context.store(context.stack(&config)?).await
}

/// The present state, or the one that had this serial.
async fn snapshot(context: &Context, at: Option<u64>) -> Result<Snapshot, CliError> {
    let store = store(context).await?;
    let Some(serial) = at else {
        let loaded = store.load().await?;
        return loaded.map(|loaded| loaded.snapshot).ok_or_else(|| no_state(context));
    };
    let history = store.past().await?;
    let found =
        history.at(serial).map_err(|error| CliError::failed(format!("the state of serial {serial}: {error}")))?;
    found.ok_or_else(|| match (history.first(), history.last()) {
        (Some(first), Some(last)) => CliError::failed(format!("the state of serial {serial} is not kept"))
            .hint(format!("kept are the serials {first} to {last}; `lake state history` shows what was done")),
        _ => no_state(context),
    })
}

fn no_state(context: &Context) -> CliError {
    CliError::failed(format!("stack `{}` has no state yet", context.stack_name()))
        .hint("apply it with `lake apply`; when its state was lost, `lake state recover` finds what there is")
}

/// A stack that a command is about to change by hand: ours alone, and as the cloud confirms it.
struct ByHand {
    store: Store,
    lock: Arc<Lock>,
    stored: Loaded,
    prior: Prior,
    provider: Provider,
    command: &'static str,
}

impl ByHand {
    async fn open(context: &Context, command: &'static str) -> Result<Self, CliError> {
        let config = context.config()?;
        let stack = context.stack(&config)?;
        let store = context.store(stack).await?;
        let lock = Arc::new(context.lock(&store, command).await?);
        let read = async {
            let stored = control::load(&store, &config, stack).await?.ok_or_else(|| no_state(context))?;
            let provider = aws::provider(&connect(context, stack).await?.sdk, Assets::default());
            let prior = refresh(stored.snapshot.clone(), &provider, context.parallel).await?;
            Ok::<_, CliError>((stored, provider, prior))
        };
        match read.await {
            Ok((stored, provider, prior)) => Ok(ByHand { store, lock, stored, prior, provider, command }),
            Err(error) => {
                lock.release().await?;
                Err(error)
            }
        }
    }

    /// Begins to write; what refreshing found comes first.
    async fn begin(&self) -> Result<Recorder, CliError> {
        let ByHand { store, lock, stored, prior, command, .. } = self;
        Ok(Recorder::begin(store, Arc::clone(lock), stored.clone(), &prior.snapshot, command).await?)
    }
}

/// What the names of damaged files end in: the time.
fn mark() -> String {
    jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}
