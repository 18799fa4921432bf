//! `lake graph`

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum;
use serde_json::json;

use crate::{
    resource::{Address, Program},
    state::{Snapshot, store::Store},
};

use super::{
    console::{Console, Style},
    context::Context,
    control::program_offline,
    error::CliError,
};

/// Shows what lake.toml declares and what depends on what.
///
/// Example: lake graph --format tree
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How to show it.
    #[arg(long, value_enum, default_value = "tree")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Indented text: below each resource, what needs it.
    Tree,
    /// Nodes and edges.
    Json,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let config = context.config()?;
    let stack = context.stack(&config)?;
    let program = program_offline(&config, stack);
    program.check().map_err(|error| CliError::failed(format!("BUG: {error}")))?;
    let snapshot = context.store().load()?;
    match args.format {
        Format::Json => {
            context.console.raw(&format!("{}\n", document(&program, snapshot.as_ref())));
        }
        Format::Tree if context.console.is_json() => context.console.json(&document(&program, snapshot.as_ref()))?,
        Format::Tree => tree(&context.console, &program, snapshot.as_ref()),
    }
    Ok(())
}

fn document(program: &Program, snapshot: Option<&Snapshot>) -> serde_json::Value {
    let identity = |address: &Address| Some(snapshot?.resources.get(address)?.identity.clone());
    let nodes: Vec<_> = program
        .resources()
        .iter()
        .map(|declared| {
            let Address { kind, name } = &declared.address;
            json!({ "address": declared.address, "kind": kind, "name": name, "identity": identity(&declared.address) })
        })
        .collect();
    let edges: Vec<_> = program
        .resources()
        .iter()
        .flat_map(|declared| {
            let from = &declared.address;
            declared.dependencies().into_iter().map(move |to| json!({ "from": from, "to": to }))
        })
        .collect();
    json!({ "nodes": nodes, "edges": edges })
}

/// Below each resource stands what needs it; a resource that needs several stands in full where it is first met.
fn tree(console: &Console, program: &Program, snapshot: Option<&Snapshot>) {
    let mut users: BTreeMap<Address, Vec<Address>> = BTreeMap::new();
    for declared in program.resources() {
        for dependency in declared.dependencies() {
            users.entry(dependency).or_default().push(declared.address.clone());
        }
    }
    let mut view = Tree { console, users, snapshot, shown: BTreeSet::new() };
    for declared in program.resources().iter().filter(|declared| declared.dependencies().is_empty()) {
        view.show(&declared.address, "", "");
    }
}

struct Tree<'a> {
    console: &'a Console,
    users: BTreeMap<Address, Vec<Address>>,
    snapshot: Option<&'a Snapshot>,
    shown: BTreeSet<Address>,
}

impl Tree<'_> {
    fn show(&mut self, address: &Address, lead: &str, indent: &str) {
        let users = self.users.get(address).cloned().unwrap_or_default();
        let identity = self.snapshot.and_then(|snapshot| snapshot.resources.get(address)).map(|known| &known.identity);
        let identity = identity.map_or_else(|| "not applied".to_owned(), Clone::clone);
        let repeated = !self.shown.insert(address.clone()) && !users.is_empty();
        let more = if repeated { " (above)" } else { "" };
        let (name, faint) =
            (self.console.paint(address, Style::Strong), self.console.paint(format!("{identity}{more}"), Style::Faint));
        self.console.say(format!("{lead}{name}  {faint}"));
        if repeated {
            return;
        }
        for (place, user) in users.iter().enumerate() {
            let last = place + 1 == users.len();
            let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            self.show(user, &format!("{indent}{branch}"), &format!("{indent}{below}"));
        }
    }
}
