//! Resources as values: where they are ([`Address`]), what they take ([`Input`]), how they behave ([`Schema`]).
//! No IO, no async, no clock.
//!
//! A resource takes these forms on its way: **declared** (by the program) → **prior** (state, refreshed) →
//! **planned** (what apply is to do) → **recorded** (in state after the call).

mod address;
pub mod aws;
mod declared;
mod input;
mod name;
mod packed;
mod schema;

pub use address::{Address, ParseAddressError};
pub use declared::{Declared, Handle, Program, ProgramError, Resource};
pub use input::{Input, Part, Reference, concat, is_unknown, references, resolve, resolve_all};
pub use name::{name_prefix, physical_name};
pub use packed::Packed;
pub use schema::{Naming, Ownership, Schema, Schemas};

/// A resource's inputs or outputs: a JSON object, by field name.
pub type Fields = serde_json::Map<String, serde_json::Value>;
