//! The lake's functions: intake, convert, sweep. Each has a log, a role, and rights of its own; the pipeline's module
//! documentation says what each right is for.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    FunctionSize, Inputs, MANIFEST_PREFIX,
    crawl::{CRAWLERS_KEY, Crawlers},
    data::Data,
    dataset, policy,
    storage::{Buckets, Catalog, Code},
};
use crate::{
    dataset::{CatalogMode, Dataset, LEDGER_PREFIX, TRANSFORM_PREFIX, event_source},
    resource::{
        Handle, Input, Program,
        aws::{
            iam::{Role, RolePolicy},
            lambda::{EventInvokeConfig, Function},
            logs::LogGroup,
            sqs::Queue,
        },
    },
};

/// Days that log events are kept.
const LOG_RETENTION_DAYS: u32 = 30;

/// Times that Lambda tries an event again after an error: all that it offers.
const EVENT_RETRIES: u32 = 2;

/// Seconds that an event may wait for its function: all that Lambda offers, six hours. What is older than that goes
/// to the dead letters, and the sweep finds it by its marker.
const EVENT_AGE_MAX_SECONDS: u32 = 21_600;

/// Characters that a role's inline policies may have together
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>).
pub(super) const ROLE_POLICIES_CHARS_MAX: usize = 10_240;

/// Characters of convert's policies without its datasets, at most.
const LAKE_POLICY_CHARS: usize = 3_500;

/// Characters that a dataset adds to convert's policy besides its name and prefix, at most: the ARNs of its place in
/// both buckets and of its table.
const DATASET_POLICY_CHARS: usize = 280;

/// What every function is deployed with.
pub(super) struct Ground<'a> {
    pub inputs: &'a Inputs,
    pub buckets: &'a Buckets,
    pub catalog: &'a Catalog,
    pub code: &'a Code,
    pub dead_letters: &'a Handle<Queue>,
    pub crawlers: Option<&'a Crawlers>,
    pub data: &'a [Data],
}

/// A function with what it runs on.
pub(super) struct Deployed {
    pub function: Handle<Function>,
    pub role: Handle<Role>,
    pub policy: Handle<RolePolicy>,
}

/// What tells one function from another.
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

