//! Members come and go while clients write: nothing that was acknowledged is lost, and no command
//! fails.

mod common;

use std::collections::BTreeMap;

use common::{Client, World, show};

/// The nodes that are members, by the word of one of them.
fn voters(world: &mut World, node: u64) -> String {
    let client = world.client(node);
    let info = world.show(client, &["INFO", "raft"]);
    let line = info.lines().find(|line| line.starts_with("raft_voters:"));
    line.expect("told")["raft_voters:".len()..]
        .trim_end()
        .to_owned()
}

/// Asks whoever leads.
fn ask(world: &mut World, request: &[&str]) -> String {
    let leader = world.leader();
    let client = world.client(leader);
    world.show(client, request)
}

/// Asks until no other change is in the way.
fn change(world: &mut World, request: &[&str]) -> String {
    let mut reply = String::new();
    world.run_until("a change is taken", |world| {
        reply = ask(world, request);
        !reply.contains("under way") && !reply.contains("its own term")
    });
    reply
}

/// Adds a node, starts it, and waits until it votes.
fn grow(world: &mut World) -> u64 {
    let id = world.nodes.len() as u64 + 1;
    let address = format!("127.0.0.1:{}", 8000 + id);
    assert_eq!(
        change(world, &["QUORATE", "ADD-NODE", &address]),
        id.to_string()
    );
    world.join();
    world.run_until("the new node votes", |world| {
        let leader = world.leader();
        let voters = voters(world, leader);
        voters.split(',').any(|voter| voter == id.to_string())
    });
    id
}

fn shrink(world: &mut World, id: u64) {
    assert_eq!(
        change(world, &["QUORATE", "REMOVE-NODE", &id.to_string()]),
        "OK"
    );
    world.retire(id);
}

/// Clients that increment a counter each, all the time.
struct Load {
    clients: Vec<(Client, u64)>,
}

impl Load {
    fn on(world: &mut World, nodes: &[u64]) -> Load {
        let clients = nodes.iter().map(|node| (world.client(*node), 0));
        let mut load = Load {
            clients: clients.collect(),
        };
        for at in 0..load.clients.len() {
            load.send(world, at);
        }
        load
    }

    fn send(&mut self, world: &mut World, at: usize) {
        let (client, _) = self.clients[at];
        let key = format!("counter{at}");
        world.send(client, &[&["INCR", &key]]);
    }

    /// Takes the replies that are there, and asks for more.
    fn go_on(&mut self, world: &mut World) {
        for at in 0..self.clients.len() {
            let client = self.clients[at].0;
            for reply in world.replies(client) {
                self.clients[at].1 += 1;
                assert_eq!(reply, self.clients[at].1.to_string(), "client {at}");
                self.send(world, at);
            }
        }
    }

    fn acknowledged(&self) -> u64 {
        self.clients.iter().map(|(_, count)| count).sum()
    }
}

#[test]
fn a_cluster_grows_from_one_to_five_and_shrinks_to_three_under_load() {
    let mut world = World::ready(1);
    let mut load = Load::on(&mut world, &[1, 1]);
    let mut step = |world: &mut World, what: &str, act: &mut dyn FnMut(&mut World)| {
        let before = load.acknowledged();
        act(world);
        load.go_on(world);
        world.run_ms(50);
        load.go_on(world);
        assert!(load.acknowledged() > before, "{what}");
    };
    for size in 2..=5 {
        step(&mut world, "growing", &mut |world| {
            assert_eq!(grow(world), size);
        });
    }
    assert_eq!(voters(&mut world, 5), "1,2,3,4,5");
    step(&mut world, "shrinking", &mut |world| shrink(world, 2));
    step(&mut world, "shrinking", &mut |world| shrink(world, 3));
    for node in [1, 4, 5] {
        world.run_until("all know", |world| voters(world, node) == "1,4,5");
    }
    let hashes: Vec<u64> = [1, 4, 5]
        .map(|node| world.replica(node).state_hash())
        .into();
    assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
}

