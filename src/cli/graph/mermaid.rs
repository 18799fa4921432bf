//! The graph as a Mermaid flowchart (<https://mermaid.js.org/syntax/flowchart.html>).

use std::{collections::HashMap, fmt::Write as _};

use super::{is_applied, service, services, short_kind};
use crate::{
    resource::{Address, Program},
    state::Snapshot,
};

/// A box for each service, in it a node for each resource; those that are not applied yet have a dashed border.
pub(super) fn mermaid(program: &Program, snapshot: Option<&Snapshot>) -> String {
    // Addresses hold characters that mermaid gives a meaning to: nodes are numbered, and labelled with them.
    let ids: HashMap<&Address, String> =
        program.resources().iter().enumerate().map(|(n, declared)| (&declared.address, format!("n{n}"))).collect();
    let id = |address: &Address| ids.get(address).map(String::as_str).unwrap_or_default();
    let mut text = "flowchart LR\n".to_owned();
    // Writing to a String cannot fail.
    for name in services(program) {
        let _ = writeln!(text, "    subgraph service_{name} [\"{name}\"]");
        for declared in program.resources().iter().filter(|declared| service(&declared.address) == name) {
            let address = &declared.address;
            let label = format!("{}<br>{}", escaped(short_kind(address)), escaped(address.name()));
            let class = if is_applied(address, snapshot) { "" } else { ":::pending" };
            let _ = writeln!(text, "        {}[\"{label}\"]{class}", id(address));
        }
        text.push_str("    end\n");
    }
    for declared in program.resources() {
        for needed in declared.dependencies() {
            let _ = writeln!(text, "    {} --> {}", id(needed), id(&declared.address));
        }
    }
    text.push_str("    classDef pending stroke-dasharray: 5 5\n");
    text
}

/// Text for a label in quotes: mermaid writes special characters as HTML entities with `#` for `&`.
fn escaped(text: &str) -> String {
    text.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
}
