//! The payload of a Batch entry: commands of one gateway that enter the log together.
//!
//! `u8 version | u64 gateway | u64 incarnation | u64 sequence | record*`, little-endian, where a
//! record is a command (see [`crate::encoding`]) or a transaction: `u16 0xFFFF | u32 count of
//! watched keys | (u8 database, u32 length, key, u64 version)* | u32 count of writes | command*`.
//!
//! Only writes are in it. The reads of the same runs stay at the gateway and are run there between
//! the writes (see [`crate::plan`]), so that other replicas do no work for them.

use raft::NodeId;

use crate::encoding::{Command, MalformedCommand, Reader};
use crate::session::Watch;

const VERSION: u8 = 1;

/// Stands where a command's id would: what follows is a transaction. No command has this id.
const TRANSACTION: u16 = 0xFFFF;

/// Bytes of the header.
pub(crate) const HEADER_LENGTH: usize = 25;

/// Whose batch it is, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// The node that holds the clients.
    pub(crate) gateway: NodeId,
    /// How often that node had been started when it made the batch.
    pub(crate) incarnation: u64,
    /// 1 for the first batch of an incarnation, then without a gap.
    pub(crate) sequence: u64,
}

impl BatchHeader {
    /// Writes the header over the first [`HEADER_LENGTH`] bytes of `batch`.
    pub(crate) fn write(&self, batch: &mut [u8]) {
        batch[0] = VERSION;
        batch[1..9].copy_from_slice(&self.gateway.0.to_le_bytes());
        batch[9..17].copy_from_slice(&self.incarnation.to_le_bytes());
        batch[17..25].copy_from_slice(&self.sequence.to_le_bytes());
    }
}

/// The next record of a batch.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    /// One write.
    Command(Command<'a>),
    /// EXEC: `writes` commands follow, to be run if every watched key has its version.
    Transaction {
        /// What WATCH saw.
        watches: Vec<(u8, &'a [u8], u64)>,
        /// How many commands follow that belong to it.
        writes: u32,
    },
}

/// Reads a batch, checking every length.
#[derive(Debug)]
pub(crate) struct BatchReader<'a> {
    reader: Reader<'a>,
}

impl<'a> BatchReader<'a> {
    /// Reads the header; the reader then stands at the first record.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<(BatchHeader, Self), MalformedCommand> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(MalformedCommand { at: 0 });
        }
        let header = BatchHeader {
            gateway: NodeId(reader.u64()?),
            incarnation: reader.u64()?,
            sequence: reader.u64()?,
        };
        Ok((header, BatchReader { reader }))
    }

    /// The next record; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Record<'a>>, MalformedCommand> {
        if self.reader.is_at_end() {
            return Ok(None);
        }
        let mut peek = self.reader.clone();
        if peek.u16()? != TRANSACTION {
            return Ok(Some(Record::Command(self.reader.command()?)));
        }
        self.reader = peek;
        let watch_count = self.reader.u32()?;
        let mut watches = Vec::new();
        for _ in 0..watch_count {
            let db = self.reader.u8()?;
            let key = self.reader.prefixed()?;
            watches.push((db, key, self.reader.u64()?));
        }
        let writes = self.reader.u32()?;
        Ok(Some(Record::Transaction { watches, writes }))
    }

    /// The next record, which must be a command: one of a transaction's.
    pub(crate) fn next_command(&mut self) -> Result<Command<'a>, MalformedCommand> {
        self.reader.command()
    }
}

/// Appends the head of a transaction; its writes follow as commands.
pub(crate) fn push_transaction(out: &mut Vec<u8>, watches: &[Watch], writes: u32) {
    out.extend_from_slice(&TRANSACTION.to_le_bytes());
    out.extend_from_slice(&(watches.len() as u32).to_le_bytes());
    for watch in watches {
        out.push(watch.db);
        out.extend_from_slice(&(watch.key.len() as u32).to_le_bytes());
        out.extend_from_slice(&watch.key);
        out.extend_from_slice(&watch.version.to_le_bytes());
    }
    out.extend_from_slice(&writes.to_le_bytes());
}
