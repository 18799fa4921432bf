//! `lake plugin build`

use std::{path::PathBuf, time::Instant};

use indicatif::{HumanBytes, ProgressBar};
use serde_json::json;

use crate::package::plugin;

use super::{
    super::{console::Style, context::Context, error::CliError, put::milliseconds},
    place,
};

/// Compiles a Rust plugin, makes a component of it, checks it, and puts it into the plugin's folder.
///
/// The component, PLUGIN/PLUGIN.wasm, remembers what it was built from. Commit it: then a lake that uses the plugin
/// needs no toolchain. Cargo gets this shell's environment (CARGO_TARGET_DIR, RUSTFLAGS and so on).
///
/// Example: lake plugin build plugins/clean-flights
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The plugin's folder, or its name in plugins/.
    #[arg(value_name = "PLUGIN")]
    plugin: Option<PathBuf>,
}

pub fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let console = &context.console;
    let folder = place::plugin(context, args.plugin.as_deref())?;
    let begun = Instant::now();
    let spinner = match console.is_interactive() {
        true => ProgressBar::new_spinner(),
        false => ProgressBar::hidden(),
    };
    let built = plugin::build(&folder, &mut |line| {
        spinner.set_message(line.trim().to_owned());
        spinner.tick();
    });
    spinner.finish_and_clear();
    let component = built?;
    let time = begun.elapsed();
    console.say(format!(
        "{}: {}, built in {:.1} s",
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
