//! Plugins as machine code, made where the lake is planned and loaded where it runs.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wasmtime::{Config, Engine, ModuleVersionStrategy, component::Component};

use super::{Host, Meter, PluginError, host, plugin::not_a_transform, shape};
pub use crate::dataset::Architecture;

/// What the bytes begin with.
const MAGIC: &[u8] = b"lake.cwasm\n";
/// Version of the envelope.
const FORMAT: u32 = 1;
/// Bytes of the header's length, little-endian, after [`MAGIC`].
const LENGTH_BYTES: usize = 4;

/// A component as machine code for functions of one architecture, in an envelope that says for which component,
/// wasmtime and processor it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precompiled {
    /// The envelope and the code.
    pub bytes: Vec<u8>,
}

/// What the envelope says, as JSON between the length and the code.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    /// The wasmtime that made the code: no other can run it.
    wasmtime: String,
    architecture: Architecture,
    /// SHA-256 of the component, 64 hex digits.
    component: String,
    /// SHA-256 of the code, 64 hex digits.
    code: String,
}

impl Precompiled {
    /// Compiles a component for functions on `architecture`, for the oldest processors that Lambda has of it.
    ///
    /// # Errors
    /// As [`super::Plugin::compile`].
    pub fn of(name: &str, component: &[u8], architecture: Architecture) -> Result<Precompiled, PluginError> {
        shape::check(name, component)?;
        let failed = |error: wasmtime::Error| PluginError::Host(format!("{error:#}"));
        let mut config = host::config(Meter::Off);
        for_architecture(&mut config, architecture, "gnu").map_err(failed)?;
        let engine = Engine::new(&config).map_err(failed)?;
        let code = engine.precompile_component(component).map_err(|error| not_a_transform(name, &error))?;
        let header = Header {
            format: FORMAT,
            wasmtime: wasmtime_version(),
            architecture,
            component: sha256(component),
            code: sha256(&code),
        };
        let header = serde_json::to_vec(&header).map_err(|error| PluginError::Host(error.to_string()))?;
        let length = u32::try_from(header.len()).map_err(|error| PluginError::Host(error.to_string()))?;
        Ok(Precompiled { bytes: [MAGIC, &length.to_le_bytes(), &header, &code].concat() })
    }

    /// The component that these bytes are the code of, when it is the one with that SHA-256; or why not.
    pub(super) fn component(host: &Host, component_sha256: &str, bytes: &[u8]) -> Result<Component, String> {
        let (header, code) = opened(bytes).ok_or("it is damaged")?;
        if header.format != FORMAT {
            return Err(format!("its format is {}, not {FORMAT}", header.format));
        }
        if header.wasmtime != wasmtime_version() {
            return Err(format!("it was made by wasmtime {}; this is {}", header.wasmtime, wasmtime_version()));
        }
        if Some(header.architecture) != this_architecture() {
            return Err(format!("it is for {}, and this is {}", header.architecture, std::env::consts::ARCH));
        }
        if !header.component.eq_ignore_ascii_case(component_sha256) {
            return Err(format!("it is of the component {}, not of {component_sha256}", header.component));
        }
        if header.code != sha256(code) {
            return Err("its code is damaged".to_owned());
        }
        // SAFETY: these must be bytes that `Engine::precompile_component` has made. The hash says that they are
        // unchanged since `Precompiled::of` sealed them. That it was `of` which did is the promise that callers of
        // `Plugin::load` make: lake keeps them where only it writes, under a hash that its manifest names. Code for
        // another wasmtime, processor or setting is refused by wasmtime itself.
        #[expect(unsafe_code, reason = "the one way to take up code that is already compiled")]
        let component = unsafe { Component::deserialize(host.engine(), code) };
        component.map_err(|error| format!("{error:#}"))
    }
}

/// The header and the code.
fn opened(bytes: &[u8]) -> Option<(Header, &[u8])> {
    let (length, rest) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<LENGTH_BYTES>()?;
    let (header, code) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    Some((serde_json::from_slice(header).ok()?, code))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// What wasmtime itself writes into code and compares.
fn wasmtime_version() -> String {
    ModuleVersionStrategy::WasmtimeVersion.as_str().to_owned()
}

/// The architecture of this machine, when functions may have it.
fn this_architecture() -> Option<Architecture> {
    match (cfg!(target_os = "linux"), std::env::consts::ARCH) {
        (true, "x86_64") => Some(Architecture::X86_64),
        (true, "aarch64") => Some(Architecture::Arm64),
        _ => None,
    }
}

/// Code for this machine is that of functions, where it can be: what was tried here is what runs there, and equally
/// fast.
pub(super) fn for_this_machine(config: &mut Config) -> wasmtime::Result<()> {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    match this_architecture() {
        Some(architecture) => for_architecture(config, architecture, libc),
        None => Ok(()),
    }
}

/// Code for every processor of that architecture that Lambda may have.
///
/// Functions run on `provided.al2023`. Amazon Linux 2023 itself needs x86-64-v2 (SSE4.2 and POPCNT, but not AVX), or
/// Armv8.2 with its cryptographic extension
/// (<https://docs.aws.amazon.com/linux/al2023/ug/system-requirements.html>). Lambda speaks of AVX2
/// (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-avx2.html>), but promises no processor. Of Armv8.2 plugins
/// could use nothing that they do not have without: they have no threads, hence no atomics.
fn for_architecture(config: &mut Config, architecture: Architecture, libc: &str) -> wasmtime::Result<()> {
    let (triple, flags): (_, &[&str]) = match architecture {
        Architecture::X86_64 => {
            ("x86_64", &["has_cmpxchg16b", "has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"])
        }
        Architecture::Arm64 => ("aarch64", &[]),
    };
    // A target that is named is compiled for without a look at this machine's processor.
    config.target(&format!("{triple}-unknown-linux-{libc}"))?;
    for flag in flags {
        // SAFETY: these say what the processor can do, and wasmtime looks at it before it runs or loads such code.
        #[expect(unsafe_code, reason = "the one way to name a feature of a processor")]
        unsafe {
            config.cranelift_flag_enable(flag);
        }
    }
    Ok(())
}
