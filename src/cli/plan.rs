//! `lake plan`

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    files,
    plan::{Pattern, Plan},
};

use super::{
    EXIT_CHANGES, EXIT_DONE,
    context::Context,
    control::{Goal, Prepared, prepare},
    error::CliError,
    render,
    scope::Part,
};

/// Shows what apply would make, change and delete, field by field, in dependency order.
///
/// Nothing is changed. The embedded cloud is started when it is not running.
///
/// Example: lake plan --out changes.plan && lake apply changes.plan
///
/// Example: lake plan --target 'aws:glue:*/*' --replace aws:glue:Crawler/raw
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    part: Part,
    /// Replaces this resource although nothing asks for it. May be given several times.
    #[arg(long = "replace", value_name = "ADDRESS")]
    replaces: Vec<Pattern>,
    /// Saves the plan, for `lake apply FILE` to do exactly this.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Exits with 2 when there are changes.
    #[arg(long)]
    detailed_exitcode: bool,
}

/// A plan in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    format: u32,
    plan: Plan,
}

/// The format of plan files this version writes and reads.
const FORMAT: u32 = 1;

pub async fn run(args: Args, context: &Context) -> Result<u8, CliError> {
    let prepared = prepare(context, Goal::Declared, None, &args.part.with(&args.replaces)).await?;
    let Prepared { plan, prior, meaning, .. } = &prepared;
    render::drift(&context.console, &prior.drift);
    render::plan(&context.console, plan);
    render::meaning(&context.console, plan, meaning);
    context.console.json(&render::PlanDocument::new(plan, &prior.drift, meaning))?;
    if let Some(path) = &args.out {
        save(plan, path)?;
        context.console.note(format!("saved to {}; do it with `lake apply {}`", path.display(), path.display()));
    }
    Ok(if args.detailed_exitcode && !plan.is_empty() { EXIT_CHANGES } else { EXIT_DONE })
}

fn save(plan: &Plan, path: &Path) -> Result<(), CliError> {
    let bytes = serde_json::to_vec(&Saved { format: FORMAT, plan: plan.clone() })?;
    let saved = files::write_durably(path, &bytes);
    saved.map_err(|error| CliError::failed(format!("the plan could not be saved to {}: {error}", path.display())))
}

/// Reads a saved plan.
pub fn load(path: &Path) -> Result<Plan, CliError> {
    let unreadable = |error: &dyn std::fmt::Display| {
        CliError::failed(format!("{} is no plan that can be applied: {error}", path.display()))
            .hint("make one with `lake plan --out FILE`")
    };
    let bytes = std::fs::read(path).map_err(|error| unreadable(&error))?;
    let saved: Saved = serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?;
    if saved.format != FORMAT {
        return Err(unreadable(&format!("it has format {}, this version reads {FORMAT}", saved.format)));
    }
    Ok(saved.plan)
}

/// Refuses a saved plan unless doing it now is doing what was planned.
pub fn check_fresh(saved: &Plan, current: &Plan) -> Result<(), CliError> {
    let why = if saved.lineage != current.lineage {
        "it was made for another stack"
    } else if saved.serial != current.serial {
        "the state has changed since it was made"
    } else if saved.config_hash != current.config_hash {
        "lake.toml has changed since it was made"
    } else if saved.steps != current.steps {
        "the cloud or the packages have changed since it was made"
    } else {
        return Ok(());
    };
    Err(CliError::failed(format!("the saved plan is stale: {why}")).hint("plan again with `lake plan --out FILE`"))
}
