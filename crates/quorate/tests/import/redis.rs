//! A real Redis to import from.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::harness::{Connection, free_ports, poll};

/// A `redis-server` with nothing in it.
pub(crate) struct Redis {
    pub(crate) port: u16,
    child: Child,
    directory: TempDir,
}

impl Redis {
    /// `None`, and a word why, where there is none.
    pub(crate) fn start(settings: &[&str]) -> Option<Redis> {
        let found = Command::new("redis-server").arg("--version").output();
        if !found.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: redis-server is not installed");
            return None;
        }
        let directory = tempfile::tempdir().expect("a temporary directory");
        let port = free_ports(1)[0];
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
            .args(["--enable-debug-command", "yes"])
            .args(settings)
            .arg("--dir")
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let redis = Redis {
            port,
            child,
            directory,
        };
        poll("Redis answers", || {
            let mut connection = Connection::open(port).ok()?;
            connection.ask(&["PING"]).ok().map(drop)
        });
        Some(redis)
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.port).expect("Redis takes connections")
    }

    /// Where it saves.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("dump.rdb")
    }

    /// Saves, and returns the bytes of the file.
    pub(crate) fn save(&self) -> Vec<u8> {
        self.connect().call(&["SAVE"]);
        fs::read(self.file()).expect("the saved file")
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have died by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
