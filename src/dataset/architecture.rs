//! Processors that functions run on: what plugins are compiled for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A processor architecture that Lambda offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// Intel and AMD, 64 bits.
    #[serde(rename = "x86_64")]
    X86_64,
    /// AWS Graviton and other 64-bit ARM.
    Arm64,
}

impl fmt::Display for Architecture {
    /// The name that Lambda's API uses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Architecture::X86_64 => "x86_64",
            Architecture::Arm64 => "arm64",
        })
    }
}
