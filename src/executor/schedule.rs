//! Who does what, on which thread: one thread reads and cuts, others decode a group of blocks each, and the calling
//! thread settles what they give, in the order of the input. So what comes out does not depend on the number of threads.
//!
//! Memory is bounded by what may be under way: [`Resources::text_bytes`] of text that is cut and not yet let go of, one
//! group more than there are workers, and [`PIECES_MAX`] pieces a group. Who is ahead waits; nothing grows.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
};

use arrow::error::ArrowError;

use super::{Error, Progress, csv::Block};

/// Pieces of a group that wait for their turn.
const PIECES_MAX: usize = 4;
/// Text that is under way, a processor: a group's worth and a half at the default size of groups.
const TEXT_BYTES_PER_WORKER: usize = 24 * 1024 * 1024;
/// Text that is under way at least: more than the rows of one batch can keep alive, however long they are.
const TEXT_BYTES_MIN: usize = 48 * 1024 * 1024;

/// What a run may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Threads that decode and encode.
    pub workers: usize,
    /// Bytes of text under way.
    pub text_bytes: usize,
}

/// Memory of one conversion, unless more is given: bytes.
pub const MEMORY_BYTES: usize = 256 * 1024 * 1024;
/// Memory that a worker takes besides its text: the row group that it encodes, and one that waits to be written.
const WORKER_BYTES: usize = 64 * 1024 * 1024;

/// Columns from which on a table is wide: each takes some 20 KB of a row group in the making, whatever is in it.
const WIDE_COLUMNS: usize = 2000;

impl Resources {
    /// What fits this many processors and this memory, bytes. One worker always has room.
    pub fn of(processors: usize, memory: usize) -> Self {
        let workers = (memory.saturating_sub(TEXT_BYTES_MIN) / WORKER_BYTES).clamp(1, processors.max(1));
        let text_bytes = (TEXT_BYTES_PER_WORKER * workers).max(TEXT_BYTES_MIN);
        Resources { workers, text_bytes }
    }

    /// The same for a table of so many columns: of very many, the row group of one worker takes what is there for two.
    pub(super) fn for_columns(self, columns: usize) -> Self {
        match columns > WIDE_COLUMNS {
            true => Resources { workers: self.workers.div_ceil(2), ..self },
            false => self,
        }
    }
}

impl Default for Resources {
    /// All processors, [`MEMORY_BYTES`].
    fn default() -> Self {
        Resources::of(thread::available_parallelism().map_or(1, usize::from), MEMORY_BYTES)
    }
}

/// What a reader gives.
pub(super) enum Next<C> {
    /// Blocks of another file follow.
    File(Arc<C>),
    /// A block of the file.
    Block(Block),
}

/// Blocks that belong together, and the file that they are of.
pub(super) struct Group<C> {
    pub file: Arc<C>,
    blocks: Receiver<Arc<Block>>,
    text: Arc<Budget>,
}

impl<C> Group<C> {
    /// The next block, as soon as it is cut.
    ///
    /// # Errors
    /// Nobody wants what is made of it.
    pub fn next(&mut self) -> Result<Option<Arc<Block>>, Unwanted> {
        let next = self.blocks.recv().ok();
        if self.text.lock().closed { Err(Unwanted) } else { Ok(next) }
    }
}

