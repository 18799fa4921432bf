//! What a bootstrap needs of its machine, read from its ELF headers. Only the parts asked for are read.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::PackageError;
use crate::dataset::Architecture;
use object::{
    LittleEndian,
    elf::{EM_AARCH64, EM_X86_64, FileHeader64, VER_FLG_WEAK},
    read::{ReadCache, elf::FileHeader},
};

/// The newest glibc that a function finds: that of Amazon Linux 2023, on which `provided.al2023` is built
/// (<https://docs.aws.amazon.com/linux/al2023/ug/core-glibc.html>).
pub const LAMBDA_GLIBC: Glibc = Glibc { major: 2, minor: 34 };

/// The marker by which a linker demands a loader that knows packed relocations, and the glibc that brought it.
const PACKED_RELOCATIONS: (&str, Glibc) = ("GLIBC_ABI_DT_RELR", Glibc { major: 2, minor: 36 });

/// A version of the GNU C library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Glibc {
    /// 2, since 1997.
    pub major: u32,
    /// A new one every half year.
    pub minor: u32,
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Glibc {
    /// The version that a symbol version such as `GLIBC_2.34` demands; `None` for those of other libraries.
    fn demanded_by(symbol_version: &str) -> Option<Self> {
        if symbol_version == PACKED_RELOCATIONS.0 {
            return Some(PACKED_RELOCATIONS.1);
        }
        let mut numbers = symbol_version.strip_prefix("GLIBC_")?.split('.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Glibc { major, minor })
    }
}

/// Bytes of an ELF file's first header.
const HEADER_BYTES: usize = 64;
/// `e_ident[EI_OSABI]` of Linux programs: most linkers leave it at System V's 0.
const LINUX_ABIS: [u8; 2] = [0, 3];

/// The architecture that the Linux program at `path` is built for.
pub(super) fn architecture(path: &Path) -> Result<Architecture, PackageError> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    let file = open(path)?;
    file.take(HEADER_BYTES as u64)
        .read_to_end(&mut header)
        .map_err(|source| PackageError::Unreadable { path: path.to_owned(), source })?;
    architecture_of(&header)
        .map_err(|found| PackageError::NotAFunctionProgram { path: path.to_owned(), found: found.to_owned() })
}

/// The architecture named by a program's first [`HEADER_BYTES`]; else what the file seems to be.
fn architecture_of(header: &[u8]) -> Result<Architecture, &'static str> {
    const TWO_BYTES_64_BIT: u8 = 2;
    const LITTLE_ENDIAN: u8 = 1;
    match header {
        [0x7f, b'E', b'L', b'F', ..] if header.len() < HEADER_BYTES => Err("a truncated ELF file"),
        [0x7f, b'E', b'L', b'F', class, data, _, abi, ..] => {
            if *class != TWO_BYTES_64_BIT || *data != LITTLE_ENDIAN {
                return Err("a program that is not 64-bit little-endian");
            }
            if !LINUX_ABIS.contains(abi) {
                return Err("a program for another system than Linux");
            }
            let machine = u16::from_le_bytes([header[18], header[19]]);
            if machine == EM_X86_64.0 {
                Ok(Architecture::X86_64)
            } else if machine == EM_AARCH64.0 {
                Ok(Architecture::Arm64)
            } else {
                Err("a Linux program for a processor that Lambda does not offer")
            }
        }
        [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => Err("a macOS program"),
        [b'M', b'Z', ..] => Err("a Windows program"),
        [b'#', b'!', ..] => Err("a script"),
        [] => Err("an empty file"),
        _ => Err("not an ELF file"),
    }
}

/// The newest glibc that the program at `path` cannot do without, and the symbol version that says so. `None`
/// for static programs.
pub(super) fn glibc_needed(path: &Path) -> Result<Option<(Glibc, String)>, PackageError> {
    let cache = ReadCache::new(open(path)?);
    versions_needed(&cache).map_err(|source| PackageError::DamagedElf { path: path.to_owned(), source })
}

