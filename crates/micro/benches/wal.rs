//! The log: records of 128 bytes appended in one call, without a sync, and with one.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use divan::Bencher;
use divan::counter::ItemsCount;
use wal::{Identity, Options, Preparation, Record, Wal};

fn main() {
    divan::main();
}

const GROUP: u64 = 1;
const BODY_BYTES: usize = 128;

/// Framing, checksums and one write: into the page cache.
#[divan::bench(args = [1, 16, 256])]
fn append(bencher: Bencher, records: usize) {
    measure(bencher, records, false);
}

/// The same, and a sync of the disk that temporary files are on.
#[divan::bench(args = [1, 16, 256])]
fn append_and_sync(bencher: Bencher, records: usize) {
    measure(bencher, records, true);
}

fn measure(bencher: Bencher, records: usize, sync: bool) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut log = Log::open(directory.path(), sync);
    let body = Bytes::from(vec![b'v'; BODY_BYTES]);
    bencher
        .counter(ItemsCount::new(records))
        .bench_local(|| log.append(records, &body));
}

struct Log {
    wal: Wal,
    next: u64,
}

impl Log {
    fn open(directory: &Path, sync: bool) -> Log {
        let options = Options {
            sync,
            ..Options::default()
        };
        let identity = Identity {
            cluster: 1,
            node: 1,
        };
        let vfs = Arc::new(vfs::StdVfs::new());
        let (wal, _) = Wal::open(vfs, &directory.join("wal"), identity, options).expect("opened");
        Log { wal, next: 1 }
    }

    fn append(&mut self, count: usize, body: &Bytes) {
        let indexes = self.next..self.next + count as u64;
        let records: Vec<Record> = indexes
            .map(|index| Record::entry(GROUP, 1, index, 0, 1, body.clone()))
            .collect();
        self.next += count as u64;
        self.wal.append(&records).expect("appended");
        self.wal.sync().expect("synced");
        // What the disk thread does in its spare time, and what a snapshot allows: so that the run
        // neither waits for a segment nor fills the disk.
        if self.next % 65_536 < count as u64 {
            while self.wal.prepare_next().expect("prepared") == Preparation::More {}
            let base = Record::base(GROUP, 1, self.next - 1, 1);
            self.wal.append(&[base]).expect("appended");
            self.wal.sync().expect("synced");
            while self.wal.remove_obsolete().expect("removed") {}
        }
    }
}