/// Text that a block takes, counted against what is under way until the last who holds the block lets go.
#[derive(Debug)]
struct Loan {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

/// Counts what is under way.
#[derive(Debug)]
struct Budget {
    used: Mutex<Used>,
    freed: Condvar,
    max: usize,
}

#[derive(Debug, Default)]
struct Used {
    amount: usize,
    closed: bool,
}

impl Budget {
    fn new(max: usize) -> Arc<Self> {
        Arc::new(Budget { used: Mutex::default(), freed: Condvar::new(), max })
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for something, if not for all of it: what is larger than the whole must pass, too.
    /// False when nobody wants it any more.
    fn take(&self, amount: usize) -> bool {
        let mut used = self.lock();
        while used.amount >= self.max && !used.closed {
            used = self.freed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        used.amount += amount;
        !used.closed
    }

    fn give_back(&self, amount: usize) {
        self.lock().amount -= amount;
        self.freed.notify_one();
    }

    fn close(&self) {
        self.lock().closed = true;
        self.freed.notify_all();
    }
}

/// What the calling thread is told, in the order of the input.
enum Told<P> {
    /// A group's pieces.
    Group(Receiver<Result<P, Error>>),
    /// Reading stopped here.
    Failed(Error),
}

/// What a worker is given.
struct Task<C, P> {
    group: Group<C>,
    pieces: SyncSender<Result<P, Error>>,
}

/// Hands pieces over to the calling thread; what was not taken, nobody wants any more.
pub(super) struct Pieces<P>(SyncSender<Result<P, Error>>);

/// The calling thread has stopped listening.
pub(super) struct Unwanted;

impl<P> Pieces<P> {
    /// Waits while too many pieces of the group are not settled.
    pub fn give(&self, piece: P) -> Result<(), Unwanted> {
        self.0.send(Ok(piece)).map_err(|_| Unwanted)
    }
}

/// Runs `read` on a thread of its own, `work` for each group on one of the workers, and `settle` here for each piece.
///
/// # Errors
/// The first in the order of the input, whichever thread met it.
pub(super) fn run<C: Send + Sync, P: Send>(
    resources: Resources,
    progress: &Progress,
    mut read: impl FnMut() -> Result<Option<Next<C>>, Error> + Send,
    work: impl Fn(Group<C>, &Pieces<P>) -> Result<(), Stop> + Sync,
    mut settle: impl FnMut(P) -> Result<(), Error>,
) -> Result<(), Error> {
    let (text, groups) = (Budget::new(resources.text_bytes), Budget::new(resources.workers + 1));
    let (tasks, queue) = channel::<Task<C, P>>();
    let (tell, told) = channel::<Told<P>>();
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        let (text_of_reader, groups_of_reader) = (Arc::clone(&text), Arc::clone(&groups));
        scope.spawn(move || {
            let mut feeder =
                Feeder { text: text_of_reader, groups: groups_of_reader, tasks, tell, file: None, group: None };
            if let Err(Stop::Failed(error)) = feeder.feed(&mut read, progress) {
                let _ = feeder.tell.send(Told::Failed(error)); // nobody listens: then nobody needs to know
            }
        });
        for _ in 0..resources.workers {
            scope.spawn(|| {
                loop {
                    let task = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(Task { group, pieces }) = task else { return };
                    let pieces = Pieces(pieces);
                    if let Err(Stop::Failed(error)) = work(group, &pieces) {
                        let _ = pieces.0.send(Err(error));
                    }
                }
            });
        }
        // However this ends: who waits for room, or to be listened to, must not wait for ever.
        let told = told;
        let _closing = Closing([&text, &groups]);
        while let Ok(next) = told.recv() {
            let pieces = match next {
                Told::Group(pieces) => pieces,
                Told::Failed(error) => return Err(error),
            };
            while let Ok(piece) = pieces.recv() {
                settle(piece?)?;
            }
            groups.give_back(1);
        }
        Ok(())
    })
}

/// Why a thread stops before its end.
pub(super) enum Stop {
    /// It failed.
    Failed(Error),
    /// Nobody wants its work any more.
    Unwanted,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

impl From<ArrowError> for Stop {
    fn from(error: ArrowError) -> Self {
        Stop::Failed(error.into())
    }
}

impl From<Unwanted> for Stop {
    fn from(Unwanted: Unwanted) -> Self {
        Stop::Unwanted
    }
}

struct Closing<'a>([&'a Budget; 2]);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        for budget in self.0 {
            budget.close();
        }
    }
}

/// The reading thread: gives each group's blocks to whichever worker is free.
struct Feeder<C, P> {
    text: Arc<Budget>,
    groups: Arc<Budget>,
    tasks: Sender<Task<C, P>>,
    tell: Sender<Told<P>>,
    file: Option<Arc<C>>,
    group: Option<Sender<Arc<Block>>>,
}

impl<C, P> Feeder<C, P> {
    fn feed(
        &mut self,
        read: &mut impl FnMut() -> Result<Option<Next<C>>, Error>,
        progress: &Progress,
    ) -> Result<(), Stop> {
        while let Some(next) = read()? {
            if progress.is_cancelled() {
                return Err(Error::Cancelled.into());
            }
            match next {
                Next::File(file) => (self.file, self.group) = (Some(file), None),
                Next::Block(block) => self.block(block)?,
            }
        }
        Ok(())
    }

    fn block(&mut self, mut block: Block) -> Result<(), Stop> {
        let bytes = block.bytes.capacity();
        if !self.text.take(bytes) {
            return Err(Stop::Unwanted);
        }
        let ends_group = block.ends_group;
        block.keeps = Some(Box::new(Loan { budget: Arc::clone(&self.text), bytes }));
        if self.group.is_none() {
            self.begin()?;
        }
        if let Some(group) = &self.group {
            group.send(Arc::new(block)).map_err(|_| Stop::Unwanted)?;
        }
        if ends_group {
            self.group = None;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Stop> {
        let Some(file) = self.file.clone() else { return Ok(()) };
        if !self.groups.take(1) {
            return Err(Stop::Unwanted);
        }
        let ((group, blocks), (pieces, settled)) = (channel(), sync_channel(PIECES_MAX));
        self.tell.send(Told::Group(settled)).map_err(|_| Stop::Unwanted)?;
        self.tasks
            .send(Task { group: Group { file, blocks, text: Arc::clone(&self.text) }, pieces })
            .map_err(|_| Stop::Unwanted)?;
        self.group = Some(group);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
