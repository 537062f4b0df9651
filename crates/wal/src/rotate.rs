//! From one segment to the next, and what each begins with.

use std::path::Path;

use buggify::Canary;
use bytes::Bytes;
use vfs::File;

use crate::format::{
    CARRY_HAS_BASE, CARRY_HAS_STATE, CarryBody, DiskKind, FORMAT_VERSION, SEGMENT_HEADER_BYTES,
    SegmentHeader, VERSION_WITH_BASES, segment_name, segment_seed,
};
use crate::index::Carried;
use crate::log::Wal;
use crate::recovery::{Carries, failed};
use crate::reserve::{PrepareError, Reserve};
use crate::segment::writer::{Content, Writer};
use crate::{Identity, OpenError, WalError};

impl Wal {
    /// Begins the next segment. The order is what recovery relies on: the old segment is durable before
    /// the new header is written, and that is durable before any record behind it.
    pub(crate) fn rotate(&mut self) -> Result<(), WalError> {
        let segment = self.writer.segment;
        if self.options.sync {
            self.writer
                .sync()
                .map_err(|source| WalError::Sync { segment, source })?;
        }
        let spare = self
            .reserve
            .take()
            .expect("`append` has made sure of the segments it needs");
        assert_eq!(spare.segment, segment + 1, "segments are used in order");
        let header = SegmentHeader {
            version: FORMAT_VERSION,
            identity: self.identity,
            segment: spare.segment,
            segment_bytes: spare.segment_bytes,
            oldest: self.oldest_for_next(),
            previous_end: self.writer.end,
            previous_chain: self.writer.chain,
        };
        let writer = begin_segment(spare.file, &header, spare.zeroed, self.options.sync)?;
        let old = std::mem::replace(&mut self.writer, writer);
        self.segments.close(&old, header.oldest);
        self.readback.keep(segment, old.file);
        self.carry(|_| true)
    }

    /// Writes down where each group stands, at the start of a segment.
    fn carry(&mut self, is_wanted: impl Fn(u64) -> bool) -> Result<(), WalError> {
        self.batch.restart(&self.writer);
        for (group, index) in self.groups.iter().filter(|(group, _)| is_wanted(**group)) {
            let carried = index.carried();
            let body = carry_body(&carried, self.writer.version);
            self.batch.push(&Content {
                kind: DiskKind::Carry,
                group: *group,
                term: carried.last.term,
                index: carried.last.index,
                tag: carry_tag(&carried, self.writer.version),
                stamp: carried.stamp,
                body: &body,
            });
        }
        self.write_batch()
    }

    /// Writes the carries that a crash kept out of the segment at hand. `carried` are the groups whose
    /// carry is there; there is nothing behind the carries unless all of them are.
    ///
    /// Without them, a reader that begins at this segment one day would not know these groups.
    pub(crate) fn complete_carries(&mut self, carried: &Carries) -> Result<(), OpenError> {
        if self.writer.segment == 1 || carried.is_complete {
            return Ok(());
        }
        let segment = self.writer.segment;
        self.carry(|group| !carried.groups.contains(&group))
            .map_err(|error| {
                let source = std::io::Error::other(error);
                failed("write", &self.dir.join(segment_name(segment)))(source)
            })
    }
}

fn carry_tag(carried: &Carried, version: u32) -> u8 {
    let has_base = carried.base.is_some() && version >= VERSION_WITH_BASES;
    let state = if carried.state.is_some() {
        CARRY_HAS_STATE
    } else {
        0
    };
    let base = if has_base { CARRY_HAS_BASE } else { 0 };
    state | base
}

/// The body of a carry, in the format of the segment it is for.
fn carry_body(carried: &Carried, version: u32) -> Bytes {
    let state = carried.state.as_deref().unwrap_or_default();
    if version < VERSION_WITH_BASES {
        return Bytes::copy_from_slice(state);
    }
    if buggify::canary(Canary::BaseNotCarried) {
        return Bytes::from([&CarryBody::default().encode(), state].concat());
    }
    let base = carried.base.unwrap_or_default();
    let base = CarryBody {
        term: base.id.term,
        index: base.id.index,
        stamp: base.stamp,
    };
    Bytes::from([&base.encode(), state].concat())
}

/// Makes the first segment of a new log.
pub(crate) fn create_first(
    reserve: &mut Reserve,
    dir: &Path,
    identity: Identity,
    segment_bytes: u64,
) -> Result<Writer, OpenError> {
    let spare = match reserve.ensure(1) {
        Ok(()) => reserve.take().expect("it was just made"),
        Err(PrepareError::NoSpace) => {
            return Err(OpenError::Full {
                dir: dir.to_path_buf(),
                segment_bytes,
            });
        }
        Err(PrepareError::Io { segment, source }) => {
            return Err(failed("prepare", &dir.join(segment_name(segment)))(source));
        }
    };
    let header = SegmentHeader {
        version: FORMAT_VERSION,
        identity,
        segment: spare.segment,
        segment_bytes: spare.segment_bytes,
        oldest: spare.segment,
        previous_end: 0,
        previous_chain: 0,
    };
    begin_segment(spare.file, &header, spare.zeroed, true).map_err(|error| {
        let source = std::io::Error::other(error);
        failed("begin", &dir.join(segment_name(header.segment)))(source)
    })
}

/// Writes a segment's header and makes it durable.
fn begin_segment(
    mut file: Box<dyn File>,
    header: &SegmentHeader,
    zeroed: u64,
    sync: bool,
) -> Result<Writer, WalError> {
    let segment = header.segment;
    let (bytes, chain) = header.encode();
    file.write_all_at(0, &bytes)
        .map_err(|source| WalError::Write {
            segment,
            offset: 0,
            source,
        })?;
    if sync {
        file.sync_data()
            .map_err(|source| WalError::Sync { segment, source })?;
    }
    Ok(Writer {
        file,
        segment,
        version: header.version,
        segment_bytes: header.segment_bytes,
        seed: segment_seed(header.identity, segment),
        end: SEGMENT_HEADER_BYTES as u64,
        chain,
        durable: SEGMENT_HEADER_BYTES as u64,
        zeroed,
    })
}
