//! What a component was built from: a hash of its sources, kept in a custom section of the component, so that one that
//! lies in a repository is known to be up to date without building it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use wasm_encoder::{ComponentSection, CustomSection, Encode};
use wasmparser::{Parser, Payload};

/// The custom section; it holds the hash, 64 hex digits.
const SECTION: &str = "lake:sources";
/// File that makes a folder a Rust package.
pub(super) const MANIFEST: &str = "Cargo.toml";
/// The versions that a build has used; it comes to be by building, where there is none.
const LOCK: &str = "Cargo.lock";
/// Files of a plugin's folder, besides its manifest and `src`, that decide what is built.
const SETTINGS: &[&str] = &[LOCK, CARGO_CONFIG, "rust-toolchain.toml", "rust-toolchain"];
/// Cargo's settings for a folder and all below it: plugins share those that lie beside them.
const CARGO_CONFIG: &str = ".cargo/config.toml";
/// Folders above a package in which its WIT may lie, as `plugins/wit` does for `plugins/sdk/rust`.
const WIT_LEVELS_MAX: usize = 3;
/// Most packages that a plugin may depend on by path.
const PACKAGES_MAX: usize = 64;

/// The files that decide what is built, by a name that does not depend on where they lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sources {
    files: BTreeMap<String, String>,
}

impl Sources {
    /// Those of the plugin in `folder`: its package, the packages that it depends on by path, and their WIT.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let mut reading = Reading::default();
        reading.package(folder, "plugin")?;
        for name in SETTINGS {
            reading.file(&folder.join(name), format!("plugin/{name}"))?;
        }
        reading.file(&folder.join("..").join(CARGO_CONFIG), format!("plugins/{CARGO_CONFIG}"))?;
        Ok(Sources { files: reading.files })
    }

    /// One hash of them all, 64 hex digits.
    pub(super) fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        for (name, sha256) in &self.files {
            hasher.update(format!("{name}\n{sha256}\n"));
        }
        hex::encode(hasher.finalize())
    }

    /// Whether both are the same but for what a build itself writes.
    pub(super) fn same_but_for_lock(&self, other: &Sources) -> bool {
        let lock = format!("plugin/{LOCK}");
        let without = |files: &BTreeMap<String, String>| {
            let mut files = files.clone();
            files.remove(&lock);
            files
        };
        without(&self.files) == without(&other.files)
    }
}

#[derive(Default)]
struct Reading {
    files: BTreeMap<String, String>,
    seen: BTreeSet<PathBuf>,
}

