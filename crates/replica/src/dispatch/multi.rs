//! Requests of a transaction: queued behind MULTI, cut into a run by EXEC.

use kv::{CommandFlags, CommandSpec, error_text};

use crate::commands::Schedule;
use crate::config::ClientId;
use crate::encoding::{encoded_length, push_command};
use crate::errors;
use crate::kinds::Kind;
use crate::replica::Replica;
use crate::session::{Multi, Session};
use crate::transaction;

use super::{Run, Taken, Target};

impl Replica {
    /// A command that is refused spoils the transaction in which it stands, and EXEC ends it.
    /// Returns the reply. Doing it again changes nothing, so it need not wait until the reply has
    /// found its place.
    pub(super) fn spoil_transaction(
        &mut self,
        client: ClientId,
        name: &[u8],
        refusal: Vec<u8>,
    ) -> Vec<u8> {
        let session = self.node.session(client);
        if name.eq_ignore_ascii_case(b"exec") {
            session.multi = None;
            session.watches.clear();
            return transaction::refused_exec(&refusal);
        }
        if let Some(multi) = &mut session.multi {
            multi.aborted = true;
        }
        refusal
    }

    pub(super) fn start_multi(&mut self, client: ClientId, run: &mut Run) -> Taken {
        if self.node.session(client).multi.is_some() {
            return self.reply_error(client, run, transaction::NESTED_MULTI.as_bytes());
        }
        let taken = self.reply_literal(client, run, b"+OK\r\n");
        if taken == Taken::Yes {
            self.node.session(client).multi = Some(Multi::default());
        }
        taken
    }

    /// Queues a command of a transaction.
    pub(super) fn queue(
        &mut self,
        client: ClientId,
        run: &mut Run,
        spec: &CommandSpec,
        kind: Kind,
        args: &[&[u8]],
    ) -> Taken {
        let bytes = encoded_length(args.iter().copied());
        let queued = self.node.session(client).queued_bytes();
        let limit = self.node.config.entry_bytes_max;
        let refused = match kind {
            Kind::Watch => Some(transaction::WATCH_INSIDE_MULTI.to_owned()),
            Kind::Unsupported => Some(
                error_text::refused(spec)
                    .unwrap_or_else(|| format!("ERR '{}' is not supported", spec.name)),
            ),
            _ if spec.flags.contains(CommandFlags::NO_MULTI) => {
                Some("ERR Command not allowed inside a transaction".to_owned())
            }
            _ if queued + bytes > limit => Some(errors::too_large(queued + bytes, limit)),
            _ => None,
        };
        if let Some(text) = refused {
            let taken = self.reply_error(client, run, text.as_bytes());
            let watch = matches!(kind, Kind::Watch);
            if taken == Taken::Yes
                && !watch
                && let Some(multi) = &mut self.node.session(client).multi
            {
                multi.aborted = true;
            }
            return taken;
        }
        let taken = self.reply_literal(client, run, b"+QUEUED\r\n");
        if taken == Taken::Yes {
            self.node.session(client).enqueue(spec, kind, args);
        }
        taken
    }

    pub(super) fn start_discard(&mut self, client: ClientId, run: &mut Run) -> Taken {
        if self.node.session(client).multi.is_none() {
            return self.reply_error(client, run, transaction::DISCARD_WITHOUT_MULTI.as_bytes());
        }
        let taken = self.reply_literal(client, run, b"+OK\r\n");
        if taken == Taken::Yes {
            let session = self.node.session(client);
            session.multi = None;
            session.watches.clear();
        }
        taken
    }

    pub(super) fn start_exec(&mut self, client: ClientId, run: &mut Run) -> Taken {
        let session = self.node.session(client);
        let Some(multi) = &session.multi else {
            return self.reply_error(client, run, transaction::EXEC_WITHOUT_MULTI.as_bytes());
        };
        if multi.aborted {
            let taken = self.reply_error(client, run, transaction::ABORTED.as_bytes());
            if taken == Taken::Yes {
                let session = self.node.session(client);
                session.multi = None;
                session.watches.clear();
            }
            return taken;
        }
        let (has_write, solo) = (multi.has_write, multi.solo);
        if solo && (run.target != Target::Undecided || session.runs_in_flight > 0) {
            return Taken::No;
        }
        let taken = match has_write {
            true => self.start_logged_exec(client, run),
            false => self.start_read_exec(client, run),
        };
        if taken == Taken::Yes && solo && run.target != Target::Undecided {
            self.node.session(client).solo = true;
        }
        taken
    }

    /// EXEC without a write: runs at a confirmed point, or in its place in a run that has writes.
    fn start_read_exec(&mut self, client: ClientId, run: &mut Run) -> Taken {
        if !self.may_join(client, run) {
            return Taken::No;
        }
        let Some(multi) = self.node.session(client).multi.take() else {
            return Taken::Yes;
        };
        if multi.has_read && multi.has_session {
            // A read that meets a key due by the clock is repeated in the log, and the transaction
            // with it: what must not be done twice is done there at once.
            self.target_log(run);
        } else {
            self.target_reads(run);
        }
        let watches = std::mem::take(&mut self.node.session(client).watches);
        let plan = self.plan(run);
        plan.read_exec(client, multi.count, &watches);
        transaction::push_steps(plan, client, &multi);
        Taken::Yes
    }

    /// EXEC with a write: one record of the batch, with the versions that WATCH saw.
    fn start_logged_exec(&mut self, client: ClientId, run: &mut Run) -> Taken {
        let session = self.node.session(client);
        let Some(multi) = session.multi.take() else {
            return Taken::Yes;
        };
        let bytes = multi.commands.len() + transaction::overhead(&session.watches);
        match self.refuse_write(client, run, bytes) {
            Some(Taken::No) => {
                self.node.session(client).multi = Some(multi);
                return Taken::No;
            }
            Some(Taken::Yes) => {
                self.node.session(client).watches.clear();
                return Taken::Yes;
            }
            None => {}
        }
        self.target_log(run);
        let watches = std::mem::take(&mut self.node.session(client).watches);
        let gathering = self.gateway.gathering();
        gathering.plan.logged_exec(client, multi.count);
        transaction::push_steps(&mut gathering.plan, client, &multi);
        transaction::push_writes(gathering.records(), &multi, &watches);
        Taken::Yes
    }
}

impl Session {
    /// Bytes of the commands queued since MULTI.
    fn queued_bytes(&self) -> usize {
        self.multi.as_ref().map_or(0, |multi| multi.commands.len())
    }

    fn enqueue(&mut self, spec: &CommandSpec, kind: Kind, args: &[&[u8]]) {
        let connection_db = self.db;
        let Some(multi) = &mut self.multi else { return };
        let db = multi.db.unwrap_or(connection_db);
        push_command(&mut multi.commands, spec.id, db, args.iter().copied());
        multi.count += 1;
        multi.has_write |= spec.is_write();
        multi.has_read |= matches!(kind, Kind::Read);
        if let Kind::Session(command) = kind {
            multi.has_session = true;
            multi.solo |= command.schedule != Schedule::InPlace;
        }
        if spec.name == "select"
            && let Some(selected) = args.get(1).and_then(|arg| kv::number::parse_integer(arg))
            && (0..i64::from(kv::DATABASE_COUNT)).contains(&selected)
        {
            multi.db = Some(selected as u8);
        }
    }
}

/// Whether a command is run at once although a transaction is being queued.
pub(super) fn leaves_queue(spec: &CommandSpec, kind: Kind) -> bool {
    matches!(kind, Kind::Exec | Kind::Discard | Kind::Multi)
        || matches!(spec.name, "quit" | "reset")
}
