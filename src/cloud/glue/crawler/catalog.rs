//! What a crawl found goes into the catalog, in one transaction, by the crawler's policies.
//! <https://docs.aws.amazon.com/glue/latest/dg/crawler-schema-changes-prevent.html>
//!
//! A crawler touches no table but those that it made itself, which a parameter of theirs tells: where another table
//! has the name, the crawler's own gets a hash behind it ("if duplicate table names are encountered, the crawler adds
//! a hash string suffix to the name"). Tables made by hand are kept up by crawlers with catalog targets alone, which
//! are not there.

use std::collections::{HashMap, HashSet};

use redb::WriteTransaction;
use serde::Serialize;
use serde_json::Value;

use super::{
    describe::{self, Author, COUNTS, CRAWLER_PARAMETER, DEPRECATED_PARAMETER, RUN_PARAMETER},
    folders::{FoundPartition, FoundTable},
    log,
    model::{Counts, Definition, DeleteBehavior, UpdateBehavior},
    names::{Place, table_name},
    rights::{Failure, Rights, in_words_of},
    settings::Configuration,
};
use crate::cloud::glue::{
    Scope,
    access::Arns,
    database,
    model::{self, Column, Map, PartitionInput, TableInput},
    notice::Changed,
    partition, table,
};

/// What a crawl found.
pub(super) struct Findings {
    /// Tables, with the include path that each was found below.
    pub tables: Vec<(Place, FoundTable)>,
    /// All include paths.
    pub places: Vec<Place>,
    /// Only new folders were looked at, so that nothing can be said of what was not found.
    pub new_only: bool,
    pub warning: Option<String>,
}

/// Writes `findings`; gives what was done and the log's lines about it. Changes nothing when it fails.
pub(super) fn write(
    tx: &WriteTransaction,
    scope: &Scope,
    definition: &Definition,
    rights: &Rights,
    crawl: &str,
    findings: Findings,
) -> Result<(Counts, Vec<String>), Failure> {
    let configuration = Configuration::parse(definition.configuration.as_deref())?;
    let threshold = configuration.table_threshold();
    if let Some(threshold) = threshold.filter(|threshold| findings.tables.len() > *threshold) {
        return Err(Failure::Told(format!(
            "The number of tables in your location: {} exceeds the table threshold value provided: {threshold}",
            findings.tables.len()
        )));
    }
    let counts = Counts { warning: findings.warning, ..Counts::default() };
    let mut writer = Writer { tx, scope, definition, configuration, rights, crawl, counts, lines: Vec::new() };
    writer.require("GetDatabase", None)?;
    database::existing(tx, scope, &definition.database).map_err(|error| in_words_of("AWSGlue", &error))?;
    let mut known = writer.known()?;
    for (place, found) in findings.tables {
        let location = place.location(&found.folders, found.file.as_deref());
        match known.own.remove(&location) {
            Some(old) => writer.update(old, &place, location, &found, findings.new_only)?,
            None => {
                let base = place.base(&found.folders, found.file.as_deref());
                let name = table_name(&definition.table_prefix, base, &location, |name| known.names.contains(name));
                known.names.insert(name.clone());
                writer.create(name, &place, location, &found)?;
            }
        }
    }
    if !findings.new_only {
        let roots: Vec<String> = findings.places.iter().map(|place| place.location(&[], None)).collect();
        let lost = |location: &String| {
            roots
                .iter()
                .any(|root| location.starts_with(root.as_str()) || Some(location.as_str()) == root.strip_suffix('/'))
        };
        let mut gone: Vec<_> = known.own.into_iter().filter(|(location, _)| lost(location)).collect();
        gone.sort_by(|(a, _), (b, _)| a.cmp(b));
        gone.into_iter().try_for_each(|(_, table)| writer.lose(table))?;
    }
    Ok((writer.counts, writer.lines))
}

/// Tables of the database.
struct Known {
    /// The crawler's own, by location.
    own: HashMap<String, model::Table>,
    names: HashSet<String>,
}

struct Writer<'a> {
    tx: &'a WriteTransaction,
    scope: &'a Scope,
    definition: &'a Definition,
    configuration: Configuration,
    rights: &'a Rights,
    crawl: &'a str,
    counts: Counts,
    lines: Vec<String>,
}

