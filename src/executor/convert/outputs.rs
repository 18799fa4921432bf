//! The two outputs of a run, and its report: what workers made is put in its place here, in the order of the input.

use std::{
    collections::BTreeSet,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::datatypes::SchemaRef;

use super::{
    Converted, Input, Through, facts,
    group::{Encoded, Encoders, Encodings, described, of_data, of_rejects, one_more},
    opened::File,
    stage::{Passed, Stage},
};
use crate::{
    dataset::{Column, Dataset, Transform},
    executor::{
        Error, Report, Sink,
        csv::{BATCH_ROWS_MAX, Decoded, is_lakes},
        parquet::{self, EncodedGroup, FileWriter, Written},
        report::Timings,
        transform::PluginError,
    },
};

/// Codes of a plugin that a report counts each by its name; rows with further ones are counted together, as
/// [`OTHER_CODES`]. The rejects file has every code.
pub const PLUGIN_CODES_MAX: usize = 100;
/// What rows are counted under whose code is one too many.
pub const OTHER_CODES: &str = "plugin_other";

/// What a run writes and tells.
pub(super) struct Outputs<'a, S: Sink> {
    dataset: &'a Dataset,
    transform: Option<(&'a Transform, Through<'a>)>,
    columns: &'a [Column],
    sink: &'a mut S,
    data: Option<FileWriter<S::Write>>,
    rejects: Option<FileWriter<S::Write>>,
    /// With a transform: the plugin at work, the file whose rows go through it, and what they are encoded into.
    stage: Option<(Arc<File>, Stage)>,
    encoders: Encoders,
    /// What the plugin makes of the columns, once it has been opened.
    table: Option<SchemaRef>,
    /// Rows given to the data file.
    written: u64,
    timings: Timings,
    pub(super) report: Report,
    missing: BTreeSet<String>,
}

impl<'a, S: Sink> Outputs<'a, S> {
    pub fn new(
        dataset: &'a Dataset,
        transform: Option<(&'a Transform, Through<'a>)>,
        columns: &'a [Column],
        encodings: &Encodings,
        sink: &'a mut S,
    ) -> Self {
        let report = Report {
            config_hash: dataset.config_hash(),
            plugin_hash: transform.map(|(transform, _)| transform.plugin_hash().to_owned()),
            ..Report::default()
        };
        Outputs {
            dataset,
            transform,
            columns,
            sink,
            data: None,
            rejects: None,
            stage: None,
            encoders: Encoders::new(encodings.clone()),
            table: None,
            written: 0,
            timings: Timings::default(),
            report,
            missing: BTreeSet::new(),
        }
    }

    /// A group that a worker has encoded.
    pub fn encoded(&mut self, group: Encoded) -> Result<(), Error> {
        let Encoded { file, tally, data, rejects } = group;
        self.report.read += tally.read;
        self.report.kept += tally.kept;
        let rejected = tally.rejects_by_code.values().sum();
        self.report.rejected += rejected;
        file.count((tally.read, rejected), tally.first, self.dataset.max_rejects)?;
        for (code, rows) in tally.rejects_by_code {
            *self.report.rejects_by_code.entry(code).or_default() += rows;
        }
        self.timings.decode += tally.decode;
        self.timings.encode += tally.encode;
        self.append(data, rejects)
    }

    /// Rows that go through the transform.
    pub fn decoded(&mut self, file: &Arc<File>, decoded: Decoded) -> Result<(), Error> {
        let read = decoded.read;
        self.report.read += read;
        let Passed { batch, kept, filtered, rejects } = self.pass(file, decoded)?;
        self.report.kept += kept;
        self.report.filtered += filtered;
        let first = rejects.first().map(described);
        file.count((read, rejects.len() as u64), first, self.dataset.max_rejects)?;
        for reject in &rejects {
            count(&mut self.report, &reject.code);
        }
        if let Some(batch) = batch {
            // Where there are fewer rows than were kept, the count at the end does not come out.
            self.report.exploded += (batch.num_rows() as u64).saturating_sub(kept);
            // A transform may have made many rows of few; the encoder looks at its memory between two batches.
            for first in (0..batch.num_rows()).step_by(BATCH_ROWS_MAX) {
                let rows = BATCH_ROWS_MAX.min(batch.num_rows() - first);
                self.encoders.push(&batch.slice(first, rows))?;
                if self.encoders.is_full() {
                    self.end_group()?;
                }
            }
        }
        self.encoders.reject(&file.name, &rejects)
    }

    /// The rows of a group have all been handed over.
    pub fn handed(&mut self, decode: Duration) -> Result<(), Error> {
        self.timings.decode += decode;
        self.end_group()
    }

    fn end_group(&mut self) -> Result<(), Error> {
        let (data, rejects) = self.encoders.finish()?;
        self.append(data, rejects)
    }

    fn pass(&mut self, file: &Arc<File>, decoded: Decoded) -> Result<Passed, Error> {
        let begun = Instant::now();
        if !self.stage.as_ref().is_some_and(|(of, _)| Arc::ptr_eq(of, file)) {
            let stage = self.open(file)?;
            self.stage = Some((Arc::clone(file), stage));
        }
        let Some((_, stage)) = &mut self.stage else { return Ok(Passed::untouched(decoded)) };
        let passed = stage.pass(decoded, &file.layout.marks).map_err(|source| plugin_error(&file.name, source));
        self.timings.transform += begun.elapsed();
        passed
    }

