//! How a kind of resource behaves: what the planner must know of it.

use std::collections::HashMap;

use super::Fields;

/// The planner's knowledge of a kind.
#[derive(Debug)]
pub struct Schema {
    /// `provider:service:Type`.
    pub kind: &'static str,
    /// What the cloud knows it by.
    pub naming: Naming,
    /// How a resource found in the cloud is told to be ours.
    pub ownership: Ownership,
    /// Inputs that cannot change in place: another value means another resource.
    pub replace_on: &'static [&'static str],
    /// Outputs that an update in place may change; all others stay.
    pub volatile_outputs: &'static [&'static str],
}

/// What the cloud knows a resource by: its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// A physical name fixed by the plan: `{prefix}{lake}-{stack}-{part}-{6 hex}`. It is also the output `name`.
    Physical {
        /// What the name begins with (`/aws/lambda/`), or nothing.
        prefix: &'static str,
        /// Between the parts: `-`, or `_` where Athena reads the name.
        separator: char,
        /// Longest name the service takes, in characters.
        length_max: usize,
    },
    /// These inputs together, joined by `/`.
    Fields(&'static [&'static str]),
}

impl Naming {
    /// What the cloud knows a resource with these `inputs` by, whose physical `name` is fixed if its kind has one;
    /// `None` while that, or an input that names it, is not known.
    pub fn identity(self, name: Option<&str>, inputs: &Fields) -> Option<String> {
        match self {
            Naming::Physical { .. } => name.map(str::to_owned),
            Naming::Fields(fields) => {
                let parts: Option<Vec<&str>> = fields.iter().map(|field| inputs.get(*field)?.as_str()).collect();
                parts.map(|parts| parts.join("/"))
            }
        }
    }
}

/// How a resource found in the cloud is told to be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// By our tags, set in the call that creates it.
    Tags,
    /// It is part of another resource, the one this input names, and belongs to whom that belongs.
    Parent(&'static str),
    /// It takes no tags and is part of nothing: it is ours when a call of ours made it, of which the state knows, at
    /// the latest by an intent from before the call, when nothing of that name was there.
    Intent,
}

/// The kinds that a run of the engine knows. It knows no others, AWS's or not.
#[derive(Debug, Clone, Default)]
pub struct Schemas(HashMap<&'static str, &'static Schema>);

impl Schemas {
    /// The schema of `kind`; `None` for a kind that is not known.
    pub fn get(&self, kind: &str) -> Option<&'static Schema> {
        self.0.get(kind).copied()
    }
}

impl FromIterator<&'static Schema> for Schemas {
    fn from_iter<I: IntoIterator<Item = &'static Schema>>(schemas: I) -> Self {
        Schemas(schemas.into_iter().map(|schema| (schema.kind, schema)).collect())
    }
}
