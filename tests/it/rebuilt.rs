//! What is committed of a plugin is what its sources say.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use arrow::{array::RecordBatch, compute::concat_batches};
use lake::executor::parquet::rows;

use crate::{
    python::run,
    world::{LAKE, lake},
};

const PLUGIN: &str = "clean-flights";

/// A contract: found out over the bad rows as well, most columns would be text.
const CONTRACT: &str = r#"
[lake]
name = "flights"

[dataset.flights]
source = "flights/"

[dataset.flights.schema]
year = "int64"
month = "int64"
day = "int64"
dep_time = "int64"
sched_dep_time = "int64"
dep_delay = "int64"
arr_time = "int64"
sched_arr_time = "int64"
arr_delay = "int64"
carrier = "string"
flight = "int64"
tailnum = "string"
origin = "string"
dest = "string"
air_time = "int64"
distance = "int64"
hour = "int64"
minute = "int64"
time_hour = "timestamp"
"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Copies a folder with all that is below it, but for what cargo has built there.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true if entry.file_name() == "target" => {}
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).unwrap()),
        }
    }
}

/// Runs a command with a Rust that builds for WASM: this machine's own where rustup has the target, else the one that
/// `plugins/toolchain.sh` makes of Debian's packages.
fn with_toolchain(command: &str) -> String {
    let libraries =
        Command::new("rustc").args(["--print", "target-libdir", "--target", "wasm32-unknown-unknown"]).output();
    let at_hand = libraries.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).exists());
    // Below the tests' own folder, which outlives a run: the toolchain takes minutes to make.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let toolchain = match at_hand {
        true => String::new(),
        false => {
            let script = root().join("plugins/toolchain.sh");
            format!("exports=$('{}' '{}') && eval \"$exports\" && ", script.display(), folder.join("wasm").display())
        }
    };
    let mut bash = Command::new("bash");
    bash.args(["-euc", &format!("{toolchain}{command}")]).env("CARGO_TARGET_DIR", folder.join("guests"));
    run(&mut bash)
}

/// The rows that `plugin` makes of a month and of the bad rows, and those that it rejects.
fn converted(plugin: &Path, folder: &Path) -> [RecordBatch; 2] {
    let data = root().join("examples/flights/data");
    let (january, bad) = (data.join("flights-2013-01.csv"), data.join("flights-bad-rows.csv"));
    let out = folder.join("out.parquet");
    fs::write(folder.join("lake.toml"), CONTRACT).unwrap();
    let [january, bad, target, plugin] =
        [january.as_path(), bad.as_path(), out.as_path(), plugin].map(|path| path.to_str().unwrap());
    lake(folder, &["convert", january, bad, "--out", target, "--plugin", plugin, "--dataset", "flights"]).ok();
    let read = |path: PathBuf| {
        let batches = rows(fs::read(path).unwrap().into(), usize::MAX).unwrap();
        concat_batches(&batches[0].schema(), &batches).unwrap()
    };
    [read(out.clone()), read(folder.join("out.parquet.rejects.parquet"))]
}

#[test]
fn the_sdk_and_the_plugin_pass_their_own_tests() {
    // Natively, and apart from what is built for WASM by another compiler.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests-native");
    for package in ["sdk/rust", PLUGIN] {
        let folder = root().join("plugins").join(package);
        let mut cargo = Command::new("cargo");
        cargo.args(["test", "--quiet", "--locked"]).current_dir(folder).env("CARGO_TARGET_DIR", &target);
        run(&mut cargo);
    }
}

#[test]
fn the_plugin_does_with_its_cases_what_is_written_down() {
    let folder = root().join("plugins").join(PLUGIN);
    let tested = lake(root(), &["plugin", "test", folder.to_str().unwrap(), "--json"]).document();
    let verdicts: Vec<_> = tested["cases"].as_array().unwrap().iter().map(|case| &case["verdict"]).collect();
    assert_eq!(verdicts, ["passed", "passed"], "{tested}");
}

#[test]
fn a_plugin_built_from_its_sources_behaves_as_the_one_that_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("plugins"), &folder.path().join("plugins"));
    let source = folder.path().join("plugins").join(PLUGIN);
    let built = source.join(format!("{PLUGIN}.wasm"));
    fs::remove_file(&built).unwrap();
    with_toolchain(&format!("'{LAKE}' plugin build '{}'", source.display()));
    let committed = root().join("plugins").join(PLUGIN).join(format!("{PLUGIN}.wasm"));
    let [rows, rejects] = converted(&committed, folder.path());
    assert!(rows.num_rows() > 20_000 && rejects.num_rows() == 12, "{} {}", rows.num_rows(), rejects.num_rows());
    assert_eq!(converted(&built, folder.path()), [rows, rejects]);
}
