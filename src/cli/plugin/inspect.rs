//! `lake plugin inspect`

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use indicatif::HumanBytes;
use serde_json::{Value, json};

use crate::{
    dataset::{Architecture, Column},
    executor::transform::{Contract, Deadline, Limits, Meter, PACKAGE, Plugin},
    package::plugin::{self, Component},
};

use super::{
    super::{
        console::Style,
        context::Context,
        convert::transform::{setting, settings},
        error::CliError,
        put::milliseconds,
    },
    columns::{Columns, listed},
    place,
};

/// Shows what a plugin is: its contract, its imports, its size and hash, and what it does with columns.
///
/// With columns (--schema, --dataset or --csv) it is opened, and tells which of them it reads, which leave, and what
/// the table will have.
///
/// Example: lake plugin inspect clean-flights --csv data/flights-2013-01.csv
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A .wasm file, a plugin's folder, or its name in plugins/.
    #[arg(value_name = "PLUGIN")]
    plugin: Option<PathBuf>,
    #[command(flatten)]
    columns: Columns,
    /// Configures it, on top of what lake.toml says for --dataset. May be repeated.
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = setting)]
    settings: Vec<(String, String)>,
}

impl Args {
    /// What the plugin is told.
    fn config(&self, context: &Context) -> Result<BTreeMap<String, String>, CliError> {
        let mut config = match &self.columns.dataset {
            Some(name) => context.config()?.transforms.remove(name).map(|written| written.config).unwrap_or_default(),
            None => BTreeMap::new(),
        };
        config.extend(settings(&self.settings)?);
        Ok(config)
    }
}

pub fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let path = place::plugin(context, args.plugin.as_deref())?;
    let cache = place::Cache::of(context)?;
    let component = place::component(context, &path, &cache)?;
    let columns = args.columns.read(context)?;
    let begun = Instant::now();
    let plugin = place::compiled(&component, Meter::Off)?;
    let compiling = begun.elapsed();
    let about = About::of(&component, &plugin, compiling, cache.folder())?;
    let opened = match columns {
        Some(columns) => Some(Opened::of(&plugin, &args.config(context)?, columns)?),
        None => None,
    };
    about.say(context, &component);
    if let Some(opened) = &opened {
        opened.say(context);
    }
    let mut document = about.document(&component);
    document["open"] = opened.map_or(Value::Null, |opened| opened.document());
    context.console.json(&document)
}

/// What is known of a plugin before it has seen a column.
struct About {
    name: String,
    version: String,
    contract: Option<String>,
    imports: Vec<String>,
    precompiled: Vec<(Architecture, u64)>,
    compiling: Duration,
}

impl About {
    fn of(component: &Component, plugin: &Plugin, compiling: Duration, cache: &Path) -> Result<About, CliError> {
        let described = plugin.describe(&Limits::default())?;
        let imports = Plugin::imports(&component.name, &component.bytes)?;
        let version = |import: &String| {
            let (interface, version) = import.split_once('@')?;
            interface.starts_with(&format!("{PACKAGE}/")).then(|| version.to_owned())
        };
        let mut precompiled = Vec::new();
        for architecture in [Architecture::X86_64, Architecture::Arm64] {
            let artifact = plugin::precompiled(component, architecture, cache)?;
            precompiled.push((architecture, std::fs::metadata(&artifact.path)?.len()));
        }
        Ok(About {
            name: described.name,
            version: described.version,
            contract: imports.iter().find_map(version),
            imports,
            precompiled,
            compiling,
        })
    }

    fn say(&self, context: &Context, component: &Component) {
        let console = &context.console;
        let line = |what: &str, text: String| console.say(format!("{what:<12} {text}"));
        line("plugin", format!("{} {}", console.paint(&self.name, Style::Strong), self.version));
        line("contract", format!("{PACKAGE}@{}", self.contract.as_deref().unwrap_or("unknown")));
        line("imports", if self.imports.is_empty() { "nothing".to_owned() } else { self.imports.join(", ") });
        line("component", format!("{}", component.path.display()));
        line("size", HumanBytes(component.bytes.len() as u64).to_string());
        line("sha256", component.sha256.clone());
        let sizes: Vec<String> = self
            .precompiled
            .iter()
            .map(|(architecture, size)| format!("{} for {architecture}", HumanBytes(*size)))
            .collect();
        line("precompiled", sizes.join(", "));
        line("compiles in", format!("{} ms", milliseconds(self.compiling)));
    }

    fn document(&self, component: &Component) -> Value {
        let precompiled: BTreeMap<String, u64> =
            self.precompiled.iter().map(|(architecture, size)| (architecture.to_string(), *size)).collect();
        json!({
            "name": self.name,
            "version": self.version,
            "contract": self.contract,
            "imports": self.imports,
            "component": component.path,
            "bytes": component.bytes.len(),
            "sha256": component.sha256,
            "precompiled_bytes": precompiled,
            "compile_milliseconds": milliseconds(self.compiling),
        })
    }
}

/// What a plugin answers to columns.
struct Opened {
    input: Vec<Column>,
    contract: Contract,
}

impl Opened {
    fn of(plugin: &Plugin, config: &BTreeMap<String, String>, input: Vec<Column>) -> Result<Opened, CliError> {
        let instance = plugin.open(config, &input, &Limits::default(), Deadline::NEVER)?;
        Ok(Opened { contract: instance.contract().clone(), input })
    }

    fn reads(&self) -> Vec<&str> {
        self.contract.reads.iter().map(|index| self.input[*index].name.as_str()).collect()
    }

    /// Columns of the input that the table does not have.
    fn leaves(&self) -> Vec<&str> {
        let stays = |name: &str| self.contract.columns.iter().any(|column| column.name == name);
        self.input.iter().map(|column| column.name.as_str()).filter(|name| !stays(name)).collect()
    }

    fn say(&self, context: &Context) {
        let console = &context.console;
        let names = |names: Vec<&str>| if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        console.say(format!("{:<12} {}", "gets", listed(&self.input)));
        console.say(format!("{:<12} {}", "reads", names(self.reads())));
        console.say(format!("{:<12} {}", "leaves out", names(self.leaves())));
        console.say(format!("{:<12} {}", "table", listed(&self.contract.columns)));
    }

    fn document(&self) -> Value {
        json!({
            "input": self.input,
            "reads": self.reads(),
            "leaves_out": self.leaves(),
            "columns": self.contract.columns,
        })
    }
}
