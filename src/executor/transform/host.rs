//! The engine: one a process.

use std::sync::Arc;

use wasmtime::{
    Config, Engine, StoreContextMut,
    component::{Linker, WasmStr},
    error::Context,
};

use super::{
    PACKAGE, PluginError, VERSION,
    clock::{Clock, Running},
    precompiled,
    session::Guest,
    wit, words,
};

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
    inner: Arc<Inner>,
}

struct Inner {
    meter: Meter,
    engine: Engine,
    linker: Linker<Guest>,
    /// `None` where fuel ends calls.
    clock: Option<Clock>,
}

impl Host {
    /// An engine for this machine.
    ///
    /// # Errors
    /// [`PluginError::Host`].
    pub fn new(meter: Meter) -> Result<Host, PluginError> {
        let failed = |error: wasmtime::Error| PluginError::Host(format!("{error:#}"));
        let mut config = config(meter);
        precompiled::for_this_machine(&mut config).map_err(failed)?;
        let engine = Engine::new(&config).map_err(failed)?;
        let linker = linker(&engine).map_err(failed)?;
        let clock = match meter {
            Meter::Off => Some(Clock::start(&engine).map_err(|error| PluginError::Host(error.to_string()))?),
            Meter::Fuel => None,
        };
        Ok(Host { inner: Arc::new(Inner { meter, engine, linker, clock }) })
    }

    pub(super) fn meter(&self) -> Meter {
        self.inner.meter
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// What plugins may import.
    pub(super) fn linker(&self) -> &Linker<Guest> {
        &self.inner.linker
    }

    /// Lets the clock tick for as long as the answer lives.
    pub(super) fn running(&self) -> Option<Running<'_>> {
        self.inner.clock.as_ref().map(Clock::running)
    }
}

/// The settings that decide what code is made: the same where a plugin is compiled beforehand and where it is loaded.
///
/// Linear memories keep wasmtime's reservation of 4 GiB with a guard behind, which makes bounds checks free.
pub(super) fn config(meter: Meter) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // No plugin is asynchronous, and calls are cheaper without.
        .concurrency_support(false)
        .epoch_interruption(meter == Meter::Off)
        .consume_fuel(meter == Meter::Fuel)
        // The same rows on every processor.
        .relaxed_simd_deterministic(true)
        // Backtraces name functions, which come from the name section; nobody looks at addresses.
        .generate_address_map(false)
        .debug_symbols(false)
        .native_unwind_info(false);
    config
}

/// `lake:transform/log`, and nothing else.
fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    linker.instance(&format!("{PACKAGE}/types@{VERSION}"))?;
    linker.instance(&format!("{PACKAGE}/log@{VERSION}"))?.func_wrap(
        "write",
        |mut store: StoreContextMut<'_, Guest>, (level, message): (wit::Level, WasmStr)| {
            if store.data_mut().words.wants(level) {
                let line = message.to_str(&store).context("a line for the log")?;
                let line = words::beginning(&line).to_owned();
                store.data_mut().words.say(level, &line);
            }
            Ok(())
        },
    )?;
    Ok(linker)
}
