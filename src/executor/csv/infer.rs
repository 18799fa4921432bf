//! The types of files' columns, found out over whole inputs: a type must fit every value, else the column becomes wider,
//! and text at last. So a type never depends on where a sample happened to end.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    super::{
        Error, Progress, Source,
        schedule::{self, Group, Next, Pieces, Resources, Stop},
    },
    Dialect,
    blocks::{Block, Limits},
    decode::BATCH_BYTES,
    evidence::Evidence,
    grid::{Grid, Room, Rows, Width},
    marks::Marks,
    nulls::Nulls,
    opened::Opened,
    value::{Formats, Text},
};
use crate::dataset::{Column, ColumnType, CsvOptions};

/// Bytes that a worker looks at before it tells what it saw: few, so that several share even the beginning of a file.
const GROUP_BYTES: u64 = 1024 * 1024;

/// What [`infer`] finds out.
#[derive(Debug, Clone, PartialEq)]
pub struct Inference {
    /// How the file is written.
    pub dialect: Dialect,
    /// Its columns, in file order.
    pub columns: Vec<Column>,
    /// Its rows, those included that would be rejected.
    pub rows: u64,
}

/// What [`infer_all`] finds out.
#[derive(Debug, Clone, PartialEq)]
pub struct InferenceOfAll {
    /// How each file is written; `None` for one without any record.
    pub dialects: Vec<Option<Dialect>>,
    /// The columns of all files by name, in the order in which they first appear.
    pub columns: Vec<Column>,
    /// For each column, whether it is text only for want of a value that makes a type: one that comes may change that.
    pub unseen: Vec<bool>,
    /// The rows that were looked at, those included that would be rejected.
    pub rows: u64,
    /// All rows of all files were looked at.
    pub whole: bool,
}

/// Finds out how a file is written and what its columns are. `text`: leave every column a string.
///
/// # Errors
/// [`Error::Empty`] when there is no record in it, [`Error::NotCsv`], [`Error::Header`], [`Error::Option`],
/// [`Error::Quotes`], [`Error::Read`], [`Error::Cancelled`].
pub fn infer(source: &dyn Source, options: &CsvOptions, text: bool, progress: &Progress) -> Result<Inference, Error> {
    let all = infer_all(&[source], options, text, progress)?;
    let empty = || Error::Empty { name: source.name().to_owned() };
    let dialect = all.dialects.into_iter().next().flatten().ok_or_else(empty)?;
    Ok(Inference { dialect, columns: all.columns, rows: all.rows })
}

/// Finds out the columns of several files that are to become one table: a column has the narrowest type that fits
/// its values in every file.
///
/// # Errors
/// As [`infer`]; [`Error::Empty`] only when there is no record in any file.
pub fn infer_all(
    sources: &[&dyn Source],
    options: &CsvOptions,
    text: bool,
    progress: &Progress,
) -> Result<InferenceOfAll, Error> {
    Look { options, text, extent: Extent::Whole, resources: Resources::default() }.at(sources, progress)
}

/// How much of each file is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// At least so many bytes of its text.
    Beginning(u64),
}

/// A look at files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    pub options: &'a CsvOptions,
    /// Leave every column a string.
    pub text: bool,
    pub extent: Extent,
    pub resources: Resources,
}

/// One file that is looked at.
struct File {
    /// Its place among the sources.
    place: usize,
    marks: Marks,
    nulls: Vec<Arc<Nulls>>,
}

/// What is known of a file.
struct Found {
    dialect: Dialect,
    names: Vec<String>,
    seen: Seen,
}

/// What some of a file's rows say.
struct Seen {
    columns: Vec<Values>,
    /// The header ends with a delimiter, and so far nothing stands behind it in any row.
    trailing: bool,
    rows: u64,
}

/// What a column's values say.
#[derive(Debug, Clone, Default)]
struct Values {
    evidence: Evidence,
}

impl Values {
    fn merge(&mut self, other: &Values) {
        self.evidence.merge(&other.evidence);
    }
}

