//! `lake state history`

use serde_json::json;

use crate::{
    cli::table::{Align, Cell, Table, printable},
    state::{Edit, History, Summary},
};

use super::{CliError, Context, no_state, store};

/// Shows what was done to the stack: every command that changed its state, and what it did.
///
/// With a serial, every edit of the command that made it. `lake state list --at` and `lake state show --at` show the
/// state as it was then.
///
/// Example: lake state history
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A serial of the command to look into.
    serial: Option<u64>,
}

pub async fn run(args: &Args, context: &Context) -> Result<(), CliError> {
    let store = store(context).await?;
    let history = store.past().await?;
    let Some(first) = history.first() else { return Err(no_state(context)) };
    for serial in &history.damaged {
        context.console.warn(format!("the state of serial {serial} cannot be read; `lake state repair` takes it out"));
    }
    match args.serial {
        Some(serial) => one(&history, serial, context),
        None => all(&history, first, context),
    }
}

fn all(history: &History, first: u64, context: &Context) -> Result<(), CliError> {
    let runs = history.runs();
    let mut table = Table::new([
        ("serials", Align::Left),
        ("when", Align::Left),
        ("command", Align::Left),
        ("host", Align::Left),
        ("pid", Align::Right),
        ("what it did", Align::Left),
    ]);
    for run in &runs {
        let of = |text: fn(&crate::state::Run) -> String| run.run.as_ref().map_or_else(|| "?".to_owned(), text);
        table.row(vec![
            Cell::plain(format!("{}–{}", run.from, run.to)),
            Cell::plain(of(|run| format!("{:.0}", run.at))),
            Cell::plain(of(|run| run.command.clone())),
            Cell::plain(of(|run| run.host.clone())),
            Cell::plain(of(|run| run.pid.to_string())),
            Cell::plain(told(run)),
        ]);
    }
    if !context.console.is_json() && !table.is_empty() {
        table.say(&context.console);
    }
    if first > 0 {
        context.console.note(format!("what was done before serial {} is no longer kept", first + 1));
    }
    context.console.json(&json!({ "kept_from": first, "runs": runs }))
}

/// What a command did, in words.
fn told(run: &Summary) -> String {
    let counts = [
        (run.created, "created"),
        (run.updated, "updated"),
        (run.deleted, "deleted"),
        (run.forgotten, "forgotten"),
        (run.noted, "noted"),
        (run.gone, "found gone"),
    ];
    let counted = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let open = run.open.iter().map(|open| format!("{} of {} left open", open.operation, open.address));
    let parts: Vec<String> = counted.chain(open).collect();
    if parts.is_empty() { "nothing in the cloud".to_owned() } else { parts.join(", ") }
}

fn one(history: &History, serial: u64, context: &Context) -> Result<(), CliError> {
    let runs = history.runs();
    let run = runs.iter().find(|run| (run.from..=run.to).contains(&serial)).ok_or_else(|| {
        CliError::failed(format!("no command that made serial {serial} is kept"))
            .hint("`lake state history` shows which are")
    })?;
    let edits: Vec<(u64, &Edit)> = history.edits().filter(|(serial, _)| (run.from..=run.to).contains(serial)).collect();
    for (serial, edit) in &edits {
        context.console.note(format!("{serial:>6}  {}", printable(&line(edit))));
    }
    let edits: Vec<_> = edits.iter().map(|(serial, edit)| json!({ "serial": serial, "edit": edit })).collect();
    context.console.json(&json!({ "run": run, "edits": edits }))
}

/// An edit on a line.
fn line(edit: &Edit) -> String {
    match edit {
        Edit::Run(run) => format!("`lake {}` begins at {:.0}, pid {} on {}", run.command, run.at, run.pid, run.host),
        Edit::Begin(intent) => {
            format!("begin {} {} ({})", intent.operation, intent.planned.address, intent.planned.identity)
        }
        Edit::Record(recorded) => format!("record {} ({})", recorded.address, recorded.identity),
        Edit::Remove(gone) if gone.retained => format!("forget {} ({}), which stays", gone.address, gone.identity),
        Edit::Remove(gone) => format!("deleted {} ({})", gone.address, gone.identity),
        Edit::Differ(difference) => {
            let put = difference.put.iter().map(|recorded| format!("{} as it is now", recorded.address));
            let removed = difference.removed.iter().map(|address| format!("no more {address}"));
            let told: Vec<String> = put.chain(removed).collect();
            if told.is_empty() { "found otherwise".to_owned() } else { format!("found otherwise: {}", told.join(", ")) }
        }
        Edit::Outputs(outputs) => {
            let names: Vec<&str> = outputs.keys().map(String::as_str).collect();
            format!("outputs {}", names.join(", "))
        }
    }
}
