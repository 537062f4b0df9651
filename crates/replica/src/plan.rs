//! What a gateway does for its clients when a batch is applied or a read is confirmed.
//!
//! The commands of a connection are cut into *runs*. A run without a write waits for a confirmed
//! read index; a run with one goes into the log, its writes in the batch, all else in the plan
//! beside it, which never leaves the gateway. Running the plan makes the replies, in order.

use crate::batch::push_transaction;
use crate::config::ClientId;
use crate::encoding::{encoded_length, push_command};
use crate::session::Watch;
use kv::CommandId;

/// One step of a plan. What a step needs beyond its length stands in the plan's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The steps that follow are this client's.
    Client(ClientId),
    /// The next command of the batch.
    Write,
    /// A read of the keyspace: an encoded command.
    Read { length: u32 },
    /// A session command: an encoded command.
    Session { length: u32 },
    /// A reply that was known when the command arrived: its bytes.
    Literal { length: u32 },
    /// EXEC of a transaction with writes: they and what it watches are the next record of the batch,
    /// and the next `steps` steps are its commands.
    LoggedExec { steps: u32 },
    /// EXEC of a transaction without a write: what it watches, encoded as in a batch. The next
    /// `steps` steps are its commands.
    ///
    /// The watches are here and not left in the session, because commands behind this one, already
    /// cut while it waits, may end what the session watches.
    ReadExec { steps: u32, length: u32 },
    /// The client's run ends here.
    EndRun,
    /// The client is to be disconnected.
    Close,
}

/// Steps in order, for any number of clients.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// What is to be done, in order.
    pub(crate) steps: Vec<Step>,
    /// The steps' bytes, one after the other.
    pub(crate) buffer: Vec<u8>,
    /// When its first run was cut, if it was said.
    pub(crate) arrived_us: Option<u64>,
    /// Whose steps are being added, so that it is named once.
    client: Option<ClientId>,
}

/// A place in a plan, to move what was added behind it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The next step.
    pub(crate) step: usize,
    /// The next byte of the buffer.
    pub(crate) byte: usize,
}

impl Plan {
    pub(crate) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Bytes it holds in memory, roughly.
    pub(crate) fn memory(&self) -> usize {
        self.buffer.len() + self.steps.len() * size_of::<Step>()
    }

    /// The end of the plan as it is now.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            step: self.steps.len(),
            byte: self.buffer.len(),
        }
    }

    fn push(&mut self, client: ClientId, step: Step) {
        if self.client != Some(client) {
            self.client = Some(client);
            self.steps.push(Step::Client(client));
        }
        self.steps.push(step);
    }

    pub(crate) fn write(&mut self, client: ClientId) {
        self.push(client, Step::Write);
    }

    pub(crate) fn read(&mut self, client: ClientId, id: CommandId, db: u8, args: &[&[u8]]) {
        let length = encoded_length(args.iter().copied()) as u32;
        self.push(client, Step::Read { length });
        push_command(&mut self.buffer, id, db, args.iter().copied());
    }

    pub(crate) fn session(&mut self, client: ClientId, id: CommandId, db: u8, args: &[&[u8]]) {
        let length = encoded_length(args.iter().copied()) as u32;
        self.push(client, Step::Session { length });
        push_command(&mut self.buffer, id, db, args.iter().copied());
    }

    /// A read or session command that is encoded already.
    pub(crate) fn encoded(&mut self, client: ClientId, step: Step, command: &[u8]) {
        self.push(client, step);
        self.buffer.extend_from_slice(command);
    }

    pub(crate) fn literal(&mut self, client: ClientId, reply: &[u8]) {
        self.push(
            client,
            Step::Literal {
                length: reply.len() as u32,
            },
        );
        self.buffer.extend_from_slice(reply);
    }

    pub(crate) fn logged_exec(&mut self, client: ClientId, steps: u32) {
        self.push(client, Step::LoggedExec { steps });
    }

    pub(crate) fn read_exec(&mut self, client: ClientId, steps: u32, watches: &[Watch]) {
        let before = self.buffer.len();
        push_transaction(&mut self.buffer, watches, 0);
        let length = (self.buffer.len() - before) as u32;
        self.push(client, Step::ReadExec { steps, length });
    }

    pub(crate) fn end_run(&mut self, client: ClientId) {
        self.push(client, Step::EndRun);
        // The next run of the same client names it again, so that runs can be moved one by one.
        self.client = None;
    }

    pub(crate) fn close(&mut self, client: ClientId) {
        self.push(client, Step::Close);
    }

    /// Moves all that stands behind `mark` to the end of `other`.
    pub(crate) fn move_tail(&mut self, mark: Mark, other: &mut Plan) {
        other.steps.extend(self.steps.drain(mark.step..));
        other.buffer.extend(self.buffer.drain(mark.byte..));
        other.client = self.client.take();
    }

    /// Adds steps of one client from another plan.
    pub(crate) fn copy_steps(&mut self, client: ClientId, steps: &[Step], buffer: &[u8]) {
        self.client = None;
        for step in steps {
            self.push(client, *step);
        }
        self.buffer.extend_from_slice(buffer);
        self.client = None;
    }

    /// Adds another plan behind this one.
    pub(crate) fn append(&mut self, other: Plan) {
        self.steps.extend(other.steps);
        self.buffer.extend(other.buffer);
        self.client = other.client;
        self.arrived_us = self.arrived_us.or(other.arrived_us);
    }
}

