//! A store with one instance in it, and the calls into it: what each may use, and what becomes of one that fails.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use wasmtime::{
    Store, Trap, UpdateDeadline, WasmBacktrace,
    component::{Instance, InstancePre},
};

use super::{
    Deadline, Host, Limits, Meter, PluginError,
    limits::{Quota, is_too_much},
    text::shown,
    words::Words,
};

/// Functions of a backtrace that an error names.
const FRAMES_MAX: usize = 10;
/// Bytes of a function's name.
const FRAME_BYTES_MAX: usize = 120;
/// Bytes of what wasmtime says of an answer that cannot be read.
const REASON_BYTES_MAX: usize = 500;

/// What a store knows of its instance.
pub(super) struct Guest {
    pub words: Words,
    quota: Quota,
    /// When the call that is under way must be over.
    end: Instant,
}

/// A store, for one plugin.
pub(super) struct Session {
    store: Store<Guest>,
    host: Host,
    plugin: Arc<str>,
    limits: Limits,
    deadline: Deadline,
    fuel: u64,
}

/// The time of a call is up.
#[derive(Debug)]
struct TimeIsUp;

impl fmt::Display for TimeIsUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time of this call is up")
    }
}

impl std::error::Error for TimeIsUp {}

/// The time that a call has.
struct Allowance {
    time: Duration,
    of_one_call: bool,
}

impl Session {
    pub fn new(host: &Host, plugin: &Arc<str>, limits: &Limits, deadline: Deadline) -> Session {
        let guest = Guest { words: Words::new(Arc::clone(plugin)), quota: Quota::new(limits), end: Instant::now() };
        let mut store = Store::new(host.engine(), guest);
        store.limiter(|guest| &mut guest.quota);
        // By default 128 MiB, whatever is meant to come back.
        store.set_hostcall_fuel(usize::try_from(limits.output_bytes).unwrap_or(usize::MAX));
        if host.meter() == Meter::Off {
            store.epoch_deadline_callback(|store| match Instant::now() < store.data().end {
                true => Ok(UpdateDeadline::Continue(1)),
                false => Err(TimeIsUp.into()),
            });
        }
        Session { store, host: host.clone(), plugin: Arc::clone(plugin), limits: *limits, deadline, fuel: 0 }
    }

    /// An instance of the component, in this store.
    pub fn instantiate(&mut self, component: &InstancePre<Guest>) -> Result<Instance, PluginError> {
        let allowance = self.allowance()?;
        self.run(|store| component.instantiate(store)).map_err(|error| self.stillbirth(&error, &allowance))
    }

    /// One call into the plugin, with the limits of one.
    pub fn call<R>(&mut self, call: impl FnOnce(&mut Store<Guest>) -> wasmtime::Result<R>) -> Result<R, PluginError> {
        let allowance = self.allowance()?;
        self.run(call).map_err(|error| self.failure(&error, &allowance))
    }

    fn run<R>(&mut self, call: impl FnOnce(&mut Store<Guest>) -> wasmtime::Result<R>) -> wasmtime::Result<R> {
        let fuel = self.limits.fuel();
        match self.host.meter() {
            Meter::Off => self.store.set_epoch_deadline(1),
            Meter::Fuel => self.store.set_fuel(fuel)?,
        }
        let answer = {
            let _running = self.host.running();
            call(&mut self.store)
        };
        if self.host.meter() == Meter::Fuel {
            self.fuel += fuel.saturating_sub(self.store.get_fuel().unwrap_or_default());
        }
        answer
    }

