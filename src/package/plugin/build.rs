//! Rust plugins built by cargo.

use std::{
    collections::VecDeque,
    io::{self, BufRead, BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use serde::Deserialize;

use super::{
    BuildError, Missing,
    sources::{MANIFEST, Sources},
};

/// What Rust plugins are compiled for: WebAssembly without a system.
pub(super) const TARGET: &str = "wasm32-unknown-unknown";
/// Most lines of cargo's words that an error repeats: the last ones.
const WORDS_LINES_MAX: usize = 60;

/// What cargo tells of its progress begins with these; an error does not repeat it.
const PROGRESS: &[&str] = &[
    "Adding",
    "Blocking",
    "Checking",
    "Compiling",
    "Downloaded",
    "Downloading",
    "Finished",
    "Fresh",
    "Locking",
    "Updating",
];

/// By these the compiler and rustup tell that a target's standard library is not there.
const TARGET_MISSING: &[&str] = &["target may not be installed", "rustup target add", "can't find crate for `core`"];

/// A module that cargo has built, and the hash of what it was built from.
pub(super) struct Module {
    pub(super) path: PathBuf,
    pub(super) sources: String,
}

/// Why there is no module.
pub(super) enum Failure {
    /// This machine cannot build.
    Missing(Missing),
    /// It can, and the plugin cannot be built.
    Error(BuildError),
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Failure::Error(error)
    }
}

/// Builds the package in `folder`, with the environment that this process has. `said` is told every line that cargo
/// says.
pub(super) fn module(folder: &Path, said: &mut dyn FnMut(&str)) -> Result<Module, Failure> {
    let sources = || Sources::of(folder).map_err(|source| BuildError::Unreadable { path: folder.to_owned(), source });
    let before = sources()?;
    let cargo = run("cargo", folder, said)?;
    if !cargo.success {
        let missing = TARGET_MISSING.iter().any(|sign| cargo.words.contains(sign));
        return Err(match missing {
            true => Failure::Missing(Missing::Target(cargo.words)),
            false => BuildError::Compile { path: folder.to_owned(), words: cargo.words }.into(),
        });
    }
    let after = sources()?;
    if !before.same_but_for_lock(&after) {
        return Err(BuildError::SourcesChanged { path: folder.to_owned() }.into());
    }
    let path = built(&cargo.messages, folder).ok_or_else(|| BuildError::NoModule { path: folder.to_owned() })?;
    Ok(Module { path, sources: after.hash() })
}

struct Cargo {
    success: bool,
    /// What it wrote for machines.
    messages: Vec<u8>,
    /// The end of what it wrote for people.
    words: String,
}

fn run(program: &str, folder: &Path, said: &mut dyn FnMut(&str)) -> Result<Cargo, Failure> {
    let failed = |source| Failure::from(BuildError::Unreadable { path: folder.to_owned(), source });
    // In the plugin's folder: only there does cargo find its .cargo/config.toml.
    let spawned = Command::new(program)
        .args(["build", "--release", "--lib", "--target", TARGET, "--message-format=json-render-diagnostics"])
        .args(["--config", &without_place(folder).map_err(failed)?])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Failure::Missing(Missing::Cargo)),
        Err(error) => return Err(failed(error)),
    };
    let mut stdout = child.stdout.take().expect("BUG: stdout is a pipe");
    let stderr = child.stderr.take().expect("BUG: stderr is a pipe");
    // Both pipes are emptied at once: a full one would stop cargo.
    let messages = thread::spawn(move || {
        let mut messages = Vec::new();
        stdout.read_to_end(&mut messages).map(|_| messages)
    });
    let words = hear(BufReader::new(stderr), said);
    let messages = messages.join().expect("BUG: reading a pipe does not panic").map_err(failed)?;
    let status = child.wait().map_err(failed)?;
    Ok(Cargo { success: status.success(), messages, words })
}

