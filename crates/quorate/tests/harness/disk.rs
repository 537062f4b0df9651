//! A disk that is small enough to be filled.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A small file system of its own, gone when dropped. `None` where one may not be made.
pub struct SmallDisk {
    pub path: PathBuf,
}

impl SmallDisk {
    pub fn mount(path: &Path, size: &str) -> Option<SmallDisk> {
        fs::create_dir_all(path).expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "quorate-test"])
            .arg(path)
            .output();
        let is_mounted = mounted.is_ok_and(|output| output.status.success());
        is_mounted.then(|| SmallDisk {
            path: path.to_owned(),
        })
    }

    /// Takes all space but this.
    pub fn fill(&self, bytes_left: u64) {
        let filler = fs::File::create(self.path.join("filler")).expect("a file");
        let free = rustix::fs::statvfs(&self.path).expect("the size of a file system");
        let free = free.f_bavail * free.f_frsize;
        rustix::fs::fallocate(
            &filler,
            rustix::fs::FallocateFlags::empty(),
            0,
            free.saturating_sub(bytes_left).max(1),
        )
        .expect("the space is there");
    }

    /// Takes what is free now, beside what it has taken before. Who uses the disk may be faster, and
    /// have it.
    pub fn fill_on(&self) {
        let path = self.path.join("filler");
        let mut options = fs::File::options();
        let filler = options.write(true).create(true).truncate(false).open(path);
        let filler = filler.expect("a file");
        let held = filler.metadata().expect("a size").len();
        let free = rustix::fs::statvfs(&self.path).expect("the size of a file system");
        let all = held + free.f_bavail * free.f_frsize;
        let _ = rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), 0, all);
    }

    pub fn free(&self) {
        fs::remove_file(self.path.join("filler")).expect("the file is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a node that a failed test has left may still run.
        let _ = Command::new("umount").arg("-l").arg(&self.path).output();
    }
}
