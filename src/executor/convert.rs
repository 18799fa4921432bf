//! The conversion: every row of the inputs goes into the data file or into the rejects file, or is filtered by the
//! transform, and is counted on both sides.
//!
//! Without a transform, groups of blocks are decoded and encoded side by side ([`group`]), each to a row group. With
//! one, they are decoded side by side, and go through the plugin and into the encoder here, in their order: an instance
//! of a plugin sees the rows of a file as the file has them. Rows of a partitioned table are told apart here, too, and
//! wait until there are enough of a partition for a row group ([`partitions`]).

mod facts;
mod files;
mod group;
mod matching;
mod opened;
mod outputs;
mod partitions;
mod stage;
mod table;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

pub use self::{
    files::{DataFile, OPEN_FILES_MAX},
    outputs::{OTHER_CODES, PLUGIN_CODES_MAX},
    partitions::PARTITIONS_MAX,
};
use self::{
    group::{Encodings, Made, encode, hand_over},
    opened::{File, Opening},
    outputs::Outputs,
    table::Table,
};
use super::{
    Dialect, Error, Progress, Report, Sink, Source,
    csv::{Extent, Look, Opened},
    parquet,
    schedule::{self, Group, Next, Pieces, Resources},
    transform::{Deadline, Plugin},
};
use crate::dataset::{Column, Dataset, ParquetOptions, Transform};

/// Text at the beginning of each input that types are guessed by: bytes.
pub const GUESS_BYTES: u64 = 4 * 1024 * 1024;

/// What to make of the inputs.
#[derive(Debug, Clone, Copy)]
pub struct Conversion<'a> {
    /// How the CSV is read and the Parquet written.
    pub dataset: &'a Dataset,
    /// The columns of the CSV. Without a transform they are the table's.
    pub columns: Columns<'a>,
    /// The plugin, when the dataset has a transform.
    pub transform: Option<Through<'a>>,
    /// What it may use. What comes out does not depend on it.
    pub resources: Resources,
}

impl<'a> Conversion<'a> {
    /// A conversion to columns that are known, on all processors.
    pub fn of(dataset: &'a Dataset, columns: &'a [Column], transform: Option<Through<'a>>) -> Self {
        Conversion { dataset, columns: Columns::Known(columns), transform, resources: Resources::default() }
    }
}

