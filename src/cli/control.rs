//! What `plan`, `apply` and `destroy` have in common: configuration, cloud, packages, program, state, plan.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    config::{Config, OnDestroy, Stack, Target},
    dataset::{Architecture, Dataset, Manifest},
    files,
    package::{self, Storage},
    plan::{self, Plan, Scope},
    program::{self, FunctionPackage, FunctionSize, ManifestObject},
    provider::{
        Provider,
        aws::{self, Assets},
    },
    refresh::{Prior, refresh},
    resource::{Address, Program},
    state::{
        Snapshot,
        store::{Loaded, Lock, Store},
    },
};

use super::{
    connect::{Connection, connect},
    context::Context,
    deployed::Deployed,
    differences::{self, Difference},
    error::CliError,
    keep::keep,
    scope,
    stale::{self, Stale},
    transforms::{self, Known, Resolved},
};

/// Where a plan leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// To what `lake.toml` declares.
    Declared,
    /// To nothing: the empty program.
    Nothing,
}

/// A plan, and everything to apply it with.
pub struct Prepared {
    /// What is to be done.
    pub plan: Plan,
    /// State as stored.
    pub stored: Loaded,
    /// State as the cloud confirms it.
    pub prior: Prior,
    /// The kinds of the stack's cloud.
    pub provider: Arc<Provider>,
    /// Where state is kept.
    pub store: Store,
    /// The stack is ours alone until this is released.
    pub lock: Option<Arc<Lock>>,
    /// The command that the stack is locked for.
    pub command: &'static str,
    /// What the plan means besides what it does.
    pub meaning: Meaning,
}

/// What a plan means for transforms and for data.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Meaning {
    /// The datasets' transforms.
    pub transforms: Vec<Known>,
    /// Settings of datasets that are others than those deployed.
    pub differences: Vec<Difference>,
    /// Committed objects that were made with another transform or configuration.
    pub stale: Vec<Stale>,
    /// What stays although nothing of the lake reads it any more.
    pub left: Vec<String>,
}

/// Gets from the project's folder to a plan. With a `command`, the stack stays locked for it.
pub async fn prepare(
    context: &Context,
    goal: Goal,
    command: Option<&'static str>,
    scope: &Scope,
) -> Result<Prepared, CliError> {
    let config = context.config()?;
    let stack = context.stack(&config)?;
    let store = context.store(stack).await?;
    let lock = match command {
        Some(command) => Some(Arc::new(context.lock(&store, command).await?)),
        None => None,
    };
    let stored = load_or_create(context, &store, &config, stack, lock.as_deref()).await?;
    let connection = connect(context, stack).await?;
    if goal == Goal::Declared && !secure_transport(stack) {
        context.console.warn(format!(
            "the endpoint of stack `{}` speaks plain http: its buckets get no policy that refuses what comes without TLS",
            stack.name
        ));
    }
    let deployed = match goal == Goal::Declared && !stored.snapshot.outputs.is_empty() {
        true => Some(Deployed::of(config.clone(), connection.clone(), stored.snapshot.clone())?),
        false => None,
    };
    let Declared { program, assets, datasets, transforms } = match goal {
        Goal::Declared => declared(context, &config, stack, &connection, deployed.as_ref()).await?,
        Goal::Nothing => Declared::default(),
    };
    let provider = Arc::new(aws::provider(&connection.sdk, assets));
    let mut prior = refresh(stored.snapshot.clone(), &provider, context.parallel).await?;
    let left = match goal {
        Goal::Declared => keep(&mut prior.snapshot, &program, stack.on_destroy),
        Goal::Nothing => Vec::new(),
    };
    let inputs = plan::Inputs {
        program: &program,
        prior: &prior.snapshot,
        schemas: provider.schemas(),
        config_hash: &config.hash,
    };
    let plan = plan::plan_within(inputs, scope).map_err(scope::explained)?;
    let mut meaning = Meaning { transforms, left, ..Meaning::default() };
    if let Some(deployed) = deployed.filter(|_| stale::changes_datasets(&plan)) {
        let manifest = deployed.manifest_if_usable(&context.console).await?;
        meaning.differences =
            manifest.as_ref().map_or_else(Vec::new, |manifest| differences::between(manifest, &datasets));
        meaning.stale = stale::count(&deployed, manifest.as_ref(), &datasets).await?;
    }
    let command = command.unwrap_or("plan");
    Ok(Prepared { plan, stored, prior, provider, store, lock, command, meaning })
}

