//! A transform at work: opened, then given batches. The border is `abi`'s; here are Rust values alone.

use crate::{
    batch::{Batch, BatchOut, BatchTransform},
    column::Column,
    config::Config,
    plan::{Origin, Plan},
    row::{Outcome, Reason, Row, RowOut, RowTransform},
    types::{Field, Schema},
    view::{Views, Widened},
};

/// What a transform has said it will do: `contract` of the WIT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Names of the columns that batches bring, in that order.
    pub reads: Vec<String>,
    /// Names of columns that leave the table unread.
    pub drops: Vec<String>,
    /// Columns that batches give back, in that order.
    pub output: Vec<Field>,
}

/// A row set aside: `row-error` of the WIT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// Its place in the batch.
    pub row: u32,
    /// What reports count by.
    pub code: String,
    /// The column at fault.
    pub column: Option<String>,
    /// For a person.
    pub message: String,
}

/// What became of a batch: `output` of the WIT.
#[derive(Debug, Clone, PartialEq)]
pub struct Transformed {
    /// Rows given back.
    pub rows: u32,
    /// The columns of the contract's output.
    pub columns: Vec<Column>,
    /// For each row the one that it comes from; `None` where it is one to one.
    pub source_rows: Option<Vec<u32>>,
    /// The rows set aside.
    pub errors: Vec<RowError>,
}

/// A transform that has been opened.
#[derive(Debug)]
pub struct Opened<T> {
    transform: T,
    plan: Plan,
}

impl<T: BatchTransform> Opened<T> {
    /// # Errors
    /// The transform refuses, or what it planned does not fit together.
    pub fn open(config: &Config, input: Schema) -> Result<(Self, Contract), String> {
        let mut plan = Plan::of(input);
        let transform = T::open(config, &mut plan)?;
        config.refuse_unknown()?;
        let contract = plan.finish()?;
        Ok((Opened { transform, plan }, contract))
    }

    /// # Errors
    /// The columns are not those of the contract; the transform fails; what it put does not fit together.
    pub fn transform(&mut self, rows: u32, columns: Vec<Column>) -> Result<Transformed, String> {
        let Opened { transform, plan } = self;
        let count = rows as usize;
        let widened = Widened::new(plan, &columns);
        let views = Views::new(plan, count, &columns, &widened)?;
        let batch = Batch { rows: count, views, reads: &plan.reads };
        let mut out = BatchOut { builders: plan.builders(), sources: None, rejects: Vec::new() };
        transform.batch(&batch, &mut out)?;
        finish(plan, rows, columns, out)
    }
}

fn finish(plan: &Plan, rows: u32, columns: Vec<Column>, out: BatchOut) -> Result<Transformed, String> {
    let BatchOut { mut builders, sources, rejects } = out;
    check_rows(rows, sources.as_deref(), rejects.iter().map(|&(row, _)| row))?;
    let kept = sources.as_ref().map_or(rows as usize, Vec::len);
    let mut came: Vec<Option<Column>> = columns.into_iter().map(Some).collect();
    let mut given = Vec::with_capacity(plan.outputs.len());
    for output in &plan.outputs {
        let column = match (output.origin, &sources) {
            (Origin::Built(at), _) => builders.finish(output.field.data_type, at, kept),
            (Origin::Read(column), None) => came[column].take().ok_or_else(|| "it was given back twice".to_owned()),
            (Origin::Read(column), Some(sources)) => {
                came[column].take().map(|column| column.gather(sources)).ok_or_else(|| "it was given back twice".into())
            }
        };
        given.push(column.map_err(|message| format!("output {}: {message}", output.field.name))?);
    }
    let error = |(row, reject): (u32, crate::Reject)| {
        let Reason { code, column, message } = reject.into_reason();
        RowError { row, code: code.into_owned(), column, message }
    };
    let errors = rejects.into_iter().map(error).collect();
    Ok(Transformed { rows: kept as u32, columns: given, source_rows: sources, errors })
}

/// Rows that go on and rows that are set aside are rows of the batch, and not the same ones.
fn check_rows(rows: u32, sources: Option<&[u32]>, rejects: impl Iterator<Item = u32>) -> Result<(), String> {
    let mut rejected = Vec::new();
    for row in rejects {
        if row >= rows {
            return Err(format!("row {row} is rejected, of {rows}"));
        }
        if rejected.is_empty() {
            rejected.resize(rows as usize, false);
        }
        if std::mem::replace(&mut rejected[row as usize], true) {
            return Err(format!("row {row} is rejected twice"));
        }
    }
    let Some(sources) = sources else {
        return match rejected.is_empty() {
            true => Ok(()),
            false => Err("rows are rejected, and it is not said which rows go on".to_owned()),
        };
    };
    if let Some(row) = sources.iter().find(|&&row| row >= rows) {
        return Err(format!("row {row} goes on, of {rows}"));
    }
    match sources.iter().find(|&&row| rejected.get(row as usize).is_some_and(|&rejected| rejected)) {
        Some(row) => Err(format!("row {row} is rejected and goes on")),
        None => Ok(()),
    }
}

/// A transform of rows as one of batches.
#[derive(Debug)]
pub struct ByRow<T>(T);

impl<T: RowTransform> BatchTransform for ByRow<T> {
    fn open(config: &Config, plan: &mut Plan) -> Result<Self, String> {
        T::open(config, plan).map(ByRow)
    }

    fn batch(&mut self, batch: &Batch<'_>, out: &mut BatchOut) -> Result<(), String> {
        let rows = batch.rows();
        let mut given = RowOut::new(std::mem::take(&mut out.builders), rows);
        for index in 0..rows {
            given.begin(index);
            match self.0.row(Row { batch, index }, &mut given) {
                Ok(Outcome::Keep) => given.emit(),
                Ok(Outcome::Filter) => given.take_back(),
                Ok(Outcome::Emitted) => given.take_back_unfinished(),
                Err(reject) => {
                    given.take_back();
                    out.reject(index as u32, reject);
                }
            }
        }
        (out.builders, out.sources) = given.finish(rows);
        Ok(())
    }
}
