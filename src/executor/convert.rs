//! The conversion: every row of the inputs goes into the data file or into the rejects file, or is filtered by the
//! transform, and is counted on both sides.

mod matching;
mod stage;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Instant};

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use self::{
    matching::Matching,
    stage::{Passed, Stage},
};
use super::{
    Dialect, Error, Progress, Report, Sink, Source,
    csv::{BATCH_ROWS_MAX, Decoder, Nulls, Reading, Reject, is_lakes},
    parquet::{self, Writer, Written},
    report::Timings,
    transform::{Deadline, Plugin, PluginError},
};
use crate::dataset::{Column, Dataset, Transform};

/// Codes of a plugin that a report counts each by its name; rows with further ones are counted together, as
/// [`OTHER_CODES`]. The rejects file has every code.
pub const PLUGIN_CODES_MAX: usize = 100;
/// What rows are counted under whose code is one too many.
pub const OTHER_CODES: &str = "plugin_other";

/// What to make of a source.
#[derive(Debug, Clone)]
pub struct Conversion<'a> {
    /// How the CSV is read and the Parquet written.
    pub dataset: &'a Dataset,
    /// The columns of the CSV. Without a transform they are the table's.
    pub columns: &'a [Column],
    /// The plugin, when the dataset has a transform.
    pub transform: Option<Through<'a>>,
    /// Where the source came from, for the Parquet's metadata.
    pub origin: Origin,
    /// Known from [`super::infer`], else found out.
    pub dialect: Option<Dialect>,
}

/// The plugin of a dataset that has a transform. Its configuration and limits are the dataset's.
#[derive(Clone, Copy)]
pub struct Through<'a> {
    /// It is opened anew for each input.
    pub plugin: &'a Plugin,
    /// When it must be done.
    pub deadline: Deadline,
}

impl fmt::Debug for Through<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "through {} until {:?}", self.plugin.name(), self.deadline)
    }
}

/// Where a source came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// `s3://bucket/key` or a path.
    pub uri: String,
    /// The object's ETag, when it has one.
    pub etag: Option<String>,
}

/// One of several inputs.
#[derive(Clone)]
pub struct Input<'a> {
    /// Its bytes.
    pub source: &'a dyn Source,
    /// Where it came from.
    pub origin: Origin,
    /// How it is written, else found out.
    pub dialect: Option<Dialect>,
}

/// What a conversion hands back.
#[derive(Debug)]
pub struct Converted<W> {
    /// What it did.
    pub report: Report,
    /// The data file, with its footer written, for the rim to commit. `None` when no row was kept.
    pub data: Option<W>,
    /// The rejects file, likewise.
    pub rejects: Option<W>,
}

/// Converts one source. See [`convert_all`].
///
/// # Errors
/// As [`convert_all`].
pub fn convert<S: Sink>(
    source: &dyn Source,
    conversion: &Conversion<'_>,
    sink: &mut S,
    progress: &Progress,
) -> Result<Converted<S::Write>, Error> {
    let Conversion { dataset, columns, transform, origin, dialect } = conversion;
    let input = Input { source, origin: origin.clone(), dialect: dialect.clone() };
    convert_all(&[input], dataset, columns, *transform, sink, progress)
}

/// Converts several sources into one data file and one rejects file. A source without a single record adds nothing.
///
/// `columns` are those of the CSV. With a transform, each source's rows go through an instance of the plugin that is
/// opened for it, and the data file has the columns that the plugin names ([`super::transform::Contract::columns`]).
///
/// # Errors
/// [`Error::Schema`] when a source has columns that are not asked for, or none of those that are; [`Error::Plugin`]
/// when the plugin refuses or fails; what else can stop a run is listed at [`Error`]. On an error the outputs that
/// were opened are dropped, never handed back.
pub fn convert_all<S: Sink>(
    inputs: &[Input<'_>],
    dataset: &Dataset,
    columns: &[Column],
    transform: Option<Through<'_>>,
    sink: &mut S,
    progress: &Progress,
) -> Result<Converted<S::Write>, Error> {
    let mut run = Run::new(dataset, columns, together(dataset, transform)?, sink);
    for input in inputs {
        run.input(input, progress)?;
    }
    run.finish(inputs)
}

/// The dataset's transform with the plugin for it: both are there, or neither.
fn together<'a>(
    dataset: &'a Dataset,
    through: Option<Through<'a>>,
) -> Result<Option<(&'a Transform, Through<'a>)>, Error> {
    let name = &dataset.name;
    let message = match (&dataset.transform, through) {
        (Some(transform), Some(through)) => return Ok(Some((transform, through))),
        (None, None) => return Ok(None),
        (Some(transform), None) => {
            format!("dataset `{name}` has the transform `{}`, and no plugin is given for it", transform.name)
        }
        (None, Some(through)) => {
            format!("the plugin `{}` is given for dataset `{name}`, which has no transform", through.plugin.name())
        }
    };
    Err(Error::Transform { message })
}

