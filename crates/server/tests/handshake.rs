//! The peer port as a stranger sees it: every refusal, on a real socket.

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use common::{Node, PATIENCE, config, http_get, options, wait_until};
use raft::{ClusterId, GroupId, NodeId, TimeoutNow};
use replica::{FeatureLevels, PeerMessage};
use server::peer::codec::{
    Greeting, Incoming, Scope, decode_greeting, decode_message, encode_greeting, encode_message,
    encode_ping,
};
use server::peer::frame::{FRAME_BYTES_MAX, FrameReader, begin_frame, finish_frame};
use server::peer::handshake::{Hello, MAGIC, PROTOCOL_VERSION, Purpose, RefusalReason};
use server::peer::transfer::{Offer, Transfer, decode_transfer, encode_transfer};
use server::{Config, Options, ServeError, Server};
use tempfile::TempDir;

/// Node 1 of a cluster whose other two are played by the test.
struct Scene {
    node: Node,
    config: Config,
    peer_addr: SocketAddr,
    /// The ports that node 1 dials.
    others: Vec<TcpListener>,
    _dir: TempDir,
}

impl Scene {
    fn new() -> Scene {
        let dir = tempfile::tempdir().expect("a directory");
        let mut listeners: Vec<TcpListener> = (0..3)
            .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
            .collect();
        let ports = listeners
            .iter()
            .map(|listener| listener.local_addr().expect("bound"));
        let members: Vec<String> = ports
            .enumerate()
            .map(|(index, address)| format!("{}={address}", index + 1))
            .collect();
        let members = members.join(",");
        let settings = [
            ("cluster", members.as_str()),
            ("admin-bind", "127.0.0.1:0"),
            ("election-timeout", "150ms"),
        ];
        let config = config(dir.path(), &settings);
        let own = listeners.remove(0);
        let peer_addr = own.local_addr().expect("bound");
        let options = Options {
            peer_listeners: Some(vec![own]),
            ..options()
        };
        let node = Node::start(&config, options);
        Scene {
            node,
            config,
            peer_addr,
            others: listeners,
            _dir: dir,
        }
    }

    fn scope(&self) -> Scope {
        Scope {
            cluster: ClusterId(self.config.cluster_id()),
            group: GroupId(1),
        }
    }

    /// A greeting of node 2 that would be welcome.
    fn hello(&self) -> Hello {
        Hello {
            cluster: self.scope().cluster,
            ..hello_of_two()
        }
    }

    fn dial(&self) -> Wire {
        Wire::new(TcpStream::connect(self.peer_addr).expect("the peer port is open"))
    }

    fn greet(&self, change: impl FnOnce(&mut Hello)) -> (Wire, Greeting) {
        let mut hello = self.hello();
        change(&mut hello);
        let mut wire = self.dial();
        wire.greet(&Greeting::Hello(hello));
        let answer = wire.greeting();
        (wire, answer)
    }
}

/// A greeting of node 2 to node 1, of no cluster.
fn hello_of_two() -> Hello {
    Hello {
        protocol_version: PROTOCOL_VERSION,
        protocol_version_min: PROTOCOL_VERSION,
        cluster: ClusterId(0),
        cluster_name: "quorate".into(),
        node: NodeId(2),
        target: NodeId(1),
        purpose: Purpose::Messages,
        incarnation: 1,
        process: 42,
        directory: 7,
        peer_addr: String::new(),
        client_addr: "127.0.0.1:1".into(),
        version: "test".into(),
        levels: FeatureLevels::OF_FIRST_RELEASE,
    }
}

/// One end of a peer connection, played by the test.
struct Wire {
    stream: TcpStream,
    reader: FrameReader,
}

impl Wire {
    fn new(stream: TcpStream) -> Wire {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let reader = FrameReader::new(FRAME_BYTES_MAX);
        Wire { stream, reader }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the node reads");
    }

    fn greet(&mut self, greeting: &Greeting) {
        let mut bytes = Vec::new();
        encode_greeting(greeting, true, &mut bytes);
        self.send(&bytes);
    }

