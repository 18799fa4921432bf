//! What the demo's steps do, and how each finds out that it worked.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use arrow::{array::AsArray, datatypes::DataType};

use super::mailbox::{self, ADDRESS};
use crate::{
    cli::{
        apply, backfill,
        cloud::{inventory::Inventory, process},
        console::Style,
        context::Context,
        control::{Goal, prepare},
        deployed::Deployed,
        error::CliError,
        follow::Followed,
        new::{self, BAD_ROWS, FEBRUARY, JANUARY},
        plan,
        put::{self, Placed},
        runs, show, status,
        table::{Align, Cell, Table, printable},
    },
    config::FILE_NAME,
    executor::Report,
    pipeline::{ledger::Role, view},
    plan::{Action, Scope},
};

/// The table of the sample project.
const TABLE: &str = "flights";
/// What becomes of the rows of the three sample files.
pub(super) const JANUARY_ROWS: Rows = Rows { read: 27_004, filtered: 521, rejected: 0 };
pub(super) const FEBRUARY_ROWS: Rows = Rows { read: 24_951, filtered: 1_261, rejected: 0 };
const BAD_ROWS_ROWS: Rows = Rows { read: 23, filtered: 1, rejected: 12 };
/// The columns that the transform makes, and their types.
const MADE: &[(&str, &str)] = &[("scheduled_at", "timestamp"), ("departed_at", "timestamp"), (CLASS, "string")];
/// The column whose values change with the transform's configuration.
const CLASS: &str = "delay_class";
/// The line of the sample's `lake.toml` that sets it, and what the demo makes of it.
const SETTING: (&str, &str) = ("late_minutes = 15", "late_minutes = 30");
/// The line of the sample's `lake.toml` that becomes the demo's address.
const ALERTS: &str = "# alerts = [\"data-team@example.com\"]";
/// Rows that are shown.
const ROWS_SHOWN: usize = 5;

/// What becomes of a file's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rows {
    pub read: u64,
    pub filtered: u64,
    pub rejected: u64,
}

impl Rows {
    fn kept(self) -> u64 {
        self.read - self.filtered - self.rejected
    }
}

/// How many rows of the table are of each class of delay.
pub(super) type Classes = BTreeMap<String, u64>;

/// The sample project, with somebody to tell.
pub(super) async fn project(context: &Context, folder: &Path) -> Result<(), CliError> {
    new::run(new::Args::new(folder), context)?;
    edit(folder, ALERTS, &format!("alerts = [\"{ADDRESS}\"]"))?;
    show_change(context, ALERTS, &format!("alerts = [\"{ADDRESS}\"]"));
    Ok(())
}

/// Replaces what stands once in `lake.toml`.
fn edit(folder: &Path, old: &str, new: &str) -> Result<(), CliError> {
    let path = folder.join(FILE_NAME);
    let text = std::fs::read_to_string(&path)?;
    if text.matches(old).count() != 1 {
        return Err(CliError::failed(format!("`{old}` does not stand once in {}", path.display())));
    }
    Ok(std::fs::write(&path, text.replace(old, new))?)
}

fn show_change(context: &Context, old: &str, new: &str) {
    let console = &context.console;
    console.note(format!("{FILE_NAME}:"));
    console.note(console.paint(format!("  - {old}"), Style::Bad));
    console.note(console.paint(format!("  + {new}"), Style::Good));
}

/// Everything is to be made, and so far nothing is there. (The whole plan is two hundred lines.)
pub(super) async fn plan(context: &Context) -> Result<(), CliError> {
    let prepared = prepare(context, Goal::Declared, None, &Scope::default()).await?;
    let (changes, creates) = (prepared.plan.changes.len(), prepared.plan.count(Action::Create));
    if creates == 0 {
        return Err(CliError::failed("there is nothing to make"));
    }
    expect("changes planned other than to create", (changes - creates) as u64, 0)?;
    context.console.note(format!("{creates} resources to create, in dependency order; `lake plan` shows every field"));
    Ok(())
}

pub(super) async fn confirm_mail(context: &Context) -> Result<(), CliError> {
    let mail = mailbox::confirm(context).await?;
    context.console.note(format!("{ADDRESS} has opened the link in {}", name(&mail.path)));
    Ok(())
}

pub(super) async fn put_months(context: &Context, folder: &Path) -> Result<Vec<Placed>, CliError> {
    let placed = put_files(context, folder, &[JANUARY.0, FEBRUARY.0]).await?;
    check_counts(&placed, &[JANUARY_ROWS, FEBRUARY_ROWS])?;
    Ok(placed)
}

