//! Panics inside a run are results, not accidents: the report says what and where, and nothing is
//! printed.

use std::cell::{Cell, RefCell};
use std::panic;

thread_local! {
    static RUNNING: Cell<u32> = const { Cell::new(0) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// While this lives, panics of its thread print nothing.
#[derive(Debug)]
#[must_use = "panics are loud again when this is dropped"]
pub struct Quiet(());

/// Says that this thread runs a world.
pub fn while_running() -> Quiet {
    RUNNING.set(RUNNING.get() + 1);
    Quiet(())
}

impl Drop for Quiet {
    fn drop(&mut self) {
        RUNNING.set(RUNNING.get() - 1);
    }
}

/// Installs the hook, for the whole process.
pub fn install() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if RUNNING.get() == 0 {
            usual(info);
            return;
        }
        PLACE.set(info.location().map(|place| place.to_string()));
    }));
}

/// Where in the code the last panic of this thread was, if the hook saw it. Forgets it.
pub fn take_place() -> Option<String> {
    PLACE.take()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_place_of_a_panic_is_kept_for_the_report() {
        install();
        let place = thread::spawn(|| {
            let quiet = while_running();
            let caught = panic::catch_unwind(|| panic!("on purpose"));
            drop(quiet);
            assert!(caught.is_err());
            (take_place(), take_place())
        });
        let (place, again) = place.join().unwrap();
        assert!(place.is_some_and(|place| place.contains("panics.rs:")));
        assert_eq!(again, None);
    }
}
