//! `lake demo`

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use arrow::{array::Array, datatypes::DataType};
use serde_json::{Value, json};

use crate::plan::Action;

use super::{
    apply,
    cloud::{inventory::Inventory, process},
    console::{Console, Style},
    context::Context,
    control::{Goal, prepare},
    destroy,
    error::CliError,
    follow::Followed,
    new::{self, BAD_ROWS, FEBRUARY, JANUARY},
    put::{self, Placed},
    runs, show, status,
};

/// The table of the sample project.
const TABLE: &str = "flights";
/// Rows of each file: read, and rejected among them.
const JANUARY_ROWS: (u64, u64) = (27_004, 0);
const FEBRUARY_ROWS: (u64, u64) = (24_951, 0);
const BAD_ROWS_ROWS: (u64, u64) = (20, 9);
/// `NA`s in the column `dep_time` of the three files, in rows that are kept: cancelled flights.
const CANCELLED: u64 = 521 + 1_261 + 1;
/// A column of whole numbers with nulls in it.
const NULLABLE_COLUMN: &str = "dep_time";
/// Rows that are shown.
const ROWS_SHOWN: usize = 5;

/// Tells the whole story on the embedded cloud, from nothing, checks every step, and cleans up.
///
/// A project in a temporary folder is planned and applied, CSV files are put and become Parquet, bad rows are set
/// aside, a second apply changes nothing, destroy leaves nothing. Exits with 1 when a step falls short.
///
/// Example: lake demo --keep
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leaves lake and cloud as they are after the data are in, and says how to go on.
    #[arg(long)]
    keep: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let temporary = tempfile::Builder::new().prefix("lake-demo-").tempdir()?;
    let folder = temporary.path().join("flights");
    let inner = context.in_folder(&folder).within_another();
    let mut story = Story::new(&context.console, if args.keep { 8 } else { 12 });
    let told = tokio::select! {
        told = tell(&mut story, &inner, &folder, args.keep) => told,
        _ = tokio::signal::ctrl_c() => Err(CliError::failed("interrupted")),
    };
    if told.is_ok() && args.keep {
        let folder = temporary.keep().join("flights");
        go_on(&context.console, &folder);
        return story.end(Some(&folder));
    }
    // Also after a failure: nothing that the demo started outlives it.
    let stopped = process::stop(&inner).await;
    temporary.close()?;
    told?;
    stopped?;
    story.end(None)
}

/// The steps of the story, counted and timed.
struct Story<'a> {
    console: &'a Console,
    begun: Instant,
    count: usize,
    steps: Vec<(String, Duration)>,
}

impl<'a> Story<'a> {
    fn new(console: &'a Console, count: usize) -> Self {
        Story { console, begun: Instant::now(), count, steps: Vec::new() }
    }

    /// Tells one step: what is done, what it says, how long it took.
    async fn step<T>(
        &mut self,
        headline: &str,
        work: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        let number = format!("[{}/{}]", self.steps.len() + 1, self.count);
        self.console.note(format!(
            "\n{} {}",
            self.console.paint(number, Style::Faint),
            self.console.paint(headline, Style::Strong)
        ));
        let begun = Instant::now();
        let done = work.await.map_err(|error| {
            let told = CliError::failed(format!("the demo fell short at `{headline}`: {error}"));
            error.hints().iter().fold(told, CliError::hint)
        })?;
        let time = begun.elapsed();
        self.console.note(self.console.paint(format!("{:.2} s", time.as_secs_f64()), Style::Faint));
        self.steps.push((headline.to_owned(), time));
        Ok(done)
    }

    fn end(&self, kept: Option<&Path>) -> Result<(), CliError> {
        let seconds = self.begun.elapsed().as_secs_f64();
        let good = self.console.paint("all of it worked", Style::Good);
        self.console.note(format!("\n{good}: {} steps in {seconds:.1} s", self.steps.len()));
        let step = |(headline, time): &(String, Duration)| json!({ "step": headline, "seconds": time.as_secs_f64() });
        let steps: Vec<Value> = self.steps.iter().map(step).collect();
        self.console.json(&json!({ "ok": true, "seconds": seconds, "steps": steps, "kept": kept }))
    }
}

