//! A node: its disk and clock, which last, and its process, which does not.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use raft::{ClusterId, EntryId, GroupId, LogIndex, NodeId, ReadEntries, Role, Term};
use replica::{
    ClientId, Config, FeatureLevels, Membership, NodeInfo, Now, Output, Replica, Write, storage,
};
use vfs::MemVfs;
use wal::data_dir::DataDir;
use wal::known_peers::PeerRun;
use wal::{DataDirError, KnownPeers, OpenError, Options, Record, Space, Wal, WalError};

use crate::tape::{Site, SiteKind, Tape};
use crate::world::snapshots::{Opened, Snapshots};
use crate::world::swarm::Swarm;

/// The cluster and the group of every run.
pub(super) const CLUSTER: u64 = 7;
pub(super) const GROUP: u64 = 1;
pub(super) const DATA_DIR: &str = "/data";

/// The wall clock when a run begins.
const WALL_START_MS: u64 = 1_700_000_000_000;

/// A node's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// How much faster than true time it runs, in a million.
    pub(super) drift_ppm: i64,
    /// How far the wall clock is off.
    pub(super) offset_ms: i64,
    /// The wall clock stands still at this time.
    pub(super) frozen_ms: Option<u64>,
}

impl Clock {
    /// What the clocks show at a true time.
    pub(super) fn at(&self, now_us: u64) -> Now {
        let rate = 1_000_000_i64 + self.drift_ppm;
        let mono_us = 1_000_000 + (now_us as i128 * rate as i128 / 1_000_000) as u64;
        let wall_ms = WALL_START_MS + mono_us / 1000;
        Now {
            wall_ms: self
                .frozen_ms
                .unwrap_or(wall_ms)
                .saturating_add_signed(self.offset_ms),
            mono_us,
        }
    }

    /// How long a local duration takes in true time.
    pub(super) fn true_us(&self, local_us: u64) -> u64 {
        let rate = 1_000_000_i64 + self.drift_ppm;
        (local_us as i128 * 1_000_000 / rate as i128) as u64
    }
}

/// Why a node does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Down {
    /// It runs.
    No,
    /// It will be started again.
    Restarts,
    /// It refuses to run on its disk, or its peers refuse it: it stays down.
    Refused,
    /// The liveness phase froze it.
    Frozen,
    /// It has no machine yet.
    Unborn,
    /// It was removed, knows it, and has marked its data directory.
    Removed,
}

/// A node.
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) vfs: MemVfs,
    pub(super) clock: Clock,
    pub(super) process: Option<Process>,
    /// Counts the runs of its process.
    pub(super) life: u32,
    pub(super) down: Down,
    /// Where its peers reach it.
    pub(super) peer_addr: String,
    /// What it was told when it joined: the members and their addresses. Nothing for first members.
    pub(super) charter: Option<BTreeMap<NodeId, String>>,
    /// It was told that it was removed. The mark in its data directory may be there even if setting it
    /// failed.
    pub(super) is_retired: bool,
    /// Its disk was wiped or put back to an older copy.
    pub(super) has_lost_log: bool,
    /// It runs on an old copy of its disk, and peers have seen this start of it.
    pub(super) rolled_back: Option<u64>,
    /// Its disk has lost or changed what was durable: it is one of those that the atlas counts.
    pub(super) is_damaged: bool,
    /// It stands still until then.
    pub(super) paused_until_us: u64,
    /// Nothing becomes durable until then.
    pub(super) hung_until_us: u64,
    /// Added to each disk operation.
    pub(super) slow_disk_us: u64,
    /// The process ends after handing out so many more things.
    pub(super) crash_at_output: Option<u32>,
    /// The power fails after so many disk operations when the next snapshot gets its name.
    pub(super) crash_in_snapshot: Option<u64>,
    /// The clients connected here, by the slot of their session.
    pub(super) sessions: Vec<Option<(ClientId, usize)>>,
    /// What people were last told of its role and term.
    pub(super) shown_role: Option<(Role, Term)>,
    /// A copy of its disk as it was some time ago, and the start that it was made in.
    pub(super) old_disk: Option<(MemVfs, u64)>,
}

/// A running process.
pub(super) struct Process {
    pub(super) replica: Replica,
    pub(super) output: Output,
    /// Who belongs to the cluster, as the replica told last.
    pub(super) membership: Membership,
    pub(super) dir: DataDir,
    pub(super) known_peers: KnownPeers,
    /// What it tells its peers of itself.
    pub(super) run: PeerRun,
    pub(super) wal: Wal,
    pub(super) snapshots: Snapshots,
    /// Handed over and not taken by the disk.
    pub(super) writes: VecDeque<Write>,
    pub(super) reads: Vec<ReadEntries>,
    /// Taken by the disk; and whether they must be synced.
    pub(super) under_way: Option<UnderWay>,
    /// The disk was told to begin.
    pub(super) disk_scheduled: bool,
    pub(super) turn_scheduled: bool,
    pub(super) disk_is_low: bool,
    /// Where the log ended at the last two syncs, the older first: damage is placed below it.
    pub(super) synced: Vec<(u64, u64)>,
    /// Writes are held back for lack of space.
    pub(super) is_held: bool,
    /// Something was written since the log was last prepared.
    pub(super) is_to_prepare: bool,
    /// The local time of the next tick.
    pub(super) next_tick_us: u64,
    /// When its next tick comes: one that was planned for another time does not count.
    pub(super) tick_due_us: u64,
    /// It was asked to stop, and ends at the latest then.
    pub(super) stops_at_us: Option<u64>,
}

