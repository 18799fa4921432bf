//! `lake cloud stop`

use serde_json::json;

use crate::cli::{context::Context, error::CliError};

use super::process::{self, Stopped};

/// Stops the embedded cloud; its data stay.
///
/// Requests under way end first, functions are stopped. What waits in a queue goes on at the next start.
///
/// Example: lake cloud stop
#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(_args: Args, context: &Context) -> Result<(), CliError> {
    let stopped = process::stop(context).await?;
    match stopped {
        Stopped::WasNotRunning => context.console.note("the embedded cloud is not running"),
        Stopped::Gracefully => context.console.note("embedded cloud stopped; its data stay"),
        Stopped::Killed => {
            context.console.warn("the embedded cloud did not end in time and was killed; its data stay");
        }
    }
    let (was_running, killed) = (stopped != Stopped::WasNotRunning, stopped == Stopped::Killed);
    context.console.json(&json!({ "was_running": was_running, "killed": killed }))
}
