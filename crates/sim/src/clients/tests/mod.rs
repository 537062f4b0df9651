//! The clients against a node that is made up.

mod node;

use std::collections::BTreeMap;

use crate::clients::{Action, Clients, Scene};
use crate::history::{History, Operation, Outcome, Position, Reply};
use crate::judges::deliveries;
use crate::profile::Profile;
use crate::report::{FaultClass, FaultCounts};
use crate::tape::Tape;
use node::{Manner, Node, Replies, Session};

const DELAY_US: u64 = 500;
const SECOND_US: u64 = 1_000_000;

enum Event {
    Wake(usize),
    Connected(usize),
    Requests(usize, Vec<u8>),
    Replies(usize, Vec<u8>, Vec<(u64, Position)>),
    Broken(usize),
}

/// A node that all clients are connected to, and the time.
struct Stage {
    now_us: u64,
    manner: Manner,
    node: Node,
    tape: Tape,
    history: History,
    faults: FaultCounts,
    clients: Clients,
    /// What is to come, by time, number, and connection.
    events: BTreeMap<(u64, u64), (u64, Event)>,
    events_made: u64,
    /// By client, the number of its connection: what comes from an older one is lost.
    connections: BTreeMap<usize, u64>,
    answered: Vec<usize>,
}

impl Stage {
    fn new(seed: u64, profile: Profile) -> Stage {
        let mut tape = Tape::new(seed);
        let clients = Clients::new(profile, 3, &mut tape);
        Stage {
            now_us: 0,
            manner: Manner::Answers,
            node: Node::default(),
            tape,
            history: History::default(),
            faults: FaultCounts::default(),
            clients,
            events: BTreeMap::new(),
            events_made: 0,
            connections: BTreeMap::new(),
            answered: Vec::new(),
        }
    }

    fn begun(seed: u64, profile: Profile) -> Stage {
        let mut stage = Stage::new(seed, profile);
        stage.act(|clients, scene| clients.begin(scene));
        stage
    }

    /// Calls the clients, and carries out what they want.
    fn act(&mut self, call: impl FnOnce(&mut Clients, &mut Scene<'_>)) {
        let mut actions = Vec::new();
        let mut scene = Scene {
            now_us: self.now_us,
            tape: &mut self.tape,
            history: &mut self.history,
            faults: &mut self.faults,
            actions: &mut actions,
            answered: &mut self.answered,
        };
        call(&mut self.clients, &mut scene);
        for action in actions {
            match action {
                Action::Wake { client, at_us } => {
                    assert!(at_us >= self.now_us);
                    self.push(at_us, client, Event::Wake(client));
                }
                Action::Connect { client, .. } => {
                    *self.connections.entry(client).or_default() += 1;
                    let event = match self.manner {
                        Manner::RefusesConnections => Event::Broken(client),
                        _ => {
                            self.node.sessions.insert(client, Session::default());
                            Event::Connected(client)
                        }
                    };
                    self.push(self.now_us + DELAY_US, client, event);
                }
                Action::Send { client, bytes } => {
                    let event = Event::Requests(client, bytes);
                    self.push(self.now_us + DELAY_US, client, event);
                }
                Action::Disconnect { client } => {
                    *self.connections.entry(client).or_default() += 1;
                    self.node.sessions.remove(&client);
                }
            }
        }
    }

    fn push(&mut self, at_us: u64, client: usize, event: Event) {
        self.events_made += 1;
        let connection = self.connections.get(&client).copied().unwrap_or(0);
        let key = (at_us, self.events_made);
        self.events.insert(key, (connection, event));
    }

    fn run_until(&mut self, end_us: u64) {
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > end_us {
                break;
            }
            let ((at_us, _), (connection, event)) = entry.remove_entry();
            self.now_us = at_us;
            self.take(connection, event);
            assert_eq!(self.clients.violation(), None);
        }
        self.now_us = end_us;
    }

    fn take(&mut self, connection: u64, event: Event) {
        let client = match &event {
            Event::Wake(client) => return self.act(|clients, scene| clients.wake(*client, scene)),
            Event::Connected(client) | Event::Broken(client) => *client,
            Event::Requests(client, _) | Event::Replies(client, ..) => *client,
        };
        if self.connections[&client] != connection {
            return;
        }
        match event {
            Event::Wake(_) => {}
            Event::Connected(_) => self.act(|clients, scene| clients.connected(client, scene)),
            Event::Broken(_) => self.act(|clients, scene| clients.disconnected(client, scene)),
            Event::Replies(_, bytes, made) => {
                self.act(|clients, scene| clients.take(client, &bytes, made, scene));
            }
            Event::Requests(_, bytes) => self.request(client, &bytes),
        }
    }

