//! The cases of a plugin: a CSV file each, with how the plugin is configured for it and what must come out.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    dataset::{Column, CsvOptions, DEFAULT_TRANSFORM_CALL_SECONDS, DEFAULT_TRANSFORM_MEMORY_MB, Dataset, Transform},
    executor::{
        self, Conversion, Error, Input, Origin, Progress, Through,
        local::{FileSink, FileSource, FinishedFile},
        transform::{Deadline, Limits, Plugin, PluginError},
    },
    package::plugin::Component,
};

use super::{
    super::{error::CliError, rows},
    columns,
    snapshot::{Converted, Outcome},
};

/// Folder of a plugin in which its cases lie.
const FOLDER: &str = "tests";
/// Most rows of a case that may be kept or rejected: a person is to read them.
const ROWS_MAX: usize = 10_000;

/// A case: `tests/NAME.csv`, perhaps with `tests/NAME.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What it is called.
    pub name: String,
    /// What goes in.
    pub csv: PathBuf,
    /// What must come out.
    pub expected: PathBuf,
}

/// What `tests/NAME.toml` may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// What `open` is told.
    #[serde(default)]
    config: BTreeMap<String, toml::Value>,
    /// The columns, as `id:int64,name:string`; found out where it is not given.
    schema: Option<String>,
    memory_mb: Option<u32>,
    timeout_seconds: Option<u32>,
}

impl Case {
    /// The cases of the plugin in `folder`, by name.
    pub fn all(folder: &Path) -> io::Result<Vec<Case>> {
        let folder = folder.join(FOLDER);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut cases = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".csv")) else { continue };
            let expected = folder.join(format!("{name}.expected.txt"));
            cases.push(Case { name: name.to_owned(), csv: path.clone(), expected });
        }
        cases.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(cases)
    }

    /// Runs the case through the executor, as a function of the lake would.
    pub fn run(&self, component: &Component, plugin: &Plugin) -> Result<Outcome, CliError> {
        let settings = self.settings()?;
        let mut dataset = Dataset::new(&self.name, "data/");
        let columns = match &settings.schema {
            Some(schema) => columns::parse(schema).map_err(|error| self.wrong(error))?,
            None => columns::found(&self.csv, &CsvOptions::default())?,
        };
        let transform = self.transform(component, settings)?;
        let table = match open(plugin, &transform, &columns) {
            Ok(table) => table,
            Err(error) => return Ok(Outcome::Failed(error.to_string())),
        };
        dataset.transform = Some(transform);
        self.convert(&dataset, plugin, &columns, table)
    }

    fn convert(
        &self,
        dataset: &Dataset,
        plugin: &Plugin,
        columns: &[Column],
        table: Vec<Column>,
    ) -> Result<Outcome, CliError> {
        let folder = tempfile::tempdir()?;
        let (data, rejects) = (folder.path().join("kept.parquet"), folder.path().join("rejects.parquet"));
        let source = FileSource::new(&self.csv);
        let origin = Origin { uri: self.name.clone(), etag: None };
        let input = Input { source: &source, origin, dialect: None };
        let through = Some(Through { plugin, deadline: Deadline::NEVER });
        let conversion = Conversion::of(dataset, columns, through);
        let mut sink = FileSink::new(&data, &rejects);
        let converted = match executor::convert(&[input], &conversion, &mut sink, &Progress::new()) {
            Ok(converted) => converted,
            Err(Error::Plugin { source, .. }) => return Ok(Outcome::Failed(source.to_string())),
            Err(error) => return Err(error.into()),
        };
        let read = |output: Option<FinishedFile>| -> Result<_, CliError> {
            let Some(output) = output else { return Ok(Vec::new()) };
            let (batches, rows) = rows::first_rows(fs::File::open(output.commit()?)?, ROWS_MAX)?;
            match rows > ROWS_MAX as u64 {
                true => Err(CliError::failed(format!("case {} has {rows} rows; {ROWS_MAX} at most", self.name))
                    .hint("a case is for people to read; `lake plugin bench` takes large files")),
                false => Ok(batches),
            }
        };
        let kept = converted.data.into_iter().next().map(|file| file.output);
        let (kept, rejects) = (read(kept)?, read(converted.rejects)?);
        Ok(Outcome::Converted(Box::new(Converted { report: converted.report, table, kept, rejects })))
    }

    fn transform(&self, component: &Component, settings: Settings) -> Result<Transform, CliError> {
        let mut config = BTreeMap::new();
        for (name, value) in settings.config {
            let text = text(&value)
                .ok_or_else(|| self.wrong(format!("config.{name} must be a string, a number or a boolean")))?;
            config.insert(name, text);
        }
        let memory_mb = settings.memory_mb.unwrap_or(DEFAULT_TRANSFORM_MEMORY_MB);
        let call_seconds = settings.timeout_seconds.unwrap_or(DEFAULT_TRANSFORM_CALL_SECONDS);
        Ok(component.transform(config, memory_mb, call_seconds))
    }

    fn settings(&self) -> Result<Settings, CliError> {
        match fs::read_to_string(self.settings_file()) {
            Ok(text) => toml::from_str(&text).map_err(|error| self.wrong(error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Settings::default()),
            Err(error) => Err(error.into()),
        }
    }

    fn settings_file(&self) -> PathBuf {
        self.csv.with_file_name(format!("{}.toml", self.name))
    }

    fn wrong(&self, what: impl std::fmt::Display) -> CliError {
        CliError::failed(format!("{}: {what}", self.settings_file().display()))
            .hint("it may have [config], schema = \"id:int64,name:string\", memory_mb and timeout_seconds")
    }
}