async fn tell(story: &mut Story<'_>, context: &Context, folder: &Path, keep: bool) -> Result<(), CliError> {
    story.step("lake new flights", async { new::run(new::Args::new(folder), context) }).await?;
    story.step("lake plan", show_plan(context)).await?;
    story.step("lake apply --yes", apply::run(apply::Args::yes(), context)).await?;
    story.step("lake put flights data/flights-2013-*.csv --wait", put_months(context, folder)).await?;
    story.step("lake put flights data/flights-bad-rows.csv --wait", put_bad_rows(context, folder)).await?;
    story.step("lake show flights; every row and every null is there", show_table(context)).await?;
    story.step("lake show flights --rejects", show_rejects(context)).await?;
    story.step("lake status; lake runs", status_and_runs(context)).await?;
    if keep {
        return Ok(());
    }
    story.step("lake apply --yes, once more: no changes", apply_again(context)).await?;
    story.step("lake destroy --yes", destroy::run(destroy::Args::yes(), context)).await?;
    story.step("nothing is left, by the cloud's own listings", prove_empty(context)).await?;
    story.step("lake cloud stop", async { process::stop(context).await.map(drop) }).await
}

/// A command's arguments from words.
fn parsed<T: clap::Args>(words: &[&str]) -> Result<T, CliError> {
    let command = T::augment_args(clap::Command::new("lake").no_binary_name(true));
    let matches = command.try_get_matches_from(words).map_err(CliError::failed)?;
    T::from_arg_matches(&matches).map_err(CliError::failed)
}

/// Everything is to be made, and so far nothing is there. (The whole plan is two hundred lines.)
async fn show_plan(context: &Context) -> Result<(), CliError> {
    let prepared = prepare(context, Goal::Declared, None).await?;
    let (changes, creates) = (prepared.plan.changes.len(), prepared.plan.count(Action::Create));
    if creates == 0 {
        return Err(CliError::failed("there is nothing to make"));
    }
    expect("changes planned other than to create", (changes - creates) as u64, 0)?;
    context.console.note(format!("{creates} resources to create, in dependency order; `lake plan` shows every field"));
    Ok(())
}

async fn put_months(context: &Context, folder: &Path) -> Result<(), CliError> {
    let placed = put_files(context, folder, &[JANUARY.0, FEBRUARY.0]).await?;
    check_counts(&placed, &[JANUARY_ROWS, FEBRUARY_ROWS])
}

async fn put_bad_rows(context: &Context, folder: &Path) -> Result<(), CliError> {
    let placed = put_files(context, folder, &[BAD_ROWS.0]).await?;
    check_counts(&placed, &[BAD_ROWS_ROWS])
}

async fn put_files(context: &Context, folder: &Path, names: &[&str]) -> Result<Vec<Placed>, CliError> {
    let files: Vec<PathBuf> = names.iter().map(|name| folder.join("data").join(name)).collect();
    put::put(&put::Args::waiting(TABLE, files), context).await
}

/// Every file is committed, and its rows are accounted for.
fn check_counts(placed: &[Placed], expected: &[(u64, u64)]) -> Result<(), CliError> {
    if placed.len() != expected.len() {
        return Err(CliError::failed(format!("{} of {} files were put", placed.len(), expected.len())));
    }
    for (placed, &(read, rejected)) in placed.iter().zip(expected) {
        let run = match &placed.result {
            Some(Followed::Committed { run: Some(run), .. }) => run,
            Some(Followed::Committed { run: None, .. }) => {
                return Err(CliError::failed(format!("{} is committed and has no run report", placed.key)));
            }
            _ => return Err(CliError::failed(placed.failure().unwrap_or_else(|| "not followed".to_owned()))),
        };
        let report = &run.report;
        expect(&format!("rows read of {}", placed.key), report.read, read)?;
        expect(&format!("rows rejected of {}", placed.key), report.rejected, rejected)?;
        expect(&format!("rows kept of {}", placed.key), report.kept, read - rejected)?;
    }
    Ok(())
}

fn expect(what: &str, found: u64, expected: u64) -> Result<(), CliError> {
    match found == expected {
        true => Ok(()),
        false => Err(CliError::failed(format!("{what}: {found}, expected {expected}"))),
    }
}

async fn show_table(context: &Context) -> Result<(), CliError> {
    show::run(show::Args::first(TABLE, ROWS_SHOWN, false), context).await?;
    let all = show::show(&show::Args::first(TABLE, usize::MAX, false), context).await?;
    let (mut rows, mut nulls) = (0, 0);
    for batch in &all.batches {
        let column = batch.column_by_name(NULLABLE_COLUMN);
        let column = column.ok_or_else(|| CliError::failed(format!("there is no column {NULLABLE_COLUMN}")))?;
        if column.data_type() != &DataType::Int64 {
            return Err(CliError::failed(format!("{NULLABLE_COLUMN} is {}, expected Int64", column.data_type())));
        }
        rows += batch.num_rows() as u64;
        nulls += column.null_count() as u64;
    }
    let kept = [JANUARY_ROWS, FEBRUARY_ROWS, BAD_ROWS_ROWS].iter().map(|(read, rejected)| read - rejected).sum();
    expect("rows in the Parquet files", rows, kept)?;
    expect(&format!("nulls in {NULLABLE_COLUMN}, written NA in the CSV files"), nulls, CANCELLED)?;
    context
        .console
        .note(format!("{rows} rows in {} Parquet files; {nulls} times NA became null in {NULLABLE_COLUMN}", all.files));
    Ok(())
}

