//! What of a dataset's data stays although the program that made the state would have it deleted: the user's files go
//! only when a dataset is removed, the stack says so now, and no other dataset reads them.

use serde_json::Value;

use crate::{
    config::OnDestroy,
    resource::{Address, Program, Resource, aws},
    state::{Recorded, Snapshot},
};

/// What the addresses of raw files begin with.
const RAW: &str = "raw-";

/// Marks in `prior` what is to stay. Tells what stays although nothing of the lake reads it any more, a line each.
pub fn keep(prior: &mut Snapshot, program: &Program, on_destroy: OnDestroy) -> Vec<String> {
    let sources: Vec<(&Address, &str)> = program
        .resources()
        .iter()
        .filter(|declared| is_raw(&declared.address))
        .filter_map(|declared| Some((&declared.address, declared.inputs.get("prefix")?.as_str()?)))
        .collect();
    let declared: Vec<&Address> = program.resources().iter().map(|declared| &declared.address).collect();
    let mut told = Vec::new();
    let Snapshot { resources, deposed, .. } = prior;
    for recorded in resources.values_mut().chain(deposed).filter(|recorded| !recorded.retain && is_data(recorded)) {
        let is_declared = declared.contains(&&recorded.address);
        if on_destroy == OnDestroy::Retain {
            // It was recorded when the stack's word was another; what is declared brings its own.
            recorded.retain = !is_declared;
        }
        let Some(prefix) = prefix(recorded).map(str::to_owned).filter(|_| is_raw(&recorded.address)) else { continue };
        let source = sources.iter().find(|(address, _)| **address == recorded.address).map(|(_, source)| *source);
        let overlaps = |source: &str| source.starts_with(&prefix) || prefix.starts_with(source);
        let read_by_another =
            sources.iter().any(|(address, source)| **address != recorded.address && overlaps(source));
        match source {
            Some(source) if source == prefix => {}
            Some(source) => {
                recorded.retain = true;
                let dataset = recorded.address.name.trim_start_matches(RAW);
                if !read_by_another && !prefix.starts_with(source) {
                    told.push(format!("{dataset}: the files below {prefix} stay there, and are no longer read"));
                }
            }
            None if read_by_another => recorded.retain = true,
            None => {}
        }
    }
    told
}

/// Whether others than lake put there what would be deleted.
fn is_data(recorded: &Recorded) -> bool {
    let kind = recorded.address.kind.as_str();
    kind == aws::s3::Prefix::SCHEMA.kind || kind == aws::glue::Tables::SCHEMA.kind
}

fn is_raw(address: &Address) -> bool {
    address.kind == aws::s3::Prefix::SCHEMA.kind && address.name.starts_with(RAW)
}

fn prefix(recorded: &Recorded) -> Option<&str> {
    recorded.inputs.get("prefix").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::{Fields, aws::s3::Prefix};

    fn program(sources: &[(&str, &str)]) -> Program {
        let mut program = Program::default();
        for (dataset, source) in sources {
            let prefix = Prefix { bucket: "raw".into(), prefix: (*source).to_owned(), with: Vec::new() };
            program.declare(&format!("{RAW}{dataset}"), prefix);
        }
        program
    }

    fn prior(sources: &[(&str, &str)]) -> Snapshot {
        let mut snapshot = Snapshot::new("flights", "local");
        for (dataset, source) in sources {
            let address = Address::new(Prefix::SCHEMA.kind, format!("{RAW}{dataset}"));
            let inputs: Fields = json!({ "bucket": "raw", "prefix": source }).as_object().unwrap().clone();
            let recorded = Recorded {
                address: address.clone(),
                generation: 1,
                identity: format!("raw/{source}"),
                inputs,
                outputs: Fields::new(),
                dependencies: Vec::new(),
                retain: false,
            };
            snapshot.resources.insert(address, recorded);
        }
        snapshot
    }

    /// The datasets whose raw files stay.
    fn kept(before: &[(&str, &str)], after: &[(&str, &str)], on_destroy: OnDestroy) -> (Vec<String>, Vec<String>) {
        let mut prior = prior(before);
        let told = keep(&mut prior, &program(after), on_destroy);
        let kept = prior.resources.into_values().filter(|recorded| recorded.retain);
        (kept.map(|recorded| recorded.address.name).collect(), told)
    }

    #[test]
    fn the_files_of_a_removed_dataset_go_unless_the_stack_keeps_data_now() {
        let before = [("a", "a/"), ("b", "b/")];
        assert_eq!(kept(&before, &[("a", "a/")], OnDestroy::Delete), (vec![], vec![]));
        assert_eq!(kept(&before, &[("a", "a/")], OnDestroy::Retain), (vec!["raw-b".to_owned()], vec![]));
    }

    #[test]
    fn files_that_another_dataset_reads_from_now_on_stay() {
        for (name, source) in [("b", "in/"), ("b", "in/a/"), ("b", "in/a/deep/")] {
            let found = kept(&[("a", "in/a/")], &[(name, source)], OnDestroy::Delete);
            assert_eq!(found, (vec!["raw-a".to_owned()], vec![]), "{source}");
        }
    }

    #[test]
    fn a_dataset_that_looks_elsewhere_leaves_its_files_and_says_so() {
        let (stays, told) = kept(&[("a", "in/a/")], &[("a", "in/new/")], OnDestroy::Delete);
        assert_eq!(stays, ["raw-a"]);
        assert_eq!(told, ["a: the files below in/a/ stay there, and are no longer read"]);
    }
}
