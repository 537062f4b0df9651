//! fred, an asynchronous client that nobody here wrote, against three real processes: each test runs
//! in RESP2 and RESP3, on the leader and on both followers.

mod harness;

use std::future::Future;

use fred::{
    prelude::{
        Builder, Client, ClientLike, Config, Error, EventInterface, KeysInterface, PubsubInterface,
        Server, ServerConfig, TransactionInterface,
    },
    types::{Expiration, RespVersion, Value},
};
use harness::{Cluster, PATIENCE, alone};

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let bounded = async { tokio::time::timeout(PATIENCE, test).await };
    runtime
        .block_on(bounded)
        .expect("the test takes less than its patience")
}

fn builder(cluster: &Cluster, node: usize, version: RespVersion) -> Builder {
    let server = Server::new("127.0.0.1", cluster.node(node).port);
    Builder::from_config(Config {
        server: ServerConfig::Centralized { server },
        version,
        ..Config::default()
    })
}

async fn connect(cluster: &Cluster, node: usize, version: RespVersion) -> Client {
    let client = builder(cluster, node, version).build().expect("a client");
    client.init().await.expect("the node takes connections");
    client
}

/// Every protocol on every node.
fn everywhere<F: Future<Output = Result<(), Error>>>(
    cluster: &Cluster,
    test: impl Fn(Client, String) -> F,
) {
    for version in [RespVersion::RESP2, RespVersion::RESP3] {
        for node in cluster.ids() {
            run(async {
                let client = connect(cluster, node, version.clone()).await;
                let prefix = format!("{version:?}:{node}:");
                test(client.clone(), prefix)
                    .await
                    .expect("no command fails");
                client.quit().await.expect("QUIT");
            });
        }
    }
}

#[test]
fn values_written_on_one_node_are_read_on_every_other() {
    let _alone = alone();
    let cluster = Cluster::of_three();
    everywhere(&cluster, async |client, prefix| {
        let key = format!("{prefix}key");
        let expiry = Some(Expiration::EX(1000));
        let () = client.set(&key, "value", expiry, None, false).await?;
        let count: i64 = client.incr_by(format!("{prefix}counter"), 7).await?;
        assert_eq!(count, 7);
        for reader in cluster.ids() {
            let other = connect(&cluster, reader, RespVersion::RESP3).await;
            let value: String = other.get(&key).await?;
            assert_eq!(value, "value", "{key} on node {reader}");
            let left: i64 = other.ttl(&key).await?;
            assert!(
                (900..=1000).contains(&left),
                "{left} s left on node {reader}"
            );
            other.quit().await?;
        }
        Ok(())
    });
}

#[test]
fn pipelines_answer_in_order() {
    let _alone = alone();
    let cluster = Cluster::of_three();
    everywhere(&cluster, async |client, prefix| {
        let key = format!("{prefix}counter");
        let pipeline = client.pipeline();
        for _ in 0..1000 {
            let () = pipeline.incr(&key).await?;
        }
        let replies: Vec<i64> = pipeline.all().await?;
        assert_eq!(replies, (1..=1000).collect::<Vec<_>>());
        Ok(())
    });
}

#[test]
fn commands_of_many_tasks_share_a_connection() {
    let _alone = alone();
    let cluster = Cluster::of_three();
    everywhere(&cluster, async |client, prefix| {
        let key = format!("{prefix}counter");
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (client, key) = (client.clone(), key.clone());
            tasks.spawn(async move {
                for _ in 0..10 {
                    let () = client.incr(&key).await?;
                }
                Ok::<(), Error>(())
            });
        }
        for outcome in tasks.join_all().await {
            outcome?;
        }
        let count: i64 = client.get(&key).await?;
        assert_eq!(count, 500);
        Ok(())
    });
}

#[test]
fn transactions_are_one_step() {
    let _alone = alone();
    let cluster = Cluster::of_three();
    everywhere(&cluster, async |client, prefix| {
        let transaction = client.multi();
        let queued: Value = transaction.incr(format!("{prefix}a")).await?;
        assert!(queued.is_queued());
        let _: Value = transaction.incr_by(format!("{prefix}b"), 2).await?;
        let _: Value = transaction.get(format!("{prefix}a")).await?;
        let replies: (i64, i64, i64) = transaction.exec(true).await?;
        assert_eq!(replies, (1, 2, 1));
        Ok(())
    });
}

#[test]
fn messages_reach_subscribers_on_other_nodes() {
    const MESSAGES: usize = 100;
    let _alone = alone();
    let cluster = Cluster::of_three();
    for version in [RespVersion::RESP2, RespVersion::RESP3] {
        for node in cluster.ids() {
            run(async {
                let mut subscriber = builder(&cluster, node, version.clone());
                // fred drops messages that its application does not fetch; this one fetches at the end.
                subscriber.with_performance_config(|config| {
                    config.broadcast_channel_capacity = 2 * MESSAGES;
                });
                let subscriber = subscriber.build_subscriber_client().expect("a client");
                subscriber.init().await.expect("the node takes connections");
                let mut messages = subscriber.message_rx();
                subscriber.subscribe("news").await.expect("SUBSCRIBE");
                subscriber.psubscribe("new?").await.expect("PSUBSCRIBE");
                let publisher = connect(&cluster, cluster.others(node)[0], version.clone()).await;
                for number in 0..MESSAGES {
                    let () = publisher
                        .publish("news", number.to_string())
                        .await
                        .expect("PUBLISH");
                }
                for number in 0..2 * MESSAGES {
                    let message = messages.recv().await.expect("a message");
                    let payload: usize = message.value.convert().expect("a number");
                    assert_eq!((&*message.channel, payload), ("news", number / 2));
                }
                subscriber.quit().await.expect("QUIT");
                publisher.quit().await.expect("QUIT");
            });
        }
    }
}
