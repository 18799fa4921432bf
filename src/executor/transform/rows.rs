//! What became of each row of a batch, by what the plugin says of it.

use super::{
    RowError,
    text::{quoted, shown},
    wit,
};

/// Bytes of an error's code.
const CODE_BYTES_MAX: usize = 64;
/// Bytes of its message.
const MESSAGE_BYTES_MAX: usize = 1024;
/// Bytes of the name of the column at fault.
const COLUMN_BYTES_MAX: usize = 255;

/// What became of the rows of a batch.
#[derive(Debug)]
pub(super) struct Fate {
    /// For each row that is written the one that it comes from; `None` where all rows stay as they are.
    pub source_rows: Option<Vec<u32>>,
    /// Distinct rows that are written.
    pub kept: u64,
    /// Rows that are neither written nor among the errors.
    pub filtered: u64,
    /// By row, each once.
    pub errors: Vec<RowError>,
}

/// Checks what a plugin says of a batch of `rows` rows, of which it gave back `given`.
pub(super) fn settle(
    rows: usize,
    given: usize,
    source_rows: Option<Vec<u32>>,
    errors: Vec<wit::RowError>,
) -> Result<Fate, String> {
    let Some(source_rows) = source_rows else {
        if given != rows || !errors.is_empty() {
            let errors = errors.len();
            return Err(format!(
                "of {rows} rows {given} come back, and errors of {errors}: without source-rows nobody knows which"
            ));
        }
        return Ok(Fate { source_rows: None, kept: rows as u64, filtered: 0, errors: Vec::new() });
    };
    if source_rows.len() != given {
        return Err(format!("source-rows has {} entries; {given} rows come back", source_rows.len()));
    }
    let mut written = vec![false; rows];
    let mut kept = 0;
    for (place, row) in source_rows.iter().enumerate() {
        let Some(written) = written.get_mut(*row as usize) else {
            return Err(format!("row {place} comes from row {row}, and {rows} rows came (source-rows)"));
        };
        kept += u64::from(!*written);
        *written = true;
    }
    let errors = checked(errors, &written)?;
    let as_they_are = given == rows && source_rows.iter().enumerate().all(|(place, row)| place == *row as usize);
    Ok(Fate {
        source_rows: (!as_they_are).then_some(source_rows),
        kept,
        filtered: rows as u64 - kept - errors.len() as u64,
        errors,
    })
}

/// The errors by row; where a row has several the first counts.
fn checked(errors: Vec<wit::RowError>, written: &[bool]) -> Result<Vec<RowError>, String> {
    let error = |error: wit::RowError| {
        let row = error.row;
        match written.get(row as usize) {
            None => return Err(format!("an error is about row {row}, and {} rows came", written.len())),
            Some(true) => return Err(format!("row {row} is set aside with an error, and kept as well")),
            Some(false) => {}
        }
        if !is_code(&error.code) {
            let code = quoted(&error.code);
            return Err(format!(
                "the error of row {row} has the code {code}; a code is 1 to {CODE_BYTES_MAX} lower-case letters, digits \
                 and underscores"
            ));
        }
        let column = error.column.map(|column| shown(&column, COLUMN_BYTES_MAX));
        Ok(RowError { row, code: error.code, column, message: shown(&error.message, MESSAGE_BYTES_MAX) })
    };
    let mut errors = errors.into_iter().map(error).collect::<Result<Vec<_>, _>>()?;
    errors.sort_by_key(|error| error.row);
    errors.dedup_by_key(|error| error.row);
    Ok(errors)
}

fn is_code(code: &str) -> bool {
    let inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=CODE_BYTES_MAX).contains(&code.len()) && code.bytes().all(inside)
}
