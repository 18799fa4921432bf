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
    "sdk/rust/src/plan.rs",
    "sdk/rust/src/row.rs",
    "sdk/rust/src/session.rs",
    "sdk/rust/src/testing.rs",
    "sdk/rust/src/tests/columns.rs",
    "sdk/rust/src/tests/mod.rs",
    "sdk/rust/src/tests/rows.rs",
    "sdk/rust/src/tests/whole_batches.rs",
    "sdk/rust/src/types.rs",
    "sdk/rust/src/value.rs",
    "sdk/rust/src/view.rs",
];

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
    fn a_project_gets_every_file_that_the_sdk_is_made_of() {
        let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins");
        let mut there = BTreeSet::new();
        files(&plugins.join("wit"), &mut there);
        files(&plugins.join("sdk/rust"), &mut there);
        let embedded: BTreeSet<PathBuf> = WIT.iter().chain(RUST).map(|(path, _)| plugins.join(path)).collect();
        assert_eq!(embedded, there);
    }
}
