//! CSV as it is found in the wild: bytes → text → records → typed columns, and what is no row set aside.
//!
//! `text` unpacks and decodes bytes, `dialect` finds out how the text is written, `split` finds the records, `header` names the
//! columns, `value` reads cells, `infer` finds types out, `decode` makes columns.

mod decode;
mod dialect;
mod header;
mod infer;
mod nulls;
mod reading;
mod reject;
mod split;
mod text;
mod value;

pub use dialect::{Dialect, Newline};
pub use infer::{Inference, InferenceOfAll, infer, infer_all};
pub use reject::{Code, PLUGIN_CODE_PREFIX};
pub use split::{BATCH_ROWS_MAX, BLOCK_BYTES, RAW_BYTES_MAX, RECORD_BYTES_MAX, RECORD_FIELDS_MAX};
pub use text::{Compression, Known, SAMPLE_BYTES, ZSTD_WINDOW_LOG_MAX};

pub(super) use decode::{Decoded, Decoder};
pub(super) use nulls::Nulls;
pub(super) use reading::Reading;
pub(super) use reject::{Reject, is_lakes, plugin_code};
pub(super) use split::{Batch, Row};
pub(super) use text::Unreadable;
