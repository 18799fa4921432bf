//! What a lake has once: buckets, catalog, functions with their roles, and the way from a bucket to a function.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{FunctionSize, Inputs, MANIFEST_PREFIX, PACKAGE_PREFIX, dataset, policy};
use crate::{
    dataset::Dataset,
    resource::{
        Handle, Input, Program,
        aws::{
            glue::Database,
            iam::{Role, RolePolicy},
            lambda::{EventInvokeConfig, Function, Permission},
            logs::LogGroup,
            s3::{Bucket, BucketEncryption, BucketNotification, BucketPublicAccessBlock, BucketVersioning, Object},
        },
        concat,
    },
};

/// Days that log events are kept.
const LOG_RETENTION_DAYS: u32 = 30;

/// Times that Lambda tries an event again after an error: all that it offers.
const EVENT_RETRIES: u32 = 2;

/// Seconds that an event may wait for its function: all that Lambda offers, six hours. What is older than that is
/// found by its marker.
const EVENT_AGE_MAX_SECONDS: u32 = 21_600;

/// The ledger's prefix in the processed bucket.
const LEDGER_PREFIX: &str = "_lake/";

/// Characters that a role's inline policies may have together
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>).
pub(super) const ROLE_POLICIES_CHARS_MAX: usize = 10_240;

/// Characters of convert's policy without its datasets, at most.
const LAKE_POLICY_CHARS: usize = 1_800;

/// Characters that a dataset adds to convert's policy besides its name and prefix, at most: the ARNs of its place in
/// both buckets and of its table.
const DATASET_POLICY_CHARS: usize = 280;

/// The lake's buckets.
pub(super) struct Buckets {
    /// CSV files as they come.
    pub raw: Handle<Bucket>,
    /// Parquet files, and the ledger.
    pub processed: Handle<Bucket>,
    /// The functions' package and the manifest.
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
}

/// What both functions are made of.
struct Code {
    package: Handle<Object>,
    manifest: Handle<Object>,
}

/// A function with what it runs on.
struct Deployed {
    function: Handle<Function>,
    policy: Handle<RolePolicy>,
}

/// What tells one function from the other.
struct Face<'a> {
    /// Its handler, and its name within the stack.
    name: &'a str,
    description: &'a str,
    size: FunctionSize,
    /// What it may do besides writing its log.
    rights: Vec<Value>,
    /// Its environment besides what every function gets.
    environment: Vec<(&'a str, Input<String>)>,
}

pub(super) fn declare(program: &mut Program, inputs: &Inputs) {
    let buckets = buckets(program, inputs);
    let catalog = catalog(program, inputs, &buckets);
    let code = code(program, inputs, &buckets);
    let convert = convert(program, inputs, &buckets, &catalog, &code);
    let intake = intake(program, inputs, &buckets, &catalog, &code, &convert);
    notifications(program, inputs, &buckets, &intake, &convert);
    program.output("raw_bucket", buckets.raw.name());
    program.output("processed_bucket", buckets.processed.name());
    program.output("database", catalog.database.name());
    program.output("intake_function", intake.function.name());
    program.output("convert_function", convert.function.name());
    for dataset in &inputs.datasets {
        dataset::output(program, dataset, &buckets);
    }
}

fn buckets(program: &mut Program, inputs: &Inputs) -> Buckets {
    let retain = inputs.on_destroy_retain;
    Buckets {
        raw: bucket(program, "raw", retain),
        processed: bucket(program, "processed", retain),
        // It holds nothing that an apply would not put there again.
        artifacts: bucket(program, "artifacts", false),
    }
}

/// A bucket that keeps versions, encrypts, and shows nothing to the public.
fn bucket(program: &mut Program, name: &str, retain: bool) -> Handle<Bucket> {
    let bucket = program.declare(name, Bucket {});
    let versioning = BucketVersioning { bucket: bucket.name(), status: "Enabled".into() };
    let versioning = program.declare(name, versioning);
    let encryption = BucketEncryption { bucket: bucket.name(), algorithm: "AES256".into() };
    let encryption = program.declare(name, encryption);
    let block = program.declare(name, BucketPublicAccessBlock { bucket: bucket.name(), block: true.into() });
    if retain {
        program.retain(&bucket);
        program.retain(&versioning);
        program.retain(&encryption);
        program.retain(&block);
    }
    bucket
}

