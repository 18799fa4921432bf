//! Other people's readers and clients, from PyPI, in a virtual environment that outlives the test run.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

/// The folder of scripts and pinned requirements.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

/// The `bin` folder of the environment with everything in `requirements.txt`.
pub fn bin() -> &'static Path {
    static BIN: OnceLock<PathBuf> = OnceLock::new();
    BIN.get_or_init(|| environment("requirements.txt"))
}

/// The `bin` folder of the environment with everything in this file of requirements. Made once for each content of it.
pub fn environment(requirements: &str) -> PathBuf {
    let requirements = scripts().join(requirements);
    let text = std::fs::read(&requirements).unwrap();
    let hash = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&text));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let venv = folder.join(format!("venv-{}", &hash[..12]));
    // Test processes may run side by side: one installs, the others wait.
    let lock = File::create(folder.join("venv.lock")).unwrap();
    lock.lock().unwrap();
    if !venv.join("complete").exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
        run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", "-r"]).arg(&requirements));
        std::fs::write(venv.join("complete"), "").unwrap();
    }
    venv.join("bin")
}

/// Runs a script with `python` of the environment; returns the JSON document that it prints.
pub fn script(name: &str, args: &[&str], env: &[(String, String)]) -> Value {
    let mut command = Command::new(bin().join("python"));
    command.arg(scripts().join(name)).args(args).envs(env.iter().cloned());
    serde_json::from_str(&run(&mut command)).unwrap()
}

/// Runs a command that must work; returns its stdout.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{stderr}");
    String::from_utf8(output.stdout).unwrap()
}
