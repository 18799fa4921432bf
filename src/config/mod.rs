//! `lake.toml` → [`Config`], read once. Everything a person can get wrong in that file is found here, in one
//! pass, and answered with the line it stands on; the rooms behind take a `Config` as it is.

mod csv;
mod dataset;
mod error;
mod parquet;
mod policy;
mod rules;
mod section;
mod stack;
mod transform;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use sha2::{Digest, Sha256};
use toml::de::DeTable;

pub use error::{Anchor, ConfigError, Place, Problem};
pub use parquet::{ROW_GROUP_BYTES_MAX, ROW_GROUP_BYTES_MIN, TARGET_FILE_BYTES_MAX, TARGET_FILE_BYTES_MIN};
pub use rules::{COLUMN_NAME_MAX, DATASET_NAME_MAX, LAKE_NAME_MAX, PREFIX_BYTES_MAX, STACK_NAME_MAX};
pub use stack::{OnDestroy, Stack, StatePlace, Target};
pub use transform::{
    TRANSFORM_CALL_SECONDS_MAX, TRANSFORM_CALL_SECONDS_MIN, TRANSFORM_MEMORY_MB_MAX, TRANSFORM_MEMORY_MB_MIN, Transform,
};

use self::{
    error::Problems,
    section::{Section, suggestion},
};
use crate::dataset::Dataset;

/// Name of the file that makes a folder a project.
pub const FILE_NAME: &str = "lake.toml";
/// The stack that exists without being written, on the embedded cloud.
pub const DEFAULT_STACK: &str = "local";
/// Region of stacks on the embedded cloud when none is written.
pub const DEFAULT_REGION: &str = "us-east-1";
/// Largest `lake.toml` that is read, in bytes; a thousand datasets with contracts stay far below.
pub const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A project's configuration after defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The project's folder.
    pub root: PathBuf,
    /// What holds for every stack.
    pub lake: Lake,
    /// The stacks by name; [`DEFAULT_STACK`] is always among them.
    pub stacks: BTreeMap<String, Stack>,
    /// The datasets, in file order. What `transform` says of them stands in [`Config::transforms`]: it takes looking
    /// into files to know what the functions get of it.
    pub datasets: Vec<Dataset>,
    /// The transforms, by the names of their datasets.
    pub transforms: BTreeMap<String, Transform>,
    /// Hash of all of the above but the folder, 16 hex digits: a saved plan carries it.
    pub hash: String,
}

/// The section `[lake]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lake {
    /// Beginning of every physical name.
    pub name: String,
    /// Region of the stacks that name none.
    pub region: String,
    /// Who is told of runs and failures, by e-mail.
    pub alerts: Vec<String>,
}

impl Config {
    /// Reads `lake.toml` in `folder`; folders above are not searched.
    ///
    /// # Errors
    /// The file is missing, unreadable or not UTF-8, or anything in it is wrong.
    pub fn load(folder: &Path) -> Result<Config, ConfigError> {
        let path = folder.join(FILE_NAME);
        let shown = path.strip_prefix(".").unwrap_or(&path).display().to_string();
        let bytes = read_bounded(&path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => ConfigError::without_place(
                format!("there is no {FILE_NAME} in {}", folder.display()),
                "make a project with `lake new DIR`, or name its folder with `-C DIR`",
            ),
            _ => ConfigError::without_place(
                format!("cannot read {shown}"),
                format!("a project's {FILE_NAME} is a readable file of at most {FILE_BYTES_MAX} bytes"),
            )
            .with_cause(cause),
        })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
            ConfigError::without_place(format!("{shown}:{line}: this is not UTF-8"), "save the file as UTF-8")
        })?;
        Config::parse(&text, &shown, folder)
    }

    /// Reads the text of a `lake.toml`. `file_name` is how errors call it; paths in it are relative to `root`.
    ///
    /// # Errors
    /// Anything in it is wrong; see [`ConfigError::problems`].
    pub fn parse(text: &str, file_name: &str, root: &Path) -> Result<Config, ConfigError> {
        let mut problems = Problems::new(file_name, text);
        let (table, syntax_errors) = DeTable::parse_recoverable(text);
        if !syntax_errors.is_empty() {
            for error in syntax_errors {
                let span = error.span().unwrap_or(text.len()..text.len());
                let bare_word = text.as_bytes().get(span.start).is_some_and(u8::is_ascii_alphabetic);
                let problem = problems.at(span, error.message(), "here");
                if bare_word && error.message().starts_with("invalid") {
                    problem.help("strings stand in quotes, such as name = \"flights\"");
                }
            }
            return problems.finish(None);
        }
        let config = read(&Section::root(table.get_ref()), root, &mut problems);
        problems.finish(config)
    }

    /// The stack of that name.
    ///
    /// # Errors
    /// There is none; the error lists those there are.
    pub fn stack(&self, name: &str) -> Result<&Stack, ConfigError> {
        self.stacks.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.stacks.keys().map(String::as_str).collect();
            ConfigError::without_place(
                format!("there is no stack `{name}` in {}", self.root.join(FILE_NAME).display()),
                suggestion(name, &names, "stacks"),
            )
        })
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is too large"));
    }
    fs::read(path)
}