#[test]
fn a_leader_that_is_removed_hands_over_and_is_gone() {
    let mut world = World::ready(3);
    grow(&mut world);
    let leader = world.leader();
    let reply = change(&mut world, &["QUORATE", "REMOVE-NODE", &leader.to_string()]);
    assert_eq!(reply, "OK");
    let others: Vec<u64> = (1..=4).filter(|id| *id != leader).collect();
    let expected = others
        .iter()
        .map(u64::to_string)
        .collect::<Vec<_>>()
        .join(",");
    world.run_until("another leads, and the removed one is no member", |world| {
        others.iter().all(|other| {
            let client = world.client(*other);
            let members = world.show(client, &["QUORATE", "MEMBERS"]);
            voters(world, *other) == expected
                && !members.contains(&format!("127.0.0.1:{}", 8000 + leader))
        })
    });
}

#[test]
fn what_would_harm_is_refused_in_words() {
    let mut world = World::ready(3);
    let leader = world.leader();
    let follower = world.follower();
    let client = world.client(follower);
    let reply = world.show(client, &["QUORATE", "REMOVE-NODE", "1"]);
    assert_eq!(
        reply,
        format!(
            "-NOTLEADER the leader is n{leader} at 127.0.0.1:{}",
            7000 + leader
        )
    );
    for (request, part) in [
        (
            &["REMOVE-NODE", "9"][..],
            "node 9 is not a member: the members are 1, 2, 3",
        ),
        (
            &["ADD-NODE", "127.0.0.1:8002"],
            "node 2 is a member at this address already",
        ),
        (&["ADD-NODE", "h:1", "ID", "3"], "id 3 was used before"),
        (
            &["ADD-NODE", "h:1", "ID", "9223372036854775807"],
            "far above the next free one, 4",
        ),
        (&["PROMOTE", "9"], "not a member"),
        (&["TRANSFER", "9"], "not a member"),
        (&["REPLACE", "2", "h:1"], "node 2 answers"),
        (
            &["REMOVE-NODE", &follower.to_string()],
            "FORCE does it all the same",
        ),
    ] {
        let request = [&["QUORATE"], request].concat();
        let reply = ask(&mut world, &request);
        assert!(
            reply.starts_with("-ERR") && reply.contains(part),
            "{request:?}: {reply}"
        );
    }
    let dead = world.follower();
    world.crash(dead);
    world.run_ms(500);
    let other = (1..=3)
        .find(|id| *id != leader && *id != dead)
        .expect("one of three");
    let reply = ask(
        &mut world,
        &["QUORATE", "DEMOTE", &other.to_string(), "FORCE"],
    );
    assert!(
        reply.contains("only 1 of the 2 voters that would be left answer, and 2 are needed"),
        "{reply}"
    );
    let reply = ask(&mut world, &["QUORATE", "REMOVE-NODE", &dead.to_string()]);
    assert_eq!(reply, "OK", "what is dead anyway is not missed");
    let reply = ask(
        &mut world,
        &["QUORATE", "ADD-NODE", "h:1", "ID", &dead.to_string()],
    );
    assert!(reply.contains("used before"), "{reply}");
}

#[test]
fn a_single_node_keeps_its_only_vote() {
    let mut world = World::ready(1);
    let reply = ask(&mut world, &["QUORATE", "REMOVE-NODE", "1", "FORCE"]);
    assert!(reply.contains("the only voter"), "{reply}");
}

#[test]
fn a_node_that_asks_again_gets_the_same_id() {
    let mut world = World::ready(1);
    let client = world.client(1);
    let join = ["QUORATE", "JOIN", "127.0.0.1:8002", "ab"];
    let first = world.show(client, &join);
    assert_eq!(
        first, "[2 0000000000000007  [1 127.0.0.1:8001]]",
        "id, cluster, name, and where the others are"
    );
    assert_eq!(world.show(client, &join), first);
    let other = world.show(client, &["QUORATE", "JOIN", "127.0.0.1:8002", "ac"]);
    assert!(
        other.contains("node 2 is a member at this address already"),
        "{other}"
    );
    let expected = change(&mut world, &["QUORATE", "ADD-NODE", "127.0.0.1:8003"]);
    assert_eq!(expected, "3");
    let met = ask(&mut world, &["QUORATE", "JOIN", "127.0.0.1:8003", "ad"]);
    assert!(
        met.starts_with("[3 "),
        "{met}: it is the one that was expected"
    );
    let again = change(&mut world, &["QUORATE", "JOIN", "127.0.0.1:8003", "ad"]);
    assert!(again.starts_with("[3 "), "{again}: and asks again");
    let second = change(&mut world, &["QUORATE", "JOIN", "127.0.0.1:8003", "ae"]);
    assert!(
        second.contains("node 3 is a member at this address already"),
        "{second}: whoever comes after it is another"
    );
}