pub(super) async fn put_bad_rows(context: &Context, folder: &Path) -> Result<Vec<Placed>, CliError> {
    let placed = put_files(context, folder, &[BAD_ROWS.0]).await?;
    check_counts(&placed, &[BAD_ROWS_ROWS])?;
    Ok(placed)
}

async fn put_files(context: &Context, folder: &Path, names: &[&str]) -> Result<Vec<Placed>, CliError> {
    let files: Vec<PathBuf> = names.iter().map(|name| folder.join("data").join(name)).collect();
    put::put(&put::Args::waiting(TABLE, files), context).await
}

/// The report of a file that is committed.
fn report(placed: &Placed) -> Result<&Report, CliError> {
    match &placed.result {
        Some(Followed::Committed { run: Some(run), .. }) => Ok(&run.report),
        Some(Followed::Committed { run: None, .. }) => {
            Err(CliError::failed(format!("{} is committed and has no run report", placed.key)))
        }
        _ => Err(CliError::failed(placed.failure().unwrap_or_else(|| "not followed".to_owned()))),
    }
}

/// Every file is committed, and its rows are what they should be.
fn check_counts(placed: &[Placed], expected: &[Rows]) -> Result<(), CliError> {
    if placed.len() != expected.len() {
        return Err(CliError::failed(format!("{} of {} files were put", placed.len(), expected.len())));
    }
    for (placed, expected) in placed.iter().zip(expected) {
        let report = report(placed)?;
        expect(&format!("rows read of {}", placed.key), report.read, expected.read)?;
        expect(&format!("rows filtered of {}", placed.key), report.filtered, expected.filtered)?;
        expect(&format!("rows rejected of {}", placed.key), report.rejected, expected.rejected)?;
        expect(&format!("rows kept of {}", placed.key), report.kept, expected.kept())?;
    }
    Ok(())
}

fn expect(what: &str, found: u64, expected: u64) -> Result<(), CliError> {
    match found == expected {
        true => Ok(()),
        false => Err(CliError::failed(format!("{what}: {found}, expected {expected}"))),
    }
}

/// Where every row went, and where the Parquet lies.
pub(super) async fn account(context: &Context, placed: &[Placed]) -> Result<(), CliError> {
    let headers = ["file", "read", "kept", "filtered", "rejected"];
    let align = |at| if at == 0 { Align::Left } else { Align::Right };
    let mut table = Table::new(headers.iter().enumerate().map(|(at, header)| (*header, align(at))));
    for placed in placed {
        let Report { read, kept, filtered, rejected, .. } = report(placed)?;
        expect(
            &format!("rows of {} that are kept, filtered or rejected", placed.key),
            kept + filtered + rejected,
            *read,
        )?;
        table.row(vec![Cell::plain(&placed.key), read.into(), kept.into(), filtered.into(), rejected.into()]);
    }
    table.say_fitting(&context.console);
    let deployed = Deployed::open(context).await?;
    let commits = view::commits(&deployed.pipeline()?, TABLE, None).await?;
    let files = commits.records.iter().filter_map(|commit| commit.current.as_ref()).flat_map(|current| &current.files);
    for file in files {
        let what = if file.role == Role::Data { "Parquet" } else { "rejects" };
        context.console.note(format!("{what}: s3://{}/{} ({} bytes)", deployed.processed_bucket, file.key, file.bytes));
    }
    Ok(())
}

/// The table's columns, its first rows, and what the transform has made of them.
pub(super) async fn show_table(context: &Context) -> Result<Classes, CliError> {
    let console = &context.console;
    let all = show::show(&show::Args::first(TABLE, usize::MAX, false), context).await?;
    let schema = all.batches.first().ok_or_else(|| CliError::failed("the table has no row"))?.schema();
    let columns: Vec<String> =
        schema.fields().iter().map(|field| format!("{} {}", field.name(), rows_type(field.data_type()))).collect();
    console.note(format!("columns: {}", columns.join(", ")));
    for (made, expected) in MADE {
        let found = rows_type(schema.field_with_name(made).map_err(CliError::failed)?.data_type());
        if found != *expected {
            return Err(CliError::failed(format!("{made} is {found}, expected {expected}")));
        }
    }
    show::run(show::Args::first(TABLE, ROWS_SHOWN, false), context).await?;
    let rows: u64 = all.batches.iter().map(|batch| batch.num_rows() as u64).sum();
    let kept = [JANUARY_ROWS, FEBRUARY_ROWS, BAD_ROWS_ROWS].map(Rows::kept).iter().sum();
    expect("rows in the Parquet files", rows, kept)?;
    let classes = classes(&all)?;
    console.note(format!("{rows} rows by {CLASS}: {}", told(&classes)));
    Ok(classes)
}