async fn show_rejects(context: &Context) -> Result<(), CliError> {
    let rejects = show::show(&show::Args::first(TABLE, usize::MAX, true), context).await?;
    let objects = rejects.objects()?;
    for reject in &objects {
        let text = |name: &str| {
            reject
                .get(name)
                .map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let line = format!("line {:>3}  {:<16} {}", text("line"), text("code"), text("message"));
        context.console.note(super::table::printable(&line));
    }
    expect("rejected rows, each with its reason", objects.len() as u64, BAD_ROWS_ROWS.1)
}

async fn status_and_runs(context: &Context) -> Result<(), CliError> {
    status::run(parsed(&[])?, context).await?;
    runs::run(parsed(&[])?, context).await?;
    // So that finding nothing in the end means something.
    match inventory(context).await?.kinds().iter().find(|(_, names)| names.is_empty()) {
        Some((kind, _)) => Err(CliError::failed(format!("the cloud lists no {kind}, and there must be some"))),
        None => Ok(()),
    }
}

async fn apply_again(context: &Context) -> Result<(), CliError> {
    let prepared = prepare(context, Goal::Declared, None).await?;
    expect("changes of a second apply", prepared.plan.changes.len() as u64, 0)?;
    apply::run(apply::Args::yes(), context).await
}

/// What the cloud lists, and shows of it how much it is.
async fn inventory(context: &Context) -> Result<Inventory, CliError> {
    let server = process::running(context).await?;
    let server = server.ok_or_else(|| CliError::failed("the embedded cloud has ended by itself"))?;
    let inventory = Inventory::of(&server.sdk().await).await?;
    let counts: Vec<String> = inventory.kinds().iter().map(|(kind, names)| format!("{} {kind}", names.len())).collect();
    context.console.note(format!("the cloud lists {}", counts.join(", ")));
    Ok(inventory)
}

async fn prove_empty(context: &Context) -> Result<(), CliError> {
    let inventory = inventory(context).await?;
    let left: Vec<String> = inventory
        .kinds()
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(kind, names)| format!("{kind}: {}", names.join(", ")))
        .collect();
    match left.is_empty() {
        true => Ok(()),
        false => Err(CliError::failed(format!("the cloud still has {}", left.join("; ")))),
    }
}

fn go_on(console: &Console, folder: &Path) {
    console.say(format!("\nthe lake stays in {}; go on with", folder.display()));
    for next in [
        format!("cd {}", folder.display()),
        "lake show flights --limit 20".to_owned(),
        "eval \"$(lake cloud env)\" && aws s3 ls".to_owned(),
        "lake destroy --yes && lake cloud stop".to_owned(),
    ] {
        console.say(format!("  {next}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_totals_that_the_demo_checks_are_those_of_the_sample_files() {
        let count = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).unwrap();
            let rows: Vec<&str> = text.lines().skip(1).collect();
            let cancelled = rows.iter().filter(|row| row.split(',').nth(3) == Some("NA")).count();
            (rows.len() as u64, cancelled as u64)
        };
        let (january, cancelled_in_january) = count(JANUARY.1);
        let (february, cancelled_in_february) = count(FEBRUARY.1);
        assert_eq!((january, february), (JANUARY_ROWS.0, FEBRUARY_ROWS.0));
        assert_eq!(cancelled_in_january + cancelled_in_february + 1, CANCELLED);
    }

    #[test]
    fn arguments_are_read_as_on_the_command_line() {
        assert!(parsed::<runs::Args>(&["flights", "--limit", "3"]).is_ok());
        assert!(parsed::<runs::Args>(&["--no-such-thing"]).is_err());
    }

    #[test]
    fn a_count_that_is_off_is_told_with_what_was_expected() {
        assert!(expect("rows", 3, 3).is_ok());
        assert_eq!(expect("rows", 2, 3).unwrap_err().to_string(), "rows: 2, expected 3");
    }
}
