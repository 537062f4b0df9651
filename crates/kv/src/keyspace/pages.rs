//! The entries of a segment, in pages that are shared and copied one by one.
//!
//! A segment that a snapshot shares has to be copied before it is changed. Copying a thousand entries
//! takes some hundred microseconds: fresh memory for all of them, and an atomic operation, in a cache
//! line of its own, for each value that is shared. In pages of a few entries the first write to a shared
//! segment copies one page, and shares the others again.

use std::array;
use std::sync::Arc;

use super::segment::Entry;

/// The entries of a page: two kibibytes.
const PAGE_ENTRIES: usize = 32;

/// A page. Invariant: behind the last entry of a segment it has [`Entry::EMPTY`].
type Page = [Entry; PAGE_ENTRIES];

/// A list of entries. Clones share the pages.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    pages: Vec<Arc<Page>>,
    /// The number of entries. Invariant: as many pages as they need.
    len: usize,
}

impl Pages {
    /// An empty list that takes this many entries without moving its directory.
    pub(super) fn with_capacity(capacity: usize) -> Pages {
        Pages {
            pages: Vec::with_capacity(capacity.div_ceil(PAGE_ENTRIES)),
            len: 0,
        }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.len += 1;
        if self.len > self.pages.len() * PAGE_ENTRIES {
            let mut first = Some(entry);
            let page = array::from_fn(|_| first.take().unwrap_or(Entry::EMPTY));
            self.pages.push(Arc::new(page));
        } else {
            *self.get_mut(self.len - 1) = entry;
        }
    }

    /// Removes an entry and puts the last one in its place.
    pub(super) fn swap_remove(&mut self, index: usize) -> Entry {
        let last = self.take(self.len - 1);
        self.len -= 1;
        if self.len.is_multiple_of(PAGE_ENTRIES) {
            self.pages.pop();
        }
        if index == self.len {
            return last;
        }
        std::mem::replace(self.get_mut(index), last)
    }

    /// Takes an entry out and leaves nothing in its place: only for lists that are given up.
    pub(super) fn take(&mut self, index: usize) -> Entry {
        std::mem::replace(self.get_mut(index), Entry::EMPTY)
    }

    /// The entry at an index, to be changed. Copies its page if that is shared.
    pub(super) fn get_mut(&mut self, index: usize) -> &mut Entry {
        let page = Arc::make_mut(&mut self.pages[index / PAGE_ENTRIES]);
        &mut page[index % PAGE_ENTRIES]
    }

    pub(super) fn get(&self, index: usize) -> &Entry {
        &self.pages[index / PAGE_ENTRIES][index % PAGE_ENTRIES]
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The bytes of the pages and of their directory.
    pub(super) fn allocated_bytes(&self) -> usize {
        let page_bytes = size_of::<Page>() + size_of::<[usize; 2]>();
        self.pages.len() * page_bytes + self.pages.capacity() * size_of::<usize>()
    }
}

#[cfg(test)]
impl Pages {
    /// The number of pages, and how many of them are those of another list.
    pub(super) fn shared_with(&self, other: &Pages) -> (usize, usize) {
        let shared = self.pages.iter().zip(&other.pages);
        let shared = shared.filter(|(mine, theirs)| Arc::ptr_eq(mine, theirs));
        (self.pages.len(), shared.count())
    }
}
