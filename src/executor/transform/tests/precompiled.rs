//! Plugins as machine code.

use arrow::array::{Int64Array, RecordBatch};
use sha2::{Digest, Sha256};

use super::{guests::numbers, *};
use crate::executor::parquet;

fn here() -> Architecture {
    if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::X86_64 }
}

fn elsewhere() -> Architecture {
    if cfg!(target_arch = "aarch64") { Architecture::X86_64 } else { Architecture::Arm64 }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn precompiled() -> (Vec<u8>, String) {
    let component = numbers("n");
    (Precompiled::of("clean", &component, here()).unwrap().bytes, sha256(&component))
}

fn refused(bytes: &[u8], sha256: &str) -> String {
    match Plugin::load(&HOST, "clean", sha256, bytes) {
        Err(error @ PluginError::Precompiled { .. }) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it must not be loaded"),
    }
}

/// The envelope with its header changed.
fn with_header(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let start = "lake.cwasm\n".len();
    let length = u32::from_le_bytes(bytes[start..start + 4].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[start + 4..start + 4 + length]).unwrap();
    assert!(header.contains(from), "{header}");
    let header = header.replace(from, to);
    let length = u32::try_from(header.len()).unwrap().to_le_bytes();
    [&bytes[..start], &length, header.as_bytes(), &bytes[start + 4 + header_length(bytes)..]].concat()
}

fn header_length(bytes: &[u8]) -> usize {
    let start = "lake.cwasm\n".len();
    u32::from_le_bytes(bytes[start..start + 4].try_into().unwrap()) as usize
}

#[test]
fn what_is_compiled_beforehand_does_what_the_component_does() {
    let (bytes, sha256) = precompiled();
    let plugin = Plugin::load(&HOST, "clean", &sha256, &bytes).unwrap();
    let input = [column("n", ColumnType::Int64)];
    let batch =
        RecordBatch::try_new(parquet::schema(&input), vec![std::sync::Arc::new(Int64Array::from(vec![1, -1, 0]))])
            .unwrap();
    let mut loaded = plugin.open(&BTreeMap::new(), &input, &Limits::default(), Deadline::NEVER).unwrap();
    let loaded = loaded.transform(&batch).unwrap();
    let compiled = transform(&numbers("n"), &input, &batch).unwrap();
    assert_eq!((loaded.batch, loaded.errors), (compiled.batch, compiled.errors));
    assert_eq!(plugin.describe(&Limits::default()).unwrap().name, "guest");
}

#[test]
fn compiling_twice_gives_the_same_bytes() {
    assert_eq!(precompiled().0, precompiled().0);
}

#[test]
fn code_of_another_component_processor_version_or_format_is_refused() {
    let (bytes, sha256) = precompiled();
    let other = Precompiled::of("clean", &numbers("n"), elsewhere()).unwrap().bytes;
    assert!(refused(&other, &sha256).contains("it is for "));
    let said = [
        refused(&bytes, &"0".repeat(64)).replace(&sha256, "SHA256"),
        refused(&with_header(&bytes, "\"wasmtime\":\"48\"", "\"wasmtime\":\"47\""), &sha256),
        refused(&with_header(&bytes, "\"format\":1", "\"format\":2"), &sha256),
        refused(&with_header(&bytes, "\"format\":1", "\"format\":1,\"more\":1"), &sha256),
    ];
    insta::assert_snapshot!(said.join("\n"), @r"
        the precompiled form of plugin clean cannot be used: it is of the component SHA256, not of 0000000000000000000000000000000000000000000000000000000000000000
        the precompiled form of plugin clean cannot be used: it was made by wasmtime 47; this is 48
        the precompiled form of plugin clean cannot be used: its format is 2, not 1
        the precompiled form of plugin clean cannot be used: it is damaged
        ");
}

#[test]
fn code_that_counts_fuel_and_code_that_does_not_are_not_mixed() {
    let (bytes, sha256) = precompiled();
    let host = Host::new(Meter::Fuel).unwrap();
    let error = Plugin::load(&host, "clean", &sha256, &bytes).err().unwrap();
    assert!(matches!(&error, PluginError::Precompiled { message, .. } if message.contains("fuel")), "{error}");
}

#[test]
fn damaged_code_is_refused_wherever_it_is_damaged() {
    let (bytes, sha256) = precompiled();
    for place in (0..bytes.len()).step_by(bytes.len() / 300).chain(bytes.len() - 1..bytes.len()) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        refused(&damaged, &sha256);
    }
    for length in [0, 1, 10, 11, 12, 15, 16, 100, bytes.len() - 1] {
        refused(&bytes[..length], &sha256);
    }
    refused(&[&bytes[..], b"more"].concat(), &sha256);
}
