//! Checksums of objects: which one a request brings, computing it in one pass with the MD5, comparing it, and
//! joining those of parts. <https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html>

use base64::{Engine, engine::general_purpose::STANDARD};
use crc_fast::{CrcAlgorithm, checksum_combine};
use http::HeaderMap;
use md5::{Digest, Md5};
use s3s::{
    S3Result,
    checksum::ChecksumHasher,
    dto::{self, Checksum, ChecksumType},
    s3_error,
};
use serde::{Deserialize, Serialize};

/// The checksum algorithms of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

use Algorithm::{Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};

impl Algorithm {
    const ALL: [Algorithm; 5] = [Crc32, Crc32c, Crc64Nvme, Sha1, Sha256];

    /// Reads the name that requests use.
    pub fn parse(name: &str) -> S3Result<Self> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| s3_error!(InvalidRequest, "Checksum algorithm provided is unsupported: {name}"))
    }

    /// The name that requests use.
    pub fn name(self) -> &'static str {
        match self {
            Crc32 => "CRC32",
            Crc32c => "CRC32C",
            Crc64Nvme => "CRC64NVME",
            Sha1 => "SHA1",
            Sha256 => "SHA256",
        }
    }

    fn header(self) -> &'static str {
        match self {
            Crc32 => "x-amz-checksum-crc32",
            Crc32c => "x-amz-checksum-crc32c",
            Crc64Nvme => "x-amz-checksum-crc64nvme",
            Sha1 => "x-amz-checksum-sha1",
            Sha256 => "x-amz-checksum-sha256",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Crc32 | Crc32c => 4,
            Crc64Nvme => 8,
            Sha1 => 20,
            Sha256 => 32,
        }
    }

    fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Sha1 | Sha256 => None,
        }
    }

    /// Whether an upload's checksum of this kind is that of the full object, given what its creator asked for.
    pub fn is_full_object(self, asked: Option<&ChecksumType>) -> S3Result<bool> {
        match (asked.map(ChecksumType::as_str), self) {
            (Some(ChecksumType::FULL_OBJECT), Sha1 | Sha256) | (Some(ChecksumType::COMPOSITE), Crc64Nvme) => {
                Err(s3_error!(
                    InvalidRequest,
                    "The {} checksum type cannot be used with the {} checksum algorithm.",
                    asked.map_or("", ChecksumType::as_str),
                    self.name()
                ))
            }
            (Some(ChecksumType::FULL_OBJECT), _) | (None, Crc64Nvme) => Ok(true),
            _ => Ok(false),
        }
    }

    /// The wire type.
    pub fn wire(self) -> dto::ChecksumAlgorithm {
        dto::ChecksumAlgorithm::from_static(self.name())
    }
}

/// A checksum that is known to be right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredChecksum {
    pub algorithm: Algorithm,
    /// Base 64; with `-{parts}` behind it when composite.
    pub value: String,
    /// Whether it covers all bytes (else the parts' checksums).
    pub full_object: bool,
}

impl StoredChecksum {
    /// As outputs carry it.
    pub fn wire(&self) -> Checksum {
        let mut checksum = Checksum::default();
        let value = Some(self.value.clone());
        match self.algorithm {
            Crc32 => checksum.checksum_crc32 = value,
            Crc32c => checksum.checksum_crc32c = value,
            Crc64Nvme => checksum.checksum_crc64nvme = value,
            Sha1 => checksum.checksum_sha1 = value,
            Sha256 => checksum.checksum_sha256 = value,
        }
        let kind = if self.full_object { ChecksumType::FULL_OBJECT } else { ChecksumType::COMPOSITE };
        checksum.checksum_type = Some(ChecksumType::from_static(kind));
        checksum
    }
}

/// Copies a [`Checksum`]'s values into the fields of the same names of an output.
macro_rules! put_checksum {
    ($output:expr, $checksum:expr) => {{
        let checksum: s3s::dto::Checksum = $checksum;
        $output.checksum_crc32 = checksum.checksum_crc32;
        $output.checksum_crc32c = checksum.checksum_crc32c;
        $output.checksum_crc64nvme = checksum.checksum_crc64nvme;
        $output.checksum_sha1 = checksum.checksum_sha1;
        $output.checksum_sha256 = checksum.checksum_sha256;
    }};
}
pub(super) use put_checksum;

/// The checksum that an input names: reads the fields of the same names.
macro_rules! given_checksum {
    ($input:expr) => {
        [
            ($crate::cloud::s3::checksum::Algorithm::Crc32, $input.checksum_crc32.clone()),
            ($crate::cloud::s3::checksum::Algorithm::Crc32c, $input.checksum_crc32c.clone()),
            ($crate::cloud::s3::checksum::Algorithm::Crc64Nvme, $input.checksum_crc64nvme.clone()),
            ($crate::cloud::s3::checksum::Algorithm::Sha1, $input.checksum_sha1.clone()),
            ($crate::cloud::s3::checksum::Algorithm::Sha256, $input.checksum_sha256.clone()),
        ]
    };
}
pub(super) use given_checksum;