struct Run<'a, S: Sink> {
    dataset: &'a Dataset,
    columns: &'a [Column],
    transform: Option<(&'a Transform, Through<'a>)>,
    /// Of `columns`.
    schema: SchemaRef,
    /// Of the data file; with a transform it is known once the plugin has been opened.
    table: Option<SchemaRef>,
    sink: &'a mut S,
    data: Option<Writer<S::Write>>,
    rejects: Option<Writer<S::Write>>,
    /// Rows given to the data file.
    written: u64,
    timings: Timings,
    report: Report,
    missing: BTreeSet<String>,
}

impl<'a, S: Sink> Run<'a, S> {
    fn new(
        dataset: &'a Dataset,
        columns: &'a [Column],
        transform: Option<(&'a Transform, Through<'a>)>,
        sink: &'a mut S,
    ) -> Self {
        let schema = parquet::schema(columns);
        let report = Report {
            config_hash: dataset.config_hash(),
            plugin_hash: transform.map(|(transform, _)| transform.plugin_hash().to_owned()),
            ..Report::default()
        };
        Run {
            dataset,
            columns,
            transform,
            table: transform.is_none().then(|| Arc::clone(&schema)),
            schema,
            sink,
            data: None,
            rejects: None,
            written: 0,
            timings: Timings::default(),
            report,
            missing: BTreeSet::new(),
        }
    }

    fn input(&mut self, input: &Input<'_>, progress: &Progress) -> Result<(), Error> {
        let name = input.source.name();
        let begun = Instant::now();
        let opened = Reading::open(input.source, &self.dataset.csv, input.dialect.as_ref(), self.columns, progress)?;
        self.timings.split += begun.elapsed();
        let Some(mut reading) = opened else { return Ok(()) };
        let matching = Matching::new(name, &reading, self.columns, self.dataset.csv.header)?;
        self.missing.extend(matching.missing(self.columns));
        self.report.dialect = Some(reading.dialect.clone());
        let mut stage = self.stage(name, &reading.dialect)?;
        let nulls = Nulls::new(&self.dataset.csv);
        let shape = (matching.width, matching.trailing);
        let schema = Arc::clone(&self.schema);
        let mut decoder = Decoder::new(self.columns, schema, &matching.fields, shape, &nulls, &reading.dialect);
        loop {
            let begun = Instant::now();
            let Some(batch) = reading.next()? else { break };
            self.timings.split += begun.elapsed();
            self.report.read += (batch.rows.len() + batch.faults.len()) as u64;
            let begun = Instant::now();
            let decoded = decoder.decode(&batch)?;
            self.timings.decode += begun.elapsed();
            let begun = Instant::now();
            let passed = match &mut stage {
                Some(stage) => stage.pass(&batch, decoded).map_err(|source| plugin_error(name, source))?,
                None => Passed::untouched(decoded),
            };
            self.timings.transform += begun.elapsed();
            self.settle(name, &passed)?;
        }
        self.report.bytes_read += reading.bytes.get();
        Ok(())
    }

    /// The plugin, opened for one input. All of them go into one file, so that it must answer each alike.
    fn stage(&mut self, name: &str, dialect: &Dialect) -> Result<Option<Stage>, Error> {
        let Some((transform, through)) = self.transform else { return Ok(None) };
        let begun = Instant::now();
        let stage = Stage::open(through, transform, self.columns, dialect);
        let stage = stage.map_err(|source| plugin_error(name, source))?;
        self.timings.transform += begun.elapsed();
        let schema = parquet::schema(stage.columns());
        if self.table.get_or_insert_with(|| Arc::clone(&schema)).fields() == schema.fields() {
            return Ok(Some(stage));
        }
        let message =
            "asked twice with the same columns and configuration, it gives the table other columns".to_owned();
        let source = PluginError::BrokeContract { plugin: through.plugin.name().to_owned(), rows: None, message };
        Err(plugin_error(name, source))
    }

    fn settle(&mut self, name: &str, passed: &Passed) -> Result<(), Error> {
        let Passed { batch, kept, filtered, rejects } = passed;
        self.report.kept += kept;
        self.report.filtered += filtered;
        if let Some(batch) = batch {
            // Where there are fewer rows than were kept, the count at the end does not come out.
            self.report.exploded += (batch.num_rows() as u64).saturating_sub(*kept);
            self.write(batch)?;
        }
        match rejects.is_empty() {
            true => Ok(()),
            false => self.reject(name, rejects),
        }
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let failed = |source| Error::Write { output: "data", source };
        let writer = match &mut self.data {
            Some(writer) => writer,
            none => {
                let write = self.sink.data().map_err(|source| Error::Open { output: "data", source })?;
                let schema = self.table.clone().unwrap_or_else(|| batch.schema());
                none.insert(Writer::of_data(write, &schema, &self.dataset.parquet).map_err(failed)?)
            }
        };
        self.written += batch.num_rows() as u64;
        // A transform may have made many rows of few; the writer looks at its memory between two batches.
        for first in (0..batch.num_rows()).step_by(BATCH_ROWS_MAX) {
            let rows = BATCH_ROWS_MAX.min(batch.num_rows() - first);
            writer.write(&batch.slice(first, rows)).map_err(failed)?;
        }
        Ok(())
    }

