//! What the data directory has to give at the start: the disk, the newest good snapshot, the log behind it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use raft::{ClusterId, NodeId};
use replica::storage;
use tracing::{info, warn};
use vfs::{LossyVfs, StdVfs, SyncMode, Vfs};
use wal::{DataDir, Recovery};

use super::GROUP;
use crate::config::{Config, TestVfs};
use crate::disk::Log;
use crate::error::ServeError;
use crate::peer::codec::Scope;
use crate::snapshots;

/// Work that takes longer at the start says that it goes on, this often.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// What the node starts from.
pub(super) struct Storage {
    pub(super) snapshots: snapshots::Start,
    pub(super) log: Log,
    pub(super) recovered: raft::Recovered,
    /// Where entries are in the log: see [`wal::GroupLog::places`].
    pub(super) places: Vec<(u64, u64)>,
    /// Peer addresses that stand in the log.
    pub(super) addresses: BTreeMap<NodeId, String>,
    /// The highest feature level that stands in the log.
    pub(super) feature_level: u32,
}

/// The disk that the configuration names.
pub(super) fn choose_vfs(choice: TestVfs) -> Arc<dyn Vfs> {
    let real: Arc<dyn Vfs> = Arc::new(StdVfs::new());
    match choice {
        TestVfs::Std => real,
        TestVfs::Lossy => Arc::new(LossyVfs::new(real, SyncMode::Real)),
        TestVfs::LossyNosync => Arc::new(LossyVfs::new(real, SyncMode::Nothing)),
    }
}

/// Loads the newest good snapshot, then recovers the log, and refuses what does not fit together.
pub(super) fn open_storage(
    config: &Config,
    cluster: ClusterId,
    vfs: &Arc<dyn Vfs>,
    data_dir: &mut DataDir,
) -> Result<Storage, ServeError> {
    let scope = Scope {
        cluster,
        group: GROUP,
    };
    let snapshots = snapshots::open(Arc::clone(vfs), &data_dir.snapshots_path(), scope)?;
    let dir = data_dir.wal_path();
    let options = wal::Options {
        segment_bytes: config.wal_segment_size.0,
        keep_tags: storage::KEPT_TAGS,
        ..wal::Options::default()
    };
    let opened = with_progress("reading the log", || data_dir.open_wal(options));
    let (wal, recovery) = opened?;
    log_recovery(&recovery);
    let log = recovery.groups.get(&GROUP.0);
    snapshots.settle(log)?;
    let recovered = storage::recovered(log).map_err(|source| ServeError::Storage {
        dir: dir.clone(),
        source,
    })?;
    let addresses = storage::addresses(log);
    let places = log.map(|log| log.places.clone()).unwrap_or_default();
    let feature_level = storage::feature_level(log);
    let log = Log {
        wal,
        dir,
        group: GROUP,
        scrub_bytes_per_second: config.scrub_bytes_per_second.0,
    };
    Ok(Storage {
        snapshots,
        log,
        recovered,
        places,
        addresses,
        feature_level,
    })
}

fn log_recovery(recovery: &Recovery) {
    if let Some(torn) = &recovery.torn_bytes_cut {
        warn!(
            segment = torn.segment,
            offset = torn.offset,
            bytes = torn.bytes,
            "a write that was cut short by a crash was removed; nothing acknowledged was in it"
        );
    }
    for segment in &recovery.rotten_spares {
        warn!(
            segment,
            "bytes of a prepared segment have changed on the disk; nothing was in it, and it is prepared \
             anew; look at the health of the disk"
        );
    }
    if recovery.is_new {
        info!("a new log was begun");
        return;
    }
    let group = recovery.groups.get(&GROUP.0);
    info!(
        records = recovery.records,
        segments = recovery.segments,
        first = group.map_or(0, |group| group.first),
        last = group.map_or(0, |group| group.last.1),
        term = group.map_or(0, |group| group.last.0),
        bytes = group.map_or(0, |group| group.bytes),
        "log recovered"
    );
}

/// Does what may take long, and says every second that it still goes on.
fn with_progress<T>(what: &'static str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    thread::scope(|scope| {
        let (done, waits) = channel::<()>();
        scope.spawn(move || {
            while waits.recv_timeout(PROGRESS_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                info!(seconds = started.elapsed().as_secs(), "still {what}");
            }
        });
        let result = work();
        drop(done);
        result
    })
}
