//! `lake plugin new`

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use serde_json::json;

use crate::{config::FILE_NAME, files};

use super::{
    super::{console::Style, context::Context, error::CliError, new::is_free},
    place::{NO_PLUGINS, PLUGINS, within},
    sdk,
};

/// Longest name, in characters: it is that of a package, a file and a table of lake.toml.
const NAME_MAX: usize = 64;
/// Names of packages that cargo or the compiler keep for themselves.
const RESERVED: &[&str] = &["alloc", "core", "proc-macro", "std", "test"];
/// What stands for the name in the files below.
const NAME: &str = "{{name}}";

/// The files of a Rust plugin.
const RUST: &[(&str, &str)] = &[
    (".cargo/config.toml", include_str!("scaffold/cargo-config.toml")),
    (".gitignore", "/target\n"),
    ("Cargo.toml", include_str!("scaffold/package.toml")),
    ("README.md", include_str!("scaffold/README.md")),
    ("src/lib.rs", include_str!("scaffold/lib.rs.txt")),
    ("tests/trips.csv", include_str!("scaffold/trips.csv")),
    ("tests/trips.expected.txt", include_str!("scaffold/trips.expected.txt")),
    ("tests/long-trips.csv", include_str!("scaffold/trips.csv")),
    ("tests/long-trips.toml", include_str!("scaffold/long-trips.toml")),
    ("tests/long-trips.expected.txt", include_str!("scaffold/long-trips.expected.txt")),
];

/// Begins a plugin: a small transform that works, with cases to test it.
///
/// A plain NAME becomes a folder in plugins/; the contract (wit/) and the SDK (sdk/) are put beside it where they are
/// missing, so that nothing but Rust's own toolchain is needed to build it.
///
/// Example: lake plugin new trips && lake plugin build trips && lake plugin test trips
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plugin's name, or the path of its folder.
    #[arg(value_name = "NAME")]
    name: PathBuf,
    /// What it is written in.
    #[arg(long, value_enum, value_name = "LANGUAGE", default_value_t = Language::Rust)]
    lang: Language,
}

/// A language that lake has an SDK for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Language {
    /// Rust, compiled for wasm32-unknown-unknown.
    Rust,
}

pub fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let Language::Rust = args.lang;
    let plain = args.name.components().count() == 1 && args.name.file_name() == Some(args.name.as_os_str());
    let folder = match plain {
        true => within(context.folder(), &Path::new(PLUGINS).join(&args.name)),
        false => within(context.folder(), &args.name),
    };
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    check_name(&name).map_err(|why| {
        CliError::usage(format!("`{name}` cannot be a plugin's name: {why}")).hint("such as clean-flights")
    })?;
    if !is_free(&folder)? {
        return Err(CliError::failed(format!("{} is not empty; nothing was written", folder.display()))
            .hint("name a plugin that does not exist yet"));
    }
    let plugins = files::parent(&folder);
    let mut shared = Vec::new();
    for (part, files) in [("wit", sdk::WIT), ("sdk/rust", sdk::RUST)] {
        if !plugins.join(part).exists() {
            write(plugins, files, str::to_owned)?;
            shared.push(plugins.join(part));
        }
    }
    write(&folder, RUST, |text| text.replace(NAME, &name))?;
    tell(context, &folder, &name, &shared);
    context.console.json(&json!({
        "name": name,
        "folder": folder,
        "files": RUST.iter().map(|(path, _)| path).collect::<Vec<_>>(),
        "shared": shared,
    }))
}

/// What a package, a file and a table may all be called.
fn check_name(name: &str) -> Result<(), &'static str> {
    let mut letters = name.chars();
    if !letters.next().is_some_and(|first| first.is_ascii_lowercase()) {
        return Err("it must begin with a lower-case letter");
    }
    if !letters.all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-') {
        return Err("it may have lower-case letters, digits and hyphens");
    }
    if name.len() > NAME_MAX {
        return Err("it is too long");
    }
    match NO_PLUGINS.contains(&name) || RESERVED.contains(&name) {
        true => Err("it is taken"),
        false => Ok(()),
    }
}

fn write(folder: &Path, files: &[(&str, &str)], text: impl Fn(&str) -> String) -> Result<(), CliError> {
    for (path, content) in files {
        let path = folder.join(path);
        let failed = |error: io::Error| CliError::failed(format!("{} cannot be written: {error}", path.display()));
        fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(failed)?;
        fs::write(&path, text(content)).map_err(failed)?;
    }
    Ok(())
}

fn tell(context: &Context, folder: &Path, name: &str, shared: &[PathBuf]) {
    let console = &context.console;
    console.note(format!("began the plugin {} in {}", console.paint(name, Style::Strong), folder.display()));
    for part in shared {
        console.note(format!("put what it is built with into {}", part.display()));
    }
    let here = folder.strip_prefix(context.folder()).unwrap_or(folder);
    let named = match here.parent() == Some(Path::new(PLUGINS)) {
        true => name.to_owned(),
        false => here.display().to_string(),
    };
    console.note("go on with");
    for next in [
        format!("  edit {}", here.join("src/lib.rs").display()),
        format!("  lake plugin build {named}      # needs: rustup target add wasm32-unknown-unknown"),
        format!("  lake plugin test {named}"),
        format!("  and in {FILE_NAME}, below [dataset.…]: transform = \"{}\"", here.display()),
    ] {
        console.note(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_packages() {
        for good in ["late", "clean-flights", "a1"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "Late", "1a", "a_b", "a.b", "sdk", "wit", "std", "-a", &"a".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_file_of_the_scaffold_is_free_of_placeholders_once_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), RUST, |text| text.replace(NAME, "late")).unwrap();
        for (path, _) in RUST {
            let text = fs::read_to_string(folder.path().join(path)).unwrap();
            assert!(!text.contains("{{"), "{path}");
        }
        let manifest: toml::Table = fs::read_to_string(folder.path().join("Cargo.toml")).unwrap().parse().unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("late"));
        assert_eq!(manifest["dependencies"]["lake-transform"]["path"].as_str(), Some("../sdk/rust"));
    }
}
