//! What is told on the event bus.
//!
//! Source `lake.<lake>`, detail-type `Lake Job State Change`, `resources` the ARN of the object in the raw bucket,
//! detail:
//!
//! ```json
//! {
//!   "lake": "flights", "stack": "local", "dataset": "flights", "state": "Succeeded",
//!   "run": "20250102T030405006Z-1a2b3c4d", "source": "flights/2025-01.csv",
//!   "rows": { "read": 100, "kept": 97, "filtered": 1, "rejected": 2 },
//!   "bytes": { "read": 12345, "written": 2345 }, "seconds": 1.2,
//!   "message": "flights/2025-01.csv is in the table flights: 97 of 100 rows in 1.2 s, 2 rejected"
//! }
//! ```
//!
//! `state` is `Succeeded` or `Failed`; a failure has `"error": { "code", "message" }` besides. A crawl that failed
//! has neither `run` nor `source`; `"crawler"` names its crawler instead. `message` is one line without quotation
//! marks and backslashes, so that an input transformer may put it into any text.

/// Detail-type of every event that the lake sends.
pub const DETAIL_TYPE: &str = "Lake Job State Change";

/// Source of the events of `lake`.
pub fn source(lake: &str) -> String {
    format!("lake.{lake}")
}
