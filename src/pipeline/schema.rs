//! One schema a dataset, never one a file.
//!
//! The columns of the CSV are those of the contract; else those that the table was made of; else they are found out from
//! the first object as a whole. The table's columns are what the dataset's transform makes of them, or the same ones.
//! Where nobody has said yet, two first objects may find out different things: creating the table decides between them,
//! or giving it the columns of the CSV to remember. A later file may bring more of them ([`evolve`]).
//!
//! What a table was made of: its own parameter says it ([`Shape::source_columns`]), which conversions with a transform
//! write. A table without it holds the columns of the CSV itself, as long as no transform has had a hand in it: that is
//! certain where the dataset has none, and where commit records tell of files that were made without one. A table of
//! which neither is known (somebody made it beforehand) says nothing of the CSV.

mod evolve;

pub(super) use evolve::{Refused, evolve};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{
    Failure,
    ledger::{Commit, Kind, Versioned, read},
    ports::{Catalog, Cloud, CloudError, CloudErrorKind, EngineError, Inferred, Objects, Shape, SourceObject, Table},
};
use crate::dataset::{Column, Dataset};

/// Times that a table which changes under us is read again.
const TABLE_TRIES_MAX: u32 = 5;

/// Commit records that are asked whether the table's columns are those of the CSV.
const RECORDS_ASKED_MAX: u16 = 16;

/// Code of an object whose columns have other types than the table's.
pub(super) const SCHEMA_CONFLICT: &str = "schema_conflict";

/// Code of an object that has other columns than the table.
pub(super) const SCHEMA_MISMATCH: &str = "schema_mismatch";

/// What a source is decoded into, and what becomes of it.
#[derive(Debug, Clone)]
pub(super) struct Target<D> {
    /// Columns of the CSV. None: the source has no row and nothing to tell columns by.
    pub input: Vec<Column>,
    /// What the table must have.
    pub shape: Shape,
    /// The table as it was, where its columns are to be replaced by these.
    pub replaces: Option<Table>,
    /// Columns that the table gets for this file.
    pub added: Vec<Column>,
    /// What the file itself has, where that was found out on the way and it has rows.
    pub found: Option<Vec<Column>>,
    /// The dialect, where it was found out on the way.
    pub dialect: Option<D>,
    /// Milliseconds that finding out took.
    pub infer_ms: u64,
}

impl<D> Target<D> {
    /// A header alone says nothing of types: the first object with rows decides.
    fn of_no_row(dialect: Option<D>) -> Self {
        Target { dialect, ..Target::new(Vec::new(), Shape::default(), None) }
    }

    fn new(input: Vec<Column>, shape: Shape, replaces: Option<Table>) -> Self {
        Target { input, shape, replaces, added: Vec::new(), found: None, dialect: None, infer_ms: 0 }
    }
}

/// Why there are no columns yet.
pub(super) enum Unsettled {
    /// The source changed while it was read, or the table is another one by now.
    Changed,
    /// It failed.
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Unsettled {
    fn from(error: E) -> Self {
        Unsettled::Failed(error.into())
    }
}

impl Unsettled {
    /// What stood in the way of reading the source.
    pub fn of(error: EngineError) -> Self {
        match error {
            EngineError::Changed => Unsettled::Changed,
            error => error.into(),
        }
    }
}

/// How columns are decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// The table's columns may be replaced ([`super::backfill`]).
    pub may_replace: bool,
    /// When a transform must have answered.
    pub work_ends_at: Timestamp,
}

/// Decides the columns that `source` is decoded into, and those of the table.
pub(super) async fn settle<C: Cloud>(
    cloud: &C,
    dataset: &Dataset,
    source: &SourceObject,
    terms: Terms,
) -> Result<Target<C::Dialect>, Unsettled> {
    let settling = Settling { cloud, dataset, source, terms };
    let (mut inferred, mut infer_ms) = (None, 0);
    for _ in 0..TABLE_TRIES_MAX {
        let table = cloud.table(dataset).await?;
        if let Some(input) = settling.known_input(table.as_ref()).await? {
            let (found, dialect) = match inferred {
                Some(Inferred { columns, dialect, .. }) => (Some(columns), dialect),
                None => (None, None),
            };
            let target = settling.fit(input, table).await?;
            return Ok(Target { found, dialect, infer_ms, ..target });
        }
        let found = match inferred.take() {
            Some(found) => found,
            None => {
                let (found, took_ms) = settling.infer(&[]).await?;
                infer_ms = took_ms;
                found
            }
        };
        if found.rows == 0 {
            return Ok(Target { infer_ms, ..Target::of_no_row(found.dialect) });
        }
        if let Some(target) = settling.found_out(&found.columns, table).await? {
            return Ok(Target { dialect: found.dialect, infer_ms, ..target });
        }
        inferred = Some(found);
    }
    Err(Failure::from(unsteady(dataset)).into())
}