/// A type as `lake.toml` calls it.
fn rows_type(ty: &DataType) -> String {
    match ty {
        DataType::Float64 => "double".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Utf8 => "string".to_owned(),
        DataType::Date32 => "date".to_owned(),
        other => other.to_string().to_lowercase(),
    }
}

fn classes(shown: &show::Shown) -> Result<Classes, CliError> {
    let mut classes = Classes::new();
    for batch in &shown.batches {
        let column = batch.column_by_name(CLASS).and_then(|column| column.as_string_opt::<i32>());
        let column = column.ok_or_else(|| CliError::failed(format!("there is no column {CLASS} of text")))?;
        for class in column {
            *classes.entry(class.unwrap_or("null").to_owned()).or_default() += 1;
        }
    }
    Ok(classes)
}

fn told(classes: &Classes) -> String {
    classes.iter().map(|(class, rows)| format!("{rows} {class}")).collect::<Vec<_>>().join(", ")
}

pub(super) async fn show_rejects(context: &Context) -> Result<(), CliError> {
    let rejects = show::show(&show::Args::first(TABLE, usize::MAX, true), context).await?;
    let objects = rejects.objects()?;
    for reject in &objects {
        let text = |name: &str| {
            reject
                .get(name)
                .map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        };
        let (line, column) = (text("line"), text("column").replace("null", "-"));
        let line = format!("line {line:>3}  {:<9}  {:<15}  {}", column, text("code"), text("message"));
        context.console.note(printable(&line));
    }
    expect("rejected rows, each with its reason", objects.len() as u64, BAD_ROWS_ROWS.rejected)
}

/// The mail that the last file brought, as it was delivered.
pub(super) async fn show_mail(context: &Context, placed: &[Placed]) -> Result<(), CliError> {
    let key = placed.last().map(|placed| placed.key.as_str()).unwrap_or_default();
    let mail = mailbox::mail(context, "the mail of the run", |text| text.contains(key)).await?;
    for line in mail.shown() {
        context.console.note(format!("  {}", printable(&line)));
    }
    Ok(())
}

pub(super) async fn status_and_runs(context: &Context) -> Result<(), CliError> {
    status::run(parsed(&[])?, context).await?;
    runs::run(parsed(&[])?, context).await?;
    // So that finding nothing in the end means something.
    match inventory(context).await?.kinds().iter().find(|(_, names)| names.is_empty()) {
        Some((kind, _)) => Err(CliError::failed(format!("the cloud lists no {kind}, and there must be some"))),
        None => Ok(()),
    }
}

/// A command's arguments from words.
fn parsed<T: clap::Args>(words: &[&str]) -> Result<T, CliError> {
    let command = T::augment_args(clap::Command::new("lake").no_binary_name(true));
    let matches = command.try_get_matches_from(words).map_err(CliError::failed)?;
    T::from_arg_matches(&matches).map_err(CliError::failed)
}

/// Another setting of the transform, and what that means.
pub(super) async fn reconfigure(context: &Context, folder: &Path) -> Result<(), CliError> {
    edit(folder, SETTING.0, SETTING.1)?;
    show_change(context, SETTING.0, SETTING.1);
    plan::run(parsed(&[])?, context).await.map(drop)
}

pub(super) async fn backfill(context: &Context) -> Result<(), CliError> {
    backfill::run(parsed(&[TABLE, "--yes"])?, context).await
}

/// The classes are others, and no row has come or gone.
pub(super) async fn compare(context: &Context, before: &Classes) -> Result<(), CliError> {
    let after = classes(&show::show(&show::Args::first(TABLE, usize::MAX, false), context).await?)?;
    context.console.note(format!("before: {}", told(before)));
    context.console.note(format!("after:  {}", told(&after)));
    expect("rows of the table", after.values().sum(), before.values().sum())?;
    if after == *before {
        return Err(CliError::failed(format!("no row has another {CLASS}")));
    }
    Ok(())
}

pub(super) async fn apply_again(context: &Context) -> Result<(), CliError> {
    let prepared = prepare(context, Goal::Declared, None, &Scope::default()).await?;
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

pub(super) async fn prove_empty(context: &Context) -> Result<(), CliError> {
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

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
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
        assert_eq!((january, february), (JANUARY_ROWS.read, FEBRUARY_ROWS.read));
        assert_eq!((cancelled_in_january, cancelled_in_february), (JANUARY_ROWS.filtered, FEBRUARY_ROWS.filtered));
    }

    #[test]
    fn what_the_demo_edits_stands_once_in_the_sample() {
        let toml = include_str!("../../../examples/flights/lake.toml");
        for text in [ALERTS, SETTING.0] {
            assert_eq!(toml.matches(text).count(), 1, "{text}");
        }
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
