//! One schema a dataset, never one a file: the contract, else the table's columns, else found out from the first
//! object as a whole, where CreateTable decides between two first objects.

use super::{
    Failure,
    ports::{Catalog, Cloud, CloudError, CloudErrorKind, Inferred, SourceObject},
};
use crate::dataset::{Column, Dataset};

/// Times that a table which changes under us is read again.
const TABLE_TRIES_MAX: u32 = 5;

/// What a source is decoded into.
#[derive(Debug, Clone)]
pub(super) struct Target<D> {
    /// Columns to write. None: the source has no row and nothing to tell columns by.
    pub columns: Vec<Column>,
    /// The dialect, where it was found out on the way.
    pub dialect: Option<D>,
    /// Milliseconds that finding out took.
    pub infer_ms: u64,
}

/// Why there are no columns yet.
pub(super) enum Unsettled {
    /// The source changed while it was read.
    Changed,
    /// It failed.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Unsettled {
    fn from(error: E) -> Self {
        Unsettled::Failed(error.into())
    }
}

/// Decides the columns that `source` is decoded into.
pub(super) async fn settle<C: Cloud>(
    cloud: &C,
    dataset: &Dataset,
    source: &SourceObject,
) -> Result<Target<C::Dialect>, Unsettled> {
    let table = cloud.table(dataset).await?;
    if let Some(contract) = &dataset.schema {
        if let Some(table) = &table {
            agree(dataset, contract, &table.columns)?;
        }
        return Ok(Target { columns: contract.clone(), dialect: None, infer_ms: 0 });
    }
    if let Some(table) = table {
        return Ok(Target { columns: table.columns, dialect: None, infer_ms: 0 });
    }
    let began = cloud.now();
    let Inferred { columns, rows, dialect } = match cloud.infer(dataset, source).await {
        Ok(inferred) => inferred,
        Err(super::EngineError::Changed) => return Err(Unsettled::Changed),
        Err(error) => return Err(error.into()),
    };
    let infer_ms = u64::try_from(cloud.now().duration_since(began).as_millis()).unwrap_or(0);
    if rows == 0 {
        // A header alone says nothing of types: the first object with rows decides.
        return Ok(Target { columns: Vec::new(), dialect, infer_ms });
    }
    if cloud.create_table(dataset, &columns).await? {
        return Ok(Target { columns, dialect, infer_ms });
    }
    match cloud.table(dataset).await? {
        Some(table) => Ok(Target { columns: table.columns, dialect, infer_ms }),
        None => Err(Failure::retriable("table", "the table came and went while it was created").into()),
    }
}

/// A Parquet column of a table cannot change its type, so a contract that says otherwise cannot be kept.
fn agree(dataset: &Dataset, contract: &[Column], table: &[Column]) -> Result<(), Failure> {
    for column in contract {
        let Some(there) = table.iter().find(|there| there.name == column.name) else { continue };
        if there.ty != column.ty {
            return Err(Failure::permanent(
                "schema_conflict",
                format!(
                    "column {} is {} in the contract of {} but {} in its table, whose files cannot change type; \
                     change the contract back, or use a new dataset",
                    column.name, column.ty, dataset.name, there.ty
                ),
            ));
        }
    }
    Ok(())
}

/// Sees to it that the dataset's table exists and has at least `columns`. Never removes a column.
pub(super) async fn ensure_table(
    cloud: &impl Catalog,
    dataset: &Dataset,
    columns: &[Column],
) -> Result<(), CloudError> {
    for _ in 0..TABLE_TRIES_MAX {
        let Some(table) = cloud.table(dataset).await? else {
            if cloud.create_table(dataset, columns).await? {
                return Ok(());
            }
            continue;
        };
        let known = |column: &&Column| table.columns.iter().any(|there| there.name == column.name);
        let missing: Vec<Column> = columns.iter().filter(|column| !known(column)).cloned().collect();
        if missing.is_empty() || cloud.add_columns(dataset, &table, &missing).await? {
            return Ok(());
        }
    }
    Err(CloudError {
        operation: "UpdateTable",
        target: dataset.name.clone(),
        message: format!("the table changed under us {TABLE_TRIES_MAX} times"),
        kind: CloudErrorKind::Retriable,
    })
}
