//! `lake cloud`: the embedded AWS as a server in the background.

mod env;
mod faults;
/// How a server in the background is found.
pub mod files;
/// What is in a cloud, from its own listings.
pub mod inventory;
/// The server's process.
pub mod process;
mod relay;
mod reset;
mod serve;
mod start;
mod status;
mod stop;

use clap::Subcommand;

use super::{context::Context, error::CliError};

/// Starts, stops and inspects the embedded AWS, a server of this same program on 127.0.0.1.
///
/// Its data lie in the project's folder, under state/cloud/, and survive stops, starts and crashes. Commands that need
/// it start it by themselves.
///
/// Example: lake cloud start && eval "$(lake cloud env)" && aws s3 ls
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Start(start::Args),
    Stop(stop::Args),
    Status(status::Args),
    Reset(reset::Args),
    Env(env::Args),
    Faults(faults::Args),
    #[command(hide = true)]
    Serve(serve::Args),
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        Command::Start(args) => start::run(args, context).await,
        Command::Stop(args) => stop::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Reset(args) => reset::run(args, context).await,
        Command::Env(args) => env::run(args, context).await,
        Command::Faults(args) => faults::run(args, context).await,
        Command::Serve(args) => serve::run(args, context).await,
    }
}
