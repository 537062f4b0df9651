//! Reading a log that must stay as it is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use vfs::Vfs;

use crate::format::{segment_name, segment_seed};
use crate::index::GroupIndex;
use crate::readback::Readback;
use crate::recovery::{self, Examination, ExamineError, failed};
use crate::segment::writer::Writer;
use crate::{Identity, OpenError, Record, Recovery, WalError};

/// A log that is read, and of which not a byte is changed: what a start would cut off or remove is passed
/// over.
pub struct ReadOnlyLog {
    groups: BTreeMap<u64, GroupIndex>,
    readback: Readback,
    /// The last segment, open for reading only.
    last: Writer,
}

impl ReadOnlyLog {
    /// Reads the log in `dir`, and says what it holds. Nothing else may write it meanwhile. `keep_tags` is
    /// that of [`crate::Options`].
    ///
    /// # Errors
    /// As [`crate::Wal::open`]; [`OpenError::LogMissing`] if there is none.
    pub fn open(
        vfs: Arc<dyn Vfs>,
        dir: &Path,
        identity: Identity,
        keep_tags: &'static [u8],
    ) -> Result<(ReadOnlyLog, Recovery), OpenError> {
        let mut examination = Examination::keeping(keep_tags);
        if vfs.exists(dir).map_err(failed("look up", dir))? {
            let examined = recovery::examine(vfs.as_ref(), dir, identity, None, &mut examination);
            examined.map_err(|error: ExamineError| error.into_open_error(dir))?;
        }
        let Some(read) = examination.segments.last() else {
            return Err(OpenError::LogMissing {
                dir: dir.to_path_buf(),
            });
        };
        let header = read.header;
        let path = dir.join(segment_name(header.segment));
        let last = Writer {
            file: vfs.open_read(&path).map_err(failed("open", &path))?,
            segment: header.segment,
            version: header.version,
            segment_bytes: header.segment_bytes,
            seed: segment_seed(header.identity, header.segment),
            end: read.end,
            chain: read.chain,
            durable: read.end,
            zeroed: header.segment_bytes,
        };
        let recovery = examination.recovery();
        let log = ReadOnlyLog {
            groups: examination.groups,
            readback: Readback::new(vfs, dir, identity),
            last,
        };
        Ok((log, recovery))
    }

    /// Reads entries, as [`crate::Wal::read`] does.
    ///
    /// # Errors
    /// If an entry is not held, or damaged.
    pub fn read(
        &self,
        group: u64,
        first: u64,
        last: u64,
        bytes_max: usize,
    ) -> Result<Vec<Record>, WalError> {
        let Some(index) = self.groups.get(&group) else {
            return Ok(Vec::new());
        };
        let wanted = index.wanted(group, first, last, bytes_max)?;
        self.readback.read(&self.last, group, index, &wanted)
    }
}
