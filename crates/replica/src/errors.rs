//! Error replies that say whether a command took effect: no, or unknown. Never "no" for something
//! that happened.

/// Why a command in flight is answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was never handed to a leader.
    NeverHanded {
        /// How long it waited.
        waited_ms: u64,
    },
    /// It was handed to a leader and what became of it is not known.
    Uncertain {
        /// How long it waited.
        waited_ms: u64,
    },
    /// The leader has no room for it on its disk and said so.
    DiskFull,
    /// The leader takes no entry as large as its batch.
    TooLarge,
    /// It was executed elsewhere: this node caught up by a snapshot that contains it, and never saw
    /// what it came to.
    ContainedInSnapshot,
}

impl Failure {
    /// The reply to a write.
    pub(crate) fn of_write(self) -> String {
        match self {
            Failure::NeverHanded { waited_ms } => {
                format!("NOQUORUM no leader was reached within {waited_ms} ms, nothing was written")
            }
            Failure::Uncertain { waited_ms } => format!(
                "UNCERTAIN the leader did not confirm within {waited_ms} ms, the command may or \
                 may not take effect"
            ),
            Failure::DiskFull => disk_full().to_owned(),
            Failure::TooLarge => {
                "ERR the leader's max-entry-size is less than this node's, and too \
                 little for the command or those beside it, nothing was written"
                    .to_owned()
            }
            Failure::ContainedInSnapshot => "UNCERTAIN this node caught up by a snapshot that \
                 contains what the command came to, its reply is lost"
                .to_owned(),
        }
    }

    /// The reply to a read: it never takes effect.
    pub(crate) fn of_read(self) -> String {
        match self {
            Failure::NeverHanded { waited_ms } | Failure::Uncertain { waited_ms } => format!(
                "NOQUORUM no majority confirmed the read within {waited_ms} ms, nothing was read"
            ),
            Failure::TooLarge => "ERR the read stood among writes that are more than the leader's \
                 max-entry-size allows, nothing was read"
                .to_owned(),
            Failure::ContainedInSnapshot => "NOQUORUM the read stood among writes that this node \
                 caught up with by a snapshot, nothing was read"
                .to_owned(),
            Failure::DiskFull => {
                "DISKFULL the read stood among writes that the leader has no room for, nothing \
                 was read"
                    .to_owned()
            }
        }
    }
}

/// The reply to a write that is refused for lack of space.
pub(crate) fn disk_full() -> &'static str {
    "DISKFULL the disk of the leader or of this node is full, nothing was written; free space in \
     its data directory, writes resume by themselves"
}

/// The reply to a command that does not fit into an entry of the log.
pub(crate) fn too_large(bytes: usize, limit: usize) -> String {
    format!(
        "ERR the command takes {bytes} bytes in the log, more than max-entry-size ({limit}), \
         nothing was written"
    )
}