/// The columns of the CSV.
#[derive(Debug, Clone, Copy)]
pub enum Columns<'a> {
    /// Somebody has said.
    Known(&'a [Column]),
    /// The narrowest types that fit every value of all inputs.
    FoundOut {
        /// Leave every column a string.
        text: bool,
    },
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
pub struct Converted<D> {
    /// What it did.
    pub report: Report,
    /// The columns of the CSV.
    pub columns: Vec<Column>,
    /// The data files, whole, for the rim to commit: none when no row was kept, and one unless the dataset has
    /// partitions or a size of files.
    pub data: Vec<DataFile<D>>,
    /// The rejects file, likewise.
    pub rejects: Option<D>,
}

/// Converts inputs into one data file, or one a partition, or several of a size; and one rejects file. An input without a single record adds nothing.
///
/// Columns that are to be found out are guessed by the first [`GUESS_BYTES`] of each input. A value further on that
/// refutes the guess stops the run; then the types are found out over all inputs, and the run begins anew.
///
/// With a transform, each input's rows go through an instance of the plugin that is opened for it, and the data file has
/// the columns that the plugin names ([`super::transform::Contract::columns`]).
///
/// # Errors
/// [`Error::Schema`] when an input has columns that are not asked for, or none of those that are; [`Error::Plugin`]
/// when the plugin refuses or fails; [`Error::Empty`] when columns are to be found out and there is no record; what else
/// can stop a run is listed at [`Error`]. On an error the outputs that were opened are dropped, never handed back.
pub fn convert<S: Sink>(
    inputs: &[Input<'_>],
    conversion: &Conversion<'_>,
    sink: &mut S,
    progress: &Progress,
) -> Result<Converted<S::Done>, Error> {
    let transform = together(conversion.dataset, conversion.transform)?;
    let Conversion { dataset, resources, .. } = *conversion;
    let text = match conversion.columns {
        Columns::Known(columns) => {
            let run = Run { inputs, dataset, columns, guess: None, transform, resources };
            return finished(run.go(sink, progress)?, Duration::ZERO);
        }
        Columns::FoundOut { text } => text,
    };
    let begun = Instant::now();
    let sources: Vec<&dyn Source> = inputs.iter().map(|input| input.source).collect();
    let options = &dataset.csv;
    let look = Look { options, text, extent: Extent::Beginning(GUESS_BYTES), resources };
    let guess = look.at(&sources, progress)?;
    let inputs: Vec<Input<'_>> = inputs
        .iter()
        .zip(&guess.dialects)
        .map(|(input, dialect)| Input { dialect: input.dialect.clone().or_else(|| dialect.clone()), ..input.clone() })
        .collect();
    let mut infer = begun.elapsed();
    let unseen = (!guess.whole).then_some(guess.unseen.as_slice());
    let run = Run { inputs: &inputs, dataset, columns: &guess.columns, guess: unseen, transform, resources };
    if let Some(converted) = run.go(sink, progress)? {
        return finished(Some(converted), infer);
    }
    tracing::debug!(dataset = dataset.name, "a value refutes the guess of its column's type; looking at all of them");
    let begun = Instant::now();
    let found = Look { extent: Extent::Whole, ..look }.at(&sources, progress)?;
    infer += begun.elapsed();
    finished(Run { columns: &found.columns, guess: None, ..run }.go(sink, progress)?, infer)
}

/// A run whose columns are certain has come to its end.
fn finished<D>(converted: Option<Converted<D>>, infer: Duration) -> Result<Converted<D>, Error> {
    let message = || "no guess was made, and one is refuted".to_owned();
    let mut converted = converted.ok_or_else(|| Error::Transform { message: message() })?;
    converted.report.stages.infer_ms = u64::try_from(infer.as_millis()).unwrap_or(u64::MAX);
    Ok(converted)
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

/// One go through the inputs.
#[derive(Clone, Copy)]
struct Run<'a> {
    inputs: &'a [Input<'a>],
    dataset: &'a Dataset,
    columns: &'a [Column],
    /// The columns' types are a guess, and for each, whether no value of it has been seen yet.
    guess: Option<&'a [bool]>,
    transform: Option<(&'a Transform, Through<'a>)>,
    resources: Resources,
}

impl Run<'_> {
    /// `None`: a value refutes the guess.
    fn go<S: Sink>(&self, sink: &mut S, progress: &Progress) -> Result<Option<Converted<S::Done>>, Error> {
        let schema = parquet::schema(self.columns);
        // With a transform the table's columns, and so its encoding, are known once the plugin has been opened.
        let table = match self.transform {
            None => Table::new(&schema, self.dataset)?,
            Some(_) => Table { encodings: Encodings::new(&schema, &ParquetOptions::default())?, partitions: None },
        };
        let encodings = table.encodings.clone();
        let opening = Opening::new(self.dataset, self.columns, &schema, self.guess);
        let is_whole = self.transform.is_none() && table.partitions.is_none();
        let traced = self.transform.is_some();
        let mut outputs = Outputs::new(*self, table, sink);
        let files: Mutex<Vec<Arc<File>>> = Mutex::default();
        let reading_for = Mutex::new(Duration::ZERO);
        let mut waiting = self.inputs.iter();
        let mut reading: Option<Opened<'_>> = None;
        let mut next = || loop {
            if let Some(opened) = &mut reading
                && let Some(block) = opened.next()?
            {
                return Ok(Some(Next::Block(block)));
            }
            let Some(input) = waiting.next() else { return Ok(None) };
            if let Some((opened, file)) = opening.open(input, progress)? {
                files.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&file));
                reading = Some(opened);
                return Ok(Some(Next::File(file)));
            }
        };
        let read = || {
            let begun = Instant::now();
            let read = next();
            *reading_for.lock().unwrap_or_else(PoisonError::into_inner) += begun.elapsed();
            read
        };
        let work = |group: Group<File>, pieces: &Pieces<Made>| match is_whole {
            true => encode(group, pieces, &encodings, progress),
            false => hand_over(group, pieces, traced, progress),
        };
        let mut refuted = false;
        let settle = |made| match made {
            Made::Encoded(group) => outputs.encoded(*group),
            Made::Decoded(file, decoded) => outputs.decoded(&file, *decoded),
            Made::Handed { decode } => outputs.handed(decode),
            Made::Refuted => {
                refuted = true;
                Err(Error::Cancelled) // it only ends this go
            }
        };
        let resources = self.resources.for_columns(self.columns.len());
        match schedule::run(resources, progress, read, work, settle) {
            Err(_) if refuted => Ok(None),
            Err(error) => Err(error),
            Ok(()) => {
                let files = files.into_inner().unwrap_or_else(PoisonError::into_inner);
                let split = reading_for.into_inner().unwrap_or_else(PoisonError::into_inner);
                outputs.finish(&files, split).map(Some)
            }
        }
    }
}

#[cfg(test)]
mod tests;
