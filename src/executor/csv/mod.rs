//! CSV as it is found in the wild: bytes → text → blocks of records → fields → typed columns, and what is no row set
//! aside.
//!
//! `text` unpacks and decodes bytes, `dialect` finds out how the text is written, `head` reads what stands above the
//! rows, `blocks` cuts the text at ends of records, `grid` finds the fields, `value` reads cells, `evidence` and `infer`
//! find types out, `decode` makes columns. `split` reads record by record: for the sample, and as what `blocks` and
//! `grid` are held against.

mod blocks;
mod decode;
mod dialect;
mod evidence;
mod grid;
mod head;
mod header;
mod infer;
mod marks;
mod nulls;
mod opened;
mod reject;
mod split;
mod text;
mod value;

pub use blocks::{BLOCK_BYTES, RAW_BYTES_MAX, RECORD_BYTES_MAX};
pub use decode::{BATCH_BYTES, BATCH_ROWS_MAX};
pub use dialect::{Decision, Dialect, Item, Newline};
pub use grid::RECORD_FIELDS_MAX;
pub use infer::{Inference, InferenceOfAll, infer, infer_all};
pub use reject::{Code, PLUGIN_CODE_PREFIX};
pub use text::{Compression, Known, SAMPLE_BYTES, ZSTD_WINDOW_LOG_MAX};

pub(super) use blocks::{Block, Limits};
pub(super) use decode::{Decoded, Decoder, Layout, Origins};
pub(super) use grid::Width;
pub(super) use infer::{Extent, Look};
pub(super) use marks::Marks;
pub(super) use nulls::Nulls;
pub(super) use opened::Opened;
pub(super) use reject::{Reject, is_lakes, plugin_code};
pub(super) use text::Unreadable;
pub(super) use value::Formats;

#[cfg(fuzzing)]
pub(crate) use tests::fuzz::{Case, check};

#[cfg(any(test, fuzzing))]
mod tests;
