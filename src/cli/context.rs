//! What every command needs: the project, the stack, its state and lock, how to talk.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tracing_subscriber::EnvFilter;

use crate::{
    config::{Config, Stack, StatePlace},
    state::store::{Local, Lock, Locks, S3, Store},
};

use super::{connect, console::Console, error::CliError, interrupts::Interrupts};

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub struct Global {
    /// The project's folder.
    #[arg(short = 'C', long = "directory", value_name = "DIR", default_value = ".", global = true)]
    pub directory: PathBuf,
    /// The stack, a `[stack.NAME]` of lake.toml.
    #[arg(long, value_name = "NAME", default_value = crate::config::DEFAULT_STACK, global = true)]
    pub stack: String,
    /// One JSON document, or JSON lines, on stdout; text for people on stderr.
    #[arg(long, global = true)]
    pub json: bool,
    /// Calls to the cloud at once.
    #[arg(long, value_name = "N", default_value_t = crate::apply::PARALLEL_DEFAULT, global = true)]
    pub parallel: usize,
    /// Waits so long for a stack that another command has locked.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, global = true)]
    pub lock_timeout: u64,
    /// Results and errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More diagnostics on stderr, and how CSV was read; twice for every call.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// No colour (also by NO_COLOR).
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// A command's surroundings.
#[derive(Debug)]
pub struct Context {
    /// How to talk to the user.
    pub console: Console,
    /// Calls to the cloud at once.
    pub parallel: usize,
    /// The locks that this process holds.
    pub locks: Locks,
    /// Who sees to it when the user interrupts.
    pub interrupts: Interrupts,
    global: Global,
}

impl Context {
    pub(super) fn new(global: Global, console: Console) -> Self {
        let (locks, interrupts) = (Locks::default(), Interrupts::default());
        Context { console, parallel: global.parallel.max(1), locks, interrupts, global }
    }

    /// The same surroundings in another project's folder.
    pub fn in_folder(&self, folder: &Path) -> Self {
        let global = Global { directory: folder.to_owned(), ..self.global.clone() };
        let (console, locks, interrupts) = (self.console.clone(), self.locks.clone(), self.interrupts.clone());
        Context { console, parallel: self.parallel, locks, interrupts, global }
    }

    /// The same surroundings for a command that is a part of another, which alone writes JSON and sees to interrupts.
    pub fn within_another(mut self) -> Self {
        self.console = self.console.without_documents();
        self.interrupts = Interrupts::of_another();
        self
    }

    /// The project's folder.
    pub fn folder(&self) -> &Path {
        &self.global.directory
    }

    /// The stack's name.
    pub fn stack_name(&self) -> &str {
        &self.global.stack
    }

    /// Reads `lake.toml`.
    pub fn config(&self) -> Result<Config, CliError> {
        Ok(Config::load(self.folder())?)
    }

    /// The stack that the user means.
    pub fn stack<'a>(&self, config: &'a Config) -> Result<&'a Stack, CliError> {
        Ok(config.stack(self.stack_name())?)
    }

    /// Where everything that lake writes lies.
    pub fn state_folder(&self) -> PathBuf {
        self.folder().join("state")
    }

    /// Where the embedded cloud keeps its data.
    pub fn cloud_folder(&self) -> PathBuf {
        self.state_folder().join("cloud")
    }

    /// The stack's state. For one in S3, the embedded cloud is started when it is not running.
    pub async fn store(&self, stack: &Stack) -> Result<Store, CliError> {
        let local = Store::new(Local::new(self.state_folder().join(&stack.name))).among(&self.locks);
        let Some(place) = &stack.state else { return Ok(local) };
        let s3 = connect::s3(&connect::sdk(self, stack).await?);
        let store = Store::new(S3::new(s3, &place.bucket, &place.folder(&stack.name))).among(&self.locks);
        if self.state_folder().join(&stack.name).join("state.json").exists() {
            self.refuse_left_behind(stack, place, &local, &store).await?;
        }
        Ok(store)
    }

    /// A state in the project's folder that is not in S3 was left behind when `state` was written into lake.toml: going
    /// on without it would make everything a second time.
    async fn refuse_left_behind(
        &self,
        stack: &Stack,
        place: &StatePlace,
        local: &Store,
        store: &Store,
    ) -> Result<(), CliError> {
        if store.load().await?.is_some() {
            return Ok(());
        }
        let Some(left) = local.present().await? else { return Ok(()) };
        if left.base.is_empty() && left.edits.is_empty() {
            return Ok(());
        }
        let file = self.state_folder().join(&stack.name).join("state.json");
        let target = format!("s3://{}/{}/state.json", place.bucket, place.folder(&stack.name));
        let error = CliError::failed(format!(
            "stack `{}` has its state in {}, and none in {}",
            stack.name,
            local.name(),
            store.name()
        ));
        Err(match left.edits.is_empty() {
            true => error.hint(format!("move it: `aws s3 cp {} {target}`, then delete the file", file.display())),
            false => error.hint("its last command was cut off: take `state` out, run `lake refresh`, then move it"),
        })
    }

    /// Takes the stack's lock for `command`; waits as long as the user said.
    pub async fn lock(&self, store: &Store, command: &str) -> Result<Lock, CliError> {
        // From here on, whoever interrupts must not leave a lock behind.
        self.interrupts.give_back(&self.locks, &self.console)?;
        let waiting = |holder: &_| self.console.warn(format!("waiting for {holder}"));
        let patience = Duration::from_secs(self.global.lock_timeout);
        let lock = store.lock_within(command, patience, waiting).await?;
        if let Some(replaced) = lock.replaced() {
            let (holder, why) = (&replaced.holder, &replaced.why);
            self.console.warn(format!("took over the lock of {holder}: {why}"));
        }
        Ok(lock)
    }

    /// Whether more is to be told than is asked for by default.
    pub fn is_verbose(&self) -> bool {
        self.global.verbose > 0
    }

    /// Diagnostics on stderr, as verbose as asked.
    pub(super) fn init_tracing(&self) {
        let default = match self.global.verbose {
            0 => "error",
            1 => "lake=info,warn",
            _ => "lake=debug,info",
        };
        let filter = EnvFilter::try_from_env("LAKE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
        // At `debug` these two write request headers, with session tokens in them.
        let silent = ["s3s=warn", "aws_smithy_runtime=info"].into_iter().filter_map(|it| it.parse().ok());
        let filter = silent.fold(filter, EnvFilter::add_directive);
        let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        // A second subscriber (a test in the same process) is no reason to fail.
        let _ = builder.with_ansi(self.console.is_colored()).try_init();
    }
}