/// The stack's state, made when the stack has none yet.
pub async fn load_or_create(
    context: &Context,
    store: &Store,
    config: &Config,
    stack: &Stack,
    lock: Option<&Lock>,
) -> Result<Loaded, CliError> {
    match load(store, config, stack).await? {
        Some(loaded) => Ok(loaded),
        None => create(context, store, config, stack, lock).await,
    }
}

/// The stack's state; `None` for a stack that has none yet.
pub async fn load(store: &Store, config: &Config, stack: &Stack) -> Result<Option<Loaded>, CliError> {
    let Some(loaded) = store.load().await? else { return Ok(None) };
    let snapshot = &loaded.snapshot;
    if snapshot.lake == config.lake.name {
        return Ok(Some(loaded));
    }
    let message = format!(
        "the state of stack `{}` belongs to the lake `{}`, not `{}`",
        stack.name, snapshot.lake, config.lake.name
    );
    Err(CliError::failed(message)
        .hint("destroy the stack before renaming the lake, or give this lake a stack of its own"))
}

/// A new stack's state is written at once: the names in its first plan are the names that apply makes.
async fn create(
    context: &Context,
    store: &Store,
    config: &Config,
    stack: &Stack,
    lock: Option<&Lock>,
) -> Result<Loaded, CliError> {
    let Some(lock) = lock else {
        let lock = context.lock(store, "plan").await?;
        let created = Box::pin(create(context, store, config, stack, Some(&lock))).await;
        lock.release().await?;
        return created;
    };
    // Somebody else's first plan may have come in between.
    if let Some(loaded) = load(store, config, stack).await? {
        return Ok(loaded);
    }
    store.create(lock, &Snapshot::new(&config.lake.name, &stack.name)).await?;
    let created = load(store, config, stack).await?;
    created.ok_or_else(|| CliError::failed(format!("the state at {} is gone while it is made", store.name())))
}

/// What `lake.toml` declares, for a stack that was applied when there is a `snapshot` that says so.
pub async fn program(
    context: &Context,
    config: &Config,
    stack: &Stack,
    connection: &Connection,
    snapshot: Option<&Snapshot>,
) -> Result<Program, CliError> {
    let applied = snapshot.filter(|snapshot| !snapshot.outputs.is_empty());
    let deployed = applied.map(|snapshot| Deployed::of(config.clone(), connection.clone(), snapshot.clone()));
    let declared = declared(context, config, stack, connection, deployed.transpose()?.as_ref()).await?;
    Ok(declared.program)
}

/// The program of `lake.toml`, and the packages it deploys.
#[derive(Default)]
struct Declared {
    program: Program,
    assets: Assets,
    datasets: Vec<Dataset>,
    transforms: Vec<Known>,
}

