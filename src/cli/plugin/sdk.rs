//! The contract and the SDK that plugins are built with, as they lie in this lake's own repository: a project gets a
//! copy, so that building a plugin needs no checkout of lake.

/// Files by their path in a folder of plugins.
macro_rules! embedded {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../plugins/", $path)))),*]
    };
}

/// The contract.
pub const WIT: &[(&str, &str)] = embedded!["wit/transform.wit"];

/// The SDK for Rust.
pub const RUST: &[(&str, &str)] = embedded![
    "sdk/rust/.gitignore",
    "sdk/rust/Cargo.lock",
    "sdk/rust/Cargo.toml",
    "sdk/rust/README.md",
    "sdk/rust/src/abi.rs",
    "sdk/rust/src/batch.rs",
    "sdk/rust/src/builder.rs",
    "sdk/rust/src/column.rs",
    "sdk/rust/src/config.rs",
    "sdk/rust/src/handle.rs",
    "sdk/rust/src/lib.rs",
    "sdk/rust/src/log.rs",
    "sdk/rust/src/opened.rs",
    "sdk/rust/src/plan.rs",
    "sdk/rust/src/row.rs",
    "sdk/rust/src/testing.rs",
    "sdk/rust/src/tests/columns.rs",
    "sdk/rust/src/tests/mod.rs",
    "sdk/rust/src/tests/rows.rs",
    "sdk/rust/src/tests/whole_batches.rs",
    "sdk/rust/src/types.rs",
    "sdk/rust/src/value.rs",
    "sdk/rust/src/view.rs",
];

/// What all plugins of a folder are built with.
pub const CARGO: &[(&str, &str)] = embedded![".cargo/config.toml"];

/// The transform of the sample project, without its component ([`CLEAN_FLIGHTS_COMPONENT`]).
pub const CLEAN_FLIGHTS: &[(&str, &str)] = embedded![
    "clean-flights/.gitignore",
    "clean-flights/Cargo.lock",
    "clean-flights/Cargo.toml",
    "clean-flights/README.md",
    "clean-flights/src/lib.rs",
    "clean-flights/src/rules.rs",
    "clean-flights/src/tests.rs",
    "clean-flights/tests/cancelled-kept.csv",
    "clean-flights/tests/cancelled-kept.expected.txt",
    "clean-flights/tests/cancelled-kept.toml",
    "clean-flights/tests/flights.csv",
    "clean-flights/tests/flights.expected.txt",
    "clean-flights/tests/flights.toml",
];

/// Its component: a project needs no toolchain as long as nobody changes the source.
pub const CLEAN_FLIGHTS_COMPONENT: (&str, &[u8]) =
    ("clean-flights/clean-flights.wasm", include_bytes!("../../../plugins/clean-flights/clean-flights.wasm"));

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use super::*;

    fn files(folder: &Path, found: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if path.ends_with("target") => {}
                true => files(&path, found),
                false => drop(found.insert(path)),
            }
        }
    }

    #[test]
    fn a_project_gets_every_file_of_the_sample_transform() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
        let mut there = BTreeSet::new();
        files(&plugins.join("clean-flights"), &mut there);
        let paths = CLEAN_FLIGHTS.iter().map(|(path, _)| *path).chain([CLEAN_FLIGHTS_COMPONENT.0]);
        assert_eq!(paths.map(|path| plugins.join(path)).collect::<BTreeSet<_>>(), there);
    }

    #[test]
    fn a_project_gets_every_file_that_the_sdk_is_made_of() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
        let mut there = BTreeSet::new();
        files(&plugins.join("wit"), &mut there);
        files(&plugins.join("sdk/rust"), &mut there);
        let embedded: BTreeSet<PathBuf> = WIT.iter().chain(RUST).map(|(path, _)| plugins.join(path)).collect();
        assert_eq!(embedded, there);
    }
}
