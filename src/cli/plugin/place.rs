//! Where plugins lie, and where what is made of them is kept.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    config::FILE_NAME,
    executor::transform::{Host, Meter, Plugin},
    package::plugin::{self, Component},
};

use super::super::{context::Context, error::CliError};

/// Folder of a project in which plugins lie.
pub const PLUGINS: &str = "plugins";
/// Folders in it that are no plugins.
pub const NO_PLUGINS: &[&str] = &["sdk", "wit"];

/// The plugin that the user means: a file or a folder as it is named, else one of the project's; without a name the
/// folder that the user is in, else the project's only one.
pub fn plugin(context: &Context, named: Option<&Path>) -> Result<PathBuf, CliError> {
    let folder = context.folder();
    let known = folders(&within(folder, Path::new(PLUGINS)));
    if let Some(named) = named {
        let places = [within(folder, named), within(folder, &Path::new(PLUGINS).join(named))];
        let found = places.into_iter().find(|path| path.exists());
        return found
            .ok_or_else(|| CliError::usage(format!("there is no plugin {}", named.display())).hint(these(&known)));
    }
    if !folder.join(FILE_NAME).exists() && is_plugin(folder) {
        return Ok(folder.to_owned());
    }
    match known.as_slice() {
        [only] => Ok(only.clone()),
        _ => Err(CliError::usage("which plugin?").hint(these(&known))),
    }
}

/// A path in the folder that the user works in, as the user would write it.
pub fn within(folder: &Path, path: &Path) -> PathBuf {
    match folder == Path::new(".") {
        true => path.to_owned(),
        false => folder.join(path),
    }
}

fn these(known: &[PathBuf]) -> String {
    let names: Vec<_> = known.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    match names.is_empty() {
        true => "name its folder or its .wasm file; `lake plugin new NAME` begins one".to_owned(),
        false => format!("the plugins here are: {}", names.join(", ")),
    }
}

/// The plugins in a folder of plugins, by name.
fn folders(plugins: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(plugins) else { return Vec::new() };
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        NO_PLUGINS.iter().all(|other| name != *other) && is_plugin(path)
    };
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_one).collect();
    folders.sort();
    folders
}

/// A Rust package, or a folder with a component of its name.
fn is_plugin(folder: &Path) -> bool {
    folder.join("Cargo.toml").is_file() || plugin::component_file(folder).is_file()
}

/// Where what is made of plugins is kept: the project's folder for it, else one that goes with the command.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Removed when the command ends.
    _passing: Option<TempDir>,
}

impl Cache {
    /// The cache of the project that the user is in.
    pub fn of(context: &Context) -> Result<Cache, CliError> {
        if context.folder().join(FILE_NAME).is_file() {
            let folder = context.state_folder().join("packages").join("transforms");
            return Ok(Cache { folder, _passing: None });
        }
        let passing = tempfile::tempdir()?;
        Ok(Cache { folder: passing.path().to_owned(), _passing: Some(passing) })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The component of a plugin, built when that is needed; and says so.
pub fn component(context: &Context, path: &Path, cache: &Cache) -> Result<Component, CliError> {
    let component = plugin::component(path, cache.folder())?;
    if component.built {
        context.console.note(format!("built {}, whose sources had changed", component.path.display()));
    }
    Ok(component)
}

/// The component, compiled for this machine.
pub fn compiled(component: &Component, meter: Meter) -> Result<Plugin, CliError> {
    Ok(Plugin::compile(&Host::new(meter)?, &component.name, &component.bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plugins_are_packages_and_folders_with_their_component() {
        let root = tempfile::tempdir().unwrap();
        for path in ["rusty/Cargo.toml", "zig/zig.wasm", "sdk/rust/Cargo.toml", "wit/transform.wit", "other/x.wasm"] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        assert_eq!(folders(root.path()), [root.path().join("rusty"), root.path().join("zig")]);
        assert_eq!(these(&folders(root.path())), "the plugins here are: rusty, zig");
        assert!(folders(&root.path().join("none")).is_empty());
    }
}
