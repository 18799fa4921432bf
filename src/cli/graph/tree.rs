//! The graph as indented text.

use std::collections::{BTreeMap, BTreeSet};

use super::super::console::{Console, Style};
use crate::{
    resource::{Address, Program},
    state::Snapshot,
};

/// Below each resource stands what needs it; a resource that needs several stands in full where it is first met.
pub(super) fn tree(console: &Console, program: &Program, snapshot: Option<&Snapshot>) {
    let mut users: BTreeMap<Address, Vec<Address>> = BTreeMap::new();
    for declared in program.resources() {
        for dependency in declared.dependencies() {
            users.entry(dependency.clone()).or_default().push(declared.address.clone());
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