/// What the disk is doing.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) last: Option<raft::WriteId>,
    pub(super) sync: bool,
}

/// What a start found on the disk.
pub(super) struct Found {
    pub(super) records: Vec<Record>,
    /// What the snapshot ends with that it started from.
    pub(super) snapshot: Option<EntryId>,
    /// The hash of the state that was in it.
    pub(super) state: Option<(LogIndex, u64)>,
}

/// A process did not start.
#[derive(Debug)]
pub(super) enum StartFailure {
    /// The disk failed: it may work at the next attempt.
    Disk(String),
    /// What is on the disk is damaged, missing or of another node: it will not run on it.
    Refused(String),
}

impl Node {
    pub(super) fn new(index: usize, is_first: bool, tape: &mut Tape) -> Node {
        let seed = tape.below(Site::new(SiteKind::Seed, index), u64::MAX);
        Node {
            id: NodeId(index as u64 + 1),
            vfs: MemVfs::new(seed),
            clock: Clock::default(),
            process: None,
            life: 0,
            down: if is_first {
                Down::Restarts
            } else {
                Down::Unborn
            },
            peer_addr: first_address(NodeId(index as u64 + 1)),
            charter: None,
            is_retired: false,
            has_lost_log: false,
            rolled_back: None,
            is_damaged: false,
            paused_until_us: 0,
            hung_until_us: 0,
            slow_disk_us: 0,
            crash_at_output: None,
            crash_in_snapshot: None,
            sessions: Vec::new(),
            shown_role: None,
            old_disk: None,
        }
    }

    /// Starts a process on what the disk holds. Returns it, and all that recovery found.
    pub(super) fn start(
        &mut self,
        swarm: &Swarm,
        now_us: u64,
        tape: &mut Tape,
    ) -> Result<Found, StartFailure> {
        let now = self.clock.at(now_us);
        let vfs: Arc<dyn vfs::Vfs> = Arc::new(self.vfs.clone());
        let mut dir = DataDir::open(vfs, Path::new(DATA_DIR), CLUSTER, self.id.0)?;
        let options = Options {
            segment_bytes: swarm.segment_bytes,
            keep_tags: storage::KEPT_TAGS,
            ..Options::default()
        };
        let (mut wal, recovery) = dir.open_wal(options)?;
        let group = recovery.groups.get(&GROUP);
        let recovered = storage::recovered(group).map_err(refused)?;
        let mut records = Vec::new();
        if let Some(group) = group {
            if group.base.1 > 0 {
                let (term, index) = group.base;
                records.push(Record::base(GROUP, term, index, 0));
            }
            records.extend(group.state.clone().map(|state| Record::state(GROUP, state)));
            // It may give less at once than it is asked for.
            let mut next = group.first;
            while next <= group.last.1 {
                let read = wal.read(GROUP, next, group.last.1, usize::MAX)?;
                next += read.len() as u64;
                if read.is_empty() {
                    break;
                }
                records.extend(read);
            }
        }
        let seed = Site::new(SiteKind::Seed, self.id.0 as usize);
        let run = PeerRun {
            node: self.id.0,
            incarnation: dir.incarnation(),
            process: u64::from(self.life) + 1,
            directory: dir.directory_id(1 + tape.below(seed, u64::MAX - 1))?,
        };
        let known_peers = dir.take_known_peers().ok_or_else(|| {
            StartFailure::Refused("the memory of peers was taken before".to_owned())
        })?;
        let mut config = self.config(swarm, run.incarnation, tape);
        config.addresses = storage::addresses(group);
        config.feature_level_found = storage::feature_level(group);
        let membership = Membership {
            members: config.members.clone(),
            ..Membership::default()
        };
        let vfs: Arc<dyn vfs::Vfs> = Arc::new(self.vfs.clone());
        let (base, log_last) = group.map_or(((0, 0), 0), |group| (group.base, group.last.1));
        let Opened { snapshots, loaded } = Snapshots::open(vfs, self.is_damaged, base, log_last)?;
        let snapshot = loaded.as_ref().map(|loaded| loaded.meta.last);
        let mut replica = Replica::new(config, recovered, loaded, now).map_err(refused)?;
        replica.log_recovered(group.map_or(&[], |group| &group.places));
        let disk_is_low = wal.space() == Space::Low;
        replica.disk_space(now, disk_is_low);
        let state = snapshot.map(|last| (last.index, replica.state_hash()));
        self.process = Some(Process {
            replica,
            output: Output::default(),
            membership,
            dir,
            known_peers,
            run,
            wal,
            snapshots,
            writes: VecDeque::new(),
            reads: Vec::new(),
            under_way: None,
            disk_scheduled: false,
            turn_scheduled: false,
            disk_is_low,
            is_held: false,
            synced: Vec::with_capacity(2),
            is_to_prepare: true,
            next_tick_us: now.mono_us + swarm.tick_ms * 1000,
            tick_due_us: 0,
            stops_at_us: None,
        });
        Ok(Found {
            records,
            snapshot,
            state,
        })
    }

