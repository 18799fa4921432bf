//! What can stop a conversion as a whole. A bad row is no error: it is rejected and the run goes on.

use std::io;

use parquet::errors::ParquetError;

use super::{csv::Unreadable, transform::PluginError};
use crate::dataset::MaxRejects;

/// Why a file could not be converted, or its columns not found out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no byte of text in it, so there are no columns to find out.
    #[error("{name}: the file is empty, so its columns cannot be found out; put a file with at least a header")]
    Empty {
        /// The source.
        name: String,
    },
    /// The bytes are something else than delimited text.
    #[error("{name}: not a CSV file: it looks like {looks_like}")]
    NotCsv {
        /// The source.
        name: String,
        /// What it looks like, and what to do about it.
        looks_like: String,
    },
    /// Compressed data are damaged, or were cut off.
    #[error("{name}: {message}")]
    Damaged {
        /// The source.
        name: String,
        /// What is wrong, and where.
        message: String,
    },
    /// The file's columns are not the table's.
    #[error("{name}: {message}")]
    Schema {
        /// The source.
        name: String,
        /// What does not match, and what to do.
        message: String,
        /// Columns of the file that the table does not have.
        unknown: Vec<String>,
    },
    /// More rows would be set aside than the dataset allows.
    #[error(
        "{name}: {rejected} of {read} rows do not fit the table, more than max_rejects = {allowed} allows, so that none of \
         them is written. The first: {first}"
    )]
    TooManyRejects {
        /// The source.
        name: String,
        /// Rows that would be set aside, as far as was read.
        rejected: u64,
        /// Rows that were read.
        read: u64,
        /// What the dataset allows.
        allowed: MaxRejects,
        /// Line, code and message of the first of them.
        first: String,
    },
    /// A row has more or fewer fields than there are columns, where that is not allowed.
    #[error(
        "{name}: line {line}: {message}, which csv.ragged = \"fail\" does not allow, so that nothing of the file is written"
    )]
    Ragged {
        /// The source.
        name: String,
        /// Where the row begins, counted from 1.
        line: u64,
        /// How many fields it has, and how many there should be.
        message: String,
    },
    /// The header cannot become column names.
    #[error("{name}: {message}")]
    Header {
        /// The source.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// An option of the dataset's `csv` section cannot be used.
    #[error("csv.{option}: {message}")]
    Option {
        /// The option's name in `lake.toml`.
        option: &'static str,
        /// What is wrong with its value.
        message: String,
    },
    /// Quotes open and close so wildly that the records cannot be told apart in reasonable time.
    #[error(
        "{name}: the quotes do not balance around line {line}: too much text had to be read again to find records; \
         check csv.quote and csv.delimiter"
    )]
    Quotes {
        /// The source.
        name: String,
        /// Where reading was given up, counted from 1.
        line: u64,
    },
    /// The source could not be read.
    #[error("{name}: cannot be read")]
    Read {
        /// The source.
        name: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An output could not be opened.
    #[error("the {output} output cannot be opened")]
    Open {
        /// `data` or `rejects`.
        output: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An output could not be encoded or written.
    #[error("the {output} output cannot be written")]
    Write {
        /// `data` or `rejects`.
        output: &'static str,
        /// Why; an error of the sink is inside.
        #[source]
        source: ParquetError,
    },
    /// An output could not be ended.
    #[error("the {output} output cannot be ended")]
    Finish {
        /// `data` or `rejects`.
        output: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The rows cannot be told apart by the dataset's partition columns.
    #[error("partition_by: {message}")]
    Partition {
        /// What is in the way, and what to do.
        message: String,
    },
    /// The decoded columns do not form a batch: a bug in lake.
    #[error("decoded columns do not fit together; this is a bug in lake")]
    Batch(#[from] arrow::error::ArrowError),
    /// Rows went missing or were made up: a bug in lake, and the reason why nothing was committed.
    #[error(
        "rows are not conserved: read {read}, kept {kept}, filtered {filtered}, rejected {rejected}, added {exploded}, \
         in the data file {written}; this is a bug in lake, nothing was committed"
    )]
    Conservation {
        /// Rows that came out of the splitter.
        read: u64,
        /// Rows of the input that are in the data file.
        kept: u64,
        /// Rows that the transform left out.
        filtered: u64,
        /// Rows set aside.
        rejected: u64,
        /// Rows in the data file beyond one for each row kept.
        exploded: u64,
        /// Rows that the Parquet footer counts.
        written: u64,
    },
    /// The transform cannot be used, or failed.
    #[error("{name}: the rows cannot go through the transform")]
    Plugin {
        /// The source.
        name: String,
        /// What is wrong with the plugin.
        source: PluginError,
    },
    /// The dataset has a transform and no plugin was given for it, or the other way round: a bug in lake.
    #[error("{message}; this is a bug in lake, nothing was converted")]
    Transform {
        /// What is there, and what is not.
        message: String,
    },
    /// Somebody asked to stop ([`super::Progress::cancel`]).
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// What it means that reading the source `name` has failed with `error`.
    pub(super) fn reading(name: &str, error: io::Error) -> Self {
        let name = name.to_owned();
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Unreadable>()) {
            None => Error::Read { name, source: error },
            Some(Unreadable::Cancelled) => Error::Cancelled,
            Some(Unreadable::Damaged(message)) => Error::Damaged { name, message: message.clone() },
            Some(Unreadable::Refused(looks_like)) => Error::NotCsv { name, looks_like: looks_like.clone() },
        }
    }

    /// True when another attempt on the same bytes with the same configuration must end the same way: the object
    /// is to be parked rather than tried again.
    pub fn is_permanent(&self) -> bool {
        match self {
            Error::Empty { .. }
            | Error::NotCsv { .. }
            | Error::Damaged { .. }
            | Error::Schema { .. }
            | Error::TooManyRejects { .. }
            | Error::Ragged { .. }
            | Error::Header { .. }
            | Error::Option { .. }
            | Error::Quotes { .. }
            | Error::Partition { .. }
            | Error::Batch(_)
            | Error::Conservation { .. }
            | Error::Transform { .. } => true,
            Error::Plugin { source, .. } => source.is_permanent(),
            Error::Read { .. } | Error::Open { .. } | Error::Write { .. } | Error::Finish { .. } | Error::Cancelled => {
                false
            }
        }
    }
}
