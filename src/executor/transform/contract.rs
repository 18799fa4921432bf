//! What a plugin has answered to `open`, checked: which columns it reads, and what the table's columns are.

use crate::dataset::Column;

/// What a plugin does with the columns that come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Indexes of the input's columns that batches bring, in the plugin's order.
    pub reads: Vec<usize>,
    /// The table's columns: those that pass by untouched, in the input's order, with replaced ones in their place, then
    /// the new ones.
    pub columns: Vec<Column>,
    /// For each of the table's columns, where it comes from.
    pub(super) origins: Vec<From>,
}

/// Where a column of the table comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// That column of the input, untouched.
    Input(usize),
    /// That column of the plugin's output.
    Output(usize),
}
