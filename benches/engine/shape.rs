//! The program that is measured: things in chains of ten, each with its predecessor's ARN among its inputs.

use lake::resource::{Input, Naming, Ownership, Program, Resource, Schema};
use serde::{Deserialize, Serialize};

/// Things in a chain.
pub const CHAIN: usize = 10;

/// A kind of the cloud in memory.
#[derive(Debug, Serialize, Deserialize)]
pub struct Thing {
    pub title: Input<String>,
    pub zone: Input<String>,
    pub size: Input<u64>,
    pub previous: Option<Input<String>>,
}

impl Resource for Thing {
    const SCHEMA: &'static Schema = &Schema {
        kind: "bench:memory:Thing",
        naming: Naming::Physical { prefix: "", separator: '-', length_max: 63 },
        ownership: Ownership::Tags,
        replace_on: &["zone"],
        volatile_outputs: &[],
    };
}

/// What the thing at `place` is called.
pub fn name(place: usize) -> String {
    format!("thing-{place:06}")
}

/// Its plain inputs; the first `changed` of the program are otherwise than they would be.
pub fn title(place: usize) -> String {
    format!("the thing at place {place}")
}

/// Where it is.
pub fn zone(place: usize) -> &'static str {
    ["north", "east", "south", "west"][place % 4]
}

/// How large it is; those that change are another size.
pub fn size(place: usize, changed: usize) -> usize {
    place * 3 + usize::from(place < changed)
}

/// The program of so many `resources`.
pub fn program(resources: usize, changed: usize) -> Program {
    let mut program = Program::default();
    let mut previous = None;
    for place in 0..resources {
        let thing = Thing {
            title: title(place).into(),
            zone: zone(place).into(),
            size: (size(place, changed) as u64).into(),
            previous: previous.take(),
        };
        let handle = program.declare(&name(place), thing);
        if (place + 1) % CHAIN != 0 {
            previous = Some(handle.arn());
        }
    }
    program
}