fn read(file: &Section<'_>, root: &Path, problems: &mut Problems) -> Option<Config> {
    file.refuse_unknown_keys(&["lake", "stack", "dataset"], &[("lake", LAKE_KEYS)], problems);
    let lake = lake(file, problems);
    let region = lake.as_ref().and_then(|lake| lake.region.clone());
    let stacks = match file.section("stack", problems) {
        Some(section) => stack::stacks(&section, root, region.as_deref(), problems),
        None => BTreeMap::new(),
    };
    let (datasets, transforms) = match file.section("dataset", problems) {
        Some(section) => dataset::datasets(&section, root, problems),
        None => (Vec::new(), BTreeMap::new()),
    };

    let LakeRead { name, region, alerts } = lake?;
    let lake = Lake { name: name?, region: region.unwrap_or_else(|| DEFAULT_REGION.to_owned()), alerts };
    let mut stacks = stacks;
    stacks.entry(DEFAULT_STACK.to_owned()).or_insert_with(|| Stack::embedded(DEFAULT_STACK, &lake.region));
    let hash = hash(&lake, &stacks, &datasets, &transforms, root);
    Some(Config { root: root.to_owned(), lake, stacks, datasets, transforms, hash })
}

const LAKE_KEYS: &[&str] = &["name", "region", "alerts"];

/// `[lake]` as far as it could be read.
struct LakeRead {
    name: Option<String>,
    region: Option<String>,
    alerts: Vec<String>,
}

fn lake(file: &Section<'_>, problems: &mut Problems) -> Option<LakeRead> {
    if !file.has("lake") {
        problems
            .at(0..0, "there is no section [lake]", "it belongs here")
            .help("begin the file with `[lake]`, and `name = \"my-lake\"` below it");
        return None;
    }
    let section = file.section("lake", problems)?;
    section.refuse_unknown_keys(LAKE_KEYS, &[], problems);
    let name = section.required("name", "a short name that every physical name begins with", problems);
    let name = name.and_then(|name| {
        let verdict = rules::lake_name(name.value);
        section.accept("name", name, verdict, problems)
    });
    let region = section.string("region", problems).map(|region| {
        let verdict = rules::region(region.value);
        // A refused region still counts as one, lest every stack on AWS be told that it has none.
        section.accept("region", region, verdict, problems).unwrap_or_default()
    });
    let mut alerts: Vec<String> = Vec::new();
    for address in section.strings("alerts", problems).unwrap_or_default() {
        let verdict = match alerts.iter().any(|earlier| earlier == address.value) {
            true => Err("it is listed twice".to_owned()),
            false => rules::email(address.value),
        };
        alerts.extend(section.accept("alerts", address, verdict, problems));
    }
    Some(LakeRead { name, region, alerts })
}

fn hash(
    lake: &Lake,
    stacks: &BTreeMap<String, Stack>,
    datasets: &[Dataset],
    transforms: &BTreeMap<String, Transform>,
    root: &Path,
) -> String {
    let stacks: Vec<Stack> = stacks.values().map(|stack| stack.relative_to(root)).collect();
    let transforms: Vec<_> = transforms.iter().map(|(name, it)| (name, it.relative_to(root))).collect();
    let json = serde_json::to_vec(&(lake, stacks, datasets, transforms)).expect("a configuration is plain data");
    hex::encode(&Sha256::digest(json)[..8])
}

#[cfg(test)]
mod tests;