    fn config(&self, swarm: &Swarm, incarnation: u64, tape: &mut Tape) -> Config {
        let site = Site::new(SiteKind::Seed, 64 + self.id.0 as usize);
        let seed = tape.below(site, u64::MAX) ^ (self.id.0 << 32) ^ incarnation;
        Config {
            cluster: ClusterId(CLUSTER),
            group: GroupId(GROUP),
            node: self.id,
            incarnation,
            members: self.charter.clone().unwrap_or_else(|| {
                let first = (1..=swarm.nodes as u64).map(NodeId);
                first.map(|id| (id, first_address(id))).collect()
            }),
            addresses: BTreeMap::new(),
            feature_levels: FeatureLevels::OF_THIS_RELEASE,
            feature_level_found: 0,
            feature_level_max: 0,
            is_joined: self.charter.is_some(),
            serves_peers: true,
            tick_ms: swarm.tick_ms,
            election_timeout_ms: swarm.election_timeout_ms,
            heartbeat_ms: swarm.heartbeat_ms,
            seed,
            cluster_secret: [self.id.0 as u8; 16],
            request_timeout_ms: swarm.request_timeout_ms,
            entry_bytes_max: 1 << 20,
            batch_bytes_max: swarm.batch_bytes_max,
            unapplied_bytes_max: swarm.unapplied_bytes_max,
            snapshot_log_bytes_min: swarm.snapshot_log_bytes.0,
            snapshot_log_bytes_max: swarm.snapshot_log_bytes.1,
            snapshot_state_percent: swarm.snapshot_state_percent,
            log_tail_bytes: swarm.log_tail_bytes,
            state_check_entries: 16,
            clients_max: 100,
            output_bytes_max: 1 << 20,
            requirepass: None,
            client_addr: format!("127.0.0.1:{}", 7000 + self.id.0),
            info: NodeInfo::default(),
        }
    }

    /// Whether it runs on an old copy of its disk and nobody can tell any more: it counts more starts than
    /// its peers have seen.
    pub(super) fn is_forgotten(&self) -> bool {
        let run = self.process.as_ref().map(|process| process.run.incarnation);
        self.rolled_back.is_some_and(|seen| run > Some(seen))
    }

    /// Whether it runs and is not paused.
    pub(super) fn is_awake(&self, now_us: u64) -> bool {
        self.process.is_some() && self.paused_until_us <= now_us
    }

    /// Which client a session is.
    pub(super) fn client_of(&self, session: ClientId) -> Option<usize> {
        match self.sessions.get(session.slot()) {
            Some(&Some((id, client))) if id == session => Some(client),
            _ => None,
        }
    }

    /// Remembers which client a session is.
    pub(super) fn note_session(&mut self, session: ClientId, client: usize) {
        let slot = session.slot();
        if self.sessions.len() <= slot {
            self.sessions.resize(slot + 1, None);
        }
        self.sessions[slot] = Some((session, client));
    }

    /// Forgets a session.
    pub(super) fn forget_session(&mut self, session: ClientId) {
        if let Some(place) = self.sessions.get_mut(session.slot())
            && place.is_some_and(|(id, _)| id == session)
        {
            *place = None;
        }
    }
}

/// Where one of the first members is reached.
fn first_address(id: NodeId) -> String {
    format!("127.0.0.1:{}", 8000 + id.0)
}

fn refused(error: impl std::fmt::Display) -> StartFailure {
    StartFailure::Refused(error.to_string())
}

impl From<DataDirError> for StartFailure {
    fn from(error: DataDirError) -> StartFailure {
        match error {
            DataDirError::Io { .. } => StartFailure::Disk(error.to_string()),
            _ => StartFailure::Refused(error.to_string()),
        }
    }
}

impl From<OpenError> for StartFailure {
    fn from(error: OpenError) -> StartFailure {
        match error {
            OpenError::Io { .. } => StartFailure::Disk(error.to_string()),
            _ => StartFailure::Refused(error.to_string()),
        }
    }
}

impl From<WalError> for StartFailure {
    fn from(error: WalError) -> StartFailure {
        match error {
            WalError::Damaged { .. } => StartFailure::Refused(error.to_string()),
            _ => StartFailure::Disk(error.to_string()),
        }
    }
}
