//! `lake state rm`

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;

use crate::{
    apply::Recorder,
    cli::apply::confirm,
    resource::{Address, aws::schema, physical_name},
    state::{
        Recorded, Snapshot,
        store::{Lock, Store},
    },
};

use super::{CliError, Context, no_state};

/// Forgets a resource without deleting it. A later apply of what still declares it takes it up again.
///
/// Example: lake state rm aws:s3:Bucket/raw --with-dependents
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its address, as `list` shows it.
    address: Address,
    /// Forgets what depends on it as well.
    #[arg(long)]
    with_dependents: bool,
    /// Does not ask.
    #[arg(short, long)]
    yes: bool,
}

pub async fn run(args: &Args, context: &Context) -> Result<(), CliError> {
    let config = context.config()?;
    let store = context.store(context.stack(&config)?).await?;
    let lock = Arc::new(context.lock(&store, "state rm").await?);
    let forgotten = forget(args, context, &store, &lock).await;
    let released = lock.release().await;
    let forgotten = forgotten?;
    released?;
    for recorded in &forgotten.records {
        context
            .console
            .note(format!("forgotten: {} ({}), which stays in the cloud", recorded.address, recorded.identity));
        if !forgotten.is_found_again(recorded) {
            let (address, identity) = (&recorded.address, &recorded.identity);
            context.console.note(format!("  take it up again with `lake import {address} {identity}`"));
        }
    }
    let told = forgotten.records.iter().map(|it| json!({ "address": it.address, "identity": it.identity }));
    context.console.json(&json!({ "forgotten": told.collect::<Vec<_>>() }))
}

/// What was forgotten of a state.
struct Forgotten {
    records: Vec<Arc<Recorded>>,
    snapshot: Snapshot,
}

impl Forgotten {
    /// Whether an apply would look for it under the name that it has.
    fn is_found_again(&self, recorded: &Recorded) -> bool {
        let Snapshot { lake, stack, lineage, .. } = &self.snapshot;
        let naming = schema(recorded.address.kind()).map(|schema| schema.naming);
        let name =
            naming.and_then(|it| physical_name(it, lake, stack, lineage, &recorded.address, recorded.generation));
        name.is_none_or(|name| name == recorded.identity)
    }
}

async fn forget(args: &Args, context: &Context, store: &Store, lock: &Arc<Lock>) -> Result<Forgotten, CliError> {
    let stored = store.load().await?.ok_or_else(|| no_state(context))?;
    let snapshot = stored.snapshot.clone();
    let records = going(&snapshot, &args.address, args.with_dependents)?;
    for recorded in &records {
        context.console.note(format!("{} ({})", recorded.address, recorded.identity));
    }
    confirm(context, args.yes, "Forget this, and leave it in the cloud?")?;
    let recorder = Recorder::begin(store, Arc::clone(lock), stored, &snapshot, "state rm").await?;
    let deposed = !snapshot.resources.contains_key(&args.address);
    for recorded in &records {
        recorder.remove(recorded, deposed, true).await?;
    }
    recorder.close().await?;
    Ok(Forgotten { records, snapshot })
}

/// What goes, dependents first. Where an address has nothing but what was replaced there, that goes.
fn going(snapshot: &Snapshot, address: &Address, with_dependents: bool) -> Result<Vec<Arc<Recorded>>, CliError> {
    if !snapshot.resources.contains_key(address) {
        let deposed: Vec<_> = snapshot.deposed.iter().filter(|old| old.address == *address).cloned().collect();
        if deposed.is_empty() {
            let message = format!("{address} is not in the state");
            return Err(CliError::failed(message).hint("`lake state list` shows what is"));
        }
        return Ok(deposed);
    }
    let mut going = BTreeSet::from([address]);
    let mut order = vec![address];
    let mut next = 0;
    while let Some(&at) = order.get(next) {
        next += 1;
        let dependents = snapshot.resources.values().filter(|recorded| recorded.dependencies.contains(at));
        for dependent in dependents.map(|recorded| &recorded.address) {
            if going.insert(dependent) {
                order.push(dependent);
            }
        }
    }
    if order.len() > 1 && !with_dependents {
        let names: Vec<&str> = order[1..].iter().map(|address| address.as_str()).collect();
        let message = format!("{} depend on {address}", names.join(", "));
        return Err(CliError::failed(message).hint("--with-dependents forgets them too"));
    }
    Ok(order.into_iter().rev().filter_map(|address| snapshot.resources.get(address).cloned()).collect())
}
