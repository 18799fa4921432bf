//! `lake apply`

use std::{io::BufRead, path::PathBuf, sync::Arc};

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    apply::{self, Options, Outcome, Recorder},
    config::Target,
    plan::{Action, Pattern},
    state::store::Locks,
};

use super::{
    cloud::process,
    console::{Console, Style},
    context::Context,
    control::{Goal, Prepared, prepare},
    error::CliError,
    interrupts::Signals,
    plan::{check_fresh, load},
    progress::Progress,
    render,
    scope::Part,
    table::printable,
};

/// Makes the cloud what lake.toml declares, step by step, in dependency order.
///
/// The embedded cloud is started when it is not running. Every step is recorded before the next that needs it begins:
/// after a failure or a crash, apply again goes on from there. Ctrl-C once ends what is under way and stops; twice
/// stops at once.
///
/// Example: lake apply --yes
///
/// Example: lake apply --target 'aws:lambda:*/convert'
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A plan saved by `lake plan --out`: exactly this is done, or nothing when it is stale.
    #[arg(value_name = "PLAN", conflicts_with_all = ["targets", "excludes", "replaces"])]
    plan: Option<PathBuf>,
    #[command(flatten)]
    part: Part,
    /// Replaces this resource although nothing asks for it. May be given several times.
    #[arg(long = "replace", value_name = "ADDRESS")]
    replaces: Vec<Pattern>,
    /// Does not ask.
    #[arg(short, long)]
    yes: bool,
}

impl Args {
    /// What `lake apply --yes` means.
    pub fn yes() -> Self {
        Args { plan: None, part: Part::default(), replaces: Vec::new(), yes: true }
    }
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let console = &context.console;
    let saved = args.plan.as_deref().map(load).transpose()?;
    let scope = saved.as_ref().map_or_else(|| args.part.with(&args.replaces), |saved| saved.scope.clone());
    let prepared = prepare(context, Goal::Declared, Some("apply"), &scope).await?;
    if let Some(saved) = &saved {
        check_fresh(saved, &prepared.plan)?;
    }
    render::drift(console, &prepared.prior.drift);
    if prepared.plan.is_empty() {
        render::no_changes(console, &prepared.plan);
    } else {
        render::summary_of_changes(console, &prepared.plan);
        render::meaning(console, &prepared.plan, &prepared.meaning);
        confirm(context, args.yes || saved.is_some(), "Apply these changes?")?;
    }
    let (invited, stale) = (invited(&prepared), prepared.meaning.stale.clone());
    let outcome = execute(context, prepared).await?;
    render::outputs(console, &outcome.outputs);
    if !invited.is_empty() {
        tell_invited(context, &invited).await?;
    }
    stale.iter().for_each(|stale| console.note(stale.line()));
    console.json(&json!({ "event": "done", "steps": outcome.done, "outputs": outcome.outputs, "stale": stale }))
}

/// Kind of who is told on a topic.
const SUBSCRIPTION: &str = "aws:sns:Subscription";

/// The addresses that this plan subscribes to the alerts.
fn invited(prepared: &Prepared) -> Vec<String> {
    let changes = prepared.plan.changes.iter().filter(|change| change.address.kind() == SUBSCRIPTION);
    let is_new = |action| matches!(action, Action::Create | Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst);
    let new = changes.filter(|change| is_new(change.action));
    new.map(|change| change.address.name().to_owned()).collect()
}

/// Nobody gets alerts who has not said so.
async fn tell_invited(context: &Context, invited: &[String]) -> Result<(), CliError> {
    let console = &context.console;
    let addresses = printable(&invited.join(", "));
    console.note(format!("alerts: a mail with a link goes to {addresses}; they begin once that link is opened"));
    let config = context.config()?;
    if context.stack(&config)?.target != Target::Embedded {
        return Ok(());
    }
    let relay = process::running(context).await?.and_then(|server| server.smtp);
    let relay = relay.map_or_else(String::new, |relay| format!(", and is sent through {relay}"));
    let folder = context.cloud_folder().join("mail");
    let folder = folder.strip_prefix(".").unwrap_or(&folder);
    console.note(format!("  on the embedded cloud that mail is a file, {}/*.eml{relay}", folder.display()));
    Ok(())
}

/// Asks before anything is changed.
pub fn confirm(context: &Context, yes: bool, question: &str) -> Result<(), CliError> {
    use std::io::IsTerminal;
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(CliError::usage("nothing was changed: there is nobody to ask").hint("say --yes"));
    }
    context.console.say(format!("{question} [y/N] "));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(CliError::failed("nothing was changed")),
    }
}

/// Applies a prepared plan with live progress. A failed or interrupted apply is an error that says how to go on.
pub async fn execute(context: &Context, prepared: Prepared) -> Result<Outcome, CliError> {
    let Prepared { plan, stored, prior, provider, store, lock, command, .. } = prepared;
    let lock = lock.ok_or_else(|| CliError::failed("BUG: an apply without the stack's lock"))?;
    if !apply::is_needed(&plan, &stored.snapshot, &prior.snapshot) {
        lock.release().await?;
        return Ok(Outcome { outputs: stored.snapshot.outputs, ..Outcome::default() });
    }
    let recorder = Recorder::begin(&store, Arc::clone(&lock), stored, &prior.snapshot, command).await?;
    let options = Options { parallel: context.parallel, cancel: CancellationToken::new() };
    let _ours = context.interrupts.take();
    let signals = Signals::listen()?;
    let watching = watch(signals, options.cancel.clone(), context.locks.clone(), context.console.clone());
    let interrupts = tokio::spawn(watching);
    let progress = Progress::new(&context.console, plan.steps.len());
    let applied = apply::apply(&plan, &provider, &recorder, &options, &|event| progress.event(event)).await;
    interrupts.abort();
    progress.finish();
    let closed = recorder.close().await;
    let released = lock.release().await;
    let outcome = applied?;
    if outcome.failed.is_empty() {
        closed?;
        released?;
    }
    if outcome.failed.is_empty() && outcome.skipped == 0 {
        return Ok(outcome);
    }
    Err(failure(&outcome, options.cancel.is_cancelled()))
}

fn failure(outcome: &Outcome, cancelled: bool) -> CliError {
    let mut message =
        if cancelled { "interrupted".to_owned() } else { format!("{} of the steps failed", outcome.failed.len()) };
    for (address, error) in &outcome.failed {
        message.push_str(&format!("\n  {address}: {error}"));
    }
    message.push_str(&format!("\n{} steps are done and recorded, {} did not begin", outcome.done, outcome.skipped));
    CliError::failed(message).hint("run the same command again: it goes on from here")
}

/// Ctrl-C once: what is under way ends and is recorded. Twice: stop now; what began is found again by its name.
async fn watch(signals: Signals, cancel: CancellationToken, locks: Locks, console: Console) {
    let tell = |again| match again {
        false => console.warn(console.paint("ending what is under way; again to stop at once", Style::Strong)),
        true => console.warn("stopped; run the same command again to go on"),
    };
    signals.watch(&cancel, &locks, tell).await;
}
