//! What of a dataset's data stays although the state says that it goes with the dataset: files are deleted only when
//! their dataset is removed, the stack says so now as well, and no other dataset reads them.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    config::OnDestroy,
    program::RAW,
    resource::{Address, Packed, Program, Resource, aws},
    state::{Recorded, Snapshot},
};

/// Marks in `prior` what is to stay. Tells what stays although nothing of the lake reads it any more, a line each.
pub fn keep(prior: &mut Snapshot, program: &Program, on_destroy: OnDestroy) -> Vec<String> {
    let declared = |address: &Address| program.resources().iter().any(|declared| declared.address == *address);
    let raw = program.resources().iter().filter(|declared| is_raw(&declared.address));
    let sources: Vec<(String, String)> = raw.filter_map(|declared| prefix_of(&declared.inputs)).collect();
    let mut told = Vec::new();
    let data = prior.resources.values_mut().filter(|recorded| is_data(recorded) && !declared(&recorded.address));
    for recorded in data.map(Arc::make_mut) {
        recorded.retain |= on_destroy == OnDestroy::Retain;
        let Some((prefix, dataset)) = prefix_of(&recorded.inputs).filter(|_| is_raw(&recorded.address)) else {
            continue;
        };
        let is_read = sources.iter().any(|(source, _)| source.starts_with(&prefix) || prefix.starts_with(source));
        let looks_elsewhere = sources.iter().any(|(_, of)| *of == dataset);
        if looks_elsewhere && !is_read {
            told.push(format!("{dataset}: the files below {prefix} stay there, and are no longer read"));
        }
        recorded.retain |= is_read || looks_elsewhere;
    }
    told
}

/// Whether others than lake put there what would be deleted.
fn is_data(recorded: &Recorded) -> bool {
    let kind = recorded.address.kind();
    kind == aws::s3::Prefix::SCHEMA.kind || kind == aws::glue::Tables::SCHEMA.kind
}

fn is_raw(address: &Address) -> bool {
    address.kind() == aws::s3::Prefix::SCHEMA.kind && address.name().starts_with(RAW)
}

/// A prefix, and the dataset that it belongs to.
fn prefix_of(inputs: &Packed) -> Option<(String, String)> {
    let text = |name: &str| match inputs.get(name)? {
        Value::String(text) => Some(text),
        _ => None,
    };
    text("prefix").zip(text("of"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::{Input, aws::s3::Prefix};

    fn name(source: &str) -> String {
        format!("{RAW}{}", source.trim_end_matches('/'))
    }

    fn program(sources: &[(&str, &str)]) -> Program {
        let mut program = Program::default();
        for (dataset, source) in sources {
            let bucket = Input::from("raw");
            let (prefix, of) = ((*source).to_owned(), (*dataset).to_owned());
            program.declare(&name(source), Prefix { bucket, prefix, with: Vec::new(), of });
        }
        program
    }

    fn prior(sources: &[(&str, &str)]) -> Snapshot {
        let mut snapshot = Snapshot::new("flights", "local");
        for (dataset, source) in sources {
            let address = Address::new(Prefix::SCHEMA.kind, name(source));
            let inputs = json!({ "bucket": "raw", "prefix": source, "of": dataset });
            let recorded = Recorded {
                address: address.clone(),
                generation: 1,
                identity: format!("raw/{source}"),
                inputs: inputs.as_object().unwrap().into(),
                outputs: Packed::default(),
                dependencies: Vec::new(),
                retain: false,
            };
            snapshot.resources.insert(address, recorded.into());
        }
        snapshot
    }

    /// The raw files that are marked to stay, and what is told.
    fn kept(before: &[(&str, &str)], after: &[(&str, &str)], on_destroy: OnDestroy) -> (Vec<String>, Vec<String>) {
        let mut prior = prior(before);
        let told = keep(&mut prior, &program(after), on_destroy);
        let kept = prior.resources.into_values().filter(|recorded| recorded.retain);
        (kept.map(|recorded| recorded.address.name().to_owned()).collect(), told)
    }

    #[test]
    fn the_files_of_a_removed_dataset_go_unless_the_stack_keeps_data_now() {
        let before = [("a", "a/"), ("b", "b/")];
        assert_eq!(kept(&before, &[("a", "a/")], OnDestroy::Delete), (vec![], vec![]));
        assert_eq!(kept(&before, &[("a", "a/")], OnDestroy::Retain), (vec!["raw/b".to_owned()], vec![]));
    }

    #[test]
    fn files_that_another_dataset_reads_from_now_on_stay() {
        for source in ["in/", "in/a/deep/"] {
            let found = kept(&[("a", "in/a/")], &[("b", source)], OnDestroy::Delete);
            assert_eq!(found, (vec!["raw/in/a".to_owned()], vec![]), "{source}");
        }
    }

    #[test]
    fn a_dataset_that_is_called_otherwise_has_the_same_files() {
        assert_eq!(kept(&[("a", "in/a/")], &[("b", "in/a/")], OnDestroy::Delete), (vec![], vec![]), "nothing goes");
    }

    #[test]
    fn a_dataset_that_looks_elsewhere_leaves_its_files_and_says_so() {
        let (stays, told) = kept(&[("a", "in/a/")], &[("a", "in/new/")], OnDestroy::Delete);
        assert_eq!(stays, ["raw/in/a"]);
        assert_eq!(told, ["a: the files below in/a/ stay there, and are no longer read"]);
    }
}
