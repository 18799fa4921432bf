//! The conversion: every row of the inputs goes into the data file or into the rejects file, and is counted on both
//! sides.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Instant,
};

use arrow::datatypes::SchemaRef;

use super::{
    Dialect, Error, Progress, Report, Sink, Source,
    csv::{Decoder, Nulls, Reading, Reject},
    parquet::{self, Writer, Written},
    report::Timings,
    transform::{Deadline, Plugin},
};
use crate::dataset::{Column, Dataset};

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
    /// It is opened anew for each conversion.
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
/// # Errors
/// [`Error::Schema`] when a source has columns that the table does not, or none of the table's; what else can stop
/// a run is listed at [`Error`]. On an error the outputs that were opened are dropped, never handed back.
pub fn convert_all<S: Sink>(
    inputs: &[Input<'_>],
    dataset: &Dataset,
    columns: &[Column],
    transform: Option<Through<'_>>,
    sink: &mut S,
    progress: &Progress,
) -> Result<Converted<S::Write>, Error> {
    let _ = transform;
    let mut run = Run {
        dataset,
        columns,
        schema: parquet::schema(columns),
        sink,
        data: None,
        rejects: None,
        kept: 0,
        timings: Timings::default(),
        report: Report { config_hash: dataset.config_hash(), ..Report::default() },
        missing: BTreeSet::new(),
    };
    for input in inputs {
        run.input(input, progress)?;
    }
    run.finish(inputs)
}

struct Run<'a, S: Sink> {
    dataset: &'a Dataset,
    columns: &'a [Column],
    schema: SchemaRef,
    sink: &'a mut S,
    data: Option<Writer<S::Write>>,
    rejects: Option<Writer<S::Write>>,
    kept: u64,
    timings: Timings,
    report: Report,
    missing: BTreeSet<String>,
}

impl<S: Sink> Run<'_, S> {
    fn input(&mut self, input: &Input<'_>, progress: &Progress) -> Result<(), Error> {
        let name = input.source.name();
        let begun = Instant::now();
        let opened = Reading::open(input.source, &self.dataset.csv, input.dialect.as_ref(), self.columns, progress)?;
        self.timings.split += begun.elapsed();
        let Some(mut reading) = opened else { return Ok(()) };
        let matching = Matching::new(name, &reading, self.columns, self.dataset.csv.header)?;
        self.missing.extend(matching.missing(self.columns));
        self.report.dialect = Some(reading.dialect.clone());
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
            if let Some(batch) = &decoded.batch {
                self.keep(batch)?;
            }
            if !decoded.rejects.is_empty() {
                self.reject(name, &decoded.rejects)?;
            }
        }
        self.report.bytes_read += reading.bytes.get();
        Ok(())
    }

    fn keep(&mut self, batch: &arrow::array::RecordBatch) -> Result<(), Error> {
        let failed = |source| Error::Write { output: "data", source };
        let writer = match &mut self.data {
            Some(writer) => writer,
            none => {
                let write = self.sink.data().map_err(|source| Error::Open { output: "data", source })?;
                let schema = Arc::clone(&self.schema);
                none.insert(Writer::of_data(write, schema, &self.dataset.parquet).map_err(failed)?)
            }
        };
        self.kept += batch.num_rows() as u64;
        writer.write(batch).map_err(failed)
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
            let count = self.report.rejects_by_code.entry(reject.code.as_str().to_owned()).or_default();
            *count += 1;
        }
        self.report.rejected += rejects.len() as u64;
        writer.write(&parquet::rejects_batch(name, rejects)?).map_err(failed)
    }

    fn finish(mut self, inputs: &[Input<'_>]) -> Result<Converted<S::Write>, Error> {
        self.report.kept = self.kept;
        self.check_conservation(self.kept)?;
        let facts = facts(&self.report, inputs);
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

    fn check_conservation(&self, written: u64) -> Result<(), Error> {
        let Report { read, kept, rejected, .. } = self.report;
        let by_code: u64 = self.report.rejects_by_code.values().sum();
        if read == kept + rejected && rejected == by_code && written == kept {
            return Ok(());
        }
        Err(Error::Conservation { read, kept, rejected, written })
    }
}

/// What the Parquet's metadata tells.
fn facts(report: &Report, inputs: &[Input<'_>]) -> Vec<(&'static str, String)> {
    let join = |values: Vec<&str>| values.join("\n");
    let etags: Vec<&str> = inputs.iter().filter_map(|input| input.origin.etag.as_deref()).collect();
    let mut facts = vec![
        ("lake.source", join(inputs.iter().map(|input| input.origin.uri.as_str()).collect())),
        ("lake.config_hash", report.config_hash.clone()),
        ("lake.rows_read", report.read.to_string()),
        ("lake.rows_kept", report.kept.to_string()),
        ("lake.rows_rejected", report.rejected.to_string()),
    ];
    if !etags.is_empty() {
        facts.push(("lake.etag", join(etags)));
    }
    facts
}

/// Which field of a file belongs to which column of the table.
struct Matching {
    /// For each column of the table.
    fields: Vec<Option<usize>>,
    /// Fields of a row.
    width: usize,
    /// One empty field more is allowed.
    trailing: bool,
}

impl Matching {
    fn new(name: &str, reading: &Reading<'_>, columns: &[Column], asked: Option<bool>) -> Result<Self, Error> {
        let table: HashSet<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let mut names = reading.names.clone();
        let by_position = !reading.dialect.header && !names.iter().all(|name| table.contains(name.as_str()));
        if by_position && asked != Some(false) {
            let message = "the file seems to have no header, and the table's columns have names; if its columns are \
                           in the table's order, set csv.header = false"
                .to_owned();
            return Err(Error::Schema { name: name.to_owned(), message, unknown: names });
        }
        if by_position {
            for (name, column) in names.iter_mut().zip(columns) {
                name.clone_from(&column.name);
            }
        }
        let trailing = reading.trailing && names.last().is_some_and(|last| !table.contains(last.as_str()));
        names.truncate(names.len() - usize::from(trailing));
        let unknown: Vec<String> = names.iter().filter(|name| !table.contains(name.as_str())).cloned().collect();
        let places: HashMap<&str, usize> = names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        let fields: Vec<Option<usize>> =
            columns.iter().map(|column| places.get(column.name.as_str()).copied()).collect();
        if unknown.is_empty() && fields.iter().any(Option::is_some) {
            return Ok(Matching { fields, width: names.len(), trailing });
        }
        let list = |names: Vec<&str>| names.join("`, `");
        let has = list(columns.iter().map(|column| column.name.as_str()).collect());
        let message = match unknown.len() {
            0 => format!("the file has none of the table's columns (`{has}`)"),
            _ => format!(
                "the table has no column `{}`; it has `{has}`. Add the column to the dataset's schema, or put the \
                 file where it belongs",
                list(unknown.iter().map(String::as_str).collect()),
            ),
        };
        Err(Error::Schema { name: name.to_owned(), message, unknown })
    }

    fn missing<'a>(&'a self, columns: &'a [Column]) -> impl Iterator<Item = String> + 'a {
        let absent = columns.iter().zip(&self.fields).filter(|(_, field)| field.is_none());
        absent.map(|(column, _)| column.name.clone())
    }
}

#[cfg(test)]
mod tests;
