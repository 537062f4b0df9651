//! The state of the simulated disk: directories over inodes.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use crate::mem::Crash;
use crate::mem::faults::{Fault, Faults, OperationKind, power_is_off};
use crate::mem::inode::Inode;
use crate::parent_of;

pub(super) struct Disk {
    inodes: BTreeMap<u64, Inode>,
    inode_next: u64,
    directories: BTreeMap<PathBuf, Directory>,
    random: Random,
    pub(super) faults: Faults,
    pub(super) capacity: Option<u64>,
    pub(super) sync_does_nothing: bool,
    pub(super) locks: BTreeSet<PathBuf>,
    /// Rises at every crash; a handle of an earlier epoch is dead.
    pub(super) epoch: u64,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(u64),
    Directory,
}

/// A directory's names as seen, as durable, and the changes in between, oldest first.
#[derive(Clone, Default)]
struct Directory {
    live: BTreeMap<OsString, Node>,
    durable: BTreeMap<OsString, Node>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Add {
        name: OsString,
        node: Node,
    },
    Remove {
        name: OsString,
    },
    /// `replaces`: something had the new name.
    Rename {
        from: OsString,
        to: OsString,
        replaces: bool,
    },
}

impl Directory {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }
}

impl Change {
    /// Whether a file may have lost its last name.
    fn drops_a_file(&self) -> bool {
        match self {
            Change::Add { .. } => false,
            Change::Remove { .. } => true,
            Change::Rename { replaces, .. } => *replaces,
        }
    }

