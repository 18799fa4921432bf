//! The catalog: one table, and the partitions that are registered.

use super::{DATASET, Process, World};
use crate::{
    dataset::{Dataset, Partition},
    pipeline::{
        ledger::{File, Role},
        ports::{Catalog, CloudError, Shape, Table},
    },
};

impl Catalog for Process {
    async fn table(&self, dataset: &Dataset) -> Result<Option<Table>, CloudError> {
        self.call("GetTable", &dataset.name, None, |inner| inner.tables.get(&dataset.name).cloned()).await
    }

    async fn create_table(&self, dataset: &Dataset, shape: &Shape) -> Result<bool, CloudError> {
        self.call("CreateTable", &dataset.name, Some(false), |inner| {
            if inner.tables.contains_key(&dataset.name) {
                return false;
            }
            let table = Table { shape: shape.clone(), version: Some(inner.next("table")) };
            inner.tables.insert(dataset.name.clone(), table);
            true
        })
        .await
    }

    async fn update_table(&self, dataset: &Dataset, table: &Table, shape: &Shape) -> Result<bool, CloudError> {
        self.call("UpdateTable", &dataset.name, Some(false), |inner| {
            let version = inner.next("table");
            let Some(there) = inner.tables.get_mut(&dataset.name) else { return false };
            if there.version != table.version {
                return false;
            }
            let is_parted_otherwise = there.shape.partition_by != shape.partition_by;
            there.shape = shape.clone();
            there.version = Some(version);
            if is_parted_otherwise {
                inner.partitions.clear();
            }
            true
        })
        .await
    }

    async fn register_partitions(
        &self,
        _: &Dataset,
        shape: &Shape,
        partitions: &[Partition],
    ) -> Result<(), CloudError> {
        assert!(partitions.iter().all(|partition| partition.names().eq(shape.partition_by.iter())), "{partitions:?}");
        self.call("BatchCreatePartition", DATASET, None, |inner| inner.partitions.extend(partitions.iter().cloned()))
            .await
    }
}

impl World {
    /// An apply: from now on the dataset is partitioned by these columns.
    pub fn repartition(&self, by: &'static [&'static str]) {
        self.lock().partition_by = by;
    }

    /// Whether queries see a file: its partition is registered.
    pub fn is_seen(&self, file: &str) -> bool {
        self.lock().partitions.contains(&Partition::of_key(file))
    }

    /// Rows that a query is to see are in a partition that the table knows.
    pub fn assert_registered(&self, file: &str) {
        let inner = self.lock();
        let table = &inner.tables[DATASET].shape;
        let partition = Partition::of_key(file);
        if !partition.is_none() && partition.names().eq(table.partition_by.iter()) {
            assert!(inner.partitions.contains(&partition), "{file}: its partition is not registered");
        }
    }

    /// Every data file lies as the dataset says, but for those of objects that are gone or cannot be converted.
    pub fn assert_parted(&self) {
        let by = self.lock().partition_by;
        let sources: Vec<String> = self.lock().sources.keys().cloned().collect();
        let current = sources.iter().filter(|key| self.parked(key).is_none()).filter_map(|key| self.current(key));
        for File { key, .. } in current.flat_map(|current| current.files).filter(|file| file.role == Role::Data) {
            assert!(
                Partition::of_key(&key).names().eq(by.iter().copied()),
                "{key}: partitioned otherwise than by {by:?}"
            );
            self.assert_registered(&key);
        }
    }
}
