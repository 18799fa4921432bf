//! What every command needs: the project, the stack, how to talk.

use std::path::{Path, PathBuf};

use tracing_subscriber::EnvFilter;

use crate::{
    config::{Config, Stack},
    state::store::{Local, Store},
};

use super::{console::Console, error::CliError};

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
    /// Results and errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More diagnostics on stderr; twice for every call.
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
    global: Global,
}

impl Context {
    pub(super) fn new(global: Global, console: Console) -> Self {
        Context { console, parallel: global.parallel.max(1), global }
    }

    /// The same surroundings in another project's folder.
    pub fn in_folder(&self, folder: &Path) -> Self {
        let global = Global { directory: folder.to_owned(), ..self.global.clone() };
        Context { console: self.console.clone(), parallel: self.parallel, global }
    }

    /// The same surroundings for a command that is a part of another, which alone writes JSON.
    pub fn within_another(mut self) -> Self {
        self.console = self.console.without_documents();
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

    /// The stack's state.
    pub async fn store(&self, stack: &Stack) -> Result<Store, CliError> {
        Ok(Store::new(Local::new(self.state_folder().join(&stack.name))))
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
