//! What an execution environment writes, on its way into its log stream.

use std::{
    collections::VecDeque,
    io::{self, PipeReader},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::net::unix::pipe::Receiver;

use crate::cloud::logs::{LogLine, LogSink};

/// Longest log event, in bytes; a longer line becomes several.
const LINE_BYTES: usize = 256 * 1024;
/// Bytes read from the pipe at once: what a pipe holds, so one turn catches all that was written before it.
const READ_BYTES: usize = 64 * 1024;
/// What `LogType=Tail` returns, in bytes.
const TAIL_BYTES: usize = 4 * 1024;

/// An environment's log stream.
pub(super) struct Log {
    pub sink: LogSink,
    pub region: Arc<str>,
    pub group: Arc<str>,
    pub stream: Arc<str>,
    /// Whether the function's role may write it; what is written is lost otherwise, but for the tail.
    pub kept: bool,
    tail: Mutex<VecDeque<u8>>,
}

impl Log {
    /// A new stream of `group`, named as Lambda names them.
    pub(super) fn new(sink: LogSink, region: &str, group: &str) -> Log {
        let date = jiff::Timestamp::now().strftime("%Y/%m/%d");
        let stream = format!("{date}/[$LATEST]{}", uuid::Uuid::new_v4().simple());
        let (region, group, stream) = (region.into(), group.into(), stream.into());
        Log { sink, region, group, stream, kept: true, tail: Mutex::default() }
    }

    /// A line of Lambda's own.
    pub(super) async fn platform(&self, text: String) {
        self.write(format!("{text}\n"), false).await;
    }

    /// A line of Lambda's own that begins something: it brings the stream into being. Others do not, so that a
    /// group deleted during an invocation stays deleted.
    pub(super) async fn begin(&self, text: String) {
        self.write(format!("{text}\n"), true).await;
    }

    async fn write(&self, message: String, creates: bool) {
        self.remember(message.as_bytes());
        if !self.kept {
            return;
        }
        let (region, group, stream) = (self.region.clone(), self.group.clone(), self.stream.clone());
        self.sink.write(LogLine { region, group, stream, timestamp: LogLine::now(), message, creates }).await;
    }

    fn remember(&self, bytes: &[u8]) {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]);
        let excess = tail.len().saturating_sub(TAIL_BYTES);
        tail.drain(..excess);
    }

    /// The last of what was written since the last call.
    pub(super) fn take_tail(&self) -> Vec<u8> {
        std::mem::take(&mut *self.tail.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

/// The pipe that both of a child's outputs end in.
pub(super) struct Output {
    pipe: Receiver,
    lines: tokio::sync::Mutex<Lines>,
    log: Arc<Log>,
}

impl Output {
    /// Reads from `pipe` without blocking.
    pub(super) fn new(pipe: PipeReader, log: Arc<Log>) -> io::Result<Arc<Output>> {
        let pipe = Receiver::from_owned_fd(pipe.into())?;
        Ok(Arc::new(Output { pipe, lines: tokio::sync::Mutex::default(), log }))
    }

    /// Writes lines as they come, until all writers are gone.
    pub(super) async fn pump(self: Arc<Self>) {
        loop {
            if self.pipe.readable().await.is_err() {
                return;
            }
            match self.read_some(|buffer| self.pipe.try_read(buffer)).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "a function's output could not be read");
                    return;
                }
            }
        }
    }

    /// Writes all that the child has put out until now, also a line that is not ended.
    pub(super) async fn drain(&self) {
        // Past tokio, which may not have heard yet that there is something to read.
        let read = |buffer: &mut [u8]| Ok(rustix::io::read(&self.pipe, buffer)?);
        if let Err(error) = self.read_some(read).await {
            tracing::warn!(%error, "a function's output could not be read");
        }
        let rest = self.lines.lock().await.rest();
        if let Some(line) = rest {
            self.log.write(line, false).await;
        }
    }

    /// Reads what is there, but no more than [`READ_BYTES`], so that a chatty child does not keep the lock. Tells
    /// whether anybody can still write.
    async fn read_some(&self, mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<bool> {
        let mut lines = self.lines.lock().await;
        let mut buffer = vec![0; READ_BYTES];
        let mut room = READ_BYTES;
        while room > 0 {
            match read(&mut buffer[..room]) {
                Ok(0) => return Ok(false),
                Ok(read) => {
                    room -= read;
                    for line in lines.take(&buffer[..read]) {
                        self.log.write(line, false).await;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Parts bytes into lines of bounded length. Blank lines are left out: an event has to have text.
#[derive(Default)]
struct Lines {
    open: Vec<u8>,
}

impl Lines {
    fn take(&mut self, mut bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        while !bytes.is_empty() {
            let room = LINE_BYTES - self.open.len();
            let end = bytes.iter().take(room).position(|byte| *byte == b'\n').map(|at| at + 1);
            let (part, after) = bytes.split_at(end.unwrap_or(room.min(bytes.len())));
            self.open.extend_from_slice(part);
            bytes = after;
            if end.is_some() || self.open.len() == LINE_BYTES {
                lines.extend(self.rest());
            }
        }
        lines
    }

    fn rest(&mut self) -> Option<String> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.open)).into_owned();
        (!line.trim().is_empty()).then_some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_whatever_the_reads_and_bounded_whatever_the_lines() {
        let mut lines = Lines::default();
        assert!(lines.take(b"ab").is_empty());
        assert_eq!(lines.take(b"c\n\nde\nf"), ["abc\n", "de\n"]);
        assert_eq!(lines.rest().as_deref(), Some("f"));
        let long = vec![b'x'; LINE_BYTES + 3];
        assert_eq!(lines.take(&long).iter().map(String::len).collect::<Vec<_>>(), [LINE_BYTES]);
        assert_eq!(lines.take(b"\n"), ["xxx\n"]);
        assert_eq!(lines.take(b"\xff\n"), ["\u{fffd}\n"]);
    }

    #[tokio::test]
    async fn a_log_that_may_not_be_written_keeps_its_tail_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::cloud::store::Store::open(folder.path()).unwrap();
        let sink = LogSink::start(Arc::clone(&store));
        let streams = |group: &str| {
            let below = format!("r:{group}:");
            let names = store.read(|tx| {
                let table = crate::cloud::store::Table::<serde_json::Value>::new("logs.streams");
                table.scan(tx, &below, None, 10)
            });
            names.unwrap().len()
        };
        for (group, kept) in [("kept", true), ("lost", false)] {
            let log = Log { kept, ..Log::new(sink.clone(), "r", group) };
            log.begin("START".into()).await;
            assert_eq!(log.take_tail(), b"START\n");
        }
        sink.flush().await;
        assert_eq!((streams("kept"), streams("lost")), (1, 0));
    }
}
