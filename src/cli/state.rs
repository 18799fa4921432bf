//! `lake state`

use clap::Subcommand;
use serde_json::json;

use crate::{
    resource::Address,
    state::{Snapshot, verify},
};

use super::{context::Context, error::CliError};

/// Looks into the stack's state.
///
/// Example: lake state list
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists the recorded resources.
    List,
    /// Shows one recorded resource.
    Show {
        /// Its address, as `list` shows it.
        address: Address,
    },
    /// Checks that the state is sound.
    Verify,
    Unlock(super::state_unlock::Args),
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    if let Command::Unlock(args) = args.command {
        return super::state_unlock::run(args, context).await;
    }
    let config = context.config()?;
    let stack = context.stack(&config)?;
    let loaded = context.store(stack).await?.load().await?.ok_or_else(|| {
        CliError::failed(format!("stack `{}` has no state yet", stack.name)).hint("apply it with `lake apply`")
    })?;
    let snapshot = loaded.snapshot;
    match &args.command {
        Command::List => list(&snapshot, context),
        Command::Show { address } => show(&snapshot, address, context),
        Command::Verify => check(&snapshot, context),
        Command::Unlock(_) => Ok(()),
    }
}

fn list(snapshot: &Snapshot, context: &Context) -> Result<(), CliError> {
    let width = snapshot.resources.keys().map(|address| address.to_string().len()).max().unwrap_or(0);
    for (address, recorded) in &snapshot.resources {
        context.console.note(format!("{:width$}  {}", address.to_string(), recorded.identity));
    }
    for old in &snapshot.deposed {
        context.console.note(format!("{:width$}  {} (replaced, to be deleted)", old.address.to_string(), old.identity));
    }
    context.console.json(snapshot)
}

fn show(snapshot: &Snapshot, address: &Address, context: &Context) -> Result<(), CliError> {
    let recorded = snapshot.resources.get(address).ok_or_else(|| {
        CliError::failed(format!("{address} is not in the state")).hint("`lake state list` shows what is")
    })?;
    context.console.note(serde_json::to_string_pretty(recorded)?);
    context.console.json(recorded)
}

fn check(snapshot: &Snapshot, context: &Context) -> Result<(), CliError> {
    verify(snapshot).map_err(|error| CliError::failed(format!("the state is unsound: {error}")))?;
    let pending = snapshot.pending.len();
    context.console.note(format!(
        "sound: serial {}, {} resources, {} to be deleted, {pending} calls without a record",
        snapshot.serial,
        snapshot.resources.len(),
        snapshot.deposed.len(),
    ));
    context.console.json(&json!({ "sound": true, "serial": snapshot.serial, "pending": pending }))
}
