//! A snapshot as bytes. The format's number stands first, then the hash of the state, so that a file which was
//! damaged or edited is refused rather than believed.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{Snapshot, Unsound, verify};

/// The format this version writes.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    format: u32,
    sha256: String,
    #[serde(borrow)]
    state: &'a RawValue,
}

/// Bytes that are no sound state.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// Not the JSON it should be.
    #[error("it cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by a later version.
    #[error("it has format {0}, and this version of lake reads up to {FORMAT}; use the version that wrote it")]
    Format(u32),
    /// The hash does not match.
    #[error("its content does not match its hash: it was damaged or edited")]
    Hash,
    /// The content contradicts itself.
    #[error("it is unsound: {0}")]
    Unsound(#[from] Unsound),
}

/// The snapshot as it is stored. Refuses one that is unsound.
pub(super) fn encode(snapshot: &Snapshot) -> Result<Vec<u8>, FormatError> {
    verify(snapshot)?;
    let state = serde_json::value::to_raw_value(snapshot)?;
    let sha256 = hex::encode(Sha256::digest(state.get()));
    let mut bytes = serde_json::to_vec(&Envelope { format: FORMAT, sha256, state: &state })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The snapshot that `bytes` hold.
pub(super) fn decode(bytes: &[u8]) -> Result<Snapshot, FormatError> {
    let envelope: Envelope<'_> = serde_json::from_slice(bytes)?;
    if envelope.format > FORMAT {
        return Err(FormatError::Format(envelope.format));
    }
    if hex::encode(Sha256::digest(envelope.state.get())) != envelope.sha256 {
        return Err(FormatError::Hash);
    }
    let snapshot = serde_json::from_str(envelope.state.get())?;
    verify(&snapshot)?;
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_snapshot_reads_back() {
        let snapshot = Snapshot::new("flights", "local");
        assert_eq!(decode(&encode(&snapshot).unwrap()).unwrap(), snapshot);
    }

    #[test]
    fn a_later_format_is_refused_by_its_number() {
        let bytes = encode(&Snapshot::new("flights", "local")).unwrap();
        let text = String::from_utf8(bytes).unwrap().replace("\"format\":1", "\"format\":9");
        assert!(decode(text.as_bytes()).unwrap_err().to_string().contains("format 9"));
    }

    proptest! {
        #[test]
        fn a_file_with_any_byte_changed_or_its_tail_cut_is_refused(place in 0usize..200, byte: u8, cut: bool) {
            let snapshot = Snapshot::new("flights", "local");
            let mut bytes = encode(&snapshot).unwrap();
            let place = place % (bytes.len() - 1);
            if cut {
                bytes.truncate(place);
            } else {
                prop_assume!(bytes[place] != byte);
                bytes[place] = byte;
            }
            // White space around the state's own text and the envelope's number change nothing that is believed.
            if let Ok(read) = decode(&bytes) {
                prop_assert_eq!(read, snapshot);
            }
        }
    }
}
