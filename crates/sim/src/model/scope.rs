//! Scopes: how much may happen in a search, so that all of it can be seen.

/// What the nodes start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Three empty disks. The first to campaign is node 1: the nodes are alike until then.
    Fresh,
    /// Node 1 leads term 1, its first entry is committed everywhere, and nothing is under way.
    Led,
    /// These logs on the disks of the three nodes, as the terms of their entries. Each node is in
    /// `term`, and the first `committed` entries are.
    Logs {
        /// The term of all three.
        term: u8,
        /// How many entries are committed, and known to be.
        committed: u8,
        /// For each node the terms of its entries.
        logs: [&'static [u8]; 3],
    },
}

/// How a node comes to be a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elections {
    /// As in the paper: any node that does not lead may campaign at any time, and no vote is refused
    /// because a leader lives. More can happen than in production, where pre-votes come first, and the
    /// states of pre-votes are saved.
    Classic,
    /// As in production: a timeout, pre-votes, votes; those who follow a leader ignore both until
    /// their own timeout expires.
    PreVote,
}

/// What may happen in a search. Every order of what may happen is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its name on a command line.
    pub name: &'static str,
    /// What it is good for, in a line.
    pub about: &'static str,
    /// What the nodes start from.
    pub start: Start,
    /// How elections come about.
    pub elections: Elections,
    /// No node goes beyond this term; at most [`Scope::TERM_MAX`].
    pub terms_max: u8,
    /// Election timeouts in all.
    pub timeouts: u8,
    /// Proposals in all.
    pub proposals: u8,
    /// Reads in all, on any node; at most [`Scope::READS_MAX`].
    pub reads: u8,
    /// Heartbeats to everybody, in all.
    pub beats: u8,
    /// Crashes, each with a restart, in all.
    pub crashes: u8,
    /// Messages delivered twice, in all.
    pub duplicates: u8,
    /// Transfers of leadership in all.
    pub transfers: u8,
    /// Changes of the members in all. All three nodes are voters at first. With three of them, one is
    /// demoted; with two, the third is promoted, or takes the place of one.
    pub changes: u8,
    /// Connections that are reset, in all.
    pub resets: u8,
    /// Snapshots taken in all, each of what its node has applied; its log is cut right behind it.
    pub snapshots: u8,
    /// Snapshots installed in all: that of any node, on any other that it is news for, at any time.
    pub installs: u8,
    /// Messages under way at once, at most [`Scope::MESSAGES_MAX`]. When there are more, some are lost:
    /// every choice of them is tried.
    pub messages_max: u8,
    /// Writes under way on a disk at once. With 0 a disk writes at once, and a crash loses nothing.
    pub writes_max: u8,
    /// An append carries one entry.
    pub single_entry_appends: bool,
    /// Whether each message is held against the disk of its sender, as it is after the input that
    /// sent it. (So disks that write at once show no lie.) Without it only what comes of a lie is
    /// noticed.
    pub check_claims: bool,
}

impl Scope {
    /// The highest term that a search can keep.
    pub const TERM_MAX: u8 = 7;
    /// The most messages under way that a search can keep.
    pub const MESSAGES_MAX: u8 = 12;
    /// The most reads that a search can keep.
    pub const READS_MAX: u8 = 2;

    /// A scope in which nothing happens, to be widened.
    pub const NOTHING: Scope = Scope {
        name: "nothing",
        about: "nothing happens",
        start: Start::Fresh,
        elections: Elections::Classic,
        terms_max: Scope::TERM_MAX,
        timeouts: 0,
        proposals: 0,
        reads: 0,
        beats: 0,
        crashes: 0,
        duplicates: 0,
        transfers: 0,
        changes: 0,
        resets: 0,
        snapshots: 0,
        installs: 0,
        messages_max: 4,
        writes_max: 0,
        single_entry_appends: false,
        check_claims: true,
    };

    /// The scope of that name.
    pub fn named(name: &str) -> Option<Scope> {
        Scope::ALL.iter().copied().find(|scope| scope.name == name)
    }

