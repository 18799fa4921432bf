//! `lake backfill`

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;

use crate::{
    dataset::Dataset,
    pipeline::{
        aws::Aws,
        backfill::{self, Action, ColumnChange, Driven, Plan, Standing},
    },
};

use super::{
    apply::confirm,
    console::{Console, Style},
    context::Context,
    deployed::Deployed,
    error::CliError,
    stale::shown,
    table::printable,
};

/// Objects that are looked at at the same time.
const OBJECTS_AT_ONCE: usize = 16;
/// Pause between the first two looks at an object; it grows with each.
const LOOK_PAUSE_FIRST: Duration = Duration::from_millis(20);
/// Longest pause between two looks.
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(2);
/// Looks in a row that may fail before an object is given up; the SDK has retried each of them already.
const LOOK_FAILURES_MAX: u32 = 5;
/// Times that an object is driven again that somebody else took as the dataset was before.
const DRIVES_MAX: u32 = 4;
/// How long objects are waited for unless told otherwise, seconds.
const WAIT_SECONDS_DEFAULT: u64 = 3600;
/// Keys that are listed before all of them are only counted.
const KEYS_SHOWN_MAX: usize = 20;

/// Converts again what was made with an older transform or configuration of a dataset.
///
/// Each object is read from the raw bucket once more, and what comes of it takes the place of what is in the table, one
/// by one. Where columns of the table change their type or go, the first of them replaces the table's columns. Files
/// whose source is gone stay as they are. What is converted in the background goes on when this command is ended.
///
/// Example: lake backfill flights --yes
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A `[dataset.NAME]` of lake.toml.
    #[arg(value_name = "DATASET")]
    dataset: String,
    /// Shows what would be converted, and converts nothing.
    #[arg(long)]
    dry_run: bool,
    /// Does not ask.
    #[arg(short, long)]
    yes: bool,
    /// Follows every object until it is committed or parked: the default.
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Only sees to it that the objects are on their way.
    #[arg(long)]
    no_wait: bool,
    /// Longest wait for all of them, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = WAIT_SECONDS_DEFAULT)]
    timeout: u64,
}

/// What became of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is converted as the dataset is now.
    Committed {
        /// Rows in the table.
        rows: u64,
        /// Rows that the transform left out.
        filtered: u64,
        /// Rows set aside.
        rejected: u64,
    },
    /// It was given up; what was in the table of it still is.
    Parked {
        /// Stable code of the reason.
        code: String,
        /// What is wrong, where, and what to do.
        message: String,
    },
    /// Its source is gone; what was in the table of it still is.
    Gone,
    /// It is on its way.
    Underway,
    /// It could not be set going, or not be followed.
    Failed {
        /// Why.
        message: String,
    },
}

impl Outcome {
    fn word(&self) -> (Style, &'static str) {
        match self {
            Outcome::Committed { rejected: 0, .. } => (Style::Good, "committed"),
            Outcome::Committed { .. } => (Style::Changed, "committed"),
            Outcome::Parked { .. } => (Style::Bad, "parked"),
            Outcome::Gone => (Style::Faint, "gone"),
            Outcome::Underway => (Style::Faint, "under way"),
            Outcome::Failed { .. } => (Style::Bad, "failed"),
        }
    }

    fn detail(&self) -> String {
        match self {
            Outcome::Committed { rows, filtered, rejected } => format!(
                "{} rows, {} filtered, {} rejected",
                HumanCount(*rows),
                HumanCount(*filtered),
                HumanCount(*rejected)
            ),
            Outcome::Parked { code, message } => format!("{code}: {message}"),
            Outcome::Gone => "its source is gone; its rows stay as they are".to_owned(),
            Outcome::Underway => "`lake status` shows where it is".to_owned(),
            Outcome::Failed { message } => message.clone(),
        }
    }
}

/// An object and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Converted {
    /// Key in the raw bucket.
    pub key: String,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// All that a backfill did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Done {
    /// What there was to do.
    pub plan: Plan,
    /// The objects, by key.
    pub objects: Vec<Converted>,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let waits = !args.no_wait && !args.dry_run;
    let (dataset, dry_run) = (args.dataset.clone(), args.dry_run);
    let Done { plan, objects } = backfill(&args, context).await?;
    context.console.json(&json!({ "dataset": dataset, "dry_run": dry_run, "plan": plan, "objects": objects }))?;
    let is_bad = |outcome: &Outcome| match outcome {
        Outcome::Parked { .. } | Outcome::Failed { .. } => true,
        Outcome::Underway => waits,
        Outcome::Committed { .. } | Outcome::Gone => false,
    };
    let bad: Vec<&Converted> = objects.iter().filter(|object| is_bad(&object.outcome)).collect();
    if bad.is_empty() {
        return Ok(());
    }
    let line = |Converted { key, outcome }: &&Converted| {
        format!("  {}: {} ({})", printable(key), outcome.word().1, printable(&outcome.detail()))
    };
    let lines: Vec<String> = bad.iter().map(line).collect();
    let message = format!("{} of {} objects are not converted again:\n{}", bad.len(), objects.len(), lines.join("\n"));
    Err(CliError::failed(message).hint(format!("mend the reason, then `lake backfill {dataset}` again")))
}

