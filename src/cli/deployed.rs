//! A stack that has been applied: what its buckets and functions are called, and clients to reach them.

use serde_json::Value;

use crate::{
    config::Config,
    dataset::{Dataset, Manifest, ManifestError},
    pipeline::aws::{Aws, Names},
    resource::Address,
    state::Snapshot,
};

use super::{
    connect::{Connection, connect},
    console::Console,
    context::Context,
    error::CliError,
    service_error,
    transforms::offline,
};

/// An applied stack and the way to it.
pub struct Deployed {
    /// `lake.toml` as it is now.
    pub config: Config,
    /// The stack's cloud.
    pub connection: Connection,
    /// Where files are put.
    pub raw_bucket: String,
    /// Where Parquet and the ledger are.
    pub processed_bucket: String,
    /// The Glue database of the tables.
    pub database: String,
    snapshot: Snapshot,
}

impl Deployed {
    /// The stack that the user means. The embedded cloud is started when it is not running.
    pub async fn open(context: &Context) -> Result<Self, CliError> {
        let config = context.config()?;
        let stack = context.stack(&config)?;
        let loaded = context.store(stack).await?.load().await?;
        let snapshot = loaded.map(|loaded| loaded.snapshot).filter(|snapshot| !snapshot.outputs.is_empty());
        let snapshot = snapshot.ok_or_else(|| {
            CliError::failed(format!("stack `{}` has not been applied", stack.name)).hint("run `lake apply` first")
        })?;
        let connection = connect(context, stack).await?;
        Deployed::of(config, connection, snapshot)
    }

    /// The stack whose state is `snapshot`, which has been applied.
    pub fn of(config: Config, connection: Connection, snapshot: Snapshot) -> Result<Self, CliError> {
        let raw_bucket = output(&snapshot, "raw_bucket")?;
        let processed_bucket = output(&snapshot, "processed_bucket")?;
        let database = output(&snapshot, "database")?;
        Ok(Deployed { config, connection, raw_bucket, processed_bucket, database, snapshot })
    }

    /// The dataset of that name.
    pub fn dataset(&self, name: &str) -> Result<&Dataset, CliError> {
        self.config.datasets.iter().find(|dataset| dataset.name == name).ok_or_else(|| no_dataset(&self.config, name))
    }

    /// The dataset of that name, or all of them.
    pub fn datasets(&self, name: Option<&str>) -> Result<Vec<&Dataset>, CliError> {
        match name {
            Some(name) => Ok(vec![self.dataset(name)?]),
            None => Ok(self.config.datasets.iter().collect()),
        }
    }

    /// What the cloud knows the resource `kind/name` by; `None` when the stack has none.
    pub fn identity(&self, kind: &str, name: &str) -> Option<&str> {
        self.snapshot.resources.get(&Address::new(kind, name)).map(|recorded| recorded.identity.as_str())
    }

    /// The names of the stack's resources of `kind`.
    pub fn names(&self, kind: &str) -> Vec<&str> {
        let addresses = self.snapshot.resources.keys();
        addresses.filter(|address| address.kind() == kind).map(Address::name).collect()
    }

    /// What the cloud knows the stack's resources of `kind` by.
    pub fn identities(&self, kind: &str) -> Vec<&str> {
        let recorded = self.snapshot.resources.values();
        recorded.filter(|it| it.address.kind() == kind).map(|it| it.identity.as_str()).collect()
    }

    /// An output of the stack; `None` when it has none of that name.
    pub fn output(&self, name: &str) -> Option<&str> {
        self.snapshot.outputs.get(name).and_then(Value::as_str)
    }

    /// The ledger, and the functions that work on it.
    pub fn pipeline(&self) -> Result<Aws, CliError> {
        let names = Names {
            lake: self.snapshot.lake.clone(),
            stack: self.snapshot.stack.clone(),
            raw_bucket: self.raw_bucket.clone(),
            processed_bucket: self.processed_bucket.clone(),
            database: self.database.clone(),
            convert_function: output(&self.snapshot, "convert_function")?,
        };
        Ok(Aws::new(&self.connection.sdk, names))
    }

    /// The datasets as the functions know them; `None` when the stack has no such description.
    pub async fn manifest(&self) -> Result<Option<Manifest>, CliError> {
        let Some((place, manifest)) = self.read_manifest().await? else { return Ok(None) };
        let unusable = |error| CliError::failed(format!("{place}: {error}")).hint("`lake apply` writes it anew");
        manifest.map(Some).map_err(unusable)
    }

    /// The same for who is about to write a new one: what is no manifest counts as none, and `console` tells of it.
    pub async fn manifest_if_usable(&self, console: &Console) -> Result<Option<Manifest>, CliError> {
        let Some((place, manifest)) = self.read_manifest().await? else { return Ok(None) };
        let unusable =
            |error| console.warn(format!("{place} counts as none, and the next apply writes it anew: {error}"));
        Ok(manifest.map_err(unusable).ok())
    }

    /// Where the manifest is, and what is there.
    async fn read_manifest(&self) -> Result<Option<(String, Result<Manifest, ManifestError>)>, CliError> {
        let manifest = self.snapshot.resources.get(&Address::new("aws:s3:Object", "manifest"));
        let Some(inputs) = manifest.map(|manifest| manifest.inputs.unpack()) else { return Ok(None) };
        let input = |name: &str| inputs.get(name)?.as_str();
        let (Some(bucket), Some(key)) = (input("bucket"), input("key")) else { return Ok(None) };
        let place = format!("s3://{bucket}/{key}");
        let object = self.connection.s3().get_object().bucket(bucket).key(key).send().await;
        let object = object.map_err(|error| service_error("s3:GetObject", &place, error))?;
        let bytes = object.body.collect().await;
        let bytes = bytes.map_err(|error| CliError::failed(format!("{place}: {error}")))?.into_bytes();
        Ok(Some((place, Manifest::from_bytes(&bytes))))
    }

    /// Whether the datasets are deployed as lake.toml says now. Plugins are not looked into: whether their code has
    /// changed is for a plan to find out.
    pub async fn is_current(&self) -> Result<bool, CliError> {
        let Some(manifest) = self.manifest().await? else { return Ok(true) };
        Ok(Manifest::new(offline(&self.config, Some(&manifest))) == manifest)
    }
}

/// A dataset that lake.toml does not have, with those that it has.
pub fn no_dataset(config: &Config, name: &str) -> CliError {
    let names: Vec<&str> = config.datasets.iter().map(|dataset| dataset.name.as_str()).collect();
    let hint = match names.is_empty() {
        true => "lake.toml has no [dataset.NAME] section yet".to_owned(),
        false => format!("the datasets are: {}", names.join(", ")),
    };
    CliError::usage(format!("there is no dataset `{name}`")).hint(hint)
}

fn output(snapshot: &Snapshot, name: &str) -> Result<String, CliError> {
    let value = snapshot.outputs.get(name).and_then(Value::as_str);
    value.map(str::to_owned).ok_or_else(|| {
        CliError::failed(format!("stack `{}` has no output `{name}`", snapshot.stack))
            .hint("`lake apply` writes it; the last one may have been made by another version of lake")
    })
}
