//! The payload of a Batch entry as a value: for checkers and tools, which read logs from outside.
//!
//! A replica reads batches record by record without copying (module `batch`); this is the same
//! format as a whole, and back.

use kv::CommandId;
use raft::NodeId;

use crate::batch::{BatchHeader, BatchReader, HEADER_LENGTH, Record, push_transaction};
use crate::encoding::{Command, MalformedCommand, push_command};
use crate::session::Watch;

/// The writes of one gateway that entered the log together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    /// The node that holds the clients.
    pub gateway: NodeId,
    /// How often that node had been started when it made the batch.
    pub incarnation: u64,
    /// 1 for the first batch of an incarnation, then without a gap.
    pub sequence: u64,
    /// What is to be executed, in order.
    pub records: Vec<BatchRecord<'a>>,
}

/// One write, or one transaction with writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRecord<'a> {
    /// What WATCH saw, if this is a transaction: none of its commands is run unless every key still
    /// has its version.
    pub watches: Option<Vec<WatchedKey<'a>>>,
    /// The writes: exactly one, if this is no transaction.
    pub commands: Vec<LoggedCommand<'a>>,
}

/// A key and the version that WATCH saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedKey<'a> {
    /// Its database.
    pub db: u8,
    /// The key.
    pub key: &'a [u8],
    /// The version, 0 if there was no such key.
    pub version: u64,
}

/// One write as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedCommand<'a> {
    /// Which command it is.
    pub id: CommandId,
    /// The database it concerns.
    pub db: u8,
    /// Its arguments, its name as the client typed it included.
    pub args: Vec<&'a [u8]>,
}

/// The bytes are not a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed batch at byte {at}")]
pub struct MalformedBatch {
    /// Where the reader stood.
    pub at: usize,
}

impl<'a> Batch<'a> {
    /// Reads the payload of a Batch entry.
    ///
    /// # Errors
    /// If it is malformed anywhere. A replica executes what stands before that place.
    pub fn decode(payload: &'a [u8]) -> Result<Batch<'a>, MalformedBatch> {
        let (header, mut reader) = BatchReader::open(payload)?;
        let mut records = Vec::new();
        while let Some(record) = reader.next()? {
            records.push(match record {
                Record::Command(command) => BatchRecord {
                    watches: None,
                    commands: vec![command.into()],
                },
                Record::Transaction { watches, writes } => {
                    let watch = |(db, key, version)| WatchedKey { db, key, version };
                    let mut commands = Vec::new();
                    for _ in 0..writes {
                        commands.push(reader.next_command()?.into());
                    }
                    BatchRecord {
                        watches: Some(watches.into_iter().map(watch).collect()),
                        commands,
                    }
                }
            });
        }
        Ok(Batch {
            gateway: header.gateway,
            incarnation: header.incarnation,
            sequence: header.sequence,
            records,
        })
    }

    /// The payload of a Batch entry.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LENGTH];
        let header = BatchHeader {
            gateway: self.gateway,
            incarnation: self.incarnation,
            sequence: self.sequence,
        };
        header.write(&mut bytes);
        for record in &self.records {
            if let Some(watches) = &record.watches {
                let watches: Vec<Watch> = watches
                    .iter()
                    .map(|watch| Watch {
                        db: watch.db,
                        key: bytes::Bytes::copy_from_slice(watch.key),
                        version: watch.version,
                    })
                    .collect();
                push_transaction(&mut bytes, &watches, record.commands.len() as u32);
            }
            for command in &record.commands {
                let args = command.args.iter().copied();
                push_command(&mut bytes, command.id, command.db, args);
            }
        }
        bytes
    }
}

impl<'a> From<Command<'a>> for LoggedCommand<'a> {
    fn from(command: Command<'a>) -> Self {
        LoggedCommand {
            id: command.id,
            db: command.db,
            args: command.args.to_vec(),
        }
    }
}

impl From<MalformedCommand> for MalformedBatch {
    fn from(error: MalformedCommand) -> Self {
        MalformedBatch { at: error.at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_the_same_after_writing_and_reading_it() {
        let command = |args: &[&'static str]| LoggedCommand {
            id: CommandId(3),
            db: 2,
            args: args.iter().map(|arg| arg.as_bytes()).collect(),
        };
        let batch = Batch {
            gateway: NodeId(3),
            incarnation: 4,
            sequence: 5,
            records: vec![
                BatchRecord {
                    watches: None,
                    commands: vec![command(&["SET", "k", "v"])],
                },
                BatchRecord {
                    watches: Some(vec![WatchedKey {
                        db: 1,
                        key: b"w",
                        version: 9,
                    }]),
                    commands: vec![command(&["INCR", "k"]), command(&["DEL", "k"])],
                },
                BatchRecord {
                    watches: Some(Vec::new()),
                    commands: Vec::new(),
                },
            ],
        };
        let bytes = batch.encode();
        assert_eq!(Batch::decode(&bytes), Ok(batch));
        for length in [0, HEADER_LENGTH - 1, HEADER_LENGTH + 3, bytes.len() - 1] {
            assert!(Batch::decode(&bytes[..length]).is_err());
        }
    }
}
