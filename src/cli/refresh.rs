//! `lake refresh`

use std::sync::Arc;

use serde_json::json;

use crate::{
    apply::Recorder,
    provider::aws::{self, Assets},
    refresh::refresh,
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
    let store = context.store(stack).await?;
    let lock = Arc::new(context.lock(&store, "refresh").await?);
    let Some(stored) = store.load().await? else {
        lock.release().await?;
        context.console.note("nothing to refresh: the stack has never been applied");
        return context.console.json(&json!({ "drift": [] }));
    };
    let connection = connect(context, stack).await?;
    let provider = aws::provider(&connection.sdk, Assets::default());
    let prior = refresh(stored.snapshot.clone(), &provider, context.parallel).await?;
    if prior.snapshot != stored.snapshot {
        let recorder = Recorder::begin(&store, Arc::clone(&lock), stored, &prior.snapshot, "refresh").await?;
        recorder.close().await?;
    }
    lock.release().await?;
    if prior.drift.is_empty() {
        context.console.note(format!("all {} resources are as recorded", prior.snapshot.resources.len()));
    }
    render::drift(&context.console, &prior.drift);
    context.console.json(&json!({ "drift": prior.drift }))
}
