//! An object as `Read`: on a blocking thread, fed by tasks that fetch.

use std::{
    collections::VecDeque,
    io::{self, Read},
    ops::Range,
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    runtime::Handle,
    sync::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel},
    task::JoinHandle,
    time::timeout,
};

use super::{
    ObjectError, RANGES_IN_FLIGHT, READ_BEFORE_AHEAD_BYTES,
    fetch::{Fetch, Fetched, Part, Taker},
};

/// Chunks of a single body that wait between network and decoder (the HTTP client makes them up to 1 MiB, mostly
/// 64 KiB).
pub const CHUNKS_IN_FLIGHT: usize = 16;
/// How long a read waits before it says [`io::ErrorKind::Interrupted`], so that whoever reads can look whether it is
/// still to.
const PATIENCE: Duration = Duration::from_millis(200);

/// What an object is cut into.
#[derive(Debug)]
pub(super) struct Ranges {
    /// Where the next one begins.
    pub next: u64,
    /// 0: the object is not cut.
    pub size: u64,
    /// Bytes of each.
    pub bytes: u64,
}

impl Iterator for Ranges {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let begin = self.next;
        self.next = begin.saturating_add(self.bytes).min(self.size);
        (begin < self.next).then_some(begin..self.next)
    }
}

/// What a task tells the reader.
enum Said {
    Chunk(Bytes),
    Ended(Result<Fetched, ObjectError>),
}

/// Where it tells it. A range's chunks are as many as they are: together they are the range, which is the bound.
enum Feed {
    Range(UnboundedReceiver<Said>),
    Body(Receiver<Said>),
}

impl Feed {
    /// What is there already.
    fn ready(&mut self) -> Option<Said> {
        match self {
            Feed::Range(receiver) => receiver.try_recv().ok(),
            Feed::Body(receiver) => receiver.try_recv().ok(),
        }
    }

    async fn next(&mut self) -> Option<Said> {
        match self {
            Feed::Range(receiver) => receiver.recv().await,
            Feed::Body(receiver) => receiver.recv().await,
        }
    }
}

impl Taker for UnboundedSender<Said> {
    async fn take(&mut self, chunk: Bytes) -> bool {
        self.send(Said::Chunk(chunk)).is_ok()
    }
}

impl Taker for Sender<Said> {
    async fn take(&mut self, chunk: Bytes) -> bool {
        self.send(Said::Chunk(chunk)).await.is_ok()
    }
}

/// A task that fetches. It ends with whoever waits for it.
struct Download {
    feed: Feed,
    task: JoinHandle<()>,
}

impl Drop for Download {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads what tasks fetch, in order.
pub(super) struct ObjectReader {
    fetch: Fetch,
    handle: Handle,
    /// Those that are not fetched yet.
    ranges: Ranges,
    downloads: VecDeque<Download>,
    chunk: Bytes,
    /// Bytes that were read.
    position: u64,
    ended: bool,
}

impl ObjectReader {
    pub fn new(fetch: Fetch, handle: Handle, ranges: Ranges) -> Self {
        let mut reader = ObjectReader {
            fetch,
            handle,
            ranges,
            downloads: VecDeque::new(),
            chunk: Bytes::new(),
            position: 0,
            ended: false,
        };
        match reader.ranges.size {
            0 => reader.begin_body(),
            _ => reader.begin_ranges(),
        }
        reader
    }

    /// Begins to fetch what comes after what is fetched already, as far as there may be.
    fn begin_ranges(&mut self) {
        let ahead = if self.position < READ_BEFORE_AHEAD_BYTES { 1 } else { RANGES_IN_FLIGHT };
        while self.downloads.len() < ahead {
            let Some(range) = self.ranges.next() else { return };
            let (mut sender, receiver) = unbounded_channel();
            let fetch = self.fetch.clone();
            let task = self.handle.spawn(async move {
                let ended = fetch.run(Part::Range(range), &mut sender).await;
                let _ = sender.send(Said::Ended(ended)); // nobody reads any more: then nobody needs to know
            });
            self.downloads.push_back(Download { feed: Feed::Range(receiver), task });
        }
    }

    /// Begins to fetch everything from here on, as one body.
    fn begin_body(&mut self) {
        self.ranges.size = 0;
        let (mut sender, receiver) = channel(CHUNKS_IN_FLIGHT);
        let (fetch, position) = (self.fetch.clone(), self.position);
        let task = self.handle.spawn(async move {
            let ended = fetch.run(Part::From(position), &mut sender).await;
            let _ = sender.send(Said::Ended(ended)).await;
        });
        self.downloads.clear();
        self.downloads.push_back(Download { feed: Feed::Body(receiver), task });
    }

    /// Waits for the next chunk; none at the end.
    fn advance(&mut self) -> io::Result<()> {
        while !self.chunk.has_remaining() && !self.ended {
            let Some(download) = self.downloads.front_mut() else {
                self.ended = true;
                return Ok(());
            };
            let next = match download.feed.ready() {
                Some(said) => Ok(Some(said)),
                None => self.handle.block_on(async { timeout(PATIENCE, download.feed.next()).await }),
            };
            match next {
                Err(_) => return Err(io::ErrorKind::Interrupted.into()),
                Ok(Some(Said::Chunk(chunk))) => self.chunk = chunk,
                Ok(Some(Said::Ended(Ok(Fetched::All)))) => {
                    self.downloads.pop_front();
                    self.begin_ranges();
                }
                Ok(Some(Said::Ended(Ok(Fetched::NoRanges)))) => self.begin_body(),
                Ok(Some(Said::Ended(Err(error)))) => return Err(error.into()),
                Ok(None) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the download was stopped")),
            }
        }
        Ok(())
    }
}

impl Read for ObjectReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.advance()?;
        let length = self.chunk.remaining().min(into.len());
        self.chunk.copy_to_slice(&mut into[..length]);
        let before = self.position;
        self.position += length as u64;
        if before < READ_BEFORE_AHEAD_BYTES && self.position >= READ_BEFORE_AHEAD_BYTES {
            self.begin_ranges();
        }
        Ok(length)
    }
}
