//! Between a marker and its conversion, when the dataset has a crawler: a crawl that began after the marker was
//! written must have succeeded.
//!
//! Whatever is heard (an object has come, a crawl has ended, the sweep's hour has struck) is only an occasion to look:
//! what is to be done follows from the markers and from the crawler as they are ([`decide`]). So an event that comes
//! twice, late or never does no harm: it is looked at once more than needed, or later.
//!
//! Why this is right:
//! - A marker notes the start of the crawler's last crawl, read when the crawler was ready and after the marker was
//!   written. Every crawl with another start that ends later began after that, hence after the marker.
//! - The note is written only when it was we who started the crawler, or when an earlier note was there. Of a crawl
//!   that was under way, nothing is known, and it does not count.
//! - A marker without a note was written before a crawl ended that was under way then; whoever hears of that end
//!   lists the markers after it, finds it, and starts the next crawl. One crawl serves all the markers that are found
//!   together: a burst of objects costs the crawl under way and one more.

mod arrange;
mod decide;
mod heard;

pub use arrange::{Arranged, HAND_OVER_GRACE, arrange};
pub use decide::{CRAWLS_MAX, Next, next};
pub use heard::{CrawlEnd, Heard, heard};

pub(super) use arrange::hand_over;
pub(super) use heard::{MARKERS_MAX, pending};
