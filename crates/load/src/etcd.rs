//! Load by the protocol of etcd v3, through the `etcd-client` crate.
//!
//! One thread, as for RESP. A connection is a client of its own, that is one HTTP/2 connection; what
//! is in flight on it are so many requests at a time, which HTTP/2 carries side by side. A request
//! that has its answer is followed by the next at once: there is no pipeline to wait for.
//!
//! In an open loop a second thread does nothing but say when a command is due, since the timers of
//! tokio count whole milliseconds.

use std::{cell::RefCell, rc::Rc, time::Duration};

use etcd_client::{Client, ConnectOptions, Error, KvClient, Txn, TxnOp};
use tokio::{
    sync::{
        Mutex,
        mpsc::{UnboundedReceiver, unbounded_channel},
    },
    task::LocalSet,
    time::{sleep, timeout},
};

use crate::{
    commands::{Command, Commands, ValuePool},
    measure::{Outcome, Recorder, Started},
    options::Plan,
    report::Run,
    schedule::{Clock, OpenLoop, Window},
};

/// How long a node may take to answer at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After a request that failed, so that a node that is down is not asked in a busy loop.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(20);
/// The writes of one transaction when keys are filled in; etcd takes 128 by default.
const FILL_WRITES: usize = 100;

/// Runs the plan. An error is one line, and means that nothing was measured.
pub(crate) fn run(plan: &Plan) -> Result<Run, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    runtime.block_on(LocalSet::new().run_until(drive(plan)))
}

/// What all requests share.
struct Shared {
    plan: Plan,
    clock: Clock,
    window: Window,
    pool: ValuePool,
    recorder: RefCell<Recorder>,
    /// When commands are due, each told at its time; `None` in a closed loop.
    due: Option<Mutex<UnboundedReceiver<u64>>>,
}

async fn drive(plan: &Plan) -> Result<Run, String> {
    let mut clients = Vec::with_capacity(plan.connections);
    for number in 0..plan.connections {
        clients.push(connect(plan, number).await?);
    }
    let window = Window::new(plan);
    let pool = ValuePool::new(plan.seed, plan.value_bytes);
    let clock = Clock::start();
    let shared = Rc::new(Shared {
        plan: plan.clone(),
        clock,
        window,
        pool,
        recorder: RefCell::new(Recorder::new(window)),
        due: plan
            .rate
            .map(|rate| Mutex::new(announce(OpenLoop::new(rate, &window), clock))),
    });
    let mut workers = Vec::new();
    for (number, client) in clients.iter().enumerate() {
        let commands = Rc::new(RefCell::new(Commands::new(plan, number)));
        for _ in 0..plan.pipeline {
            let worker = Worker {
                shared: Rc::clone(&shared),
                client: client.kv_client(),
                commands: Rc::clone(&commands),
            };
            workers.push(tokio::task::spawn_local(worker.run()));
        }
    }
    for worker in workers {
        worker
            .await
            .map_err(|error| format!("a request panicked: {error}"))?;
    }
    Ok(Run {
        elapsed: shared.clock.now(),
        recorder: shared.recorder.replace(Recorder::new(window)),
        traffic: None,
    })
}

async fn connect(plan: &Plan, number: usize) -> Result<Client, String> {
    let target = plan.target(number, 0);
    let attempt = async {
        let options = ConnectOptions::new().with_connect_timeout(CONNECT_TIMEOUT);
        let mut client = Client::connect([target.name.as_str()], Some(options)).await?;
        // A client connects when it is first used.
        client.status().await?;
        Ok::<_, Error>(client)
    };
    let reason = match timeout(CONNECT_TIMEOUT, attempt).await {
        Ok(Ok(client)) => return Ok(client),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer in {} s", CONNECT_TIMEOUT.as_secs()),
    };
    let (name, all) = (&target.name, plan.connections);
    Err(format!(
        "connection {} of {all} to {name} failed: {reason}",
        number + 1
    ))
}

/// Tells each command at the moment when it is due.
fn announce(mut schedule: OpenLoop, clock: Clock) -> UnboundedReceiver<u64> {
    let (sender, receiver) = unbounded_channel();
    std::thread::spawn(move || {
        while let Some(due) = schedule.take() {
            let wait = due.saturating_sub(clock.now());
            if wait > 0 {
                std::thread::sleep(Duration::from_nanos(wait));
            }
            if sender.send(due).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Sends one request at a time.
struct Worker {
    shared: Rc<Shared>,
    client: KvClient,
    /// Those of the connection, which its workers take in turn.
    commands: Rc<RefCell<Commands>>,
}

impl Worker {
    async fn run(mut self) {
        if self.shared.plan.is_fill {
            return self.fill().await;
        }
        let shared = Rc::clone(&self.shared);
        while let Some(at) = self.next_start().await {
            let Some(command) = self.commands.borrow_mut().next(&shared.pool) else {
                break;
            };
            let started = Started {
                at,
                is_read: command.value.is_none(),
            };
            let left = shared.window.give_up.saturating_sub(shared.clock.now());
            let call = timeout(Duration::from_nanos(left), call(&mut self.client, &command));
            let ended = match left {
                0 => None,
                _ => call.await.ok(),
            };
            let now = shared.clock.now();
            let Some(outcome) = ended else {
                shared.recorder.borrow_mut().abandoned(started, now);
                continue;
            };
            match outcome {
                Ok(outcome) => shared.recorder.borrow_mut().ended(started, now, outcome),
                Err(error) => {
                    let text = error.to_string();
                    let outcome = Outcome::Failed(&text);
                    shared.recorder.borrow_mut().ended(started, now, outcome);
                    sleep(PAUSE_AFTER_FAILURE).await;
                }
            }
        }
    }

    /// When the next command counts as begun: now, or when it was due, which is waited for. `None`
    /// when there are no more.
    async fn next_start(&self) -> Option<u64> {
        match &self.shared.due {
            None => {
                let now = self.shared.clock.now();
                (now < self.shared.window.until).then_some(now)
            }
            Some(due) => due.lock().await.recv().await,
        }
    }

    /// Writes the keys of the connection, many in one transaction.
    async fn fill(&mut self) {
        let shared = Rc::clone(&self.shared);
        loop {
            let mut writes = Vec::with_capacity(FILL_WRITES);
            while writes.len() < FILL_WRITES
                && let Some(command) = self.commands.borrow_mut().next(&shared.pool)
            {
                let value = command.value.unwrap_or_default();
                writes.push(TxnOp::put(command.key, value, None));
            }
            if writes.is_empty() {
                return;
            }
            let (count, at) = (writes.len(), shared.clock.now());
            let call = self.client.txn(Txn::new().and_then(writes));
            let error = match timeout(shared.plan.patience, call).await {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer".to_owned()),
            };
            let outcome = error.as_deref().map_or(Outcome::Done, Outcome::Failed);
            let (now, is_read) = (shared.clock.now(), false);
            for _ in 0..count {
                let mut recorder = shared.recorder.borrow_mut();
                recorder.ended(Started { at, is_read }, now, outcome);
            }
        }
    }
}

async fn call(client: &mut KvClient, command: &Command<'_>) -> Result<Outcome<'static>, Error> {
    match command.value {
        Some(value) => {
            client.put(command.key, value, None).await?;
            Ok(Outcome::Done)
        }
        None => {
            let reply = client.get(command.key, None).await?;
            Ok(match reply.kvs().is_empty() {
                true => Outcome::Miss,
                false => Outcome::Done,
            })
        }
    }
}
