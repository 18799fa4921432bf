//! `lake runs`

use indicatif::{HumanBytes, HumanCount};
use serde_json::json;

use crate::pipeline::{
    ledger::{Run, RunOutcome},
    view,
};

use super::{
    console::Style,
    context::Context,
    deployed::Deployed,
    dialect,
    error::CliError,
    table::{Align, Cell, Table},
};

/// Runs that are shown unless told otherwise.
const LIMIT_DEFAULT: usize = 20;

/// Shows the latest conversions: rows read, kept, filtered and rejected, bytes, time and about what they cost.
///
/// Read = kept + filtered + rejected. Where a transform made more rows than it kept, "added" counts them: the table has
/// kept + added. -v tells how each file was read, and how sure that is.
///
/// Example: lake runs flights --limit 5
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One dataset only.
    #[arg(value_name = "DATASET")]
    dataset: Option<String>,
    /// Runs to show, the newest first.
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT)]
    limit: usize,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let runs = latest(context, args.dataset.as_deref(), args.limit).await?;
    if runs.is_empty() {
        context.console.note("no runs yet: `lake put DATASET FILE` begins one");
    } else {
        table(&runs).say(&context.console);
        if context.is_verbose() {
            runs.iter().for_each(|run| dialects(context, run));
        }
    }
    context.console.json(&json!({ "runs": runs }))
}

/// The newest runs of one dataset or of all, newest first.
async fn latest(context: &Context, dataset: Option<&str>, limit: usize) -> Result<Vec<Run>, CliError> {
    let deployed = Deployed::open(context).await?;
    let objects = deployed.pipeline()?;
    let mut runs = Vec::new();
    for dataset in deployed.datasets(dataset)? {
        runs.extend(view::runs(&objects, &dataset.name, limit).await?);
    }
    runs.sort_by(|a, b| b.id.cmp(&a.id));
    runs.truncate(limit);
    Ok(runs)
}

fn table(runs: &[Run]) -> Table {
    // Most lakes have no transform: what only a transform does has a column where it was done.
    let filters = runs.iter().any(|run| run.report.filtered > 0 || run.report.plugin_hash.is_some());
    let explodes = runs.iter().any(|run| run.report.exploded > 0);
    let columns = [
        (true, "when", Align::Left),
        (true, "file", Align::Left),
        (true, "outcome", Align::Left),
        (true, "read", Align::Right),
        (true, "kept", Align::Right),
        (explodes, "added", Align::Right),
        (filters, "filtered", Align::Right),
        (true, "rejected", Align::Right),
        (true, "csv", Align::Right),
        (true, "parquet", Align::Right),
        (true, "ms", Align::Right),
        (true, "usd", Align::Right),
        (true, "", Align::Left),
    ];
    let shown = columns.map(|(shown, ..)| shown);
    let mut table = Table::new(columns.into_iter().filter_map(|(shown, name, align)| shown.then_some((name, align))));
    for run in runs {
        let cells = cells(run).into_iter().zip(shown);
        table.row(cells.filter_map(|(cell, shown)| shown.then_some(cell)).collect());
    }
    table
}

/// How a run's file was read.
fn dialects(context: &Context, run: &Run) {
    let Some(found) = run.report.dialect.as_ref().filter(|found| !found.decided.is_empty()) else { return };
    context.console.say(format!("{}: how it was read ({} % sure)", run.key, found.confidence));
    dialect::lines(found).into_iter().for_each(|line| context.console.say(line));
}

/// A run's cells, in the order of the columns.
fn cells(run: &Run) -> [Cell; 13] {
    let (word, style) = match run.outcome {
        RunOutcome::Committed => ("committed", Style::Good),
        RunOutcome::Parked => ("parked", Style::Bad),
    };
    let report = &run.report;
    let rejects = report.rejects_by_code.iter().map(|(code, count)| format!("{count} {code}"));
    let new_columns = run.new_columns.iter().map(|column| format!("new column {} {}", column.name, column.ty));
    let notes: Vec<String> = new_columns.chain(rejects).collect();
    let error = run.error.as_ref().map(|(code, message)| format!("{code}: {message}"));
    [
        format!("{:.0}", run.started_at).into(),
        Cell::plain(&run.key),
        Cell::styled(word, style),
        HumanCount(report.read).into(),
        HumanCount(report.kept).into(),
        HumanCount(report.exploded).into(),
        HumanCount(report.filtered).into(),
        HumanCount(report.rejected).into(),
        HumanBytes(report.bytes_read).into(),
        HumanBytes(report.bytes_written).into(),
        HumanCount(run.duration_ms).into(),
        format!("{:.7}", run.cost_usd).into(),
        error.unwrap_or_else(|| notes.join(", ")).into(),
    ]
}