struct Settling<'a, C> {
    cloud: &'a C,
    dataset: &'a Dataset,
    source: &'a SourceObject,
    terms: Terms,
}

impl<C: Cloud> Settling<'_, C> {
    /// Columns of the CSV, where somebody has said.
    async fn known_input(&self, table: Option<&Table>) -> Result<Option<Vec<Column>>, CloudError> {
        if let Some(contract) = &self.dataset.schema {
            return Ok(Some(contract.clone()));
        }
        let Some(table) = table else { return Ok(None) };
        if let Some(columns) = &table.shape.source_columns {
            return Ok(Some(columns.clone()));
        }
        let is_csvs_own = self.dataset.transform.is_none() || is_made_plain(self.cloud, self.dataset).await?;
        Ok(is_csvs_own.then(|| table.shape.columns.clone()))
    }

    /// What the file has, and the milliseconds that finding out took.
    async fn infer(&self, known: &[Column]) -> Result<(Inferred<C::Dialect>, u64), Unsettled> {
        let began = self.cloud.now();
        let found = self.cloud.infer(self.dataset, self.source, known).await.map_err(Unsettled::of)?;
        let took_ms = u64::try_from(self.cloud.now().duration_since(began).as_millis()).unwrap_or(0);
        Ok((found, took_ms))
    }

    /// The target for columns that are known, beside a table that may be there.
    async fn fit<D>(&self, input: Vec<Column>, table: Option<Table>) -> Result<Target<D>, Unsettled> {
        let remembered = table.as_ref().is_some_and(|table| table.shape.source_columns.is_some());
        let shape = self.shape(&input, remembered).await?;
        let replaces = match table {
            Some(table) if self.terms.may_replace && !has_same_columns(&table.shape, &shape) => Some(table),
            Some(table) => {
                self.agree(&shape, &table.shape)?;
                None
            }
            None => None,
        };
        Ok(Target::new(input, shape, replaces))
    }

    /// The target for columns that were found out, when they make the table. `None`: look at the table again, somebody
    /// else has made it, or it remembers them now.
    async fn found_out<D>(&self, input: &[Column], table: Option<Table>) -> Result<Option<Target<D>>, Unsettled> {
        let Some(table) = table else {
            let shape = self.shape(input, false).await?;
            let is_created = self.cloud.create_table(self.dataset, &shape).await?;
            return Ok(is_created.then(|| Target::new(input.to_vec(), shape, None)));
        };
        // What the transform refuses, the table is not to remember.
        self.fit::<D>(input.to_vec(), Some(table.clone())).await?;
        let remembering = Shape { source_columns: Some(input.to_vec()), ..table.shape.clone() };
        self.cloud.update_table(self.dataset, &table, &remembering).await?;
        Ok(None)
    }

    /// What the table must have. It remembers the columns of the CSV where they are not its own.
    async fn shape(&self, input: &[Column], remembered: bool) -> Result<Shape, Failure> {
        let opened = self.cloud.open(self.dataset, input, self.terms.work_ends_at).await;
        let columns = opened.map_err(|error| error.of_source(&self.source.key))?;
        let remembers = remembered || self.dataset.transform.is_some();
        let partition_by = self.dataset.partition_by.clone();
        Ok(Shape { columns, partition_by, source_columns: remembers.then(|| input.to_vec()) })
    }

    /// A Parquet column of a table cannot change its type, so that these columns cannot be had beside others of their
    /// names.
    fn agree(&self, wanted: &Shape, table: &Shape) -> Result<(), Failure> {
        let name = &self.dataset.name;
        if wanted.partition_by != table.partition_by {
            return Err(Failure::permanent(
                SCHEMA_CONFLICT,
                format!(
                    "the table {name} is {}, and the dataset asks for it {}; run `lake backfill {name}`, which converts \
                     all of its files anew, or change it back",
                    partitioned(&table.partition_by),
                    partitioned(&wanted.partition_by),
                ),
            ));
        }
        for column in &wanted.columns {
            let Some(there) = table.columns.iter().find(|there| there.name == column.name) else { continue };
            if there.ty == column.ty {
                continue;
            }
            let whose = match &self.dataset.transform {
                Some(transform) => format!("as the transform {} makes it", transform.name),
                None => format!("in the contract of {name}"),
            };
            return Err(Failure::permanent(
                SCHEMA_CONFLICT,
                format!(
                    "column {} is {} {whose} but {} in the table {name}, whose files cannot change type; run \
                     `lake backfill {name}`, which converts all of its files anew, or change it back",
                    column.name, column.ty, there.ty
                ),
            ));
        }
        Ok(())
    }
}

