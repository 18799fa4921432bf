//! `lake outputs`

use super::{context::Context, error::CliError, render};

/// Shows the stack's outputs: bucket names, functions, where to upload.
///
/// Example: lake outputs --json
#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(_args: Args, context: &Context) -> Result<(), CliError> {
    let config = context.config()?;
    let loaded = context.store(context.stack(&config)?).await?.load().await?;
    let snapshot = loaded.map(|loaded| loaded.snapshot).filter(|snapshot| !snapshot.outputs.is_empty());
    let snapshot = snapshot.ok_or_else(|| {
        CliError::failed(format!("stack `{}` has no outputs yet", context.stack_name()))
            .hint("apply it with `lake apply`")
    })?;
    render::outputs(&context.console, &snapshot.outputs);
    context.console.json(&snapshot.outputs)
}
