//! What the ledger promises, compared with what was put.

use std::collections::BTreeSet;

use arrow::{array::AsArray, datatypes::Int64Type};
use aws_sdk_s3::operation::get_object::GetObjectError;
use bytes::Bytes;
use lake::{
    dataset::Partition,
    pipeline::ledger::{Commit, Committed, Kind, Parked, Role, Run, RunOutcome, data_key, rejects_key, runs_prefix},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::de::DeserializeOwned;

use super::{
    scenario::Content,
    shop::{File, Lake},
};
use crate::record::{mails, until};

/// The lake's datasets.
const DATASETS: [&str; 2] = ["orders", "receipts"];

impl Lake {
    /// Why not everything has come to its end; `None` when it has.
    pub async fn unsettled(&self, keys: &[String]) -> Option<String> {
        if let Some(marker) = self.list("_lake/pending/").await.first() {
            let body = self.body(marker).await.unwrap_or_default();
            return Some(format!("{} is pending", String::from_utf8_lossy(&body)));
        }
        for key in keys {
            let file = &self.files[key];
            let commit = self.commit(file).await;
            if commit.as_ref().is_some_and(|commit| commit.attempt.is_some()) {
                return Some(format!("{key}: what was decided is not finished"));
            }
            let Some((etag, _)) = file.last().filter(|_| !file.is_deleted) else { continue };
            let is_committed = commit.and_then(|commit| commit.current).is_some_and(|current| current.etag == *etag);
            let is_parked = self.parked(file).await.is_some_and(|parked| parked.etag == *etag && parked.told);
            if !is_committed && !is_parked {
                return Some(format!("{key}: the version {etag} is neither committed nor parked and told of"));
            }
        }
        None
    }

    /// Compares everything that is known of `keys`, and the whole of what is there, with what was put.
    pub async fn judge(&mut self, keys: &[String]) {
        for key in keys {
            self.judge_file(&self.files[key]).await;
        }
        for dataset in DATASETS {
            self.judge_listing(dataset).await;
            self.judge_runs(dataset).await;
        }
        self.judge_uploads().await;
    }

    /// After all runs: everything once more, a mail for every run, and nothing that keeps the lake from being
    /// destroyed.
    pub async fn end(&mut self) {
        let keys: Vec<String> = self.files.keys().cloned().collect();
        self.judge(&keys).await;
        let told = until("a mail for every run", async || {
            let mails = mails(&self.project);
            let untold = |run: &&String| !mails.iter().any(|mail| mail.contains(run.as_str()));
            let untold: Vec<&String> = self.runs.values().filter(untold).collect();
            if untold.is_empty() { Some(mails.len()) } else { None }
        });
        let told = told.await as u64;
        let mut count = |what: &str, count: u64| *self.happened.entry(what.to_owned()).or_default() += count;
        count("mails", told);
        count("ended_runs", self.runs.len() as u64);
        self.project.lake(&["destroy", "--yes"]).ok();
    }

    async fn judge_file(&self, file: &File) {
        let (key, commit, parked) = (&file.key, self.commit(file).await, self.parked(file).await);
        assert!(commit.as_ref().is_none_or(|commit| commit.attempt.is_none()), "{key} is finished: {commit:?}");
        let current = commit.as_ref().and_then(|commit| commit.current.as_ref());
        if let Some(current) = current {
            assert!(current.told && current.generation <= commit.as_ref().unwrap().generation, "{key}: {current:?}");
            self.judge_rows(file, current).await;
        }
        let Some((etag, content)) = file.last().filter(|_| !file.is_deleted) else { return };
        match content {
            Content::Rows { .. } => {
                assert_eq!(current.map(|current| &current.etag), Some(etag), "{key} is committed as it is now");
                assert_eq!(parked, None, "{key} is committed");
            }
            Content::Alien(_) => {
                let parked = parked.unwrap_or_else(|| panic!("{key} is parked"));
                assert_eq!((&parked.etag, parked.told), (etag, true), "{key}: {parked:?}");
            }
        }
    }

    /// The rows of the version that is committed are there, each once, and the others are accounted for.
    async fn judge_rows(&self, file: &File, current: &Committed) {
        let key = &file.key;
        let version = file.versions.iter().find(|(etag, _)| *etag == current.etag);
        let Some((_, Content::Rows { ids, misfits })) = version else { panic!("{key}: {current:?} of no version") };
        let kept = u64::try_from(ids.end - ids.start).unwrap();
        assert_eq!((current.rows, current.rejected), (kept, *misfits), "{key}");
        for (role, count) in [(Role::Data, kept), (Role::Rejects, *misfits)] {
            let files: Vec<_> = current.files.iter().filter(|it| it.role == role).collect();
            if count == 0 {
                assert!(files.is_empty(), "{key}: {files:?}");
                continue;
            }
            assert_eq!(files.len(), 1, "{key}: {files:?}");
            let name = match role {
                Role::Data => data_key(file.dataset, key, current.generation, &Partition::default(), 0),
                Role::Rejects => rejects_key(file.dataset, key, current.generation),
            };
            assert_eq!(files[0].key, name);
            let body = self.body(&name).await.unwrap_or_else(|| panic!("{key}: {name} is there"));
            assert_eq!(body.len() as u64, files[0].bytes, "{name}");
            match role {
                Role::Data => assert!(read_ids(body).into_iter().eq(ids.clone()), "{key}: each row once in {name}"),
                Role::Rejects => assert_eq!(read_rows(body), count, "{name}"),
            }
        }
    }

    /// There is no other file than those of the commit records.
    async fn judge_listing(&self, dataset: &str) {
        let mut expected = BTreeSet::new();
        for file in self.files.values().filter(|file| file.dataset == dataset) {
            let current = self.commit(file).await.and_then(|commit| commit.current);
            expected.extend(current.into_iter().flat_map(|current| current.files).map(|file| file.key));
        }
        let mut there: BTreeSet<String> = self.list(&format!("{dataset}/")).await.into_iter().collect();
        there.extend(self.list(&format!("_lake/rejects/{dataset}/")).await);
        assert_eq!(there, expected, "the files of {dataset} and those of its commit records");
    }

    /// Every run accounts for its rows, and each generation has one run.
    async fn judge_runs(&mut self, dataset: &str) {
        for object in self.list(&runs_prefix(dataset)).await {
            if self.runs.contains_key(&object) {
                continue;
            }
            let run: Run = serde_json::from_slice(&self.body(&object).await.unwrap()).unwrap();
            let file = &self.files[&run.key];
            let (_, content) = file.versions.iter().find(|(etag, _)| *etag == run.etag).unwrap();
            let report = (run.report.read, run.report.kept, run.report.rejected);
            match (run.outcome, content) {
                (RunOutcome::Committed, Content::Rows { ids, misfits }) => {
                    let kept = u64::try_from(ids.end - ids.start).unwrap();
                    assert_eq!(report, (kept + misfits, kept, *misfits), "{run:?}");
                    let generation = (run.key.clone(), run.generation.unwrap());
                    assert!(self.generations.insert(generation), "two runs of one generation: {run:?}");
                }
                (RunOutcome::Parked, _) => assert_eq!(report, (0, 0, 0), "{run:?}"),
                (RunOutcome::Committed, Content::Alien(_)) => panic!("rows out of nothing: {run:?}"),
            }
            self.runs.insert(object, run.id);
        }
        for file in self.files.values().filter(|file| file.dataset == dataset) {
            let Some(current) = self.commit(file).await.and_then(|commit| commit.current) else { continue };
            assert!(self.runs.values().any(|run| *run == current.run), "{}: {current:?} has a report", file.key);
        }
    }

    /// Uploads that are not finished belong to attempts that were never decided: their invocations were killed, or
    /// could not abort them. The bucket's lifecycle rule removes those.
    async fn judge_uploads(&mut self) {
        let bucket = self.output("processed_bucket").to_owned();
        let left = self.s3.list_multipart_uploads().bucket(&bucket).send().await.unwrap();
        for upload in left.uploads() {
            let (key, id) = (upload.key().unwrap(), upload.upload_id().unwrap());
            let hash = key.rsplit('/').next().unwrap().split('-').next().unwrap();
            let file = self.files.values().find(|file| lake::pipeline::ledger::key_hash(&file.key) == hash).unwrap();
            let record = Kind::Commits.key(file.dataset, &file.key);
            let versions = self.s3.list_object_versions().bucket(&bucket).prefix(&record).send().await.unwrap();
            for version in versions.versions() {
                let get = self.s3.get_object().bucket(&bucket).key(&record).version_id(version.version_id().unwrap());
                let body = get.send().await.unwrap().body.collect().await.unwrap().into_bytes();
                let is_named = body.windows(id.len()).any(|window| window == id.as_bytes());
                assert!(!is_named, "{key} was decided, and its upload {id} is not finished");
            }
        }
        self.happened.insert("uploads_left_to_the_lifecycle_rule".to_owned(), left.uploads().len() as u64);
    }

    async fn commit(&self, file: &File) -> Option<Commit> {
        self.record(Kind::Commits, file).await
    }

    pub async fn parked(&self, file: &File) -> Option<Parked> {
        self.record(Kind::Parked, file).await
    }

    async fn record<T: DeserializeOwned>(&self, kind: Kind, file: &File) -> Option<T> {
        let body = self.body(&kind.key(file.dataset, &file.key)).await?;
        Some(serde_json::from_slice(&body).unwrap())
    }

    /// An object of the processed bucket.
    async fn body(&self, key: &str) -> Option<Bytes> {
        match self.s3.get_object().bucket(self.output("processed_bucket")).key(key).send().await {
            Ok(object) => Some(object.body.collect().await.unwrap().into_bytes()),
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => None,
            Err(error) => panic!("{key}: {error:?}"),
        }
    }

    /// Keys of the processed bucket.
    async fn list(&self, prefix: &str) -> Vec<String> {
        let pages = self.s3.list_objects_v2().bucket(self.output("processed_bucket")).prefix(prefix);
        let mut pages = pages.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            keys.extend(page.unwrap().contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
        }
        keys
    }
}

/// The ids in a data file, sorted.
fn read_ids(body: Bytes) -> Vec<i64> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(body).unwrap().build().unwrap();
    let mut ids = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let column = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>();
        ids.extend(column.iter().map(|id| id.expect("every row has an id")));
    }
    ids.sort_unstable();
    ids
}

fn read_rows(body: Bytes) -> u64 {
    let builder = ParquetRecordBatchReaderBuilder::try_new(body).unwrap();
    u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap()
}