/// The members with their roles, by the word of whoever leads.
fn roles(world: &mut World) -> BTreeMap<u64, String> {
    let leader = world.leader();
    let client = world.client(leader);
    let members = world.call(client, &["QUORATE", "MEMBERS"]);
    let members = members.as_slice().and_then(|map| map[11].as_slice());
    let roles = members.expect("members").iter().map(|member| {
        let fields = member.as_slice().expect("a map");
        let id = fields[1].as_integer().expect("an id");
        (id as u64, show(&fields[7]))
    });
    roles.collect()
}

#[test]
fn a_dead_learner_is_replaced_by_a_learner() {
    let mut world = World::ready(1);
    let (second, third) = ("127.0.0.1:8002", "127.0.0.1:8003");
    let reply = change(&mut world, &["QUORATE", "ADD-NODE", second, "LEARNER"]);
    assert_eq!(reply, "2");
    world.join();
    world.run_ms(500);
    world.crash(2);
    world.run_ms(500);
    assert_eq!(change(&mut world, &["QUORATE", "REPLACE", "2", third]), "3");
    world.join();
    world.run_until("the dead one is gone", |world| {
        !roles(world).contains_key(&2) && is_settled(world)
    });
    world.run_ms(500);
    let expected = [(1, "voter".to_owned()), (3, "learner".to_owned())];
    assert_eq!(roles(&mut world), BTreeMap::from(expected));
}

#[test]
fn two_nodes_cannot_take_the_same_place_and_a_lost_replacement_is_replaced() {
    let mut world = World::ready(3);
    let dead = world.follower();
    world.crash(dead);
    world.run_ms(500);
    let dead = dead.to_string();
    let replace = ["QUORATE", "REPLACE", &dead, "127.0.0.1:8004"];
    assert_eq!(change(&mut world, &replace), "4");
    let reply = change(&mut world, &["QUORATE", "REPLACE", &dead, "127.0.0.1:8005"]);
    assert!(
        reply.contains(&format!("node 4 takes the place of node {dead} already")),
        "{reply}"
    );
    // Node 4 never comes. A new one is added when it has been silent for long enough.
    let mut reply = String::new();
    world.run_until("another stands for the same place", |world| {
        reply = change(world, &["QUORATE", "REPLACE", "4", "127.0.0.1:8005"]);
        reply == "5"
    });
    let lost = world.join();
    world.crash(lost);
    world.join();
    world.run_until("it has taken it", |world| {
        let roles = roles(world);
        is_settled(world) && roles.get(&5).is_some_and(|role| role == "voter")
    });
    let roles = roles(&mut world);
    assert_eq!(roles.len(), 3, "{roles:?}");
    assert!(!roles.contains_key(&dead.parse().expect("an id")));
}

#[test]
fn a_dead_node_is_replaced_in_one_step() {
    let mut world = World::ready(3);
    let dead = world.follower();
    world.crash(dead);
    world.run_ms(500);
    let reply = change(
        &mut world,
        &["QUORATE", "REPLACE", &dead.to_string(), "127.0.0.1:8004"],
    );
    assert_eq!(reply, "4");
    world.join();
    let expected: Vec<String> = (1..=4)
        .filter(|id| *id != dead)
        .map(|id| id.to_string())
        .collect();
    world.run_until("the new node has taken its place", |world| {
        let leader = world.leader();
        let client = world.client(leader);
        let members = world.call(client, &["QUORATE", "MEMBERS"]);
        let count = members.as_slice().and_then(|map| map[11].as_slice());
        voters(world, leader) == expected.join(",") && count.is_some_and(|all| all.len() == 3)
    });
}

