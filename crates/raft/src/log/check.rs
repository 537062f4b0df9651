//! What must always hold of the log.

use super::Log;

impl Log {
    /// Asserts what must always hold, at a cost that does not depend on the length of the log.
    pub(crate) fn check(&self) {
        let Log {
            base,
            last,
            handed_out,
            durable,
            commit,
            applying,
            applied,
            ..
        } = self;
        assert!(
            base.index <= *applied
                && applied <= applying
                && applying <= commit
                && *commit <= last.index,
            "positions are out of order: base {base}, applied {applied}, applying {applying}, \
             commit {commit}, last {last}"
        );
        assert!(
            durable <= handed_out && *handed_out <= last.index,
            "positions are out of order: durable {durable}, handed out {handed_out}, last {last}"
        );
        let run_term = self.runs.last().map_or(base.term, |run| run.term);
        assert_eq!(
            run_term, last.term,
            "the last run is not that of the last entry"
        );
        if let Some(newest) = self.cache.back() {
            assert_eq!(
                newest.id, *last,
                "the cache does not end at the end of the log"
            );
        }
        let cached = last.index.0 - self.cache.len() as u64;
        assert!(
            cached <= durable.0.max(base.index.0),
            "an entry that is not durable has left the cache"
        );
        let front_is_durable = self
            .cache
            .front()
            .is_some_and(|entry| entry.id.index <= self.durable);
        assert!(
            self.cache_bytes <= self.cache_bytes_max || !front_is_durable,
            "the cache holds {} bytes, {} are allowed",
            self.cache_bytes,
            self.cache_bytes_max
        );
    }

    /// Asserts the rest, by walking over runs and cache.
    pub(crate) fn check_thoroughly(&self) {
        self.check();
        for pair in self.runs.windows(2) {
            let rises = pair[0].first < pair[1].first && pair[0].term < pair[1].term;
            assert!(rises, "term runs are out of order: {pair:?}");
        }
        let mut bytes = 0;
        for (offset, entry) in (1..).zip(self.cache.iter().rev()) {
            assert_eq!(
                entry.id.index.0 + offset,
                self.last.index.0 + 1,
                "a gap in the cache"
            );
            assert!(
                self.contains(entry.id),
                "cached {} is not in the log",
                entry.id
            );
            bytes += entry.size_bytes();
        }
        assert_eq!(bytes, self.cache_bytes, "the cache is miscounted");
    }
}
