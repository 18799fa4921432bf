//! `lake destroy`

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use crate::{
    plan::Operation,
    provider::{Provider, Target},
    state::Recorded,
};

use super::{
    apply::{confirm, execute},
    context::Context,
    control::{Goal, prepare},
    error::CliError,
    render,
    scope::Part,
};

/// Deletes everything of the stack, dependents first, and proves from the cloud that it is gone.
///
/// Buckets with `on_destroy = "retain"` (the default on AWS) stay with their data; a later apply takes them up again.
///
/// Example: lake destroy --yes
///
/// Example: lake destroy --target 'aws:cloudwatch:*/*'
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    part: Part,
    /// Does not ask.
    #[arg(short, long)]
    yes: bool,
}

impl Args {
    /// What `lake destroy --yes` means.
    pub fn yes() -> Self {
        Args { part: Part::default(), yes: true }
    }
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let console = &context.console;
    let config = context.config()?;
    let loaded = context.store(context.stack(&config)?).await?.load().await?;
    if loaded.is_none_or(|loaded| loaded.snapshot.is_empty()) {
        console.note("nothing to destroy: the stack is empty");
        return console.json(&json!({ "event": "done", "steps": 0, "deleted": 0, "retained": [] }));
    }
    let prepared = prepare(context, Goal::Nothing, Some("destroy"), &args.part.with(&[])).await?;
    render::summary_of_changes(console, &prepared.plan);
    if !prepared.plan.is_empty() {
        confirm(context, args.yes, "Delete all of this, with the data in it?")?;
    }
    let (deleted, retained) = what_goes(&prepared);
    let provider = Arc::clone(&prepared.provider);
    let outcome = execute(context, prepared).await?;
    prove_gone(&provider, &deleted, context.parallel).await?;
    console.note(format!("destroyed: the cloud was asked for all {} resources and has none of them", deleted.len()));
    for recorded in &retained {
        console.note(format!("kept in the cloud: {} ({})", recorded.identity, recorded.address));
    }
    let retained: Vec<&str> = retained.iter().map(|recorded| recorded.identity.as_str()).collect();
    console.json(&json!({ "event": "done", "steps": outcome.done, "deleted": deleted.len(), "retained": retained }))
}

/// What the plan deletes, and what it leaves in the cloud.
fn what_goes(prepared: &super::control::Prepared) -> (Vec<Arc<Recorded>>, Vec<Arc<Recorded>>) {
    let prior = &prepared.prior.snapshot;
    let (mut deleted, mut retained) = (Vec::new(), Vec::new());
    for step in &prepared.plan.steps {
        let deposed =
            |identity: &str| prior.deposed.iter().find(|old| old.address == step.address && old.identity == identity);
        let current = prior.resources.get(&step.address);
        match &step.operation {
            Operation::Delete => deleted.extend(current.cloned()),
            Operation::DeleteDeposed(identity) => deleted.extend(deposed(identity).cloned()),
            Operation::Forget => retained.extend(current.cloned()),
            Operation::ForgetDeposed(identity) => retained.extend(deposed(identity).cloned()),
            Operation::Create(_) | Operation::Update(_) | Operation::Note(_) => {}
        }
    }
    // What is left alone inside of what is deleted is not kept.
    retained.retain(|kept| !deleted.iter().any(|gone| kept.dependencies.contains(&gone.address)));
    (deleted, retained)
}

/// Asks the cloud for every deleted resource.
async fn prove_gone(provider: &Provider, deleted: &[Arc<Recorded>], parallel: usize) -> Result<(), CliError> {
    let ask = async |recorded: &Arc<Recorded>| -> Result<Option<String>, CliError> {
        let inputs = recorded.inputs.unpack();
        let target = Target { identity: &recorded.identity, inputs: &inputs };
        let observed = provider.kind(recorded.address.kind())?.observe(target).await?;
        Ok(observed.map(|_| format!("{} ({})", recorded.identity, recorded.address)))
    };
    let left: Vec<Option<String>> = stream::iter(deleted.iter().map(ask)).buffered(parallel).try_collect().await?;
    let left: Vec<String> = left.into_iter().flatten().collect();
    if left.is_empty() {
        return Ok(());
    }
    Err(CliError::failed(format!("the cloud still has {}", left.join(", "))).hint("run `lake destroy` again"))
}
