//! In the place of lake's WASM host: `executor::Error` holds a plugin's error, which is all that is taken from there.

#[path = "../../../src/executor/transform/error.rs"]
mod error;

pub use error::PluginError;

/// As lake's; the texts of errors name them.
pub const PACKAGE: &str = "lake:transform";
/// As lake's.
pub const VERSION: &str = "0.1.0";
