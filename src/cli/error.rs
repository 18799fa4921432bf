//! The CLI's one error type: what went wrong, and hints on what to do next.

use std::fmt;

use miette::Diagnostic;

use crate::{config::ConfigError, package::plugin::BuildError, state::store::StateError};

use super::{EXIT_FAILED, EXIT_USAGE};

/// Why a command failed.
#[derive(Debug)]
pub struct CliError {
    kind: Kind,
    hints: Vec<String>,
}

#[derive(Debug)]
enum Kind {
    /// `lake.toml` is wrong: shown with its lines.
    Config(Box<ConfigError>),
    /// The arguments are wrong in a way clap cannot see.
    Usage(String),
    /// Anything else, with its chain of causes.
    Failed(anyhow::Error),
}

impl CliError {
    /// A failure in plain words.
    pub fn failed(message: impl fmt::Display) -> Self {
        CliError { kind: Kind::Failed(anyhow::anyhow!("{message}")), hints: Vec::new() }
    }

    /// Wrong arguments.
    pub fn usage(message: impl fmt::Display) -> Self {
        CliError { kind: Kind::Usage(message.to_string()), hints: Vec::new() }
    }

    /// Adds what the user can do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// What the user can do next.
    pub fn hints(&self) -> &[String] {
        &self.hints
    }

    /// The configuration error, to be shown with its lines.
    pub fn as_config(&self) -> Option<&ConfigError> {
        match &self.kind {
            Kind::Config(error) => Some(error),
            _ => None,
        }
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Usage(_) => EXIT_USAGE,
            _ => EXIT_FAILED,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Config(error) => error.fmt(f),
            Kind::Usage(message) => f.write_str(message),
            Kind::Failed(error) => write!(f, "{error:#}"),
        }
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        CliError { kind: Kind::Config(Box::new(error)), hints: Vec::new() }
    }
}

impl<E: Into<anyhow::Error>> From<E> for CliError
where
    E: NotConfig,
{
    fn from(error: E) -> Self {
        CliError { kind: Kind::Failed(error.into()), hints: Vec::new() }
    }
}

impl From<BuildError> for CliError {
    fn from(error: BuildError) -> Self {
        let help = error.help().map(|help| help.to_string());
        let failed = CliError { kind: Kind::Failed(error.into()), hints: Vec::new() };
        match help {
            Some(help) => failed.hint(help),
            None => failed,
        }
    }
}

impl From<StateError> for CliError {
    fn from(error: StateError) -> Self {
        let missing = match &error {
            StateError::NoBucket { bucket } => Some(bucket.clone()),
            _ => None,
        };
        let failed = CliError { kind: Kind::Failed(error.into()), hints: Vec::new() };
        match missing {
            Some(bucket) => failed.hint(format!(
                "make it: `aws s3 mb s3://{bucket}` (for the embedded cloud first `eval \"$(lake cloud env)\"`)"
            )),
            None => failed,
        }
    }
}

/// Errors that need no special rendering; [`ConfigError`] is the one that does.
pub trait NotConfig {}

macro_rules! not_config {
    ($($error:ty),* $(,)?) => {$(impl NotConfig for $error {})*};
}

not_config!(
    anyhow::Error,
    std::io::Error,
    serde_json::Error,
    arrow::error::ArrowError,
    parquet::errors::ParquetError,
    crate::apply::StepError,
    crate::executor::Error,
    crate::executor::transform::PluginError,
    crate::pipeline::ports::CloudError,
    crate::package::PackageError,
    crate::plan::PlanError,
    crate::provider::ProviderError,
    crate::recover::RecoverError,
    crate::refresh::RefreshError,
);