    fn request(&mut self, client: usize, bytes: &[u8]) {
        match self.manner {
            Manner::IsSilent => {}
            Manner::Breaks => {
                self.node.sessions.remove(&client);
                self.push(self.now_us + DELAY_US, client, Event::Broken(client));
            }
            manner => {
                for (client, replies) in self.node.take(client, bytes, manner) {
                    self.reply(client, replies);
                }
            }
        }
    }

    /// Replies arrive in two pieces, what is said of them with the first.
    fn reply(&mut self, client: usize, replies: Replies) {
        let Replies { mut bytes, made } = replies;
        let rest = bytes.split_off(bytes.len() / 2);
        for (bytes, made) in [(bytes, made), (rest, Vec::new())] {
            let event = Event::Replies(client, bytes, made);
            self.push(self.now_us + DELAY_US, client, event);
        }
    }

    fn outcomes(&self, is: impl Fn(&Outcome) -> bool) -> usize {
        let operations = self.history.operations.iter();
        operations
            .filter(|operation| is(&operation.outcome))
            .count()
    }
}

fn is_transaction(operation: &Operation) -> bool {
    operation.commands.len() > 1
}

/// What the node was told to do, without what the history says of watched keys.
fn told(operation: &Operation) -> &[Vec<Vec<u8>>] {
    let commands = &operation.commands[..];
    let watches = commands.iter().take_while(|command| command[0] == b"WATCH");
    &commands[watches.count()..]
}

#[test]
fn every_operation_is_recorded_with_its_reply_and_its_place() {
    let (mut transactions, mut watched, mut aborted, mut heard) = (0, 0, 0, 0);
    for seed in 0..12 {
        let mut stage = Stage::begun(seed, Profile::Calm);
        stage.run_until(10 * SECOND_US);
        stage.act(|clients, scene| clients.settle(scene));
        stage.run_until(20 * SECOND_US);
        assert_eq!(stage.clients.open_operations(), 0);
        assert_eq!(stage.faults.total(), 0);
        assert_eq!(deliveries::check(&stage.history), Ok(()));
        let mut places = Vec::new();
        for operation in &stage.history.operations {
            match &operation.outcome {
                Outcome::Done(replies) => {
                    let index = operation.position.unwrap().index as usize;
                    assert_eq!(stage.node.executed[index], told(operation), "seed {seed}");
                    places.push(index);
                    let is_aborted = is_transaction(operation) && replies[..] == [Reply::Null];
                    assert!(is_aborted || replies.len() == operation.commands.len());
                    transactions += usize::from(is_transaction(operation));
                    watched += operation.commands.len() - told(operation).len();
                    aborted += usize::from(is_aborted);
                }
                Outcome::Failed(text) => assert!(text == "DISCARD" || text == "EXECABORT"),
                outcome => panic!("seed {seed}: {outcome:?} of {operation:?}"),
            }
        }
        // Nothing was executed that is not recorded, and nothing recorded twice.
        places.sort_unstable();
        assert_eq!(places, (0..stage.node.executed.len()).collect::<Vec<_>>());
        heard += stage.history.deliveries.len();
    }
    let counts = (transactions, watched, aborted, heard);
    assert!(
        transactions > 500 && watched > 100 && aborted > 5 && heard > 100,
        "{counts:?}"
    );
}

#[test]
fn pipelines_are_executed_in_the_order_of_their_operations() {
    let mut pipelined = 0;
    for seed in 0..8 {
        let mut stage = Stage::begun(seed, Profile::Calm);
        stage.run_until(20 * SECOND_US);
        let mut last = BTreeMap::new();
        for operation in &stage.history.operations {
            let Some(position) = operation.position else {
                continue;
            };
            let (invoked_us, index) = last
                .insert(operation.process, (operation.invoked_us, position.index))
                .unwrap_or((u64::MAX, 0));
            assert!(position.index >= index);
            pipelined += usize::from(operation.invoked_us == invoked_us);
        }
    }
    assert!(pipelined > 100, "{pipelined}");
}

#[test]
fn about_as_many_operations_are_asked_as_intended() {
    let seeds = 30;
    let asked: usize = (0..seeds)
        .map(|seed| {
            let mut stage = Stage::begun(seed, Profile::Calm);
            stage.run_until(5 * SECOND_US);
            stage.history.operations.len()
        })
        .sum();
    let per_second = asked as u64 / seeds / 5;
    assert!((25..60).contains(&per_second), "{per_second}");
}

