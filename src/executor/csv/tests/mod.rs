//! Tests of the rooms of CSV together.

pub(super) mod fuzz;
