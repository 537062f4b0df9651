//! Session commands as clients see them.

use kv::Handler;

use super::*;
use crate::config::Now;
use crate::kinds::{Kind, kind};
use crate::node::Pause;
use crate::output::Shutdown;
use crate::session::{Multi, ReplyMode, Watch};

/// Recorded from redis-server 7.0.15, see the head of the file.
const TRANSCRIPT: &str = include_str!("fixtures/redis-7.0.15.txt");

#[test]
fn replies_are_those_of_redis() {
    let mut node = Node::for_test();
    let mut client = node.connect();
    let mut request = "";
    let mut differing = Vec::new();
    let mut compared = 0;
    for line in TRANSCRIPT.lines() {
        match line.split_at_checked(2) {
            Some(("> ", text)) => request = text,
            Some(("< ", expected)) => {
                let reply = node.reply(client, request);
                compared += 1;
                if reply != expected {
                    differing.push(format!("{request}\n  redis {expected}\n  ours  {reply}"));
                }
            }
            Some(("@r", "esp2")) => client = node.connect(),
            Some(("@r", "esp3")) => client = node.connect_resp3(),
            _ => assert!(line.is_empty() || line.starts_with('#'), "{line}"),
        }
    }
    assert!(
        differing.is_empty(),
        "{} differ:\n{}",
        differing.len(),
        differing.join("\n")
    );
    assert!(compared > 300, "only {compared} requests were compared");
}

#[test]
fn every_session_command_of_the_table_is_run_by_something() {
    const TRANSACTIONS: [&str; 5] = ["discard", "exec", "multi", "unwatch", "watch"];
    let missing: Vec<_> = kv::all()
        .flat_map(|spec| std::iter::once(spec).chain(spec.subcommands))
        .filter(|spec| matches!(spec.handler, Handler::Session))
        .filter(|spec| spec.subcommands.is_empty() && spec.refusal.is_none())
        .filter(|spec| !TRANSACTIONS.contains(&spec.name) && find(spec).is_none())
        .filter(|spec| !matches!(kind(spec.id), Kind::Membership | Kind::Backup))
        .map(|spec| spec.full_name())
        .collect();
    assert!(missing.is_empty(), "nothing runs {missing:?}");
}

#[test]
fn what_changes_the_session_runs_alone() {
    let expected = [
        ("auth", Schedule::Alone),
        ("hello", Schedule::Alone),
        ("psubscribe", Schedule::ReadAlone),
        ("quit", Schedule::Alone),
        ("reset", Schedule::Alone),
        ("select", Schedule::Alone),
        ("ssubscribe", Schedule::ReadAlone),
        ("subscribe", Schedule::ReadAlone),
        ("unsubscribe", Schedule::Alone),
    ];
    for (name, schedule) in expected {
        let spec = kv::lookup(name.as_bytes()).expect("in the table");
        let command = find(spec).expect("a session command");
        assert_eq!(command.schedule, schedule, "{name}");
    }
}

#[test]
fn hello_greets_in_the_protocol_it_switches_to() {
    let mut node = Node::for_test();
    let client = node.connect();
    let fields = |proto| {
        format!(
            "$6\\r\\nserver\\r\\n$5\\r\\nredis\\r\\n$7\\r\\nversion\\r\\n$5\\r\\n7.2.4\\r\\n\
             $5\\r\\nproto\\r\\n:{proto}\\r\\n$2\\r\\nid\\r\\n:1\\r\\n$4\\r\\nmode\\r\\n\
             $7\\r\\ncluster\\r\\n$4\\r\\nrole\\r\\n$6\\r\\nmaster\\r\\n$7\\r\\nmodules\\r\\n*0\\r\\n"
        )
    };
    assert_eq!(
        node.reply(client, "HELLO"),
        format!("*14\\r\\n{}", fields(2))
    );
    let reply = node.reply(client, "HELLO 3 SETNAME me");
    assert_eq!(reply, format!("%7\\r\\n{}", fields(3)));
    assert_eq!(node.reply(client, "CLIENT GETNAME"), "$2\\r\\nme\\r\\n");
    assert_eq!(
        node.reply(client, "HELLO"),
        format!("%7\\r\\n{}", fields(3))
    );
    node.follow(None);
    assert!(
        node.reply(client, "HELLO 2")
            .contains("$7\\r\\nreplica\\r\\n")
    );
}

