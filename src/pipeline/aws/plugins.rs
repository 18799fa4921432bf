//! Plugins from the artifacts bucket: fetched when a conversion first needs them, known by their hashes, kept compiled
//! for the life of the process.

use std::{collections::VecDeque, fmt, sync::Arc};

use aws_sdk_s3::operation::get_object::GetObjectError;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::{
    Aws,
    engine::{blocking, classify_plugin},
    status,
};
use crate::{
    dataset::{Architecture, Transform},
    executor::{
        object::describe,
        transform::{Host, Meter, Plugin, PluginError},
    },
    pipeline::ports::EngineError,
};

/// Plugins that a process keeps, those of the last conversions. A lake has a few.
const PLUGINS_KEPT_MAX: usize = 8;

/// Largest component or precompiled form that is read into memory, bytes. Those that bring a language's runtime along
/// take tens of megabytes.
const PLUGIN_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What this process runs on.
const ARCHITECTURE: Architecture =
    if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::X86_64 };

/// The plugins of a process. Clones are the same.
#[derive(Clone)]
pub(super) struct Plugins {
    s3: aws_sdk_s3::Client,
    bucket: String,
    /// Locked while one is loaded, so that it is loaded once.
    loaded: Arc<Mutex<Loaded>>,
}

impl fmt::Debug for Plugins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugins").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Loaded {
    /// One a process, made for the first plugin.
    host: Option<Host>,
    kept: Kept<Plugin>,
}

/// What was used last, by the component's hash and the name that errors call it.
struct Kept<T>(VecDeque<(String, String, T)>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept(VecDeque::new())
    }
}

impl<T: Clone> Kept<T> {
    fn get(&mut self, transform: &Transform) -> Option<T> {
        let is_it =
            |(component, name, _): &(String, String, T)| *component == transform.component && *name == transform.name;
        let found = self.0.iter().position(is_it).and_then(|at| self.0.remove(at))?;
        let plugin = found.2.clone();
        self.0.push_back(found);
        Some(plugin)
    }

    fn put(&mut self, transform: &Transform, plugin: T) {
        if self.0.len() == PLUGINS_KEPT_MAX {
            self.0.pop_front();
        }
        self.0.push_back((transform.component.clone(), transform.name.clone(), plugin));
    }
}

/// Why an artifact cannot be had.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Missing {
    /// It is not there, or is not what the manifest names: another one is to be made do with, or an apply to mend it.
    Unusable(String),
    /// It was not answered; ask again.
    Unanswered(String),
}

impl From<Missing> for EngineError {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Unusable(message) => {
                EngineError::Retriable(format!("{message}; `lake apply` puts it there again"))
            }
            Missing::Unanswered(message) => EngineError::Retriable(message),
        }
    }
}

impl Plugins {
    /// Those of the artifacts bucket. Nothing is loaded yet.
    pub(super) fn new(s3: aws_sdk_s3::Client, bucket: &str) -> Self {
        Plugins { s3, bucket: bucket.to_owned(), loaded: Arc::default() }
    }

    async fn plugin(&self, transform: &Transform) -> Result<Plugin, EngineError> {
        let mut loaded = self.loaded.lock().await;
        if let Some(plugin) = loaded.kept.get(transform) {
            return Ok(plugin);
        }
        let host = match &loaded.host {
            Some(host) => host.clone(),
            None => {
                let host = blocking(|| Host::new(Meter::Off)).await?.map_err(|error| classify_plugin(&error))?;
                loaded.host.insert(host).clone()
            }
        };
        let plugin = match self.precompiled(&host, transform).await? {
            Some(plugin) => plugin,
            None => self.compiled(&host, transform).await?,
        };
        loaded.kept.put(transform, plugin.clone());
        Ok(plugin)
    }

    /// The plugin from its precompiled form; `None` when there is none that can be used here.
    async fn precompiled(&self, host: &Host, transform: &Transform) -> Result<Option<Plugin>, EngineError> {
        let Some((key, sha256)) = transform.precompiled_key(ARCHITECTURE).zip(transform.precompiled.as_deref()) else {
            return Ok(None);
        };
        let bytes = match self.fetch(&key, sha256).await {
            Ok(bytes) => bytes,
            Err(Missing::Unusable(message)) => {
                tracing::warn!(plugin = %transform.name, message, "no precompiled form; compiling the component");
                return Ok(None);
            }
            Err(unanswered) => return Err(unanswered.into()),
        };
        let (host, name, component) = (host.clone(), transform.name.clone(), transform.component.clone());
        match blocking(move || Plugin::load(&host, &name, &component, &bytes)).await? {
            Ok(plugin) => Ok(Some(plugin)),
            Err(error @ PluginError::Precompiled { .. }) => {
                tracing::warn!(%error, "compiling the component; `lake apply` precompiles it for this function");
                Ok(None)
            }
            Err(error) => Err(classify_plugin(&error)),
        }
    }

    async fn compiled(&self, host: &Host, transform: &Transform) -> Result<Plugin, EngineError> {
        let bytes = self.fetch(&transform.component_key(), &transform.component).await?;
        let (host, name) = (host.clone(), transform.name.clone());
        let compiled = blocking(move || Plugin::compile(&host, &name, &bytes)).await?;
        compiled.map_err(|error| classify_plugin(&error))
    }

    /// The artifact at `key`, whose content must be the one with that SHA-256.
    async fn fetch(&self, key: &str, sha256: &str) -> Result<Vec<u8>, Missing> {
        let name = format!("s3://{}/{key}", self.bucket);
        let object = match self.s3.get_object().bucket(&self.bucket).key(key).send().await {
            Ok(object) => object,
            Err(error) if error.as_service_error().is_some_and(GetObjectError::is_no_such_key) => {
                return Err(Missing::Unusable(format!("{name} is not there")));
            }
            // What is not there is refused to those who may not list the bucket
            // (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>, "Permissions").
            Err(error) if status(&error) == Some(403) => {
                return Err(Missing::Unusable(format!(
                    "{name} is not there, or may not be read: {}",
                    describe(&error)
                )));
            }
            Err(error) => return Err(Missing::Unanswered(format!("{name}: {}", describe(&error)))),
        };
        let (mut chunks, mut bytes) = (object.body, Vec::new());
        while let Some(chunk) = chunks.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| Missing::Unanswered(format!("{name}: {error}")))?);
            if bytes.len() > PLUGIN_BYTES_MAX {
                return Err(Missing::Unusable(format!("{name} is larger than {PLUGIN_BYTES_MAX} bytes")));
            }
        }
        check(&name, sha256, &bytes)?;
        Ok(bytes)
    }
}

/// What is loaded is what was planned, or it is not loaded: a precompiled form is machine code.
fn check(name: &str, sha256: &str, bytes: &[u8]) -> Result<(), Missing> {
    let found = hex::encode(Sha256::digest(bytes));
    match found == sha256 {
        true => Ok(()),
        false => Err(Missing::Unusable(format!("{name} is damaged: its SHA-256 is {found}, not {sha256}"))),
    }
}

impl Aws {
    /// The plugin of a transform, loaded if need be.
    pub(super) async fn plugin(&self, transform: &Transform) -> Result<Plugin, EngineError> {
        let Some(plugins) = &self.plugins else {
            let message = "no bucket of artifacts is known to load plugins from; this is a bug in lake";
            return Err(EngineError::Retriable(message.to_owned()));
        };
        plugins.plugin(transform).await
    }
}

#[cfg(test)]
mod tests;