    fn reject(&mut self, name: &str, rejects: &[Reject]) -> Result<(), Error> {
        let failed = |source| Error::Write { output: "rejects", source };
        let writer = match &mut self.rejects {
            Some(writer) => writer,
            none => {
                let write = self.sink.rejects().map_err(|source| Error::Open { output: "rejects", source })?;
                none.insert(Writer::of_rejects(write).map_err(failed)?)
            }
        };
        for reject in rejects {
            count(&mut self.report, &reject.code);
        }
        writer.write(&parquet::rejects_batch(name, rejects)?).map_err(failed)
    }

    fn finish(mut self, inputs: &[Input<'_>]) -> Result<Converted<S::Write>, Error> {
        self.check_conservation(self.written)?;
        let facts = facts(&self.report, self.transform.map(|(transform, _)| transform), inputs);
        let close = |writer: Option<Writer<S::Write>>, output| {
            writer.map(|writer| writer.finish(&facts)).transpose().map_err(|source| Error::Write { output, source })
        };
        let data = close(self.data.take(), "data")?;
        let rejects = close(self.rejects.take(), "rejects")?;
        self.check_conservation(data.as_ref().map_or(0, |written| written.rows))?;
        self.report.row_groups = data.as_ref().map_or(0, |written| written.row_groups);
        for written in data.iter().chain(&rejects) {
            self.report.bytes_written += written.bytes;
            self.timings.encode += written.encode_time;
            self.timings.write += written.write_time;
        }
        self.report.missing_columns = self.missing.into_iter().collect();
        self.report.stages = self.timings.stages();
        let handed = |written: Option<Written<S::Write>>| written.map(|written| written.write);
        Ok(Converted { report: self.report, data: handed(data), rejects: handed(rejects) })
    }

    /// Every row that was read is kept, filtered or rejected; the data file has those that were kept, and those that
    /// were added.
    fn check_conservation(&self, written: u64) -> Result<(), Error> {
        let Report { read, kept, filtered, rejected, exploded, .. } = self.report;
        let by_code: u64 = self.report.rejects_by_code.values().sum();
        if read == kept + filtered + rejected && rejected == by_code && written == kept + exploded {
            return Ok(());
        }
        Err(Error::Conservation { read, kept, filtered, rejected, exploded, written })
    }
}

fn plugin_error(name: &str, source: PluginError) -> Error {
    Error::Plugin { name: name.to_owned(), source }
}

/// Counts a rejected row. A plugin may have as many codes as it likes; a report has not.
fn count(report: &mut Report, code: &str) {
    report.rejected += 1;
    let by_code = &mut report.rejects_by_code;
    let code = match by_code.len() < PLUGIN_CODES_MAX || by_code.contains_key(code) || is_lakes(code) {
        true => code,
        false => OTHER_CODES,
    };
    *by_code.entry(code.to_owned()).or_default() += 1;
}

/// What the Parquet's metadata tells.
fn facts(report: &Report, transform: Option<&Transform>, inputs: &[Input<'_>]) -> Vec<(&'static str, String)> {
    let join = |values: Vec<&str>| values.join("\n");
    let etags: Vec<&str> = inputs.iter().filter_map(|input| input.origin.etag.as_deref()).collect();
    let mut facts = vec![
        ("lake.source", join(inputs.iter().map(|input| input.origin.uri.as_str()).collect())),
        ("lake.config_hash", report.config_hash.clone()),
        ("lake.rows_read", report.read.to_string()),
        ("lake.rows_kept", report.kept.to_string()),
        ("lake.rows_filtered", report.filtered.to_string()),
        ("lake.rows_rejected", report.rejected.to_string()),
        ("lake.rows_exploded", report.exploded.to_string()),
    ];
    if !etags.is_empty() {
        facts.push(("lake.etag", join(etags)));
    }
    if let Some(transform) = transform {
        let config = serde_json::to_string(&transform.config).expect("BUG: a map of texts always serialises");
        facts.extend([
            ("lake.plugin", transform.name.clone()),
            ("lake.plugin_hash", transform.plugin_hash().to_owned()),
            ("lake.transform_config", config),
        ]);
    }
    facts
}

#[cfg(test)]
mod tests;
