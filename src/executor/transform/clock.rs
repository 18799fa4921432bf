//! The clock by which calls are ended: it moves the engine's epoch on, which running code looks at.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use wasmtime::Engine;

/// How often a call may be ended, milliseconds.
const TICK: Duration = Duration::from_millis(10);

/// A thread that ticks while a call is under way, and sleeps otherwise.
pub(super) struct Clock {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    calls: usize,
    asleep: bool,
    over: bool,
}

/// A call that is under way: while this lives the clock ticks.
pub(super) struct Running<'a> {
    clock: &'a Clock,
}

impl Clock {
    pub fn start(engine: &Engine) -> io::Result<Clock> {
        let shared = Arc::new(Shared::default());
        let (engine, theirs) = (engine.clone(), Arc::clone(&shared));
        let thread = thread::Builder::new().name("wasm-clock".to_owned()).spawn(move || theirs.tick(&engine))?;
        Ok(Clock { shared, thread: Some(thread) })
    }

    pub fn running(&self) -> Running<'_> {
        let mut state = self.shared.lock();
        state.calls += 1;
        if state.asleep {
            self.shared.wake.notify_one();
        }
        Running { clock: self }
    }
}

impl Shared {
    /// Nothing in here panics while it holds the lock; a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self, engine: &Engine) {
        let mut state = self.lock();
        while !state.over {
            state.asleep = state.calls == 0;
            // Calls that follow each other find it awake: it only falls asleep at a tick without a call.
            state = if state.asleep {
                self.wake.wait(state).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.wake.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0
            };
            engine.increment_epoch();
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.clock.shared.lock().calls -= 1;
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.shared.lock().over = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // It ends at once, and has nothing to say.
            let _ = thread.join();
        }
    }
}
