//! CHARTER: who a node is, where its configuration alone does not say it.
//!
//! A node of the first members is told its id, its cluster and its peers by its configuration. One that
//! joins later is told by the cluster, and has to remember it: before it asks, the number under which it
//! asks, so that asking again after a crash does not use up another id; afterwards what it was told.
//! A node that was made the whole of a new cluster, after the loss of the others, and one that was restored
//! from a backup belong to a cluster whose id their settings do not make, and remember it.
//!
//! The file is replaced as a whole, as IDENTITY is.

use std::path::Path;

use vfs::Vfs;

use crate::data_dir::{DataDirError, failed, replace_file};

const CHARTER_NAME: &str = "CHARTER";
const CHARTER_NEW_NAME: &str = "CHARTER.new";

/// The first bytes of CHARTER.
pub const CHARTER_MAGIC: [u8; 8] = *b"QUORATCH";
/// The version of CHARTER that this code writes, and the newest that it knows.
pub const CHARTER_VERSION: u32 = 1;
/// The most bytes of a CHARTER; a longer file is damaged, and not read into memory.
const CHARTER_BYTES_MAX: u64 = 1 << 20;

/// What CHARTER says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charter {
    /// The number under which the node asks to join, drawn at random. 0: it did not join.
    pub token: u64,
    /// The cluster's id. 0: the node has asked, and was not answered yet.
    pub cluster: u64,
    /// The id that the settings of the cluster's first members make, where it is another than
    /// `cluster`: settings that still say so fit all the same. 0 for a node that joined.
    pub former_cluster: u64,
    /// The node's id.
    pub node: u64,
    /// The cluster's name.
    pub cluster_name: String,
    /// The address at which the node listens for its peers, if its configuration does not say.
    pub peer_bind: String,
    /// The peer addresses of the members, this node included, as they were then.
    pub members: Vec<(u64, String)>,
}

impl Charter {
    /// Whether the cluster has answered.
    pub fn is_complete(&self) -> bool {
        self.cluster != 0
    }

    /// Whether the node joined a cluster that was there before.
    pub fn is_joined(&self) -> bool {
        self.token != 0
    }

    /// Reads the CHARTER of a data directory; `None` if it has none.
    ///
    /// # Errors
    /// If it cannot be read, is damaged, or a later version has written it.
    pub fn read(vfs: &dyn Vfs, dir: &Path) -> Result<Option<Charter>, DataDirError> {
        let path = dir.join(CHARTER_NAME);
        if !vfs.exists(&path).map_err(failed(&path))? {
            return Ok(None);
        }
        let file = vfs.open_read(&path).map_err(failed(&path))?;
        let length = file.len().map_err(failed(&path))?;
        let damaged = || DataDirError::Damaged { path: path.clone() };
        if length > CHARTER_BYTES_MAX {
            return Err(damaged());
        }
        let mut bytes = vec![0; length as usize];
        let read = file.read_full_at(0, &mut bytes).map_err(failed(&path))?;
        bytes.truncate(read);
        let (version, body) = checked(&bytes).ok_or_else(damaged)?;
        if version > CHARTER_VERSION {
            return Err(DataDirError::NewerFormat {
                path,
                found: version,
                known: CHARTER_VERSION,
            });
        }
        decode(body).map(Some).ok_or_else(damaged)
    }

    /// Writes it, durably, making the directory if there is none.
    ///
    /// # Errors
    /// If the disk does not take it; then the old one is in force.
    pub fn write(&self, vfs: &dyn Vfs, dir: &Path) -> Result<(), DataDirError> {
        vfs::create_dir_durable(vfs, dir).map_err(failed(dir))?;
        replace_file(vfs, dir, CHARTER_NAME, CHARTER_NEW_NAME, &self.encode())
    }

    /// Magic, version (u32), token, cluster, former cluster, node (u64 each), name, peer address to
    /// bind, count of members (u32), (u64 id, address)*, checksum (u32). Texts stand behind their length
    /// (u32). Little-endian.
    fn encode(&self) -> Vec<u8> {
        let mut out = CHARTER_MAGIC.to_vec();
        out.extend_from_slice(&CHARTER_VERSION.to_le_bytes());
        for number in [self.token, self.cluster, self.former_cluster, self.node] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let text = |out: &mut Vec<u8>, text: &str| {
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text.as_bytes());
        };
        text(&mut out, &self.cluster_name);
        text(&mut out, &self.peer_bind);
        out.extend_from_slice(&(self.members.len() as u32).to_le_bytes());
        for (id, address) in &self.members {
            out.extend_from_slice(&id.to_le_bytes());
            text(&mut out, address);
        }
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }
}

/// The version and what is behind it, if the checksum is right.
fn checked(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (covered, checksum) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(covered).to_le_bytes() != *checksum {
        return None;
    }
    let body = covered.strip_prefix(&CHARTER_MAGIC)?;
    let (version, body) = body.split_first_chunk::<4>()?;
    Some((u32::from_le_bytes(*version), body))
}

fn decode(body: &[u8]) -> Option<Charter> {
    let mut rest = body;
    let mut charter = Charter {
        token: number(&mut rest)?,
        cluster: number(&mut rest)?,
        former_cluster: number(&mut rest)?,
        node: number(&mut rest)?,
        cluster_name: text(&mut rest)?,
        peer_bind: text(&mut rest)?,
        members: Vec::new(),
    };
    let (count, behind) = rest.split_first_chunk::<4>()?;
    rest = behind;
    for _ in 0..u32::from_le_bytes(*count) {
        charter.members.push((number(&mut rest)?, text(&mut rest)?));
    }
    rest.is_empty().then_some(charter)
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (field, behind) = rest.split_first_chunk::<8>()?;
    *rest = behind;
    Some(u64::from_le_bytes(*field))
}

fn text(rest: &mut &[u8]) -> Option<String> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let (text, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charter() -> Charter {
        Charter {
            token: 7,
            cluster: u64::MAX,
            former_cluster: 3,
            node: 4,
            cluster_name: "quorate".into(),
            peer_bind: "127.0.0.1:8004".into(),
            members: vec![(1, "a:1".into()), (4, String::new())],
        }
    }

    #[test]
    fn a_charter_is_read_as_it_was_written_and_replaced_as_a_whole() {
        let vfs = vfs::MemVfs::new(1);
        let dir = Path::new("/data");
        assert_eq!(Charter::read(&vfs, dir).expect("readable"), None);
        let asked = Charter {
            token: 7,
            ..Charter::default()
        };
        asked.write(&vfs, dir).expect("room");
        vfs.crash(vfs::Crash::LoseUnsynced);
        assert_eq!(Charter::read(&vfs, dir).expect("readable"), Some(asked));
        charter().write(&vfs, dir).expect("room");
        vfs.crash(vfs::Crash::LoseUnsynced);
        assert_eq!(Charter::read(&vfs, dir).expect("readable"), Some(charter()));
    }

    #[test]
    fn a_damaged_charter_is_noticed() {
        let bytes = charter().encode();
        for length in 0..bytes.len() {
            assert!(checked(&bytes[..length]).is_none(), "{length}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(checked(&damaged).is_none(), "{at}");
        }
        let (_, body) = checked(&bytes).expect("intact");
        for length in 0..body.len() {
            assert_eq!(decode(&body[..length]), None, "{length}");
        }
    }
}
