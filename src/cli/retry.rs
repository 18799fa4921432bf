//! `lake retry`

use serde_json::json;

use crate::pipeline::retry::{Action, Retried, Selection, retry};

use super::{
    context::Context,
    deployed::Deployed,
    error::CliError,
    table::{Align, Table},
};

/// Converts again what is parked or stuck, or certain files.
///
/// Without a KEY: all that is parked and all that waits without being worked on. A file whose rows are in the table
/// is converted again only when the dataset's configuration has changed.
///
/// Example: lake retry flights flights/flights-2013-01.csv
#[derive(Debug, clap::Args)]
pub struct Args {
    /// One dataset only.
    #[arg(value_name = "DATASET")]
    dataset: Option<String>,
    /// Keys in the raw bucket, as `lake status` shows them.
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let deployed = Deployed::open(context).await?;
    let pipeline = deployed.pipeline()?;
    let mut retried: Vec<Retried> = Vec::new();
    for dataset in deployed.datasets(args.dataset.as_deref())? {
        if let Some(key) = args.keys.iter().find(|key| !key.starts_with(&dataset.source)) {
            return Err(CliError::usage(format!("`{key}` is not a file of dataset `{}`", dataset.name))
                .hint(format!("its keys begin with {}; `lake status {}` shows them", dataset.source, dataset.name)));
        }
        let selection = match args.keys.is_empty() {
            true => Selection::All,
            false => Selection::Keys(args.keys.clone()),
        };
        retried.extend(retry(&pipeline, &dataset.name, &selection).await?);
    }
    show(context, &retried);
    context.console.json(&json!({ "retried": retried }))
}

fn show(context: &Context, retried: &[Retried]) {
    if retried.is_empty() {
        context.console.note("nothing to try again: nothing is parked or stuck");
        return;
    }
    let mut table = Table::new([("file", Align::Left), ("", Align::Left)]);
    for Retried { key, action } in retried {
        let what = match action {
            Action::Invoked => "is being tried again".to_owned(),
            Action::InProgress { until } => format!("is being worked on already, until {until:.0} at the latest"),
        };
        table.row(vec![key.into(), what.into()]);
    }
    table.say(&context.console);
    context.console.note("`lake status` shows how it goes");
}
