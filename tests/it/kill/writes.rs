//! Kills between the writes of state: before one, in the middle of it, and a disk that is full at it.
//!
//! `LAKE_FAILPOINT=state:<n>:<how>` makes `lake` die, or fail, at its n-th durable write of state.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use super::{
    Prepared, for_each, prepare, say,
    scenario::{Action, Place, Scenario},
    select::{Share, Wish},
    verdict::Complaint,
    verdict::converges,
};
use crate::world::Ran;

/// The scenarios of a test run that does not ask for all.
const FEW: [Scenario; 3] =
    [Place::Folder.with(Action::Create), Place::Folder.with(Action::Mixed), Place::Folder.with(Action::Destroy)];

/// What happens at a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// The process dies before it.
    Kill,
    /// The process dies when half of it is written.
    Torn,
    /// The disk is full.
    Full,
}

impl How {
    fn word(self) -> &'static str {
        match self {
            How::Kill => "kill",
            How::Torn => "torn",
            How::Full => "full",
        }
    }

    /// Whether a command ended as it does when this happened to it; `None` when it ended otherwise.
    fn has_happened(self, ran: &Ran) -> Option<bool> {
        match (self, ran.code) {
            (_, 0) => Some(false),
            // Ended by a signal: there is no code.
            (How::Kill | How::Torn, -1) => Some(true),
            (How::Full, 1) => Some(!ran.stderr.trim().is_empty()),
            _ => None,
        }
    }
}

/// One scenario, and what happens to it at one write after the other.
struct Row<'a> {
    prepared: &'a Prepared,
    how: How,
    /// A share of the writes, or ever fewer the later they come.
    share: Option<Share>,
}

impl Row<'_> {
    /// Goes through the writes until the command makes fewer. How many there were.
    async fn run(&self) -> Result<usize, Complaint> {
        let (mut write, mut step) = self.share.map_or((1, 1), |share| (1 + share.from, share.one_in));
        let mut cases = 0;
        while self.at(write).await? {
            cases += 1;
            // 1, 2, 3, 5, 8, 13, …
            (write, step) = (write + step, if self.share.is_some() { step } else { write });
        }
        match cases {
            0 if write == 1 => Err("its first write of state is not noticed".to_owned()),
            cases => Ok(cases),
        }
    }

    /// Whether the command came so far.
    async fn at(&self, write: usize) -> Result<bool, Complaint> {
        let Row { prepared, how, .. } = self;
        let point = format!("state:{write}:{}", how.word());
        let told =
            |complaint: Complaint| format!("{} with LAKE_FAILPOINT={point}: {complaint}", prepared.scenario.name());
        let stand = prepared.start.copy().open().await;
        let ran = stand.lake_with("LAKE_FAILPOINT", &point, prepared.scenario.command()).await;
        let Some(happened) = how.has_happened(&ran) else {
            return Err(told(format!("it ended with {} and says\n{}", ran.code, ran.stderr)));
        };
        if happened {
            converges(prepared.scenario, &stand, &prepared.expected).await.map_err(told)?;
        }
        Ok(happened)
    }
}

#[test]
fn killed_at_any_write_of_state_or_out_of_disk_it_goes_on_the_next_time() {
    // One call that is asked for is none of these.
    let wish = Wish::from(std::env::var("LAKE_KILL").ok().as_deref());
    let (scenarios, share) = match wish {
        Wish::All(scenarios, share) => (scenarios, Some(share)),
        _ => (FEW.to_vec(), None),
    };
    let prepared = prepare(scenarios);
    // In a bucket a write is a call, and killed as one; what is left is one that fails for good.
    let is_other = |row: &Row<'_>| row.how == How::Full || row.prepared.scenario.place == Place::Folder;
    let rows: Vec<Row<'_>> = [How::Kill, How::Torn, How::Full]
        .into_iter()
        .flat_map(|how| prepared.values().map(move |prepared| Row { prepared, how, share }))
        .filter(is_other)
        .collect();
    let (cases, begun) = (AtomicUsize::new(0), Instant::now());
    let complaints = for_each(&rows, async |row: &Row<'_>| {
        let writes = row.run().await?;
        cases.fetch_add(writes, Ordering::Relaxed);
        Ok(())
    });
    let (cases, seconds) = (cases.into_inner(), begun.elapsed().as_secs());
    say(&format!("{cases} writes of state in {seconds} s, {} rows failed", complaints.len()));
    assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
}
