//! Looks at bytes that should be a plugin, before any of it is compiled: what they are instead, and what to do.

use std::sync::OnceLock;

use wasmparser::{ComponentExternalKind, ComponentTypeRef, Parser, Payload};
use wit_parser::{
    Function, Resolve, Type, TypeDefKind, WorldId, WorldItem,
    decoding::{DecodedWasm, decode},
};

use super::{
    PACKAGE, PluginError, VERSION,
    text::{quoted, shown},
};

/// Bytes of a component. Those of interpreters have 10 to 20 MB.
pub const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// The contract, as plugins are built against it.
pub const WIT: &str = include_str!("../../../plugins/wit/transform.wit");
/// What a plugin exports.
const EXPORTS: [&str; 3] = ["describe", "open", "transform"];
/// Names that an error lists.
const LISTED_MAX: usize = 10;

/// The component imports what there is, and exports what the contract says.
///
/// # Errors
/// [`PluginError::NotATransform`] and [`PluginError::Version`].
pub(super) fn check(plugin: &str, bytes: &[u8]) -> Result<(), PluginError> {
    let not = |message: String| PluginError::NotATransform { plugin: plugin.to_owned(), message };
    check_kind(bytes).map_err(not)?;
    let names = Names::of(bytes).map_err(not)?;
    if let Some(found) = names.other_version() {
        return Err(PluginError::Version { plugin: plugin.to_owned(), found });
    }
    names.check_imports().map_err(not)?;
    names.check_exports().map_err(not)?;
    check_signatures(bytes).map_err(not)
}

/// It is a component at all.
fn check_kind(bytes: &[u8]) -> Result<(), String> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(format!("it has {} MiB; at most {} are allowed", bytes.len() >> 20, COMPONENT_BYTES_MAX >> 20));
    }
    if Parser::is_component(bytes) {
        return Ok(());
    }
    if Parser::is_core_wasm(bytes) {
        return Err("it is a core module, not a component; `lake plugin build` wraps it into one".to_owned());
    }
    Err(format!("it is not a WebAssembly component, but {}", seems(bytes)))
}

/// What bytes that are no WebAssembly seem to be.
pub fn seems(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "an empty file",
        [0x7f, b'E', b'L', b'F', ..] => "a program for Linux (ELF)",
        [b'P', b'K', 3 | 5, 4 | 6, ..] => "a zip archive",
        [0x1f, 0x8b, ..] => "compressed with gzip",
        [b'M', b'Z', ..] => "a program for Windows",
        [0xcf, 0xfa, 0xed, 0xfe, ..] => "a program for macOS",
        [0, b'a', b's', b'm', ..] => "of a version of WebAssembly that lake does not know",
        _ if is_text_format(bytes) => "WebAssembly as text: assemble it first (`wasm-tools parse`)",
        _ if std::str::from_utf8(bytes).is_ok() => "text",
        _ => "something else",
    }
}

fn is_text_format(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    start.starts_with(b"(module") || start.starts_with(b"(component") || start.starts_with(b";;")
}

/// What a component imports and exports, by name.
#[derive(Default)]
pub(super) struct Names {
    /// But for types, in the order of the file.
    pub imports: Vec<String>,
    exports: Vec<(String, ComponentExternalKind)>,
}

