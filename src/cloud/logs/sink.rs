//! The way into the logs for the cloud's own services: lines are gathered and written in batches, so that many
//! lines cost one fsync.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use redb::WriteTransaction;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::{
    embedded,
    model::{GROUPS, Group, STREAMS, Stream, append, group_key, now_ms, stream_key},
};
use crate::cloud::{
    meter::Meter,
    store::{Store, StoreError},
};

/// Lines waiting to be written; who has more to say waits.
const QUEUED_LINES: usize = 4_096;
/// Text waiting to be written, in bytes.
const QUEUED_BYTES: u32 = 16 * 1024 * 1024;
/// Most lines of one batch.
const BATCH_LINES: usize = 2_048;
/// How long a batch waits for more lines after its first one.
const LINGER: Duration = Duration::from_millis(25);

/// A line on its way into a log stream.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// Region of the group.
    pub region: Arc<str>,
    /// Group's name.
    pub group: Arc<str>,
    /// Stream's name.
    pub stream: Arc<str>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// The text.
    pub message: String,
    /// Whether the line brings a missing group and stream into being; it is dropped otherwise.
    pub creates: bool,
}

impl LogLine {
    /// Milliseconds since 1970, now.
    pub fn now() -> i64 {
        now_ms()
    }
}

enum Message {
    /// A line, with its share of [`QUEUED_BYTES`].
    Line(LogLine, Option<OwnedSemaphorePermit>),
    Flush(oneshot::Sender<()>),
}

/// Where services write their lines. Clones write into the same queue.
#[derive(Clone)]
pub struct LogSink {
    queue: mpsc::Sender<Message>,
    room: Arc<Semaphore>,
}

impl LogSink {
    /// Starts the task that writes; it ends when the last clone is gone and all is written.
    pub fn start(store: Arc<Store>) -> LogSink {
        LogSink::spawn(store, None)
    }

    /// [`LogSink::start`], handing the metrics in the lines to `meter`.
    pub fn metering(store: Arc<Store>, meter: Meter) -> LogSink {
        LogSink::spawn(store, Some(meter))
    }

    fn spawn(store: Arc<Store>, meter: Option<Meter>) -> LogSink {
        let (queue, lines) = mpsc::channel(QUEUED_LINES);
        tokio::spawn(write_batches(store, meter, lines));
        LogSink { queue, room: Arc::new(Semaphore::new(QUEUED_BYTES as usize)) }
    }

    /// Queues a line; waits while the queue is full.
    pub async fn write(&self, line: LogLine) {
        let bytes = u32::try_from(line.message.len()).unwrap_or(u32::MAX).min(QUEUED_BYTES);
        let room = Arc::clone(&self.room).acquire_many_owned(bytes).await.ok(); // never closed
        if self.queue.send(Message::Line(line, room)).await.is_err() {
            tracing::error!("the log writer is gone; a line is lost");
        }
    }

    /// Returns once all lines queued before are written.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Message::Flush(done)).await.is_ok() {
            let _ = written.await; // an error says that the writer is gone, which write() reports
        }
    }
}

async fn write_batches(store: Arc<Store>, meter: Option<Meter>, mut queue: mpsc::Receiver<Message>) {
    let mut batch = Vec::new();
    while let Some(first) = queue.recv().await {
        let mut lines = Vec::new();
        let mut rooms = Vec::new();
        let mut flushes = Vec::new();
        let mut sort = |message, lines: &mut Vec<LogLine>, flushes: &mut Vec<_>| match message {
            Message::Line(line, room) => {
                lines.push(line);
                rooms.extend(room);
            }
            Message::Flush(done) => flushes.push(done),
        };
        sort(first, &mut lines, &mut flushes);
        let linger = tokio::time::sleep(LINGER);
        tokio::pin!(linger);
        while flushes.is_empty() && lines.len() < BATCH_LINES {
            tokio::select! {
                received = queue.recv_many(&mut batch, BATCH_LINES) => {
                    if received == 0 {
                        break;
                    }
                    batch.drain(..).for_each(|message| sort(message, &mut lines, &mut flushes));
                }
                () = &mut linger => break,
            }
        }
        write_batch(&store, meter.as_ref(), lines).await;
        for done in flushes {
            let _ = done.send(()); // who asked may have gone
        }
    }
}

async fn write_batch(store: &Arc<Store>, meter: Option<&Meter>, lines: Vec<LogLine>) {
    let count = lines.len();
    if count == 0 {
        return;
    }
    let embedded = |line: &LogLine| embedded::metrics(&line.region, &line.group, [line.message.as_str()]);
    let data: Vec<_> = if meter.is_some() { lines.iter().flat_map(embedded).collect() } else { Vec::new() };
    match store.commit(move |tx| write_lines(tx, lines)).await {
        Ok(()) => {
            if let Some(meter) = meter {
                data.into_iter().for_each(|datum| meter.record(datum));
            }
        }
        Err(error) => tracing::error!(%error, lines = count, "log lines are lost: they could not be written"),
    }
}

fn write_lines(tx: &WriteTransaction, lines: Vec<LogLine>) -> Result<(), StoreError> {
    let mut streams: BTreeMap<String, Vec<LogLine>> = BTreeMap::new();
    for line in lines {
        match streams.entry(stream_key(&line.region, &line.group, &line.stream)) {
            Entry::Vacant(entry) => drop(entry.insert(vec![line])),
            Entry::Occupied(mut entry) => entry.get_mut().push(line),
        }
    }
    for (key, lines) in streams {
        let Some(LogLine { region, group, stream, .. }) = lines.first().cloned() else { continue };
        let creates = lines.iter().any(|line| line.creates);
        let mut group = match GROUPS.get(tx, &group_key(&region, &group))? {
            Some(group) => group,
            None if creates => Group::new(&region, &group),
            None => continue,
        };
        let mut stream = match STREAMS.get(tx, &key)? {
            Some(stream) => stream,
            None if creates => Stream::new(&stream),
            None => continue,
        };
        append(tx, &region, &mut group, &mut stream, lines.into_iter().map(|line| (line.timestamp, line.message)))?;
    }
    Ok(())
}
