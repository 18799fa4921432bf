//! The WASM host: transforms as components of the world `lake:transform` (`plugins/wit/transform.wit`).
//!
//! [`Host`] is the engine, one a process. [`Plugin`] is a component that is compiled and known to export the contract;
//! it may be shared. [`Instance`] is a plugin at work on one object: opened with the columns that come, then given
//! batch after batch. A plugin has memory, output and time by [`Limits`], may write to the log, and has nothing else: no
//! clock, no randomness, no files, no network, no environment. All that it gives back is looked at before Arrow sees it.
//!
//! Columns cross the border as lists: lake's buffers are copied into the plugin's memory once, and its results out
//! of it once.

mod abi;
mod clock;
mod contract;
mod error;
mod host;
mod instance;
mod limits;
mod plugin;
mod precompiled;
mod rows;
mod session;
mod shape;
mod text;
mod wit;
mod words;

pub use contract::Contract;
pub use error::PluginError;
pub use host::{Host, Meter};
pub use instance::{Instance, RowError, Transformed};
pub use limits::{Deadline, Limits};
pub use plugin::{Description, Plugin};
pub use precompiled::{Architecture, Precompiled};
pub use shape::{COMPONENT_BYTES_MAX, WIT, seems};

/// The package that plugins are built against.
pub const PACKAGE: &str = "lake:transform";
/// The version of it that lake has.
pub const VERSION: &str = "0.1.0";

#[cfg(test)]
pub(crate) mod tests;
