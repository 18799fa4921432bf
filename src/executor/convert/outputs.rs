//! The outputs of a run, and its report: what workers made is put in its place here, in the order of the input.

use std::{
    collections::BTreeSet,
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use super::{
    Converted, Run, facts,
    facts::Facts,
    files::{Files, Finished},
    group::{Encoded, Encoders, described, of_rejects, one_more},
    opened::File,
    partitions::{Due, Partitions},
    stage::{Passed, Stage},
    table::Table,
};
use crate::{
    dataset::Partition,
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
    run: Run<'a>,
    sink: &'a mut S,
    files: Files<S>,
    rejects: Option<FileWriter<S::Write>>,
    /// With a transform: the plugin at work, and the file whose rows go through it.
    stage: Option<(Arc<File>, Stage)>,
    encoders: Encoders,
    partitions: Option<Partitions>,
    /// What the plugin makes of the columns, once it has been opened.
    table: Option<SchemaRef>,
    /// What files tell that end before the run does.
    facts: Facts,
    /// Rows given to the data files.
    written: u64,
    timings: Timings,
    pub(super) report: Report,
    missing: BTreeSet<String>,
}

impl<'a, S: Sink> Outputs<'a, S> {
    pub fn new(run: Run<'a>, table: Table, sink: &'a mut S) -> Self {
        let Run { dataset, transform, inputs, .. } = run;
        let report = Report {
            config_hash: dataset.config_hash(),
            plugin_hash: transform.map(|(transform, _)| transform.plugin_hash().to_owned()),
            ..Report::default()
        };
        let facts = facts::facts(&report, false, transform.map(|(transform, _)| transform), inputs);
        Outputs {
            run,
            sink,
            files: Files::new(dataset.parquet.target_file_bytes),
            rejects: None,
            stage: None,
            encoders: Encoders::new(table.encodings),
            partitions: table.partitions,
            table: None,
            facts,
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
        file.count((tally.read, rejected), tally.first, self.run.dataset.max_rejects)?;
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
        file.count((read, rejects.len() as u64), first, self.run.dataset.max_rejects)?;
        for reject in &rejects {
            count(&mut self.report, &reject.code);
        }
        if let Some(batch) = batch {
            // Where there are fewer rows than were kept, the count at the end does not come out.
            self.report.exploded += (batch.num_rows() as u64).saturating_sub(kept);
            // A transform may have made many rows of few; the encoder looks at its memory between two batches.
            for first in (0..batch.num_rows()).step_by(BATCH_ROWS_MAX) {
                let rows = BATCH_ROWS_MAX.min(batch.num_rows() - first);
                self.take(&file.name, &batch.slice(first, rows))?;
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

    /// Rows for the data files.
    fn take(&mut self, name: &str, rows: &RecordBatch) -> Result<(), Error> {
        let Some(partitions) = &mut self.partitions else {
            self.encoders.push(rows)?;
            return if self.encoders.is_full() { self.end_group() } else { Ok(()) };
        };
        let begun = Instant::now();
        partitions.push(name, rows)?;
        self.timings.encode += begun.elapsed();
        self.end_groups(Partitions::due)
    }

    /// Row groups of partitions.
    fn end_groups(&mut self, mut next: impl FnMut(&mut Partitions) -> Result<Option<Due>, Error>) -> Result<(), Error> {
        let Some(mut partitions) = self.partitions.take() else { return Ok(()) };
        while let Some(Due { place, batches }) = next(&mut partitions)? {
            // One after the other they are let go of.
            batches.into_iter().try_for_each(|batch| self.encoders.push(&batch))?;
            let data = self.encoders.finish_data()?;
            self.append_to((place, partitions.partition(place)), data)?;
        }
        self.partitions = Some(partitions);
        Ok(())
    }

    fn pass(&mut self, file: &Arc<File>, decoded: Decoded) -> Result<Passed, Error> {
        if self.run.transform.is_none() {
            return Ok(Passed::untouched(decoded));
        }
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
        let Some((transform, through)) = self.run.transform else {
            let message = "rows go through a transform that is not there".to_owned();
            return Err(Error::Transform { message });
        };
        let stage = Stage::open(through, transform, self.run.columns);
        let stage = stage.map_err(|source| plugin_error(&file.name, source))?;
        let schema = parquet::schema(stage.columns());
        match &self.table {
            None => {
                let table = Table::new(&schema, self.run.dataset)?;
                (self.encoders.encodings, self.partitions) = (table.encodings, table.partitions);
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
        self.append_to((0, &Partition::default()), data)?;
        let Some(group) = rejects else { return Ok(()) };
        let writer = match &mut self.rejects {
            Some(writer) => writer,
            none => {
                let write = self.sink.rejects().map_err(|source| Error::Open { output: "rejects", source })?;
                none.insert(FileWriter::new(write, &self.encoders.encodings.rejects).map_err(of_rejects)?)
            }
        };
        writer.append(group).map_err(of_rejects)
    }

    fn append_to(&mut self, partition: (usize, &Partition), data: Option<EncodedGroup>) -> Result<(), Error> {
        let Some(group) = data else { return Ok(()) };
        self.written += group.rows();
        self.files.append(self.sink, partition, (group, &self.encoders.encodings.data), &self.facts)
    }

    /// Writes the footers.
    pub fn finish(mut self, files: &[Arc<File>], split: Duration) -> Result<Converted<S::Done>, Error> {
        self.end_groups(Partitions::rest)?;
        self.timings.split = split;
        self.check_conservation(self.written)?;
        let Run { dataset, transform, inputs, columns, .. } = self.run;
        for file in files {
            file.check(dataset.max_rejects)?;
            self.missing.extend(file.missing.iter().cloned());
            self.report.bytes_read += file.bytes();
            self.report.dialect = Some(file.dialect.clone());
        }
        let transform = transform.map(|(transform, _)| transform);
        let facts = facts::facts(&self.report, true, transform, inputs);
        let of_data = if dataset.makes_several_files() { &self.facts } else { &facts };
        let Finished { files: data, totals } =
            mem::replace(&mut self.files, Files::new(None)).finish(self.sink, of_data)?;
        let rejects = self.rejects.take().map(|writer| writer.finish(&facts)).transpose().map_err(of_rejects)?;
        self.check_conservation(totals.rows)?;
        self.report.files = data.len() as u64;
        let partitions: BTreeSet<&Partition> = data.iter().map(|file| &file.partition).collect();
        self.report.partitions = partitions.into_iter().filter(|partition| !partition.is_none()).count() as u64;
        self.report.row_groups = totals.row_groups;
        self.report.bytes_written = totals.bytes;
        self.timings.encode += self.encoders.time + totals.encode;
        self.timings.write += totals.write;
        let rejects = match rejects {
            None => None,
            Some(Written { write, bytes, encode_time, write_time, .. }) => {
                self.report.bytes_written += bytes;
                self.timings.encode += encode_time;
                self.timings.write += write_time;
                Some(self.sink.done(write).map_err(|source| Error::Finish { output: "rejects", source })?)
            }
        };
        self.report.missing_columns = self.missing.into_iter().collect();
        self.report.stages = self.timings.stages();
        Ok(Converted { report: self.report, columns: columns.to_vec(), data, rejects })
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

fn plugin_error(name: &str, source: PluginError) -> Error {
    Error::Plugin { name: name.to_owned(), source }
}