async fn declared(
    context: &Context,
    config: &Config,
    stack: &Stack,
    connection: &Connection,
    deployed: Option<&Deployed>,
) -> Result<Declared, CliError> {
    let bootstrap = match &stack.executor {
        Some(path) => path.clone(),
        None => std::env::current_exe()?,
    };
    // Loopback carries bytes faster than they deflate; the way to AWS does not.
    let storage = match stack.target {
        Target::Embedded => Storage::Stored,
        Target::Aws { .. } => {
            package::check_for_aws(&bootstrap)?;
            Storage::Deflated
        }
    };
    let cache = packages(&context.state_folder());
    let zip = package::function_zip(&bootstrap, &cache, storage)?;
    let Resolved { datasets, assets: plugins, known } =
        transforms::resolve(context, config, zip.architecture, deployed).await?;
    let (manifest, manifest_path) = manifest(&datasets, &cache)?;
    let own = [(zip.sha256.clone(), zip.path), (manifest.sha256.clone(), manifest_path)];
    let package = FunctionPackage { sha256: zip.sha256, architecture: zip.architecture };
    Ok(Declared {
        program: program::program(&inputs(config, stack, connection, datasets.clone(), (package, manifest))),
        assets: own.into_iter().chain(plugins).collect(),
        datasets,
        transforms: known,
    })
}

/// The datasets as the functions read them, in a file to be uploaded.
fn manifest(datasets: &[Dataset], cache: &Path) -> Result<(ManifestObject, PathBuf), CliError> {
    let (key, bytes) = package::manifest(datasets);
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let path = cache.join(format!("{sha256}.json"));
    if !path.exists() {
        files::write_durably(&path, &bytes)?;
    }
    Ok((ManifestObject { key, sha256 }, path))
}

fn inputs(
    config: &Config,
    stack: &Stack,
    connection: &Connection,
    datasets: Vec<Dataset>,
    (package, manifest): (FunctionPackage, ManifestObject),
) -> program::Inputs {
    program::Inputs {
        lake: config.lake.name.clone(),
        stack: stack.name.clone(),
        region: connection.region.clone(),
        account_id: connection.account_id.clone(),
        partition: connection.partition.clone(),
        secure_transport: secure_transport(stack),
        alerts: config.lake.alerts.clone(),
        on_destroy_retain: stack.on_destroy == OnDestroy::Retain,
        datasets,
        package,
        manifest,
        intake: FunctionSize::INTAKE,
        convert: FunctionSize::CONVERT,
        sweep: FunctionSize::SWEEP,
    }
}

/// Whether the way to the stack's cloud is TLS, or loopback, which the embedded cloud counts as such.
fn secure_transport(stack: &Stack) -> bool {
    !matches!(&stack.target, Target::Aws { endpoint_url: Some(url), .. } if url.starts_with("http://"))
}

/// The program without a cloud to ask, a package to hash and a plugin to build: its resources and edges are the same.
/// The plugins are those that the stack was applied with, as far as this machine remembers them.
pub fn program_offline(config: &Config, stack: &Stack, snapshot: Option<&Snapshot>) -> Program {
    let remembered = snapshot.and_then(|snapshot| remembered(&config.root.join("state"), snapshot));
    let nowhere = Connection {
        sdk: aws_config::SdkConfig::builder().build(),
        account_id: "000000000000".to_owned(),
        partition: "aws".to_owned(),
        region: stack.region.clone(),
    };
    let package = FunctionPackage { sha256: String::new(), architecture: Architecture::X86_64 };
    let datasets = transforms::offline(config, remembered.as_ref());
    let (key, _) = package::manifest(&datasets);
    let manifest = ManifestObject { key, sha256: String::new() };
    program::program(&inputs(config, stack, &nowhere, datasets, (package, manifest)))
}

/// The datasets that the stack was applied with, if this machine did it.
fn remembered(state_folder: &Path, snapshot: &Snapshot) -> Option<Manifest> {
    let manifest = snapshot.resources.get(&Address::new("aws:s3:Object", "manifest"))?;
    let sha256 = manifest.inputs.get("sha256")?;
    let sha256 = sha256.as_str()?;
    Manifest::from_bytes(&std::fs::read(packages(state_folder).join(format!("{sha256}.json"))).ok()?).ok()
}

/// Where packages are kept that were made or found once.
fn packages(state_folder: &Path) -> PathBuf {
    state_folder.join("packages")
}