    /// The plugin, opened for one input. All of them go into one file, so that it must answer each alike.
    fn open(&mut self, file: &File) -> Result<Stage, Error> {
        let Some((transform, through)) = self.transform else {
            let message = "rows go through a transform that is not there".to_owned();
            return Err(Error::Transform { message });
        };
        let stage = Stage::open(through, transform, self.columns);
        let stage = stage.map_err(|source| plugin_error(&file.name, source))?;
        let schema = parquet::schema(stage.columns());
        match &self.table {
            None => {
                self.encoders.encodings = Encodings::new(&schema, &self.dataset.parquet)?;
                self.table = Some(schema);
                return Ok(stage);
            }
            Some(table) if table.fields() == schema.fields() => return Ok(stage),
            Some(_) => {}
        }
        let message =
            "asked twice with the same columns and configuration, it gives the table other columns".to_owned();
        let source = PluginError::BrokeContract { plugin: through.plugin.name().to_owned(), rows: None, message };
        Err(plugin_error(&file.name, source))
    }

    fn append(&mut self, data: Option<EncodedGroup>, rejects: Option<EncodedGroup>) -> Result<(), Error> {
        if let Some(group) = data {
            self.written += group.rows();
            let writer = match &mut self.data {
                Some(writer) => writer,
                none => {
                    let write = self.sink.data().map_err(|source| Error::Open { output: "data", source })?;
                    none.insert(FileWriter::new(write, &self.encoders.encodings.data).map_err(of_data)?)
                }
            };
            writer.append(group).map_err(of_data)?;
        }
        if let Some(group) = rejects {
            let writer = match &mut self.rejects {
                Some(writer) => writer,
                none => {
                    let write = self.sink.rejects().map_err(|source| Error::Open { output: "rejects", source })?;
                    none.insert(FileWriter::new(write, &self.encoders.encodings.rejects).map_err(of_rejects)?)
                }
            };
            writer.append(group).map_err(of_rejects)?;
        }
        Ok(())
    }

    /// Writes the footers.
    pub fn finish(
        mut self,
        inputs: &[Input<'_>],
        files: &[Arc<File>],
        split: Duration,
    ) -> Result<Converted<S::Write>, Error> {
        self.timings.split = split;
        self.check_conservation(self.written)?;
        for file in files {
            file.check(self.dataset.max_rejects)?;
            self.missing.extend(file.missing.iter().cloned());
            self.report.bytes_read += file.bytes();
            self.report.dialect = Some(file.dialect.clone());
        }
        let facts = facts::facts(&self.report, self.transform.map(|(transform, _)| transform), inputs);
        let data = close(self.data.take(), &facts).map_err(of_data)?;
        let rejects = close(self.rejects.take(), &facts).map_err(of_rejects)?;
        self.check_conservation(data.as_ref().map_or(0, |written| written.rows))?;
        self.report.row_groups = data.as_ref().map_or(0, |written| written.row_groups);
        self.timings.encode += self.encoders.time;
        for written in data.iter().chain(&rejects) {
            self.report.bytes_written += written.bytes;
            self.timings.encode += written.encode_time;
            self.timings.write += written.write_time;
        }
        self.report.missing_columns = self.missing.into_iter().collect();
        self.report.stages = self.timings.stages();
        let handed = |written: Option<Written<S::Write>>| written.map(|written| written.write);
        let columns = self.columns.to_vec();
        Ok(Converted { report: self.report, columns, data: handed(data), rejects: handed(rejects) })
    }

    /// Every row that was read is kept, filtered or rejected; the data file has those that were kept, and those that
    /// were added.
    pub(super) fn check_conservation(&self, written: u64) -> Result<(), Error> {
        let Report { read, kept, filtered, rejected, exploded, .. } = self.report;
        let by_code: u64 = self.report.rejects_by_code.values().sum();
        if read == kept + filtered + rejected && rejected == by_code && written == kept + exploded {
            return Ok(());
        }
        Err(Error::Conservation { read, kept, filtered, rejected, exploded, written })
    }
}

/// Counts a rejected row. A plugin may have as many codes as it likes; a report has not.
pub(super) fn count(report: &mut Report, code: &str) {
    report.rejected += 1;
    let by_code = &mut report.rejects_by_code;
    let known = by_code.len() < PLUGIN_CODES_MAX || by_code.contains_key(code) || is_lakes(code);
    one_more(by_code, if known { code } else { OTHER_CODES });
}

fn close<W: Write + Send>(
    writer: Option<FileWriter<W>>,
    facts: &[(&str, String)],
) -> Result<Option<Written<W>>, ::parquet::errors::ParquetError> {
    writer.map(|writer| writer.finish(facts)).transpose()
}

fn plugin_error(name: &str, source: PluginError) -> Error {
    Error::Plugin { name: name.to_owned(), source }
}