#[test]
fn a_learner_stays_one_until_it_is_promoted_and_a_leader_is_moved() {
    let mut world = World::ready(1);
    let reply = change(
        &mut world,
        &["QUORATE", "ADD-NODE", "127.0.0.1:8002", "LEARNER"],
    );
    assert_eq!(reply, "2");
    let early = ask(&mut world, &["QUORATE", "PROMOTE", "2"]);
    assert!(early.starts_with("-ERR"), "it is not even there: {early}");
    world.join();
    world.run_ms(500);
    assert_eq!(voters(&mut world, 1), "1");
    let reply = ask(&mut world, &["QUORATE", "TRANSFER", "2"]);
    assert!(reply.contains("is a learner"), "{reply}");
    assert_eq!(change(&mut world, &["QUORATE", "PROMOTE", "2"]), "OK");
    assert_eq!(change(&mut world, &["QUORATE", "TRANSFER", "2"]), "OK");
    assert_eq!(world.leader(), 2);
    assert_eq!(change(&mut world, &["QUORATE", "DEMOTE", "1"]), "OK");
    let client = world.client(2);
    let members = show(&world.call(client, &["QUORATE", "MEMBERS"]));
    assert!(members.contains("role learner"), "{members}");
}

/// Whether nothing is left to be done with the members, by the word of whoever leads.
fn is_settled(world: &mut World) -> bool {
    let leader = world.leader();
    let client = world.client(leader);
    let members = world.show(client, &["QUORATE", "MEMBERS"]);
    !members.contains("under way") && !members.contains("removed") && !members.contains("caught up")
}

/// A change is begun, the leader dies a few steps later, and whoever leads next ends it or never heard
/// of it. Returns the voters then, and what the client was told if it was told anything.
fn leader_dies_in(steps: usize, request: &[&str], joins: bool) -> (String, Option<String>) {
    let mut world = World::ready(3);
    if joins {
        assert_eq!(grow(&mut world), 4);
    }
    let leader = world.leader();
    let client = world.client(leader);
    world.send(client, &[request]);
    for step in 0..steps {
        match step < 8 {
            true => world.settle_once(),
            false => world.run_ms(10),
        }
    }
    let reply = world.replies(client).pop();
    world.crash(leader);
    let next = world.leader();
    assert_ne!(next, leader);
    world.start(leader);
    world.run_until("nothing is left to be done", is_settled);
    world.run_ms(200);
    let next = world.leader();
    (voters(&mut world, next), reply)
}

#[test]
fn a_removal_is_ended_by_the_next_leader_or_never_began() {
    let mut outcomes = std::collections::BTreeSet::new();
    for steps in 0..16 {
        // Node 2 or 3 is removed, whichever does not lead at first; the leader may die at any step.
        let mut world = World::ready(3);
        let leader = world.leader();
        drop(world);
        let victim = if leader == 2 { "3" } else { "2" };
        let request = ["QUORATE", "REMOVE-NODE", victim];
        let (voters, reply) = leader_dies_in(steps, &request, true);
        let is_gone = !voters.split(',').any(|voter| voter == victim);
        match reply.as_deref() {
            Some("OK") => assert!(is_gone, "{steps}: {voters}, and it was told so"),
            None => {}
            Some(other) => panic!("{steps}: {other}"),
        }
        outcomes.insert((is_gone, reply.is_some()));
    }
    assert!(outcomes.len() >= 3, "all that can happen: {outcomes:?}");
}

#[test]
fn nodes_restart_in_the_midst_of_growth_and_know_who_belongs() {
    let mut world = World::ready(1);
    for size in 2..=4 {
        grow(&mut world);
        for id in 1..=size {
            world.crash(id);
        }
        for id in 1..=size {
            world.start(id);
        }
        let leader = world.leader();
        let expected: Vec<String> = (1..=size).map(|id| id.to_string()).collect();
        assert_eq!(voters(&mut world, leader), expected.join(","));
        let client = world.client(leader);
        let members = world.show(client, &["QUORATE", "MEMBERS"]);
        for id in 1..=size {
            assert!(
                members.contains(&format!("127.0.0.1:{}", 8000 + id)),
                "{members}"
            );
        }
    }
}