fn catalog(program: &mut Program, inputs: &Inputs, buckets: &Buckets) -> Catalog {
    let database = Database {
        description: format!("Tables of the lake {}, stack {}", inputs.lake, inputs.stack).into(),
        location: concat(["s3://".into(), (&buckets.processed.name()).into(), "/".into()]),
    };
    let Inputs { partition, region, account_id, .. } = inputs;
    Catalog {
        database: program.declare("lake", database),
        arn_prefix: format!("arn:{partition}:glue:{region}:{account_id}:"),
    }
}

fn code(program: &mut Program, inputs: &Inputs, buckets: &Buckets) -> Code {
    let package = Object {
        bucket: buckets.artifacts.name(),
        key: package_key(inputs).into(),
        sha256: inputs.package.sha256.as_str().into(),
    };
    let manifest = Object {
        bucket: buckets.artifacts.name(),
        key: inputs.manifest.key.as_str().into(),
        sha256: inputs.manifest.sha256.as_str().into(),
    };
    Code { package: program.declare("package", package), manifest: program.declare("manifest", manifest) }
}

fn package_key(inputs: &Inputs) -> String {
    format!("{PACKAGE_PREFIX}{}.zip", inputs.package.sha256)
}

fn convert(program: &mut Program, inputs: &Inputs, buckets: &Buckets, catalog: &Catalog, code: &Code) -> Deployed {
    let (raw, processed, tables) = reach(inputs, buckets, catalog);
    let ledger = policy::inside(&buckets.processed.arn(), &format!("/{LEDGER_PREFIX}*"));
    let catalog_arns = [catalog.arn("catalog").into(), catalog.database.arn().to_value()];
    let mut rights = vec![
        // Without it S3 answers 403 for a key that is not there. It cannot be narrowed to a prefix: what S3 asks
        // then is whether the whole bucket may be listed.
        policy::allow("Missing", &["s3:ListBucket"], [&buckets.raw, &buckets.processed].map(|b| b.arn().to_value())),
        policy::allow(
            "Write",
            &["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
            processed.into_iter().chain([ledger]),
        ),
        policy::allow(
            "Catalog",
            &["glue:GetTable", "glue:CreateTable", "glue:UpdateTable"],
            catalog_arns.into_iter().chain(tables),
        ),
    ];
    // A statement without a resource is no statement.
    if !inputs.datasets.is_empty() {
        rights.push(policy::allow("Read", &["s3:GetObject"], raw));
    }
    let face = Face {
        name: "convert",
        description: "converts CSV objects to Parquet",
        size: inputs.convert,
        rights,
        environment: Vec::new(),
    };
    deploy(program, inputs, buckets, catalog, code, face)
}

/// What convert may read, what it may write, and its tables: each dataset's own, while they fit a role; else all that
/// the lake has, whose buckets and database hold nothing of others.
fn reach(inputs: &Inputs, buckets: &Buckets, catalog: &Catalog) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
    let datasets = &inputs.datasets;
    if fit_a_role(datasets) {
        return (
            datasets.iter().map(|dataset| dataset::raw_objects(dataset, buckets)).collect(),
            datasets.iter().map(|dataset| dataset::processed_objects(dataset, buckets)).collect(),
            datasets.iter().map(|dataset| dataset::table(&dataset.name, catalog)).collect(),
        );
    }
    let all = |bucket: &Handle<Bucket>| vec![policy::inside(&bucket.arn(), "/*")];
    (all(&buckets.raw), all(&buckets.processed), vec![dataset::table("*", catalog)])
}

/// Whether a policy that names every dataset is short enough. References count as the longest that they stand for.
fn fit_a_role(datasets: &[Dataset]) -> bool {
    let chars = |dataset: &Dataset| DATASET_POLICY_CHARS + dataset.source.len() + 2 * dataset.name.len();
    LAKE_POLICY_CHARS + datasets.iter().map(chars).sum::<usize>() <= ROLE_POLICIES_CHARS_MAX
}

fn intake(
    program: &mut Program,
    inputs: &Inputs,
    buckets: &Buckets,
    catalog: &Catalog,
    code: &Code,
    convert: &Deployed,
) -> Deployed {
    let markers = policy::inside(&buckets.processed.arn(), &format!("/{LEDGER_PREFIX}pending/*"));
    let face = Face {
        name: "intake",
        description: "writes down which objects have come",
        size: inputs.intake,
        rights: vec![
            policy::allow("Write", &["s3:PutObject"], [markers]),
            policy::allow("Invoke", &["lambda:InvokeFunction"], [convert.function.arn().to_value()]),
        ],
        environment: vec![("LAKE_CONVERT_FUNCTION", convert.function.name())],
    };
    deploy(program, inputs, buckets, catalog, code, face)
}

