//! How many operations the clients of a test may do: what bounds a test is a count, and no time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::PATIENCE;

/// Operations that are granted by the test, begun and ended by its clients.
#[derive(Default)]
pub struct Quota {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    granted: u64,
    begun: u64,
    ended: u64,
    is_over: bool,
}

/// Ends the clients when it is dropped, whether the test goes well or panics.
pub struct OverWhenDropped<'a>(&'a Quota);

impl Quota {
    /// Waits until there is an operation to do. Its number, or `None` if all is over.
    pub fn begin(&self) -> Option<u64> {
        let state = self.changed.wait_while(self.lock(), |state| {
            !state.is_over && state.begun == state.granted
        });
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if state.is_over {
            return None;
        }
        state.begun += 1;
        Some(state.begun - 1)
    }

    /// An operation has ended.
    pub fn end(&self) {
        self.lock().ended += 1;
        self.changed.notify_all();
    }

    /// Grants operations, acts when a part of them has ended, and waits until all have.
    pub fn during(&self, operations: u64, act: impl FnOnce()) {
        let goal = {
            let mut state = self.lock();
            state.granted += operations;
            state.granted
        };
        self.changed.notify_all();
        self.await_ended(goal - operations * 2 / 3);
        act();
        self.await_ended(goal);
    }

    /// Ends the clients when the guard is dropped.
    pub fn over_when_dropped(&self) -> OverWhenDropped<'_> {
        OverWhenDropped(self)
    }

    fn await_ended(&self, goal: u64) {
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), PATIENCE, |state| state.ended < goal);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(
            !timeout.timed_out(),
            "waited {PATIENCE:?} for {goal} operations, {} have ended",
            state.ended
        );
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OverWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_all();
    }
}
