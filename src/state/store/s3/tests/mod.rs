//! State in the S3 of the embedded cloud, over a wire on which requests and answers get lost or come late.

mod interleaved;
mod keeping;
mod losing;
mod wire;

use std::{sync::Arc, time::Duration};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    types::{BucketLocationConstraint, CreateBucketConfiguration},
};
use serde_json::{Value, json};

use super::{Medium, S3, Timing};
use crate::{
    cloud::server::{Options, Server},
    state::{
        Edit, Journal, Snapshot,
        store::{Lock, StateError, Store},
    },
};
use wire::{Director, Wire};

const REGION: &str = "eu-west-1";
const BUCKET: &str = "lake-state";
const FOLDER: &str = "team/lake/prod";

/// A cloud with a bucket.
struct Cloud {
    server: Server,
    _folder: tempfile::TempDir,
}

/// Sends everything on.
fn faithful() -> Arc<dyn Director> {
    Arc::new(wire::Script::default())
}

impl Cloud {
    async fn start() -> Cloud {
        Cloud::start_with_iam(false).await
    }

    async fn start_with_iam(iam: bool) -> Cloud {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { folder: folder.path().to_owned(), port: None, iam, smtp: None };
        let server = Server::start(options).await.unwrap();
        let cloud = Cloud { server, _folder: folder };
        let constraint = BucketLocationConstraint::from(REGION);
        let configuration = CreateBucketConfiguration::builder().location_constraint(constraint).build();
        let made = cloud.client(faithful(), 1).create_bucket().bucket(BUCKET);
        made.create_bucket_configuration(configuration).send().await.unwrap();
        cloud
    }

    /// A client that tries `tries` times, over a wire that `director` sees to.
    fn client(&self, director: Arc<dyn Director>, tries: u32) -> Client {
        let root = self.server.root_credentials();
        let root = Credentials::new(&root.access_key_id, &root.secret_access_key, None, None, "test");
        self.client_of(root, director, tries)
    }

    fn client_of(&self, credentials: Credentials, director: Arc<dyn Director>, tries: u32) -> Client {
        let retries = RetryConfig::standard().with_max_attempts(tries).with_initial_backoff(Duration::from_millis(1));
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(self.server.endpoint())
            .region(Region::new(REGION))
            .credentials_provider(credentials)
            .force_path_style(true)
            .retry_config(retries)
            .http_client(Wire::client(director));
        Client::from_conf(config.build())
    }

    /// The state as another process sees it. Holders are never heard of again in `ttl`.
    fn s3(&self, director: Arc<dyn Director>, tries: u32, ttl: Duration) -> S3 {
        let mut s3 = S3::new(self.client(director, tries), BUCKET, FOLDER);
        s3.timing = Timing { heartbeat: Duration::from_secs(3600), ttl };
        s3.objects.pause = Duration::from_millis(1);
        s3
    }

    /// A process to which every other holder is alive.
    fn patient(&self) -> Store {
        Store::new(self.s3(faithful(), 3, Duration::from_secs(3600)))
    }

    /// A process to which every other holder has ended.
    fn impatient(&self) -> Store {
        Store::new(self.s3(faithful(), 3, Duration::ZERO))
    }

    async fn keys(&self) -> Vec<String> {
        let mut names = Vec::new();
        let client = self.client(faithful(), 1);
        let mut pages = client.list_objects_v2().bucket(BUCKET).into_paginator().send();
        while let Some(page) = pages.next().await {
            names.extend(page.unwrap().contents().iter().map(|object| object.key().unwrap().to_owned()));
        }
        names
    }

    async fn state(&self) -> Snapshot {
        self.patient().load().await.unwrap().unwrap().snapshot
    }
}

fn outputs(value: u32) -> Edit {
    Edit::Outputs([("out".to_owned(), value.into())].into())
}

/// A command begins: its lock, and its journal. The first makes the state.
async fn begin(store: &Store) -> Result<(Arc<Lock>, Journal), StateError> {
    let lock = Arc::new(store.lock("apply").await?);
    if store.load().await?.is_none() {
        store.create(&lock, &Snapshot::new("flights", "prod")).await?;
    }
    let loaded = store.load().await?.unwrap();
    let journal = store.journal(Arc::clone(&lock), loaded).await?;
    Ok((lock, journal))
}

/// The process is killed: nothing is given back, and nobody says any more that it lives.
fn kill(lock: Arc<Lock>, journal: Journal) {
    drop(journal);
    std::mem::forget(lock);
}

fn out(snapshot: &Snapshot) -> Value {
    snapshot.outputs.get("out").cloned().unwrap_or(json!(null))
}
