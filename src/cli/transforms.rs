//! The transforms of `lake.toml` as they are deployed: made into components, precompiled for the functions, and opened
//! where it is known what columns they will get. What is wrong with one is told at its line.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::{StreamExt, TryStreamExt, stream};
use miette::Diagnostic;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    config::{self, Config, ConfigError, TRANSFORM_MEMORY_MB_MAX},
    dataset::{Architecture, Column, Dataset, Manifest, Transform},
    executor::transform::{Deadline, Host, Limits, Meter, Plugin, PluginError, VERSION},
    files,
    package::plugin::{self, Artifact, BuildError, Component},
    pipeline::ports::Catalog,
    program::{EXECUTOR_MEMORY_MB, FunctionSize},
};

use super::{context::Context, deployed::Deployed, error::CliError, plugin::listed};

// A plugin that lake.toml may have fits into the function beside the executor.
const _: () = assert!(TRANSFORM_MEMORY_MB_MAX + EXECUTOR_MEMORY_MB <= FunctionSize::CONVERT.memory_mb);

/// The datasets with their transforms, and what is uploaded for them.
#[derive(Debug, Default)]
pub struct Resolved {
    /// Every dataset, as the functions read it.
    pub datasets: Vec<Dataset>,
    /// The files to upload, by the SHA-256 of their content.
    pub assets: Vec<(String, PathBuf)>,
    /// What is known of each transform.
    pub known: Vec<Known>,
}

/// A dataset's transform, looked into.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Known {
    /// The dataset.
    pub dataset: String,
    /// What the plugin is called.
    pub plugin: String,
    /// SHA-256 of its component, 64 hex digits.
    pub component: String,
    /// The columns that it gets; `None` as long as nobody knows.
    pub reads: Option<Vec<Column>>,
    /// The columns that the table has then.
    pub columns: Option<Vec<Column>>,
    /// Columns that the table has now and that change their type or go. Without a backfill, what comes is refused.
    pub conflicts: Vec<String>,
}

/// A component and its precompiled form.
struct Made {
    component: Component,
    precompiled: Artifact,
}

/// Looks into the transforms of `config`. `deployed` is the stack as it is, if it is.
///
/// # Errors
/// All that is wrong with any of them, at its line; the catalog cannot be read.
pub async fn resolve(
    context: &Context,
    config: &Config,
    architecture: Architecture,
    deployed: Option<&Deployed>,
) -> Result<Resolved, CliError> {
    let cache = context.state_folder().join("packages").join("transforms");
    let mut resolved = Resolved { datasets: config.datasets.clone(), ..Resolved::default() };
    if config.transforms.is_empty() {
        return Ok(resolved);
    }
    let made = make(config, architecture, &cache).await?;
    for Made { component, precompiled } in made.values().map(AsRef::as_ref) {
        if component.built {
            context.console.note(format!("built the plugin {}", component.name));
        }
        for (sha256, path) in [(&component.sha256, &component.path), (&precompiled.sha256, &precompiled.path)] {
            resolved.assets.push((sha256.clone(), path.clone()));
        }
    }
    let mut asking = Vec::new();
    for dataset in &mut resolved.datasets {
        let Some(written) = config.transforms.get(&dataset.name) else { continue };
        let made = &made[&written.path];
        dataset.transform = Some(described(written, made));
        asking.push((dataset.clone(), written.clone(), Arc::clone(made)));
    }
    let asked: Vec<Asked> = stream::iter(asking)
        .map(async |(dataset, written, made)| ask(dataset, written, made, deployed).await)
        .buffered(context.parallel)
        .try_collect()
        .await?;
    let opened = tokio::task::spawn_blocking(move || open_all(asked, &cache)).await;
    resolved.known = opened.map_err(|_| CliError::failed("BUG: looking into the transforms stopped"))??;
    Ok(resolved)
}

/// What functions get of a transform.
fn described(written: &config::Transform, Made { component, precompiled }: &Made) -> Transform {
    let transform = component.transform(written.config.clone(), written.memory_mb, written.call_seconds);
    Transform { precompiled: Some(precompiled.sha256.clone()), ..transform }
}

