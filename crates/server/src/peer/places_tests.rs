//! A peer that has moved has two places, of which one is ended: nothing is looked up there any more.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream as StdStream};
use std::path::Path;

use mio::{Poll, Token};
use raft::{ClusterId, GroupId, TimeoutNow};
use replica::FeatureLevels;
use vfs::MemVfs;
use wal::data_dir::DataDir;

use super::codec::encode_message;
use super::handshake::{PROTOCOL_VERSION, PROTOCOL_VERSION_MIN};
use super::*;

const SCOPE: Scope = Scope {
    cluster: ClusterId(7),
    group: GroupId(1),
};

/// What a node says to another.
fn hello(node: u64, target: u64) -> Hello {
    Hello {
        protocol_version: PROTOCOL_VERSION,
        protocol_version_min: PROTOCOL_VERSION_MIN,
        cluster: SCOPE.cluster,
        cluster_name: "test".into(),
        node: NodeId(node),
        target: NodeId(target),
        purpose: Purpose::Messages,
        incarnation: 1,
        process: node,
        directory: node,
        client_addr: String::new(),
        peer_addr: String::new(),
        version: "0.0.0".into(),
        levels: FeatureLevels::OF_FIRST_RELEASE,
    }
}

/// Node 1, which knows of node 2 at an address.
fn peers(poll: &Poll, address: &str) -> Peers {
    let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
    let vfs: Arc<dyn vfs::Vfs> = Arc::new(MemVfs::new(1));
    let dir = DataDir::open(vfs, Path::new("/data"), SCOPE.cluster.0, 1);
    let known = dir.expect("a directory").take_known_peers();
    let settings = PeerSettings {
        scope: SCOPE,
        hello: hello(1, 0),
        members: members(address),
        tls: None,
        idle_timeout_us: 1_000_000,
        seed: 1,
        known: known.expect("nobody was met"),
    };
    let registry = poll.registry().try_clone().expect("a registry");
    Peers::new(settings, registry, Arc::new(waker))
}

fn members(address: &str) -> BTreeMap<NodeId, String> {
    let own = (NodeId(1), "127.0.0.1:1".to_owned());
    BTreeMap::from([own, (NodeId(2), address.to_owned())])
}

#[test]
fn what_a_peer_that_has_moved_says_counts_for_its_new_place() {
    let poll = Poll::new().expect("a poll");
    let mut peers = peers(&poll, "127.0.0.1:2");
    peers.set_membership(&Membership {
        members: members("127.0.0.1:3"),
        ids_used_below: 3,
        ..Membership::default()
    });
    assert_eq!(peers.peers.len(), 2);
    assert_eq!(peers.place(NodeId(2)), Some(1));

    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut far = StdStream::connect(address).expect("connected");
    let (near, from) = listener.accept().expect("accepted");
    near.set_nonblocking(true).expect("set");
    peers.accept(TcpStream::from_std(near), from, 0);
    peers.greet(0, 0, &hello(2, 1));
    for peer in &mut peers.peers {
        peer.reported = Reported::Disconnected(Disconnect::Reset);
    }
    let mut bytes = Vec::new();
    let message = TimeoutNow {
        term: raft::Term(1),
    };
    encode_message(SCOPE, &PeerMessage::Raft(message.into()), &mut bytes);
    far.write_all(&bytes).expect("sent");
    let mut scratch = [0; 4096];
    while peers.events.is_empty() {
        let inbound = peers.inbound[0].as_mut().expect("a connection");
        inbound.set_ready(true, true, false);
        peers.drive_inbound(0, 0, &mut scratch);
    }
    assert_eq!(peers.peers[1].reported, Reported::Nothing);
    peers.forget_inbound(0);
    assert_eq!(peers.statistics().len(), 1);
    assert_eq!(peers.statistics()[0].messages_received, 1);
}
