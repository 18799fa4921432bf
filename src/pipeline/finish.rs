//! After the decision: an attempt in a commit record is carried out. Every step may be repeated, by us after a
//! retry or by whoever comes after a crash; two may do it at once.
//!
//! An attempt is finished even if its source has changed since. It was decided, readers lose nothing by it, and
//! the newer version supersedes it a moment later. Rolling it back for being old would be worse: where the
//! generation before it is deleted already, and the newer object turns out to be unreadable, no version of the
//! source would be left in the table. It is rolled back only when it cannot be finished, because its uploads are
//! gone; then nothing has been deleted yet, for that comes after all of them are completed.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    ledger::{self, Attempt, Commit, Decision, Kind, Role, Run, Versioned, put_decisively},
    ports::{Clock, Cloud, CloudError, Complete, Condition, Objects, Shape, Upload},
    schema,
    telling::Telling,
};
use crate::dataset::{Dataset, Partition};

/// Files of an attempt that are completed, or deleted, at the same time.
const FILES_AT_ONCE: usize = 32;

/// How finishing ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Finished {
    /// The attempt is what readers see.
    Done(Box<Run>),
    /// Somebody else has gone further: look again.
    Moved,
    /// Its uploads are gone; it is rolled back and the source must be converted again.
    RolledBack,
}

/// Carries out the attempt in `record`.
pub(super) async fn finish<C: Cloud>(
    cloud: &C,
    dataset: &Dataset,
    record: &Versioned<Commit>,
) -> Result<Finished, CloudError> {
    let Some(attempt) = &record.value.attempt else { return Ok(Finished::Moved) };
    let completing = attempt.uploads.iter().map(|(_, upload)| cloud.complete(upload));
    let published: Vec<Complete> = stream::iter(completing).buffer_unordered(FILES_AT_ONCE).try_collect().await?;
    if published.contains(&Complete::Lost) {
        return roll_back(cloud, record, attempt).await;
    }
    // First the table: rows in a partition that it does not know yet are seen by nobody.
    futures::try_join!(ensure_table(cloud, dataset, attempt), file_report(cloud, &attempt.run))?;
    delete_superseded(cloud, &record.value, attempt).await?;
    // Before the record says so: whoever dies in between lets it be told twice, and never not at all.
    cloud.tell(&Telling::of_run(&attempt.run)).await?;
    mark_done(cloud, record, attempt).await
}

/// Files of the generation before are gone for good: the new ones are all there.
async fn delete_superseded(cloud: &impl Objects, record: &Commit, attempt: &Attempt) -> Result<(), CloudError> {
    let Some(current) = &record.current else { return Ok(()) };
    let ours = |key: &str| attempt.uploads.iter().any(|(_, upload)| upload.key == key);
    let superseded = current.files.iter().filter(|file| !ours(&file.key));
    let deleting = superseded.map(|file| cloud.delete(&file.key, None));
    stream::iter(deleting).buffer_unordered(FILES_AT_ONCE).try_for_each(async |_| Ok(())).await
}

async fn ensure_table<C: Cloud>(cloud: &C, dataset: &Dataset, attempt: &Attempt) -> Result<(), CloudError> {
    if attempt.columns.is_empty() {
        return Ok(());
    }
    let data = attempt.uploads.iter().filter(|(role, _)| *role == Role::Data);
    let partitions: BTreeSet<Partition> = data.map(|(_, upload)| Partition::of_key(&upload.key)).collect();
    // Its files lie as they were decided, whatever the dataset says by now.
    let partition_by = match partitions.first() {
        Some(partition) => partition.names().map(str::to_owned).collect(),
        None => dataset.partition_by.clone(),
    };
    let Attempt { columns, source_columns, .. } = attempt;
    let shape = Shape { columns: columns.clone(), partition_by, source_columns: source_columns.clone() };
    let there = schema::ensure_table(cloud, dataset, &shape).await?;
    if shape.partition_by.is_empty() || shape.partition_by != there.partition_by {
        return Ok(()); // a table that is partitioned otherwise by now: these files are to be converted anew
    }
    cloud.register_partitions(dataset, &there, &Vec::from_iter(partitions)).await
}

/// Files a run's report. The same run has the same key and bytes, whoever files it.
pub(super) async fn file_report(cloud: &impl Objects, run: &Run) -> Result<(), CloudError> {
    cloud.put(&run.object_key(), ledger::body(run), Condition::Always).await?;
    Ok(())
}

async fn mark_done<C: Objects + Clock>(
    cloud: &C,
    record: &Versioned<Commit>,
    attempt: &Attempt,
) -> Result<Finished, CloudError> {
    let done = record.value.finish(cloud.now());
    let is_done = |there: &[u8]| is_finished(there, attempt);
    let key = Kind::Commits.key(&record.value.dataset, &record.value.key);
    match put_decisively(cloud, &key, ledger::body(&done), Condition::Matches(&record.etag), is_done).await? {
        Decision::Won(_) => Ok(Finished::Done(Box::new(attempt.run.clone()))),
        Decision::Lost => Ok(Finished::Moved),
    }
}

fn is_finished(there: &[u8], attempt: &Attempt) -> bool {
    ledger::parse::<Commit>("", there)
        .is_ok_and(|commit| commit.current.is_some_and(|current| current.attempt == attempt.id))
}

/// The decision is taken back first: whoever else finishes the attempt is refused from then on. What exists of it
/// is named in the record until the next decision, so that a crash in between leaves nothing behind.
async fn roll_back<C: Objects + Clock>(
    cloud: &C,
    record: &Versioned<Commit>,
    attempt: &Attempt,
) -> Result<Finished, CloudError> {
    let without = record.value.roll_back();
    let bytes = ledger::body(&without);
    let key = Kind::Commits.key(&record.value.dataset, &record.value.key);
    tracing::warn!(attempt = %attempt.id, "the uploads of a decided attempt are gone; rolling it back");
    let condition = Condition::Matches(&record.etag);
    match put_decisively(cloud, &key, bytes.clone(), condition, |there| there == bytes).await? {
        Decision::Lost => Ok(Finished::Moved),
        Decision::Won(_) => {
            discard(cloud, &without.discarded).await?;
            Ok(Finished::RolledBack)
        }
    }
}

/// Removes what an attempt that was rolled back had made: uploads first, so that none becomes a file later.
pub(super) async fn discard(cloud: &impl Objects, uploads: &[Upload]) -> Result<(), CloudError> {
    for upload in uploads {
        cloud.abort(upload).await?;
        cloud.delete(&upload.key, None).await?;
    }
    Ok(())
}