    /// The next frame, `None` at the end of the connection.
    fn frame(&mut self) -> Option<bytes::Bytes> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(body) = self.reader.next_body().expect("whole frames") {
                return Some(body);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.reader.extend(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    fn greeting(&mut self) -> Greeting {
        let mut magic = [0; MAGIC.len()];
        self.stream.read_exact(&mut magic).expect("the magic");
        assert_eq!(magic, MAGIC);
        let body = self.frame().expect("a greeting");
        decode_greeting(body).expect("a greeting")
    }

    fn is_closed(&mut self) -> bool {
        self.frame().is_none()
    }
}

fn reason(greeting: &Greeting) -> Option<RefusalReason> {
    match greeting {
        Greeting::Refused(refused) => {
            assert!(!refused.text.is_empty() && refused.text.lines().count() == 1);
            Some(refused.reason)
        }
        _ => None,
    }
}

#[test]
fn each_stranger_is_told_why_it_is_refused() {
    let scene = Scene::new();
    let refused = |change: fn(&mut Hello)| {
        let (mut wire, answer) = scene.greet(change);
        assert!(wire.is_closed(), "a refused connection ends");
        reason(&answer)
    };
    let newer = |hello: &mut Hello| {
        hello.protocol_version = PROTOCOL_VERSION + 1;
        hello.protocol_version_min = PROTOCOL_VERSION + 1;
    };
    use RefusalReason as Reason;
    assert_eq!(
        refused(|hello| hello.cluster.0 ^= 1),
        Some(Reason::WrongCluster)
    );
    assert_eq!(
        refused(|hello| hello.protocol_version = 0),
        Some(Reason::ProtocolTooOld)
    );
    assert_eq!(refused(newer), Some(Reason::ProtocolTooNew));
    let (_, unheard) = scene.greet(|hello| hello.node = NodeId(9));
    assert!(
        matches!(unheard, Greeting::Welcome(_)),
        "this node does not lead: one it has not heard of may be a newer member"
    );
    assert_eq!(
        refused(|hello| hello.node = NodeId(1)),
        Some(Reason::DuplicateNode)
    );
    assert_eq!(
        refused(|hello| hello.target = NodeId(3)),
        Some(Reason::WrongTarget)
    );
}

#[test]
fn a_second_process_with_the_id_of_a_live_one_is_refused_and_a_redial_is_not() {
    let scene = Scene::new();
    let (mut first, answer) = scene.greet(|_| {});
    assert!(matches!(answer, Greeting::Welcome(_)), "{answer:?}");
    let (_, answer) = scene.greet(|hello| hello.process = 43);
    assert_eq!(reason(&answer), Some(RefusalReason::DuplicateNode));

    let (_second, answer) = scene.greet(|_| {});
    assert!(matches!(answer, Greeting::Welcome(_)), "{answer:?}");
    assert!(first.is_closed(), "the same process has dialled anew");
}

#[test]
fn an_id_is_free_again_when_its_process_has_gone() {
    let scene = Scene::new();
    let (first, answer) = scene.greet(|_| {});
    assert!(matches!(answer, Greeting::Welcome(_)), "{answer:?}");
    drop(first);
    wait_until("another process is let in", || {
        let (_, answer) = scene.greet(|hello| {
            hello.process = 43;
            hello.incarnation = 2;
        });
        matches!(answer, Greeting::Welcome(_))
    });
}

#[test]
fn a_peer_that_has_gone_back_is_refused_in_both_directions() {
    let scene = Scene::new();
    let (first, answer) = scene.greet(|hello| hello.incarnation = 5);
    assert!(matches!(answer, Greeting::Welcome(_)), "{answer:?}");
    // A newer run that is refused for another reason is not remembered.
    let (_, answer) = scene.greet(|hello| {
        hello.incarnation = 9;
        hello.process = 43;
    });
    assert_eq!(reason(&answer), Some(RefusalReason::DuplicateNode));
    drop(first);
    let older: [fn(&mut Hello); 3] = [
        |hello| (hello.incarnation, hello.process) = (4, 41),
        |hello| (hello.incarnation, hello.process) = (5, 41),
        |hello| (hello.incarnation, hello.directory) = (8, 99),
    ];
    for change in older {
        wait_until("the last process is known to be gone", || {
            let (_, answer) = scene.greet(change);
            let reason = reason(&answer).expect("it is never let in");
            reason == RefusalReason::DataLost
        });
        let (stream, _) = scene.others[0].accept().expect("node 1 dials node 2");
        let mut wire = Wire::new(stream);
        assert!(matches!(wire.greeting(), Greeting::Hello(_)));
        let mut welcome = scene.hello();
        change(&mut welcome);
        wire.greet(&Greeting::Welcome(welcome));
        let body = wire.frame().expect("a refusal");
        let Ok(Incoming::Refused(refused)) = decode_message(scene.scope(), body) else {
            panic!("not a refusal");
        };
        assert_eq!(refused.reason, RefusalReason::DataLost);
    }
    let (_, answer) = scene.greet(|hello| (hello.incarnation, hello.process) = (6, 44));
    assert!(matches!(answer, Greeting::Welcome(_)), "{answer:?}");
}

#[test]
fn a_node_that_is_told_that_its_data_is_lost_stops() {
    let mut scene = Scene::new();
    let (stream, _) = scene.others[1].accept().expect("node 1 dials node 3");
    let mut wire = Wire::new(stream);
    assert!(matches!(wire.greeting(), Greeting::Hello(_)));
    wire.greet(&Greeting::Refused(server::peer::handshake::Refused {
        reason: RefusalReason::DataLost,
        text: "node 1 has lost everything".into(),
    }));
    let error = scene.node.join().expect_err("it stops");
    assert!(matches!(error, ServeError::Outdated(_)), "{error}");
    let again = Server::start(&scene.config, options());
    assert!(matches!(again, Err(ServeError::DataDir(_))), "{again:?}");
}

#[test]
fn a_welcomed_peer_gets_pongs() {
    let scene = Scene::new();
    let (mut wire, answer) = scene.greet(|_| {});
    let Greeting::Welcome(welcome) = answer else {
        panic!("refused: {answer:?}");
    };
    assert_eq!(
        (welcome.node, welcome.cluster),
        (NodeId(1), scene.scope().cluster)
    );
    let mut bytes = Vec::new();
    encode_ping(scene.scope(), 7, &mut bytes);
    wire.send(&bytes);
    let body = wire.frame().expect("an answer");
    assert_eq!(decode_message(scene.scope(), body), Ok(Incoming::Pong(7)));
}

/// A frame of a kind that there is not.
fn unknown_kind(scope: Scope) -> Vec<u8> {
    let mut frame = Vec::new();
    let start = begin_frame(&mut frame);
    frame.push(0x09);
    frame.extend_from_slice(&scope.cluster.0.to_le_bytes());
    frame.extend_from_slice(&[0x10, scope.group.0 as u8]);
    // Field 99, of two bytes.
    frame.extend_from_slice(&[0x9a, 0x06, 2, 1, 2]);
    finish_frame(&mut frame, start);
    frame
}

#[test]
fn what_a_newer_peer_says_and_this_release_does_not_know_costs_nothing_but_itself() {
    let scene = Scene::new();
    let (mut wire, answer) = scene.greet(|hello| hello.protocol_version = PROTOCOL_VERSION + 1);
    assert!(matches!(answer, Greeting::Welcome(_)), "{answer:?}");
    let mut bytes = unknown_kind(scene.scope());
    encode_ping(scene.scope(), 7, &mut bytes);
    wire.send(&bytes);
    let body = wire.frame().expect("an answer");
    assert_eq!(decode_message(scene.scope(), body), Ok(Incoming::Pong(7)));
    // A peer of this protocol has no reason to.
    let (mut wire, answer) = scene.greet(|hello| hello.node = NodeId(3));
    assert!(matches!(answer, Greeting::Welcome(_)), "{answer:?}");
    wire.send(&unknown_kind(scene.scope()));
    assert!(wire.is_closed());
}

#[test]
fn hostile_bytes_end_their_own_connection_and_nothing_else() {
    let scene = Scene::new();
    let huge_frame = [&MAGIC[..], &[0xff; 64]].concat();
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 100], &huge_frame] {
        let mut wire = scene.dial();
        wire.send(bytes);
        assert!(wire.is_closed());
    }
    let (mut wire, answer) = scene.greet(|_| {});
    assert!(matches!(answer, Greeting::Welcome(_)), "{answer:?}");
    wire.send(&[0xff; 64]);
    assert!(wire.is_closed());