impl Ground<'_> {
    /// The function that S3 tells of objects.
    pub fn intake(&self, program: &mut Program, convert: &Deployed) -> Deployed {
        let markers = self.ledger("pending/*");
        let mut rights = vec![policy::allow("Write", &["s3:PutObject"], [markers.clone()])];
        if self.inputs.datasets.iter().any(|dataset| dataset.catalog == CatalogMode::Direct) {
            rights.push(policy::allow("Invoke", &["lambda:InvokeFunction"], [convert.function.arn().to_value()]));
        }
        if self.crawlers.is_some() {
            // What a marker says of the crawl is written over the version that was read.
            rights.push(policy::allow("Read", &["s3:GetObject"], [markers]));
            rights.extend(self.crawl_rights());
        }
        let face = Face {
            name: "intake",
            description: "writes down which objects have come",
            size: self.inputs.intake,
            rights,
            environment: vec![("LAKE_CONVERT_FUNCTION", convert.function.name())],
        };
        self.deploy(program, face)
    }

    /// The function that converts.
    pub fn convert(&self, program: &mut Program) -> Deployed {
        let Ground { inputs, buckets, catalog, .. } = self;
        let (raw, processed, tables) = self.reach();
        let catalog_arns = [catalog.arn("catalog").into(), catalog.database.arn().to_value()];
        let mut rights = vec![
            // Without it S3 answers 403 for a key that is not there. It cannot be narrowed to a prefix: what S3 asks
            // then is whether the whole bucket may be listed.
            policy::allow(
                "Missing",
                &["s3:ListBucket"],
                [&buckets.raw, &buckets.processed].map(|b| b.arn().to_value()),
            ),
            policy::allow(
                "Write",
                &["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
                processed.into_iter().chain([self.ledger("*")]),
            ),
            policy::allow(
                "Catalog",
                &[
                    "glue:GetTable",
                    "glue:CreateTable",
                    "glue:UpdateTable",
                    "glue:BatchCreatePartition",
                    // A table that is partitioned otherwise from now on forgets those that it had.
                    "glue:GetPartitions",
                    "glue:BatchDeletePartition",
                ],
                catalog_arns.into_iter().chain(tables),
            ),
            self.tell(),
        ];
        // A statement without a resource is no statement.
        if !inputs.datasets.is_empty() {
            rights.push(policy::allow("Read", &["s3:GetObject"], raw));
        }
        if inputs.transforms().next().is_some() {
            let plugins = policy::inside(&buckets.artifacts.arn(), &format!("/{TRANSFORM_PREFIX}*"));
            rights.push(policy::allow("Transforms", &["s3:GetObject"], [plugins]));
        }
        rights.extend(self.crawl_rights());
        let face = Face {
            name: "convert",
            description: "converts CSV objects to Parquet",
            size: inputs.convert,
            rights,
            environment: Vec::new(),
        };
        let convert = self.deploy(program, face);
        for plugin in &self.code.plugins {
            program.after(&convert.function, plugin);
        }
        if self.crawlers.is_some() {
            // It hands what one crawl has seen to invocations of its own. The function cannot be named before it is
            // there, hence a policy that comes after it.
            let itself = policy::allow("Itself", &["lambda:InvokeFunction"], [convert.function.arn().to_value()]);
            let rights =
                RolePolicy { role: convert.role.name(), policy: "itself".into(), document: policy::policy([itself]) };
            program.declare("convert-itself", rights);
        }
        convert
    }

    /// The function that looks after what was left behind.
    pub fn sweep(&self, program: &mut Program, convert: &Deployed) -> Deployed {
        let Buckets { raw, processed, .. } = self.buckets;
        let mut rights = vec![
            policy::allow("List", &["s3:ListBucket"], [raw, processed].map(|bucket| bucket.arn().to_value())),
            policy::allow("Read", &["s3:GetObject"], ["pending/*", "commits/*", "parked/*"].map(|it| self.ledger(it))),
            policy::allow("Write", &["s3:PutObject"], ["pending/*", "parked/*"].map(|it| self.ledger(it))),
            self.tell(),
            policy::allow("Invoke", &["lambda:InvokeFunction"], [convert.function.arn().to_value()]),
        ];
        rights.extend(self.crawl_rights());
        let face = Face {
            name: "sweep",
            description: "looks for objects that were left behind",
            size: self.inputs.sweep,
            rights,
            environment: vec![("LAKE_CONVERT_FUNCTION", convert.function.name())],
        };
        self.deploy(program, face)
    }

    /// What it takes to put the lake's own events onto the bus, and no others.
    fn tell(&self) -> Value {
        policy::allow_if(
            "Tell",
            &["events:PutEvents"],
            [self.inputs.arn("events", "event-bus/default").into()],
            ("StringEquals", "events:source", &event_source(&self.inputs.lake)),
        )
    }

    /// The ledger's objects like `path`.
    fn ledger(&self, path: &str) -> Value {
        policy::inside(&self.buckets.processed.arn(), &format!("/{LEDGER_PREFIX}{path}"))
    }

    /// What it takes to start crawls: of this stack's crawlers alone, whose names all begin alike.
    fn crawl_rights(&self) -> Option<Value> {
        let crawlers = self.inputs.arn("glue", &format!("crawler/{}*", self.inputs.name_prefix()));
        self.crawlers.map(|_| policy::allow("Crawl", &["glue:GetCrawler", "glue:StartCrawler"], [crawlers.into()]))
    }

    /// What convert may read, what it may write, and its tables: each dataset's own, while they fit a role; else all
    /// that the lake has, whose buckets and database hold nothing of others.
    fn reach(&self) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
        let Ground { inputs, buckets, catalog, .. } = self;
        let datasets = &inputs.datasets;
        if fit_a_role(datasets) {
            return (
                datasets.iter().map(|dataset| dataset::raw_objects(dataset, buckets)).collect(),
                datasets.iter().map(|dataset| dataset::processed_objects(dataset, buckets)).collect(),
                datasets.iter().map(|dataset| dataset::table(dataset, catalog)).collect(),
            );
        }
        let all = |arn: Input<String>| vec![policy::inside(&arn, "/*")];
        (all(buckets.raw.arn()), all(buckets.processed.arn()), vec![catalog.table("*").to_value()])
    }

    /// A function with its log, its role and what the role may do.
    fn deploy(&self, program: &mut Program, face: Face<'_>) -> Deployed {
        let Ground { inputs, buckets, code, .. } = self;
        let name = face.name;
        let log = program.declare(name, LogGroup { retention_days: LOG_RETENTION_DAYS.into() });
        let description = format!("Lake {}, stack {}: {}", inputs.lake, inputs.stack, face.description);
        let role = program
            .declare(name, Role { trust: policy::trust("lambda.amazonaws.com"), description: description.into() });
        let manifests = policy::inside(&buckets.artifacts.arn(), &format!("/{MANIFEST_PREFIX}*"));
        let common = [
            policy::allow("Log", &["logs:CreateLogStream", "logs:PutLogEvents"], [policy::inside(&log.arn(), ":*")]),
            policy::allow("Manifest", &["s3:GetObject"], [manifests]),
            policy::allow("DeadLetters", &["sqs:SendMessage"], [self.dead_letters.arn().to_value()]),
        ];
        let document = policy::policy(common.into_iter().chain(face.rights));
        let policy = program.declare(name, RolePolicy { role: role.name(), policy: name.into(), document });
        let function = Function {
            role: role.arn(),
            handler: name.into(),
            architecture: inputs.package.architecture.to_string().into(),
            memory_mb: face.size.memory_mb.into(),
            timeout_seconds: face.size.timeout_seconds.into(),
            environment: self.environment(face.environment),
            log_group: log.name(),
            code_bucket: buckets.artifacts.name(),
            code_key: code.package_key.as_str().into(),
            code_sha256: inputs.package.sha256.as_str().into(),
        };
        let function = program.declare(name, function);
        // Lambda takes the package when the function is made; the first event may come as soon as it is.
        program.after(&function, &code.package);
        program.after(&function, &code.manifest);
        program.after(&function, &policy);
        // What a dataset leaves behind goes only when nobody who may write there knows of the dataset any more.
        for data in self.data {
            data.written_by(program, &function);
            data.written_by(program, &policy);
        }
        let invocation = EventInvokeConfig {
            function: function.name(),
            retries_max: EVENT_RETRIES.into(),
            event_age_max_seconds: EVENT_AGE_MAX_SECONDS.into(),
            on_failure: Some(self.dead_letters.arn()),
        };
        let invocation = program.declare(name, invocation);
        // Lambda asks whether the role may send there.
        program.after(&invocation, &policy);
        Deployed { function, role, policy }
    }

    /// What a function reads at its start. The pipeline's bootstrap has the other end of these names.
    fn environment(&self, own: Vec<(&str, Input<String>)>) -> BTreeMap<String, Input<String>> {
        let Ground { inputs, buckets, catalog, crawlers, .. } = self;
        let common = [
            ("LAKE_NAME", inputs.lake.as_str().into()),
            ("LAKE_STACK", inputs.stack.as_str().into()),
            ("LAKE_RAW_BUCKET", buckets.raw.name()),
            ("LAKE_PROCESSED_BUCKET", buckets.processed.name()),
            ("LAKE_ARTIFACTS_BUCKET", buckets.artifacts.name()),
            ("LAKE_DATABASE", catalog.database.name()),
            ("LAKE_MANIFEST", inputs.manifest.key.as_str().into()),
        ];
        let crawlers = crawlers.iter().flat_map(|crawlers| {
            [
                ("LAKE_CRAWLERS", format!("{MANIFEST_PREFIX}{CRAWLERS_KEY}").into()),
                // Other crawlers, another environment: functions that are warm begin anew and read the names again.
                ("LAKE_CRAWLERS_VERSION", crawlers.names.etag()),
            ]
        });
        let all = common.into_iter().chain(crawlers).chain(own);
        all.map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// Whether a policy that names every dataset is short enough. References count as the longest that they stand for.
pub(super) fn fit_a_role(datasets: &[Dataset]) -> bool {
    let chars = |dataset: &Dataset| DATASET_POLICY_CHARS + dataset.source.len() + 2 * dataset.name.len();
    LAKE_POLICY_CHARS + datasets.iter().map(chars).sum::<usize>() <= ROLE_POLICIES_CHARS_MAX
}
