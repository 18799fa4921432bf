//! Lines for the log of the run.
//!
//! ```
//! use lake_transform::log;
//! log::info(format_args!("{} airports are known", 3));
//! log::warn("no airports are known");
//! ```
//!
//! What is said at level `error` is also told when the transform fails. A panic says its message and place there by
//! itself. In native tests lines go to standard error.

use std::fmt::Display;

/// Says something that helps to find mistakes.
pub fn debug(message: impl Display) {
    write(Level::Debug, &message.to_string());
}

/// Says something good to know.
pub fn info(message: impl Display) {
    write(Level::Info, &message.to_string());
}

/// Says something that may be wrong.
pub fn warn(message: impl Display) {
    write(Level::Warn, &message.to_string());
}

/// Says something that is wrong.
pub fn error(message: impl Display) {
    write(Level::Error, &message.to_string());
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

#[cfg(target_family = "wasm")]
fn write(level: Level, message: &str) {
    crate::abi::write_log(level, message);
}

#[cfg(not(target_family = "wasm"))]
#[expect(clippy::print_stderr, reason = "there is no log of a run")]
fn write(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}

/// From now on a panic leaves its last words in the log: without, a trap would say `unreachable` and no more.
#[cfg(target_family = "wasm")]
pub(crate) fn tell_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            let said = panic.payload();
            let said = said.downcast_ref::<&str>().copied().or(said.downcast_ref::<String>().map(String::as_str));
            let message = said.unwrap_or("no words");
            match panic.location() {
                Some(place) => error(format_args!("panic at {}:{}: {message}", place.file(), place.line())),
                None => error(format_args!("panic: {message}")),
            }
        }));
    });
}