fn partitioned(by: &[String]) -> String {
    match by {
        [] => "without partitions".to_owned(),
        by => format!("partitioned by {}", by.join(", ")),
    }
}

/// Whether files of the dataset were made without a transform, so that the table's columns are those of the CSV.
async fn is_made_plain(cloud: &impl Objects, dataset: &Dataset) -> Result<bool, CloudError> {
    let records = cloud.list_after(&Kind::Commits.prefix(&dataset.name), "", RECORDS_ASKED_MAX).await?;
    let mut asked = stream::iter(&records)
        .map(async |record| match read::<Commit>(cloud, record).await {
            Err(error) if error.kind == CloudErrorKind::Damaged => Ok(None),
            read => read,
        })
        .buffer_unordered(usize::from(RECORDS_ASKED_MAX));
    while let Some(record) = asked.try_next().await? {
        let current = record.and_then(|Versioned { value: commit, .. }| commit.current);
        // A source without rows makes no file and says nothing.
        if current.is_some_and(|current| current.plugin_hash.is_none() && !current.files.is_empty()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The same columns in any order, and the same partitions.
fn has_same_columns(one: &Shape, other: &Shape) -> bool {
    one.partition_by == other.partition_by
        && one.columns.len() == other.columns.len()
        && one.columns.iter().all(|column| other.columns.contains(column))
}

/// Replaces the table's columns, unless somebody has done so already. `false`: the table is another one than was looked
/// at, and has other columns still.
pub(super) async fn replace_columns(
    cloud: &impl Catalog,
    dataset: &Dataset,
    seen: &Table,
    shape: &Shape,
) -> Result<bool, CloudError> {
    for _ in 0..TABLE_TRIES_MAX {
        let Some(table) = cloud.table(dataset).await? else { return Ok(true) };
        if has_same_columns(&table.shape, shape) && table.shape.source_columns == shape.source_columns {
            return Ok(true);
        }
        if table.version != seen.version {
            return Ok(false);
        }
        if cloud.update_table(dataset, &table, shape).await? {
            tracing::warn!(dataset = %dataset.name, "the table's columns are replaced; files made before are stale");
            return Ok(true);
        }
    }
    Err(unsteady(dataset))
}

/// The shape of a table with the columns that it lacks, behind those that it has. Of columns of the same name it keeps
/// its own, and it forgets nothing that it is made of.
fn grown(there: &Shape, wanted: &Shape) -> Shape {
    let with = |columns: &[Column], more: &[Column]| {
        let is_new = |column: &&Column| columns.iter().all(|there| there.name != column.name);
        columns.iter().chain(more.iter().filter(is_new)).cloned().collect::<Vec<_>>()
    };
    let source_columns = match (&there.source_columns, &wanted.source_columns) {
        (Some(columns), Some(more)) => Some(with(columns, more)),
        // Made without a transform, before the table remembered anything: its columns are those of the CSV.
        (Some(columns), None) => Some(with(columns, &wanted.columns)),
        (None, more) => more.clone(),
    };
    let columns = with(&there.columns, &wanted.columns);
    Shape { columns, partition_by: there.partition_by.clone(), source_columns }
}

/// Sees to it that the dataset's table exists, has at least these columns, and remembers what it is made of. Never
/// removes a column. Answers with what is there then.
pub(super) async fn ensure_table(cloud: &impl Catalog, dataset: &Dataset, wanted: &Shape) -> Result<Shape, CloudError> {
    for _ in 0..TABLE_TRIES_MAX {
        let Some(table) = cloud.table(dataset).await? else {
            if cloud.create_table(dataset, wanted).await? {
                return Ok(wanted.clone());
            }
            continue;
        };
        let mut shape = grown(&table.shape, wanted);
        if wanted.source_columns.is_some() && dataset.schema.is_some() {
            // A contract says all of them, and may say other types than before.
            shape.source_columns.clone_from(&wanted.source_columns);
        }
        if shape == table.shape || cloud.update_table(dataset, &table, &shape).await? {
            return Ok(shape);
        }
    }
    Err(unsteady(dataset))
}

fn unsteady(dataset: &Dataset) -> CloudError {
    CloudError {
        operation: "UpdateTable",
        target: dataset.name.clone(),
        message: format!("the table changed under us {TABLE_TRIES_MAX} times"),
        kind: CloudErrorKind::Retriable,
    }
}
