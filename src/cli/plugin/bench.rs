//! `lake plugin bench`

use std::{
    collections::BTreeMap,
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use arrow::{
    array::{Array, RecordBatch},
    error::ArrowError,
};
use indicatif::{HumanBytes, HumanCount};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Serialize;
use serde_json::json;

use crate::{
    dataset::{Column, CsvOptions, Dataset},
    executor::{
        self, Conversion, Input, Origin, Progress,
        local::{FileSink, FileSource},
        transform::{Contract, Deadline, Limits, Meter, Plugin},
    },
};

use super::{
    super::{
        console::Style,
        context::Context,
        convert::transform::{setting, settings},
        error::CliError,
    },
    columns, place,
};

/// Rows of a batch, as the executor makes them.
const BATCH_ROWS: usize = 8192;
/// How long rounds go on.
const TIME: Duration = Duration::from_secs(1);
/// Fewest rounds over the file, whatever they take.
const ROUNDS_MIN: usize = 3;
/// Most rounds.
const ROUNDS_MAX: usize = 10_000;

/// Measures a plugin on the rows of a CSV file: rows and bytes a second, time and fuel a row.
///
/// Only the plugin is measured, with what crosses its border; the file is decoded beforehand. Times are those of the
/// median round on one thread. Fuel is about one unit an instruction: it is the same on every machine, and tells a
/// slower plugin from a busy machine.
///
/// Example: lake plugin bench clean-flights --csv data/flights-2013-01.csv
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .wasm file, a plugin's folder, or its name in plugins/.
    #[arg(value_name = "PLUGIN")]
    plugin: Option<PathBuf>,
    /// The rows.
    #[arg(long, value_name = "FILE")]
    csv: PathBuf,
    /// The columns, such as `id:int64,fare:decimal(9,2)`; found out where they are not given.
    #[arg(long, value_name = "COLUMNS")]
    schema: Option<String>,
    /// Configures the plugin. May be repeated.
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

pub fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let path = place::plugin(context, args.plugin.as_deref())?;
    let component = place::component(context, &path, &place::Cache::of(context)?)?;
    let columns = match &args.schema {
        Some(schema) => columns::parse(schema).map_err(CliError::usage)?,
        None => columns::found(&args.csv, &CsvOptions::default())?,
    };
    let work = Work { batches: batches(&args.csv, &columns)?, columns, config: settings(&args.settings)? };
    if work.batches.is_empty() {
        return Err(CliError::failed(format!("{} has no row that fits its columns", args.csv.display())));
    }
    let (plugin, fuelled) = (place::compiled(&component, Meter::Off)?, place::compiled(&component, Meter::Fuel)?);
    let measured = measure(&work, &plugin, &fuelled)?;
    measured.say(context, &component.name);
    context.console.json(&json!({
        "plugin": component.name,
        "sha256": component.sha256,
        "csv": args.csv,
        "measured": measured,
    }))
}

/// The rows of the file that fit its columns, as the executor gives them to plugins.
fn batches(csv: &Path, columns: &[Column]) -> Result<Vec<RecordBatch>, CliError> {
    let folder = tempfile::tempdir()?;
    let mut sink = FileSink::new(folder.path().join("rows.parquet"), folder.path().join("rejects.parquet"));
    let source = FileSource::new(csv);
    let input = Input { source: &source, origin: Origin::default(), dialect: None };
    let dataset = Dataset::new("bench", "data/");
    let converted = executor::convert(&[input], &Conversion::of(&dataset, columns, None), &mut sink, &Progress::new())?;
    let Some(data) = converted.data.into_iter().next() else { return Ok(Vec::new()) };
    let file = File::open(data.output.commit()?)?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(BATCH_ROWS).build()?;
    let schema = executor::parquet::schema(columns);
    let batches: Result<Vec<RecordBatch>, ArrowError> =
        reader.map(|batch| RecordBatch::try_new(schema.clone(), batch?.columns().to_vec())).collect();
    Ok(batches?)
}

/// What plugins are measured on.
struct Work {
    columns: Vec<Column>,
    config: BTreeMap<String, String>,
    batches: Vec<RecordBatch>,
}

/// One pass over all rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Round {
    time: Duration,
    fuel: u64,
    kept: u64,
    filtered: u64,
    rejected: u64,
    /// Of the columns that crossed the border.
    bytes_in: u64,
    bytes_out: u64,
}

impl Work {
    fn rows(&self) -> u64 {
        self.batches.iter().map(|batch| batch.num_rows() as u64).sum()
    }

