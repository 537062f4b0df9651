//! The places where something rare and legal can be made common.

/// Declares the points: name, and what happens there.
macro_rules! points {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {
        /// A place in the production code. Its documentation says what happens there when it fires.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u8)]
        pub enum Point {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Point {
            /// All of them. At most 64: they are the bits of a word.
            pub const ALL: &[Point] = &[$(Point::$name),+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Point::$name => stringify!($name),)+
                }
            }

            /// What happens there, in a line.
            pub fn summary(self) -> &'static str {
                match self {
                    $(Point::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

points! {
    /// `raft`: the election timeout is drawn at its minimum.
    ElectionTimeoutAtMinimum;
    /// `raft`: an append takes one entry only.
    AppendOneEntry;
    /// `raft`: one append at a time is under way to a follower.
    WindowOfOne;
    /// `raft`: one entry is handed out to be applied.
    ApplyOneEntry;
    /// `raft`: durable entries leave the cache at once, and are read back from the disk.
    CacheEvictedEarly;
    /// `raft`: a read-back counts as failed, and is asked for again.
    ReadBackFails;
    /// `raft`: heartbeats are sent before they are due.
    HeartbeatEarly;
    /// `raft`: a round begins that no read waits for.
    RoundUnasked;
    /// `raft`: the leader probes a follower whose log it knows.
    ProbeUnasked;
    /// `raft`: a rejection does not say where the logs may meet.
    RejectionWithoutHint;
    /// `raft`: followers learn of a new commit index from the next append or heartbeat only.
    CommitNewsLate;
    /// `raft`: a leader that hears no quorum goes on leading. Where this may fire, it always does.
    LeaderKeepsOffice;
    /// `raft`: a round is not answered ahead of an acceptance that waits for the disk.
    RoundNotEchoedEarly;
    /// `raft`: the log is cut to the end of the snapshot, although a tail was to be kept.
    LogTailCut;
    /// `raft`: a follower whose log is being compared is sent a snapshot, although the log would do.
    SnapshotSentUnneeded;
    /// `wal`: the next segment is begun although the present one has room.
    SegmentFullEarly;
    /// `wal`: nothing is prepared ahead.
    PreparationSkipped;
    /// `wal`: a read returns one entry only.
    ReadOneRecord;
    /// `wal`: files of older segments are closed, and opened again when they are read.
    ReadersClosed;
    /// `kv`: a segment of keys is cut in two although it is not full.
    KeySegmentCutEarly;
    /// `kv`: what emptied databases held is not freed yet.
    FreeingPutOff;
    /// `replica`: a batch is closed before it is full.
    BatchClosedEarly;
    /// `replica`: batches are handed over one in a turn.
    OneBatchPerTurn;
    /// `replica`: batches under way to the leader are handed over again.
    ResendEarly;
    /// `replica`: the leader refuses a forwarded batch as if it were busy.
    ForwardRefusedBusy;
    /// `replica`: the leader refuses a forwarded batch as if its disk were full.
    ForwardRefusedFull;
    /// `replica`: reads wait for the next tick before a read index is asked for.
    ReadsAskedLate;
    /// `replica`: reads of one turn do not share one group.
    ReadsApart;
    /// `replica`: a read index is dropped, and asked for again.
    ReadIndexDropped;
    /// `replica`: the leader proposes an entry that only carries the time.
    TimeEntryUnasked;
    /// `replica`: a leader hands leadership over without a reason. Asked once a second.
    ResignUnasked;
    /// `replica`: a node starts an election without a reason. Asked once a second.
    CampaignUnasked;
    /// `replica`: a snapshot is taken although it is not due, a few entries after the last.
    SnapshotUnasked;
}

#[cfg(test)]
mod tests {
    use super::Point;

    #[test]
    fn points_fit_into_the_bits_of_a_word() {
        assert!(Point::ALL.len() <= 64);
    }
}
