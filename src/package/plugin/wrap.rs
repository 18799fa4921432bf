//! Core modules made components: the contract's types are embedded, WASI is answered by [`WASI_STUB`], and the
//! canonical ABI joins them. What such a module must export is told by name.
//!
//! The ABI: <https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md>.

use std::{borrow::Cow, collections::BTreeSet};

use sha2::{Digest, Sha256};
use wasmparser::{BinaryReaderError, CompositeInnerType, ExternalKind, FuncType, Parser, Payload, TypeRef};
use wit_component::{ComponentEncoder, LibraryInfo, StringEncoding, embed_component_metadata};
use wit_parser::{
    PackageId, Resolve, WorldId, WorldItem,
    abi::{AbiVariant, WasmSignature, WasmType},
};

use crate::executor::transform::{PACKAGE, VERSION, WIT};

/// The contract.
/// The world of it that transforms export.
const WORLD: &str = "transform";

/// WASI preview 1 with no world behind it; `wasi_stub.wat` is its text.
const WASI_STUB: &[u8] = include_bytes!("wasi_stub.wasm");
/// The module by which it is imported.
const WASI: &str = "wasi_snapshot_preview1";

/// Start of the custom sections in which a bindings generator leaves the types that it worked with.
const METADATA_SECTION: &str = "component-type";
/// Start of the names that the component model's newer naming scheme gives.
const STANDARD_NAMES: &str = "cm32p2";

/// Why a core module cannot be made a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unwrappable {
    /// Exports that are missing, or are not what they must be: a sentence each.
    Exports(Vec<String>),
    /// Imports that no host has.
    Imports(Vec<String>),
    /// Anything else.
    Other(String),
}

/// The component that a core module makes.
pub(super) fn wrap(module: &[u8]) -> Result<Vec<u8>, Unwrappable> {
    let other = |error: anyhow::Error| Unwrappable::Other(format!("{error:#}"));
    let shape = Shape::of(module).map_err(|error| Unwrappable::Other(format!("it is damaged: {error}")))?;
    let mut module = Cow::Borrowed(module);
    if !shape.has_metadata {
        shape.check()?;
        let (contract, world) = contract();
        embed_component_metadata(module.to_mut(), &contract, world, StringEncoding::UTF8).map_err(other)?;
    }
    let mut encoder = ComponentEncoder::default().validate(true).module(&module).map_err(other)?;
    if shape.imports.iter().any(|(module, _)| module == WASI) {
        // As a library, since the encoder takes from adapters what it does not need, and knows no second memory there.
        let library = LibraryInfo { instantiate_after_shims: false, arguments: Vec::new() };
        encoder = encoder.library(WASI, &wasi_stub(), library).map_err(other)?;
    }
    encoder.encode().map_err(other)
}

/// Changes when the same module would be wrapped differently: 16 hex digits.
pub(super) fn recipe() -> String {
    let mut hasher = Sha256::new();
    for part in [env!("CARGO_PKG_VERSION").as_bytes(), WIT.as_bytes(), WASI_STUB] {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut recipe = hex::encode(hasher.finalize());
    recipe.truncate(16);
    recipe
}

/// What a core module must export, a line each.
pub(super) fn demanded() -> Vec<String> {
    let mut lines = vec!["memory: the memory that it works in".to_owned()];
    lines.extend(functions().into_iter().map(|function| match function.required {
        true => format!("{}: {}", function.name, function.signature()),
        false => format!("{}: {}, if an answer is to be freed", function.name, function.signature()),
    }));
    lines
}

/// The contract as `wit-parser` sees it.
fn contract() -> (Resolve, WorldId) {
    let (resolve, package) = resolve();
    let world = resolve.select_world(&[package], Some(WORLD)).expect("BUG: the contract has its world");
    (resolve, world)
}

fn resolve() -> (Resolve, PackageId) {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("transform.wit", WIT).expect("BUG: the contract is well formed");
    (resolve, package)
}

/// The stub with the types of what it imports.
fn wasi_stub() -> Vec<u8> {
    let (mut resolve, _) = resolve();
    let world = format!("package lake:wasi-stub;\nworld stub {{ import {PACKAGE}/log@{VERSION}; }}");
    let package = resolve.push_source("wasi-stub.wit", &world).expect("BUG: the stub's world is well formed");
    let world = resolve.select_world(&[package], Some("stub")).expect("BUG: the stub has its world");
    let mut stub = WASI_STUB.to_vec();
    embed_component_metadata(&mut stub, &resolve, world, StringEncoding::UTF8)
        .expect("BUG: the stub's world can be embedded");
    stub
}

/// A function that core modules export.
struct Demanded {
    name: String,
    params: Vec<&'static str>,
    results: Vec<&'static str>,
    required: bool,
}

impl Demanded {
    fn new(name: String, signature: &WasmSignature, required: bool) -> Self {
        let names = |types: &[WasmType]| types.iter().map(type_name).collect();
        Demanded { name, params: names(&signature.params), results: names(&signature.results), required }
    }

    fn signature(&self) -> String {
        shown(&self.params, &self.results)
    }

    fn is(&self, found: &FuncType) -> bool {
        let equal = |names: &[&str], types: &[wasmparser::ValType]| {
            names.len() == types.len() && names.iter().zip(types).all(|(name, ty)| ty.to_string() == *name)
        };
        equal(&self.params, found.params()) && equal(&self.results, found.results())
    }
}

/// The functions that the canonical ABI makes of the contract.
fn functions() -> Vec<Demanded> {
    let (resolve, world) = contract();
    let word = "i32";
    let mut functions =
        vec![Demanded { name: "cabi_realloc".to_owned(), params: vec![word; 4], results: vec![word], required: true }];
    let mut freeing = Vec::new();
    for item in resolve.worlds[world].exports.values() {
        let WorldItem::Function(function) = item else { continue };
        let signature = resolve.wasm_signature(AbiVariant::GuestExport, function);
        functions.push(Demanded::new(function.name.clone(), &signature, true));
        let post = WasmSignature { params: signature.results, results: Vec::new(), ..signature };
        freeing.push(Demanded::new(format!("cabi_post_{}", function.name), &post, false));
    }
    functions.extend(freeing);
    functions
}

fn type_name(ty: &WasmType) -> &'static str {
    match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    }
}