/// The datasets as they would be, without looking at any plugin: each is what it is in `deployed`, or stands there under
/// its dataset's name.
pub fn offline(config: &Config, deployed: Option<&Manifest>) -> Vec<Dataset> {
    let mut datasets = config.datasets.clone();
    for dataset in &mut datasets {
        let known = deployed.and_then(|manifest| manifest.dataset(&dataset.name)?.transform.clone());
        let known = known.unwrap_or_else(|| Transform {
            name: dataset.name.clone(),
            component: dataset.name.clone(),
            precompiled: Some(dataset.name.clone()),
            config: BTreeMap::new(),
            memory_mb: 0,
            call_seconds: 0,
        });
        dataset.transform = config.transforms.get(&dataset.name).map(|written| Transform {
            config: written.config.clone(),
            memory_mb: written.memory_mb,
            call_seconds: written.call_seconds,
            ..known
        });
    }
    datasets
}

/// What is made of each plugin, by its path: datasets may share one. They are built and precompiled one after the other,
/// as a toolchain uses all processors by itself.
async fn make(
    config: &Config,
    architecture: Architecture,
    cache: &Path,
) -> Result<BTreeMap<PathBuf, Arc<Made>>, CliError> {
    let (written, cache) = (config.transforms.clone(), cache.to_owned());
    let make = move || {
        let (mut made, mut unusable, mut errors) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for config::Transform { path, place, .. } in written.values() {
            if !made.contains_key(path) && !unusable.contains_key(path) {
                match make_one(path, architecture, &cache) {
                    Ok(one) => drop(made.insert(path.clone(), Arc::new(one))),
                    Err(error) => drop(unusable.insert(path, told(error))),
                }
            }
            if let Some((message, help)) = unusable.get(path) {
                errors.push(place.error(message.clone(), "this transform", help.clone()));
            }
        }
        ConfigError::joined(errors).map_or(Ok(made), Err)
    };
    let made = tokio::task::spawn_blocking(make).await;
    Ok(made.map_err(|_| CliError::failed("BUG: making the transforms stopped"))??)
}

fn make_one(path: &Path, architecture: Architecture, cache: &Path) -> Result<Made, BuildError> {
    let component = plugin::component(path, cache)?;
    let precompiled = plugin::precompiled(&component, architecture, cache)?;
    Ok(Made { component, precompiled })
}

/// An error with its causes, and what to do.
fn told(error: BuildError) -> (String, Option<String>) {
    let help = error.help().map(|help| help.to_string());
    (format!("{:#}", anyhow::Error::new(error)), help)
}

/// What a transform is opened with.
struct Asked {
    dataset: Dataset,
    written: config::Transform,
    made: Arc<Made>,
    reads: Option<Vec<Column>>,
    table: Option<Vec<Column>>,
}

/// Finds out what columns the dataset's transform will get: those of the contract, else those that the table remembers.
async fn ask(
    dataset: Dataset,
    written: config::Transform,
    made: Arc<Made>,
    deployed: Option<&Deployed>,
) -> Result<Asked, CliError> {
    let table = match deployed {
        Some(deployed) => deployed.pipeline()?.table(&dataset).await?,
        None => None,
    };
    let shape = table.map(|table| table.shape);
    let remembered = shape.as_ref().map(|shape| shape.source_columns.as_ref().unwrap_or(&shape.columns).clone());
    let reads = dataset.schema.clone().or(remembered);
    Ok(Asked { reads, table: shape.map(|shape| shape.columns), dataset, written, made })
}

