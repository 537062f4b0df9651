//! The switches of a thread.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

use crate::{Canary, Point};

thread_local! {
    static CANARY: Cell<Option<Canary>> = const { Cell::new(None) };
    /// A bit for each point that may fire in this run.
    static ACTIVE: Cell<u64> = const { Cell::new(0) };
    static DECIDE: RefCell<Option<Decide>> = const { RefCell::new(None) };
}

/// Decides whether an active point fires this time.
type Decide = Box<dyn FnMut(Point) -> bool>;

/// Switches that are set. Dropping it turns all of them off.
#[derive(Debug)]
#[must_use = "the switches are off again when this is dropped"]
pub struct Armed {
    /// The switches belong to the thread that set them.
    not_send: PhantomData<*const ()>,
}

/// Sets this thread's switches: the mistake to make, if any, the points that may fire, and who
/// decides whether one does.
pub fn arm(canary: Option<Canary>, active: &[Point], decide: Decide) -> Armed {
    CANARY.set(canary);
    ACTIVE.set(active.iter().fold(0, |bits, &point| bits | bit(point)));
    DECIDE.set(Some(decide));
    Armed {
        not_send: PhantomData,
    }
}

/// Whether a point may fire in this run. Nothing is decided by asking.
pub fn is_active(point: Point) -> bool {
    ACTIVE.get() & bit(point) != 0
}

impl Drop for Armed {
    fn drop(&mut self) {
        CANARY.set(None);
        ACTIVE.set(0);
        DECIDE.set(None);
    }
}

#[inline]
pub(crate) fn is_canary(canary: Canary) -> bool {
    CANARY.get() == Some(canary)
}

#[inline]
pub(crate) fn fires(point: Point) -> bool {
    is_active(point) && decide(point)
}

#[cold]
fn decide(point: Point) -> bool {
    DECIDE.with_borrow_mut(|decide| decide.as_mut().is_some_and(|decide| decide(point)))
}

fn bit(point: Point) -> u64 {
    1 << point as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_off_until_armed_and_after() {
        let point = Point::ALL[0];
        assert!(!fires(point));
        let armed = arm(Some(Canary::ALL[0]), &[point], Box::new(|_| true));
        assert!(fires(point));
        assert!(is_canary(Canary::ALL[0]) && !is_canary(Canary::ALL[1]));
        drop(armed);
        assert!(!fires(point) && !is_canary(Canary::ALL[0]));
    }

    #[test]
    fn an_active_point_fires_when_the_decision_says_so() {
        let point = Point::ALL[0];
        let mut calls = 0;
        let armed = arm(
            None,
            &[point],
            Box::new(move |_| {
                calls += 1;
                calls % 2 == 0
            }),
        );
        assert_eq!([fires(point), fires(point)], [false, true]);
        drop(armed);
        let _armed = arm(None, &[], Box::new(|_| true));
        assert!(!fires(point), "a point that is not active never fires");
    }
}
