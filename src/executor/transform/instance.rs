//! A plugin at work on one object.

use std::{borrow::Cow, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array},
    compute::{concat_batches, take},
    datatypes::SchemaRef,
    error::ArrowError,
};
use wasmtime::component::Func;

use super::{Contract, PluginError, abi, contract::Origin, rows, session::Session, wit};
use crate::{dataset::Column, executor::parquet};

/// Rows that a plugin is given at once. Batches of the decoder have no more; larger ones are cut. A multiple of eight,
/// so that the bits of a piece begin with a byte.
const CALL_ROWS_MAX: usize = 8192;

/// A row that the plugin has set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// Its place in the batch.
    pub row: u32,
    /// Stable code: lower-case letters, digits and `_`.
    pub code: String,
    /// The column at fault.
    pub column: Option<String>,
    /// Why, for a person.
    pub message: String,
}

/// What became of a batch. Conservation holds: every row of it is kept, filtered or rejected, and counted once.
#[derive(Debug, Clone)]
pub struct Transformed {
    /// The rows to write, with the columns of [`Contract::columns`]; `None` without a row.
    pub batch: Option<RecordBatch>,
    /// Distinct rows of the input that are in it.
    pub kept: u64,
    /// Rows that were left out without an error.
    pub filtered: u64,
    /// Rows that were set aside, by row, each once.
    pub errors: Vec<RowError>,
}

/// An opened plugin. After an error it must not be used again.
pub struct Instance {
    session: Session,
    transform: Func,
    contract: Contract,
    input: SchemaRef,
    table: SchemaRef,
    /// It failed, or is in the middle of a call.
    poisoned: bool,
}

impl Instance {
    pub(super) fn new(session: Session, transform: Func, contract: Contract, input: &[Column]) -> Instance {
        let table = parquet::schema(&contract.columns);
        Instance { session, transform, contract, input: parquet::schema(input), table, poisoned: false }
    }

    /// What it does with the columns.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Gives it a batch of the columns it was opened with.
    ///
    /// # Errors
    /// [`PluginError::Failed`], [`PluginError::BrokeContract`], [`PluginError::Trapped`], [`PluginError::TimedOut`]:
    /// the instance is poisoned.
    pub fn transform(&mut self, batch: &RecordBatch) -> Result<Transformed, PluginError> {
        if self.poisoned {
            return Err(PluginError::Host("an instance that has failed was used again".to_owned()));
        }
        self.check(batch)?;
        self.poisoned = true;
        let transformed = self.pieces(batch)?;
        self.poisoned = false;
        Ok(transformed)
    }

    /// Fuel used so far; 0 without [`super::Meter::Fuel`].
    pub fn fuel(&self) -> u64 {
        self.session.fuel()
    }

    /// The batch has the columns that the plugin was opened with: a fault of lake's own, if not.
    fn check(&self, batch: &RecordBatch) -> Result<(), PluginError> {
        let types = batch.columns().iter().map(Array::data_type);
        if types.eq(self.input.fields().iter().map(|field| field.data_type())) {
            return Ok(());
        }
        Err(PluginError::Host(format!(
            "the batch is {:?}; the plugin was opened with {:?}",
            batch.schema(),
            self.input
        )))
    }

    fn pieces(&mut self, batch: &RecordBatch) -> Result<Transformed, PluginError> {
        let rows = batch.num_rows();
        if (1..=CALL_ROWS_MAX).contains(&rows) {
            return self.piece(batch);
        }
        let mut whole = Transformed { batch: None, kept: 0, filtered: 0, errors: Vec::new() };
        let mut batches = Vec::with_capacity(rows.div_ceil(CALL_ROWS_MAX));
        for first in (0..rows).step_by(CALL_ROWS_MAX) {
            let piece = self.piece(&batch.slice(first, CALL_ROWS_MAX.min(rows - first)))?;
            whole.kept += piece.kept;
            whole.filtered += piece.filtered;
            let first = u32::try_from(first).map_err(|error| PluginError::Host(error.to_string()))?;
            whole.errors.extend(piece.errors.into_iter().map(|error| RowError { row: first + error.row, ..error }));
            batches.extend(piece.batch);
        }
        if !batches.is_empty() {
            whole.batch = Some(concat_batches(&self.table, &batches).map_err(|error| self.unfit(&error))?);
        }
        Ok(whole)
    }

