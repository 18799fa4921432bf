//! Bytes that are no plugin.

use super::{
    super::WIT,
    guests::{Guest, component_of},
    *,
};

fn said(bytes: &[u8]) -> String {
    let error = Plugin::compile(&HOST, "clean", bytes).err().expect("it is no plugin");
    let beforehand = Precompiled::of("clean", bytes, Architecture::Arm64).expect_err("it is no plugin");
    assert_eq!(error, beforehand, "both look at it alike");
    assert!(error.is_permanent());
    error.to_string()
}

fn module() -> String {
    Guest::new(&[], &[], &[]).module()
}

#[test]
fn what_is_not_webassembly_is_told_what_it_is() {
    let said = [
        said(b""),
        said(b"name,n\na,1\n"),
        said(b"\x7fELF\x02\x01\x01"),
        said(b"PK\x03\x04\x14\0"),
        said(b"\x1f\x8b\x08"),
        said(b"(module)"),
        said(b"\xff\xfe\x00\x01"),
        said(b"\0asm\x09\0\0\0"),
        said(b"\0asm\x0d\0\x01\0\xff\xff\xff"),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
        plugin clean: it is not a WebAssembly component, but an empty file
        plugin clean: it is not a WebAssembly component, but text
        plugin clean: it is not a WebAssembly component, but a program for Linux (ELF)
        plugin clean: it is not a WebAssembly component, but a zip archive
        plugin clean: it is not a WebAssembly component, but compressed with gzip
        plugin clean: it is not a WebAssembly component, but WebAssembly as text: assemble it first (`wasm-tools parse`)
        plugin clean: it is not a WebAssembly component, but something else
        plugin clean: it is not a WebAssembly component, but of a version of WebAssembly that lake does not know
        plugin clean: it is damaged: malformed section id (at offset 0x8)
        ");
}

#[test]
fn a_core_module_is_to_be_wrapped() {
    insta::assert_snapshot!(said(&wat::parse_str(module()).unwrap()), @"plugin clean: it is a core module, not a component; `lake plugin build` wraps it into one");
}

#[test]
fn a_component_cut_short_is_damaged() {
    let component = Guest::new(&[], &[], &[]).build();
    for length in (8..component.len()).step_by(97) {
        let error = said(&component[..length]);
        assert!(error.contains("damaged") || error.contains("does not export"), "{length}: {error}");
    }
}

#[test]
fn a_component_of_another_world_is_refused() {
    let component = wat::parse_str("(component)").unwrap();
    insta::assert_snapshot!(said(&component), @"plugin clean: it does not export `describe`, `open`, `transform` of the world lake:transform/transform@0.1.0; it exports nothing");
    let wit = "package other:thing; world transform { export run: func() -> u32; }";
    let component = component_of("(module (func (export \"run\") (result i32) (i32.const 7)))", wit);
    insta::assert_snapshot!(said(&component), @"plugin clean: it does not export `describe`, `open`, `transform` of the world lake:transform/transform@0.1.0; it exports `run`");
}

#[test]
fn another_version_of_the_contract_is_refused_with_both_named() {
    let wit = WIT.replace("lake:transform@0.1.0", "lake:transform@0.2.0-rc.1");
    let component = component_of(&module().replace("@0.1.0", "@0.2.0-rc.1"), &wit);
    let error = Plugin::compile(&HOST, "clean", &component).err().unwrap();
    assert!(matches!(&error, PluginError::Version { found, .. } if found == "0.2.0-rc.1"));
    insta::assert_snapshot!(said(&component), @"plugin clean is built for lake:transform@0.2.0-rc.1; this lake has lake:transform@0.1.0. Build it again with the SDK of this lake, or use a lake that has 0.2.0-rc.1");
    let wit = WIT.replace("lake:transform@0.1.0", "lake:transform");
    let component = component_of(&module().replace("@0.1.0", ""), &wit);
    insta::assert_snapshot!(said(&component), @"plugin clean is built for lake:transform@unversioned; this lake has lake:transform@0.1.0. Build it again with the SDK of this lake, or use a lake that has unversioned");
}

#[test]
fn imports_that_no_host_has_are_named() {
    let world = "world transform {\n    import clock: func() -> u64;\n";
    let wit = WIT.replace("world transform {\n", world);
    let module = module().replacen("(module", "(module (import \"$root\" \"clock\" (func (result i64)))", 1);
    insta::assert_snapshot!(said(&component_of(&module, &wit)), @"plugin clean: it imports what lake does not give to plugins: `clock`");
    let wasi =
        "(component (import \"wasi:cli/environment@0.2.6\" (instance)) (import \"wasi:io/poll@0.2.6\" (instance)))";
    insta::assert_snapshot!(said(&wat::parse_str(wasi).unwrap()), @"plugin clean: it imports what lake does not give to plugins: `wasi:cli/environment@0.2.6`, `wasi:io/poll@0.2.6`. A plugin has no WASI: build it for wasm32-unknown-unknown, or give `lake plugin build` the core module, which it wraps");
}

#[test]
fn an_export_or_import_of_another_signature_is_refused() {
    let wit = WIT.replace("describe: func() -> description;", "describe: func() -> u32;");
    insta::assert_snapshot!(said(&component_of(&module(), &wit)), @"plugin clean: its export `describe` has another signature than that of lake:transform@0.1.0: build it again");
    let wit = WIT.replace("errors: list<row-error>,", "errors: list<tuple<u32, string, option<string>, string>>,");
    insta::assert_snapshot!(said(&component_of(&module(), &wit)), @"plugin clean: its export `transform` has another signature than that of lake:transform@0.1.0: build it again");
    let wit = WIT.replace("write: func(level: level, message: string);", "write: func(level: u32, message: string);");
    insta::assert_snapshot!(said(&component_of(&module(), &wit)), @"plugin clean: its import `write` has another signature than that of lake:transform@0.1.0: build it again");
}

#[test]
fn imports_are_listed_but_for_types() {
    let imports = Plugin::imports("clean", &Guest::new(&[], &[], &[]).build()).unwrap();
    assert_eq!(imports, ["lake:transform/log@0.1.0", "lake:transform/types@0.1.0"]);
}

#[test]
fn damaged_components_are_errors() {
    let component = Guest::new(&["a"], &[], &[]).build();
    for place in (8..component.len()).step_by(7) {
        let mut damaged = component.clone();
        damaged[place] ^= 0x55;
        // Some bytes do not matter; none may bring the host down.
        let _ = Plugin::compile(&HOST, "clean", &damaged);
    }
}
