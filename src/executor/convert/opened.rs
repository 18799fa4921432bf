//! The inputs of a run, opened one after the other: which fields of a file become which columns.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use arrow::datatypes::SchemaRef;

use super::{Input, matching::Matching};
use crate::{
    dataset::{Column, Dataset, MaxRejects, Ragged},
    executor::{
        Dialect, Error, Progress,
        csv::{Formats, Layout, Limits, Nulls, Opened, Width},
    },
};

/// A file as the workers know it.
pub(super) struct File {
    pub name: String,
    pub dialect: Dialect,
    pub layout: Arc<Layout>,
    /// Columns of the table that it does not have.
    pub missing: Vec<String>,
    /// A row of another width fails the run.
    pub fails_ragged: bool,
    /// Bytes taken from it so far.
    taken: Arc<AtomicU64>,
    counts: Mutex<Counts>,
}

/// What became of a file's rows.
#[derive(Debug, Default)]
struct Counts {
    read: u64,
    rejected: u64,
    /// The first row that was rejected.
    first: Option<String>,
}

impl File {
    /// Bytes taken from it.
    pub fn bytes(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Counts rows; `first` is the first of those that were rejected. Fails as soon as there are more of these than a
    /// fixed number allows.
    pub fn count(
        &self,
        (read, rejected): (u64, u64),
        first: Option<String>,
        max: Option<MaxRejects>,
    ) -> Result<(), Error> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.read += read;
        counts.rejected += rejected;
        counts.first = counts.first.take().or(first);
        match max {
            Some(MaxRejects::Rows(_)) => self.within(&counts, max),
            _ => Ok(()),
        }
    }

    /// Fails when more rows were rejected than are allowed.
    pub fn check(&self, max: Option<MaxRejects>) -> Result<(), Error> {
        self.within(&self.counts.lock().unwrap_or_else(PoisonError::into_inner), max)
    }

    fn within(&self, counts: &Counts, max: Option<MaxRejects>) -> Result<(), Error> {
        let Counts { read, rejected, ref first } = *counts;
        match max {
            Some(allowed) if rejected > allowed.allowed(read) => {
                let (name, first) = (self.name.clone(), first.clone().unwrap_or_default());
                Err(Error::TooManyRejects { name, rejected, read, allowed, first })
            }
            _ => Ok(()),
        }
    }
}

/// What is the same for every input.
pub(super) struct Opening<'a> {
    dataset: &'a Dataset,
    columns: Arc<[Column]>,
    schema: SchemaRef,
    nulls: Vec<Arc<Nulls>>,
    common_nulls: Arc<Nulls>,
    guess: Option<Arc<[bool]>>,
    limits: Limits,
}

impl<'a> Opening<'a> {
    /// `guess`: the columns' types are a guess, and of these no value has been seen yet.
    pub fn new(dataset: &'a Dataset, columns: &[Column], schema: &SchemaRef, guess: Option<&[bool]>) -> Self {
        Opening {
            dataset,
            columns: columns.into(),
            schema: Arc::clone(schema),
            nulls: Nulls::of(&dataset.csv, columns.iter().map(|column| column.name.as_str())),
            common_nulls: Nulls::common(&dataset.csv),
            guess: guess.map(Arc::from),
            limits: Limits::of_group(dataset.parquet.row_group_bytes),
        }
    }

    /// Opens an input; `None` when there is no record in it.
    pub fn open<'p>(
        &self,
        input: &Input<'_>,
        progress: &'p Progress,
    ) -> Result<Option<(Opened<'p>, Arc<File>)>, Error> {
        let Dataset { csv, .. } = self.dataset;
        let opened = Opened::open(input.source, csv, input.dialect.as_ref(), &self.columns, self.limits, progress)?;
        let Some(opened) = opened else { return Ok(None) };
        let matching = Matching::new(&opened, &self.columns, self.dataset)?;
        let missing = matching.missing(&self.columns).collect();
        let layout = Layout {
            columns: Arc::clone(&self.columns),
            schema: Arc::clone(&self.schema),
            fields: matching.fields,
            nulls: self.nulls.clone(),
            common_nulls: Arc::clone(&self.common_nulls),
            formats: Formats::of(csv),
            width: Width { fields: matching.width, pads: csv.ragged == Ragged::Pad },
            trailing: matching.trailing,
            marks: opened.marks(),
            unknown: matching.unknown,
            guess: self.guess.clone(),
        };
        let file = File {
            name: opened.name.clone(),
            dialect: opened.dialect.clone(),
            layout: Arc::new(layout),
            missing,
            taken: Arc::clone(&opened.bytes),
            fails_ragged: csv.ragged == Ragged::Fail,
            counts: Mutex::default(),
        };
        Ok(Some((opened, Arc::new(file))))
    }
}