    /// The scopes there are. Each can be seen completely.
    pub const ALL: &[Scope] = &[
        Scope {
            name: "takeover",
            about: "pre-votes against a leader that lives, with connections that are reset",
            start: Start::Led,
            elections: Elections::PreVote,
            timeouts: 2,
            resets: 1,
            beats: 1,
            messages_max: 3,
            ..Scope::NOTHING
        },
        Scope {
            name: "election",
            about: "elections with pre-votes, from nothing, on slow disks",
            elections: Elections::PreVote,
            timeouts: 2,
            messages_max: 3,
            writes_max: 1,
            ..Scope::NOTHING
        },
        Scope {
            name: "votes",
            about: "rival candidates on slow disks, a crash between a vote and its write",
            timeouts: 2,
            crashes: 1,
            messages_max: 3,
            writes_max: 1,
            ..Scope::NOTHING
        },
        Scope {
            name: "commit",
            about: "a leader on a slow disk appends and another is elected, with a crash",
            start: Start::Led,
            timeouts: 1,
            proposals: 1,
            crashes: 1,
            messages_max: 3,
            writes_max: 1,
            ..Scope::NOTHING
        },
        Scope {
            name: "slow-disks",
            about: "entries are truncated and replaced while three writes are under way",
            start: Start::Led,
            timeouts: 1,
            proposals: 1,
            duplicates: 1,
            messages_max: 3,
            writes_max: 3,
            ..Scope::NOTHING
        },
        Scope {
            name: "figure-8",
            about: "the paper's figure 8: an entry of an earlier term on a majority, overwritten",
            start: Start::Logs {
                term: 2,
                committed: 1,
                logs: [&[1, 1], &[1], &[1, 2]],
            },
            timeouts: 2,
            messages_max: 3,
            single_entry_appends: true,
            ..Scope::NOTHING
        },
        Scope {
            name: "reads",
            about: "a read on any node while another leader is elected and commits",
            start: Start::Led,
            timeouts: 1,
            proposals: 1,
            reads: 1,
            messages_max: 3,
            ..Scope::NOTHING
        },
        Scope {
            name: "late-answers",
            about: "two reads, with answers to the first round that arrive again later",
            start: Start::Led,
            timeouts: 1,
            reads: 2,
            duplicates: 1,
            messages_max: 2,
            ..Scope::NOTHING
        },
        Scope {
            name: "transfer",
            about: "leadership is handed over while a proposal is under way",
            start: Start::Led,
            elections: Elections::PreVote,
            timeouts: 1,
            proposals: 1,
            transfers: 1,
            messages_max: 3,
            writes_max: 1,
            ..Scope::NOTHING
        },
        Scope {
            name: "demotion",
            about: "a voter, perhaps the leader, is demoted on slow disks, with a crash and an election",
            start: Start::Led,
            timeouts: 1,
            changes: 1,
            crashes: 1,
            messages_max: 2,
            writes_max: 1,
            ..Scope::NOTHING
        },
        Scope {
            name: "members",
            about: "two changes of members, one of them through a joint configuration, with an election",
            start: Start::Led,
            timeouts: 1,
            changes: 2,
            messages_max: 3,
            ..Scope::NOTHING
        },
        Scope {
            name: "installation",
            about: "a snapshot for a node whose log is longer and contradicts it, on slow disks, with a crash",
            start: Start::Logs {
                term: 2,
                committed: 1,
                logs: [&[1, 2], &[1, 2], &[1, 1, 1, 1]],
            },
            timeouts: 1,
            crashes: 1,
            snapshots: 1,
            installs: 1,
            messages_max: 2,
            writes_max: 1,
            ..Scope::NOTHING
        },
        Scope {
            name: "everything",
            about: "an election, a proposal, a read and a crash, on slow disks",
            start: Start::Led,
            timeouts: 1,
            proposals: 1,
            reads: 1,
            crashes: 1,
            messages_max: 2,
            writes_max: 1,
            ..Scope::NOTHING
        },
    ];
}
