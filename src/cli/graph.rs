//! `lake graph`

mod dot;
mod mermaid;
mod tree;

use clap::ValueEnum;
use serde_json::json;

use crate::{
    resource::{Address, Program},
    state::Snapshot,
};

use super::{context::Context, control::program_offline, error::CliError};

/// Shows what lake.toml declares and what depends on what.
///
/// Arrows lead from what is made first to what needs it. `dot` is for Graphviz, `mermaid` for GitHub and most wikis.
///
/// Example: lake graph --format dot | dot -Tsvg > lake.svg
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How to show it.
    #[arg(long, value_enum, default_value = "tree")]
    format: Format,
}

impl Args {
    /// What `lake graph` means.
    pub fn tree() -> Self {
        Args { format: Format::Tree }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Indented text: below each resource, what needs it.
    Tree,
    /// The language of Graphviz.
    Dot,
    /// A Mermaid flowchart.
    Mermaid,
    /// Nodes and edges.
    Json,
}

pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let config = context.config()?;
    let stack = context.stack(&config)?;
    let loaded = context.store(stack).await?.load().await?;
    let snapshot = loaded.map(|loaded| loaded.snapshot);
    let program = program_offline(&config, stack, snapshot.as_ref());
    program.check().map_err(|error| CliError::failed(format!("BUG: {error}")))?;
    let (program, snapshot) = (&program, snapshot.as_ref());
    match args.format {
        Format::Json => context.console.raw(&format!("{}\n", document(program, snapshot))),
        _ if context.console.is_json() => context.console.json(&document(program, snapshot))?,
        Format::Tree => tree::tree(&context.console, program, snapshot),
        Format::Dot => context.console.raw(&dot::dot(&config.lake.name, program, snapshot)),
        Format::Mermaid => context.console.raw(&mermaid::mermaid(program, snapshot)),
    }
    Ok(())
}

fn document(program: &Program, snapshot: Option<&Snapshot>) -> serde_json::Value {
    let identity = |address: &Address| Some(snapshot?.resources.get(address)?.identity.clone());
    let nodes: Vec<_> = program
        .resources()
        .iter()
        .map(|declared| {
            let address = &declared.address;
            let (kind, name) = (address.kind(), address.name());
            json!({ "address": address, "kind": kind, "name": name, "identity": identity(address) })
        })
        .collect();
    let edges: Vec<_> = program
        .resources()
        .iter()
        .flat_map(|declared| {
            let from = &declared.address;
            declared.dependencies().iter().map(move |to| json!({ "from": from, "to": to }))
        })
        .collect();
    json!({ "nodes": nodes, "edges": edges })
}

/// The service of a kind, `s3` of `aws:s3:Bucket`: what drawings group by.
fn service(address: &Address) -> &str {
    address.kind().split(':').nth(1).unwrap_or_default()
}

/// What a kind is called within its service: `Bucket` of `aws:s3:Bucket`.
fn short_kind(address: &Address) -> &str {
    address.kind().rsplit(':').next().unwrap_or_default()
}

/// The services of a program's resources, in the order in which they are first met.
fn services(program: &Program) -> Vec<&str> {
    let mut services = Vec::new();
    for declared in program.resources() {
        let service = service(&declared.address);
        if !services.contains(&service) {
            services.push(service);
        }
    }
    services
}

/// Whether a resource is there, as far as state knows.
fn is_applied(address: &Address, snapshot: Option<&Snapshot>) -> bool {
    snapshot.is_some_and(|snapshot| snapshot.resources.contains_key(address))
}

#[cfg(test)]
mod tests;