/// Finds what is stale, asks, and has it converted.
async fn backfill(args: &Args, context: &Context) -> Result<Done, CliError> {
    let console = &context.console;
    let deployed = Deployed::open(context).await?;
    let name = &deployed.dataset(&args.dataset)?.name;
    if !deployed.is_current().await? {
        console.warn("lake.toml has changed since it was applied: files are converted as it was; `lake apply`");
    }
    // As the functions have it: what they make of an object is what it is measured by.
    let dataset = deployed.manifest().await?.and_then(|manifest| manifest.dataset(name).cloned());
    let dataset = dataset.ok_or_else(|| {
        CliError::failed(format!("the dataset `{name}` has not been applied")).hint("run `lake apply` first")
    })?;
    let pipeline = deployed.pipeline()?;
    let plan = backfill::plan(&pipeline, &dataset).await?;
    show(console, &plan, &dataset);
    let keys = plan.keys();
    if keys.is_empty() {
        return Ok(Done { plan, objects: Vec::new() });
    }
    if args.dry_run {
        list(console, &keys);
        return Ok(Done { plan, objects: Vec::new() });
    }
    confirm(context, args.yes, "Convert them again?")?;
    let work = Work { pipeline: &pipeline, dataset: &dataset, columns: plan.column_change() };
    let objects = work.run(console, &keys, args).await;
    Ok(Done { plan, objects })
}

/// What is stale, and why.
fn show(console: &Console, plan: &Plan, dataset: &Dataset) {
    for damaged in &plan.damaged {
        console.warn(damaged);
    }
    if plan.keys().is_empty() && plan.gone.is_empty() {
        let all = HumanCount(plan.committed);
        console.note(format!("{}: nothing to convert again; all {all} committed objects are up to date", dataset.name));
        return;
    }
    let stale = plan.stale.len() + plan.gone.len();
    console.note(format!("{}: {stale} of {} committed objects are stale", dataset.name, HumanCount(plan.committed)));
    if plan.by_plugin() > 0 {
        let after = dataset.plugin_hash().map_or_else(|| "none".to_owned(), shown);
        console.note(format!("  {} made with another transform than now (plugin {after})", plan.by_plugin()));
    }
    if plan.by_config() > 0 {
        console.note(format!("  {} made with another configuration", plan.by_config()));
    }
    if !plan.gone.is_empty() {
        console.note(format!(
            "  {} whose source is gone: they stay as they are, hence the table keeps its columns",
            plan.gone.len()
        ));
    }
    if !plan.conflicting.is_empty() {
        console.note(format!(
            "{}: {} parked objects whose columns the table does not take are tried again",
            dataset.name,
            plan.conflicting.len()
        ));
    }
}

fn list(console: &Console, keys: &[String]) {
    for key in keys.iter().take(KEYS_SHOWN_MAX) {
        console.note(format!("  {}", printable(key)));
    }
    if let Some(more) = keys.len().checked_sub(KEYS_SHOWN_MAX).filter(|more| *more > 0) {
        console.note(format!("  and {more} more"));
    }
}

/// Objects on their way.
struct Work<'a> {
    pipeline: &'a Aws,
    dataset: &'a Dataset,
    columns: ColumnChange,
}