impl Look<'_> {
    /// Looks at the files.
    pub fn at(&self, sources: &[&dyn Source], progress: &Progress) -> Result<InferenceOfAll, Error> {
        let found: Mutex<Vec<Option<Found>>> = Mutex::new(sources.iter().map(|_| None).collect());
        let mut whole = true;
        {
            let formats = Formats::of(self.options);
            let mut waiting = sources.iter().enumerate();
            let mut reading: Option<Opened<'_>> = None;
            let mut left = 0;
            let is_whole = &mut whole;
            let read = || loop {
                if let Some(opened) = &mut reading {
                    match (left, opened.next()?) {
                        (1.., Some(block)) => {
                            left = u64::saturating_sub(left, block.bytes.len() as u64);
                            return Ok(Some(Next::Block(block)));
                        }
                        (0, Some(_)) => *is_whole = false,
                        (_, None) => {}
                    }
                    reading = None;
                }
                let Some((place, source)) = waiting.next() else { return Ok(None) };
                let limits = Limits::of_group(GROUP_BYTES);
                let Some(opened) = Opened::open(*source, self.options, None, &[], limits, progress)? else { continue };
                let nulls = Nulls::of(self.options, opened.names.iter().map(String::as_str));
                let file = Arc::new(File { place, marks: opened.marks(), nulls });
                let seen = Seen::nothing(file.nulls.len(), opened.trailing && opened.dialect.has_header());
                let (dialect, names) = (opened.dialect.clone(), opened.names.clone());
                found.lock().unwrap_or_else(PoisonError::into_inner)[place] = Some(Found { dialect, names, seen });
                left = match self.extent {
                    Extent::Whole => u64::MAX,
                    Extent::Beginning(bytes) => bytes.max(1),
                };
                reading = Some(opened);
                return Ok(Some(Next::File(file)));
            };
            let work = |group: Group<File>, pieces: &Pieces<(usize, Seen)>| {
                let place = group.file.place;
                Ok(pieces.give((place, look(group, formats, self.text, progress)?))?)
            };
            let settle = |(place, seen): (usize, Seen)| {
                if let Some(found) = &mut found.lock().unwrap_or_else(PoisonError::into_inner)[place] {
                    found.seen.merge(&seen);
                }
                Ok(())
            };
            schedule::run(self.resources, progress, read, work, settle)?;
        }
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        if found.iter().all(Option::is_none) {
            let name = sources.first().map_or_else(String::new, |source| source.name().to_owned());
            return Err(Error::Empty { name });
        }
        Ok(self.together(found, whole))
    }

    /// What the files say together.
    fn together(&self, found: Vec<Option<Found>>, whole: bool) -> InferenceOfAll {
        let mut columns: Vec<(String, Values)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut rows = 0;
        let mut dialects = Vec::with_capacity(found.len());
        for file in found {
            let Some(Found { dialect, names, seen }) = file else {
                dialects.push(None);
                continue;
            };
            rows += seen.rows;
            dialects.push(Some(dialect));
            let count = names.len() - usize::from(seen.trailing);
            for (name, values) in names.into_iter().zip(&seen.columns).take(count) {
                match places.get(&name) {
                    Some(&place) => columns[place].1.merge(values),
                    None => {
                        places.insert(name.clone(), columns.len());
                        columns.push((name, values.clone()));
                    }
                }
            }
        }
        let unseen = columns.iter().map(|(_, values)| values.evidence.is_open() && !self.text).collect();
        let ty = |values: &Values| if self.text { ColumnType::String } else { values.evidence.column_type() };
        let columns = columns.into_iter().map(|(name, values)| Column { name, ty: ty(&values) }).collect();
        InferenceOfAll { dialects, columns, unseen, rows, whole }
    }
}

impl Seen {
    fn nothing(width: usize, trailing: bool) -> Self {
        Seen { columns: vec![Values::default(); width], trailing, rows: 0 }
    }

    fn merge(&mut self, other: &Seen) {
        self.rows += other.rows;
        self.trailing &= other.trailing;
        for (values, other) in self.columns.iter_mut().zip(&other.columns) {
            values.merge(other);
        }
    }
}

/// Looks at a group's rows. Rows that a conversion would reject for their shape have no say.
fn look(mut group: Group<File>, formats: Formats, text: bool, progress: &Progress) -> Result<Seen, Stop> {
    let file = Arc::clone(&group.file);
    let (width, marks) = (file.nulls.len(), file.marks);
    let mut seen = Seen::nothing(width, true);
    let mut grid = Grid::default();
    let mut scratch = Vec::new();
    while let Some(block) = group.next()? {
        if progress.is_cancelled() {
            return Err(Error::Cancelled.into());
        }
        let before = seen.rows;
        seen.rows += block.faults.len() as u64;
        let mut rows = Rows::new(&block, marks, Width { fields: width, pads: false });
        let is_valid = str::from_utf8(&block.bytes).is_ok();
        while rows.next(&mut grid, Room { rows: usize::MAX, bytes: BATCH_BYTES }) {
            seen.rows += (grid.rows() + grid.ragged().len()) as u64;
            if !is_valid {
                let is_text = |row| str::from_utf8(&block.bytes[grid.row(row)]).is_ok();
                let is_bad: Vec<bool> = (0..grid.rows()).map(|row| !is_text(row)).collect();
                grid.remove(&is_bad);
            }
            if seen.trailing && width > 0 {
                seen.trailing = grid.column(width - 1).all(|last| last.is_empty() && !last.is_quoted());
            }
            if text {
                continue;
            }
            for (column, values) in seen.columns.iter_mut().enumerate() {
                let cells = Cells { block: &block, grid: &grid, column, marks: &marks, nulls: &file.nulls[column] };
                cells.look(values, formats, &mut scratch);
            }
        }
        progress.add_rows(seen.rows - before);
    }
    Ok(seen)
}

/// One column's cells in a slab.
struct Cells<'a> {
    block: &'a Block,
    grid: &'a Grid,
    column: usize,
    marks: &'a Marks,
    nulls: &'a Nulls,
}

impl Cells<'_> {
    fn look(&self, values: &mut Values, formats: Formats, scratch: &mut Vec<u8>) {
        for field in self.grid.column(self.column) {
            if values.evidence.is_text() {
                return;
            }
            let bytes = &self.block.bytes;
            let text = match field.is_escaped() {
                true => Text::from(field.text(bytes, self.marks, scratch)),
                false => Text::new(bytes, field.range().start, field.range().end),
            };
            let text = text.trim();
            if !self.nulls.contain(text.get()) {
                values.evidence.look(text, formats);
            }
        }
    }
}

#[cfg(test)]
mod tests;
