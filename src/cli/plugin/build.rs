//! `lake plugin build`

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use indicatif::{HumanBytes, ProgressBar};
use serde_json::json;

use crate::{
    executor::transform::Meter,
    package::plugin::{self, Component},
};

use super::{
    super::{console::Style, context::Context, error::CliError, put::milliseconds},
    place,
};

/// Compiles a Rust plugin, makes a component of it, checks it, and puts it into the plugin's folder.
///
/// The component, PLUGIN/PLUGIN.wasm, remembers what it was built from. Commit it: then a lake that uses the plugin
/// needs no toolchain. Cargo gets this shell's environment (CARGO_TARGET_DIR, RUSTFLAGS and so on).
///
/// A .wasm file of another language's compiler is checked; what lake makes of a core module goes to --out. That is not
/// needed for use: a lake takes core modules as well.
///
/// Example: lake plugin build plugins/clean-flights
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plugin's folder, its name in plugins/, or a .wasm file.
    #[arg(value_name = "PLUGIN")]
    plugin: Option<PathBuf>,
    /// Writes the component there as well.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let console = &context.console;
    let path = place::plugin(context, args.plugin.as_deref())?;
    let begun = Instant::now();
    let mut component = made(context, &path)?;
    if let Some(out) = args.out {
        fs::write(&out, &component.bytes)
            .map_err(|error| CliError::failed(format!("{} cannot be written: {error}", out.display())))?;
        component.path = out;
    }
    let time = begun.elapsed();
    console.say(format!(
        "{}: {}, made in {:.1} s",
        console.paint(component.path.display(), Style::Strong),
        HumanBytes(component.bytes.len() as u64),
        time.as_secs_f64()
    ));
    console.say(format!("sha256 {}", component.sha256));
    console.json(&json!({
        "name": component.name,
        "path": component.path,
        "bytes": component.bytes.len(),
        "sha256": component.sha256,
        "milliseconds": milliseconds(time),
    }))
}

/// The component: of a Rust package built anew, of anything else as it is, wrapped if need be.
fn made(context: &Context, path: &Path) -> Result<Component, CliError> {
    if !path.join("Cargo.toml").is_file() {
        let component = place::component(context, path, &place::Cache::of(context)?)?;
        place::compiled(&component, Meter::Off)?;
        return Ok(component);
    }
    let spinner = match context.console.is_interactive() {
        true => ProgressBar::new_spinner(),
        false => ProgressBar::hidden(),
    };
    let built = plugin::build(path, &mut |line| {
        spinner.set_message(line.trim().to_owned());
        spinner.tick();
    });
    spinner.finish_and_clear();
    Ok(built?)
}
