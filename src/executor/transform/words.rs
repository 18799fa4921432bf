//! What a plugin says: lines for the log of the run, and its last words.

use std::{collections::VecDeque, sync::Arc};

use super::{text::shown, wit::Level};

/// Lines that an instance may write to the log; the rest are counted.
const LINES_MAX: u64 = 100;
/// Bytes of a line.
const LINE_BYTES_MAX: usize = 4096;
/// Lines of its last words.
const LAST_LINES_MAX: usize = 4;
/// Bytes of such a line, when it is told.
const LAST_LINE_BYTES_MAX: usize = 1024;

/// As much of a line as anybody looks at, and a letter more where there is more.
pub(super) fn beginning(line: &str) -> &str {
    &line[..line.ceil_char_boundary(LINE_BYTES_MAX + 1)]
}

/// What one instance says.
pub(super) struct Words {
    plugin: Arc<str>,
    lines: u64,
    /// What it has said at level `error` in the call that is under way.
    last: VecDeque<String>,
}

impl Words {
    pub fn new(plugin: Arc<str>) -> Words {
        Words { plugin, lines: 0, last: VecDeque::new() }
    }

    /// A call begins: what was said before it does not explain how it ends.
    pub fn begin(&mut self) {
        self.last.clear();
    }

    /// Counts a line; whether it is to be looked at.
    pub fn wants(&mut self, level: Level) -> bool {
        self.lines += 1;
        self.lines <= LINES_MAX || level == Level::Error
    }

    /// A line that was counted.
    pub fn say(&mut self, level: Level, line: &str) {
        if self.lines <= LINES_MAX {
            self.log(level, &shown(line, LINE_BYTES_MAX));
        }
        if level == Level::Error {
            if self.last.len() == LAST_LINES_MAX {
                self.last.pop_front();
            }
            self.last.push_back(shown(line, LAST_LINE_BYTES_MAX));
        }
    }

    fn log(&self, level: Level, line: &str) {
        let plugin = &*self.plugin;
        match level {
            Level::Debug => tracing::debug!(target: "lake::transform", plugin, "{line}"),
            Level::Info => tracing::info!(target: "lake::transform", plugin, "{line}"),
            Level::Warn => tracing::warn!(target: "lake::transform", plugin, "{line}"),
            Level::Error => tracing::error!(target: "lake::transform", plugin, "{line}"),
        }
    }

    /// What it said at level `error` since the call began; `None` when it said nothing.
    pub fn last(&self) -> Option<String> {
        (!self.last.is_empty()).then(|| self.last.iter().map(String::as_str).collect::<Vec<_>>().join(" / "))
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        let left_out = self.lines.saturating_sub(LINES_MAX);
        if left_out > 0 {
            let plugin = &*self.plugin;
            tracing::warn!(target: "lake::transform", plugin, "{left_out} more lines of this plugin are left out");
        }
    }
}
