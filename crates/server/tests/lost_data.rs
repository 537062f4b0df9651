//! A node whose data directory was lost, or replaced by an older copy, is not let back in.

mod common;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use common::{Cluster, PATIENCE, bulk, ok, options, wait_until};
use server::peer::handshake::RefusalReason;
use server::{Config, ServeError, Server};
use tracing_subscriber::fmt::MakeWriter;

/// What all nodes of this process have logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Captures the log of this process. One test a process: this file has one.
    fn capture() -> Log {
        let log = Log::default();
        tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(log.clone())
            .init();
        log
    }

    fn lines_with(&self, text: &str) -> usize {
        let bytes = self.0.lock().expect("no writer panics");
        let log = String::from_utf8_lossy(&bytes);
        log.lines().filter(|line| line.contains(text)).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy_all(&path, &target),
            false => drop(fs::copy(&path, &target).expect("a copy")),
        }
    }
}

/// Runs a node until its peers have refused it, and returns why.
fn run_refused(config: &Config) -> ServeError {
    let server = Server::start(config, options()).expect("nothing is wrong before it meets others");
    let error = server.run().expect_err("it is refused");
    let ServeError::Outdated(refused) = &error else {
        panic!("another failure: {error}");
    };
    assert_eq!(refused.reason, RefusalReason::DataLost);
    assert_eq!(error.exit_code(), 2);
    assert_eq!(error.to_string().lines().count(), 1);
    error
}

struct Scene {
    cluster: Cluster,
    /// The data directory of the third node.
    dir: PathBuf,
    log: Log,
}

impl Scene {
    /// The other two go on, and have said of the third what it was told.
    fn assert_goes_on(&self, key: &str, error: &ServeError) {
        for index in 0..2 {
            let mut client = self.cluster.node(index).client();
            assert_eq!(client.call(&["SET", key, "two of three"]), ok());
            assert_eq!(client.call(&["GET", key]), bulk("two of three"));
        }
        let line = error.to_string();
        assert!(line.starts_with("node 3 has a"), "{line}");
        assert!(self.log.lines_with(&line) > 0, "not logged: {line}");
    }
}

#[test]
fn a_node_without_its_newest_data_directory_is_not_let_in() {
    let root = tempfile::tempdir().expect("a directory");
    let log = Log::capture();
    let mut scene = Scene {
        cluster: Cluster::start(root.path(), &[]),
        dir: root.path().join("3"),
        log,
    };
    let copy = root.path().join("copy");
    let mut client = scene.cluster.node(0).client();
    assert_eq!(client.call(&["SET", "key", "kept"]), ok());
    wait_until("all have met", || {
        scene.log.lines_with("peer connected") >= 6
    });

    // Its own directory: stopped, copied, and started twice since.
    scene.cluster.stop(2);
    copy_all(&scene.dir, &copy);
    for start in 2..=3 {
        scene.cluster.restart(2);
        let mut client = scene.cluster.node(2).client();
        assert_eq!(client.call(&["GET", "key"]), bulk("kept"));
        wait_until("both have met it", || {
            scene.log.lines_with("peer connected peer=3") >= start * 2
        });
        scene.cluster.stop(2);
    }
    assert_eq!(scene.log.lines_with("refused"), 0);

    // A new one, under the same id.
    let newest = root.path().join("newest");
    fs::rename(&scene.dir, &newest).expect("it is moved away");
    let config = scene.cluster.configs[2].clone();
    let error = run_refused(&config);
    assert!(
        error.to_string().contains("another data directory"),
        "{error}"
    );
    scene.assert_goes_on("after the loss", &error);

    // A restart does not help: the directory knows.
    let again = Server::start(&config, options());
    let Err(ServeError::DataDir(error)) = again.map(drop) else {
        panic!("a refused directory is used again");
    };
    assert!(
        matches!(error, wal::DataDirError::Outdated { .. }),
        "{error}"
    );

    // The copy.
    fs::remove_dir_all(&scene.dir).expect("it goes");
    fs::rename(&copy, &scene.dir).expect("the copy takes its place");
    let error = run_refused(&config);
    assert!(error.to_string().contains("copy"), "{error}");
    scene.assert_goes_on("after the copy", &error);

    // The newest is let in, whatever was tried in between.
    fs::remove_dir_all(&scene.dir).expect("it goes");
    fs::rename(&newest, &scene.dir).expect("the newest takes its place");
    scene.cluster.restart(2);
    let mut client = scene.cluster.node(2).client();
    client.stream.set_read_timeout(Some(PATIENCE)).expect("set");
    assert_eq!(
        client.call(&["GET", "after the copy"]),
        bulk("two of three")
    );
}
