//! Committed objects that were made with another transform or configuration than their dataset is to have.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    dataset::{Dataset, Manifest},
    pipeline::{aws::Aws, view},
    plan::{Action, Plan},
    resource::{Address, Resource, aws::s3::Object},
};

use super::{console::Console, deployed::Deployed, error::CliError, transforms::Known};

/// Pages of commit records that are read to count; what is beyond is not counted.
const PAGES_MAX: u32 = 25;

/// Digits of a plugin's hash that people are shown.
const HASH_DIGITS_SHOWN: usize = 8;

/// The stale objects of one dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stale {
    /// The dataset.
    pub dataset: String,
    /// Objects made with another plugin or configuration.
    pub objects: u64,
    /// Those of them that another plugin made.
    pub by_plugin: u64,
    /// All commit records were read: there are no more.
    pub counted_all: bool,
    /// The plugins that made them, by hash.
    pub plugins_before: BTreeSet<String>,
    /// The plugin that the dataset is to have, by hash.
    pub plugin_after: Option<String>,
}

impl Stale {
    /// For people.
    pub fn line(&self) -> String {
        let Stale { dataset, objects, by_plugin, counted_all, plugins_before, plugin_after } = self;
        let at_least = if *counted_all { "" } else { "at least " };
        let (objects, were, them) = if *objects == 1 { ("object", "was", "it") } else { ("objects", "were", "them") };
        let with = match by_plugin {
            0 => "an older configuration".to_owned(),
            _ => {
                let before = match plugins_before.len() {
                    0 => "none".to_owned(),
                    1 => plugins_before.iter().map(|hash| shown(hash)).collect(),
                    several => format!("{several} others"),
                };
                let after = plugin_after.as_deref().map_or_else(|| "none".to_owned(), shown);
                format!("an older transform (plugin {before} → {after})")
            }
        };
        format!(
            "{dataset}: {at_least}{} committed {objects} {were} made with {with}; `lake backfill {dataset}` converts \
             {them} again",
            self.objects
        )
    }
}

/// A hash for people.
pub fn shown(hash: &str) -> String {
    format!("{}…", hash.get(..HASH_DIGITS_SHOWN).unwrap_or(hash))
}

/// Whether `plan` gives the functions other datasets than they have.
pub fn changes_datasets(plan: &Plan) -> bool {
    let manifest = Address::new(Object::SCHEMA.kind, "manifest");
    let other = |action| matches!(action, Action::Update | Action::ReplaceCreateFirst | Action::ReplaceDeleteFirst);
    plan.changes.iter().any(|change| change.address == manifest && other(change.action))
}

/// Counts what becomes stale, or is already, of the `datasets` that differ from those that are deployed.
///
/// # Errors
/// The ledger or the manifest cannot be read.
pub async fn count(deployed: &Deployed, datasets: &[Dataset]) -> Result<Vec<Stale>, CliError> {
    let (pipeline, manifest) = (deployed.pipeline()?, deployed.manifest().await?);
    let mut stale = Vec::new();
    for dataset in datasets.iter().filter(|dataset| has_changed(dataset, manifest.as_ref())) {
        stale.extend(count_one(&pipeline, dataset).await?);
    }
    Ok(stale)
}

fn has_changed(dataset: &Dataset, manifest: Option<&Manifest>) -> bool {
    let Some(before) = manifest.and_then(|manifest| manifest.dataset(&dataset.name)) else { return true };
    before.config_hash() != dataset.config_hash() || before.plugin_hash() != dataset.plugin_hash()
}

async fn count_one(pipeline: &Aws, dataset: &Dataset) -> Result<Option<Stale>, CliError> {
    let mut found = Stale {
        dataset: dataset.name.clone(),
        objects: 0,
        by_plugin: 0,
        counted_all: false,
        plugins_before: BTreeSet::new(),
        plugin_after: dataset.plugin_hash().map(str::to_owned),
    };
    let mut page = None;
    for _ in 0..PAGES_MAX {
        let commits = view::commits(pipeline, &dataset.name, page.as_deref()).await?;
        for current in commits.records.into_iter().filter_map(|commit| commit.current) {
            let Some(staleness) = current.stale_for(dataset) else { continue };
            found.objects += 1;
            found.by_plugin += u64::from(staleness.plugin);
            found.plugins_before.extend(current.plugin_hash.filter(|_| staleness.plugin));
        }
        page = commits.next;
        if page.is_none() {
            found.counted_all = true;
            break;
        }
    }
    Ok((found.objects > 0).then_some(found))
}

/// Tells what a change of datasets means for what is committed already.
pub fn tell(console: &Console, stale: &[Stale], known: &[Known]) {
    for known in known.iter().filter(|known| !known.conflicts.is_empty()) {
        console.note(format!(
            "{}: columns of its table change ({}); what comes is refused until `lake backfill {}` has replaced them",
            known.dataset,
            known.conflicts.join(", "),
            known.dataset
        ));
    }
    for stale in stale {
        console.note(stale.line());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stale(objects: u64, by_plugin: u64, before: &[&str], after: Option<&str>) -> Stale {
        Stale {
            dataset: "flights".to_owned(),
            objects,
            by_plugin,
            counted_all: true,
            plugins_before: before.iter().map(|&hash| hash.to_owned()).collect(),
            plugin_after: after.map(str::to_owned),
        }
    }

    #[test]
    fn what_is_stale_is_told_with_the_plugins_before_and_after_and_what_to_do() {
        let (old, new) = ("1a2b3c4d5e6f7081", "3c4d5e6f70819203");
        insta::assert_snapshot!(
            [
                stale(2, 2, &[old], Some(new)).line(),
                stale(1, 1, &[], Some(new)).line(),
                stale(3, 3, &[old, new], None).line(),
                Stale { counted_all: false, ..stale(5000, 0, &[], Some(new)) }.line(),
            ]
            .join("\n"),
            @r"
        flights: 2 committed objects were made with an older transform (plugin 1a2b3c4d… → 3c4d5e6f…); `lake backfill flights` converts them again
        flights: 1 committed object was made with an older transform (plugin none → 3c4d5e6f…); `lake backfill flights` converts it again
        flights: 3 committed objects were made with an older transform (plugin 2 others → none); `lake backfill flights` converts them again
        flights: at least 5000 committed objects were made with an older configuration; `lake backfill flights` converts them again
        "
        );
    }
}
