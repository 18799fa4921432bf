//! What can be wrong with a plugin. None of it is a fault of the rows around it.

use super::{PACKAGE, VERSION};

/// Why a plugin cannot be used, or failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// The bytes are no component that exports the contract: text, a core module, another world, an import that no
    /// host has.
    #[error("plugin {plugin}: {message}")]
    NotATransform {
        /// What the plugin is called.
        plugin: String,
        /// What it is instead, and what to do.
        message: String,
    },
    /// Built against another version of the contract.
    #[error(
        "plugin {plugin} is built for {PACKAGE}@{found}; this lake has {PACKAGE}@{VERSION}. Build it again with the SDK of this lake, or use a lake that has {found}"
    )]
    Version {
        /// What the plugin is called.
        plugin: String,
        /// The version that it is built for.
        found: String,
    },
    /// A precompiled plugin that is not what it should be: for another version, processor or component, or damaged.
    #[error("the precompiled form of plugin {plugin} cannot be used: {message}")]
    Precompiled {
        /// What the plugin is called.
        plugin: String,
        /// What does not match.
        message: String,
    },
    /// It refused the columns or its configuration, in its own words.
    #[error("plugin {plugin} refuses the dataset: {message}")]
    Refused {
        /// What the plugin is called.
        plugin: String,
        /// What the plugin said.
        message: String,
    },
    /// What it answered breaks the contract: lengths, offsets, UTF-8, row numbers, types, names.
    #[error("plugin {plugin} broke the contract{}: {message}", in_rows(rows))]
    BrokeContract {
        /// What the plugin is called.
        plugin: String,
        /// Lines of the object between which the batch lay, first and last; `None` before the first batch.
        rows: Option<(u64, u64)>,
        /// What is wrong with the answer.
        message: String,
    },
    /// It failed the batch, in its own words.
    #[error("plugin {plugin} failed{}: {message}", in_rows(rows))]
    Failed {
        /// What the plugin is called.
        plugin: String,
        /// As in [`PluginError::BrokeContract`].
        rows: Option<(u64, u64)>,
        /// What the plugin said.
        message: String,
    },
    /// It stopped in the middle: a panic, a trap, a limit.
    #[error("plugin {plugin} stopped{}: {message}", in_rows(rows))]
    Trapped {
        /// What the plugin is called.
        plugin: String,
        /// As in [`PluginError::BrokeContract`].
        rows: Option<(u64, u64)>,
        /// Why, with its last words and where it was.
        message: String,
    },
    /// It did not answer in time. Trying again may help where the time left was short.
    #[error("plugin {plugin} did not answer within {seconds} s{}", in_rows(rows))]
    TimedOut {
        /// What the plugin is called.
        plugin: String,
        /// As in [`PluginError::BrokeContract`].
        rows: Option<(u64, u64)>,
        /// The time that it had, seconds.
        seconds: u64,
        /// The time was that of one batch ([`super::Limits::call`]), not what was left of the invocation: it would be
        /// exceeded again.
        of_one_call: bool,
    },
    /// A fault of the host: threads, address space. It may pass.
    #[error("the WASM host failed: {0}")]
    Host(String),
}

fn in_rows(rows: &Option<(u64, u64)>) -> String {
    match rows {
        Some((first, last)) => format!(" in lines {first} to {last}"),
        None => String::new(),
    }
}

impl PluginError {
    /// The same error, of a batch that lay between these lines of its object.
    #[must_use]
    pub fn in_lines(mut self, first: u64, last: u64) -> Self {
        match &mut self {
            PluginError::BrokeContract { rows, .. }
            | PluginError::Failed { rows, .. }
            | PluginError::Trapped { rows, .. }
            | PluginError::TimedOut { rows, .. } => *rows = Some((first, last)),
            _ => {}
        }
        self
    }

    /// True when another try on the same bytes must end the same way.
    pub fn is_permanent(&self) -> bool {
        !matches!(self, PluginError::Host(_) | PluginError::TimedOut { of_one_call: false, .. })
    }

    /// Stable code, for parked objects and reports.
    pub fn code(&self) -> &'static str {
        match self {
            PluginError::NotATransform { .. } => "plugin_unusable",
            PluginError::Version { .. } => "plugin_version",
            PluginError::Precompiled { .. } => "plugin_precompiled",
            PluginError::Refused { .. } => "plugin_refused",
            PluginError::BrokeContract { .. } => "plugin_broke_contract",
            PluginError::Failed { .. } => "plugin_failed",
            PluginError::Trapped { .. } => "plugin_trapped",
            PluginError::TimedOut { .. } => "plugin_timed_out",
            PluginError::Host(_) => "plugin_host",
        }
    }
}
