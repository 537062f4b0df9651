//! What clients ask for: drawn once a run (swarm testing), then act by act.

use std::collections::BTreeSet;
use std::io::Write as _;

use crate::clients::commands::channel;
use crate::clients::dice::Dice;
use crate::profile::Profile;
use crate::report::FaultClass;
use crate::tape::{Site, SiteKind, Tape};

/// The first of the sites of `Swarm` that the workload draws from: the world has those below.
const SWARM_FIRST: usize = 128;
/// Tokens that a key of the kind `a` gets before another takes its place.
const APPENDS_MAX: u16 = 48;

/// The kinds of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Register,
    Counter,
    Append,
    Transaction,
    AppendTransaction,
    CompareAndSet,
    Expiry,
    Publish,
    Session,
    Spoiled,
    ExecutedError,
}

/// All of them.
pub(super) const FAMILIES: [Family; 11] = [
    Family::Register,
    Family::Counter,
    Family::Append,
    Family::Transaction,
    Family::AppendTransaction,
    Family::CompareAndSet,
    Family::Expiry,
    Family::Publish,
    Family::Session,
    Family::Spoiled,
    Family::ExecutedError,
];

/// A key, and the database that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DatabaseKey {
    db: u8,
    prefix: u8,
    number: u16,
    /// Of a key of the kind `a`: how many were there before it.
    generation: u16,
}

impl DatabaseKey {
    /// Its database.
    pub(super) fn db(self) -> u8 {
        self.db
    }

    /// The key as the history names it.
    pub(super) fn name(self) -> Vec<u8> {
        let mut name = Vec::with_capacity(8);
        name.push(self.prefix);
        // Writing into a Vec cannot fail.
        let _ = write!(name, "{}", self.number);
        if self.prefix == b'a' {
            let _ = write!(name, ".{}", self.generation);
        }
        if self.db != 0 {
            let _ = write!(name, "@{}", self.db);
        }
        name
    }
}

/// A key of the kind `a` that is in use.
#[derive(Clone, Copy, Debug, Default)]
struct AppendKey {
    generation: u16,
    appends: u16,
}

/// What clients ask for in a run.
#[derive(Debug)]
pub(crate) struct Workload {
    /// How many clients there are.
    pub(crate) clients: usize,
    /// The mean time between two acts of a client.
    pub(crate) gap_us: u64,
    /// How long a client waits for a reply.
    pub(crate) timeout_us: u64,
    /// The mean time until a client connects again.
    pub(crate) reconnect_us: u64,
    /// Whether clients that give up are a fault of this run.
    pub(crate) allows_timeouts: bool,
    /// In how many of a million acts the client breaks its connection.
    pub(crate) cuts_per_million: u64,
    /// With how many of a million acts a burst begins.
    pub(crate) bursts_per_million: u64,
    /// How many clients of 256 listen to channels.
    pub(crate) listener_share: u64,
    depth_max: u64,
    /// How many acts of 100 are pipelines.
    pipelines_percent: u64,
    /// Keys of each kind.
    keys: u64,
    /// How many operations of 100 take the first key whatever they would have taken.
    hot_percent: u64,
    /// How many operations of 100 only read.
    pub(super) reads_percent: u64,
    /// How many values of 100 are of some KB.
    pub(super) big_percent: u64,
    /// The databases in use.
    pub(super) databases: &'static [u8],
    /// How many channels there are.
    pub(super) channels: u64,
    /// How often each of [`FAMILIES`] comes.
    pub(super) weights: [u64; FAMILIES.len()],
    append_keys: Vec<AppendKey>,
    touched: BTreeSet<DatabaseKey>,
}

