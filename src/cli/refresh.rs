//! `lake refresh`

use std::sync::Arc;

use serde_json::json;

use crate::{
    provider::aws::{self, Assets},
    refresh::refresh,
    state::store::Store,
};

use super::{connect::connect, context::Context, error::CliError, render};

/// Reads every resource from the cloud, shows what differs from the state, and takes it into the state.
///
/// The cloud itself is not changed; the next apply puts it right.
///
/// Example: lake refresh
#[derive(Debug, clap::Args)]
pub struct Args {}

pub async fn run(_args: Args, context: &Context) -> Result<(), CliError> {
    let config = context.config()?;
    let stack = context.stack(&config)?;
    let store = Arc::new(context.store());
    let _lock = store.lock("refresh")?;
    let Some(stored) = store.load()? else {
        context.console.note("nothing to refresh: the stack has never been applied");
        return context.console.json(&json!({ "drift": [] }));
    };
    let connection = connect(context, stack).await?;
    let provider = aws::provider(&connection.sdk, Assets::default());
    let mut prior = refresh(stored.clone(), &provider, context.parallel).await?;
    if prior.snapshot != stored {
        prior.snapshot.serial += 1;
        store.save(&prior.snapshot)?;
    }
    if prior.drift.is_empty() {
        context.console.note(format!("all {} resources are as recorded", prior.snapshot.resources.len()));
    }
    render::drift(&context.console, &prior.drift);
    context.console.json(&json!({ "drift": prior.drift }))
}
