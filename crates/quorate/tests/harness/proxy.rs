//! Links between nodes that can be cut.
//!
//! Every node is reached through a proxy of its own, and the list of members names the proxies. A proxy
//! learns who dials from the greeting, the first frame on a connection, so it can cut one direction
//! between two nodes and leave all others alone. Bytes on a link that is cut are dropped, and a
//! connection that has lost bytes is reset when its link heals: TCP would never let bytes go missing from the middle of a stream.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How often a thread that waits for bytes looks whether it should end.
const TICK: Duration = Duration::from_millis(20);

/// Connections in both directions between a node that dials and one that accepts carry messages one way and
/// acknowledgements the other, so a cut names who cannot hear whom.
type Link = (usize, usize);

/// The links of a cluster.
pub struct Network {
    ports: Vec<u16>,
    state: Arc<State>,
    acceptors: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    is_closed: AtomicBool,
    /// Bytes from the first to the second are dropped.
    cut: Mutex<BTreeSet<Link>>,
    /// Live connections, to be closed from outside.
    connections: Mutex<BTreeMap<u64, Pair>>,
}

struct Pair {
    dialler: TcpStream,
    acceptor: TcpStream,
    link: Option<Link>,
    has_lost: bool,
}

impl Network {
    /// A proxy in front of each port; node N is behind `targets[N - 1]`.
    pub fn before(targets: &[u16]) -> Network {
        let state = Arc::new(State::default());
        let mut ports = Vec::new();
        let mut acceptors = Vec::new();
        for (index, target) in targets.iter().enumerate() {
            let port = super::free_ports(1)[0];
            let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
            listener
                .set_nonblocking(true)
                .expect("a socket that does not block");
            ports.push(port);
            let (state, target) = (Arc::clone(&state), *target);
            acceptors.push(thread::spawn(move || {
                accept_all(&listener, index + 1, target, &state)
            }));
        }
        Network {
            ports,
            state,
            acceptors,
        }
    }

    /// The ports of the proxies.
    pub fn ports(&self) -> Vec<u16> {
        self.ports.clone()
    }

    /// Drops all bytes from and to a node.
    pub fn isolate(&self, node: usize) {
        let mut cut = guard(&self.state.cut);
        for other in (1..=self.ports.len()).filter(|other| *other != node) {
            cut.extend([(node, other), (other, node)]);
        }
    }

    /// Drops bytes from one node to another, and lets those of the other direction pass.
    pub fn cut(&self, from: usize, to: usize) {
        guard(&self.state.cut).insert((from, to));
    }

    /// Lets everything pass again. Connections that have lost bytes are closed.
    pub fn heal(&self) {
        guard(&self.state.cut).clear();
        for pair in guard(&self.state.connections)
            .values()
            .filter(|pair| pair.has_lost)
        {
            pair.close();
        }
    }

    /// Closes every connection from and to a node, as a switch that restarts would.
    pub fn reset(&self, node: usize) {
        for pair in guard(&self.state.connections).values() {
            if pair
                .link
                .is_some_and(|(from, to)| from == node || to == node)
            {
                pair.close();
            }
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.state.is_closed.store(true, Ordering::Relaxed);
        for pair in guard(&self.state.connections).values() {
            pair.close();
        }
        for acceptor in self.acceptors.drain(..) {
            // A proxy that panicked has shown its panic, and its test has failed by it.
            let _ = acceptor.join();
        }
    }
}

impl Pair {
    fn close(&self) {
        // They may be closed already.
        let _ = self.dialler.shutdown(Shutdown::Both);
        let _ = self.acceptor.shutdown(Shutdown::Both);
    }
}

fn accept_all(listener: &TcpListener, node: usize, target: u16, state: &Arc<State>) {
    let mut number = node as u64;
    while !state.is_closed.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((dialler, _)) => {
                number += 1000;
                // A refused connection is passed on: its dialler must learn that the process is gone.
                if let Ok(acceptor) = TcpStream::connect(("127.0.0.1", target)) {
                    relay(dialler, acceptor, number, node, state);
                }
            }
            Err(_) => thread::sleep(TICK / 4),
        }
    }
}

