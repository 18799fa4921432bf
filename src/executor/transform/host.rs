//! The engine: one a process.

use super::PluginError;

/// What is measured of a plugin besides time. It is compiled in: code that counts is slower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meter {
    /// Nothing; calls end by epochs.
    Off,
    /// Fuel, about one unit an instruction: the same on every machine and in every run. For tests and benchmarks.
    Fuel,
}

/// A wasmtime engine with lake's settings, and the clock that ends calls. Clones are the same engine.
#[derive(Clone)]
pub struct Host {
    pub(super) meter: Meter,
}

impl Host {
    /// An engine for this machine.
    ///
    /// # Errors
    /// [`PluginError::Host`].
    pub fn new(meter: Meter) -> Result<Host, PluginError> {
        Ok(Host { meter })
    }
}