fn open_all(asked: Vec<Asked>, cache: &Path) -> Result<Vec<Known>, CliError> {
    let (mut known, mut errors) = (Vec::new(), Vec::new());
    for Asked { dataset, written, made, reads, table } in asked {
        let Some(transform) = &dataset.transform else { continue };
        let columns = match &reads {
            Some(reads) => match open(transform, &made.component.bytes, reads, cache) {
                Ok(columns) => Some(columns),
                Err(error) => {
                    let help = format!(
                        "this is what the transform of `{}` says about the columns that it would get: {}",
                        dataset.name,
                        listed(reads)
                    );
                    errors.push(written.place.error(error.to_string(), "does not take these columns", Some(help)));
                    continue;
                }
            },
            None => None,
        };
        let conflicts = table.zip(columns.as_ref()).map(|(table, columns)| conflicts(&table, columns));
        known.push(Known {
            dataset: dataset.name.clone(),
            plugin: transform.name.clone(),
            component: transform.component.clone(),
            reads,
            columns,
            conflicts: conflicts.unwrap_or_default(),
        });
    }
    ConfigError::joined(errors).map_or(Ok(known), |error| Err(error.into()))
}

/// What of the table would be otherwise or gone.
fn conflicts(table: &[Column], columns: &[Column]) -> Vec<String> {
    let conflict = |there: &Column| match columns.iter().find(|column| column.name == there.name) {
        Some(column) if column.ty == there.ty => None,
        Some(column) => Some(format!("{} {} → {}", there.name, there.ty, column.ty)),
        None => Some(format!("{} {} goes", there.name, there.ty)),
    };
    table.iter().filter_map(conflict).collect()
}

/// The table's columns, as the plugin answers to `open`. The answer is a matter of what is asked alone, so that it is
/// kept: a plan without changes compiles nothing.
fn open(transform: &Transform, component: &[u8], reads: &[Column], cache: &Path) -> Result<Vec<Column>, PluginError> {
    let Transform { name, component: sha256, config, memory_mb, call_seconds, .. } = transform;
    let question =
        serde_json::to_vec(&(VERSION, env!("CARGO_PKG_VERSION"), sha256, config, memory_mb, call_seconds, reads));
    let kept =
        question.ok().map(|question| cache.join(format!("opened-{}.json", hex::encode(Sha256::digest(question)))));
    if let Some(columns) = kept.as_ref().and_then(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok()) {
        return Ok(columns);
    }
    let host = Host::new(Meter::Off)?;
    let plugin = Plugin::compile(&host, name, component)?;
    let instance = plugin.open(config, reads, &Limits::of(transform), Deadline::NEVER)?;
    let columns = instance.contract().columns.clone();
    if let (Some(path), Ok(json)) = (kept, serde_json::to_vec(&columns)) {
        // It is asked again next time where it cannot be kept.
        if let Err(error) = files::write_durably(&path, &json) {
            tracing::debug!(%error, "a plugin's answer could not be kept");
        }
    }
    Ok(columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::ColumnType;

    fn column(name: &str, ty: ColumnType) -> Column {
        Column { name: name.to_owned(), ty }
    }

    #[test]
    fn columns_that_change_their_type_or_go_are_conflicts_and_new_ones_are_not() {
        let table = [column("a", ColumnType::Int64), column("b", ColumnType::String), column("c", ColumnType::Date)];
        let columns =
            [column("a", ColumnType::Int64), column("b", ColumnType::Timestamp), column("d", ColumnType::Date)];
        assert_eq!(conflicts(&table, &columns), ["b string → timestamp", "c date goes"]);
    }

    #[test]
    fn without_looking_at_a_plugin_a_dataset_is_known_to_have_one() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("plugins/clean")).unwrap();
        let text = "[lake]\nname = \"l\"\n[dataset.a]\nsource = \"a/\"\ntransform = \"plugins/clean\"\n\
            [dataset.b]\nsource = \"b/\"\n";
        let config = Config::parse(text, config::FILE_NAME, folder.path()).unwrap();
        let unknown = offline(&config, None);
        assert_eq!(unknown[0].transform.as_ref().unwrap().component, "a");
        assert_eq!(unknown[1].transform, None);
        let mut applied = config.datasets.clone();
        let transform = Transform { component: "beef".to_owned(), ..unknown[0].transform.clone().unwrap() };
        applied[0].transform = Some(transform.clone());
        assert_eq!(offline(&config, Some(&Manifest::new(applied)))[0].transform, Some(transform));
    }
}
