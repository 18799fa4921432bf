//! `lake plugin`: transforms are begun, built, tried out and measured, without a cloud.

mod bench;
mod build;
mod case;
mod columns;
mod diff;
mod inspect;
mod new;
mod place;
pub mod sdk;
mod snapshot;
mod test;

pub use columns::listed;
pub use place::PLUGINS;

use clap::Subcommand;

use super::{context::Context, error::CliError};

/// Makes, builds, tests and measures transforms: what rows go through between CSV and Parquet.
///
/// A transform is a WebAssembly component. `new` begins one in Rust; other languages bring a .wasm of their own.
///
/// Example: lake plugin new trips && lake plugin build trips && lake plugin test trips
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(new::Args),
    Build(build::Args),
    Test(test::Args),
    Bench(bench::Args),
    Inspect(inspect::Args),
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    // All of them compute, and none of them waits.
    tokio::task::block_in_place(|| match args.command {
        Command::New(args) => new::run(args, context),
        Command::Build(args) => build::run(args, context),
        Command::Test(args) => test::run(args, context),
        Command::Bench(args) => bench::run(args, context),
        Command::Inspect(args) => inspect::run(args, context),
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn every_verb_tells_what_it_does_with_an_example() {
        for verb in Line::command().get_subcommands() {
            let about = verb.get_long_about().map(ToString::to_string).unwrap_or_default();
            assert!(about.contains("Example: lake plugin"), "{}", verb.get_name());
        }
    }
}