    /// The time of a call that begins now; an error when there is none left.
    fn allowance(&mut self) -> Result<Allowance, PluginError> {
        let now = Instant::now();
        let left = self.deadline.0.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(now));
        let allowance = Allowance { time: left.min(self.limits.call), of_one_call: self.limits.call <= left };
        if allowance.time.is_zero() {
            return Err(self.timed_out(&allowance));
        }
        let guest = self.store.data_mut();
        guest.words.begin();
        guest.quota.begin();
        // A time that no clock reaches is a year from now.
        guest.end = now.checked_add(allowance.time).unwrap_or(now + Duration::from_secs(365 * 24 * 60 * 60));
        Ok(allowance)
    }

    /// Fuel of all calls so far.
    pub fn fuel(&self) -> u64 {
        self.fuel
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// It answered, and the answer breaks the contract.
    pub fn broke(&self, message: impl Into<String>) -> PluginError {
        PluginError::BrokeContract { plugin: self.plugin.to_string(), rows: None, message: message.into() }
    }

    /// It answered that it failed.
    pub fn failed(&self, said: &str) -> PluginError {
        PluginError::Failed { plugin: self.plugin.to_string(), rows: None, message: said_or_nothing(said) }
    }

    /// It answered that it does not take the dataset.
    pub fn refused(&self, said: &str) -> PluginError {
        PluginError::Refused { plugin: self.plugin.to_string(), message: said_or_nothing(said) }
    }

    fn timed_out(&self, allowance: &Allowance) -> PluginError {
        PluginError::TimedOut {
            plugin: self.plugin.to_string(),
            rows: None,
            seconds: allowance.time.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX),
            of_one_call: allowance.of_one_call,
        }
    }

    /// What an instance that did not come to be says of itself.
    fn stillbirth(&self, error: &wasmtime::Error, allowance: &Allowance) -> PluginError {
        let quota = &self.store.data().quota;
        let message = match (quota.refusal(), reason(error)) {
            // Its own code ran.
            _ if error.is::<TimeIsUp>() || error.is::<Trap>() => return self.failure(error, allowance),
            (Some(refusal), _) => refusal,
            (None, reason) if is_too_much(quota, &reason) => format!("it could not be set up: {reason}"),
            (None, reason) => return PluginError::Host(reason),
        };
        PluginError::Trapped { plugin: self.plugin.to_string(), rows: None, message }
    }

    /// What a call that did not return says of itself.
    fn failure(&self, error: &wasmtime::Error, allowance: &Allowance) -> PluginError {
        if error.is::<TimeIsUp>() {
            return self.timed_out(allowance);
        }
        let guest = self.store.data();
        let stopped = match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => format!("it used more than {} units of fuel in one call", self.limits.fuel()),
            Some(Trap::UnreachableCodeReached) => "it panicked, or reached code that it must not".to_owned(),
            Some(Trap::StackOverflow) => "its stack is exhausted: endless recursion, perhaps".to_owned(),
            Some(trap) => format!("it trapped: {}", trap.to_string().trim_start_matches("wasm trap: ")),
            None if is_output_exhausted(error) => {
                format!("it gave back more than {} MiB in one call", self.limits.output_bytes >> 20)
            }
            None => return self.broke(format!("what it gives cannot be read: {}", reason(error))),
        };
        let mut message = guest.quota.refusal().unwrap_or(stopped);
        if let Some(words) = guest.words.last() {
            message = format!("{message}; its last words: {words}");
        }
        if let Some(places) = error.downcast_ref::<WasmBacktrace>().and_then(places) {
            message = format!("{message}; in {places}");
        }
        PluginError::Trapped { plugin: self.plugin.to_string(), rows: None, message }
    }
}

fn said_or_nothing(said: &str) -> String {
    /// Bytes of what a plugin says of its failure.
    const SAID_BYTES_MAX: usize = 4096;
    match shown(said, SAID_BYTES_MAX) {
        nothing if nothing.is_empty() => "it does not say why".to_owned(),
        said => said,
    }
}

/// Wasmtime has no type for it.
fn is_output_exhausted(error: &wasmtime::Error) -> bool {
    error.chain().any(|cause| cause.to_string().contains("fuel allocated for hostcalls has been exhausted"))
}

/// The error without the backtrace, which is one of its layers.
fn reason(error: &wasmtime::Error) -> String {
    let layers = error.chain().map(ToString::to_string).filter(|layer| !layer.contains("wasm backtrace"));
    shown(&layers.collect::<Vec<_>>().join(": "), REASON_BYTES_MAX)
}

/// A function's name without the hash that Rust's older mangling puts behind it: `rows::parse::h0123456789abcdef`.
fn without_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => name,
    }
}

/// The functions it was in, innermost first. Wasmtime demangles their names where it prints them:
/// `{number}: {module}!{function}`.
fn places(backtrace: &WasmBacktrace) -> Option<String> {
    let text = backtrace.to_string();
    let names = text.lines().skip(1).filter_map(|line| line.split_once('!'));
    let mut names: Vec<String> =
        names.take(FRAMES_MAX).map(|(_, name)| shown(without_hash(name), FRAME_BYTES_MAX)).collect();
    names.dedup();
    (!names.is_empty()).then(|| names.join(" ← "))
}
