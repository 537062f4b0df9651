//! `quorate wal`: looking into the log of a node, without changing a byte of it.

use std::{
    borrow::Cow,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use raft::EntryKind;
use vfs::StdVfs;
use wal::{
    DumpLine, DumpRecord,
    format::{BASE_EMPTIES, DiskKind},
};

use crate::{dev::DEV_DATA_DIRECTORY, failure::Failure};

/// What `quorate wal` is told.
#[derive(Debug, Subcommand)]
pub(crate) enum WalCommand {
    /// Check every record as a start of the node would, and change nothing.
    ///
    /// The exit code is 0 if a node would start on this log, else 1.
    Verify {
        /// A node's data directory, or its directory of `quorate dev`.
        dir: PathBuf,
    },
    /// Print every record, one a line. Goes on behind damaged places.
    Dump {
        /// A node's data directory, or its directory of `quorate dev`.
        dir: PathBuf,
    },
}

/// Looks into a log.
pub(crate) fn run(command: &WalCommand) -> Result<ExitCode, Failure> {
    match command {
        WalCommand::Verify { dir } => verify(&data_directory(dir)),
        WalCommand::Dump { dir } => dump(&data_directory(dir)),
    }
}

/// The data directory that a name stands for: a node's directory of `quorate dev` holds it beside the
/// node's messages, and is what one sees first.
fn data_directory(dir: &Path) -> Cow<'_, Path> {
    let below = dir.join(DEV_DATA_DIRECTORY);
    if !dir.join("wal").exists() && below.join("wal").is_dir() {
        return below.into();
    }
    dir.into()
}

fn verify(dir: &Path) -> Result<ExitCode, Failure> {
    let report = wal::verify(&StdVfs::new(), dir).map_err(Failure::usage)?;
    writeln!(io::stdout(), "{}", report.to_string().trim_end())?;
    Ok(if report.is_intact() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn dump(dir: &Path) -> Result<ExitCode, Failure> {
    let mut output = io::BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let mut print = |line: DumpLine| {
        if written.is_ok() {
            written = match &line {
                DumpLine::Record(record) => match meaning(record) {
                    Some(meaning) => writeln!(output, "{line} # {meaning}"),
                    None => writeln!(output, "{line}"),
                },
                other => writeln!(output, "{other}"),
            };
        }
    };
    wal::dump(&StdVfs::new(), dir, &mut print).map_err(Failure::usage)?;
    written?;
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// What an entry is to Raft and to the commands: its kind, and of a batch whose it is and how it
/// begins; of a base, what it did to the log. `None` for other records.
fn meaning(record: &DumpRecord) -> Option<String> {
    match record.kind {
        DiskKind::Entry => {}
        DiskKind::Base if record.tag == BASE_EMPTIES => {
            return Some("a snapshot replaces the log".to_owned());
        }
        DiskKind::Base => return Some("a snapshot replaces the log up to here".to_owned()),
        DiskKind::Truncate | DiskKind::State | DiskKind::Carry => return None,
    }
    Some(match EntryKind::try_from(record.tag) {
        Ok(EntryKind::Noop) => "noop".to_owned(),
        Ok(EntryKind::Bootstrap) => "bootstrap".to_owned(),
        Ok(EntryKind::Membership) => "membership".to_owned(),
        Ok(EntryKind::FeatureLevel) => "feature level".to_owned(),
        Ok(EntryKind::Batch) => {
            batch_meaning(&record.preview).unwrap_or_else(|| "batch, not readable".to_owned())
        }
        Err(unknown) => unknown.to_string(),
    })
}

/// Reads the beginning of a batch, as `replica::batch` describes it: `u8 version | u64 gateway | u64
/// incarnation | u64 sequence`, then commands or transactions.
fn batch_meaning(payload: &[u8]) -> Option<String> {
    /// Stands in the place of a command's id where a transaction begins.
    const TRANSACTION: u16 = 0xFFFF;
    let number = |at: usize| {
        Some(u64::from_le_bytes(
            payload.get(at..at + 8)?.try_into().ok()?,
        ))
    };
    if *payload.first()? != 1 {
        return None;
    }
    let (gateway, incarnation, sequence) = (number(1)?, number(9)?, number(17)?);
    let id = u16::from_le_bytes(payload.get(25..27)?.try_into().ok()?);
    let first = match kv::by_id(kv::CommandId(id)) {
        _ if id == TRANSACTION => "a transaction".to_owned(),
        Some(spec) => spec.full_name().replace('|', " ").to_ascii_uppercase(),
        None => format!("command {id}, which this release does not know"),
    };
    Some(format!(
        "batch {sequence} of node {gateway}, start {incarnation}: first {first}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_says_whose_it_is_and_how_it_begins() {
        let set = kv::lookup(b"set").expect("a command");
        let mut payload = vec![1];
        for number in [2_u64, 3, 4] {
            payload.extend(number.to_le_bytes());
        }
        payload.extend(set.id.0.to_le_bytes());
        let expected = "batch 4 of node 2, start 3: first SET";
        assert_eq!(batch_meaning(&payload).as_deref(), Some(expected));
        payload[25..27].copy_from_slice(&[0xFF, 0xFF]);
        let expected = "batch 4 of node 2, start 3: first a transaction";
        assert_eq!(batch_meaning(&payload).as_deref(), Some(expected));
        assert_eq!(batch_meaning(&payload[..26]), None);
        assert_eq!(batch_meaning(b""), None);
    }
}
