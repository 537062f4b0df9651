//! Nodes on threads of the test process, and a client that speaks plain RESP to them.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses its own part"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use resp::{ReplyBuffer, Value, encode_request};
use server::{Config, OnFailure, Options, ServeError, Server, Stopper};
use vfs::Vfs;

/// Everything that is waited for comes within this, or the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration from settings given as flags; ports are left to the system.
pub fn config(data_dir: &Path, settings: &[(&str, &str)]) -> Config {
    let mut flags: Vec<(&str, String)> = vec![
        ("bind", "127.0.0.1:0".into()),
        ("data-dir", data_dir.display().to_string()),
        ("wal-segment-size", "4MiB".into()),
        ("max-entry-size", "1MiB".into()),
    ];
    for (key, value) in settings {
        flags.retain(|(known, _)| known != key);
        flags.push((key, (*value).into()));
    }
    Config::load(None, |_| None, &flags).expect("a good configuration")
}

/// Options for a node that shares its process with others.
pub fn options() -> Options {
    Options {
        has_signals: false,
        on_failure: OnFailure::Report,
        ..Options::default()
    }
}

/// Options for a node on a disk in memory.
pub fn options_on(vfs: &(impl Vfs + Clone + 'static)) -> Options {
    Options {
        vfs: Some(Arc::new(vfs.clone())),
        ..options()
    }
}

/// A node that runs on a thread, stopped when it is dropped.
pub struct Node {
    pub client_addr: SocketAddr,
    pub admin_addr: Option<SocketAddr>,
    stopper: Stopper,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Node {
    pub fn start(config: &Config, options: Options) -> Node {
        // The nodes' own log, for whoever runs a test with RUST_LOG set.
        let _already_set = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let server = Server::start(config, options).expect("the node starts");
        Node {
            client_addr: server.client_addrs()[0],
            admin_addr: server.admin_addrs().first().copied(),
            stopper: server.stopper(),
            thread: Some(thread::spawn(move || server.run())),
        }
    }

    /// Stops the node in an orderly way.
    pub fn stop(mut self) -> Result<(), ServeError> {
        self.stopper.stop().expect("the node can be woken");
        self.join()
    }

    /// Waits for a node that ends by itself.
    pub fn join(&mut self) -> Result<(), ServeError> {
        let thread = self.thread.take().expect("joined once");
        let deadline = Instant::now() + PATIENCE;
        while !thread.is_finished() {
            assert!(Instant::now() < deadline, "the node does not stop");
            thread::yield_now();
        }
        thread.join().expect("the node does not panic")
    }

    pub fn client(&self) -> Client<TcpStream> {
        Client::connect(self.client_addr)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.thread.is_some() {
            let _ = self.stopper.stop();
            if !thread::panicking() {
                self.join().expect("the node stops");
            }
        }
    }
}

/// Three nodes whose peer ports were bound before the first was started.
pub struct Cluster {
    pub nodes: Vec<Option<Node>>,
    pub configs: Vec<Config>,
}

impl Cluster {
    pub fn start(root: &Path, settings: &[(&str, &str)]) -> Cluster {
        let listeners: Vec<TcpListener> = (0..3)
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
            .collect();
        let member = |(index, listener): (usize, &TcpListener)| {
            let port = listener.local_addr().expect("bound").port();
            // A name where certificates name it, a number elsewhere.
            format!("{}=localhost:{port}", index + 1).replace("localhost", host(settings))
        };
        let cluster: Vec<String> = listeners.iter().enumerate().map(member).collect();
        let cluster = cluster.join(",");
        let mut nodes = Vec::new();
        let mut configs = Vec::new();
        for (index, listener) in listeners.into_iter().enumerate() {
            let id = (index + 1).to_string();
            let mut all = vec![("cluster", cluster.as_str()), ("node-id", id.as_str())];
            all.extend_from_slice(settings);
            let config = config(&root.join(&id), &all);
            let options = Options {
                peer_listeners: Some(vec![listener]),
                ..options()
            };
            nodes.push(Some(Node::start(&config, options)));
            configs.push(config);
        }
        Cluster { nodes, configs }
    }

    pub fn node(&self, index: usize) -> &Node {
        self.nodes[index].as_ref().expect("the node runs")
    }

    /// Stops one node and frees its ports.
    pub fn stop(&mut self, index: usize) {
        let node = self.nodes[index].take().expect("the node runs");
        node.stop().expect("it stops in order");
    }

    /// Starts it again on what it has on disk.
    pub fn restart(&mut self, index: usize) {
        self.nodes[index] = Some(Node::start(&self.configs[index], options()));
    }
}

fn host<'a>(settings: &[(&str, &'a str)]) -> &'a str {
    match settings.iter().any(|(key, _)| *key == "peer-tls-cert") {
        true => "localhost",
        false => "127.0.0.1",
    }
}

/// A client on any stream.
pub struct Client<S> {
    pub stream: S,
    replies: ReplyBuffer,
}

impl Client<TcpStream> {
    pub fn connect(address: SocketAddr) -> Client<TcpStream> {
        let stream = TcpStream::connect(address).expect("the port is open");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Client::over(stream)
    }
}

impl<S: Read + Write> Client<S> {
    pub fn over(stream: S) -> Client<S> {
        Client {
            stream,
            replies: ReplyBuffer::new(),
        }
    }

    pub fn send(&mut self, args: &[&str]) {
        let mut request = Vec::new();
        encode_request(&mut request, args);
        self.stream.write_all(&request).expect("the node reads");
    }

    pub fn receive(&mut self) -> Value {
        self.try_receive().expect("a reply before the end")
    }

    /// `None` when the connection has ended.
    pub fn try_receive(&mut self) -> Option<Value> {
        let mut buffer = [0; 64 * 1024];
        loop {
            if let Some(value) = self.replies.next_value().expect("well-formed replies") {
                return Some(value);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.replies.feed(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    pub fn call(&mut self, args: &[&str]) -> Value {
        self.send(args);
        self.receive()
    }

    /// Calls until the reply is as wanted, for at most [`PATIENCE`].
    pub fn call_until(&mut self, args: &[&str], wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let reply = self.call(args);
            if wanted(&reply) {
                return reply;
            }
            assert!(Instant::now() < deadline, "{args:?} still gives {reply:?}");
        }
    }
}

/// One HTTP request; the status and the body.
pub fn http_get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the admin port is open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut response = String::new();
    stream.read_to_string(&mut response).expect("a response");
    let status = response
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok());
    let body = response.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.expect("a status"), body.to_owned())
}

/// Polls a condition until it holds, for at most [`PATIENCE`].
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::yield_now();
    }
}

pub fn ok() -> Value {
    Value::Simple("OK".into())
}

pub fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}