    /// One call.
    fn piece(&mut self, batch: &RecordBatch) -> Result<Transformed, PluginError> {
        let rows = batch.num_rows();
        let output = self.call(batch)?;
        let given = output.batch.rows as usize;
        let fate = rows::settle(rows, given, output.source_rows, output.errors).map_err(|m| self.session.broke(m))?;
        let wanted = self.contract.output.len();
        if output.batch.columns.len() != wanted {
            let found = output.batch.columns.len();
            return Err(self.session.broke(format!("it gives back {found} columns, not {wanted}")));
        }
        let lifted = self.contract.output.iter().zip(output.batch.columns);
        let lifted = lifted.map(|(column, found)| abi::lift(column, found, given)).collect::<Result<Vec<_>, _>>();
        let lifted = lifted.map_err(|message| self.session.broke(message))?;
        let batch = match given {
            0 => None,
            given => Some(self.table(batch, lifted, fate.source_rows, given)?),
        };
        Ok(Transformed { batch, kept: fate.kept, filtered: fate.filtered, errors: fate.errors })
    }

    fn call(&mut self, batch: &RecordBatch) -> Result<wit::Output, PluginError> {
        let rows = u32::try_from(batch.num_rows()).map_err(|error| PluginError::Host(error.to_string()))?;
        let read: Vec<Cow<'_, ArrayRef>> =
            self.contract.reads.iter().map(|index| abi::aligned(batch.column(*index))).collect();
        let columns = read.iter().map(|array| abi::lower(array)).collect::<Option<Vec<_>>>();
        let columns = columns.ok_or_else(|| PluginError::Host("a column has a type of its own".to_owned()))?;
        let transform = self.transform;
        let (answer,) = self.session.call(|store| {
            let transform = transform.typed::<wit::TransformIn<'_>, wit::TransformOut>(&*store)?;
            transform.call(store, (wit::BatchIn { rows, columns },))
        })?;
        answer.map_err(|said| self.session.failed(&said))
    }

    /// The table's columns: those that the plugin gave back, and the untouched ones of the rows that stay.
    fn table(
        &self,
        batch: &RecordBatch,
        lifted: Vec<ArrayRef>,
        source_rows: Option<Vec<u32>>,
        given: usize,
    ) -> Result<RecordBatch, PluginError> {
        let source_rows = source_rows.map(UInt32Array::from);
        if let Some(rows) = source_rows.as_ref().filter(|rows| rows.len() > batch.num_rows()) {
            self.check_size(batch, rows)?;
        }
        let columns = self.contract.origins.iter().map(|origin| match (origin, &source_rows) {
            (Origin::Output(place), _) => Ok(Arc::clone(&lifted[*place])),
            (Origin::Input(index), None) => Ok(Arc::clone(batch.column(*index))),
            (Origin::Input(index), Some(rows)) => take(batch.column(*index), rows, None),
        });
        let table = columns.collect::<Result<Vec<_>, _>>().and_then(|columns| {
            let options = RecordBatchOptions::new().with_row_count(Some(given));
            RecordBatch::try_new_with_options(Arc::clone(&self.table), columns, &options)
        });
        table.map_err(|error| self.unfit(&error))
    }

    /// Where one row becomes many, its untouched columns do as well: that is output, too.
    fn check_size(&self, batch: &RecordBatch, source_rows: &UInt32Array) -> Result<(), PluginError> {
        let untouched = self.contract.origins.iter().filter_map(|origin| match origin {
            Origin::Input(index) => Some(batch.column(*index)),
            Origin::Output(_) => None,
        });
        let bytes = untouched.fold(0, |bytes, array| bytes + bytes_of(array, source_rows));
        let limit = self.session.limits().output_bytes;
        if bytes > limit {
            return Err(self.session.broke(format!(
                "{} rows become {}, whose untouched columns have {} MiB; one call may give back {} MiB",
                batch.num_rows(),
                source_rows.len(),
                bytes >> 20,
                limit >> 20
            )));
        }
        Ok(())
    }

    fn unfit(&self, error: &ArrowError) -> PluginError {
        self.session.broke(format!("what it gives back makes no batch: {error}"))
    }
}

/// Bytes of these rows of a column, about.
fn bytes_of(array: &ArrayRef, rows: &UInt32Array) -> u64 {
    match array.as_string_opt::<i32>() {
        Some(text) => rows.values().iter().map(|row| text.value_length(*row as usize) as u64 + 4).sum(),
        None => rows.len() as u64 * array.data_type().primitive_width().unwrap_or(1) as u64,
    }
}
