//! `[dataset.X] transform`: what the rows of a dataset go through.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    error::{Anchor, Problems},
    section::{Field, Section, nearest},
};
use crate::dataset::{DEFAULT_TRANSFORM_CALL_SECONDS, DEFAULT_TRANSFORM_MEMORY_MB};

/// Least memory of a plugin, megabytes: a batch of columns must fit in twice, as it comes and as it goes.
pub const TRANSFORM_MEMORY_MB_MIN: u32 = 16;
/// Most memory of a plugin, megabytes: the executor beside it has to fit into the function, too.
pub const TRANSFORM_MEMORY_MB_MAX: u32 = 1024;
/// Shortest time for one call of a plugin, seconds.
pub const TRANSFORM_CALL_SECONDS_MIN: u32 = 1;
/// Longest time for one call of a plugin, seconds: an invocation has 900, and must put things away after it.
pub const TRANSFORM_CALL_SECONDS_MAX: u32 = 600;

/// Folder of a project in which plugins usually are.
const PLUGINS_FOLDER: &str = "plugins";
/// What a plugin's file ends with.
const WASM: &str = "wasm";

pub(super) const KEY: &str = "transform";
pub(super) const KEYS: &[&str] = &["path", "config", "memory_mb", "timeout_seconds"];

/// A dataset's transform as it is written: not looked into yet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Transform {
    /// The plugin's folder or file. It exists.
    pub path: PathBuf,
    /// What the plugin is told when it is opened.
    pub config: BTreeMap<String, String>,
    /// Megabytes of memory that an instance may have.
    pub memory_mb: u32,
    /// Seconds that one call may take.
    pub call_seconds: u32,
    /// Where the path is written, for whoever finds something wrong with what lies there.
    #[serde(skip)]
    pub place: Anchor,
}

impl Transform {
    /// The same with its path as it is written, so that a project's hash survives its being moved.
    pub(super) fn relative_to(&self, root: &Path) -> Self {
        let path = self.path.strip_prefix(root).unwrap_or(&self.path).to_owned();
        Transform { path, ..self.clone() }
    }
}

/// The transform of the dataset that `section` describes, if it has one.
pub(super) fn transform(section: &Section<'_>, root: &Path, problems: &mut Problems) -> Option<Transform> {
    if !section.has(KEY) {
        return None;
    }
    if section.is_string(KEY) {
        let path = section.string(KEY, problems)?;
        let place = problems.anchor(path.span.clone());
        return Some(Transform {
            path: existing(section, KEY, path, root, problems)?,
            config: BTreeMap::new(),
            memory_mb: DEFAULT_TRANSFORM_MEMORY_MB,
            call_seconds: DEFAULT_TRANSFORM_CALL_SECONDS,
            place,
        });
    }
    let section = section.section(KEY, problems)?;
    section.refuse_unknown_keys(KEYS, &[], problems);
    let config = section.section("config", problems).map(|section| section.scalars(problems)).unwrap_or_default();
    let memory_range = (TRANSFORM_MEMORY_MB_MIN, TRANSFORM_MEMORY_MB_MAX, DEFAULT_TRANSFORM_MEMORY_MB);
    let memory_mb = in_range(&section, "memory_mb", memory_range, problems);
    let seconds_range = (TRANSFORM_CALL_SECONDS_MIN, TRANSFORM_CALL_SECONDS_MAX, DEFAULT_TRANSFORM_CALL_SECONDS);
    let call_seconds = in_range(&section, "timeout_seconds", seconds_range, problems);
    let path =
        section.required("path", "the plugin's folder, or its .wasm file, such as \"plugins/clean\"", problems)?;
    let place = problems.anchor(path.span.clone());
    Some(Transform { path: existing(&section, "path", path, root, problems)?, config, memory_mb, call_seconds, place })
}

/// The integer `key` between least and most; the default when it is not written or refused.
fn in_range(section: &Section<'_>, key: &str, (least, most, default): (u32, u32, u32), problems: &mut Problems) -> u32 {
    let Some(field) = section.integer(key, problems) else { return default };
    match u32::try_from(field.value).ok().filter(|value| (least..=most).contains(value)) {
        Some(value) => value,
        None => {
            problems
                .at(field.span, format!("`{}.{key}` is out of range", section.path), "out of range")
                .help(format!("from {least} to {most}; the default is {default}"));
            default
        }
    }
}

/// The folder or file at `path`, below the project.
fn existing(
    section: &Section<'_>,
    key: &str,
    path: Field<&str>,
    root: &Path,
    problems: &mut Problems,
) -> Option<PathBuf> {
    let full = root.join(path.value);
    let verdict = match fs::metadata(&full) {
        _ if path.value.trim().is_empty() => Err("it is empty".to_owned()),
        Ok(found) if found.is_file() || found.is_dir() => Ok(()),
        Ok(_) => Err("it is neither a folder nor a file".to_owned()),
        Err(error) => {
            let plugins = plugins_beside(path.value, root);
            let names: Vec<&str> = plugins.iter().map(String::as_str).collect();
            Err(match nearest(path.value, &names) {
                Some(near) => format!("there is no such folder or file; did you mean `{near}`?"),
                None => format!("{}: {error}", full.display()),
            })
        }
    };
    section.accept(key, path, verdict, problems).map(|_| full)
}

/// What could have been meant by `path`: folders and WASM files beside it and among the project's plugins, as they
/// would be written.
fn plugins_beside(path: &str, root: &Path) -> Vec<String> {
    let beside = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    for folder in [beside, Path::new(PLUGINS_FOLDER)] {
        let Ok(entries) = fs::read_dir(root.join(folder)) else { continue };
        let paths = entries.flatten().map(|entry| entry.path());
        let plugins = paths.filter(|path| path.is_dir() || path.extension().is_some_and(|ending| ending == WASM));
        let written = plugins.filter_map(|path| folder.join(path.file_name()?).to_str().map(str::to_owned));
        found.extend(written);
    }
    found.sort();
    found.dedup();
    found
}
