//! The data files of a run: one, or several where the dataset has partitions or its files a size.

use std::{io::Write, mem, sync::Arc, time::Duration};

use super::group::of_data;
use crate::{
    dataset::Partition,
    executor::{
        Error, HELD_BACK_BYTES, Sink,
        parquet::{EncodedGroup, Encoding, FileWriter, Written},
    },
};

/// Files that are written at the same time.
pub const OPEN_FILES_MAX: usize = 200;
/// Memory of all of them: bytes that the sink may hold back ([`HELD_BACK_BYTES`]), and what is kept for the footers.
const HELD_BACK_BYTES_MAX: u64 = 8 * HELD_BACK_BYTES as u64;

/// A data file, for the rim to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile<D> {
    /// Its partition, where the dataset has any.
    pub partition: Partition,
    /// Which of the run's files of that partition it is, from 0.
    pub part: u32,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// The output.
    pub output: D,
}

/// What is written to [`DataFile`]s.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub rows: u64,
    pub row_groups: u64,
    pub bytes: u64,
    pub encode: Duration,
    pub write: Duration,
}

/// All files, whole.
pub(super) struct Finished<D> {
    pub files: Vec<DataFile<D>>,
    pub totals: Totals,
}

/// The files, and those of them that are being written.
pub(super) struct Files<S: Sink> {
    /// That which was not written to for longest comes first.
    open: Vec<Open<S::Write>>,
    closed: Vec<DataFile<S::Done>>,
    /// Files begun so far, by the partition's place.
    parts: Vec<u32>,
    target_bytes: Option<u64>,
    totals: Totals,
}

struct Open<W: Write + Send> {
    place: usize,
    partition: Partition,
    part: u32,
    writer: FileWriter<W>,
}

impl<S: Sink> Files<S> {
    /// No file yet. One that reaches `target_bytes` is the last but for those that follow.
    pub fn new(target_bytes: Option<u64>) -> Self {
        Files { open: Vec::new(), closed: Vec::new(), parts: Vec::new(), target_bytes, totals: Totals::default() }
    }

    /// Writes a row group to the file of its partition, which is the `place`th of this run. `facts` are for files that
    /// end on the way.
    pub fn append(
        &mut self,
        sink: &mut S,
        (place, partition): (usize, &Partition),
        (group, encoding): (EncodedGroup, &Arc<Encoding>),
        facts: &[(&str, String)],
    ) -> Result<(), Error> {
        let mut file = match self.open.iter().position(|file| file.place == place) {
            Some(found) => self.open.remove(found),
            None => self.begin(sink, place, partition, encoding)?,
        };
        file.writer.append(group).map_err(of_data)?;
        if self.target_bytes.is_some_and(|target| file.writer.bytes() >= target) {
            self.close(sink, file, facts)?;
        } else {
            self.open.push(file);
        }
        while self.open.len() > OPEN_FILES_MAX || self.open.len() > 1 && self.held_back() > HELD_BACK_BYTES_MAX {
            let oldest = self.open.remove(0);
            self.close(sink, oldest, facts)?;
        }
        Ok(())
    }

    fn begin(
        &mut self,
        sink: &mut S,
        place: usize,
        partition: &Partition,
        encoding: &Arc<Encoding>,
    ) -> Result<Open<S::Write>, Error> {
        if self.parts.len() <= place {
            self.parts.resize(place + 1, 0);
        }
        let part = self.parts[place];
        self.parts[place] += 1;
        let write = sink.data(partition, part).map_err(|source| Error::Open { output: "data", source })?;
        let writer = FileWriter::new(write, encoding).map_err(of_data)?;
        Ok(Open { place, partition: partition.clone(), part, writer })
    }

    fn held_back(&self) -> u64 {
        self.open.iter().map(|file| file.writer.bytes().min(HELD_BACK_BYTES as u64) + file.writer.footer_bytes()).sum()
    }

    fn close(&mut self, sink: &mut S, file: Open<S::Write>, facts: &[(&str, String)]) -> Result<(), Error> {
        let Open { partition, part, writer, .. } = file;
        let Written { write, rows, row_groups, bytes, encode_time, write_time } =
            writer.finish(facts).map_err(of_data)?;
        self.totals.rows += rows;
        self.totals.row_groups += row_groups;
        self.totals.bytes += bytes;
        self.totals.encode += encode_time;
        self.totals.write += write_time;
        let output = sink.done(write).map_err(|source| Error::Finish { output: "data", source })?;
        self.closed.push(DataFile { partition, part, rows, bytes, output });
        Ok(())
    }

    /// Ends all files. They come in the order of their partitions.
    pub fn finish(mut self, sink: &mut S, facts: &[(&str, String)]) -> Result<Finished<S::Done>, Error> {
        for file in mem::take(&mut self.open) {
            self.close(sink, file, facts)?;
        }
        self.closed.sort_by(|one, other| (&one.partition, one.part).cmp(&(&other.partition, other.part)));
        Ok(Finished { files: self.closed, totals: self.totals })
    }
}