#[test]
fn without_a_reply_an_operation_is_unknown_and_the_client_goes_elsewhere() {
    let mut stage = Stage::begun(3, Profile::Client);
    stage.manner = Manner::IsSilent;
    stage.run_until(20 * SECOND_US);
    stage.act(|clients, scene| clients.settle(scene));
    stage.run_until(30 * SECOND_US);
    assert_eq!(stage.clients.open_operations(), 0);
    let all = stage.history.operations.len();
    assert!(all > 20);
    let gave_up =
        |outcome: &Outcome| matches!(outcome, Outcome::Unknown(text) if text == "no reply in time");
    assert!(stage.outcomes(gave_up) > all / 2);
    assert!(stage.faults.of(FaultClass::ClientTimeout) > 0);
    assert_eq!(stage.answered.len(), all);
    for process in 0..stage.clients.len() as u32 {
        let of_process = |operation: &&Operation| operation.process == process;
        let mut nodes: Vec<u64> = stage
            .history
            .operations
            .iter()
            .filter(of_process)
            .map(|operation| operation.node)
            .collect();
        nodes.dedup();
        assert!(nodes.len() != 1, "client {process} stayed");
    }
}

#[test]
fn a_broken_connection_makes_operations_unknown() {
    let mut stage = Stage::begun(3, Profile::Calm);
    stage.manner = Manner::Breaks;
    stage.run_until(10 * SECOND_US);
    stage.act(|clients, scene| clients.settle(scene));
    stage.run_until(20 * SECOND_US);
    assert_eq!(stage.clients.open_operations(), 0);
    let all = stage.history.operations.len();
    assert!(all > 20);
    assert_eq!(
        stage.outcomes(|outcome| matches!(outcome, Outcome::Unknown(_))),
        all
    );
}

#[test]
fn refused_connections_are_tried_again_and_ask_nothing() {
    let mut stage = Stage::new(3, Profile::Calm);
    stage.manner = Manner::RefusesConnections;
    stage.act(|clients, scene| clients.begin(scene));
    stage.run_until(10 * SECOND_US);
    assert_eq!(stage.history.operations, []);
    stage.manner = Manner::Answers;
    stage.run_until(20 * SECOND_US);
    assert!(stage.outcomes(|outcome| matches!(outcome, Outcome::Done(_))) > 20);
}

#[test]
fn errors_say_what_became_of_an_operation() {
    let no = "NOQUORUM no leader was reached within 5000 ms, nothing was written";
    let too_large = "ERR the command takes 9 bytes in the log, more than max-entry-size (8), nothing was written";
    let full = "DISKFULL the disk of the leader or of this node is full, nothing was written; free space in its data directory, writes resume by themselves";
    for text in [no, too_large, full] {
        let stage = erring(text);
        assert_eq!(
            stage.outcomes(|outcome| matches!(outcome, Outcome::Failed(_))),
            stage.history.operations.len()
        );
    }
    let stage = erring(
        "UNCERTAIN the leader did not confirm within 5000 ms, the command may or may not take effect",
    );
    let spoiled = |outcome: &Outcome| matches!(outcome, Outcome::Failed(text) if text == "DISCARD" || text == "EXECABORT");
    let unknown = |outcome: &Outcome| matches!(outcome, Outcome::Unknown(_));
    assert!(stage.outcomes(unknown) > 20);
    assert_eq!(
        stage.outcomes(|outcome| unknown(outcome) || spoiled(outcome)),
        stage.history.operations.len()
    );
}

/// A stage on which every command on data gets this error.
fn erring(text: &'static str) -> Stage {
    let mut stage = Stage::begun(7, Profile::Calm);
    stage.manner = Manner::Errs(text);
    stage.run_until(10 * SECOND_US);
    stage.act(|clients, scene| clients.settle(scene));
    stage.run_until(20 * SECOND_US);
    assert!(stage.history.operations.len() > 20);
    stage
}

