//! Integrity is a function: it is asked after every read and before every write.

use std::collections::HashSet;

use super::Snapshot;
use crate::{graph::Graph, resource::Address};

/// What makes a snapshot unsound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// A resource filed under an address that is not its own.
    #[error("{filed} holds the record of {found}")]
    Misfiled {
        /// The key.
        filed: Address,
        /// The record's address.
        found: Address,
    },
    /// A dependency that is not there.
    #[error("{of} depends on {on}, which is not in the state")]
    Dangling {
        /// Who depends.
        of: Address,
        /// On what.
        on: Address,
    },
    /// Two records of one thing in the cloud.
    #[error("`{identity}` is recorded twice, the second time at {address}")]
    Twice {
        /// What the cloud knows it by.
        identity: String,
        /// The second record.
        address: Address,
    },
    /// Resources that wait for each other.
    #[error("dependencies go in a circle: {0}")]
    Circular(String),
}

/// Checks a snapshot.
pub fn verify(snapshot: &Snapshot) -> Result<(), Unsound> {
    let mut identities = HashSet::new();
    let mut graph = Graph::default();
    for (address, recorded) in &snapshot.resources {
        if *address != recorded.address {
            return Err(Unsound::Misfiled { filed: address.clone(), found: recorded.address.clone() });
        }
        if let Some(on) = recorded.dependencies.iter().find(|on| !snapshot.resources.contains_key(*on)) {
            return Err(Unsound::Dangling { of: address.clone(), on: on.clone() });
        }
        graph.order_all(address, &recorded.dependencies);
    }
    for recorded in snapshot.known() {
        if !identities.insert((recorded.address.kind(), &recorded.identity)) {
            return Err(Unsound::Twice { identity: recorded.identity.clone(), address: recorded.address.clone() });
        }
    }
    graph.sorted().map(drop).map_err(|cycle| Unsound::Circular(cycle.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{resource::Packed, state::Recorded};

    fn snapshot(resources: &[(&str, &str, &[&str])]) -> Snapshot {
        let mut snapshot = Snapshot::new("flights", "local");
        for (name, identity, dependencies) in resources {
            let address = Address::new("fake:test:Thing", *name);
            let recorded = Recorded {
                address: address.clone(),
                generation: 1,
                identity: (*identity).to_owned(),
                inputs: Packed::default(),
                outputs: Packed::default(),
                dependencies: dependencies.iter().map(|name| Address::new("fake:test:Thing", *name)).collect(),
                retain: false,
            };
            snapshot.resources.insert(address, recorded.into());
        }
        snapshot
    }

    #[test]
    fn a_sound_snapshot_passes() {
        assert_eq!(verify(&snapshot(&[("a", "1", &[]), ("b", "2", &["a"])])), Ok(()));
    }

    #[test]
    fn dangling_circular_and_doubled_records_are_named() {
        let message = |snapshot| verify(&snapshot).unwrap_err().to_string();
        assert_eq!(
            message(snapshot(&[("a", "1", &["b"])])),
            "fake:test:Thing/a depends on fake:test:Thing/b, which is not in the state"
        );
        assert!(message(snapshot(&[("a", "1", &["b"]), ("b", "2", &["a"])])).contains("circle"));
        assert!(message(snapshot(&[("a", "1", &[]), ("b", "1", &[])])).contains("`1` is recorded twice"));
    }
}
