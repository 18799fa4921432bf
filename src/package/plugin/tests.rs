//! Tests of the way from a file or folder to a component.

mod wasi;

use super::*;
use crate::executor::transform::Limits;

/// A transform by hand: it reads nothing, changes nothing, and gives back as many rows as came.
pub(in crate::package) const TRANSFORM_WAT: &str = r#"(module
    (memory (export "memory") 1)
    (global $free (mut i32) (i32.const 4096))
    (data (i32.const 64) "by-hand0.1.0")
    (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
        (global.set $free (i32.add (local.get $at) (local.get $size)))
        (local.get $at))
    (func (export "describe") (result i32)
        (i32.store (i32.const 0) (i32.const 64))
        (i32.store (i32.const 4) (i32.const 7))
        (i32.store (i32.const 8) (i32.const 71))
        (i32.store (i32.const 12) (i32.const 5))
        (i32.const 0))
    (func (export "open") (param i32 i32 i32 i32) (result i32)
        (memory.fill (i32.const 128) (i32.const 0) (i32.const 28))
        (i32.const 128))
    (func (export "transform") (param $rows i32) (param i32 i32) (result i32)
        (memory.fill (i32.const 256) (i32.const 0) (i32.const 36))
        (i32.store (i32.const 260) (local.get $rows))
        (global.set $free (i32.const 4096))
        (i32.const 256)))"#;

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn module() -> Vec<u8> {
    wat::parse_str(TRANSFORM_WAT).unwrap()
}

#[test]
fn a_core_module_is_wrapped_into_the_cache_and_a_component_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (file, cache) = (folder.path().join("late.wasm"), folder.path().join("cache"));
    write(&file, module());
    let wrapped = component(&file, &cache).unwrap();
    assert_eq!((wrapped.name.as_str(), wrapped.built), ("late", false));
    assert!(Parser::is_component(&wrapped.bytes) && wrapped.path.starts_with(&cache));
    assert_eq!(fs::read(&wrapped.path).unwrap(), wrapped.bytes);
    assert_eq!(component(&file, &cache).unwrap(), wrapped);

    write(&file, &wrapped.bytes);
    let taken = component(&file, &cache).unwrap();
    assert_eq!((taken.path.as_path(), &taken.sha256), (file.as_path(), &wrapped.sha256));
}

#[test]
fn a_folder_of_another_language_is_its_component() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("late");
    write(&plugin.join("late.wasm"), module());
    assert_eq!(component(&plugin, folder.path()).unwrap().name, "late");
    fs::remove_file(plugin.join("late.wasm")).unwrap();
    let error = component(&plugin, folder.path()).unwrap_err();
    assert!(error.to_string().ends_with("late holds neither a Rust package (Cargo.toml) nor late.wasm"), "{error}");
}

#[test]
fn a_rust_plugin_that_was_built_from_the_sources_that_are_there_is_taken_without_a_toolchain() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("late");
    write(&plugin.join("Cargo.toml"), "[package]\nname = \"late\"");
    write(&plugin.join("src/lib.rs"), "");
    let hash = Sources::of(&plugin).unwrap().hash();
    let bytes = sources::mark(wrap::wrap(&module()).unwrap(), &hash);
    write(&plugin.join("late.wasm"), &bytes);
    let taken = component(&plugin, folder.path()).unwrap();
    assert_eq!((taken.bytes, taken.built, taken.path), (bytes, false, plugin.join("late.wasm")));
}

#[test]
fn what_is_no_wasm_is_called_by_its_name_and_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("late.wasm");
    for (bytes, found) in [
        (&b""[..], "an empty file"),
        (b"(module)", "WebAssembly as text: assemble it first (`wasm-tools parse`)"),
        (b"fn main() {}\n", "text"),
        (b"\x7fELF\x02", "a program for Linux (ELF)"),
        (b"\0asm\x02\0\0\0", "of a version of WebAssembly that lake does not know"),
        (b"PK\x03\x04\0\0", "a zip archive"),
        (b"\x89\x01\x02", "something else"),
    ] {
        write(&file, bytes);
        let error = component(&file, folder.path()).unwrap_err().to_string();
        let expected = format!("{} is {found};", file.display());
        assert!(error.starts_with(&expected), "{error}");
    }
    let gone = component(&folder.path().join("none"), folder.path()).unwrap_err();
    assert!(matches!(gone, BuildError::NotFound { .. }));
}