impl Step {
    /// How many bytes of the plan's buffer are the step's.
    pub(crate) fn length(self) -> usize {
        match self {
            Step::Read { length }
            | Step::Session { length }
            | Step::Literal { length }
            | Step::ReadExec { length, .. } => length as usize,
            Step::Client(_)
            | Step::Write
            | Step::LoggedExec { .. }
            | Step::EndRun
            | Step::Close => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ClientId = ClientId {
        slot: 0,
        generation: 1,
    };
    const B: ClientId = ClientId {
        slot: 1,
        generation: 1,
    };

    /// What a plan does, with the clients named where they change.
    fn told(plan: &Plan) -> String {
        let mut byte = 0;
        let mut words = Vec::new();
        for step in &plan.steps {
            let bytes = &plan.buffer[byte..byte + step.length()];
            byte += step.length();
            words.push(match step {
                Step::Client(client) => format!("{}:", if *client == A { 'a' } else { 'b' }),
                Step::Literal { .. } => String::from_utf8_lossy(bytes).into_owned(),
                Step::Write => "write".into(),
                Step::EndRun => "end".into(),
                Step::LoggedExec { steps } | Step::ReadExec { steps, .. } => format!("exec{steps}"),
                Step::Read { .. } => "read".into(),
                Step::Session { .. } => "session".into(),
                Step::Close => "close".into(),
            });
        }
        assert_eq!(byte, plan.buffer.len(), "no bytes without a step");
        words.join(" ")
    }

    fn run(plan: &mut Plan, client: ClientId, replies: &[&str]) {
        for reply in replies {
            plan.literal(client, reply.as_bytes());
        }
        plan.end_run(client);
    }

    #[test]
    fn a_client_is_named_once_a_run() {
        let mut plan = Plan::default();
        run(&mut plan, A, &["1", "2"]);
        run(&mut plan, A, &["3"]);
        run(&mut plan, B, &["4"]);
        assert_eq!(told(&plan), "a: 1 2 end a: 3 end b: 4 end");
    }

    #[test]
    fn a_run_that_meets_a_write_takes_its_reads_along() {
        let (mut reads, mut log) = (Plan::default(), Plan::default());
        run(&mut reads, A, &["other"]);
        run(&mut log, B, &["before"]);
        let mark = reads.mark();
        reads.literal(A, b"x");
        reads.read(A, CommandId(1), 0, &[b"GET", b"k"]);
        reads.move_tail(mark, &mut log);
        log.write(A);
        log.end_run(A);
        run(&mut reads, A, &["behind"]);
        assert_eq!(told(&reads), "a: other end a: behind end");
        assert_eq!(told(&log), "b: before end a: x read write end");
    }

    #[test]
    fn plans_are_joined_and_their_parts_copied() {
        let mut plan = Plan::default();
        run(&mut plan, A, &["1"]);
        let mut other = Plan::default();
        run(&mut other, A, &["2"]);
        other.arrived_us = Some(5);
        plan.append(other);
        assert_eq!(told(&plan), "a: 1 end a: 2 end");
        assert_eq!(plan.arrived_us, Some(5));
        let mut deferred = Plan::default();
        deferred.copy_steps(A, &plan.steps[4..], b"2");
        deferred.copy_steps(B, &[Step::EndRun], b"");
        assert_eq!(told(&deferred), "a: 2 end b: end");
    }
}
