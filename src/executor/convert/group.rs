//! What a worker makes of a group of blocks.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use ::parquet::errors::ParquetError;
use arrow::{array::RecordBatch, datatypes::SchemaRef};

use super::opened::File;
use crate::dataset::ParquetOptions;
use crate::executor::{
    Error, Progress,
    csv::{Code, Decoded, Decoder, Reject},
    parquet::{EncodedGroup, Encoding, GroupEncoder, ROW_GROUP_MEMORY_BYTES_MAX, rejects_batch, rejects_schema},
    schedule::{Group, Pieces, Stop},
};

/// What a worker hands over.
pub(super) enum Made {
    /// A whole group.
    Encoded(Box<Encoded>),
    /// Rows of a group, for the transform.
    Decoded(Arc<File>, Box<Decoded>),
    /// All rows of the group were handed over.
    Handed {
        /// The time that they took.
        decode: Duration,
    },
    /// A value refutes the guess of its column's type.
    Refuted,
}

/// A group, encoded.
pub(super) struct Encoded {
    pub file: Arc<File>,
    pub tally: Tally,
    pub data: Option<EncodedGroup>,
    pub rejects: Option<EncodedGroup>,
}

/// Counts of rows, and time.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub read: u64,
    pub kept: u64,
    pub rejects_by_code: BTreeMap<String, u64>,
    /// The first row that was rejected.
    pub first: Option<String>,
    pub decode: Duration,
    pub encode: Duration,
}

impl Tally {
    fn count(&mut self, decoded: &Decoded) {
        self.read += decoded.read;
        self.kept += decoded.batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
        if let (None, Some(reject)) = (&self.first, decoded.rejects.first()) {
            self.first = Some(described(reject));
        }
        for reject in &decoded.rejects {
            one_more(&mut self.rejects_by_code, &reject.code);
        }
    }
}

/// Where a rejected row is, and why it was rejected.
pub(super) fn described(reject: &Reject) -> String {
    format!("line {}: {}: {}", reject.line, reject.code, reject.message)
}

/// One more row of this code.
pub(super) fn one_more(by_code: &mut BTreeMap<String, u64>, code: &str) {
    match by_code.get_mut(code) {
        Some(count) => *count += 1,
        None => {
            by_code.insert(code.to_owned(), 1);
        }
    }
}

/// How the two outputs are encoded.
#[derive(Clone)]
pub(super) struct Encodings {
    pub data: Arc<Encoding>,
    pub rejects: Arc<Encoding>,
}

impl Encodings {
    /// As the dataset wishes its files.
    pub fn new(schema: &SchemaRef, options: &ParquetOptions) -> Result<Self, Error> {
        Ok(Encodings {
            data: Encoding::new(schema, options).map_err(of_data)?,
            rejects: Encoding::new(&rejects_schema(), &ParquetOptions::default()).map_err(of_rejects)?,
        })
    }
}

/// Row groups of the two outputs in the making.
pub(super) struct Encoders {
    pub encodings: Encodings,
    data: Option<GroupEncoder>,
    rejects: Option<GroupEncoder>,
    pub time: Duration,
}

impl Encoders {
    pub fn new(encodings: Encodings) -> Self {
        Encoders { encodings, data: None, rejects: None, time: Duration::ZERO }
    }

    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let begun = Instant::now();
        let data = match &mut self.data {
            Some(data) => data,
            none => none.insert(GroupEncoder::new(&self.encodings.data).map_err(of_data)?),
        };
        data.push(batch).map_err(of_data)?;
        self.time += begun.elapsed();
        Ok(())
    }

    pub fn reject(&mut self, file: &str, rejects: &[Reject]) -> Result<(), Error> {
        if rejects.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let batch = rejects_batch(file, rejects)?;
        let encoder = match &mut self.rejects {
            Some(encoder) => encoder,
            none => none.insert(GroupEncoder::new(&self.encodings.rejects).map_err(of_rejects)?),
        };
        encoder.push(&batch).map_err(of_rejects)?;
        self.time += begun.elapsed();
        Ok(())
    }

    /// A row group is as large as one may become.
    pub fn is_full(&self) -> bool {
        self.data.as_ref().is_some_and(|data| data.memory_bytes() >= ROW_GROUP_MEMORY_BYTES_MAX)
    }

    /// The row groups, of the data and of the rejects.
    pub fn finish(&mut self) -> Result<(Option<EncodedGroup>, Option<EncodedGroup>), Error> {
        let data = self.finish_data()?;
        let begun = Instant::now();
        let rejects = self.rejects.take().map(GroupEncoder::finish).transpose().map_err(of_rejects)?;
        self.time += begun.elapsed();
        Ok((data, rejects))
    }

    /// The row group of the data alone.
    pub fn finish_data(&mut self) -> Result<Option<EncodedGroup>, Error> {
        let begun = Instant::now();
        let data = self.data.take().map(GroupEncoder::finish).transpose().map_err(of_data)?;
        self.time += begun.elapsed();
        Ok(data)
    }
}