fn versions_needed(file: &ReadCache<File>) -> Result<Option<(Glibc, String)>, object::read::Error> {
    let header = FileHeader64::<LittleEndian>::parse(file)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, file)?;
    let Some((mut libraries, names)) = sections.gnu_verneed(endian, file)? else { return Ok(None) };
    let names = sections.strings(endian, file, names)?;
    let mut newest = None;
    while let Some((_, mut versions)) = libraries.next()? {
        while let Some(version) = versions.next()? {
            // The loader does without a version that only weak symbols ask for.
            if version.vna_flags.get(endian).contains(VER_FLG_WEAK) {
                continue;
            }
            let name = String::from_utf8_lossy(version.name(endian, names)?);
            let demanded = Glibc::demanded_by(&name).map(|glibc| (glibc, name.into_owned()));
            newest = newest.max(demanded);
        }
    }
    Ok(newest)
}

fn open(path: &Path) -> Result<File, PackageError> {
    File::open(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => PackageError::NotFound { path: path.to_owned() },
        _ => PackageError::Unreadable { path: path.to_owned(), source },
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The header of a Linux program for `machine`, and nothing behind it.
    pub(in crate::package) fn elf_header(machine: u16) -> Vec<u8> {
        let mut header = vec![0; HEADER_BYTES];
        header[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
        header[18..20].copy_from_slice(&machine.to_le_bytes());
        header
    }

    #[test]
    fn the_architecture_is_read_from_the_header() {
        assert_eq!(architecture_of(&elf_header(62)), Ok(Architecture::X86_64));
        assert_eq!(architecture_of(&elf_header(183)), Ok(Architecture::Arm64));
        assert_eq!(Architecture::Arm64.to_string(), "arm64");
        assert_eq!(serde_json::to_string(&Architecture::X86_64).unwrap(), "\"x86_64\"");
    }

    #[test]
    fn what_is_no_linux_program_is_called_by_its_name() {
        let with = |offset: usize, byte: u8| {
            let mut header = elf_header(62);
            header[offset] = byte;
            header
        };
        let cases: [(Vec<u8>, &str); 9] = [
            (Vec::new(), "an empty file"),
            (b"MZ\x90\0".to_vec(), "a Windows program"),
            (vec![0xcf, 0xfa, 0xed, 0xfe, 12], "a macOS program"),
            (b"#!/bin/sh\n".to_vec(), "a script"),
            (b"PK\x03\x04".to_vec(), "not an ELF file"),
            (elf_header(62)[..40].to_vec(), "a truncated ELF file"),
            (with(4, 1), "a program that is not 64-bit little-endian"),
            (with(7, 9), "a program for another system than Linux"),
            (elf_header(243), "a Linux program for a processor that Lambda does not offer"),
        ];
        for (header, name) in cases {
            assert_eq!(architecture_of(&header), Err(name));
        }
    }

    #[test]
    fn symbol_versions_are_compared_as_numbers() {
        let glibc = |name| Glibc::demanded_by(name);
        assert!(glibc("GLIBC_2.4") < glibc("GLIBC_2.34"));
        assert_eq!(glibc("GLIBC_2.2.5"), Some(Glibc { major: 2, minor: 2 }));
        assert!(glibc("GLIBC_ABI_DT_RELR") > Some(LAMBDA_GLIBC));
        assert_eq!((glibc("GCC_3.0"), glibc("GLIBC_PRIVATE")), (None, None));
    }

    #[test]
    fn this_test_program_needs_some_glibc_and_its_symbol_names_it() {
        let (glibc, symbol) = glibc_needed(&std::env::current_exe().unwrap()).unwrap().expect("linked dynamically");
        assert_eq!(glibc.major, 2);
        assert!(symbol.starts_with("GLIBC_"), "{symbol}");
    }

    #[test]
    fn a_header_with_nothing_behind_it_is_static_or_damaged_but_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        let mut damaged = elf_header(62);
        damaged[40..48].copy_from_slice(&u64::MAX.to_le_bytes());
        damaged[58] = 64;
        damaged[60] = 9;
        std::fs::write(&path, &damaged).unwrap();
        assert!(matches!(glibc_needed(&path), Err(PackageError::DamagedElf { .. })));
    }
}
