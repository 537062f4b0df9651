//! The bugs that the simulator must notice.

/// Declares the canaries: name, row of the catalogue, what the mistake is.
macro_rules! canaries {
    ($($(#[doc = $doc:literal])+ $name:ident = $row:literal;)+) => {
        /// A bug that a serious system shipped, kept as a switch. The number is its row in the catalogue
        /// of `docs/proof.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Canary {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Canary {
            /// All of them, in the order of the catalogue.
            pub const ALL: &[Canary] = &[$(Canary::$name),+];

            /// The row of the catalogue it belongs to.
            pub fn row(self) -> u32 {
                match self {
                    $(Canary::$name => $row,)+
                }
            }

            /// Its name, as it is typed on a command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Canary::$name => stringify!($name),)+
                }
            }

            /// What the mistake is, in a line.
            pub fn summary(self) -> &'static str {
                match self {
                    $(Canary::$name => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

canaries! {
    /// A vote is answered before it is durable.
    VoteBeforeDurable = 1;
    /// A node that steps down within a term forgets whom it voted for.
    VoteForgottenOnStepDown = 1;
    /// A candidate counts its vote for itself before its disk has it.
    OwnVoteBeforeDurable = 1;
    /// A vote granted in an earlier term counts in this one.
    VoteOfOldTermCounts = 1;
    /// A campaign raises the term without asking first whether it can be won.
    NoPreVote = 2;
    /// A leader of a lower term is not told of the higher one.
    LowerTermLeaderIgnored = 3;
    /// A pre-vote of a lower term gets no answer, so that the sender never learns the term.
    LowerTermPreVoteIgnored = 4;
    /// A learner refuses its vote, although the candidate knows that it is a voter by now.
    LearnerRefusesVote = 6;
    /// A candidate that is only in the old half of a joint configuration does not vote for itself.
    CandidateOfOldHalfNoSelfVote = 7;
    /// A node that hears its leader helps to replace it all the same.
    LiveLeaderDeposed = 8;
    /// Leadership is handed over before the target has all of the log.
    TransferBeforeMatch = 9;
    /// The leader goes on taking proposals while it hands leadership over.
    ProposeDuringTransfer = 9;
    /// A transfer that does not succeed is never given up: writes are blocked for ever.
    TransferNeverEnds = 10;
    /// A leader that hears no quorum goes on leading.
    NoCheckQuorum = 11;
    /// A leader whose disk hangs goes on leading.
    HungDiskLeads = 12;
    /// One follower that does not answer keeps the leader from sending to those behind it.
    SilentPeerBlocksOthers = 13;
    /// A new leader serves reads at the commit index it happens to know.
    ReadBeforeOwnTermCommit = 14;
    /// A leader serves a read without asking whether it still leads.
    ReadWithoutRound = 15;
    /// A read is confirmed by a round that began before it arrived.
    ReadByEarlierRound = 15;
    /// An answer to an earlier round counts for the present one.
    LateAnswerConfirmsRound = 16;
    /// All requests for a read index have one name: an answer to an earlier one confirms a later one.
    ReadRequestsShareAName = 16;
    /// A follower serves a read at its own commit index, not at the leader's.
    ReadAtOwnCommit = 17;
    /// Reads that wait for confirmation are served when the leader steps down.
    ReadsServedOnStepDown = 18;
    /// A read is served as soon as it is confirmed, before its index is applied.
    ReadBeforeApplied = 23;
    /// An entry of an earlier term is committed by counting copies (figure 8 of the paper).
    OldTermCommittedByCount = 24;
    /// An append that was overtaken truncates what followed it.
    LateAppendTruncates = 25;
    /// A follower commits entries that the append did not compare.
    CommitBeyondAppend = 26;
    /// A heartbeat commits entries that the follower is not known to hold.
    CommitBeyondMatch = 26;
    /// A node that lost its disk is taken back under its old id.
    WipedNodeTakenBack = 27;
    /// A write that was cut back while under way makes what replaced it count as durable.
    WriteOfDroppedEntriesCounts = 28;
    /// The entry cache keeps what the log has dropped.
    CacheKeepsDropped = 29;
    /// The disk is not told to drop what the log has dropped.
    TruncationNotWritten = 30;
    /// The leader counts its own entry before its own disk has it.
    OwnMatchBeforeDurable = 31;
    /// A follower accepts entries before its disk has them.
    AcceptedBeforeDurable = 32;
    /// Entries are applied before they are committed.
    AppliedBeforeCommit = 33;
    /// What was lost on the way to a follower is never sent again.
    LostAppendNotRepaired = 34;
    /// A follower to which a snapshot could not be brought is never sent another.
    SnapshotProgressStuck = 34;
    /// Proposals are taken without bound while nothing is committed.
    UncommittedWithoutBound = 35;
    /// A new leader changes the members before it has committed an entry of its own term.
    ChangeBeforeOwnTermCommit = 36;
    /// Members are changed while an earlier change is not committed.
    TwoChangesAtOnce = 37;
    /// A leader that removes itself counts its own disk all the same.
    RemovedLeaderCountsItself = 38;
    /// The leader forgets a node as soon as it has appended its removal.
    PeerDroppedBeforeCommit = 39;
    /// A joint configuration is left only by the leader that entered it.
    AutoLeaveForgotten = 40;
    /// A node that installs a snapshot goes on with the configuration it had before.
    SnapshotKeepsOldConf = 41;
    /// A learner counts as if it were a voter.
    LearnerCounts = 42;
    /// A read is confirmed by a single follower, whatever the size of the cluster.
    ReadQuorumTooSmall = 42;
    /// A learner is promoted that has not been heard from, or is far behind.
    DeadLearnerPromoted = 44;
    /// Commitment is not looked at again when the leader's own disk catches up.
    OwnDiskNotRecounted = 45;
    /// An acceptance from an earlier term counts in this one.
    AcceptanceOfOldTermCounts = 47;
    /// An answer from before a member left and joined again counts.
    LateAnswerOfOldSession = 47;
    /// After a restart what was committed counts as applied, though its effects are gone.
    AppliedWithoutEffects = 49;
    /// The commit index on disk may be ahead of the log on disk.
    CommitBeyondDurable = 50;
    /// What a segment begins with does not say where the logs of the groups begin.
    BaseNotCarried = 50;
    /// A log that contradicts a snapshot keeps what stands behind the place.
    BaseKeepsOtherTail = 50;
    /// A snapshot that contradicts the log is installed, and the rest of that log kept.
    InstallKeepsConflictingLog = 50;
    /// A snapshot that comes late rolls the state back.
    SnapshotRollsBack = 51;
    /// The log is cut behind a snapshot that is still being written.
    LogCutBeforeSnapshotDurable = 53;
    /// A small file is renamed into place before its bytes are durable.
    RenamedBeforeDurable = 53;
    /// Segments are removed before the record is durable that says they are not needed.
    SegmentsRemovedBeforeBase = 53;
    /// A log that is damaged is removed, and a new one begun.
    DamagedLogBegunAnew = 54;
    /// What applying an entry does depends on what this node has served before.
    ApplyUsesLocalState = 55;
    /// One replica skips the effects of an entry now and then.
    EffectsSkipped = 55;
    /// One replica skips the effects of an entry now and then, and replicas do not compare their states.
    DifferenceUnseen = 55;
    /// The time of an entry is read from the clock of the node that applies it.
    TimeReadAtApply = 56;
    /// A new leader's slow clock turns the time of the log back.
    LogTimeGoesBack = 56;
    /// A read hides a key that is due by the clock of the node, though not by the log.
    ExpiredByLocalClock = 56;
    /// A sync that failed is tried again, and believed.
    SyncTriedAgain = 59;
    /// Damage in the middle of the log is cut off as if it were a torn write.
    DamageCutAsTornTail = 60;
    /// A torn write at the end of the log is taken for damage: the node does not start.
    TornTailRefused = 60;
    /// What stood behind a torn write is left there, and found again behind newer records.
    TornTailLeftInPlace = 61;
    /// The name of a new segment is not made durable.
    DirectoryNotSynced = 62;
    /// A write that found the disk full is reported as done.
    FullDiskIgnored = 63;
    /// The bodies of records are not compared with their checksums.
    ChecksumNotCompared = 64;
    /// A write that was handed over and may take effect is reported as certainly not done.
    UncertainCalledNever = 65;
    /// A batch that was sent again is applied again.
    ResentBatchAppliedAgain = 66;
    /// A batch is applied although one before it is missing.
    GapAdmitted = 66;
    /// A gateway's numbers are compared without regard to its restarts.
    IncarnationIgnored = 67;
    /// A node starts under the incarnation of its last start.
    IncarnationUsedTwice = 67;
    /// A read is started while writes before it on the same connection are on their way.
    ReadOvertakesWrites = 68;
    /// A batch that was refused is answered before those that were sent before it.
    RefusalOvertakesReplies = 68;
    /// EXEC does not compare what WATCH saw: other writes come in between.
    WatchIgnored = 69;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Canary;

    #[test]
    fn canaries_cover_at_least_forty_rows_of_the_catalogue() {
        let rows: BTreeSet<u32> = Canary::ALL.iter().map(|canary| canary.row()).collect();
        assert!(rows.len() >= 40, "{} rows: {rows:?}", rows.len());
        assert!(Canary::ALL.is_sorted_by_key(|canary| canary.row()));
    }
}