impl Workload {
    /// Draws the options of a run.
    pub(crate) fn draw(profile: Profile, tape: &mut Tape) -> Workload {
        const RATES: [u64; 10] = [10, 15, 20, 25, 30, 35, 40, 45, 60, 120];
        const TIMEOUTS_MS: [u64; 7] = [8000, 5000, 3000, 2000, 1000, 500, 200];
        const CUTS: [u64; 4] = [0, 5_000, 20_000, 80_000];
        const BURSTS: [u64; 3] = [0, 1_000, 3_000];
        const DATABASES: [&[u8]; 4] = [&[0], &[0], &[0, 9], &[0, 3, 15]];
        let mut nth = SWARM_FIRST;
        let mut below = |bound: u64| {
            nth += 1;
            tape.below(Site::new(SiteKind::Swarm, nth), bound)
        };
        let mut pick = |values: &[u64]| values[below(values.len() as u64) as usize];
        let rate = pick(&RATES);
        let timeout_ms = pick(&TIMEOUTS_MS);
        let (cuts, bursts) = (pick(&CUTS), pick(&BURSTS));
        let depth_max = pick(&[1, 1, 2, 4, 8]);
        let pipelines_percent = pick(&[20, 50, 90]);
        let hot_percent = pick(&[0, 0, 30, 70]);
        let reads_percent = pick(&[50, 30, 40, 65]);
        let big_percent = pick(&[0, 0, 1, 5]);
        let reconnect_us = pick(&[20_000, 100_000, 500_000]);
        let listener_share = pick(&[0, 32, 64, 96]);
        let clients = 4 + below(9);
        let keys = 2 + below(11);
        let channels = 1 + below(3);
        let databases = DATABASES[below(DATABASES.len() as u64) as usize];
        let weights = FAMILIES.map(|family| match family {
            Family::Register => 2 + below(6),
            Family::Session | Family::Spoiled | Family::ExecutedError => below(2),
            Family::Publish if listener_share == 0 => below(2),
            // Half of the runs are without.
            _ => below(12).saturating_sub(5),
        });
        let allows_timeouts = profile.allows(FaultClass::ClientTimeout);
        let if_allowed = |class, value| if profile.allows(class) { value } else { 0 };
        // Twice the mean number of operations in an act.
        let per_act = 2 * 100 + pipelines_percent * (depth_max - 1);
        Workload {
            clients: clients as usize,
            gap_us: clients * 1_000_000 * per_act / (2 * 100 * rate),
            timeout_us: 1000
                * if allows_timeouts {
                    timeout_ms
                } else {
                    TIMEOUTS_MS[0]
                },
            reconnect_us,
            allows_timeouts,
            cuts_per_million: if_allowed(FaultClass::ClientDisconnect, cuts),
            bursts_per_million: if_allowed(FaultClass::Burst, bursts),
            listener_share,
            depth_max,
            pipelines_percent,
            keys,
            hot_percent,
            reads_percent,
            big_percent,
            databases,
            channels,
            weights,
            append_keys: vec![AppendKey::default(); keys as usize],
            touched: BTreeSet::new(),
        }
    }

    /// How many operations an act has, by a choice below 65,536.
    pub(crate) fn depth(&self, choice: u64) -> u64 {
        let is_pipeline = (choice * 100) >> 16 >= 100 - self.pipelines_percent;
        match is_pipeline {
            true => 1 + choice % self.depth_max,
            false => 1,
        }
    }

    /// The channels that listeners listen to.
    pub(crate) fn channels(&self) -> Vec<Vec<u8>> {
        (0..self.channels).map(channel).collect()
    }

    /// Every key that was ever asked for, sorted by database.
    pub(crate) fn touched(&self) -> Vec<DatabaseKey> {
        self.touched.iter().copied().collect()
    }

    /// Picks a key of a kind.
    pub(super) fn key(&mut self, prefix: u8, db: u8, dice: &mut Dice) -> DatabaseKey {
        let number = match dice.percent(self.hot_percent) {
            true => 0,
            // These are for conflicts between transactions: a few are enough.
            false if matches!(prefix, b'a' | b'w') => dice.below(self.keys.min(4)) as usize,
            false => dice.below(self.keys) as usize,
        };
        self.numbered(prefix, db, number)
    }

    /// Picks one of two keys: transactions over registers and counters keep to a pair of each, so that
    /// they do not tie all keys together. Keys that are tied must be judged together, and the search
    /// for an order of everything takes too long.
    pub(super) fn key_of_pair(
        &mut self,
        prefix: u8,
        db: u8,
        pair: u64,
        dice: &mut Dice,
    ) -> DatabaseKey {
        let number = (2 * pair + dice.below(2)).min(self.keys - 1) as usize;
        self.numbered(prefix, db, number)
    }

    /// How many pairs of keys there are.
    pub(super) fn pairs(&self) -> u64 {
        self.keys.div_ceil(2)
    }

    fn numbered(&mut self, prefix: u8, db: u8, number: usize) -> DatabaseKey {
        let mut generation = 0;
        if prefix == b'a' {
            let append_key = &mut self.append_keys[number];
            append_key.appends += 1;
            if append_key.appends > 2 * APPENDS_MAX {
                append_key.generation += 1;
                append_key.appends = 1;
            }
            generation = append_key.generation;
        }
        let key = DatabaseKey {
            db,
            prefix,
            number: number as u16,
            generation,
        };
        self.touched.insert(key);
        key
    }
}
