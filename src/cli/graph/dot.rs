//! The graph in the language of Graphviz (<https://graphviz.org/doc/info/lang.html>).

use std::fmt::Write as _;

use super::{is_applied, service, services, short_kind};
use crate::{
    resource::{Address, Program},
    state::Snapshot,
};

/// A box for each service, in it a node for each resource; those that are not applied yet have a dashed border.
pub(super) fn dot(lake: &str, program: &Program, snapshot: Option<&Snapshot>) -> String {
    let mut text = format!(
        "digraph {} {{\n    rankdir=LR;\n    node [shape=box, style=rounded, fontname=\"sans-serif\"];\n",
        quoted(lake)
    );
    // Writing to a String cannot fail.
    for name in services(program) {
        let _ =
            writeln!(text, "    subgraph {} {{\n        label={};", quoted(&format!("cluster_{name}")), quoted(name));
        for declared in program.resources().iter().filter(|declared| service(&declared.address) == name) {
            let _ = writeln!(text, "        {}", node(&declared.address, snapshot));
        }
        text.push_str("    }\n");
    }
    for declared in program.resources() {
        for needed in declared.dependencies() {
            let (from, to) = (quoted(&needed.to_string()), quoted(&declared.address.to_string()));
            let _ = writeln!(text, "    {from} -> {to};");
        }
    }
    text.push_str("}\n");
    text
}

fn node(address: &Address, snapshot: Option<&Snapshot>) -> String {
    let label = quoted(&format!("{}\n{}", short_kind(address), address.name()));
    let style = if is_applied(address, snapshot) { "" } else { ", style=\"rounded,dashed\"" };
    format!("{} [label={label}{style}];", quoted(&address.to_string()))
}

/// An identifier in quotes; what would end it is escaped, a line's end is written `\n`.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}