impl Writer<'_> {
    fn require(&self, action: &str, table: Option<&str>) -> Result<(), Failure> {
        let tables: Vec<&str> = table.into_iter().collect();
        let needs = Arns(&self.scope.region).catalog(action, Some(&self.definition.database), &tables);
        self.rights.require(self.tx, needs)
    }

    fn known(&self) -> Result<Known, Failure> {
        let mut known = Known { own: HashMap::new(), names: HashSet::new() };
        table::each(self.tx, self.scope, &self.definition.database, |table| {
            known.names.insert(table.input.name.clone());
            let crawler = table.input.parameters.as_ref().and_then(|parameters| parameters.get(CRAWLER_PARAMETER));
            let location = table.input.storage_descriptor.as_ref().and_then(|storage| storage.location.clone());
            if let Some(location) = location.filter(|_| crawler == Some(&self.definition.name)) {
                known.own.insert(location, table);
            }
        })?;
        Ok(known)
    }

    fn described(&self, name: String, location: String, found: &FoundTable) -> TableInput {
        let author = Author { crawler: &self.definition.name, crawl: self.crawl };
        describe::table(author, name, location, &found.shape, &found.keys, &found.stats)
    }

    fn create(&mut self, name: String, place: &Place, location: String, found: &FoundTable) -> Result<(), Failure> {
        self.require("GetTable", Some(&name))?;
        self.require("CreateTable", Some(&name))?;
        let input = self.described(name, location, found);
        let made = table::insert(self.tx, self.scope, &self.definition.database, input)?;
        self.lines.push(format!("Created table {} in database {}", made.input.name, made.database_name));
        self.counts.tables_created += 1;
        self.scope.changed("CreateTable", &made.database_name, Changed::Tables(vec![made.input.name.clone()]));
        self.add_partitions(&made, place, found.partitions.iter())
    }

    fn update(
        &mut self,
        old: model::Table,
        place: &Place,
        location: String,
        found: &FoundTable,
        new_only: bool,
    ) -> Result<(), Failure> {
        let name = old.input.name.clone();
        self.require("GetTable", Some(&name))?;
        let described = self.described(name.clone(), location, found);
        let old_keys = old.partition_keys().iter().map(|key| key.name.as_str());
        let same_keys = old_keys.eq(found.keys.iter().map(String::as_str));
        let new = kept(&old.input, described, self.configuration.merges_new_columns());
        let table = match (self.definition.schema_change.update_behavior, difference(&old.input, &new)) {
            (_, Difference::None) => old,
            (UpdateBehavior::Log, Difference::Counts) => old,
            (UpdateBehavior::Log, Difference::Schema) => {
                let text = format!("Table {name} differs from what was found; the policy LOG leaves it as it is");
                // What else than new columns is seen by a crawl of new folders alone is no change.
                self.lines.extend((!new_only).then_some(text));
                old
            }
            (UpdateBehavior::UpdateInDatabase, difference) => {
                self.require("UpdateTable", Some(&name))?;
                let archive = difference == Difference::Schema;
                let new = table::replace(self.tx, self.scope, old, new, archive)?;
                self.lines.push(format!("Updated table {name} in database {}", new.database_name));
                self.counts.tables_updated += 1;
                self.scope.changed_table("UpdateTable", &new.database_name, &name);
                new
            }
        };
        if !same_keys && table.partition_keys().len() == found.keys.len() {
            return self.replace_partitions(&table, place, found);
        }
        if table.partition_keys().len() != found.keys.len() || found.keys.is_empty() {
            return Ok(());
        }
        self.update_partitions(&table, place, found, new_only)
    }

    /// The table is partitioned by other keys than before.
    fn replace_partitions(&mut self, table: &model::Table, place: &Place, found: &FoundTable) -> Result<(), Failure> {
        let mut old = 0;
        partition::each(self.tx, self.scope, table, |_| old += 1)?;
        if old > 0 {
            self.require("BatchDeletePartition", Some(&table.input.name))?;
            partition::remove_all_inside(self.tx, &self.scope.inside(&[&table.database_name, &table.input.name]))?;
            self.counts.partitions_deleted += old;
        }
        self.add_partitions(table, place, found.partitions.iter())
    }

    fn update_partitions(
        &mut self,
        table: &model::Table,
        place: &Place,
        found: &FoundTable,
        new_only: bool,
    ) -> Result<(), Failure> {
        self.require("BatchGetPartition", Some(&table.input.name))?;
        let mut wanted: HashMap<&[String], &FoundPartition> =
            found.partitions.iter().map(|partition| (partition.values.as_slice(), partition)).collect();
        let (mut changed, mut gone) = (Vec::new(), Vec::new());
        partition::each(self.tx, self.scope, table, |old| match wanted.remove(old.input.values.as_slice()) {
            Some(found) => {
                let new = self.partition(table, place, found);
                if differs(&old.input, &new) {
                    changed.push((old, new));
                }
            }
            None => gone.push(old),
        })?;
        let new = found.partitions.iter().filter(|partition| wanted.contains_key(partition.values.as_slice()));
        self.add_partitions(table, place, new)?;
        if self.definition.schema_change.update_behavior == UpdateBehavior::UpdateInDatabase {
            self.change_partitions(table, changed)?;
        }
        if new_only { Ok(()) } else { self.lose_partitions(table, gone) }
    }

    fn partition(&self, table: &model::Table, place: &Place, found: &FoundPartition) -> PartitionInput {
        let location = place.location(&found.folders, None);
        let mut input = describe::partition(found.values.clone(), location.clone(), &found.shape, &found.stats);
        if self.configuration.partitions_inherit()
            && let Some(mut storage) = table.input.storage_descriptor.clone()
        {
            storage.location = Some(location);
            storage.parameters = input.storage_descriptor.and_then(|own| own.parameters);
            input.storage_descriptor = Some(storage);
        }
        input
    }

    fn add_partitions<'f>(
        &mut self,
        table: &model::Table,
        place: &Place,
        found: impl Iterator<Item = &'f FoundPartition>,
    ) -> Result<(), Failure> {
        let mut added = Vec::new();
        for partition in found {
            if added.is_empty() {
                self.require("BatchCreatePartition", Some(&table.input.name))?;
            }
            let input = self.partition(table, place, partition);
            partition::insert(self.tx, self.scope, table, input)?;
            added.push(partition.values.clone());
        }
        self.counts.partitions_created += added.len() as u64;
        if !added.is_empty() {
            self.lines.push(format!("Added {} partitions to table {}", added.len(), table.input.name));
        }
        self.told_partitions("BatchCreatePartition", table, added);
        Ok(())
    }

    fn change_partitions(
        &mut self,
        table: &model::Table,
        changed: Vec<(model::Partition, PartitionInput)>,
    ) -> Result<(), Failure> {
        if changed.is_empty() {
            return Ok(());
        }
        self.require("BatchUpdatePartition", Some(&table.input.name))?;
        let values = changed.iter().map(|(old, _)| old.input.values.clone()).collect();
        self.counts.partitions_updated += changed.len() as u64;
        for (old, new) in changed {
            partition::replace(self.tx, self.scope, table, old, new)?;
        }
        self.told_partitions("BatchUpdatePartition", table, values);
        Ok(())
    }

    fn lose_partitions(&mut self, table: &model::Table, gone: Vec<model::Partition>) -> Result<(), Failure> {
        for old in &gone {
            self.lines.push(format!(
                "Found partition of table {} with partition values [{}] with no matching schema at the partition's S3 \
                 location",
                table.input.name,
                old.input.values.join(", ")
            ));
        }
        match self.definition.schema_change.delete_behavior {
            DeleteBehavior::Log => Ok(()),
            DeleteBehavior::DeprecateInDatabase => {
                let fresh = gone.into_iter().filter(|old| !is_deprecated(old.input.parameters.as_ref()));
                let deprecated = |old: model::Partition| {
                    let mut new = old.input.clone();
                    deprecate(&mut new.parameters);
                    (old, new)
                };
                let changed = fresh.map(deprecated).collect();
                self.change_partitions(table, changed)
            }
            DeleteBehavior::DeleteFromDatabase if gone.is_empty() => Ok(()),
            DeleteBehavior::DeleteFromDatabase => {
                self.require("BatchDeletePartition", Some(&table.input.name))?;
                self.counts.partitions_deleted += gone.len() as u64;
                let values: Vec<Vec<String>> = gone.into_iter().map(|old| old.input.values).collect();
                for values in &values {
                    partition::remove(self.tx, self.scope, table, values)?;
                }
                self.told_partitions("BatchDeletePartition", table, values);
                Ok(())
            }
        }
    }

    fn told_partitions(&self, operation: &'static str, table: &model::Table, values: Vec<Vec<String>>) {
        self.scope.changed_partitions(operation, &table.database_name, &table.input.name, values);
    }

    /// A table of the crawler's has no objects any more.
    fn lose(&mut self, table: model::Table) -> Result<(), Failure> {
        let (database, name) = (table.database_name.clone(), table.input.name.clone());
        match self.definition.schema_change.delete_behavior {
            DeleteBehavior::Log => {
                self.lines.push(format!("No objects were found for table {name}; the policy LOG leaves it as it is"));
            }
            DeleteBehavior::DeprecateInDatabase if is_deprecated(table.input.parameters.as_ref()) => {}
            DeleteBehavior::DeprecateInDatabase => {
                self.require("UpdateTable", Some(&name))?;
                let mut new = table.input.clone();
                deprecate(&mut new.parameters);
                table::replace(self.tx, self.scope, table, new, true)?;
                self.lines.push(format!(
                    "Table {name} is marked deprecated because a matching schema was not found at the table's location."
                ));
                self.counts.tables_updated += 1;
                self.scope.changed_table("UpdateTable", &database, &name);
            }
            DeleteBehavior::DeleteFromDatabase => {
                self.require("DeleteTable", Some(&name))?;
                table::remove(self.tx, self.scope, &database, &name)?;
                self.lines.push(format!("Deleted table {name} from database {database}"));
                self.counts.tables_deleted += 1;
                self.scope.changed("DeleteTable", &database, Changed::Tables(vec![name]));
            }
        }
        Ok(())
    }
}

