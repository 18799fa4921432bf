//! The command line: one file a command (its arguments, and `run`). The only room that prints, and with the Lambda
//! bootstrap the only one that reads the environment.

mod apply;
mod backfill;
pub mod cloud;
mod connect;
mod console;
mod context;
mod control;
mod convert;
mod counts;
mod demo;
mod deployed;
mod destroy;
mod dialect;
mod differences;
mod error;
mod follow;
mod graph;
mod import;
mod interrupts;
mod keep;
mod logs;
mod new;
mod outputs;
mod plan;
mod plugin;
mod progress;
mod put;
mod ranged;
mod refresh;
mod render;
mod retry;
mod rows;
mod runs;
mod scope;
mod show;
mod stale;
mod state;
mod status;
mod table;
mod transfer;
mod transforms;

use std::process::ExitCode;

use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use clap::{Parser, Subcommand, error::ErrorKind};

use crate::{
    failpoint,
    provider::{self, aws::classify},
};

use console::Console;
use context::{Context, Global};
use error::CliError;

/// Exit code: done.
const EXIT_DONE: u8 = 0;
/// Exit code: failed.
const EXIT_FAILED: u8 = 1;
/// Exit code of `plan --detailed-exitcode`: changes pending.
const EXIT_CHANGES: u8 = 2;
/// Exit code: the command line itself is wrong (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;

/// A serverless data lake in one binary: CSV files in, typed Parquet tables out.
///
/// Example: lake new my-lake && cd my-lake && lake apply --yes && lake put flights data/*.csv --wait
#[derive(Debug, Parser)]
#[command(name = "lake", version, max_term_width = 100, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    New(new::Args),
    Plan(plan::Args),
    Apply(apply::Args),
    Destroy(destroy::Args),
    Graph(graph::Args),
    Refresh(refresh::Args),
    Import(import::Args),
    Outputs(outputs::Args),
    State(state::Args),
    Put(put::Args),
    Status(status::Args),
    Runs(runs::Args),
    Logs(logs::Args),
    Retry(retry::Args),
    Backfill(backfill::Args),
    Show(show::Args),
    Convert(convert::Args),
    Plugin(plugin::Args),
    Cloud(cloud::Args),
}

/// Parses the command line, runs the command, and tells how it went.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let console = Console::new(&cli.global);
    let context = Context::new(cli.global, console);
    context.init_tracing();
    if let Err(error) = arm_failpoint() {
        context.console.error(&error);
        return error.exit_code().into();
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            context.console.error(&CliError::failed(format!("the async runtime did not start: {error}")));
            return EXIT_FAILED.into();
        }
    };
    let result = runtime.block_on(async {
        let result = dispatch(cli.command, &context).await;
        // A command that failed half-way has only dropped its lock.
        context.locks.settled().await;
        result
    });
    // Nothing that is still blocked on a thread may hold up the end of the process.
    runtime.shutdown_background();
    match result {
        Ok(code) => code.into(),
        Err(error) => {
            context.console.error(&error);
            error.exit_code().into()
        }
    }
}

/// Where a test wants the process to die.
fn arm_failpoint() -> Result<(), CliError> {
    let Ok(text) = std::env::var("LAKE_FAILPOINT") else { return Ok(()) };
    failpoint::arm(text.parse().map_err(|error: String| CliError::usage(format!("LAKE_FAILPOINT: {error}")))?);
    Ok(())
}

/// What clap has to say: help and version are no errors, the rest is [`EXIT_USAGE`].
fn usage(error: &clap::Error) -> ExitCode {
    let done = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    // A closed pipe (`lake --help | head -1`) is no reason to fail.
    let _ = error.print();
    if done { EXIT_DONE.into() } else { EXIT_USAGE.into() }
}

/// A call of a service on `target` that failed.
fn service_error<E>(operation: &str, target: &str, error: SdkError<E, HttpResponse>) -> CliError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let error = classify(operation, error);
    let told = CliError::failed(format!("{target}: {error}"));
    match error.kind {
        provider::ErrorKind::NotFound => told.hint("`lake apply` makes again what is missing of the stack"),
        _ => told,
    }
}

async fn dispatch(command: Command, context: &Context) -> Result<u8, CliError> {
    let code = match command {
        Command::Plan(args) => return plan::run(args, context).await,
        Command::Demo(args) => demo::run(args, context).await,
        Command::New(args) => new::run(args, context),
        Command::Apply(args) => apply::run(args, context).await,
        Command::Destroy(args) => destroy::run(args, context).await,
        Command::Graph(args) => graph::run(args, context).await,
        Command::Refresh(args) => refresh::run(args, context).await,
        Command::Import(args) => import::run(args, context).await,
        Command::Outputs(args) => outputs::run(args, context).await,
        Command::State(args) => state::run(args, context).await,
        Command::Put(args) => put::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Runs(args) => runs::run(args, context).await,
        Command::Logs(args) => logs::run(args, context).await,
        Command::Retry(args) => retry::run(args, context).await,
        Command::Backfill(args) => backfill::run(args, context).await,
        Command::Show(args) => show::run(args, context).await,
        Command::Convert(args) => convert::run(args, context).await,
        Command::Plugin(args) => plugin::run(args, context).await,
        Command::Cloud(args) => cloud::run(args, context).await,
    };
    code.map(|()| EXIT_DONE)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed_and_every_command_tells_what_it_does_with_an_example() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let about = sub.get_long_about().or(sub.get_about()).map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty(), "{} says nothing", sub.get_name());
            assert!(about.contains("Example"), "{} has no example", sub.get_name());
        }
    }
}
