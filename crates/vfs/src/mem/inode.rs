//! One file: what a reader sees, what the device has, and the writes in between.

use std::collections::BTreeMap;
use std::io;

use crate::SECTOR_BYTES;
use crate::mem::disk::Random;

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    /// What a reader sees.
    live: Vec<u8>,
    /// What survives a crash for certain.
    durable: Vec<u8>,
    /// The writes since the last sync, oldest first, cut at sector boundaries.
    pending: Vec<Piece>,
    /// A sync failed since the power was last off: readers see what the device never gets.
    has_lost_writes: bool,
}

/// The part of a write that falls into one sector.
#[derive(Clone, Debug)]
struct Piece {
    offset: usize,
    bytes: Vec<u8>,
}

impl Inode {
    pub(super) fn live(&self) -> &[u8] {
        &self.live
    }

    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let Some(readable) = usize::try_from(offset)
            .ok()
            .and_then(|start| self.live.get(start..))
        else {
            return 0;
        };
        let read = readable.len().min(buffer.len());
        buffer[..read].copy_from_slice(&readable[..read]);
        read
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let end = offset
            .checked_add(bytes.len())
            .ok_or(io::ErrorKind::FileTooLarge)?;
        self.grow(end);
        self.live[offset..end].copy_from_slice(bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            let in_sector = (SECTOR_BYTES - offset % SECTOR_BYTES).min(rest.len());
            self.pending.push(Piece {
                offset,
                bytes: rest[..in_sector].to_vec(),
            });
            offset += in_sector;
            rest = &rest[in_sector..];
        }
        Ok(())
    }

    pub(super) fn grow(&mut self, len: usize) {
        if len > self.live.len() {
            self.live.resize(len, 0);
        }
    }

    pub(super) fn sync(&mut self) {
        self.durable.resize(self.live.len(), 0);
        for piece in self.pending.drain(..) {
            lay(&mut self.durable, &piece);
        }
    }

    /// A sync that failed: the kernel marks the pages clean, so the device never gets them, and
    /// readers go on seeing them.
    pub(super) fn sync_failed(&mut self) {
        self.has_lost_writes |= !self.pending.is_empty();
        self.pending.clear();
    }

    pub(super) fn overwrite_durably(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        self.grow(end);
        if self.durable.len() < end {
            self.durable.resize(end, 0);
        }
        self.live[offset..end].copy_from_slice(bytes);
        self.durable[offset..end].copy_from_slice(bytes);
    }

    pub(super) fn truncate_durably(&mut self, len: u64) {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.live.truncate(len);
        self.durable.truncate(len);
        self.pending
            .retain(|piece| piece.offset + piece.bytes.len() <= len);
    }

    /// Leaves only what the device has when the power fails: what was synced, and of the rest nothing
    /// or any part.
    pub(super) fn lose_power(&mut self, is_torn: bool, random: &mut Random) {
        let is_durable = self.pending.is_empty()
            && !self.has_lost_writes
            && self.live.len() == self.durable.len();
        if is_durable {
            return;
        }
        if is_torn {
            self.tear(random);
        }
        self.pending.clear();
        self.has_lost_writes = false;
        self.live.clone_from(&self.durable);
    }

    /// Of the writes to each sector, a prefix arrives: a sector holds one of the states it had since
    /// the last sync. The length is the old one or the new one, and never cuts what arrived.
    fn tear(&mut self, random: &mut Random) {
        if random.below(2) == 1 {
            self.durable
                .resize(self.live.len().max(self.durable.len()), 0);
        }
        let mut sectors: BTreeMap<usize, Vec<Piece>> = BTreeMap::new();
        for piece in self.pending.drain(..) {
            sectors
                .entry(piece.offset / SECTOR_BYTES)
                .or_default()
                .push(piece);
        }
        let bias = random.below(4);
        for pieces in sectors.values() {
            let arrived = match bias {
                0 => pieces.len() * usize::from(random.below(8) != 0),
                1 => pieces.len() * usize::from(random.below(8) == 0),
                _ => random.below(pieces.len() as u64 + 1) as usize,
            };
            for piece in &pieces[..arrived] {
                let end = piece.offset + piece.bytes.len();
                if self.durable.len() < end {
                    self.durable.resize(end, 0);
                }
                lay(&mut self.durable, piece);
            }
        }
    }
}

fn lay(image: &mut [u8], piece: &Piece) {
    image[piece.offset..piece.offset + piece.bytes.len()].copy_from_slice(&piece.bytes);
}