    // A frame with a good checksum, of another cluster.
    let (mut wire, _) = scene.greet(|hello| hello.node = NodeId(3));
    let mut scope = scene.scope();
    scope.cluster.0 ^= 1;
    let mut bytes = Vec::new();
    let message = PeerMessage::Raft(
        TimeoutNow {
            term: raft::Term(1),
        }
        .into(),
    );
    encode_message(scope, &message, &mut bytes);
    wire.send(&bytes);
    assert!(wire.is_closed());

    let admin = scene.node.admin_addr.expect("an admin port");
    assert_eq!(http_get(admin, "/healthz").0, 200);
}

#[test]
fn the_dialler_refuses_the_wrong_node_and_says_so() {
    let scene = Scene::new();
    let (stream, _) = scene.others[0].accept().expect("node 1 dials node 2");
    let mut wire = Wire::new(stream);
    let Greeting::Hello(hello) = wire.greeting() else {
        panic!("not a hello");
    };
    assert_eq!((hello.node, hello.target), (NodeId(1), NodeId(2)));
    let mut answer = scene.hello();
    answer.node = NodeId(3);
    wire.greet(&Greeting::Welcome(answer));
    let body = wire.frame().expect("a refusal");
    let Ok(Incoming::Refused(refused)) = decode_message(scene.scope(), body) else {
        panic!("not a refusal");
    };
    assert_eq!(refused.reason, RefusalReason::WrongTarget);
    assert!(wire.is_closed());
}

