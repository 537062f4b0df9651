//! Measures append + sync on real files: `cargo run --release -p wal --example append_rate -- DIR`.
//!
//! One line for each size of a batch: how many syncs a second, how long one takes, and what that is in
//! bytes. Then how long it takes to read the log back. `prepared` runs after the log was filled with zeros ahead, `unprepared` on space that is only
//! allocated.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use vfs::{Crash, MemVfs, StdVfs, Vfs};
use wal::{Identity, Options, Preparation, Record, Wal};

const BATCHES: [(usize, usize); 5] = [(1, 100), (16, 100), (100, 100), (1, 16 << 10), (1, 1 << 20)];
const RUN: Duration = Duration::from_millis(1500);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::args().nth(1).ok_or("usage: append_rate DIR")?;
    for prepare in [false, true] {
        for (records, body_bytes) in BATCHES {
            let dir = Path::new(&root).join(format!("append-rate-{records}-{body_bytes}"));
            let mut latencies = run(Arc::new(StdVfs::new()), &dir, records, body_bytes, prepare)?;
            if prepare {
                report_reopening(&dir)?;
            }
            std::fs::remove_dir_all(&dir)?;
            report(prepare, records, body_bytes, &mut latencies);
        }
    }
    let disk = MemVfs::new(1);
    let mut latencies = run(Arc::new(disk.clone()), Path::new("/wal"), 16, 100, false)?;
    disk.crash(Crash::LoseUnsynced);
    print!("in memory, the cost of the code alone: ");
    report(false, 16, 100, &mut latencies);
    Ok(())
}

fn run(
    vfs: Arc<dyn Vfs>,
    dir: &Path,
    records: usize,
    body_bytes: usize,
    prepare: bool,
) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let identity = Identity {
        cluster: 1,
        node: 1,
    };
    let (mut log, _) = Wal::open(vfs, dir, identity, Options::default())?;
    while prepare && log.prepare_next()? == Preparation::More {}
    let body = Bytes::from(vec![0xab; body_bytes]);
    let mut latencies = Vec::new();
    let mut index = 0;
    let begin = Instant::now();
    while begin.elapsed() < RUN {
        let batch: Vec<Record> = (0..records)
            .map(|_| {
                index += 1;
                Record::entry(1, 1, index, 2, index, body.clone())
            })
            .collect();
        let start = Instant::now();
        log.append(&batch)?;
        log.sync()?;
        latencies.push(start.elapsed());
    }
    Ok(latencies)
}

fn report_reopening(dir: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let identity = Identity {
        cluster: 1,
        node: 1,
    };
    let start = Instant::now();
    let (_, recovery) = Wal::open(Arc::new(StdVfs::new()), dir, identity, Options::default())?;
    let bytes: u64 = recovery.groups.values().map(|group| group.bytes).sum();
    println!(
        "reopened   {} records, {} MiB, {} segments in {} ms",
        recovery.records,
        bytes >> 20,
        recovery.segments,
        start.elapsed().as_millis()
    );
    Ok(())
}

fn report(prepare: bool, records: usize, body_bytes: usize, latencies: &mut [Duration]) {
    latencies.sort();
    let total: Duration = latencies.iter().sum();
    let count = latencies.len();
    let rate = count as f64 / total.as_secs_f64();
    let bytes = rate * (records * body_bytes) as f64 / f64::from(1 << 20);
    println!(
        "{} {records:>4} x {body_bytes:>7} B: {rate:>8.0} syncs/s {:>9.0} records/s {bytes:>7.1} MiB/s  \
         mean {:>5} p50 {:>5} p99 {:>5} max {:>6} us",
        if prepare { "prepared  " } else { "unprepared" },
        rate * records as f64,
        (total / count as u32).as_micros(),
        latencies[count / 2].as_micros(),
        latencies[count * 99 / 100].as_micros(),
        latencies[count - 1].as_micros(),
    );
}