/// A function with its log, its role and what the role may do.
fn deploy(
    program: &mut Program,
    inputs: &Inputs,
    buckets: &Buckets,
    catalog: &Catalog,
    code: &Code,
    face: Face<'_>,
) -> Deployed {
    let name = face.name;
    let log = program.declare(name, LogGroup { retention_days: LOG_RETENTION_DAYS.into() });
    let description = format!("Lake {}, stack {}: {}", inputs.lake, inputs.stack, face.description);
    let role = program.declare(name, Role { trust: policy::lambda_trust(), description: description.into() });
    let common = [
        policy::allow("Log", &["logs:CreateLogStream", "logs:PutLogEvents"], [policy::inside(&log.arn(), ":*")]),
        policy::allow(
            "Manifest",
            &["s3:GetObject"],
            [policy::inside(&buckets.artifacts.arn(), &format!("/{MANIFEST_PREFIX}*"))],
        ),
    ];
    let document = policy::policy(common.into_iter().chain(face.rights));
    let policy = program.declare(name, RolePolicy { role: role.name(), policy: name.into(), document });
    let function = Function {
        role: role.arn(),
        handler: name.into(),
        architecture: inputs.package.architecture.as_str().into(),
        memory_mb: face.size.memory_mb.into(),
        timeout_seconds: face.size.timeout_seconds.into(),
        environment: environment(inputs, buckets, catalog, face.environment),
        log_group: log.name(),
        code_bucket: buckets.artifacts.name(),
        code_key: package_key(inputs).into(),
        code_sha256: inputs.package.sha256.as_str().into(),
    };
    let function = program.declare(name, function);
    // Lambda takes the package when the function is made; the first event may come as soon as it is.
    program.after(&function, &code.package);
    program.after(&function, &code.manifest);
    program.after(&function, &policy);
    let invocation = EventInvokeConfig {
        function: function.name(),
        retries_max: EVENT_RETRIES.into(),
        event_age_max_seconds: EVENT_AGE_MAX_SECONDS.into(),
        on_failure: None,
    };
    program.declare(name, invocation);
    Deployed { function, policy }
}

/// What a function reads at its start. The pipeline's bootstrap has the other end of these names.
fn environment(
    inputs: &Inputs,
    buckets: &Buckets,
    catalog: &Catalog,
    own: Vec<(&str, Input<String>)>,
) -> BTreeMap<String, Input<String>> {
    let common = [
        ("LAKE_NAME", inputs.lake.as_str().into()),
        ("LAKE_STACK", inputs.stack.as_str().into()),
        ("LAKE_RAW_BUCKET", buckets.raw.name()),
        ("LAKE_PROCESSED_BUCKET", buckets.processed.name()),
        ("LAKE_ARTIFACTS_BUCKET", buckets.artifacts.name()),
        ("LAKE_DATABASE", catalog.database.name()),
        ("LAKE_MANIFEST", inputs.manifest.key.as_str().into()),
    ];
    common.into_iter().chain(own).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// S3 tells intake of new objects, from when all is there that their conversion needs.
fn notifications(program: &mut Program, inputs: &Inputs, buckets: &Buckets, intake: &Deployed, convert: &Deployed) {
    let permission = Permission {
        function: intake.function.name(),
        statement: "lake-raw-bucket".into(),
        principal: "s3.amazonaws.com".into(),
        source_arn: buckets.raw.arn(),
        // A bucket's ARN has no account: another's bucket of that name, after ours is gone, must not get through.
        source_account: inputs.account_id.as_str().into(),
    };
    let permission = program.declare("intake", permission);
    if inputs.datasets.is_empty() {
        return;
    }
    let arn = || intake.function.arn();
    let functions = inputs.datasets.iter().map(|dataset| dataset::notification(dataset, arn())).collect();
    let notification = program.declare("raw", BucketNotification { bucket: buckets.raw.name(), functions });
    program.after(&notification, &permission);
    program.after(&notification, &intake.policy);
    program.after(&notification, &convert.policy);
    program.after(&notification, &convert.function);
}
