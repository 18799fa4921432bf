//! `lake outputs`

use crate::state::store::Store;

use super::{context::Context, error::CliError, render};

/// Shows the stack's outputs: bucket names, functions, where to upload.
///
/// Example: lake outputs --json
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args, context: &Context) -> Result<(), CliError> {
    context.config()?;
    let snapshot = context.store().load()?.filter(|snapshot| !snapshot.outputs.is_empty());
    let snapshot = snapshot.ok_or_else(|| {
        CliError::failed(format!("stack `{}` has no outputs yet", context.stack_name()))
            .hint("apply it with `lake apply`")
    })?;
    render::outputs(&context.console, &snapshot.outputs);
    context.console.json(&snapshot.outputs)
}