#[test]
fn a_refused_dialler_tries_again() {
    let scene = Scene::new();
    for _ in 0..2 {
        let (stream, _) = scene.others[1].accept().expect("node 1 dials node 3");
        let mut wire = Wire::new(stream);
        assert!(matches!(wire.greeting(), Greeting::Hello(_)));
        wire.greet(&Greeting::Refused(server::peer::handshake::Refused {
            reason: RefusalReason::WrongCluster,
            text: "no".into(),
        }));
        assert!(wire.is_closed());
    }
}

#[test]
fn a_peer_that_falls_silent_is_given_up_and_dialled_anew() {
    let scene = Scene::new();
    for _ in 0..2 {
        let (stream, _) = scene.others[0].accept().expect("node 1 dials node 2");
        let mut wire = Wire::new(stream);
        assert!(matches!(wire.greeting(), Greeting::Hello(_)));
        wire.greet(&Greeting::Welcome(scene.hello()));
        // Pings come and are not answered, as by a host that has lost its power.
        let mut pings = 0;
        while let Some(body) = wire.frame() {
            match decode_message(scene.scope(), body).expect("a message") {
                Incoming::Ping(_) => pings += 1,
                other => assert!(matches!(other, Incoming::Message(_)), "{other:?}"),
            }
        }
        assert!(pings > 0, "given up without a question");
    }
}