impl Work<'_> {
    async fn run(&self, console: &Console, keys: &[String], args: &Args) -> Vec<Converted> {
        let progress = Progress::new(console, keys);
        let driving = backfill::drive(self.pipeline, self.dataset, keys, self.columns, |_| {});
        let driven = driving.await;
        if args.no_wait {
            let outcome = |driven: Driven| Converted {
                key: driven.key,
                outcome: match driven.action {
                    Action::Failed { message } => Outcome::Failed { message },
                    Action::Invoked | Action::InProgress { .. } => Outcome::Underway,
                },
            };
            let objects: Vec<Converted> = driven.into_iter().map(outcome).collect();
            objects.iter().for_each(|object| progress.ended(object));
            progress.finish();
            return objects;
        }
        let until = Instant::now() + Duration::from_secs(args.timeout);
        let interrupted = tokio_util::sync::CancellationToken::new();
        let following = stream::iter(driven)
            .map(async |driven| {
                let outcome = tokio::select! {
                    outcome = self.follow(&driven, until) => outcome,
                    () = interrupted.cancelled() => Outcome::Underway,
                };
                let converted = Converted { key: driven.key, outcome };
                progress.ended(&converted);
                converted
            })
            .buffered(OBJECTS_AT_ONCE)
            .collect::<Vec<_>>();
        let watch = async {
            // What is under way is the functions' work, and goes on.
            let _ = tokio::signal::ctrl_c().await;
            interrupted.cancel();
            std::future::pending::<()>().await;
        };
        let objects = tokio::select! {
            objects = following => objects,
            () = watch => Vec::new(), // it waits for ever
        };
        progress.finish();
        objects
    }

    /// Looks at one object until it is decided. What others took as the dataset was before is driven once more.
    async fn follow(&self, driven: &Driven, until: Instant) -> Outcome {
        if let Action::Failed { message } = &driven.action {
            return Outcome::Failed { message: message.clone() };
        }
        let (mut pause, mut failures, mut drives) = (LOOK_PAUSE_FIRST, 0, 1);
        loop {
            match backfill::standing(self.pipeline, self.dataset, &driven.key).await {
                Ok(Standing::Done(current)) => {
                    let (rows, filtered, rejected) = (current.rows, current.filtered, current.rejected);
                    return Outcome::Committed { rows, filtered, rejected };
                }
                Ok(Standing::Parked { code, message }) => return Outcome::Parked { code, message },
                Ok(Standing::Gone) => return Outcome::Gone,
                Ok(Standing::Stale) if drives < DRIVES_MAX => {
                    drives += 1;
                    let again = std::slice::from_ref(&driven.key);
                    let again = backfill::drive(self.pipeline, self.dataset, again, self.columns, |_| {}).await;
                    if let Some(Driven { action: Action::Failed { message }, .. }) = again.into_iter().next() {
                        return Outcome::Failed { message };
                    }
                }
                Ok(Standing::Stale) => {
                    let message = format!("it was converted {drives} times as the dataset was before; `lake apply`");
                    return Outcome::Failed { message };
                }
                Ok(Standing::Waiting | Standing::Converting) => failures = 0,
                Err(error) => {
                    failures += 1;
                    if failures > LOOK_FAILURES_MAX {
                        return Outcome::Failed { message: format!("the ledger cannot be read: {error}") };
                    }
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Outcome::Underway;
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = LOOK_PAUSE_MAX.min(pause * 5 / 4);
        }
    }
}

/// A backfill while it runs: a bar on a terminal, a line an object elsewhere.
struct Progress<'a> {
    console: &'a Console,
    bar: Option<ProgressBar>,
    width: usize,
    rows: AtomicU64,
}

impl<'a> Progress<'a> {
    fn new(console: &'a Console, keys: &[String]) -> Self {
        let bar = console.is_interactive().then(|| {
            let bar = ProgressBar::new(keys.len() as u64);
            let template = "{bar:24} {pos}/{len} objects  {msg}  {elapsed}";
            bar.set_style(ProgressStyle::with_template(template).expect("BUG: the template is well formed"));
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        let width = keys.iter().map(|key| printable(key).chars().count()).max().unwrap_or(0);
        Progress { console, bar, width, rows: AtomicU64::new(0) }
    }

    fn ended(&self, Converted { key, outcome }: &Converted) {
        let (style, word) = outcome.word();
        let word = self.console.paint(format!("{word:<9}"), style);
        let line = format!("{:width$}  {word}  {}", printable(key), printable(&outcome.detail()), width = self.width);
        let Some(bar) = &self.bar else {
            self.console.note(line);
            return;
        };
        if let Outcome::Committed { rows, .. } = outcome {
            let rows = self.rows.fetch_add(*rows, Ordering::Relaxed) + rows;
            bar.set_message(format!("{} rows", HumanCount(rows)));
        } else {
            bar.suspend(|| self.console.note(line));
        }
        bar.inc(1);
    }

    fn finish(&self) {
        let Some(bar) = &self.bar else { return };
        bar.finish_and_clear();
        let rows = HumanCount(self.rows.load(Ordering::Relaxed));
        self.console.note(format!("{} objects, {rows} rows, {:.1} s", bar.position(), bar.elapsed().as_secs_f64()));
    }
}
