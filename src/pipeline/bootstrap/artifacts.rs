//! What a function reads from the artifacts bucket when it starts.

use std::collections::BTreeMap;

use lambda_runtime::Diagnostic;

use super::{diagnostic, environment::Environment};
use crate::{dataset::Manifest, executor::object::describe};

/// Largest object that is read, bytes.
const ARTIFACT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The manifest that the environment names.
pub(super) async fn manifest(s3: &aws_sdk_s3::Client, environment: &Environment) -> Result<Manifest, Diagnostic> {
    let key = &environment.manifest_key;
    let failed = |message: String| unusable("ManifestError", environment, key, &message);
    let bytes = read(s3, environment, key).await.map_err(failed)?;
    let manifest = Manifest::from_bytes(&bytes).map_err(|error| failed(error.to_string()))?;
    if !key.contains(&manifest.content_hash()) {
        return Err(failed("the content is not the one that the key names".to_owned()));
    }
    Ok(manifest)
}

/// The names of the datasets' crawlers; none when the environment names no such object.
pub(super) async fn crawlers(
    s3: &aws_sdk_s3::Client,
    environment: &Environment,
) -> Result<BTreeMap<String, String>, Diagnostic> {
    let Some(key) = &environment.crawlers_key else { return Ok(BTreeMap::new()) };
    let failed = |message: String| unusable("CrawlersError", environment, key, &message);
    let bytes = read(s3, environment, key).await.map_err(failed)?;
    serde_json::from_slice(&bytes).map_err(|error| failed(format!("not an object of crawlers' names: {error}")))
}

fn unusable(kind: &str, environment: &Environment, key: &str, message: &str) -> Diagnostic {
    diagnostic(kind, format!("s3://{}/{key}: {message}", environment.artifacts_bucket))
}

async fn read(s3: &aws_sdk_s3::Client, environment: &Environment, key: &str) -> Result<Vec<u8>, String> {
    let object = s3.get_object().bucket(&environment.artifacts_bucket).key(key).send().await;
    let (mut chunks, mut bytes) = (object.map_err(|error| describe(&error))?.body, Vec::new());
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.map_err(|error| error.to_string())?);
        if bytes.len() > ARTIFACT_BYTES_MAX {
            return Err(format!("it is never larger than {ARTIFACT_BYTES_MAX} bytes"));
        }
    }
    Ok(bytes)
}
