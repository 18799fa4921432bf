//! `lake state list`

use super::{CliError, Context, snapshot};

/// Lists the recorded resources.
///
/// Example: lake state list --at 120
#[derive(Debug, clap::Args)]
pub struct Args {
    /// As they were at this serial; `lake state history` shows which are kept.
    #[arg(long, value_name = "SERIAL")]
    at: Option<u64>,
}

pub async fn run(args: &Args, context: &Context) -> Result<(), CliError> {
    let snapshot = snapshot(context, args.at).await?;
    let width = snapshot.resources.keys().map(|address| address.as_str().len()).max().unwrap_or(0);
    let console = &context.console;
    for (address, recorded) in &snapshot.resources {
        console.note(format!("{address:width$}  {}", recorded.identity));
    }
    for old in &snapshot.deposed {
        console.note(format!("{:width$}  {} (replaced, to be deleted)", old.address, old.identity));
    }
    for intent in &snapshot.pending {
        let (planned, operation) = (&intent.planned, &intent.operation);
        console.note(format!("{:width$}  {} ({operation} began, no record)", planned.address, planned.identity));
    }
    console.json(&snapshot)
}