#[test]
fn clients_that_leave_count_as_faults_and_what_they_did_not_send_failed() {
    let (mut cuts, mut unsent) = (0, 0);
    for seed in 0..12 {
        let mut stage = Stage::begun(seed, Profile::Client);
        stage.run_until(10 * SECOND_US);
        cuts += stage.faults.of(FaultClass::ClientDisconnect);
        for operation in &stage.history.operations {
            if operation.outcome == Outcome::Failed("not sent".to_owned()) {
                unsent += 1;
                let told = told(operation);
                let carries_token = |command: &Vec<Vec<u8>>| {
                    command.get(2).is_some_and(|value| value.contains(&b'.'))
                };
                let is_executed = stage.node.executed.iter().any(|executed| executed == told);
                assert!(
                    !is_executed || !told.iter().any(carries_token),
                    "{operation:?}"
                );
            }
        }
    }
    assert!(cuts > 10 && unsent > 2, "{cuts} {unsent}");
}

#[test]
fn a_burst_multiplies_the_load() {
    let asked = |bursts_per_million| {
        let mut stage = Stage::new(2, Profile::Client);
        stage.clients.shared.workload.bursts_per_million = bursts_per_million;
        stage.act(|clients, scene| clients.begin(scene));
        stage.run_until(5 * SECOND_US);
        (
            stage.faults.of(FaultClass::Burst),
            stage.history.operations.len(),
        )
    };
    let (calm, busy) = (asked(0), asked(500_000));
    assert!(calm.0 == 0 && busy.0 > 1, "{calm:?} {busy:?}");
    assert!(busy.1 > 4 * calm.1, "{calm:?} {busy:?}");
}

#[test]
fn the_last_reads_read_every_key_once() {
    for seed in 0..8 {
        let mut stage = Stage::begun(seed, Profile::Calm);
        stage.run_until(10 * SECOND_US);
        stage.act(|clients, scene| clients.settle(scene));
        stage.run_until(20 * SECOND_US);
        let before = stage.history.operations.len();
        let process = stage.clients.len() as u32;
        stage.act(|clients, scene| clients.final_reads(raft::NodeId(2), scene));
        assert!(stage.clients.open_operations() > 0);
        stage.run_until(21 * SECOND_US);
        assert_eq!(stage.clients.open_operations(), 0);
        let mut read = Vec::new();
        for operation in &stage.history.operations[before..] {
            assert_eq!((operation.process, operation.node), (process, 2));
            assert!(matches!(operation.outcome, Outcome::Done(_)));
            read.push(operation.commands[0][1].clone());
        }
        assert_eq!(stage.clients.final_failure(&stage.history), None);
        assert_eq!(read.remove(0), b"r0", "it is written");
        read.sort();
        let mut asked: Vec<Vec<u8>> = stage.history.operations[..before]
            .iter()
            .flat_map(told)
            .filter(|command| command[0] != b"PUBLISH")
            .map(|command| command[1].clone())
            .collect();
        asked.sort();
        asked.dedup();
        assert_eq!(read, asked);
    }
}

#[test]
fn last_reads_through_a_node_that_is_gone_are_given_up() {
    let mut stage = Stage::begun(1, Profile::Calm);
    stage.run_until(10 * SECOND_US);
    stage.act(|clients, scene| clients.settle(scene));
    stage.run_until(20 * SECOND_US);
    stage.manner = Manner::RefusesConnections;
    stage.act(|clients, scene| clients.final_reads(raft::NodeId(2), scene));
    stage.run_until(40 * SECOND_US);
    assert_eq!(stage.clients.open_operations(), 0);
}

#[test]
fn a_reply_that_does_not_fit_is_a_violation() {
    for bytes in [
        b"?\r\n".as_slice(),
        b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
        b"-ERR what is this\r\n",
    ] {
        let mut stage = Stage::begun(5, Profile::Calm);
        stage.manner = Manner::IsSilent;
        stage.run_until(SECOND_US);
        let client = stage.history.operations[0].process as usize;
        stage.act(|clients, scene| clients.take(client, bytes, [], scene));
        let violation = stage.clients.violation().unwrap();
        assert_eq!(violation.property, "replies");
        stage.act(|clients, scene| clients.settle(scene));
    }
}

#[test]
fn a_run_repeats_itself() {
    let run = || {
        let mut stage = Stage::begun(11, Profile::Client);
        stage.run_until(10 * SECOND_US);
        stage.history
    };
    assert_eq!(run(), run());
}

#[test]
fn a_tape_of_benign_choices_makes_clients_that_do_nothing() {
    let mut stage = Stage::new(1, Profile::Default);
    stage.tape = Tape::only(1, Default::default());
    stage.clients = Clients::new(Profile::Default, 3, &mut stage.tape);
    stage.act(|clients, scene| clients.begin(scene));
    stage.run_until(100 * SECOND_US);
    assert_eq!(stage.history.operations, []);
    assert!(stage.events_made < 5000, "{}", stage.events_made);
}
