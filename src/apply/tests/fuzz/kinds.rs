//! Kinds of resources of the fuzz's own: every naming with every ownership that the engine tells apart.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::case::{Layout, Node, SLOTS};
use crate::resource::{Address, Declared, Fields, Input, Naming, Ownership, Program, Schema, Schemas};

const fn schema(
    kind: &'static str,
    naming: Naming,
    ownership: Ownership,
    replace_on: &'static [&'static str],
) -> Schema {
    Schema { kind, naming, ownership, replace_on, volatile_outputs: &["version"] }
}

const PHYSICAL: Naming = Naming::Physical { prefix: "", separator: '-', length_max: 60 };

/// Named by the plan, owned by tags: a bucket.
pub const NAMED: usize = 0;
/// Named by its input, owned by tags.
pub const KEYED: usize = 1;
/// Part of another, one of a kind: a bucket's versioning.
pub const WHOLE: usize = 2;
/// Part of another, one of many: a function's permission.
pub const ENTRY: usize = 3;
/// Named by its input, owned by nothing but our word.
pub const LONE: usize = 4;

/// The kinds.
pub const SCHEMAS: [&Schema; 5] = [
    &schema("fuzz:a:Named", PHYSICAL, Ownership::Tags, &["shape"]),
    &schema("fuzz:b:Keyed", Naming::Fields(&["key"]), Ownership::Tags, &["key", "shape"]),
    &schema("fuzz:c:Whole", Naming::Fields(&["parent"]), Ownership::Parent("parent"), &["parent"]),
    &schema(
        "fuzz:d:Entry",
        Naming::Fields(&["parent", "key"]),
        Ownership::Parent("parent"),
        &["parent", "key", "shape"],
    ),
    &schema("fuzz:e:Lone", Naming::Fields(&["key"]), Ownership::Intent, &["key", "shape"]),
];

/// What the planner knows.
pub fn schemas() -> Schemas {
    SCHEMAS.into_iter().collect()
}

/// The kind at this place among the schemas.
pub fn kind_of(kind: &str) -> usize {
    SCHEMAS.iter().position(|schema| schema.kind == kind).expect("a kind of the fuzz")
}

impl Node {
    /// Its kind, in this slot.
    pub fn kind_in(&self, slot: usize) -> usize {
        (slot + usize::from(self.kind)) % SCHEMAS.len()
    }

    /// Its own name, where it has one: names of different kinds differ.
    pub fn key_in(&self, slot: usize) -> String {
        let letter = ["a", "b", "c", "d", "e"][self.kind_in(slot)];
        format!("{letter}{}", (slot + usize::from(self.key)) % SLOTS)
    }
}

/// The address of a slot.
pub fn address(layout: &Layout, slot: usize) -> Option<Address> {
    let node = layout.slots.get(slot)?.as_ref()?;
    Some(Address::new(SCHEMAS[node.kind_in(slot)].kind, format!("s{slot}")))
}

impl Layout {
    /// The slots, in the order that edges go.
    pub fn ranked(&self) -> Vec<usize> {
        let mut slots: Vec<usize> = (0..self.slots.len()).collect();
        slots.sort_by_key(|slot| slot ^ usize::from(self.order));
        slots
    }

    /// What each slot declares, by slot. A part without a place is not declared, and of two with one name the first.
    pub fn declared(&self) -> Vec<Option<Declared>> {
        let mut declared: Vec<Option<Declared>> = vec![None; self.slots.len()];
        let mut names = HashSet::new();
        for slot in self.ranked() {
            let Some(node) = &self.slots[slot] else { continue };
            let kind = node.kind_in(slot);
            let earlier: Vec<usize> = (0..self.slots.len()).filter(|&other| declared[other].is_some()).collect();
            let parent = [true, false].into_iter().find_map(|wanted| {
                let fits = |other: &&usize| {
                    let is_parent = self.slots[**other].as_ref().is_some_and(|it| it.kind_in(**other) <= KEYED);
                    is_parent && (!wanted || node.on >> **other & 1 == 1)
                };
                earlier.iter().find(fits).copied()
            });
            let parent = match (kind, parent) {
                (WHOLE | ENTRY, None) => continue,
                (WHOLE | ENTRY, Some(parent)) => address(self, parent),
                _ => None,
            };
            let key = if kind == NAMED || kind == WHOLE { String::new() } else { node.key_in(slot) };
            let name = if kind == NAMED { format!("s{slot}") } else { key.clone() };
            if !names.insert((kind, parent.clone(), name)) {
                continue;
            }
            let on: Vec<usize> = earlier.into_iter().filter(|other| node.on >> other & 1 == 1).collect();
            declared[slot] = Some(self.declare(slot, node, parent, &key, &on));
        }
        declared
    }

    fn declare(&self, slot: usize, node: &Node, parent: Option<Address>, key: &str, on: &[usize]) -> Declared {
        let mut inputs = Fields::new();
        let mut set = |name: &str, value: Value| drop(inputs.insert(name.to_owned(), value));
        set("value", json!(node.value));
        set("secret", json!(node.value));
        set("shape", json!(node.shape));
        if !key.is_empty() {
            set("key", json!(key));
        }
        let output = |address: Address, name: &str| Input::<String>::reference(address, name).to_value();
        if let Some(parent) = parent {
            set("parent", output(parent, "name"));
        }
        let (mut after, mut edges) = (Vec::new(), Vec::new());
        for &other in on {
            let to = address(self, other).expect("it is declared");
            match (usize::from(node.how) + other) % 4 {
                0 => after.push(to),
                1 => edges.push(output(to, "version")),
                2 if ![WHOLE, ENTRY].contains(&kind_of(to.kind())) => edges.push(output(to, "name")),
                _ => edges.push(output(to, "arn")),
            }
        }
        set("on", Value::Array(edges));
        let mut declared = Declared::new(address(self, slot).expect("it is declared"), &inputs);
        declared.retain = node.retain;
        after.into_iter().for_each(|earlier| declared.come_after(earlier));
        declared
    }

    /// The program.
    pub fn program(&self) -> Program {
        let mut program = Program::default();
        self.declared().into_iter().flatten().for_each(|declared| program.push(declared));
        program
    }
}
