//! `lake import`

use std::sync::Arc;

use crate::{
    apply::{
        Recorder,
        by_hand::{self, generation_after_others},
    },
    config::{Config, Stack},
    plan::diff,
    provider::{
        Observed, Provider, Target,
        aws::{self, Assets},
    },
    refresh::{Owner, refresh},
    resource::{Address, Declared, Fields, Naming, Ownership, Schema, references, resolve_all},
    state::{
        Recorded, Snapshot,
        store::{Lock, Store},
    },
};

use super::{apply::confirm, connect::connect, context::Context, control, error::CliError, render};

/// Takes a resource that exists in the cloud into the stack, at an address that lake.toml declares.
///
/// It gets the stack's tags, and nothing else of it is changed: the next plan shows what apply would. What carries
/// another lake's tags is refused.
///
/// Example: lake import aws:s3:Bucket/raw my-old-bucket
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where it belongs: an address that `lake graph` shows.
    address: Address,
    /// What the cloud knows it by: its name, or the names it is found by, joined by `/`.
    id: String,
    /// Does not ask.
    #[arg(short, long)]
    yes: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let config = context.config()?;
    let stack = context.stack(&config)?;
    let store = context.store(stack).await?;
    let lock = Arc::new(context.lock(&store, "import").await?);
    let imported = import(&args, context, (&config, stack), &store, &lock).await;
    let released = lock.release().await;
    let recorded = imported?;
    released?;
    context.console.note(format!("{} is {} now; `lake plan` shows what apply would change", args.id, args.address));
    context.console.json(&recorded)
}

async fn import(
    args: &Args,
    context: &Context,
    (config, stack): (&Config, &Stack),
    store: &Store,
    lock: &Arc<Lock>,
) -> Result<Recorded, CliError> {
    let stored = control::load_or_create(context, store, config, stack, Some(lock.as_ref())).await?;
    let connection = connect(context, stack).await?;
    let program = control::program(context, config, stack, &connection, Some(&stored.snapshot)).await?;
    let provider = aws::provider(&connection.sdk, Assets::default());
    let prior = refresh(stored.snapshot.clone(), &provider, context.parallel).await?.snapshot;
    let declared = program.resources().iter().find(|declared| declared.address == args.address);
    let declared = declared.ok_or_else(|| {
        CliError::usage(format!("lake.toml declares no {}", args.address)).hint("`lake graph` shows what it declares")
    })?;
    let recorded = find(&prior, declared, &args.id, &provider).await?;
    let resolved = resolved(&prior, declared);
    let replace_on = schema(&provider, &args.address)?.replace_on;
    let fields = diff(&recorded.inputs.unpack(), &resolved, replace_on);
    match fields.is_empty() {
        true => context.console.note(format!("{} is as lake.toml declares {}", args.id, args.address)),
        false => context.console.note(format!("{} is not as lake.toml declares {}:", args.id, args.address)),
    }
    render::fields(&context.console, &fields);
    confirm(context, args.yes, "Take it into the stack, and give it the stack's tags?")?;
    let recorder = Recorder::begin(store, Arc::clone(lock), stored, &prior, "import").await?;
    let imported = by_hand::import(&recorder, &provider, recorded.clone()).await;
    recorder.close().await?;
    imported?;
    Ok(recorded)
}

fn schema(provider: &Provider, address: &Address) -> Result<&'static Schema, CliError> {
    Ok(provider.kind(address.kind())?.schema())
}

/// The declared inputs, as far as the state knows what they refer to.
fn resolved(snapshot: &Snapshot, declared: &Declared) -> Fields {
    resolve_all(declared.inputs.unpack(), &|reference| snapshot.output(reference))
}

/// What is there under `id`, as a record of the declared resource, if it may become that.
async fn find(snapshot: &Snapshot, declared: &Declared, id: &str, provider: &Provider) -> Result<Recorded, CliError> {
    let address = &declared.address;
    if let Some(there) = snapshot.resources.get(address) {
        return Err(CliError::failed(format!("{address} is in the state already: {}", there.identity))
            .hint(format!("forget that first with `lake state rm {address}`")));
    }
    if let Some(there) = snapshot.known().find(|it| it.address.kind() == address.kind() && it.identity == id) {
        return Err(CliError::failed(format!("`{id}` is in the state already, at {}", there.address))
            .hint(format!("give it another address with `lake state mv {} {address}`", there.address)));
    }
    let inputs = resolved(snapshot, declared);
    let schema = schema(provider, address)?;
    check_name(snapshot, declared, schema, &inputs, id)?;
    let target = Target { identity: id, inputs: &inputs };
    let observed = provider.kind(address.kind())?.observe(target).await?;
    let observed = observed.ok_or_else(|| CliError::failed(format!("the cloud has no {} `{id}`", address.kind())))?;
    let ours = check_owner(snapshot, address, id, &observed)?;
    let dependencies = declared.dependencies().iter().filter(|on| snapshot.resources.contains_key(*on));
    Ok(Recorded {
        address: address.clone(),
        generation: ours.map_or_else(|| generation_after_others(snapshot, address), |owner| owner.generation),
        identity: id.to_owned(),
        inputs: observed.inputs.into(),
        outputs: observed.outputs.into(),
        dependencies: dependencies.cloned().collect(),
        retain: declared.retain,
    })
}

/// A part is what its parent and the program call it, and the parent must be ours.
fn check_name(
    snapshot: &Snapshot,
    declared: &Declared,
    schema: &Schema,
    inputs: &Fields,
    id: &str,
) -> Result<(), CliError> {
    if let Ownership::Parent(parent) = schema.ownership {
        let parents = declared.inputs.get(parent).as_ref().map(references).unwrap_or_default();
        if let Some(missing) = parents.iter().find(|parent| !snapshot.resources.contains_key(&parent.address)) {
            return Err(CliError::failed(format!("it is part of {}, which is not in the state", missing.address))
                .hint(format!("import {} first", missing.address)));
        }
    }
    if matches!(schema.naming, Naming::Physical { .. }) {
        return Ok(());
    }
    match schema.naming.identity(None, inputs) {
        Some(name) if name == id => Ok(()),
        Some(name) => Err(CliError::usage(format!("lake.toml calls {} `{name}`, not `{id}`", declared.address))),
        None => Err(CliError::failed(format!("what {} is called is known only once it is applied", declared.address))),
    }
}

/// What says that it is another's is another's. Returns what it says when that is what it is to be.
fn check_owner(
    snapshot: &Snapshot,
    address: &Address,
    id: &str,
    observed: &Observed,
) -> Result<Option<Owner>, CliError> {
    let Some(owner) = Owner::of(&observed.tags) else { return Ok(None) };
    if owner.lineage != snapshot.lineage {
        let Owner { lake, stack, address, .. } = owner;
        let message = format!("`{id}` carries the tags of lake `{lake}`, stack `{stack}`: it is {address} there");
        return Err(CliError::failed(message).hint("forget it there with `lake state rm`, and take its tags off"));
    }
    if owner.address != *address {
        let message = format!("`{id}` carries the tags of {} in this stack", owner.address);
        return Err(CliError::failed(message)
            .hint(format!("import it as {}, then `lake state mv {} {address}`", owner.address, owner.address)));
    }
    Ok(Some(owner))
}
