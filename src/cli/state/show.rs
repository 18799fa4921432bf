//! `lake state show`

use crate::resource::Address;

use super::{CliError, Context, snapshot};

/// Shows one recorded resource: what the cloud knows it by, its inputs, outputs and dependencies.
///
/// Example: lake state show aws:s3:Bucket/raw
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its address, as `list` shows it.
    address: Address,
    /// As it was at this serial; `lake state history` shows which are kept.
    #[arg(long, value_name = "SERIAL")]
    at: Option<u64>,
}

pub async fn run(args: &Args, context: &Context) -> Result<(), CliError> {
    let snapshot = snapshot(context, args.at).await?;
    let recorded = snapshot.resources.get(&args.address).ok_or_else(|| {
        CliError::failed(format!("{} is not in the state", args.address)).hint("`lake state list` shows what is")
    })?;
    context.console.note(serde_json::to_string_pretty(recorded)?);
    context.console.json(recorded)
}
