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

    /// Reads records that have no header before them.
    pub(crate) fn at_record(bytes: &'a [u8]) -> Self {
        BatchReader {
            reader: Reader::new(bytes),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::push_command;
    use crate::random::Random;
    use bytes::Bytes;
    use kv::CommandId;

    const HEADER: BatchHeader = BatchHeader {
        gateway: NodeId(3),
        incarnation: 0x0102_0304_0506_0708,
        sequence: u64::MAX,
    };

    fn command(out: &mut Vec<u8>, args: &[&[u8]]) {
        push_command(out, CommandId(2), 4, args.iter().copied());
    }

    fn batch() -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LENGTH];
        HEADER.write(&mut bytes);
        command(&mut bytes, &[b"SET", b"a", b"1"]);
        let watch = |key: &'static [u8], version| Watch {
            db: 1,
            key: Bytes::from_static(key),
            version,
        };
        push_transaction(&mut bytes, &[watch(b"w", 7), watch(b"", 0)], 2);
        command(&mut bytes, &[b"INCR", b"a"]);
        command(&mut bytes, &[b"DEL", b"b"]);
        command(&mut bytes, &[b"INCR", b"c"]);
        bytes
    }

    /// Reads a batch to its end or to where it is malformed: the records seen.
    fn read(bytes: &[u8]) -> (usize, Result<(), MalformedCommand>) {
        let mut seen = 0;
        let outcome = BatchReader::open(bytes).and_then(|(_, mut reader)| {
            while let Some(record) = reader.next()? {
                seen += 1;
                if let Record::Transaction { writes, .. } = record {
                    for _ in 0..writes {
                        reader.next_command()?;
                        seen += 1;
                    }
                }
            }
            Ok(())
        });
        (seen, outcome)
    }

    #[test]
    fn a_batch_reads_back_as_it_was_written() {
        let bytes = batch();
        let (header, mut reader) = BatchReader::open(&bytes).expect("whole");
        assert_eq!(header, HEADER);
        let Ok(Some(Record::Command(first))) = reader.next() else {
            panic!("a command");
        };
        assert_eq!(first.args[..], [&b"SET"[..], b"a", b"1"]);
        let Ok(Some(Record::Transaction { watches, writes })) = reader.next() else {
            panic!("a transaction");
        };
        assert_eq!(watches, [(1, &b"w"[..], 7), (1, b"", 0)]);
        assert_eq!(writes, 2);
        for name in [&b"INCR"[..], b"DEL"] {
            assert_eq!(reader.next_command().expect("whole").args[0], name);
        }
        assert!(matches!(reader.next(), Ok(Some(Record::Command(_)))));
        assert!(matches!(reader.next(), Ok(None)));
    }

    #[test]
    fn a_header_alone_is_an_empty_batch_and_less_is_none() {
        let bytes = batch();
        assert_eq!(read(&bytes[..HEADER_LENGTH]), (0, Ok(())));
        for length in 0..HEADER_LENGTH {
            assert!(BatchReader::open(&bytes[..length]).is_err());
        }
        let newer = [&[VERSION + 1], &bytes[1..]].concat();
        assert!(BatchReader::open(&newer).is_err());
    }

    #[test]
    fn a_batch_that_is_cut_is_read_up_to_the_cut() {
        let bytes = batch();
        let (all, outcome) = read(&bytes);
        assert_eq!((all, outcome), (5, Ok(())));
        let mut before = 0;
        let mut whole = Vec::new();
        for length in HEADER_LENGTH..bytes.len() {
            let (seen, outcome) = read(&bytes[..length]);
            assert!(seen >= before && seen < all, "cut at {length}");
            before = seen;
            if outcome.is_ok() {
                whole.push(seen);
            }
        }
        // Only between records is a cut not seen: a batch is whole in its entry or not at all.
        assert_eq!(whole, [0, 1, 4]);
    }

    #[test]
    fn bytes_that_are_changed_at_random_are_read_without_harm() {
        let bytes = batch();
        let mut random = Random::new(1);
        for _ in 0..20_000 {
            let mut changed = bytes.clone();
            for _ in 0..=random.next_u64() % 4 {
                let place = random.next_u64() as usize % changed.len();
                changed[place] = random.next_u64() as u8;
            }
            let length = random.next_u64() as usize % (changed.len() + 1);
            // Each record takes bytes: what is read is bounded by what is there.
            assert!(read(&changed[..length]).0 <= length);
        }
    }
}
