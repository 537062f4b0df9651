//! Compare and set: watch, read, think, write.

use crate::clients::commands::{command, token};
use crate::clients::connection::{Expect, Requests};

/// A transaction that is done only if what it read is still true.
#[derive(Debug)]
pub(crate) struct Optimistic {
    /// Whether it reads what it wrote.
    pub(super) reads: bool,
    /// How long the client thinks before it goes on.
    pub(crate) pause_us: u64,
    /// The keys that are watched.
    pub(super) keys: Vec<Vec<u8>>,
    /// What the keys held, as far as it is known.
    pub(super) values: Vec<Option<Vec<u8>>>,
    /// WATCH or a read was refused: the transaction must not be done.
    pub(crate) failed: bool,
}

impl Optimistic {
    /// A key was read, or the read was refused.
    pub(crate) fn read(&mut self, value: Option<Vec<u8>>) {
        self.values.push(value);
    }

    /// Whether all keys are read.
    pub(crate) fn is_read(&self) -> bool {
        self.values.len() == self.keys.len()
    }

    /// The transaction itself.
    pub(crate) fn finish(self, tokens: &mut u64, requests: &mut Requests<'_>) {
        let mut commands = Vec::with_capacity(3 * self.keys.len());
        let watches = self.keys.len();
        for (key, value) in self.keys.iter().zip(self.values) {
            let mut watch = command(&[b"WATCH", key]);
            watch.extend(value);
            commands.push(watch);
        }
        for key in &self.keys {
            let value = token(requests.process, tokens);
            commands.push(command(&[b"SET", key, &value]));
        }
        if self.reads {
            commands.push(command(&[b"GET", &self.keys[0]]));
        }
        requests.session(&[b"MULTI"], Expect::Ok);
        for command in &commands[watches..] {
            requests.queue(command);
        }
        let expect = Expect::Exec {
            commands: commands.len() - watches,
            watches,
        };
        requests.end(b"EXEC", expect, commands);
    }
}