/// `(i32, i32) -> i32`.
fn shown(params: &[impl ToString], results: &[impl ToString]) -> String {
    let list = |types: &[String]| types.join(", ");
    let params: Vec<String> = params.iter().map(ToString::to_string).collect();
    let results: Vec<String> = results.iter().map(ToString::to_string).collect();
    match results.len() {
        0 => format!("({})", list(&params)),
        1 => format!("({}) -> {}", list(&params), results[0]),
        _ => format!("({}) -> ({})", list(&params), list(&results)),
    }
}

/// A core module as seen from outside.
#[derive(Default)]
struct Shape {
    /// By module and name.
    imports: Vec<(String, String)>,
    functions: Vec<(String, Option<FuncType>)>,
    memories: BTreeSet<String>,
    /// A bindings generator has left its types.
    has_metadata: bool,
}

impl Shape {
    fn of(module: &[u8]) -> Result<Self, BinaryReaderError> {
        let mut shape = Shape::default();
        let mut types: Vec<Option<FuncType>> = Vec::new();
        let mut functions: Vec<u32> = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        types.extend(group?.into_types().map(|ty| match ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => Some(ty),
                            _ => None,
                        }));
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let import = import?;
                        if let TypeRef::Func(ty) | TypeRef::FuncExact(ty) = import.ty {
                            functions.push(ty);
                        }
                        shape.imports.push((import.module.to_owned(), import.name.to_owned()));
                    }
                }
                Payload::FunctionSection(section) => {
                    for ty in section {
                        functions.push(ty?);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        match export.kind {
                            ExternalKind::Func | ExternalKind::FuncExact => {
                                let ty = functions.get(export.index as usize).and_then(|ty| types.get(*ty as usize));
                                shape.functions.push((export.name.to_owned(), ty.cloned().flatten()));
                            }
                            ExternalKind::Memory => drop(shape.memories.insert(export.name.to_owned())),
                            _ => {}
                        }
                    }
                }
                Payload::CustomSection(section) if section.name().starts_with(METADATA_SECTION) => {
                    shape.has_metadata = true;
                }
                _ => {}
            }
        }
        Ok(shape)
    }

    /// Whether a module that was written against the ABI by hand is all that it must be.
    fn check(&self) -> Result<(), Unwrappable> {
        let foreign: BTreeSet<String> = self
            .imports
            .iter()
            .filter(|(module, _)| module != WASI && !module.contains(&format!("{PACKAGE}/")))
            .map(|(module, name)| format!("{module}.{name}"))
            .collect();
        if !foreign.is_empty() {
            return Err(Unwrappable::Imports(foreign.into_iter().collect()));
        }
        if self.functions.iter().any(|(name, _)| name.starts_with(STANDARD_NAMES)) {
            return Ok(());
        }
        let mut faults = Vec::new();
        if !self.memories.contains("memory") {
            faults.push("it exports no memory by the name `memory`".to_owned());
        }
        for demanded in functions() {
            let name = &demanded.name;
            match self.functions.iter().find(|(found, _)| found == name) {
                Some((_, Some(ty))) if demanded.is(ty) => {}
                Some((_, ty)) => {
                    let found = ty.as_ref().map_or("of another kind".to_owned(), |ty| shown(ty.params(), ty.results()));
                    faults.push(format!("its `{name}` is {found}, and must be {}", demanded.signature()));
                }
                None if demanded.required => faults.push(format!("it exports no function `{name}`")),
                None => {}
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Unwrappable::Exports(faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::plugin::tests::TRANSFORM_WAT;

    fn module(text: &str) -> Vec<u8> {
        wat::parse_str(text).unwrap()
    }

    /// Names of the instances that a component imports, and of what it exports.
    fn border(component: &[u8]) -> (Vec<String>, Vec<String>) {
        let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0);
        for payload in Parser::new(0).parse_all(component) {
            match payload.unwrap() {
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                Payload::ComponentImportSection(section) if depth == 1 => {
                    let names = section.into_iter().map(|import| import.unwrap().name.name.to_owned());
                    imports.extend(names.filter(|name| name.contains(':')));
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    exports.extend(section.into_iter().map(|export| export.unwrap().name.name.to_owned()));
                }
                _ => {}
            }
        }
        (imports, exports)
    }

    #[test]
    fn the_binary_of_the_wasi_stub_is_what_its_text_gives() {
        assert!(module(include_str!("wasi_stub.wat")) == WASI_STUB, "make wasi_stub.wasm anew from wasi_stub.wat");
    }

    #[test]
    fn the_stub_has_every_function_of_wasi_preview_1() {
        assert_eq!(Shape::of(WASI_STUB).unwrap().functions.len(), 46);
    }

    #[test]
    fn a_module_that_exports_the_contract_becomes_a_component_that_imports_its_types_alone() {
        let component = wrap(&module(TRANSFORM_WAT)).unwrap();
        assert!(Parser::is_component(&component));
        let (imports, exports) = border(&component);
        assert_eq!(imports, [format!("{PACKAGE}/types@{VERSION}")]);
        for name in ["describe", "open", "transform"] {
            assert!(exports.iter().any(|export| export == name), "{exports:?}");
        }
    }

    #[test]
    fn a_module_that_needs_wasi_gets_the_stub_and_imports_the_log_instead() {
        let text = TRANSFORM_WAT.replacen(
            "(module",
            "(module
               (import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i32 i32 i32 i32) (result i32)))
               (import \"wasi_snapshot_preview1\" \"clock_time_get\" (func (param i32 i64 i32) (result i32)))
               (import \"wasi_snapshot_preview1\" \"poll_oneoff\" (func (param i32 i32 i32 i32) (result i32)))
               (import \"wasi_snapshot_preview1\" \"random_get\" (func (param i32 i32) (result i32)))
               (import \"wasi_snapshot_preview1\" \"path_open\"
                 (func (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
               (import \"wasi_snapshot_preview1\" \"proc_exit\" (func (param i32)))",
            1,
        );
        let (imports, _) = border(&wrap(&module(&text)).unwrap());
        let mut expected = [format!("{PACKAGE}/log@{VERSION}"), format!("{PACKAGE}/types@{VERSION}")];
        expected.sort();
        let mut imports = imports;
        imports.sort();
        assert_eq!(imports, expected);
    }

    #[test]
    fn what_a_module_lacks_is_told_by_name() {
        let text = r#"(module
            (func (export "open") (param i32 i64) (result i32) unreachable)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable))"#;
        let Err(Unwrappable::Exports(faults)) = wrap(&module(text)) else { panic!() };
        assert_eq!(
            faults,
            [
                "it exports no memory by the name `memory`",
                "it exports no function `describe`",
                "its `open` is (i32, i64) -> i32, and must be (i32, i32, i32, i32) -> i32",
                "it exports no function `transform`",
            ]
        );
    }

    #[test]
    fn imports_that_no_host_has_are_told_by_name() {
        let text = TRANSFORM_WAT.replacen("(module", "(module (import \"env\" \"abort\" (func (param i32)))", 1);
        assert_eq!(wrap(&module(&text)), Err(Unwrappable::Imports(vec!["env.abort".to_owned()])));
        let text = TRANSFORM_WAT.replacen("(module", "(module (import \"wasi_snapshot_preview1\" \"nap\" (func))", 1);
        let Err(Unwrappable::Other(message)) = wrap(&module(&text)) else { panic!() };
        assert!(message.contains("nap"), "{message}");
    }

    #[test]
    fn a_damaged_module_is_no_panic() {
        let whole = module(TRANSFORM_WAT);
        for length in 8..whole.len() {
            // A module that ends between two sections may still be one.
            let cut = wrap(&whole[..length]);
            assert!(cut.is_err() || length > whole.len() / 2, "{length}");
        }
    }

    #[test]
    fn what_is_demanded_is_listed_with_its_signature() {
        let lines = demanded();
        assert_eq!(
            lines,
            [
                "memory: the memory that it works in",
                "cabi_realloc: (i32, i32, i32, i32) -> i32",
                "describe: () -> i32",
                "open: (i32, i32, i32, i32) -> i32",
                "transform: (i32, i32, i32) -> i32",
                "cabi_post_describe: (i32), if an answer is to be freed",
                "cabi_post_open: (i32), if an answer is to be freed",
                "cabi_post_transform: (i32), if an answer is to be freed",
            ]
        );
    }
}
