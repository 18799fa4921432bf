//! The transform of a conversion: found, built when that is needed, compiled.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    config,
    dataset::{DEFAULT_TRANSFORM_CALL_SECONDS, DEFAULT_TRANSFORM_MEMORY_MB, Transform},
    executor::transform::{Host, Meter, Plugin},
    package,
};

use super::super::error::CliError;

/// A transform as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// A component, a core module, or a plugin's folder.
    pub path: PathBuf,
    /// What `open` is told.
    pub config: BTreeMap<String, String>,
    /// Megabytes of memory that an instance may have.
    pub memory_mb: u32,
    /// Seconds that one call may take.
    pub call_seconds: u32,
}

impl Wanted {
    /// The plugin at `path`, with nothing configured.
    pub fn at(path: PathBuf) -> Self {
        let (memory_mb, call_seconds) = (DEFAULT_TRANSFORM_MEMORY_MB, DEFAULT_TRANSFORM_CALL_SECONDS);
        Wanted { path, config: BTreeMap::new(), memory_mb, call_seconds }
    }

    /// What `lake.toml` says.
    pub fn of(written: &config::Transform) -> Self {
        let config::Transform { path, config, memory_mb, call_seconds, .. } = written.clone();
        Wanted { path, config, memory_mb, call_seconds }
    }

    /// Builds and compiles it; what is made on the way goes into the folder `cache`. Blocks.
    pub fn load(self, cache: &Path) -> Result<Loaded, CliError> {
        let Wanted { path, config, memory_mb, call_seconds } = self;
        if !path.exists() {
            return Err(CliError::usage(format!("there is no plugin at {}", path.display()))
                .hint("--plugin takes a .wasm file or a plugin's folder"));
        }
        let component = package::plugin::component(&path, cache)?;
        let host = Host::new(Meter::Off)?;
        let plugin = Plugin::compile(&host, &component.name, &component.bytes)?;
        let transform = component.transform(config, memory_mb, call_seconds);
        Ok(Loaded { plugin, transform })
    }
}

/// A compiled plugin, and the transform as a dataset has it.
pub(super) struct Loaded {
    pub plugin: Plugin,
    pub transform: Transform,
}

/// `KEY=VALUE`.
pub fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("give it as KEY=VALUE".to_owned()),
    }
}

/// The settings by name, each once.
pub fn settings(list: &[(String, String)]) -> Result<BTreeMap<String, String>, CliError> {
    let mut settings = BTreeMap::new();
    for (key, value) in list {
        if settings.insert(key.clone(), value.clone()).is_some() {
            return Err(CliError::usage(format!("--config {key} is given twice")));
        }
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_a_name_and_a_value_that_may_hold_anything() {
        assert_eq!(setting("late_minutes=30"), Ok(("late_minutes".into(), "30".into())));
        assert_eq!(setting("expression=a=b"), Ok(("expression".into(), "a=b".into())));
        assert_eq!(setting("empty="), Ok(("empty".into(), String::new())));
        assert!(setting("late_minutes").is_err() && setting("=30").is_err());
        let twice = [("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        assert_eq!(settings(&twice).unwrap_err().exit_code(), super::super::super::EXIT_USAGE);
        assert_eq!(settings(&twice[..1]).unwrap()["a"], "1");
    }
}