#[test]
fn a_module_with_other_exports_is_told_what_it_must_export() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("late.wasm");
    write(&file, wat::parse_str("(module (memory (export \"memory\") 1))").unwrap());
    let error = component(&file, folder.path()).unwrap_err();
    assert!(error.to_string().contains("late.wasm cannot be made a component: it exports no function"), "{error}");
    let help = miette::Diagnostic::help(&error).unwrap().to_string();
    assert!(help.contains("transform: (i32, i32, i32) -> i32"), "{help}");
}

#[test]
fn a_plugin_that_must_be_built_where_nothing_can_build_it_shows_both_ways_out() {
    let error = |stale, missing| BuildError::NoToolchain {
        path: "plugins/late".into(),
        stale,
        component: "plugins/late/late.wasm".into(),
        missing,
    };
    let help = |error: &BuildError| miette::Diagnostic::help(error).unwrap().to_string();
    let stale = error(true, Missing::Target("error[E0463]: can't find crate for `core`".to_owned()));
    insta::assert_snapshot!(stale, @"
    the component in plugins/late was not built from the sources that lie there, and Rust's target wasm32-unknown-unknown is not installed; cargo says:
    error[E0463]: can't find crate for `core`
    ");
    insta::assert_snapshot!(help(&stale), @"`rustup target add wasm32-unknown-unknown`; or put a component that was built elsewhere by `lake plugin build` at plugins/late/late.wasm");
    let unbuilt = error(false, Missing::Cargo);
    insta::assert_snapshot!(unbuilt, @"the plugin in plugins/late is not built, and there is no cargo on this machine");
    insta::assert_snapshot!(help(&unbuilt), @"install Rust from https://rustup.rs, then `rustup target add wasm32-unknown-unknown`; or put a component that was built elsewhere by `lake plugin build` at plugins/late/late.wasm");
}

#[test]
fn a_wrapped_module_is_a_transform_and_its_machine_code_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("late.wasm");
    write(&file, module());
    let component = component(&file, folder.path()).unwrap();
    let host = Host::new(Meter::Off).unwrap();
    let plugin = Plugin::compile(&host, &component.name, &component.bytes).unwrap();
    let described = plugin.describe(&Limits::default()).unwrap();
    assert_eq!((described.name.as_str(), described.version.as_str()), ("by-hand", "0.1.0"));

    let here = if cfg!(target_arch = "x86_64") { Architecture::X86_64 } else { Architecture::Arm64 };
    let made = precompiled(&component, here, folder.path()).unwrap();
    let bytes = fs::read(&made.path).unwrap();
    assert_eq!(made.sha256, hex::encode(Sha256::digest(&bytes)));
    let loaded = Plugin::load(&host, &component.name, &component.sha256, &bytes).unwrap();
    assert_eq!(loaded.describe(&Limits::default()).unwrap(), described);
    let modified = fs::metadata(&made.path).unwrap().modified().unwrap();
    assert_eq!(precompiled(&component, here, folder.path()).unwrap(), made);
    assert_eq!(fs::metadata(&made.path).unwrap().modified().unwrap(), modified, "it is not made again");
}

#[test]
fn a_component_that_is_no_transform_has_no_machine_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("late.wasm");
    write(&file, wat::parse_str("(component)").unwrap());
    let component = component(&file, folder.path()).unwrap();
    let error = precompiled(&component, Architecture::Arm64, folder.path()).unwrap_err();
    assert!(matches!(error, BuildError::Plugin(_)), "{error}");
}
