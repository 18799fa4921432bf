//! Tests of the rooms of CSV together.

mod fuzz;