fn relay(dialler: TcpStream, acceptor: TcpStream, number: u64, node: usize, state: &Arc<State>) {
    for stream in [&dialler, &acceptor] {
        stream.set_nonblocking(false).expect("a socket that blocks");
        stream.set_nodelay(true).expect("a socket without delay");
        stream
            .set_read_timeout(Some(TICK))
            .expect("a timeout above zero");
    }
    let clone = |stream: &TcpStream| stream.try_clone().expect("a second handle to a socket");
    let pair = Pair {
        dialler: clone(&dialler),
        acceptor: clone(&acceptor),
        link: None,
        has_lost: false,
    };
    guard(&state.connections).insert(number, pair);
    let (forth, back) = (Arc::clone(state), Arc::clone(state));
    let (dialler_out, acceptor_out) = (clone(&dialler), clone(&acceptor));
    thread::spawn(move || forward(dialler, acceptor_out, number, node, true, &forth));
    thread::spawn(move || forward(acceptor, dialler_out, number, node, false, &back));
}

/// Carries bytes one way until either side closes.
fn forward(
    mut from: TcpStream,
    mut to: TcpStream,
    number: u64,
    node: usize,
    is_forth: bool,
    state: &State,
) {
    let mut greeting = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    while !state.is_closed.load(Ordering::Relaxed) {
        let count = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => break,
        };
        let mut connections = guard(&state.connections);
        let Some(pair) = connections.get_mut(&number) else {
            break;
        };
        let mut passing = &chunk[..count];
        if is_forth && pair.link.is_none() {
            // Held back until it is known who speaks.
            greeting.extend_from_slice(passing);
            match dialler_of(&greeting) {
                Some(dialler) => pair.link = Some((dialler, node)),
                None => continue,
            }
            passing = &greeting;
        }
        let is_cut = pair.link.is_some_and(|(dialler, acceptor)| {
            let way = if is_forth {
                (dialler, acceptor)
            } else {
                (acceptor, dialler)
            };
            guard(&state.cut).contains(&way)
        });
        pair.has_lost |= is_cut;
        let must_close = pair.has_lost && !is_cut;
        drop(connections);
        if must_close || !is_cut && to.write_all(passing).is_err() {
            break;
        }
    }
    if let Some(pair) = guard(&state.connections).remove(&number) {
        pair.close();
    }
}

/// The node id in a greeting, once it is there: magic (8 bytes), length (4, little-endian), checksum
/// (4), and a protobuf message with the greeting as field 1 and in it the id as field 5.
fn dialler_of(greeting: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(greeting.get(8..12)?.try_into().ok()?) as usize;
    let body = greeting.get(16..16 + length)?;
    let hello = field(body, 1).expect("a greeting");
    let Field::Bytes(hello) = hello else {
        panic!("a greeting is a message")
    };
    match field(hello, 5).expect("a greeting names its sender") {
        Field::Number(id) => Some(id as usize),
        Field::Bytes(_) => panic!("a node id is a number"),
    }
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// One field of a protobuf message.
fn field(mut message: &[u8], wanted: u64) -> Option<Field<'_>> {
    while !message.is_empty() {
        let key = varint(&mut message);
        let (number, wire_type) = (key >> 3, key & 7);
        let value = match wire_type {
            0 => Field::Number(varint(&mut message)),
            1 => Field::Bytes(message.split_off(..8).expect("eight bytes")),
            2 => {
                let length = varint(&mut message) as usize;
                Field::Bytes(
                    message
                        .split_off(..length)
                        .expect("as many bytes as announced"),
                )
            }
            other => panic!("wire type {other} in a greeting"),
        };
        if number == wanted {
            return Some(value);
        }
    }
    None
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first().expect("a number goes on");
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