    fn apply(&self, names: &mut BTreeMap<OsString, Node>) {
        match self {
            Change::Add { name, node } => {
                names.insert(name.clone(), *node);
            }
            Change::Remove { name } => {
                names.remove(name);
            }
            Change::Rename { from, to, .. } => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

impl Disk {
    pub(super) fn new(seed: u64) -> Disk {
        let roots = ["/", "."].map(|root| (PathBuf::from(root), Directory::default()));
        Disk {
            inodes: BTreeMap::new(),
            inode_next: 1,
            directories: BTreeMap::from(roots),
            random: Random(seed),
            faults: Faults::default(),
            capacity: None,
            sync_does_nothing: false,
            locks: BTreeSet::new(),
            epoch: 0,
        }
    }

    /// A disk with the same contents, that nobody uses.
    pub(super) fn copy(&self) -> Disk {
        Disk {
            inodes: self.inodes.clone(),
            inode_next: self.inode_next,
            directories: self.directories.clone(),
            random: Random(self.random.0),
            faults: Faults::default(),
            capacity: self.capacity,
            sync_does_nothing: self.sync_does_nothing,
            locks: BTreeSet::new(),
            epoch: self.epoch + 1,
        }
    }

    /// Fails if the power is off, or if a handle of this epoch belongs to a process that is gone.
    pub(super) fn check_power(&self, epoch: u64) -> io::Result<()> {
        if self.faults.halted() || epoch != self.epoch {
            Err(power_is_off())
        } else {
            Ok(())
        }
    }

    pub(super) fn lookup(&self, path: &Path) -> io::Result<u64> {
        match self.node(path) {
            Some(Node::File(inode)) => Ok(inode),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.directories.contains_key(path) || self.node(path).is_some()
    }

    pub(super) fn inode(&self, inode: u64) -> io::Result<&Inode> {
        self.inodes
            .get(&inode)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    pub(super) fn inode_mut(&mut self, inode: u64) -> io::Result<&mut Inode> {
        self.inodes
            .get_mut(&inode)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The bytes of all files, named or still open.
    pub(super) fn used_bytes(&self) -> u64 {
        self.inodes
            .values()
            .map(|inode| inode.live().len() as u64)
            .sum()
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<u64> {
        self.begin(OperationKind::Create, path)?;
        if self.exists(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = self.inode_next;
        let name = file_name(path)?;
        self.directory_mut(&parent_of(path))?.change(Change::Add {
            name,
            node: Node::File(inode),
        });
        self.inode_next += 1;
        self.inodes.insert(inode, Inode::default());
        self.end(inode)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.begin(OperationKind::Rename, from)?;
        self.lookup(from)?;
        let dir = parent_of(from);
        if parent_of(to) != dir || matches!(self.node(to), Some(Node::Directory)) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let change = Change::Rename {
            from: file_name(from)?,
            to: file_name(to)?,
            replaces: self.node(to).is_some(),
        };
        self.directory_mut(&dir)?.change(change);
        self.end(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.begin(OperationKind::Remove, path)?;
        self.lookup(path)?;
        let name = file_name(path)?;
        self.directory_mut(&parent_of(path))?
            .change(Change::Remove { name });
        self.end(())
    }

    pub(super) fn list(&self, dir: &Path) -> io::Result<Vec<OsString>> {
        self.check_power(self.epoch)?;
        let directory = self.directories.get(dir).ok_or(io::ErrorKind::NotFound)?;
        Ok(directory.live.keys().cloned().collect())
    }

    pub(super) fn create_dir_all(&mut self, dir: &Path) -> io::Result<()> {
        self.begin(OperationKind::CreateDirectory, dir)?;
        let mut missing: Vec<&Path> = dir
            .ancestors()
            .take_while(|path| {
                !path.as_os_str().is_empty() && !self.directories.contains_key(*path)
            })
            .collect();
        while let Some(path) = missing.pop() {
            if matches!(self.node(path), Some(Node::File(_))) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let name = file_name(path)?;
            let change = Change::Add {
                name,
                node: Node::Directory,
            };
            self.directory_mut(&parent_of(path))?.change(change);
            self.directories
                .insert(path.to_path_buf(), Directory::default());
        }
        self.end(())
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) -> io::Result<()> {
        self.begin(OperationKind::SyncDirectory, dir)?;
        self.check_power(self.epoch)?;
        let directory = self.directory_mut(dir)?;
        directory.durable.clone_from(&directory.live);
        let is_garbage_left = directory.pending.iter().any(Change::drops_a_file);
        directory.pending.clear();
        if is_garbage_left {
            self.collect();
        }
        Ok(())
    }

    pub(super) fn read(
        &mut self,
        inode: u64,
        path: &Path,
        offset: u64,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        self.begin(OperationKind::Read, path)?;
        Ok(self.inode(inode)?.read(offset, buffer))
    }

    pub(super) fn write(
        &mut self,
        inode: u64,
        path: &Path,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<usize> {
        let fault = self.begin(OperationKind::Write, path)?;
        let mut written = match fault {
            Some(Fault::Short) => bytes.len().div_ceil(2),
            _ => bytes.len(),
        };
        let room = self.room_in(inode, offset);
        if room == 0 && written > 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        written = written.min(usize::try_from(room).unwrap_or(usize::MAX));
        self.inode_mut(inode)?.write(offset, &bytes[..written])?;
        self.end(written)
    }

    /// How many bytes can be written at `offset` before the disk is full.
    fn room_in(&self, inode: u64, offset: u64) -> u64 {
        let Some(capacity) = self.capacity else {
            return u64::MAX;
        };
        let len = self
            .inodes
            .get(&inode)
            .map_or(0, |inode| inode.live().len() as u64);
        let free = capacity.saturating_sub(self.used_bytes());
        (len + free).saturating_sub(offset)
    }

    pub(super) fn sync_data(&mut self, inode: u64, path: &Path) -> io::Result<()> {
        match self.begin(OperationKind::Sync, path) {
            Ok(_) => {}
            Err(error) => {
                self.inode_mut(inode)?.sync_failed();
                return Err(error);
            }
        }
        self.check_power(self.epoch)?;
        if !self.sync_does_nothing {
            self.inode_mut(inode)?.sync();
        }
        Ok(())
    }

    pub(super) fn allocate(&mut self, inode: u64, path: &Path, len: u64) -> io::Result<()> {
        self.begin(OperationKind::Allocate, path)?;
        if self.room_in(inode, 0) < len {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.inode_mut(inode)?.grow(len);
        self.end(())
    }

    pub(super) fn overwrite(&mut self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let inode = match self.lookup(path) {
            Ok(inode) => inode,
            Err(_) => {
                let inode = self.create(path)?;
                let name = file_name(path)?;
                let directory = self.directory_mut(&parent_of(path))?;
                directory.durable.insert(name, Node::File(inode));
                inode
            }
        };
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.inode_mut(inode)?.overwrite_durably(offset, bytes);
        Ok(())
    }

    pub(super) fn crash(&mut self, crash: Crash) {
        self.epoch += 1;
        self.faults.reset();
        self.locks.clear();
        let is_torn = match crash {
            // The kernel lives on, and with it everything that the device does not have yet.
            Crash::Process => return,
            Crash::LoseUnsynced => false,
            Crash::Torn => true,
        };
        for directory in self.directories.values_mut() {
            let kept = match is_torn {
                false => 0,
                true => self.random.below(directory.pending.len() as u64 + 1) as usize,
            };
            for change in directory.pending.drain(..).take(kept) {
                change.apply(&mut directory.durable);
            }
            directory.live.clone_from(&directory.durable);
        }
        self.drop_unreachable_directories();
        self.collect();
        for inode in self.inodes.values_mut() {
            inode.lose_power(is_torn, &mut self.random);
        }
    }

    /// A directory whose own name did not survive takes all below it along. Parents sort before
    /// their children, so one pass in order is enough.
    fn drop_unreachable_directories(&mut self) {
        let mut reachable: BTreeSet<PathBuf> = BTreeSet::new();
        for path in self.directories.keys() {
            let parent = parent_of(path);
            let is_root = path == Path::new("/") || path == Path::new(".");
            let is_named = path.file_name().is_some_and(|name| {
                self.directories
                    .get(&parent)
                    .is_some_and(|directory| directory.durable.get(name) == Some(&Node::Directory))
            });
            if is_root || (is_named && reachable.contains(&parent)) {
                reachable.insert(path.clone());
            }
        }
        self.directories.retain(|path, _| reachable.contains(path));
    }

    /// Forgets inodes that no name leads to, now or after a crash. A handle that is still open on one
    /// finds nothing any more: nothing here writes to a file that it has removed.
    fn collect(&mut self) {
        let mut named: BTreeSet<u64> = BTreeSet::new();
        for directory in self.directories.values() {
            let pending = directory.pending.iter().filter_map(|change| match change {
                Change::Add { node, .. } => Some(node),
                _ => None,
            });
            let nodes = directory
                .live
                .values()
                .chain(directory.durable.values())
                .chain(pending);
            named.extend(nodes.filter_map(|node| match node {
                Node::File(inode) => Some(*inode),
                Node::Directory => None,
            }));
        }
        self.inodes.retain(|inode, _| named.contains(inode));
    }

    fn begin(&mut self, kind: OperationKind, path: &Path) -> io::Result<Option<Fault>> {
        self.check_power(self.epoch)?;
        let fault = self.faults.begin(kind, path);
        match fault.and_then(Fault::error) {
            Some(error) => Err(error),
            None => Ok(fault),
        }
    }

    /// The result of an operation that was carried out: an error if the power failed in it.
    fn end<T>(&self, value: T) -> io::Result<T> {
        self.check_power(self.epoch)?;
        Ok(value)
    }

    fn node(&self, path: &Path) -> Option<Node> {
        self.directories
            .get(&parent_of(path))?
            .live
            .get(path.file_name()?)
            .copied()
    }

    fn directory_mut(&mut self, dir: &Path) -> io::Result<&mut Directory> {
        self.directories
            .get_mut(dir)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn file_name(path: &Path) -> io::Result<OsString> {
    path.file_name()
        .map(OsStr::to_os_string)
        .ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, and good enough to pick sectors.
pub(super) struct Random(u64);

impl Random {
    /// A number below `bound`, which is not 0. The bias of the remainder does not matter here.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
