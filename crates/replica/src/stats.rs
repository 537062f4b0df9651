//! Counters of this node since it started.

use kv::CommandId;

/// Counters for INFO and metrics.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Commands run for clients of this node.
    pub(crate) commands_processed: u64,
    /// Connections refused for lack of room.
    pub(crate) rejected_connections: u64,
    /// Batches that entered the log through this gateway.
    pub(crate) batches_applied: u64,
    /// Batches handed to a leader again.
    pub(crate) batches_resent: u64,
    /// Rounds of reads that a leader confirmed.
    pub(crate) read_rounds: u64,
    /// Entries applied.
    pub(crate) entries_applied: u64,
    /// Commands answered with NOQUORUM.
    pub(crate) no_quorum: u64,
    /// Commands answered with UNCERTAIN.
    pub(crate) uncertain: u64,
    /// Error replies sent.
    pub(crate) error_replies: u64,
    /// Per command, by id.
    commands: Vec<CommandStats>,
}

/// Counters of one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandStats {
    /// How often it ran.
    pub(crate) calls: u64,
    /// How often it answered with an error.
    pub(crate) failed: u64,
    /// How often it was refused before it ran.
    pub(crate) rejected: u64,
}

impl Stats {
    /// The counters of a command.
    pub(crate) fn command(&mut self, id: CommandId) -> &mut CommandStats {
        let index = usize::from(id.0);
        if index >= self.commands.len() {
            self.commands.resize(index + 1, CommandStats::default());
        }
        &mut self.commands[index]
    }

    /// All counters by command id.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (CommandId, &CommandStats)> {
        self.commands.iter().enumerate().map(|(id, stats)| (CommandId(id as u16), stats))
    }
}