fn is_deprecated(parameters: Option<&Map>) -> bool {
    parameters.is_some_and(|parameters| parameters.contains_key(DEPRECATED_PARAMETER))
}

fn deprecate(parameters: &mut Option<Map>) {
    let parameters = parameters.get_or_insert_default();
    parameters.insert(DEPRECATED_PARAMETER.to_owned(), log::now().to_string());
}

/// `new` with what people have added to the table: its description, comments, parameters that no crawler sets. With
/// `merge`, the table's own columns, types and SerDe stay, and new columns come behind them.
fn kept(old: &TableInput, mut new: TableInput, merge: bool) -> TableInput {
    new.description.clone_from(&old.description);
    new.owner = old.owner.clone().or(new.owner);
    new.retention = old.retention;
    let parameters = new.parameters.get_or_insert_default();
    for (name, value) in old.parameters.iter().flatten().filter(|(name, _)| *name != DEPRECATED_PARAMETER) {
        parameters.entry(name.clone()).or_insert_with(|| value.clone());
    }
    let (Some(old), Some(new_storage)) = (&old.storage_descriptor, &mut new.storage_descriptor) else { return new };
    let (old_columns, found) = (old.columns.as_deref().unwrap_or_default(), new_storage.columns.take());
    let known = |name: &str| old_columns.iter().find(|column| column.name == name);
    let found: Vec<Column> = found.unwrap_or_default();
    let columns = if merge {
        let more = found.into_iter().filter(|column| known(&column.name).is_none());
        let columns = old_columns.iter().cloned().chain(more).collect();
        let own = std::mem::replace(new_storage, old.clone());
        new_storage.parameters = own.parameters;
        columns
    } else {
        let commented = |column: Column| {
            let comment = known(&column.name).and_then(|known| known.comment.clone());
            Column { comment, ..column }
        };
        found.into_iter().map(commented).collect()
    };
    new_storage.columns = Some(columns);
    new
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    None,
    /// Sizes and counts alone.
    Counts,
    Schema,
}

fn difference(old: &impl Serialize, new: &impl Serialize) -> Difference {
    let (Ok(mut old), Ok(mut new)) = (serde_json::to_value(old), serde_json::to_value(new)) else {
        return Difference::Schema;
    };
    let mut same_without = |names: &[&str]| {
        for value in [&mut old, &mut new] {
            for place in ["/Parameters", "/StorageDescriptor/Parameters"] {
                if let Some(Value::Object(parameters)) = value.pointer_mut(place) {
                    parameters.retain(|name, _| !names.contains(&name.as_str()));
                }
            }
        }
        old == new
    };
    if same_without(&[RUN_PARAMETER]) {
        Difference::None
    } else if same_without(&COUNTS) {
        Difference::Counts
    } else {
        Difference::Schema
    }
}

fn differs(old: &PartitionInput, new: &PartitionInput) -> bool {
    difference(old, new) != Difference::None
}
