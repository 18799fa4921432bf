//! Where a lake keeps things: three buckets, the catalog, and the functions' code.

use std::collections::BTreeMap;

use super::{Inputs, PACKAGE_PREFIX, policy};
use crate::resource::{
    Handle, Input, Program,
    aws::{
        glue::Database,
        s3::{
            Bucket, BucketEncryption, BucketLifecycle, BucketPolicy, BucketPublicAccessBlock, BucketVersioning,
            LifecycleRule, Object,
        },
    },
    concat,
};

/// Days after which an upload that was begun and never completed is taken away. An attempt whose uploads are gone is
/// rolled back and made again.
const UNFINISHED_UPLOAD_DAYS: u32 = 7;

/// Days that a version stays after a newer one, or a deletion, has taken its place: long enough to find out that a
/// conversion went wrong.
const OLD_VERSION_DAYS: u32 = 30;

/// Digits of a plugin's hash in its address.
const PLUGIN_NAME_DIGITS: usize = 16;

/// The lake's buckets.
pub(super) struct Buckets {
    /// CSV files as they come.
    pub raw: Handle<Bucket>,
    /// Parquet files, and the ledger.
    pub processed: Handle<Bucket>,
    /// The functions' package, the manifest, and plugins.
    pub artifacts: Handle<Bucket>,
}

/// The lake's part of the account's Data Catalog.
pub(super) struct Catalog {
    pub database: Handle<Database>,
    arn_prefix: String,
}

impl Catalog {
    /// The ARN of `what` in the account's catalog: `catalog`, `table/…`.
    pub fn arn(&self, what: &str) -> String {
        format!("{}{what}", self.arn_prefix)
    }

    /// The ARN of the lake's table called `name`.
    pub fn table(&self, name: &str) -> Input<String> {
        let (prefix, table) = (self.arn("table/"), format!("/{name}"));
        concat([prefix.as_str().into(), (&self.database.name()).into(), table.as_str().into()])
    }
}

/// What every function is made of.
pub(super) struct Code {
    pub package: Handle<Object>,
    pub package_key: String,
    pub manifest: Handle<Object>,
    /// The datasets' plugins, as they are and precompiled.
    pub plugins: Vec<Handle<Object>>,
}

pub(super) fn buckets(program: &mut Program, inputs: &Inputs) -> Buckets {
    let retain = inputs.on_destroy_retain;
    let unfinished = LifecycleRule {
        id: "unfinished-uploads".to_owned(),
        abort_incomplete_upload_days: Some(UNFINISHED_UPLOAD_DAYS),
        ..LifecycleRule::default()
    };
    let old = LifecycleRule {
        id: "old-versions".to_owned(),
        noncurrent_days: Some(OLD_VERSION_DAYS),
        expire_delete_markers: true,
        ..LifecycleRule::default()
    };
    let both = vec![unfinished.clone(), old];
    Buckets {
        // What came in is kept in every version, until somebody decides otherwise.
        raw: bucket(program, inputs, "raw", retain, vec![unfinished]),
        processed: bucket(program, inputs, "processed", retain, both.clone()),
        // It holds nothing that an apply would not put there again.
        artifacts: bucket(program, inputs, "artifacts", false, both),
    }
}

/// A bucket that keeps versions, encrypts, shows nothing to the public and speaks TLS only.
fn bucket(
    program: &mut Program,
    inputs: &Inputs,
    name: &str,
    retain: bool,
    rules: Vec<LifecycleRule>,
) -> Handle<Bucket> {
    let bucket = program.declare(name, Bucket {});
    let versioning = BucketVersioning { bucket: bucket.name(), status: "Enabled".into() };
    let versioning = program.declare(name, versioning);
    let encryption = BucketEncryption { bucket: bucket.name(), algorithm: "AES256".into() };
    let encryption = program.declare(name, encryption);
    let block = program.declare(name, BucketPublicAccessBlock { bucket: bucket.name(), block: true.into() });
    let lifecycle = program.declare(name, BucketLifecycle { bucket: bucket.name(), rules });
    let policy = inputs.secure_transport.then(|| {
        let policy = BucketPolicy { bucket: bucket.name(), document: policy::tls_only(&bucket.arn()) };
        let policy = program.declare(name, policy);
        // A bucket that is just being closed to the public refuses a change of its policy for a moment.
        program.after(&policy, &block);
        policy
    });
    if retain {
        program.retain(&bucket);
        program.retain(&versioning);
        program.retain(&encryption);
        program.retain(&block);
        program.retain(&lifecycle);
        if let Some(policy) = &policy {
            program.retain(policy);
        }
    }
    bucket
}

pub(super) fn catalog(program: &mut Program, inputs: &Inputs, buckets: &Buckets) -> Catalog {
    let database = Database {
        description: format!("Tables of the lake {}, stack {}", inputs.lake, inputs.stack).into(),
        location: concat(["s3://".into(), (&buckets.processed.name()).into(), "/".into()]),
    };
    Catalog { database: program.declare("lake", database), arn_prefix: inputs.arn("glue", "") }
}

pub(super) fn code(program: &mut Program, inputs: &Inputs, buckets: &Buckets) -> Code {
    let package_key = format!("{PACKAGE_PREFIX}{}.zip", inputs.package.sha256);
    let mut object = |name: &str, key: &str, sha256: &str| {
        let bucket = buckets.artifacts.name();
        program.declare(name, Object { bucket, key: key.into(), sha256: sha256.into() })
    };
    let package = object("package", &package_key, &inputs.package.sha256);
    let manifest = object("manifest", &inputs.manifest.key, &inputs.manifest.sha256);
    // Two datasets may have one plugin. What lies under a key has one address, whoever needs it, so that a plugin which
    // somebody still needs is not deleted when another has no more use for it.
    let mut files: BTreeMap<String, (String, &str)> = BTreeMap::new();
    for (_, transform) in inputs.transforms() {
        let short = |sha256: &str| sha256.chars().take(PLUGIN_NAME_DIGITS).collect::<String>();
        let name = format!("transform-{}", short(&transform.component));
        files.insert(name, (transform.component_key(), &transform.component));
        let precompiled = transform.precompiled_key(inputs.package.architecture).zip(transform.precompiled.as_deref());
        if let Some((key, sha256)) = precompiled {
            files.insert(format!("transform-{}-precompiled", short(sha256)), (key, sha256));
        }
    }
    let plugins = files.iter().map(|(name, (key, sha256))| object(name, key, sha256)).collect();
    Code { package, package_key, manifest, plugins }
}
