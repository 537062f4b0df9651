//! Samples of commands that took long: what LATENCY shows.

use std::collections::{BTreeMap, VecDeque};

/// The most samples kept per event; Redis's LATENCY_TS_LEN.
const SAMPLES_MAX: usize = 160;

/// Samples by event. Events are named by the program, so there are few.
#[derive(Debug, Default)]
pub(crate) struct LatencyMonitor {
    events: BTreeMap<&'static str, LatencyEvent>,
}

/// The samples of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LatencyEvent {
    /// The longest ever, in milliseconds.
    pub(crate) longest_ms: u64,
    /// Unix time in seconds, and the longest of that second in milliseconds; the oldest first.
    pub(crate) samples: VecDeque<(u64, u64)>,
}

impl LatencyMonitor {
    /// Adds a sample. Samples of one second are one, the longest.
    pub(crate) fn add(&mut self, event: &'static str, wall_seconds: u64, duration_ms: u64) {
        let event = self.events.entry(event).or_default();
        event.longest_ms = event.longest_ms.max(duration_ms);
        if let Some((seconds, longest)) = event.samples.back_mut()
            && *seconds == wall_seconds
        {
            *longest = (*longest).max(duration_ms);
            return;
        }
        if event.samples.len() == SAMPLES_MAX {
            event.samples.pop_front();
        }
        event.samples.push_back((wall_seconds, duration_ms));
    }

    /// All events by name.
    pub(crate) fn events(&self) -> impl ExactSizeIterator<Item = (&'static str, &LatencyEvent)> {
        self.events.iter().map(|(name, event)| (*name, event))
    }

    /// The event of a name.
    pub(crate) fn event(&self, name: &[u8]) -> Option<(&'static str, &LatencyEvent)> {
        self.events().find(|(known, _)| known.as_bytes() == name)
    }

    /// Forgets an event. Returns whether it was there.
    pub(crate) fn forget(&mut self, name: &[u8]) -> bool {
        let known = self.event(name).map(|(known, _)| known);
        known.is_some_and(|known| self.events.remove(known).is_some())
    }

    /// Forgets all events. Returns how many there were.
    pub(crate) fn clear(&mut self) -> usize {
        let count = self.events.len();
        self.events.clear();
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_one_sample_and_the_oldest_give_way() {
        let mut monitor = LatencyMonitor::default();
        monitor.add("command", 5, 20);
        monitor.add("command", 5, 10);
        let (_, event) = monitor.event(b"command").expect("there");
        assert_eq!(event.samples, [(5, 20)]);
        for second in 0..500 {
            monitor.add("command", 10 + second, 1);
        }
        let (_, event) = monitor.event(b"command").expect("there");
        assert_eq!((event.samples.len(), event.longest_ms), (SAMPLES_MAX, 20));
        assert!(!monitor.forget(b"nope"));
        assert!(monitor.forget(b"command"));
        assert_eq!(monitor.clear(), 0);
    }
}