#[test]
fn a_hello_that_fails_changes_nothing() {
    let mut node = Node::for_test();
    let client = node.connect();
    node.reply(client, "HELLO 3 SETNAME me AUTH default");
    node.reply(client, "HELLO 3 AUTH nobody x SETNAME me");
    assert_eq!(node.reply(client, "CLIENT GETNAME"), "$-1\\r\\n");
}

#[test]
fn a_password_is_asked_of_new_connections() {
    let mut node = Node::for_test();
    let before = node.connect();
    assert_eq!(
        node.reply(before, "CONFIG SET requirepass sekret"),
        "+OK\\r\\n"
    );
    assert_eq!(node.reply(before, "PING"), "+PONG\\r\\n");
    let client = node.connect();
    let noauth = "-NOAUTH Authentication required.\\r\\n";
    let wrong = "-WRONGPASS invalid username-password pair or user is disabled.\\r\\n";
    assert_eq!(node.reply(client, "PING"), noauth);
    assert!(
        node.reply(client, "HELLO 3")
            .starts_with("-NOAUTH HELLO must be called with")
    );
    assert_eq!(node.reply(client, "AUTH sekre"), wrong);
    assert_eq!(node.reply(client, "AUTH someone sekret"), wrong);
    assert_eq!(node.reply(client, "HELLO 3 AUTH default nope"), wrong);
    assert_eq!(node.reply(client, "AUTH sekret"), "+OK\\r\\n");
    assert_eq!(node.reply(client, "PING"), "+PONG\\r\\n");
    assert_eq!(node.reply(client, "RESET"), "+RESET\\r\\n");
    assert_eq!(node.reply(client, "PING"), noauth);
    assert!(
        node.reply(client, "HELLO 3 AUTH default sekret")
            .starts_with("%7")
    );
    let users = node.reply(client, "ACL LIST");
    let digest = "#bb757689c39373a6cac9ef6ba55616c6249d7500ca4d443f1130c4766453a412";
    assert_eq!(
        users,
        format!("*1\\r\\n$93\\r\\nuser default on {digest} ~* &* +@all\\r\\n")
    );
    let log = node.stats.acl_log.entries();
    let seen: Vec<_> = log
        .map(|entry| (entry.command, &entry.username[..]))
        .collect();
    let expected: [(&str, &[u8]); 3] = [
        ("HELLO", b"default"),
        ("AUTH", b"someone"),
        ("AUTH", b"default"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn reset_leaves_nothing_of_the_session() {
    let mut node = Node::for_test();
    let client = node.connect_resp3();
    node.reply(client, "SUBSCRIBE a");
    node.reply(client, "SELECT 3");
    node.reply(client, "CLIENT SETNAME me");
    let session = node.session(client);
    session.multi = Some(Multi::default());
    session.watches = vec![Watch {
        db: 0,
        key: bytes::Bytes::new(),
        version: 1,
    }];
    session.reply_mode = ReplyMode::SkipNext;
    assert_eq!(node.reply(client, "RESET"), "+RESET\\r\\n");
    let session = node.session(client);
    assert_eq!(session.protocol, resp::Protocol::Resp2);
    assert_eq!(
        (session.db, session.name.len(), session.watches.len()),
        (0, 0, 0)
    );
    assert!(session.multi.is_none() && session.channels.is_empty());
    assert_eq!(session.reply_mode, ReplyMode::On);
    assert_eq!(node.pubsub.name_count(crate::pubsub::Topic::Channel), 0);
}

#[test]
fn client_list_shows_each_connection_in_a_line() {
    let mut node = Node::for_test();
    let (first, second) = (node.connect(), node.connect_resp3());
    node.reply(second, "CLIENT SETNAME sub");
    node.reply(second, "CLIENT SETINFO LIB-NAME lib");
    node.reply(second, "SUBSCRIBE a");
    node.now.mono_us += 5_000_000;
    let lines = node.reply(first, "CLIENT LIST");
    assert!(lines.contains("id=1 addr=127.0.0.1:50000 laddr=10.0.0.1:7000 fd=-1 name= age=5"));
    assert!(
        lines.contains("flags=P db=0 sub=1 psub=0 ssub=0 multi=-1"),
        "{lines}"
    );
    assert!(lines.contains("resp=3 lib-name=lib lib-ver=\\n"), "{lines}");
    let of_type = node.reply(first, "CLIENT LIST TYPE pubsub");
    assert!(
        of_type.contains("name=sub") && !of_type.contains("id=1 "),
        "{of_type}"
    );
    assert!(node.reply(second, "CLIENT INFO").contains("\\ntxt:id=2 "));
    assert_eq!(
        node.reply(first, "CLIENT SETINFO LIB-NAME \"a b\""),
        "-ERR LIB-NAME cannot contain spaces, newlines or special characters.\\r\\n"
    );
    assert_eq!(
        node.reply(first, "CLIENT SETINFO LIB-OS x"),
        "-ERR Unrecognized option 'LIB-OS'\\r\\n"
    );
}

#[test]
fn client_kill_spares_the_caller_unless_told() {
    let mut node = Node::for_test();
    let (caller, other) = (node.connect(), node.connect());
    assert_eq!(node.reply(caller, "CLIENT KILL TYPE normal"), ":1\\r\\n");
    assert_eq!(node.closing, [other]);
    assert_eq!(node.reply(caller, "CLIENT KILL ID 2"), ":0\\r\\n");
    assert_eq!(
        node.reply(caller, "CLIENT KILL 127.0.0.1:50000"),
        "+OK\\r\\n"
    );
    assert_eq!(node.closing, [other, caller]);
    let third = node.connect();
    assert_eq!(
        node.reply(third, "CLIENT KILL LADDR 10.0.0.1:7000 SKIPME no"),
        ":1\\r\\n"
    );
}

#[test]
fn a_pause_is_neither_shortened_nor_weakened_and_ends() {
    let mut node = Node::for_test();
    let client = node.connect();
    let start_us = node.now.mono_us;
    node.reply(client, "CLIENT PAUSE 100");
    node.reply(client, "CLIENT PAUSE 10 WRITE");
    let expected = Pause {
        until_us: start_us + 100_000,
        writes_only: false,
    };
    assert_eq!(node.pause, Some(expected));
    node.now.mono_us += 99_999;
    resume_paused(&mut node);
    assert!(node.pause.is_some() && node.runnable.is_empty());
    node.now.mono_us += 1;
    resume_paused(&mut node);
    assert!(node.pause.is_none());
    assert_eq!(node.runnable, [client]);
}

#[test]
fn idle_clients_are_closed_when_the_timeout_says_so() {
    let mut node = Node::for_test();
    let (idle, subscriber) = (node.connect(), node.connect());
    node.reply(subscriber, "SUBSCRIBE a");
    node.now.mono_us += 11_000_000;
    close_idle(&mut node);
    assert!(node.closing.is_empty());
    node.reply(idle, "CONFIG SET timeout 10");
    close_idle(&mut node);
    assert_eq!(node.closing, [idle]);
}

#[test]
fn reply_modes_are_kept_by_the_session() {
    let mut node = Node::for_test();
    let client = node.connect();
    assert_eq!(node.reply(client, "CLIENT REPLY SKIP"), "");
    assert_eq!(node.session(client).reply_mode, ReplyMode::SkipNext);
    assert_eq!(node.reply(client, "CLIENT REPLY OFF"), "");
    assert_eq!(node.reply(client, "CLIENT REPLY SKIP"), "");
    assert_eq!(node.session(client).reply_mode, ReplyMode::Off);
    assert_eq!(node.reply(client, "CLIENT REPLY ON"), "+OK\\r\\n");
}

/// The fields of INFO by name.
fn info(node: &mut Node, sections: &str) -> Vec<(String, String)> {
    let client = node.connect();
    let reply = node.reply(client, &format!("INFO {sections}"));
    reply
        .split("\\r\\n")
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    let field = fields.iter().find(|(known, _)| known == name);
    field.map_or_else(|| panic!("no field {name}"), |(_, value)| value)
}

#[test]
fn info_has_the_fields_that_tools_read() {
    let mut node = Node::for_test_of(3);
    let fields = info(&mut node, "");
    for (name, value) in [
        ("redis_version", "7.2.4"),
        ("server_name", "quorate"),
        ("quorate_version", "0.1.0"),
        ("redis_mode", "cluster"),
        ("cluster_enabled", "1"),
        ("process_id", "4242"),
        ("tcp_port", "7000"),
        ("loading", "0"),
        ("role", "master"),
        ("connected_slaves", "2"),
        (
            "slave0",
            "ip=10.0.0.2,port=7000,state=online,offset=7,lag=0",
        ),
        ("maxmemory_policy", "noeviction"),
        ("raft_node_id", "1"),
        ("raft_role", "leader"),
        ("raft_leader_id", "1"),
        ("raft_leader_addr", "10.0.0.1:7000"),
        ("raft_term", "3"),
        ("raft_commit_index", "9"),
        ("raft_applied_index", "9"),
        ("raft_voters", "1,2,3"),
        ("raft_learners", ""),
    ] {
        assert_eq!(field(&fields, name), value, "{name}");
    }
    for name in "uptime_in_seconds uptime_in_days connected_clients blocked_clients used_memory \
                 used_memory_human used_memory_peak_human number_of_cached_scripts \
                 instantaneous_ops_per_sec instantaneous_input_kbps instantaneous_output_kbps \
                 keyspace_hits keyspace_misses run_id master_repl_offset expired_keys \
                 evicted_keys total_commands_processed total_connections_received"
        .split_whitespace()
    {
        field(&fields, name);
    }
}

#[test]
fn info_of_a_follower_points_to_the_leader() {
    let mut node = Node::for_test_of(3);
    node.follow(Some(2));
    let fields = info(&mut node, "replication raft");
    assert_eq!(field(&fields, "role"), "slave");
    assert_eq!(field(&fields, "master_host"), "10.0.0.2");
    assert_eq!(field(&fields, "master_link_status"), "up");
    assert_eq!(field(&fields, "raft_role"), "follower");
    node.follow(None);
    let fields = info(&mut node, "replication raft");
    assert_eq!(field(&fields, "master_link_status"), "down");
    assert_eq!(field(&fields, "raft_leader_id"), "0");
    assert_eq!(field(&fields, "raft_leader_addr"), "");
}

#[test]
fn info_counts_commands_and_errors() {
    let mut node = Node::for_test();
    let get = kv::lookup(b"get").expect("in the table").id;
    node.stats.count_call(get, b"$-1\r\n", false);
    node.stats.count_call(get, b"-WRONGTYPE x\r\n", true);
    node.stats.count_time(&node.settings, get, 0, 100);
    node.stats.count_rejection(get, b"-ERR wrong number\r\n");
    let fields = info(&mut node, "commandstats errorstats latencystats");
    assert_eq!(
        field(&fields, "cmdstat_get"),
        "calls=2,usec=100,usec_per_call=50.00,rejected_calls=1,failed_calls=1"
    );
    assert_eq!(field(&fields, "errorstat_WRONGTYPE"), "count=1");
    assert_eq!(
        field(&fields, "latency_percentiles_usec_get"),
        "p50=128.000,p99=128.000,p99.9=128.000"
    );
    let client = node.connect();
    node.reply(client, "CONFIG RESETSTAT");
    assert_eq!(info(&mut node, "commandstats errorstats"), []);
}

#[test]
fn config_set_changes_all_or_nothing_and_takes_effect() {
    let mut node = Node::for_test();
    let client = node.connect();
    let refused = node.reply(client, "CONFIG SET maxclients 5 slowlog-max-len x");
    assert!(refused.starts_with("-ERR CONFIG SET failed"), "{refused}");
    assert_eq!(node.settings.clients_max, 10_000);
    assert_eq!(
        node.reply(client, "CONFIG SET maxclients 5 slowlog-max-len 7"),
        "+OK\\r\\n"
    );
    assert_eq!(
        (node.settings.clients_max, node.settings.slowlog_entries_max),
        (5, 7)
    );
    assert_eq!(node.reply(client, "CONFIG SET appendonly yes"), "+OK\\r\\n");
    assert_eq!(
        node.reply(client, "CONFIG SET appendonly no"),
        "-ERR CONFIG SET failed (possibly related to argument 'appendonly') - can't set immutable \
         config\\r\\n"
    );
    assert_eq!(
        node.reply(client, "CONFIG GET bind"),
        "*2\\r\\n$4\\r\\nbind\\r\\n$8\\r\\n10.0.0.1\\r\\n"
    );
    assert_eq!(
        node.reply(client, "CONFIG GET save appendonly nope"),
        "*4\\r\\n$10\\r\\nappendonly\\r\\n$3\\r\\nyes\\r\\n$4\\r\\nsave\\r\\n$0\\r\\n\\r\\n"
    );
}

#[test]
fn the_slow_log_shows_what_was_recorded() {
    let mut node = Node::for_test();
    let client = node.connect();
    node.reply(client, "CLIENT SETNAME me");
    for (duration_us, key) in [(9_999, b"fast"), (10_000, b"slow")] {
        let Node {
            slowlog,
            settings,
            sessions,
            now,
            ..
        } = &mut node;
        let session = sessions.find(client).expect("there");
        slowlog.record(settings, session, now.wall_ms, duration_us, &[b"GET", key]);
    }
    assert_eq!(
        node.reply(client, "SLOWLOG GET"),
        "*1\\r\\n*6\\r\\n:0\\r\\n:1700000000\\r\\n:10000\\r\\n*2\\r\\n$3\\r\\nGET\\r\\n$4\\r\\nslow\
         \\r\\n$15\\r\\n127.0.0.1:50000\\r\\n$2\\r\\nme\\r\\n"
    );
    node.reply(client, "CONFIG SET slowlog-max-len 0");
    assert_eq!(node.reply(client, "SLOWLOG LEN"), ":0\\r\\n");
}

#[test]
fn latency_is_sampled_above_the_threshold() {
    let mut node = Node::for_test();
    let client = node.connect();
    node.reply(client, "CONFIG SET latency-monitor-threshold 20");
    let keys = kv::lookup(b"keys").expect("in the table").id;
    for duration_us in [19_999, 20_000, 30_000] {
        let wall_ms = node.now.wall_ms;
        node.stats
            .count_time(&node.settings, keys, wall_ms, duration_us);
    }
    assert_eq!(
        node.reply(client, "LATENCY LATEST"),
        "*1\\r\\n*4\\r\\n$7\\r\\ncommand\\r\\n:1700000000\\r\\n:30\\r\\n:30\\r\\n"
    );
    assert!(
        node.reply(client, "LATENCY GRAPH command")
            .contains("0s ####")
    );
    assert!(
        node.reply(client, "LATENCY DOCTOR")
            .contains("command: 1 seconds")
    );
    assert_eq!(node.reply(client, "LATENCY RESET command"), ":1\\r\\n");
}

#[test]
fn the_cluster_is_one_shard_that_the_leader_owns() {
    let mut node = Node::for_test_of(3);
    let client = node.connect();
    let names: Vec<String> = (1..=3)
        .map(|id| cluster::node_name(&node, raft::NodeId(id)))
        .collect();
    assert_eq!(
        node.reply(client, "CLUSTER MYID"),
        format!("$40\\r\\n{}\\r\\n", names[0])
    );
    let entry = |id: usize| {
        format!(
            "*4\\r\\n$8\\r\\n10.0.0.{id}\\r\\n:7000\\r\\n$40\\r\\n{}\\r\\n*0\\r\\n",
            names[id - 1]
        )
    };
    let slots = |order: [usize; 3]| {
        let entries: String = order.into_iter().map(entry).collect();
        format!("*1\\r\\n*5\\r\\n:0\\r\\n:16383\\r\\n{entries}")
    };
    assert_eq!(node.reply(client, "CLUSTER SLOTS"), slots([1, 2, 3]));
    node.follow(Some(3));
    assert_eq!(node.reply(client, "CLUSTER SLOTS"), slots([3, 1, 2]));
    let nodes = node.reply(client, "CLUSTER NODES");
    let mine = format!(
        "{} 10.0.0.1:7000@8000 myself,slave {} 0 0 3 connected\\n",
        names[0], names[2]
    );
    let leader = format!(
        "{} 10.0.0.3:7000@8000 master - 0 0 3 connected 0-16383\\n",
        names[2]
    );
    assert!(nodes.contains(&mine) && nodes.contains(&leader), "{nodes}");
    let shards = node.reply(client, "CLUSTER SHARDS");
    assert!(
        shards.contains("$4\\r\\nrole\\r\\n$6\\r\\nmaster\\r\\n"),
        "{shards}"
    );
    let replicas = node.reply(client, &format!("CLUSTER REPLICAS {}", names[2]));
    assert!(replicas.starts_with("*2\\r\\n"), "{replicas}");
}

#[test]
fn links_come_in_pairs_of_directions() {
    let mut node = Node::for_test_of(3);
    let client = node.connect();
    let link = |direction: &str, id: u64| {
        let name = cluster::node_name(&node, raft::NodeId(id));
        format!(
            "*6\\r\\n$9\\r\\ndirection\\r\\n${}\\r\\n{direction}\\r\\n$4\\r\\nnode\\r\\n\
             $40\\r\\n{name}\\r\\n$6\\r\\nevents\\r\\n$2\\r\\nrw\\r\\n",
            direction.len()
        )
    };
    let expected = ["to", "from"].map(|direction| link(direction, 3)).concat();
    node.members
        .get_mut(&raft::NodeId(2))
        .expect("a member")
        .connected = false;
    assert_eq!(
        node.reply(client, "CLUSTER LINKS"),
        format!("*2\\r\\n{expected}")
    );
}

#[test]
fn slots_stay_with_the_last_leader_while_there_is_none() {
    let mut node = Node::for_test_of(3);
    let client = node.connect();
    node.follow(Some(2));
    node.follow(None);
    node.members
        .get_mut(&raft::NodeId(2))
        .expect("a member")
        .connected = false;
    let slots = node.reply(client, "CLUSTER SLOTS");
    assert!(
        slots.starts_with("*1\\r\\n*5\\r\\n:0\\r\\n:16383\\r\\n*4\\r\\n$8\\r\\n10.0.0.2"),
        "{slots}"
    );
    let nodes = node.reply(client, "CLUSTER NODES");
    assert!(
        nodes.contains("master,fail? - 0 0 3 disconnected 0-16383"),
        "{nodes}"
    );
    let info = node.reply(client, "CLUSTER INFO");
    assert!(info.contains("cluster_state:fail\\r\\n"), "{info}");
    assert!(
        node.reply(client, "CLUSTER SHARDS")
            .contains("$4\\r\\nfail\\r\\n")
    );
}

#[test]
fn a_node_that_knows_nobody_names_itself() {
    let mut node = Node::for_test_of(3);
    node.follow(None);
    for id in [2, 3] {
        let member = node.members.get_mut(&raft::NodeId(id)).expect("a member");
        member.client_addr.clear();
        member.connected = false;
    }
    let client = node.connect();
    let slots = node.reply(client, "CLUSTER SLOTS");
    assert!(
        slots.starts_with("*1\\r\\n*3\\r\\n:0\\r\\n:16383\\r\\n*4\\r\\n$8\\r\\n10.0.0.1"),
        "{slots}"
    );
    assert!(
        node.reply(client, "CLUSTER NODES")
            .contains(":0@8000 slave,fail?,noaddr ")
    );
}

#[test]
fn role_tells_leader_and_followers() {
    let mut node = Node::for_test_of(2);
    let client = node.connect();
    assert_eq!(
        node.reply(client, "ROLE"),
        "*3\\r\\n$6\\r\\nmaster\\r\\n:9\\r\\n*1\\r\\n*3\\r\\n$8\\r\\n10.0.0.2\\r\\n$4\\r\\n7000\\r\\n\
         $1\\r\\n7\\r\\n"
    );
    node.follow(Some(2));
    assert_eq!(
        node.reply(client, "ROLE"),
        "*5\\r\\n$5\\r\\nslave\\r\\n$8\\r\\n10.0.0.2\\r\\n:7000\\r\\n$9\\r\\nconnected\\r\\n:9\\r\\n"
    );
}

#[test]
fn wait_tells_the_rest_of_the_majority_or_more_that_the_leader_knows() {
    let mut node = Node::for_test_of(3);
    let client = node.connect();
    assert_eq!(node.reply(client, "WAIT 2 100"), ":1\\r\\n");
    assert_eq!(
        node.reply(client, "WAITAOF 1 1 0"),
        "*2\\r\\n:1\\r\\n:1\\r\\n"
    );
    for member in node.members.values_mut() {
        member.matched = 9;
    }
    assert_eq!(node.reply(client, "WAIT 2 100"), ":2\\r\\n");
    let reply = node.reply(client, "WAITAOF 2 1 0");
    assert_eq!(
        reply,
        "-ERR value is out of range, value must between 0 and 1\\r\\n"
    );
}

#[test]
fn time_is_the_nodes_clock() {
    let mut node = Node::for_test();
    node.now = Now {
        wall_ms: 1_700_000_000_123,
        mono_us: 5,
    };
    let client = node.connect();
    let expected = "*2\\r\\n$10\\r\\n1700000000\\r\\n$6\\r\\n123000\\r\\n";
    assert_eq!(node.reply(client, "TIME"), expected);
}

#[test]
fn shutdown_is_handed_to_the_shell() {
    let mut node = Node::for_test();
    let client = node.connect();
    assert_eq!(node.reply(client, "SHUTDOWN"), "");
    assert_eq!(node.shutdown, Some(Shutdown { now: false }));
    assert_eq!(node.reply(client, "SHUTDOWN NOSAVE"), "");
    assert_eq!(node.shutdown, Some(Shutdown { now: true }));
}

#[test]
fn debug_sleep_in_a_transaction_holds_back_what_follows() {
    let mut node = Node::for_test();
    let client = node.connect();
    assert_eq!(node.reply(client, "DEBUG SLEEP 0.5"), "+OK\\r\\n");
    let until_us = node.now.mono_us + 500_000;
    assert_eq!(node.session(client).asleep_until_us, until_us);
    assert!(
        node.reply(client, "DEBUG SLEEP 1e30")
            .starts_with("-ERR DEBUG SLEEP takes")
    );
    assert_eq!(
        node.reply(client, "DEBUG SLEEP nan"),
        node.reply(client, "DEBUG SLEEP inf")
    );
}

#[test]
fn generated_passwords_have_the_length_asked_for_and_differ() {
    let mut node = Node::for_test();
    let client = node.connect();
    let (first, second) = (
        node.reply(client, "ACL GENPASS"),
        node.reply(client, "ACL GENPASS"),
    );
    assert!(first.starts_with("$64\\r\\n") && first != second, "{first}");
    assert!(node.reply(client, "ACL GENPASS 5").starts_with("$2\\r\\n"));
    assert!(
        node.reply(client, "ACL GENPASS 4096")
            .starts_with("$1024\\r\\n")
    );
}

#[test]
fn lolwut_draws_the_cluster() {
    let mut node = Node::for_test_of(3);
    let client = node.connect();
    let drawing = node.reply(client, "LOLWUT");
    assert!(drawing.contains("2 of 3 agree"), "{drawing}");
    assert!(
        drawing.ends_with("Quorate ver. 0.1.0\\n\\r\\n"),
        "{drawing}"
    );
}
