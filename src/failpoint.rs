//! Places where a test makes the process die, or a disk fill up. Without `LAKE_FAILPOINT` they cost one load.
//!
//! `state:<n>:kill` ends the process at its n-th write of state, as `kill -9` does, before the write; `state:<n>:torn`
//! after half of it; with `state:<n>:full` it and every later one fail as on a full disk.

use std::{
    str::FromStr,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// What is to happen, and at which write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failpoint {
    at: u64,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Kill,
    Torn,
    Full,
}

/// What a write is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// As usual.
    Whole,
    /// Half of it, then [`die`].
    Torn,
}

static ARMED: OnceLock<Failpoint> = OnceLock::new();
static WRITES: AtomicU64 = AtomicU64::new(0);

impl FromStr for Failpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no failpoint; expected state:<n>:kill, :torn or :full");
        let mut parts = text.split(':');
        let (Some("state"), Some(at), Some(how), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let how = match how {
            "kill" => How::Kill,
            "torn" => How::Torn,
            "full" => How::Full,
            _ => return Err(wrong()),
        };
        Ok(Failpoint { at: at.parse().map_err(|_| wrong())?, how })
    }
}

/// Arms `failpoint` for the rest of the process.
pub fn arm(failpoint: Failpoint) {
    let _ = ARMED.set(failpoint);
}

/// Passed before every write of state.
pub fn before_write() -> std::io::Result<Write> {
    let Some(failpoint) = ARMED.get() else { return Ok(Write::Whole) };
    let write = WRITES.fetch_add(1, Ordering::SeqCst) + 1;
    match failpoint.how {
        How::Kill if write == failpoint.at => die(),
        How::Torn if write == failpoint.at => Ok(Write::Torn),
        How::Full if write >= failpoint.at => Err(std::io::ErrorKind::StorageFull.into()),
        _ => Ok(Write::Whole),
    }
}

/// Ends the process at once: nothing is flushed, dropped or told.
pub fn die() -> ! {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failpoint_names_the_write_and_what_happens_there() {
        assert_eq!("state:7:kill".parse(), Ok(Failpoint { at: 7, how: How::Kill }));
        for text in ["", "state", "state:x:kill", "state:7:melt", "disk:7:kill", "state:7:kill:now"] {
            assert!(text.parse::<Failpoint>().is_err(), "{text}");
        }
    }
}
