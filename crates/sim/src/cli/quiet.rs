//! Panics inside a run are results, not accidents: the report has them, so nothing is printed.

use std::cell::Cell;
use std::panic;

thread_local! {
    static RUNNING: Cell<u32> = const { Cell::new(0) };
}

/// While this lives, panics of its thread print nothing.
pub(crate) struct Quiet(());

/// Says that this thread runs a world.
pub(crate) fn while_running() -> Quiet {
    RUNNING.set(RUNNING.get() + 1);
    Quiet(())
}

impl Drop for Quiet {
    fn drop(&mut self) {
        RUNNING.set(RUNNING.get() - 1);
    }
}

/// Installs the hook.
pub(crate) fn install() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if RUNNING.get() == 0 {
            usual(info);
        }
    }));
}
