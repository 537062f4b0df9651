//! A command as bytes: the same from the gateway to every replica, parsed once.
//!
//! `u16 id | u8 database | u32 argument count | (u32 length, bytes)*`, little-endian, the command's
//! name (argument 0, as the client typed it) included. A batch holds its writes so, a run its
//! reads, MULTI its queue.

use kv::CommandId;
use smallvec::SmallVec;

/// Arguments of a command, borrowed from the buffer it is encoded in.
pub(crate) type Args<'a> = SmallVec<[&'a [u8]; 8]>;

/// A command read back from its encoding.
#[derive(Debug)]
pub(crate) struct Command<'a> {
    /// The command, or the subcommand of a container.
    pub(crate) id: CommandId,
    /// The database it concerns: any number, if the bytes came from elsewhere.
    pub(crate) db: u8,
    /// Its arguments, its name as typed included.
    pub(crate) args: Args<'a>,
}

/// The bytes are not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed command at byte {at} of its batch")]
pub(crate) struct MalformedCommand {
    /// Where the reader stood.
    pub(crate) at: usize,
}

/// How many bytes a command will take.
pub(crate) fn encoded_length<'a>(args: impl Iterator<Item = &'a [u8]>) -> usize {
    7 + args.map(|arg| 4 + arg.len()).sum::<usize>()
}

/// Appends a command. Lengths fit in 32 bits because a request's do (see [`resp::Limits`]).
pub(crate) fn push_command<'a>(
    out: &mut Vec<u8>,
    id: CommandId,
    db: u8,
    args: impl ExactSizeIterator<Item = &'a [u8]>,
) {
    out.extend_from_slice(&id.0.to_le_bytes());
    out.push(db);
    out.extend_from_slice(&(args.len() as u32).to_le_bytes());
    for arg in args {
        out.extend_from_slice(&(arg.len() as u32).to_le_bytes());
        out.extend_from_slice(arg);
    }
}

/// Reads little-endian fields and length-prefixed bytes, checking every length.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    /// Where the next read starts.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], MalformedCommand> {
        let error = MalformedCommand { at: self.at };
        let end = self.at.checked_add(count).ok_or(error)?;
        let taken = self.bytes.get(self.at..end).ok_or(error)?;
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, MalformedCommand> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, MalformedCommand> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, MalformedCommand> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, MalformedCommand> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(
            bytes.try_into().expect("eight bytes were taken"),
        ))
    }

    /// Bytes behind their length.
    pub(crate) fn prefixed(&mut self) -> Result<&'a [u8], MalformedCommand> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    /// The next command.
    pub(crate) fn command(&mut self) -> Result<Command<'a>, MalformedCommand> {
        let id = CommandId(self.u16()?);
        let db = self.u8()?;
        let count = self.u32()?;
        let mut args = Args::new();
        for _ in 0..count {
            args.push(self.prefixed()?);
        }
        Ok(Command { id, db, args })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(id: u16, db: u8, args: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_command(&mut bytes, CommandId(id), db, args.iter().copied());
        assert_eq!(bytes.len(), encoded_length(args.iter().copied()));
        bytes
    }

    #[test]
    fn a_command_reads_back_as_it_was_written() {
        let commands: [(u16, u8, &[&[u8]]); 4] = [
            (1, 0, &[b"GET", b"k"]),
            (0xFFFE, 255, &[]),
            (7, 15, &[b"", b"\r\n\0", &[0xFF; 300]]),
            (8, 1, &[&b"a"[..]; 20]),
        ];
        let mut bytes = Vec::new();
        for (id, db, args) in commands {
            bytes.extend(encode(id, db, args));
        }
        let mut reader = Reader::new(&bytes);
        for (id, db, args) in commands {
            let command = reader.command().expect("whole");
            assert_eq!((command.id.0, command.db), (id, db));
            assert_eq!(&command.args[..], args);
        }
        assert!(reader.is_at_end());
    }

    #[test]
    fn a_command_that_is_cut_anywhere_is_an_error_that_says_where() {
        let bytes = encode(3, 0, &[b"SET", b"key", b"value"]);
        for length in 0..bytes.len() {
            let error = Reader::new(&bytes[..length])
                .command()
                .expect_err("it is cut");
            assert!(error.at <= length);
        }
    }

    #[test]
    fn lengths_and_counts_that_nothing_stands_behind_are_errors() {
        let count = [&[1, 0, 0][..], &u32::MAX.to_le_bytes()].concat();
        assert!(Reader::new(&count).command().is_err());
        let length = [&[1, 0, 0, 1, 0, 0, 0][..], &u32::MAX.to_le_bytes(), b"abc"].concat();
        assert!(Reader::new(&length).command().is_err());
        let mut reader = Reader::new(b"abc");
        assert!(reader.take(usize::MAX).is_err());
        assert_eq!(reader.take(3), Ok(&b"abc"[..]));
    }
}
