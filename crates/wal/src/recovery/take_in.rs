//! Taking the records that are read into the groups they belong to.

use bytes::Bytes;

use crate::Record;
use crate::format::{
    BASE_EMPTIES, CARRY_HAS_BASE, CARRY_HAS_STATE, CarryBody, DiskKind, RecordHeader,
    SegmentHeader, VERSION_WITH_BASES,
};
use crate::index::{Base, Carried, GroupIndex, Id};
use crate::recovery::Examination;
use crate::segment::reader::Found;

impl Examination {
    /// One that also keeps the entries with these tags.
    pub(crate) fn keeping(keep_tags: &'static [u8]) -> Examination {
        Examination {
            keep_tags,
            ..Examination::default()
        }
    }

    pub(super) fn wants_body(&self, found: &Found) -> bool {
        match found.kind {
            DiskKind::State | DiskKind::Carry => true,
            DiskKind::Entry => self.keep_tags.contains(&found.header.tag),
            DiskKind::Truncate | DiskKind::Base => false,
        }
    }

    /// Takes an intact record into its group. `false` if it cannot stand where it does.
    pub(super) fn take_in(
        &mut self,
        segment: &SegmentHeader,
        is_first: bool,
        found: &Found,
        body: Bytes,
    ) -> bool {
        let header = &found.header;
        match found.kind {
            DiskKind::Carry => return self.take_carry(segment, is_first, header, &body),
            DiskKind::Base if segment.version < VERSION_WITH_BASES => return false,
            _ => {}
        }
        let group = self.groups.entry(header.group).or_default();
        if group.check(found.kind, header.index).is_err() {
            return false;
        }
        if found.kind == DiskKind::Base && !base_is_true(group, header) {
            return false;
        }
        if !self.keep_tags.is_empty() {
            self.tagged_keep(found, &body);
        }
        let group = self.groups.entry(header.group).or_default();
        group.apply(segment.segment, found.offset, header, body);
        true
    }

    fn take_carry(
        &mut self,
        segment: &SegmentHeader,
        is_first: bool,
        header: &RecordHeader,
        body: &Bytes,
    ) -> bool {
        let Some(carried) = carried(segment.version, header, body) else {
            return false;
        };
        let has_base = segment.version >= VERSION_WITH_BASES;
        self.carried.groups.insert(header.group);
        match self.groups.get_mut(&header.group) {
            Some(group) => group.agrees(&carried, has_base),
            None if is_first && segment.segment > 1 => {
                let group = self.groups.entry(header.group).or_default();
                group.begin(&carried);
                true
            }
            None => false,
        }
    }

    /// Keeps the entries that are asked for in step with the log.
    fn tagged_keep(&mut self, found: &Found, body: &Bytes) {
        let header = &found.header;
        let tagged = self.tagged.entry(header.group).or_default();
        match found.kind {
            DiskKind::Entry if self.keep_tags.contains(&header.tag) => tagged.push(Record::entry(
                header.group,
                header.term,
                header.index,
                header.tag,
                header.stamp,
                body.clone(),
            )),
            DiskKind::Truncate => tagged.retain(|entry| entry.index < header.index),
            DiskKind::Base if header.tag == BASE_EMPTIES => tagged.clear(),
            DiskKind::Base => tagged.retain(|entry| entry.index > header.index),
            DiskKind::Entry | DiskKind::State | DiskKind::Carry => {}
        }
    }
}

/// Whether a base record says what became of the log when it was written.
fn base_is_true(group: &GroupIndex, header: &RecordHeader) -> bool {
    let id = Id {
        term: header.term,
        index: header.index,
    };
    let is_emptied = header.tag == BASE_EMPTIES;
    let is_possible = header.tag <= BASE_EMPTIES && header.body_bytes == 0;
    is_possible && group.holds(id).is_none_or(|is_held| is_held != is_emptied)
}

/// What a carry says, if that can be.
fn carried(version: u32, header: &RecordHeader, body: &Bytes) -> Option<Carried> {
    let last = Id {
        term: header.term,
        index: header.index,
    };
    let has_state = header.tag & CARRY_HAS_STATE != 0;
    let (base, state) = if version < VERSION_WITH_BASES {
        // Where nothing is known of a base, the log begins behind what was carried.
        let base = Base {
            id: last,
            stamp: header.stamp,
        };
        ((last != Id::default()).then_some(base), body.clone())
    } else {
        let (base, state) = CarryBody::decode(body)?;
        let has_base = header.tag & CARRY_HAS_BASE != 0;
        let base = Base {
            id: Id {
                term: base.term,
                index: base.index,
            },
            stamp: base.stamp,
        };
        (has_base.then_some(base), body.slice_ref(state))
    };
    let from = base.map_or(Id::default(), |base| base.id);
    let is_possible = last.index != u64::MAX
        && header.tag <= CARRY_HAS_STATE | CARRY_HAS_BASE
        && (from == last || base.is_some() && from.index < last.index)
        && (has_state || state.is_empty());
    is_possible.then_some(Carried {
        base,
        last,
        stamp: header.stamp,
        state: has_state.then_some(state),
    })
}