/// The table's columns.
fn open(plugin: &Plugin, transform: &Transform, columns: &[Column]) -> Result<Vec<Column>, PluginError> {
    let instance = plugin.open(&transform.config, columns, &Limits::of(transform), Deadline::NEVER)?;
    Ok(instance.contract().columns.clone())
}

/// A value as plugins are told it.
fn text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_csv_is_a_case_with_its_settings_and_expectation_beside_it() {
        let plugin = tempfile::tempdir().unwrap();
        let tests = plugin.path().join(FOLDER);
        assert!(Case::all(plugin.path()).unwrap().is_empty());
        fs::create_dir(&tests).unwrap();
        for name in ["b.csv", "a.csv", "a.toml", "a.expected.txt", "rows.rs"] {
            fs::write(tests.join(name), "").unwrap();
        }
        let cases = Case::all(plugin.path()).unwrap();
        assert_eq!(cases.iter().map(|case| case.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(
            (&cases[0].expected, cases[0].settings_file()),
            (&tests.join("a.expected.txt"), tests.join("a.toml"))
        );
    }

    #[test]
    fn settings_are_told_to_plugins_as_text_and_wrong_ones_name_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let case = Case {
            name: "a".to_owned(),
            csv: folder.path().join("a.csv"),
            expected: folder.path().join("a.expected.txt"),
        };
        let component = Component {
            name: "p".to_owned(),
            path: "p.wasm".into(),
            bytes: Vec::new(),
            sha256: "0".repeat(64),
            built: false,
        };
        fs::write(case.settings_file(), "memory_mb = 8\n[config]\na = \"x\"\nb = 30\nc = 1.5\nd = true\n").unwrap();
        let transform = case.transform(&component, case.settings().unwrap()).unwrap();
        assert_eq!(transform.config.values().collect::<Vec<_>>(), ["x", "30", "1.5", "true"]);
        assert_eq!((transform.memory_mb, transform.call_seconds), (8, DEFAULT_TRANSFORM_CALL_SECONDS));
        fs::write(case.settings_file(), "late = 1").unwrap();
        let error = case.settings().unwrap_err().to_string();
        assert!(error.contains("a.toml") && error.contains("late"), "{error}");
    }
}