    fn round(&self, plugin: &Plugin) -> Result<Round, CliError> {
        let limits = Limits::default();
        let mut instance = plugin.open(&self.config, &self.columns, &limits, Deadline::NEVER)?;
        let border = Border::of(instance.contract(), &self.columns);
        let (mut round, opened) = (Round::default(), instance.fuel());
        for batch in &self.batches {
            let begun = Instant::now();
            let transformed = instance.transform(batch)?;
            round.time += begun.elapsed();
            round.kept += transformed.kept;
            round.filtered += transformed.filtered;
            round.rejected += transformed.errors.len() as u64;
            round.bytes_in += bytes(batch, &border.read)?;
            if let Some(batch) = &transformed.batch {
                round.bytes_out += bytes(batch, &border.written)?;
            }
        }
        round.fuel = instance.fuel() - opened;
        Ok(round)
    }
}

/// Which columns cross the border.
struct Border {
    /// Of the input.
    read: Vec<usize>,
    /// Of the table.
    written: Vec<usize>,
}

impl Border {
    fn of(contract: &Contract, input: &[Column]) -> Border {
        let passes_by = |name: &str| {
            let place = input.iter().position(|column| column.name == name);
            place.is_some_and(|place| !contract.reads.contains(&place))
        };
        let written = (0..contract.columns.len()).filter(|place| !passes_by(&contract.columns[*place].name));
        Border { read: contract.reads.clone(), written: written.collect() }
    }
}

fn bytes(batch: &RecordBatch, columns: &[usize]) -> Result<u64, ArrowError> {
    let sizes = columns.iter().map(|column| batch.column(*column).to_data().get_slice_memory_size());
    Ok(sizes.sum::<Result<usize, ArrowError>>()? as u64)
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Measured {
    rows: u64,
    kept: u64,
    filtered: u64,
    rejected: u64,
    rounds: usize,
    rows_per_second: f64,
    nanoseconds_per_row: f64,
    fuel_per_row: f64,
    bytes_in: u64,
    bytes_out: u64,
    megabytes_in_per_second: f64,
    megabytes_out_per_second: f64,
}

fn measure(work: &Work, plugin: &Plugin, fuelled: &Plugin) -> Result<Measured, CliError> {
    let burnt = work.round(fuelled)?;
    let begun = Instant::now();
    let mut rounds = Vec::new();
    while rounds.len() < ROUNDS_MIN || (begun.elapsed() < TIME && rounds.len() < ROUNDS_MAX) {
        rounds.push(work.round(plugin)?);
    }
    rounds.sort_by_key(|round| round.time);
    Ok(Measured::of(work.rows(), &rounds[rounds.len() / 2], rounds.len(), burnt.fuel))
}

impl Measured {
    fn of(rows: u64, round: &Round, rounds: usize, fuel: u64) -> Measured {
        let seconds = round.time.as_secs_f64().max(1e-9);
        Measured {
            rows,
            kept: round.kept,
            filtered: round.filtered,
            rejected: round.rejected,
            rounds,
            rows_per_second: rows as f64 / seconds,
            nanoseconds_per_row: seconds * 1e9 / rows as f64,
            fuel_per_row: fuel as f64 / rows as f64,
            bytes_in: round.bytes_in,
            bytes_out: round.bytes_out,
            megabytes_in_per_second: round.bytes_in as f64 / 1e6 / seconds,
            megabytes_out_per_second: round.bytes_out as f64 / 1e6 / seconds,
        }
    }

    fn say(&self, context: &Context, plugin: &str) {
        let console = &context.console;
        let count = HumanCount;
        console.say(format!(
            "{}: {} rows = {} kept + {} filtered + {} rejected, {} rounds",
            console.paint(plugin, Style::Strong),
            count(self.rows),
            count(self.kept),
            count(self.filtered),
            count(self.rejected),
            self.rounds
        ));
        console.say(format!("  {:>12} rows/s", count(self.rows_per_second as u64).to_string()));
        console.say(format!("  {:>12.1} ns a row", self.nanoseconds_per_row));
        console.say(format!("  {:>12.1} fuel a row", self.fuel_per_row));
        for (what, bytes, rate) in [
            ("in", self.bytes_in, self.megabytes_in_per_second),
            ("out", self.bytes_out, self.megabytes_out_per_second),
        ] {
            console.say(format!("  {rate:>12.0} MB/s {what} ({} a round)", HumanBytes(bytes)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_round_and_fuel_of_its_own() {
        let round = Round {
            time: Duration::from_millis(10),
            kept: 900,
            filtered: 90,
            rejected: 10,
            bytes_in: 8_000_000,
            bytes_out: 2_000_000,
            fuel: 0,
        };
        let measured = Measured::of(1000, &round, 3, 42_000);
        assert_eq!((measured.rows_per_second, measured.fuel_per_row), (100_000.0, 42.0));
        assert_eq!(measured.nanoseconds_per_row.round(), 10_000.0);
        assert_eq!(
            (measured.megabytes_in_per_second.round(), measured.megabytes_out_per_second.round()),
            (800.0, 200.0)
        );
    }
}