impl Names {
    pub fn of(bytes: &[u8]) -> Result<Names, String> {
        let mut names = Names::default();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(damaged)? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let import = import.map_err(damaged)?;
                        // Types that the world uses are imported, too, under names of their own: they ask for nothing.
                        if !matches!(import.ty, ComponentTypeRef::Type(_)) {
                            names.imports.push(import.name.name.to_owned());
                        }
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let export = export.map_err(damaged)?;
                        names.exports.push((export.name.name.to_owned(), export.kind));
                    }
                }
                _ => {}
            }
        }
        Ok(names)
    }

    /// The version of the contract that it is built for, when it is not lake's.
    fn other_version(&self) -> Option<String> {
        let exports = self.exports.iter().map(|(name, _)| name);
        let versions = self.imports.iter().chain(exports).filter_map(|name| version(name));
        versions.into_iter().find(|version| *version != VERSION).map(|version| match version {
            "" => "unversioned".to_owned(),
            version => shown(version, 40),
        })
    }

    fn check_imports(&self) -> Result<(), String> {
        let known = [format!("{PACKAGE}/types@{VERSION}"), format!("{PACKAGE}/log@{VERSION}")];
        let unknown: Vec<&str> =
            self.imports.iter().map(String::as_str).filter(|name| !known.iter().any(|known| known == name)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let mut message = format!("it imports what lake does not give to plugins: {}", listed(&unknown));
        if unknown.iter().any(|name| name.starts_with("wasi:")) {
            message.push_str(
                ". A plugin has no WASI: build it for wasm32-unknown-unknown, or give `lake plugin build` the core \
                 module, which it wraps",
            );
        }
        Err(message)
    }

    fn check_exports(&self) -> Result<(), String> {
        let is_there = |name: &str| {
            self.exports.iter().any(|(export, kind)| export == name && *kind == ComponentExternalKind::Func)
        };
        let missing: Vec<&str> = EXPORTS.into_iter().filter(|name| !is_there(name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let found: Vec<&str> = self.exports.iter().map(|(name, _)| name.as_str()).collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { listed(&found) };
        Err(format!(
            "it does not export {} of the world {PACKAGE}/transform@{VERSION}; it exports {found}",
            listed(&missing)
        ))
    }
}

fn damaged(error: wasmparser::BinaryReaderError) -> String {
    format!("it is damaged: {}", shown(&error.to_string(), 200))
}

/// The version in a name of the contract's package, such as `lake:transform/types@0.1.0`; empty where there is none.
fn version(name: &str) -> Option<&str> {
    let rest = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
    Some(rest.split_once('@').map_or("", |(_, version)| version))
}

fn listed(names: &[&str]) -> String {
    let mut list = names.iter().take(LISTED_MAX).map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    if names.len() > LISTED_MAX {
        list.push_str(&format!(" and {} more", names.len() - LISTED_MAX));
    }
    list
}

/// Each export is the contract's, and so is each function of `log` that it imports.
fn check_signatures(bytes: &[u8]) -> Result<(), String> {
    let (contract, world) = contract();
    let other = |what: &str| format!("{what} has another signature than that of {PACKAGE}@{VERSION}: build it again");
    let (found, found_world) = match decode(bytes) {
        Ok(DecodedWasm::Component(resolve, world)) => (resolve, world),
        Ok(DecodedWasm::WitPackage(..)) => return Err("it is a WIT package, not a component".to_owned()),
        Err(error) => return Err(format!("its world cannot be read: {}", shown(&format!("{error:#}"), 300))),
    };
    for name in EXPORTS {
        let wanted = exported(contract, *world, name).map(|function| signature(contract, function));
        let is = exported(&found, found_world, name).map(|function| signature(&found, function));
        if is != wanted {
            return Err(other(&format!("its export {}", quoted(name))));
        }
    }
    for item in found.worlds[found_world].imports.values() {
        let WorldItem::Interface { id, .. } = item else { continue };
        for (name, function) in &found.interfaces[*id].functions {
            if Some(signature(&found, function)) != imported(contract, *world, name) {
                return Err(other(&format!("its import {}", quoted(name))));
            }
        }
    }
    Ok(())
}

/// The contract of this lake, read once.
fn contract() -> &'static (Resolve, WorldId) {
    static READ: OnceLock<(Resolve, WorldId)> = OnceLock::new();
    READ.get_or_init(|| {
        let mut resolve = Resolve::default();
        let package = resolve.push_source("transform.wit", WIT).expect("the contract is part of lake and is WIT");
        let world = resolve.select_world(&[package], Some("transform")).expect("the contract has this world");
        (resolve, world)
    })
}

fn exported<'a>(resolve: &'a Resolve, world: WorldId, name: &str) -> Option<&'a Function> {
    resolve.worlds[world].exports.values().find_map(|item| match item {
        WorldItem::Function(function) if function.name == name => Some(function),
        _ => None,
    })
}

/// The signature of a function that an interface of the contract's imports has.
fn imported(resolve: &Resolve, world: WorldId, name: &str) -> Option<String> {
    resolve.worlds[world].imports.values().find_map(|item| match item {
        WorldItem::Interface { id, .. } => {
            resolve.interfaces[*id].functions.get(name).map(|function| signature(resolve, function))
        }
        _ => None,
    })
}

/// A function's type in full: names of types do not matter, those of fields and cases do.
fn signature(resolve: &Resolve, function: &Function) -> String {
    let params: Vec<String> =
        function.params.iter().map(|param| format!("{}: {}", param.name, spelled(resolve, &param.ty))).collect();
    let result = function.result.as_ref().map_or_else(String::new, |ty| spelled(resolve, ty));
    format!("{:?} ({}) -> {result}", function.kind, params.join(", "))
}

fn spelled(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else { return format!("{ty:?}") };
    let optional = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), |ty| spelled(resolve, ty));
    let all = |types: Vec<String>| types.join(", ");
    match &resolve.types[*id].kind {
        TypeDefKind::Type(ty) => spelled(resolve, ty),
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter().map(|field| format!("{}: {}", field.name, spelled(resolve, &field.ty)));
            format!("record {{{}}}", all(fields.collect()))
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter().map(|case| format!("{}({})", case.name, optional(&case.ty)));
            format!("variant {{{}}}", all(cases.collect()))
        }
        TypeDefKind::Enum(cases) => {
            format!("enum {{{}}}", all(cases.cases.iter().map(|case| case.name.clone()).collect()))
        }
        TypeDefKind::Tuple(tuple) => {
            format!("tuple<{}>", all(tuple.types.iter().map(|ty| spelled(resolve, ty)).collect()))
        }
        TypeDefKind::Option(ty) => format!("option<{}>", spelled(resolve, ty)),
        TypeDefKind::List(ty) => format!("list<{}>", spelled(resolve, ty)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", optional(&result.ok), optional(&result.err)),
        // The contract has none of these.
        other => format!("{} {}", other.as_str(), id.index()),
    }
}
