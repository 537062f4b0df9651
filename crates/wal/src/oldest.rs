//! `OLDEST`: the oldest segment that is needed, where that is not yet in a segment's header.
//!
//! A segment's header is written once. Without this file a segment could go only when the next one is
//! begun, and a log of which much becomes useless bit by bit would begin segment after segment and leave
//! each of them nearly empty.
//!
//! The file is replaced as a whole: written under another name, synced, renamed over, the directory
//! synced. It needs next to no space, so that a full disk can be freed. It is found on later starts, and
//! says less than a newer header then: the higher of the two holds. One that is damaged is passed
//! over: then a segment that was removed is missed, and the log is refused.

use std::io;
use std::path::Path;

use vfs::Vfs;

use crate::Identity;
use crate::format::u64_at;

/// The name of the file, beside the segments.
pub const OLDEST_NAME: &str = "OLDEST";
/// Its name while it is written; what has it at a start is removed.
pub const OLDEST_NEW_NAME: &str = "OLDEST.new";
/// Its first bytes.
pub const OLDEST_MAGIC: [u8; 8] = *b"QUORATOL";
/// The version of the file that this code writes, and the only one that it reads.
pub const OLDEST_VERSION: u32 = 1;
/// Its length.
pub const OLDEST_BYTES: usize = 48;

const CHECKSUM_AT: usize = OLDEST_BYTES - 4;

/// The number that the file names; `None` if there is no such file, or none that can be believed.
pub(crate) fn read(vfs: &dyn Vfs, dir: &Path, identity: Identity) -> io::Result<Option<u64>> {
    let path = dir.join(OLDEST_NAME);
    if !vfs.exists(&path)? {
        return Ok(None);
    }
    let file = vfs.open_read(&path)?;
    let mut bytes = [0; OLDEST_BYTES];
    let read = file.read_full_at(0, &mut bytes)?;
    let is_whole = read == OLDEST_BYTES && file.len()? == OLDEST_BYTES as u64;
    Ok(decode(&bytes, identity).filter(|_| is_whole))
}

/// Writes the file: durable on return.
pub(crate) fn write(vfs: &dyn Vfs, dir: &Path, identity: Identity, oldest: u64) -> io::Result<()> {
    let (new, path) = (dir.join(OLDEST_NEW_NAME), dir.join(OLDEST_NAME));
    if vfs.exists(&new)? {
        vfs.remove(&new)?;
    }
    let written = vfs.create(&new).and_then(|mut file| {
        file.write_all_at(0, &encode(identity, oldest))?;
        file.sync_data()
    });
    if let Err(error) = written {
        // A full disk is not to be kept full by what did not fit.
        if vfs::is_no_space(&error) && vfs.exists(&new)? {
            vfs.remove(&new)?;
        }
        return Err(error);
    }
    vfs.rename(&new, &path)?;
    vfs.sync_dir(dir)
}

fn encode(identity: Identity, oldest: u64) -> [u8; OLDEST_BYTES] {
    let mut bytes = [0; OLDEST_BYTES];
    bytes[..8].copy_from_slice(&OLDEST_MAGIC);
    bytes[8..12].copy_from_slice(&OLDEST_VERSION.to_le_bytes());
    bytes[16..24].copy_from_slice(&identity.cluster.to_le_bytes());
    bytes[24..32].copy_from_slice(&identity.node.to_le_bytes());
    bytes[32..40].copy_from_slice(&oldest.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
    bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; OLDEST_BYTES], identity: Identity) -> Option<u64> {
    let oldest = u64_at(bytes, 32);
    (*bytes == encode(identity, oldest)).then_some(oldest)
}