#[test]
fn a_connection_for_a_snapshot_stands_beside_the_one_for_messages() {
    let scene = Scene::new();
    let (mut messages, answer) = scene.greet(|_| {});
    assert!(matches!(answer, Greeting::Welcome(_)), "{answer:?}");
    let dial = || {
        let (wire, answer) = scene.greet(|hello| hello.purpose = Purpose::Snapshot);
        assert!(matches!(answer, Greeting::Welcome(_)), "{answer:?}");
        wire
    };
    let say = |wire: &mut Wire, message: &Transfer| {
        let mut bytes = Vec::new();
        encode_transfer(scene.scope(), message, &mut bytes);
        wire.send(&bytes);
    };
    let hear = |wire: &mut Wire| {
        let body = wire.frame().expect("an answer");
        decode_transfer(scene.scope(), body).expect("a message of a transfer")
    };
    let offer = Transfer::Offer(Offer {
        last: raft::EntryId {
            term: raft::Term(3),
            index: raft::LogIndex(70),
        },
        bytes: 1000,
        checksum: 7,
        hears_working: true,
        hears_holds: true,
    });

    // A piece that does not come next is refused in words.
    let mut wire = dial();
    say(&mut wire, &offer);
    assert_eq!(hear(&mut wire), Transfer::Resume { offset: 0 });
    let piece = |offset, count: usize| Transfer::Chunk {
        offset,
        bytes: vec![1; count].into(),
    };
    say(&mut wire, &piece(0, 600));
    assert_eq!(hear(&mut wire), Transfer::Received { offset: 600 });
    say(&mut wire, &piece(900, 50));
    assert!(matches!(hear(&mut wire), Transfer::Failed { .. }));
    assert!(wire.is_closed());

    // What is not the announced file is refused when it is whole, and begun anew.
    let mut wire = dial();
    say(&mut wire, &offer);
    assert_eq!(hear(&mut wire), Transfer::Resume { offset: 0 });
    say(&mut wire, &piece(0, 1000));
    assert_eq!(hear(&mut wire), Transfer::Received { offset: 1000 });
    assert!(matches!(hear(&mut wire), Transfer::Failed { .. }));

    // Nonsense ends that connection, and no other.
    let mut wire = dial();
    say(&mut wire, &Transfer::Installed);
    assert!(matches!(hear(&mut wire), Transfer::Failed { .. }));
    let mut ping = Vec::new();
    encode_ping(scene.scope(), 5, &mut ping);
    messages.send(&ping);
    let body = messages.frame().expect("a pong");
    let pong = decode_message(scene.scope(), body).expect("a message");
    assert_eq!(pong, Incoming::Pong(5));
}

#[test]
fn a_member_that_does_not_know_the_feature_level_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let peers = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let peer_addr = peers.local_addr().expect("bound");
    let bind = peer_addr.to_string();
    let settings = [("peer-bind", bind.as_str()), ("test-feature-level", "2")];
    let config = config(dir.path(), &settings);
    let options = Options {
        peer_listeners: Some(vec![peers]),
        ..options()
    };
    let node = Node::start(&config, options);
    let mut client = node.client();
    wait_until("the node leads, and adds a member", || {
        let added = client.call(&["QUORATE", "ADD-NODE", "127.0.0.1:1"]);
        added.as_integer() == Some(2)
    });
    let cluster = ClusterId(config.cluster_id());
    let greet = |newest| {
        let mut wire = Wire::new(TcpStream::connect(peer_addr).expect("the peer port is open"));
        wire.greet(&Greeting::Hello(Hello {
            cluster,
            levels: FeatureLevels { least: 1, newest },
            ..hello_of_two()
        }));
        (wire.greeting(), wire)
    };
    let (answer, mut wire) = greet(1);
    assert_eq!(reason(&answer), Some(RefusalReason::FeatureLevel));
    assert!(wire.is_closed());
    let (answer, _wire) = greet(2);
    assert!(matches!(answer, Greeting::Welcome(_)), "{answer:?}");
}

#[test]
fn a_node_that_is_told_that_it_knows_too_little_stops_and_may_come_back_as_another_release() {
    let mut scene = Scene::new();
    let (stream, _) = scene.others[1].accept().expect("node 1 dials node 3");
    let mut wire = Wire::new(stream);
    assert!(matches!(wire.greeting(), Greeting::Hello(_)));
    wire.greet(&Greeting::Refused(server::peer::handshake::Refused {
        reason: RefusalReason::FeatureLevel,
        text: "this cluster runs at feature level 3".into(),
    }));
    let error = scene.node.join().expect_err("it stops");
    assert!(matches!(error, ServeError::FeatureLevel(_)), "{error}");
    assert_eq!(error.exit_code(), 2);
    let again = Server::start(&scene.config, options());
    assert!(again.is_ok(), "{again:?}");
}