pub(super) fn of_data(source: ParquetError) -> Error {
    Error::Write { output: "data", source }
}

pub(super) fn of_rejects(source: ParquetError) -> Error {
    Error::Write { output: "rejects", source }
}

/// Decodes a group's blocks; each batch goes to `take`. Returns the time that decoding took; `None`: a value refutes
/// the guess.
fn decode(
    group: &mut Group<File>,
    traced: bool,
    progress: &Progress,
    mut take: impl FnMut(Decoded) -> Result<(), Stop>,
) -> Result<Option<Duration>, Stop> {
    let file = Arc::clone(&group.file);
    let mut decoder = Decoder::new(Arc::clone(&file.layout), traced);
    let (mut all, mut taking) = (Duration::ZERO, Duration::ZERO);
    let mut timed = |decoded: Decoded| {
        let begun = Instant::now();
        progress.add_rows(decoded.read);
        if file.fails_ragged {
            check_widths(&file, &decoded.rejects)?;
        }
        let taken = take(decoded);
        taking += begun.elapsed();
        taken
    };
    while let Some(block) = group.next()? {
        if progress.is_cancelled() {
            return Err(Error::Cancelled.into());
        }
        let begun = Instant::now();
        decoder.block(&block, &mut timed)?;
        all += begun.elapsed();
        if decoder.is_refuted() {
            return Ok(None);
        }
    }
    let begun = Instant::now();
    decoder.finish(&mut timed)?;
    all += begun.elapsed();
    Ok(Some(all.saturating_sub(taking)))
}

/// Fails for the first row with more or fewer fields than there should be.
fn check_widths(file: &File, rejects: &[Reject]) -> Result<(), Error> {
    let codes = [Code::TooFewFields.as_str(), Code::TooManyFields.as_str()];
    match rejects.iter().find(|reject| codes.contains(&&*reject.code)) {
        Some(Reject { line, message, .. }) => {
            Err(Error::Ragged { name: file.name.clone(), line: *line, message: message.clone() })
        }
        None => Ok(()),
    }
}

/// Decodes and encodes a group.
pub(super) fn encode(
    mut group: Group<File>,
    pieces: &Pieces<Made>,
    encodings: &Encodings,
    progress: &Progress,
) -> Result<(), Stop> {
    let file = Arc::clone(&group.file);
    let mut tally = Tally::default();
    let mut encoders = Encoders::new(encodings.clone());
    let decoding = decode(&mut group, false, progress, |decoded| {
        tally.count(&decoded);
        if let Some(batch) = &decoded.batch {
            encoders.push(batch)?;
        }
        Ok(encoders.reject(&file.name, &decoded.rejects)?)
    })?;
    let Some(decoding) = decoding else { return Ok(pieces.give(Made::Refuted)?) };
    let (data, rejects) = encoders.finish()?;
    (tally.decode, tally.encode) = (decoding, encoders.time);
    Ok(pieces.give(Made::Encoded(Box::new(Encoded { file, tally, data, rejects })))?)
}

/// Decodes a group, and leaves the rest to the calling thread. `traced`: it may ask where a row was.
pub(super) fn hand_over(
    mut group: Group<File>,
    pieces: &Pieces<Made>,
    traced: bool,
    progress: &Progress,
) -> Result<(), Stop> {
    let file = Arc::clone(&group.file);
    let decoding = decode(&mut group, traced, progress, |decoded| {
        Ok(pieces.give(Made::Decoded(Arc::clone(&file), Box::new(decoded)))?)
    })?;
    Ok(pieces.give(decoding.map_or(Made::Refuted, |time| Made::Handed { decode: time }))?)
}