/// What a request says its body's digests are.
#[derive(Debug, Clone, Default)]
pub(super) struct Expected {
    md5: Option<Vec<u8>>,
    /// Which checksum to compute, and its value where a header tells it; a trailer tells it after the body.
    checksum: Option<(Algorithm, Option<String>)>,
}

/// A checksum field of an input.
pub(super) type Given = [(Algorithm, Option<String>); 5];

/// The one checksum among the fields of an input.
pub(super) fn single(given: Given) -> S3Result<Option<(Algorithm, String)>> {
    let mut found = given.into_iter().filter_map(|(algorithm, value)| Some((algorithm, value?)));
    let first = found.next();
    if found.next().is_some() {
        return Err(s3_error!(
            InvalidRequest,
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        ));
    }
    Ok(first)
}

impl Expected {
    /// Reads what a request brings: `Content-MD5`, one `x-amz-checksum-*` header, or the name of a trailer.
    pub fn read(content_md5: Option<&str>, given: Given, headers: &HeaderMap) -> S3Result<Self> {
        let md5 = match content_md5 {
            None => None,
            Some(text) => match STANDARD.decode(text) {
                Ok(bytes) if bytes.len() == 16 => Some(bytes),
                _ => return Err(s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid.")),
            },
        };
        if let Some((algorithm, value)) = single(given)? {
            let valid = STANDARD.decode(&value).is_ok_and(|bytes| bytes.len() == algorithm.bytes());
            if !valid {
                return Err(s3_error!(InvalidRequest, "Value for {} header is invalid.", algorithm.header()));
            }
            return Ok(Expected { md5, checksum: Some((algorithm, Some(value))) });
        }
        let trailer = headers.get("x-amz-trailer").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut trailers = trailer.split(',').map(str::trim);
        let algorithm = trailers.find_map(|name| {
            Algorithm::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(name))
        });
        Ok(Expected { md5, checksum: algorithm.map(|algorithm| (algorithm, None)) })
    }

    /// The algorithm that the request computes with.
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(|(algorithm, _)| *algorithm)
    }

    /// Compares what was computed over the body; `trailers` came after it.
    pub fn check(&self, digested: &Digested, trailers: Option<&s3s::TrailingHeaders>) -> S3Result<()> {
        if self.md5.as_ref().is_some_and(|md5| md5 != &digested.md5) {
            return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
        }
        let Some((algorithm, value)) = &self.checksum else { return Ok(()) };
        let from_trailer = || {
            let read = |headers: &HeaderMap| Some(headers.get(algorithm.header())?.to_str().ok()?.trim().to_owned());
            trailers?.read(read).flatten()
        };
        let Some(expected) = value.clone().or_else(from_trailer) else {
            return Err(s3_error!(
                InvalidRequest,
                "The trailer {} that x-amz-trailer announced did not come.",
                algorithm.header()
            ));
        };
        let computed = digested.checksum.as_ref().filter(|checksum| checksum.algorithm == *algorithm);
        if computed.is_none_or(|computed| computed.value != expected) {
            return Err(s3_error!(
                BadDigest,
                "The {} you specified did not match the calculated checksum.",
                algorithm.name()
            ));
        }
        Ok(())
    }
}

/// Digests under way: MD5 for the etag, and one checksum.
pub(super) struct Digests {
    md5: Md5,
    algorithm: Algorithm,
    hasher: ChecksumHasher,
}

/// Digests of a whole body.
#[derive(Debug, Clone)]
pub(super) struct Digested {
    pub md5: Vec<u8>,
    pub checksum: Option<StoredChecksum>,
}

impl Digests {
    /// Begins; without an algorithm of the caller's S3 computes CRC64NVME.
    pub fn new(algorithm: Option<Algorithm>) -> Self {
        let algorithm = algorithm.unwrap_or(Crc64Nvme);
        let mut hasher = ChecksumHasher::default();
        match algorithm {
            Crc32 => hasher.crc32 = Some(Default::default()),
            Crc32c => hasher.crc32c = Some(Default::default()),
            Crc64Nvme => hasher.crc64nvme = Some(Default::default()),
            Sha1 => hasher.sha1 = Some(Default::default()),
            Sha256 => hasher.sha256 = Some(Default::default()),
        }
        Digests { md5: Md5::new(), algorithm, hasher }
    }

    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        self.hasher.update(bytes);
    }

    /// Ends.
    pub fn finish(self) -> Digested {
        let checksum = self.hasher.finalize();
        let value = match self.algorithm {
            Crc32 => checksum.checksum_crc32,
            Crc32c => checksum.checksum_crc32c,
            Crc64Nvme => checksum.checksum_crc64nvme,
            Sha1 => checksum.checksum_sha1,
            Sha256 => checksum.checksum_sha256,
        };
        let stored = |value| StoredChecksum { algorithm: self.algorithm, value, full_object: true };
        Digested { md5: self.md5.finalize().to_vec(), checksum: value.map(stored) }
    }
}