/// A setting of cargo's by which panics name files from the folder of plugins on: what is built here and elsewhere is
/// the same, and tells nobody where this machine keeps its files. It comes on top of the project's own flags.
fn without_place(folder: &Path) -> io::Result<String> {
    let folder = folder.canonicalize()?;
    let plugins = folder.parent().unwrap_or(&folder);
    let name = plugins.file_name().unwrap_or_default().to_string_lossy();
    let flag = toml::Value::String(format!("--remap-path-prefix={}={name}", plugins.display()));
    Ok(format!("target.{TARGET}.rustflags=[{flag}]"))
}

/// Passes lines on and keeps the last ones.
fn hear(mut stderr: impl BufRead, said: &mut dyn FnMut(&str)) -> String {
    let mut last: VecDeque<String> = VecDeque::new();
    let mut line = Vec::new();
    while stderr.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        said(&text);
        line.clear();
        if is_progress(&text) {
            continue;
        }
        if last.len() == WORDS_LINES_MAX {
            last.pop_front();
        }
        last.push_back(text);
    }
    Vec::from(last).join("\n")
}

/// Cargo sets its words on progress to the right of a margin, the compiler its own to the left.
fn is_progress(line: &str) -> bool {
    line.starts_with(' ') && line.split_whitespace().next().is_some_and(|word| PROGRESS.contains(&word))
}

/// One of cargo's messages: <https://doc.rust-lang.org/cargo/reference/external-tools.html#artifact-messages>.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The module that the package in `folder` itself has become.
fn built(messages: &[u8], folder: &Path) -> Option<PathBuf> {
    let manifest = folder.join(MANIFEST).canonicalize().ok()?;
    let messages =
        messages.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Message>(line).ok());
    messages
        .filter(|message| message.reason == "compiler-artifact")
        .filter(|message| message.manifest_path.canonicalize().is_ok_and(|path| path == manifest))
        .flat_map(|message| message.filenames)
        .rfind(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_is_the_one_that_the_package_itself_has_become() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MANIFEST), "").unwrap();
        let manifest = folder.path().join(MANIFEST).canonicalize().unwrap();
        let messages = format!(
            "{{\"reason\":\"compiler-artifact\",\"manifest_path\":\"/other/Cargo.toml\",\"filenames\":[\"/t/o.wasm\"]}}\n\
             no json\n\
             {{\"reason\":\"compiler-artifact\",\"manifest_path\":{manifest:?},\"filenames\":[\"/t/a.d\",\"/t/a.wasm\"]}}\n\
             {{\"reason\":\"build-finished\",\"success\":true}}\n"
        );
        assert_eq!(built(messages.as_bytes(), folder.path()), Some("/t/a.wasm".into()));
        assert_eq!(built(b"", folder.path()), None);
    }

    #[test]
    fn the_last_of_many_words_are_kept_and_all_are_passed_on() {
        let lines: String = (0..100).map(|line| format!("line {line}\n")).collect();
        let text = format!("   Compiling syn v3.0.0\n{lines}    Finished in 1 s\n");
        let mut heard = 0;
        let words = hear(text.as_bytes(), &mut |_| heard += 1);
        assert_eq!((heard, words.lines().count(), words.lines().next()), (102, WORDS_LINES_MAX, Some("line 40")));
    }

    #[test]
    fn files_are_named_from_the_folder_of_plugins_on() {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join("plugins/trips");
        std::fs::create_dir_all(&folder).unwrap();
        let place = project.path().canonicalize().unwrap().join("plugins");
        let expected = format!("target.{TARGET}.rustflags=[\"--remap-path-prefix={}=plugins\"]", place.display());
        assert_eq!(without_place(&folder).unwrap(), expected);
    }

    #[test]
    fn a_machine_without_cargo_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let run = run("a-program-that-is-nowhere", folder.path(), &mut |_| ());
        assert!(matches!(run, Err(Failure::Missing(Missing::Cargo))));
    }
}
