//! Of `[dataset.x]`: what becomes of files that are not as the table is.

use super::{
    error::Problems,
    section::{Field, Section},
};
use crate::dataset::{MaxRejects, Ragged, SchemaChange};

pub(super) const SCHEMA_CHANGE: &str = "schema_change";
pub(super) const MAX_REJECTS: &str = "max_rejects";
pub(super) const RAGGED: &str = "ragged";

/// `contract`: the section of the dataset's contract, where it has one.
pub(super) fn schema_change(
    section: &Section<'_>,
    contract: Option<&Section<'_>>,
    problems: &mut Problems,
) -> Option<SchemaChange> {
    let choices =
        [("evolve", SchemaChange::Evolve), ("freeze", SchemaChange::Freeze), ("reject", SchemaChange::Reject)];
    let chosen = section.choice(SCHEMA_CHANGE, &choices, problems)?;
    if let Some(contract) = contract.filter(|_| chosen.value == SchemaChange::Evolve) {
        let message = format!("[{}] cannot evolve: its contract says which columns it has", section.path);
        problems.at(chosen.span, message, "this adds columns").also(contract.span.clone(), "the contract").help(
            "with a contract, `freeze` refuses files with other columns, and `reject` sets aside the rows that have a \
             value in one; add new columns to the contract, or take it out",
        );
        return None;
    }
    Some(chosen.value)
}

/// A number of rows, or a share of them.
pub(super) fn max_rejects(section: &Section<'_>, problems: &mut Problems) -> Option<MaxRejects> {
    if section.is_string(MAX_REJECTS) {
        let text = section.string(MAX_REJECTS, problems)?;
        let read = text.value.parse::<MaxRejects>();
        let verdict = read.as_ref().map(|_| ()).map_err(ToString::to_string);
        section.accept(MAX_REJECTS, text, verdict, problems)?;
        return read.ok();
    }
    let Field { value, span } = section.integer(MAX_REJECTS, problems)?;
    match u64::try_from(value) {
        Ok(rows) => Some(MaxRejects::Rows(rows)),
        Err(_) => {
            let message = format!("`{}.{MAX_REJECTS}` is out of range", section.path);
            problems.at(span, message, "out of range").help("a number of rows from 0 on, or a share such as \"1%\"");
            None
        }
    }
}

/// Of the `csv` section.
pub(super) fn ragged(section: &Section<'_>, problems: &mut Problems) -> Ragged {
    let choices = [("reject", Ragged::Reject), ("pad", Ragged::Pad), ("fail", Ragged::Fail)];
    section.choice(RAGGED, &choices, problems).map_or(Ragged::default(), |ragged| ragged.value)
}
