//! `lake plugin test`

use std::{fs, io, path::PathBuf};

use serde::Serialize;
use serde_json::json;

use crate::{
    executor::transform::{Meter, Plugin},
    package::plugin::Component,
};

use super::{
    super::{console::Style, context::Context, error::CliError},
    case::Case,
    diff::{Line, diff},
    place,
};

/// Runs a plugin on the CSV files in its folder tests/, and compares what comes out with what is expected.
///
/// For tests/NAME.csv, tests/NAME.expected.txt has the counts, the columns, the rows kept, and the rows rejected with
/// their reasons; --update writes it. tests/NAME.toml may configure the plugin ([config]) and fix the columns (schema =
/// "id:int64,name:string"). The rows go through the same code as in the lake's functions.
///
/// Example: lake plugin test clean-flights --update && git diff
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plugin's folder, or its name in plugins/.
    #[arg(value_name = "PLUGIN")]
    plugin: Option<PathBuf>,
    /// Writes what comes out as what is expected.
    #[arg(long)]
    update: bool,
}

/// How a case compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As expected.
    Passed,
    /// Not as expected.
    Failed,
    /// Nothing was expected yet.
    Unknown,
    /// What is expected was written.
    Updated,
}

/// A case, its verdict, and what came out.
#[derive(Debug, Serialize)]
struct Tried {
    case: String,
    verdict: Verdict,
    expected: Option<String>,
    actual: String,
}

pub fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let console = &context.console;
    let path = place::plugin(context, args.plugin.as_deref())?;
    let cases = Case::all(&path)?;
    if cases.is_empty() {
        return Err(CliError::failed(format!("there is no case in {}", path.join("tests").display()))
            .hint("put a CSV file there, such as tests/sample.csv, then `lake plugin test --update`"));
    }
    let component = place::component(context, &path, &place::Cache::of(context)?)?;
    let plugin = place::compiled(&component, Meter::Off)?;
    let mut tried = Vec::new();
    for case in &cases {
        let one = try_one(case, &component, &plugin, args.update)?;
        say(context, case, &one);
        tried.push(one);
    }
    let wrong = tried.iter().filter(|one| matches!(one.verdict, Verdict::Failed | Verdict::Unknown)).count();
    console.json(&json!({ "plugin": component.name, "sha256": component.sha256, "cases": tried }))?;
    match wrong {
        0 => Ok(()),
        _ => Err(CliError::failed(format!("{wrong} of {} cases did not come out as expected", tried.len()))
            .hint("if they are right as they are, `lake plugin test --update` writes them down")),
    }
}

fn try_one(case: &Case, component: &Component, plugin: &Plugin, update: bool) -> Result<Tried, CliError> {
    let actual = case.run(component, plugin)?.text()?;
    let expected = match fs::read_to_string(&case.expected) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let verdict = match &expected {
        Some(expected) if *expected == actual => Verdict::Passed,
        _ if update => {
            fs::write(&case.expected, &actual)?;
            Verdict::Updated
        }
        Some(_) => Verdict::Failed,
        None => Verdict::Unknown,
    };
    Ok(Tried { case: case.name.clone(), verdict, expected, actual })
}

fn say(context: &Context, case: &Case, tried: &Tried) {
    let console = &context.console;
    let counts = tried.actual.lines().next().unwrap_or_default();
    let (word, style) = match tried.verdict {
        Verdict::Passed => ("ok", Style::Good),
        Verdict::Updated => ("updated", Style::Changed),
        Verdict::Failed => ("FAILED", Style::Bad),
        Verdict::Unknown => ("UNKNOWN", Style::Bad),
    };
    console.say(format!("{} {}: {counts}", console.paint(word, style), tried.case));
    match (&tried.expected, tried.verdict) {
        (_, Verdict::Unknown) => {
            console.say(format!("  there is no {}; this came out:", case.expected.display()));
            tried.actual.lines().for_each(|line| console.say(format!("  {line}")));
        }
        (Some(expected), Verdict::Failed | Verdict::Updated) => {
            for line in diff(expected, &tried.actual) {
                console.say(match line {
                    Line::Same(text) => format!("    {text}"),
                    Line::Gone(text) => console.paint(format!("  - {text}"), Style::Bad),
                    Line::New(text) => console.paint(format!("  + {text}"), Style::Good),
                    Line::Skipped(count) => console.paint(format!("    … {count} lines as expected"), Style::Faint),
                });
            }
        }
        _ => {}
    }
}
