//! Consensus alone: three nodes in one thread, no network, no disk. A sample is a batch of entries of 128
//! bytes, proposed at once, and everything that follows until all three nodes have applied it.
//!
//! Beside it, where it builds, the same with raft-rs 0.7, driven as its documentation says.

mod ours;
#[cfg(target_arch = "x86_64")]
mod theirs;

use divan::Bencher;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

const NODES: u64 = 3;
const PAYLOAD: [u8; 128] = [b'p'; 128];
const BATCHES: [usize; 3] = [1, 16, 256];

/// Three nodes, one of which leads.
trait Group {
    fn elected() -> Self;
    /// Proposes so many entries, and delivers messages until there are none.
    fn replicate(&mut self, entries: usize);
    /// Entries that the node that has applied the fewest has applied.
    fn applied(&self) -> u64;
}

fn measure<G: Group>(bencher: Bencher, entries: usize) {
    let mut group = G::elected();
    let mut expected = group.applied();
    bencher.counter(ItemsCount::new(entries)).bench_local(|| {
        group.replicate(entries);
        expected += entries as u64;
        assert_eq!(group.applied(), expected, "applied on all three");
    });
}

#[divan::bench(args = BATCHES)]
fn quorate(bencher: Bencher, entries: usize) {
    measure::<ours::Ours>(bencher, entries);
}

#[cfg(target_arch = "x86_64")]
#[divan::bench(args = BATCHES)]
fn raft_rs(bencher: Bencher, entries: usize) {
    measure::<theirs::Theirs>(bencher, entries);
}
