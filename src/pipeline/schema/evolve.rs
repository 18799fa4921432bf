//! A later file brings columns that the table does not have, and the dataset evolves ([`SchemaChange::Evolve`]).
//!
//! What the file is refused for is found out over the file as a whole, as the first file's columns were: a column
//! without any value is text. The columns are added to the table, nullable and behind all others, before the file is
//! converted: of two files that bring the same column with different types, one is first, and the other is read by the
//! type that the table has then. A process that dies in between leaves a table with a column that is null everywhere,
//! which the next try finds there.
//!
//! With a transform it is the columns of the CSV that are more, and the table gets what `open` makes of them.

use super::{Failure, SCHEMA_MISMATCH, Settling, TABLE_TRIES_MAX, Target, Terms, Unsettled, grown, unsteady};
use crate::{
    dataset::{Column, Dataset, SchemaChange},
    pipeline::ports::{Cloud, Inferred, Shape, SourceObject, Table},
};

/// A conversion that was refused for columns that it was not to convert into.
pub(in crate::pipeline) struct Refused<D> {
    /// What it was to convert into.
    pub target: Target<D>,
    /// The columns, in file order.
    pub unknown: Vec<String>,
    /// Why.
    pub message: String,
}

/// What the file is to be converted into instead.
///
/// # Errors
/// That the file is refused: the dataset does not evolve, or the file is not a later form of what is in the table.
pub(in crate::pipeline) async fn evolve<C: Cloud>(
    cloud: &C,
    dataset: &Dataset,
    source: &SourceObject,
    terms: Terms,
    refused: Refused<C::Dialect>,
) -> Result<Target<C::Dialect>, Unsettled> {
    if dataset.schema_change() != SchemaChange::Evolve {
        return Err(refused.for_good(hint(dataset)));
    }
    let settling = Settling { cloud, dataset, source, terms };
    let (found, infer_ms) = match &refused.target.found {
        // The dialect has served already; the conversion finds it again.
        Some(found) => (
            Inferred { columns: found.clone(), rows: 1, dialect: refused.target.dialect.clone() },
            refused.target.infer_ms,
        ),
        None => settling.infer(&refused.target.input).await?,
    };
    if found.rows == 0 {
        return Ok(Target { infer_ms, ..Target::of_no_row(found.dialect) });
    }
    let new = match new_columns(&refused, &found.columns) {
        Ok(new) => new,
        Err(why) => return Err(refused.for_good(why)),
    };
    let target = settling.add(&new).await?;
    Ok(Target { dialect: found.dialect, infer_ms, ..target })
}

/// What else may be done about a refused file.
fn hint(dataset: &Dataset) -> &'static str {
    match &dataset.schema {
        None => "; or let the table evolve: schema_change = \"evolve\"",
        Some(_) => "",
    }
}

/// Those of the file's columns for which it was refused, with the types that were found.
fn new_columns<D>(refused: &Refused<D>, found: &[Column]) -> Result<Vec<Column>, &'static str> {
    let is_found = |name: &String| found.iter().any(|column| column.name == *name);
    if !refused.target.input.iter().any(|known| is_found(&known.name)) {
        return Err("; it has none of the table's columns, so that it is no later form of what is there");
    }
    if !refused.unknown.iter().all(is_found) {
        return Err("; the types of its other columns could not be found out");
    }
    Ok(found.iter().filter(|column| refused.unknown.contains(&column.name)).cloned().collect())
}

impl<D> Refused<D> {
    fn for_good(self, why: &str) -> Unsettled {
        Unsettled::Failed(Failure::permanent(SCHEMA_MISMATCH, format!("{}{why}", self.message)))
    }
}

impl<C: Cloud> Settling<'_, C> {
    /// Adds columns of the CSV to the table, unless somebody has done so already, and answers with all of them.
    async fn add<D>(&self, new: &[Column]) -> Result<Target<D>, Unsettled> {
        for _ in 0..TABLE_TRIES_MAX {
            let table = self.cloud.table(self.dataset).await?;
            // Somebody has dropped the table, or made it another one: look at everything again.
            let (Some(known), Some(table)) = (self.known_input(table.as_ref()).await?, table) else {
                return Err(Unsettled::Changed);
            };
            let input = self.with_new(known, new, &table);
            let target = self.fit(input, Some(table.clone())).await?;
            // From now on the table remembers the columns of the CSV: attempts that were decided before may be finished
            // after this, and know fewer of them.
            let wanted = Shape { source_columns: Some(target.input.clone()), ..target.shape };
            let is_new = |column: &&Column| table.shape.columns.iter().all(|there| there.name != column.name);
            let added: Vec<Column> = wanted.columns.iter().filter(is_new).cloned().collect();
            let shape = grown(&table.shape, &wanted);
            let target = Target { shape: wanted, added, ..target };
            if target.replaces.is_some() || shape == table.shape {
                return Ok(target);
            }
            if self.cloud.update_table(self.dataset, &table, &shape).await? {
                tracing::info!(dataset = %self.dataset.name, key = %self.source.key, added = ?target.added,
                    "a file has brought the table new columns");
                return Ok(target);
            }
        }
        Err(Failure::from(unsteady(self.dataset)).into())
    }

    /// The columns of the CSV with those that they lack, at the end. Where there is no transform, the table may have such
    /// a column already, from a transform before: its type counts.
    fn with_new(&self, mut input: Vec<Column>, new: &[Column], table: &Table) -> Vec<Column> {
        for column in new {
            if input.iter().any(|known| known.name == column.name) {
                continue;
            }
            let there = table.shape.columns.iter().find(|there| there.name == column.name);
            let there = there.filter(|_| self.dataset.transform.is_none());
            input.push(there.unwrap_or(column).clone());
        }
        input
    }
}