/// The checksum of an object put together from parts, each given with its size.
pub(super) fn join(algorithm: Algorithm, full_object: bool, parts: &[(String, u64)]) -> Option<StoredChecksum> {
    let decoded = parts.iter().map(|(value, size)| Some((STANDARD.decode(value).ok()?, *size)));
    let decoded: Vec<_> = decoded.collect::<Option<_>>()?;
    if full_object {
        let crc = algorithm.crc()?;
        let number = |bytes: &[u8]| bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        let joined = decoded
            .iter()
            .map(|(bytes, size)| (number(bytes), *size))
            .reduce(|(left, before), (right, size)| (checksum_combine(crc, left, right, size), before + size));
        let bytes = joined?.0.to_be_bytes();
        let value = STANDARD.encode(&bytes[8 - algorithm.bytes()..]);
        return Some(StoredChecksum { algorithm, value, full_object: true });
    }
    let mut digests = Digests::new(Some(algorithm));
    for (bytes, _) in &decoded {
        digests.update(bytes);
    }
    let of_parts = digests.finish().checksum?;
    let value = format!("{}-{}", of_parts.value, parts.len());
    Some(StoredChecksum { algorithm, value, full_object: false })
}

/// The etag of an object put together from parts: the MD5 of their MD5s, and their number.
pub(super) fn join_etags<'a>(etags: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = etags.len();
    let mut md5 = Md5::new();
    for etag in etags {
        md5.update(hex::decode(etag).unwrap_or_default());
    }
    format!("{}-{count}", hex::encode(md5.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut digests = Digests::new(Some(algorithm));
        digests.update(bytes);
        digests.finish().checksum.unwrap().value
    }

    #[test]
    fn checksums_are_the_published_check_values() {
        // CRC catalogue's check values of "123456789".
        assert_eq!(of(Crc32, b"123456789"), STANDARD.encode(0xcbf4_3926u32.to_be_bytes()));
        assert_eq!(of(Crc32c, b"123456789"), STANDARD.encode(0xe306_9283u32.to_be_bytes()));
        assert_eq!(of(Crc64Nvme, b"123456789"), STANDARD.encode(0xae8b_1486_0a79_9888u64.to_be_bytes()));
    }

    #[test]
    fn joined_crcs_are_those_of_the_whole() {
        for algorithm in [Crc32, Crc32c, Crc64Nvme] {
            let parts = [(of(algorithm, b"12345"), 5), (of(algorithm, b"6"), 1), (of(algorithm, b"789"), 3)];
            let joined = join(algorithm, true, &parts).unwrap();
            assert_eq!(joined.value, of(algorithm, b"123456789"), "{algorithm:?}");
        }
    }

    #[test]
    fn composite_checksums_tell_their_number_of_parts() {
        let parts = [(of(Sha256, b"a"), 1), (of(Sha256, b"b"), 1)];
        let joined = join(Sha256, false, &parts).unwrap();
        let bytes: Vec<u8> = parts.iter().flat_map(|(value, _)| STANDARD.decode(value).unwrap()).collect();
        assert_eq!(joined.value, format!("{}-2", of(Sha256, &bytes)));
    }

    #[test]
    fn a_wrong_md5_or_checksum_is_a_bad_digest() {
        let none: Given = [(Crc32, None), (Crc32c, None), (Crc64Nvme, None), (Sha1, None), (Sha256, None)];
        let mut digests = Digests::new(Some(Crc32));
        digests.update(b"abc");
        let digested = digests.finish();
        let right = STANDARD.encode(Md5::digest(b"abc"));
        let wrong = STANDARD.encode(Md5::digest(b"abd"));
        let check = |md5: &str, given: Given| {
            Expected::read(Some(md5), given, &HeaderMap::new()).and_then(|expected| expected.check(&digested, None))
        };
        assert!(check(&right, none.clone()).is_ok());
        assert_eq!(check(&wrong, none.clone()).unwrap_err().code(), &s3s::S3ErrorCode::BadDigest);
        assert_eq!(check("abc", none.clone()).unwrap_err().code(), &s3s::S3ErrorCode::InvalidDigest);
        let mut given = none;
        given[0].1 = Some(of(Crc32, b"other"));
        assert_eq!(check(&right, given.clone()).unwrap_err().code(), &s3s::S3ErrorCode::BadDigest);
        given[1].1 = Some(of(Crc32c, b"abc"));
        assert_eq!(check(&right, given).unwrap_err().code(), &s3s::S3ErrorCode::InvalidRequest);
    }
}