impl Reading {
    fn package(&mut self, folder: &Path, label: &str) -> io::Result<()> {
        if !self.seen.insert(folder.canonicalize()?) {
            return Ok(());
        }
        if self.seen.len() > PACKAGES_MAX {
            return Err(io::Error::other(format!("more than {PACKAGES_MAX} packages and WIT folders by path")));
        }
        let manifest = folder.join(MANIFEST);
        self.file(&manifest, format!("{label}/{MANIFEST}"))?;
        self.file(&folder.join("build.rs"), format!("{label}/build.rs"))?;
        self.folder(&folder.join("src"), &format!("{label}/src"))?;
        self.wit(folder, label)?;
        let manifest = match fs::read_to_string(&manifest) {
            Ok(text) => text.parse::<toml::Table>().map_err(|error| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", manifest.display()))
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for (name, path) in path_dependencies(&manifest) {
            let dependency = folder.join(path);
            // One that is not there is cargo's to complain about.
            if dependency.is_dir() {
                self.package(&dependency, &format!("dependency {name}"))?;
            }
        }
        Ok(())
    }

    /// The WIT of a package: its own, or that of the nearest folder above.
    fn wit(&mut self, folder: &Path, label: &str) -> io::Result<()> {
        let folder = folder.canonicalize()?;
        let Some(wit) =
            folder.ancestors().take(WIT_LEVELS_MAX + 1).map(|above| above.join("wit")).find(|wit| holds_wit(wit))
        else {
            return Ok(());
        };
        if self.seen.insert(wit.clone()) {
            self.folder(&wit, &format!("{label}/wit"))?;
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path, label: &str) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let label = format!("{label}/{name}");
            // Folders behind links are not entered: they may lead in a circle.
            match entry.file_type()?.is_dir() {
                true => self.folder(&entry.path(), &label)?,
                false if is_leftover(&name) => {}
                false => self.file(&entry.path(), label)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, label: String) -> io::Result<()> {
        match fs::read(path) {
            Ok(bytes) => {
                self.files.insert(label, hex::encode(Sha256::digest(bytes)));
                Ok(())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// What editors and file managers leave beside sources.
fn is_leftover(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || name.ends_with(".orig") || name.ends_with(".rs.bk")
}

fn holds_wit(folder: &Path) -> bool {
    let Ok(mut entries) = fs::read_dir(folder) else { return false };
    entries.any(|entry| entry.is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "wit")))
}

/// Name and path of the packages that a manifest names by path.
fn path_dependencies(manifest: &toml::Table) -> Vec<(String, String)> {
    const TABLES: [&str; 2] = ["dependencies", "build-dependencies"];
    let tables_of = |table: &toml::Table, names: &[&str]| -> Vec<toml::Table> {
        names.iter().filter_map(|name| table.get(*name)?.as_table().cloned()).collect()
    };
    let inner = |name: &str| -> Vec<toml::Table> {
        let table = manifest.get(name).and_then(toml::Value::as_table);
        table.into_iter().flat_map(toml::Table::values).filter_map(|value| value.as_table().cloned()).collect()
    };
    let mut tables = tables_of(manifest, &TABLES);
    tables.extend(inner("target").iter().flat_map(|target| tables_of(target, &TABLES)));
    tables.extend(inner("patch"));
    let path = |(name, value): (&String, &toml::Value)| Some((name.clone(), value.get("path")?.as_str()?.to_owned()));
    tables.iter().flat_map(|table| table.iter().filter_map(path)).collect()
}

/// The component with the hash of its sources.
pub(super) fn mark(mut component: Vec<u8>, hash: &str) -> Vec<u8> {
    let section = CustomSection { name: SECTION.into(), data: hash.as_bytes().into() };
    component.push(ComponentSection::id(&section));
    section.encode(&mut component);
    component
}

/// The hash of the sources that a component was built from, if it has one.
pub(super) fn marked(component: &[u8]) -> Option<String> {
    let (mut depth, mut found) = (0, None);
    for payload in Parser::new(0).parse_all(component) {
        match payload.ok()? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::CustomSection(section) if depth == 1 && section.name() == SECTION => {
                found = std::str::from_utf8(section.data()).ok().map(str::to_owned);
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plugin with an SDK by path and the WIT above both.
    fn plugin(root: &Path) -> PathBuf {
        let folder = root.join("plugins/late");
        for (path, text) in [
            ("plugins/wit/transform.wit", "package a:b;"),
            ("plugins/sdk/rust/Cargo.toml", "[package]\nname = \"sdk\""),
            ("plugins/sdk/rust/src/lib.rs", "// sdk"),
            ("plugins/late/Cargo.toml", "[dependencies]\nsdk = { path = \"../sdk/rust\" }\nserde = \"1\""),
            ("plugins/late/src/lib.rs", "// late"),
            ("plugins/late/src/deep/rows.rs", "// rows"),
            ("plugins/late/tests/a.csv", "a\n1\n"),
        ] {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn every_file_that_decides_what_is_built_changes_the_hash_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        let folder = plugin(root.path());
        let hash = || Sources::of(&folder).unwrap().hash();
        let mut before = hash();
        for path in [
            "plugins/late/src/lib.rs",
            "plugins/late/src/deep/rows.rs",
            "plugins/late/Cargo.lock",
            "plugins/late/.cargo/config.toml",
            "plugins/.cargo/config.toml",
            "plugins/late/build.rs",
            "plugins/sdk/rust/src/lib.rs",
            "plugins/sdk/rust/Cargo.toml",
            "plugins/wit/transform.wit",
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let mut text = fs::read_to_string(&path).unwrap_or_default();
            text.push_str("\n\n");
            fs::write(&path, text).unwrap();
            let after = hash();
            assert_ne!(before, after, "{}", path.display());
            before = after;
        }
        for path in ["plugins/late/tests/a.csv", "plugins/late/late.wasm", "plugins/late/target/x", "plugins/README.md"]
        {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "other").unwrap();
            assert_eq!(before, hash(), "{}", path.display());
        }
    }

    #[test]
    fn the_hash_does_not_depend_on_where_the_folders_lie() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let hash = |root: &Path| Sources::of(&plugin(root)).unwrap().hash();
        assert_eq!(hash(one.path()), hash(two.path()));
    }

    #[test]
    fn packages_that_depend_on_each_other_are_read_once() {
        let root = tempfile::tempdir().unwrap();
        let folder = plugin(root.path());
        fs::write(root.path().join("plugins/sdk/rust/Cargo.toml"), "[dependencies]\nlate = { path = \"../../late\" }")
            .unwrap();
        assert!(Sources::of(&folder).is_ok());
    }

    #[test]
    fn a_lock_that_a_build_writes_is_no_change_of_the_sources() {
        let root = tempfile::tempdir().unwrap();
        let folder = plugin(root.path());
        let before = Sources::of(&folder).unwrap();
        fs::write(folder.join("Cargo.lock"), "version = 4").unwrap();
        let after = Sources::of(&folder).unwrap();
        assert!(before != after && before.same_but_for_lock(&after));
        fs::write(folder.join("src/lib.rs"), "").unwrap();
        assert!(!before.same_but_for_lock(&Sources::of(&folder).unwrap()));
    }

    #[test]
    fn a_component_tells_the_hash_that_it_was_marked_with() {
        let component = wat::parse_str("(component (core module (@custom \"lake:sources\" \"inner\")))").unwrap();
        assert_eq!(marked(&component), None);
        let with = mark(component, "abc");
        assert_eq!(marked(&with).as_deref(), Some("abc"));
        assert!(Parser::is_component(&with));
        assert_eq!(marked(b"no wasm"), None);
    }

    #[test]
    fn dependencies_by_path_are_found_wherever_a_manifest_has_them() {
        let manifest = r#"
            [dependencies]
            a = { path = "../a" }
            b = "1"
            [build-dependencies]
            c = { path = "c", version = "1" }
            [dev-dependencies]
            d = { path = "../d" }
            [target.'cfg(wasm32)'.dependencies]
            e = { path = "../e" }
            [patch.crates-io]
            f = { path = "../f" }
        "#;
        let found = path_dependencies(&manifest.parse().unwrap());
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "c", "e", "f"]);
    }
}
