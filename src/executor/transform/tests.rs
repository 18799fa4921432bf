//! Tests of the host: plugins in WebAssembly text, friendly and hostile.

mod believed;
mod friendly;
pub(crate) mod guests;
mod hostile;
mod precompiled;
mod round_trip;
mod shape;
mod words;

use std::{collections::BTreeMap, sync::LazyLock};

use arrow::array::RecordBatch;

use super::{
    Architecture, Deadline, Host, Instance, Limits, Meter, Plugin, PluginError, Precompiled, RowError, Transformed,
};
use crate::dataset::{Column, ColumnType};

static HOST: LazyLock<Host> = LazyLock::new(|| Host::new(Meter::Off).unwrap());

fn column(name: &str, ty: ColumnType) -> Column {
    Column { name: name.into(), ty }
}

fn compile(component: &[u8]) -> Plugin {
    Plugin::compile(&HOST, "clean", component).unwrap()
}

fn open(component: &[u8], input: &[Column]) -> Result<Instance, PluginError> {
    compile(component).open(&BTreeMap::new(), input, &Limits::default(), Deadline::NEVER)
}

/// One batch through a plugin.
fn transform(component: &[u8], input: &[Column], batch: &RecordBatch) -> Result<Transformed, PluginError> {
    open(component, input)?.transform(batch)
}
