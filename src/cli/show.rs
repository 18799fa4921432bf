//! `lake show`

use arrow::array::RecordBatch;
use aws_sdk_glue::{operation::get_table::GetTableError, types::Table as GlueTable};
use indicatif::HumanCount;
use serde_json::{Map, Value};

use crate::{
    dataset::Partition,
    executor::catalog::columns_of,
    pipeline::{
        ledger::{File, Role},
        view,
    },
};

use super::{context::Context, deployed::Deployed, error::CliError, ranged::RangedObject, rows, service_error};

/// Rows that are shown unless told otherwise.
const LIMIT_DEFAULT: usize = 10;

/// Shows the first rows of a table, or those that were set aside and why.
///
/// Only the parts of the Parquet files that are needed are read. With --json, every row is a line.
///
/// Example: lake show flights --limit 20
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The table; it has its dataset's name.
    #[arg(value_name = "TABLE")]
    table: String,
    /// Rows to show.
    #[arg(long, value_name = "N", default_value_t = LIMIT_DEFAULT)]
    limit: usize,
    /// The rejected rows instead, each with file, line, column and reason.
    #[arg(long)]
    rejects: bool,
}

impl Args {
    /// What `lake show TABLE --limit N` means, with `--rejects` or without.
    pub fn first(table: &str, limit: usize, rejects: bool) -> Self {
        Args { table: table.to_owned(), limit, rejects }
    }
}

/// The first rows of a table, and what they are part of.
#[derive(Debug, Default)]
pub struct Shown {
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// Rows of the table, or rejected rows, in all.
    pub rows: u64,
    /// Files that they are in.
    pub files: usize,
}

impl Shown {
    /// The rows as JSON objects.
    pub fn objects(&self) -> Result<Vec<Map<String, Value>>, CliError> {
        let mut objects = Vec::new();
        for batch in &self.batches {
            objects.extend(rows::objects(batch)?);
        }
        Ok(objects)
    }
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let shown = show(&args, context).await?;
    let console = &context.console;
    if console.is_json() {
        return shown.objects()?.iter().try_for_each(|row| console.json(row));
    }
    let count: usize = shown.batches.iter().map(RecordBatch::num_rows).sum();
    let left_out = match count {
        0 => Vec::new(),
        _ => rows::table(&shown.batches)?.say_fitting(console),
    };
    let what = if args.rejects { "rejected rows" } else { "rows" };
    if shown.rows == 0 {
        console.note(format!("no {what}"));
        return Ok(());
    }
    let of = format!("{count} of {} {what}, in {} files", HumanCount(shown.rows), shown.files);
    match left_out.is_empty() {
        true => console.note(of),
        false => console.note(format!("{of}; not shown for want of room: {}", left_out.join(", "))),
    }
    Ok(())
}

/// The first rows of a table, by what the ledger says is committed.
pub async fn show(args: &Args, context: &Context) -> Result<Shown, CliError> {
    let deployed = Deployed::open(context).await?;
    let dataset = deployed.dataset(&args.table)?;
    let table = table(&deployed, &dataset.name).await?;
    let role = if args.rejects { Role::Rejects } else { Role::Data };
    if table.is_none() && role == Role::Data {
        let message = format!("the table `{}` does not exist yet: no file has been converted", dataset.name);
        return Err(CliError::failed(message).hint(format!("put one with `lake put {} FILE --wait`", dataset.name)));
    }
    // Files of earlier times lack columns that came later. Of a type that lake does not write, nothing can be said.
    let columns = match (role, &table) {
        (Role::Data, Some(table)) => columns_of(table).unwrap_or_default(),
        _ => Vec::new(),
    };
    let (ledger, client) = (deployed.pipeline()?, deployed.connection.s3());
    let (mut shown, mut wanted, mut page) = (Shown::default(), args.limit, None::<String>);
    loop {
        let commits = view::commits(&ledger, &dataset.name, page.as_deref()).await?;
        for commit in &commits.records {
            let Some(current) = &commit.current else { continue };
            shown.rows += if role == Role::Data { current.rows } else { current.rejected };
            for File { key, .. } in current.files.iter().filter(|file| file.role == role) {
                shown.files += 1;
                if wanted == 0 {
                    continue;
                }
                let batches = read(&client, &deployed.processed_bucket, key, wanted).await?;
                wanted -= batches.iter().map(RecordBatch::num_rows).sum::<usize>().min(wanted);
                for batch in batches {
                    shown.batches.push(rows::as_table(batch, &Partition::of_key(key), &columns)?);
                }
            }
        }
        page = commits.next;
        if page.is_none() {
            return Ok(shown);
        }
    }
}

/// The table as the catalog has it; `None` when it has no such table.
async fn table(deployed: &Deployed, table: &str) -> Result<Option<GlueTable>, CliError> {
    let glue = aws_sdk_glue::Client::new(&deployed.connection.sdk);
    match glue.get_table().database_name(&deployed.database).name(table).send().await {
        Ok(found) => Ok(found.table),
        Err(error) if error.as_service_error().is_some_and(GetTableError::is_entity_not_found_exception) => Ok(None),
        Err(error) => Err(service_error("glue:GetTable", table, error)),
    }
}

async fn read(
    client: &aws_sdk_s3::Client,
    bucket: &str,
    key: &str,
    limit: usize,
) -> Result<Vec<RecordBatch>, CliError> {
    let Some(object) = RangedObject::open(client, bucket, key).await? else {
        return Err(CliError::failed(format!(
            "s3://{bucket}/{key} is gone: a newer version of its source took its place"
        ))
        .hint("try again; if that does not help, `lake status` tells what is going on"));
    };
    // Parquet's readers block; the requests they wait for are made by the runtime.
    let rows = tokio::task::spawn_blocking(move || rows::first_rows(object, limit)).await;
    let (batches, _) = rows.map_err(CliError::failed)??;
    Ok(batches)
}
