//! `lake cloud faults`

use std::path::PathBuf;

use aws_credential_types::Credentials;

use crate::{
    cli::{context::Context, error::CliError},
    cloud::faults::{self, AdminError, Counts, Current, Plan},
};

use super::{files::ServerFile, process};

/// Makes things go wrong in the embedded cloud, to see what a lake makes of it.
///
/// PLAN is a file of JSON, such as {"seed": 7, "events": {"drop": 0.1, "duplicate": 0.1, "delay": 0.2,
/// "delay_ms_max": 500}, "requests": {"throttle": 0.05, "fail": 0.05, "lose_answer": 0.02}, "functions": {"kill":
/// 0.02}, "cloud": {"kill_at_request": 40}}. Shares are from 0 to 1; what is left out does not go wrong. Requests are
/// those of functions, unless "requests" has "everyone": true. Without PLAN, it tells what is in force and what it has
/// done. A plan stays in force over restarts of the cloud.
///
/// Example: echo '{"events": {"drop": 0.5}}' > faults.json && lake cloud faults faults.json && lake cloud faults --off
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is to go wrong.
    #[arg(value_name = "PLAN", conflicts_with = "off")]
    plan: Option<PathBuf>,
    /// Ends all faults.
    #[arg(long)]
    off: bool,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let plan = args.plan.map(|path| read(&path)).transpose()?;
    let Some(server) = process::running(context).await? else {
        return Err(CliError::failed("the embedded cloud does not run").hint("start it with `lake cloud start`"));
    };
    let credentials = credentials(&server);
    let current = match plan {
        Some(plan) => faults::set(server.port, &credentials, &plan).await,
        None if args.off => faults::clear(server.port, &credentials).await,
        None => faults::read(server.port, &credentials).await,
    };
    show(context, &current.map_err(failed)?)
}

fn read(path: &std::path::Path) -> Result<Plan, CliError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| CliError::failed(format!("{shown}: {error}")))?;
    // The parser's message ends with line and column.
    let plan: Plan = serde_json::from_str(&text).map_err(|error| {
        CliError::failed(format!("{shown}: {error}")).hint("`lake cloud faults --help` shows a plan")
    })?;
    plan.check().map_err(|message| CliError::failed(format!("{shown}: {message}")))?;
    Ok(plan)
}

fn credentials(server: &ServerFile) -> Credentials {
    Credentials::new(&server.access_key_id, &server.secret_access_key, None, None, "embedded cloud")
}

fn failed(error: AdminError) -> CliError {
    CliError::failed(error.to_string())
}

fn show(context: &Context, current: &Current) -> Result<(), CliError> {
    let console = &context.console;
    match &current.plan {
        None => console.say("nothing is to go wrong"),
        Some(plan) => {
            console.say(format!("plan in force: {}", serde_json::to_string(plan)?));
            for (what, count) in counted(&current.counts) {
                console.say(format!("{what:<32} {count}"));
            }
        }
    }
    console.json(current)
}

fn counted(counts: &Counts) -> [(&'static str, u64); 7] {
    [
        ("events lost", counts.events_lost),
        ("events that came twice", counts.events_twice),
        ("events that came late", counts.events_late),
        ("requests throttled", counts.throttled),
        ("requests failed", counts.failed),
        ("answers lost", counts.answers_lost),
        ("functions killed", counts.functions_killed),
    ]
}
