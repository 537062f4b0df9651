//! What happens to lines: commands go to the cluster, replies to standard output, in order.
//!
//! When a connection breaks, the commands that wait for their replies are of three kinds. Those that
//! change nothing are sent again through another node. A transaction that was begun on the connection
//! is gone with it. Of every other command nobody can know whether it took effect, and that is what is
//! said: sending it again could do it twice.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use kv::CommandFlags;
use resp::{RenderMode, Value, encode_request};
use signal_hook::{consts::SIGINT, flag};

use super::{
    line::{Command, Line, prefix_pattern},
    subscription,
    text::{self, Colours},
};
use crate::{client::ClientError, cluster::Cluster, failure::Failure};

/// How long a node is looked for when the one in use is gone: longer than a cluster is without a
/// leader, shorter than a person waits.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a reply is waited for, of a command that does not wait itself. A node answers within its
/// `request-timeout`; one that does not is stopped or cut off.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often in a row connections may break before a reply, until what can be repeated is given up.
const FRUITLESS_EXCHANGES_MAX: u32 = 10;
/// A reply that took this long is followed by the time it took, on a terminal.
const SLOW: Duration = Duration::from_millis(500);
/// Commands that change nothing but the connection, or nothing at all, and are not marked READONLY.
const HARMLESS: &[&str] = &[
    "ping",
    "echo",
    "info",
    "time",
    "command",
    "role",
    "select",
    "hello",
    "auth",
    "cluster",
    "lolwut",
    "readonly",
    "readwrite",
];

/// For whom replies are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    /// As for people or as for programs.
    pub(super) mode: RenderMode,
    /// Whether escape sequences are welcome.
    pub(super) has_colours: bool,
    /// Whether a failure to get a reply goes to standard error instead of the place of the reply:
    /// where there is but one command, its place says nothing.
    pub(super) has_failures_apart: bool,
}

/// A conversation with a cluster.
pub(super) struct Session {
    cluster: Cluster,
    style: Style,
    /// Whether any command was answered by an error.
    has_failed: bool,
    /// Whether a node was reached before.
    was_connected: bool,
    /// How long to look for a node: at first, and after it was looked for in vain, one try is enough.
    patience: Duration,
    /// Whether a MULTI was sent on the present connection, and neither EXEC nor DISCARD since.
    is_in_transaction: bool,
    /// Raised by Ctrl-C while `is_interruptible`; otherwise Ctrl-C ends the process, as ever.
    interrupted: Arc<AtomicBool>,
    dies_of_interrupt: Arc<AtomicBool>,
    /// Exchanges in a row that answered nothing.
    fruitless_exchanges: u32,
}

/// What became of a command.
enum Answer {
    /// It was answered.
    Reply(Value),
    /// It was not, and this is all that is known.
    Failed(String),
}

impl Session {
    /// A conversation that has not begun.
    pub(super) fn new(cluster: Cluster, style: Style) -> Self {
        let interrupted = Arc::new(AtomicBool::new(false));
        let dies_of_interrupt = Arc::new(AtomicBool::new(true));
        // Without handlers Ctrl-C ends the process everywhere, which is no worse than that.
        let _ = flag::register_conditional_default(SIGINT, Arc::clone(&dies_of_interrupt));
        let _ = flag::register(SIGINT, Arc::clone(&interrupted));
        Self {
            cluster,
            style,
            has_failed: false,
            was_connected: false,
            patience: Duration::ZERO,
            is_in_transaction: false,
            interrupted,
            dies_of_interrupt,
            fruitless_exchanges: 0,
        }
    }

    /// Whether any command was answered by an error.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// How replies are written.
    pub(super) fn style(&self) -> Style {
        self.style
    }

    /// The colours of this conversation.
    pub(super) fn colours(&self) -> Colours {
        Colours {
            is_on: self.style.has_colours,
        }
    }

    /// What the prompt says: `127.0.0.1:7001[2](TX)> `.
    pub(super) fn prompt(&self) -> String {
        if self.was_connected && !self.cluster.is_connected() {
            return "not connected> ".to_owned();
        }
        let database = match self.cluster.login().database {
            0 => String::new(),
            number => format!("[{number}]"),
        };
        let transaction = if self.is_in_transaction { "(TX)" } else { "" };
        format!("{}{database}{transaction}> ", self.cluster.address())
    }

    /// The cluster this conversation is with.
    pub(super) fn cluster_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Connects, saying so if it is to another node than before.
    pub(super) fn connect(&mut self) -> Result<(), ClientError> {
        let before = self.cluster.address().clone();
        if self.was_connected && self.cluster.connection().is_some_and(|one| one.is_closed()) {
            self.lose_connection(&format!("connection to {before} lost: closed by the node"));
        }
        let was_open = self.cluster.is_connected();
        let patience = std::mem::take(&mut self.patience);
        let now = self.cluster.connect(patience)?.address().clone();
        if self.was_connected && !was_open {
            self.notice(&format!("connected to {now}"));
        }
        self.was_connected = true;
        self.patience = PATIENCE;
        Ok(())
    }

    /// Says that the connection is gone, with what is gone with it, and turns to another node.
    pub(super) fn lose_connection(&mut self, reason: &str) {
        self.notice(reason);
        if std::mem::take(&mut self.is_in_transaction) {
            self.notice("the transaction begun on it is gone; begin again with MULTI");
        }
        self.cluster.abandon();
    }

    /// Runs something that Ctrl-C interrupts instead of ending the process.
    pub(super) fn interruptible<T>(&mut self, work: impl FnOnce(&mut Self, &AtomicBool) -> T) -> T {
        let interrupted = Arc::clone(&self.interrupted);
        interrupted.store(false, Ordering::Relaxed);
        self.dies_of_interrupt.store(false, Ordering::Relaxed);
        let result = work(self, &interrupted);
        self.dies_of_interrupt.store(true, Ordering::Relaxed);
        interrupted.store(false, Ordering::Relaxed);
        result
    }

    /// Does what a line asks for.
    pub(super) fn execute(&mut self, line: Line) -> Result<(), Failure> {
        match line {
            Line::Empty | Line::Quit => Ok(()),
            Line::Wrong(reason) => self.print_failure(&reason),
            Line::Command(command) => self.execute_all(vec![command]),
            Line::Subscription(command) => subscription::run(self, &command),
            Line::List(prefix) => self.list(&prefix),
            Line::Help(words) => {
                std::io::stdout().write_all(text::help(&words, self.colours()).as_bytes())?;
                Ok(())
            }
        }
    }

    /// Sends commands together and writes their replies as they come.
    pub(super) fn execute_all(&mut self, commands: Vec<Command>) -> Result<(), Failure> {
        if commands.is_empty() {
            return Ok(());
        }
        let started = Instant::now();
        let mut answers: Vec<Option<Answer>> = Vec::new();
        answers.resize_with(commands.len(), || None);
        let mut written = 0;
        while written < commands.len() {
            // What is written is done with: only what comes after it may be sent, again or at all.
            self.exchange(&commands[written..], &mut answers[written..]);
            while let Some(Some(answer)) = answers.get_mut(written).map(Option::take) {
                self.print(&commands[written], answer)?;
                written += 1;
            }
        }
        let took = started.elapsed();
        if took >= SLOW && self.style.mode == RenderMode::Terminal {
            writeln!(std::io::stdout(), "({:.2}s)", took.as_secs_f64())?;
        }
        std::io::stdout().flush()?;
        Ok(())
    }

    /// Sends all commands that have no answer yet over one connection, and takes answers until one
    /// is missing. Those it leaves without an answer are to be sent again, which ends: by an answer, or
    /// because no node can be reached, or because connections break again and again.
    fn exchange(&mut self, commands: &[Command], answers: &mut [Option<Answer>]) {
        let open: Vec<usize> = (0..commands.len())
            .filter(|at| answers[*at].is_none())
            .collect();
        if let Err(error) = self.connect() {
            for at in open {
                answers[at] = Some(Answer::Failed(self.unreachable_text(&error)));
            }
            return;
        }
        let open_count = open.len();
        let mut requests = Vec::new();
        for at in &open {
            encode_request(&mut requests, &commands[*at]);
        }
        let mut in_transaction = self.is_in_transaction;
        let Some(connection) = self.cluster.connection() else {
            return;
        };
        let mut failure = connection.send(&requests).err();
        let mut waiting = open.into_iter();
        for at in waiting.by_ref() {
            if failure.is_none() {
                match self.receive(&commands[at]) {
                    Ok(value) => {
                        self.note_effect(&commands[at], &value);
                        in_transaction = self.is_in_transaction;
                        answers[at] = Some(Answer::Reply(value));
                        continue;
                    }
                    Err(error) => failure = Some(error),
                }
            }
            if let Some(error) = &failure {
                answers[at] = unanswered(&commands[at], &mut in_transaction, error);
            }
        }
        let Some(error) = failure else { return };
        self.lose_connection(&error.to_string());
        let still_open = answers.iter().filter(|answer| answer.is_none()).count();
        if still_open < open_count {
            self.fruitless_exchanges = 0;
            return;
        }
        self.fruitless_exchanges += 1;
        if self.fruitless_exchanges >= FRUITLESS_EXCHANGES_MAX {
            self.fruitless_exchanges = 0;
            for answer in answers.iter_mut().filter(|answer| answer.is_none()) {
                *answer = Some(Answer::Failed(error.to_string()));
            }
        }
    }

    /// Waits for the reply of a command, writing pushed messages that come before it.
    fn receive(&mut self, command: &Command) -> Result<Value, ClientError> {
        let timeout = (!is_blocking(command)).then_some(REPLY_TIMEOUT);
        let style = self.style;
        self.interruptible(|session, interrupted| {
            loop {
                let address = session.cluster.address().clone();
                let Some(connection) = session.cluster.connection() else {
                    return Err(ClientError::Lost {
                        address,
                        reason: "closed".into(),
                    });
                };
                match connection.receive(timeout, Some(interrupted))? {
                    Value::Push(elements) if !expects_push(command) => {
                        let mut out = Vec::new();
                        Value::Push(elements).render(&mut out, style.mode);
                        // A closed output ends the process when the reply itself is written.
                        let _ = std::io::stdout().write_all(&out);
                    }
                    value => return Ok(value),
                }
            }
        })
    }

    /// Remembers what a command has changed about the connection.
    fn note_effect(&mut self, command: &Command, reply: &Value) {
        if reply.as_error().is_some() {
            // EXEC ends the transaction also when it fails.
            if name_of(command) == "exec" {
                self.is_in_transaction = false;
            }
            return;
        }
        let argument = |at: usize| command.get(at).map(|arg| String::from_utf8_lossy(arg));
        let login = self.cluster.login_mut();
        match name_of(command).as_str() {
            "multi" => self.is_in_transaction = true,
            "exec" | "discard" => self.is_in_transaction = false,
            "select" => {
                login.database = argument(1)
                    .and_then(|number| number.parse().ok())
                    .unwrap_or(0);
            }
            "auth" => {
                login.password = command.last().cloned();
                login.user = (command.len() == 3).then(|| command[1].clone());
            }
            "hello" => {
                if let Some(version) = argument(1) {
                    login.is_resp3 = version == "3";
                }
                let is_auth = |arg: &Vec<u8>| arg.eq_ignore_ascii_case(b"auth");
                if let Some(at) = command.iter().position(is_auth) {
                    login.user = command.get(at + 1).cloned();
                    login.password = command.get(at + 2).cloned();
                }
            }
            "reset" => {
                self.is_in_transaction = false;
                login.is_resp3 = false;
                login.database = 0;
            }
            _ => {}
        }
    }

    /// Writes the keys that begin with a prefix, as SCAN finds them. A key may come twice, as ever.
    fn list(&mut self, prefix: &[u8]) -> Result<(), Failure> {
        let pattern = prefix_pattern(prefix);
        let mut cursor = b"0".to_vec();
        let mut count = 0;
        loop {
            let scan: Command = [
                b"SCAN",
                cursor.as_slice(),
                b"MATCH",
                &pattern,
                b"COUNT",
                b"1000",
            ]
            .map(<[u8]>::to_vec)
            .into();
            let mut answers = [None];
            while answers[0].is_none() {
                self.exchange(std::slice::from_ref(&scan), &mut answers);
            }
            let reply = match answers {
                [Some(Answer::Reply(reply))] if reply.as_error().is_none() => reply,
                [Some(answer)] => return self.print(&scan, answer),
                [None] => continue,
            };
            let (next, keys) = match reply.as_slice() {
                Some([next, keys]) => (next.as_bytes(), keys.as_slice().unwrap_or_default()),
                _ => (None, &[] as &[Value]),
            };
            let mut out = Vec::new();
            for key in keys {
                key.render(&mut out, self.style.mode);
            }
            count += keys.len();
            std::io::stdout().write_all(&out)?;
            match next {
                Some(next) if next != b"0" => cursor = next.to_vec(),
                _ => break,
            }
        }
        if count == 0 && self.style.mode == RenderMode::Terminal {
            writeln!(std::io::stdout(), "(no keys)")?;
        }
        Ok(())
    }

    fn print(&mut self, command: &Command, answer: Answer) -> Result<(), Failure> {
        match answer {
            Answer::Reply(Value::Bulk(text)) if replies_text(command) => {
                std::io::stdout().write_all(&text)?;
                Ok(())
            }
            Answer::Reply(value) => self.print_value(&value),
            Answer::Failed(reason) => self.print_failure(&reason),
        }
    }

    /// Writes a reply to standard output.
    pub(super) fn print_value(&mut self, value: &Value) -> Result<(), Failure> {
        self.has_failed |= value.as_error().is_some();
        let mut out = Vec::new();
        value.render(&mut out, self.style.mode);
        let colours = self.colours();
        let painted = match value {
            Value::Error(_) => colours.error(&out),
            Value::Null | Value::NullArray => colours.faint(&out),
            _ => out,
        };
        std::io::stdout().write_all(&painted)?;
        Ok(())
    }

    /// Writes, in the place of a reply, why there is none.
    pub(super) fn print_failure(&mut self, reason: &str) -> Result<(), Failure> {
        if self.style.has_failures_apart {
            self.has_failed = true;
            eprintln!("quorate: {reason}");
            return Ok(());
        }
        self.print_value(&Value::Error(reason.as_bytes().to_vec()))
    }

    /// Says something that is not a reply.
    pub(super) fn notice(&self, line: &str) {
        std::io::stdout().flush().ok();
        eprintln!("{}", self.colours().notice(line));
    }

    /// What to say when no node can be reached. Nothing was sent.
    pub(super) fn unreachable_text(&self, error: &ClientError) -> String {
        let advice = match (error, self.was_connected, self.cluster.addresses().len()) {
            (ClientError::Unreachable { .. }, false, 1) => {
                "; name a node with --cluster HOST:PORT (`quorate dev` listens on 127.0.0.1:7001)"
            }
            (ClientError::Unreachable { .. }, _, 2..) => "; nor can any other node be reached",
            (ClientError::TimedOut { .. } | ClientError::Lost { .. }, _, 2..) => {
                "; nor does any other node answer"
            }
            _ => "",
        };
        format!("{error}{advice}")
    }
}

/// What becomes of a command whose reply did not come: it is sent again (`None`), or nobody knows.
fn unanswered(command: &Command, in_transaction: &mut bool, error: &ClientError) -> Option<Answer> {
    let name = name_of(command);
    let shown = name.to_ascii_uppercase();
    let was_in_transaction = *in_transaction;
    match name.as_str() {
        "multi" => *in_transaction = true,
        "exec" | "discard" => *in_transaction = false,
        _ => {}
    }
    if was_in_transaction || name == "multi" {
        return Some(Answer::Failed(match name.as_str() {
            "exec" => format!("UNCERTAIN {shown} may or may not have taken effect: {error}"),
            _ => format!("{shown} had no effect: the transaction ended with its connection"),
        }));
    }
    if matches!(error, ClientError::Interrupted) {
        return Some(Answer::Failed(match is_repeatable(command) {
            true => "interrupted".to_owned(),
            false => format!("UNCERTAIN {shown} may or may not take effect: interrupted"),
        }));
    }
    if is_repeatable(command) {
        return None;
    }
    Some(Answer::Failed(format!(
        "UNCERTAIN {shown} may or may not have taken effect: {error}"
    )))
}

/// Whether doing a command twice is the same as doing it once, by the command table.
fn is_repeatable(command: &Command) -> bool {
    let name = name_of(command);
    if HARMLESS.contains(&name.as_str()) {
        return true;
    }
    spec_of(command).is_some_and(|spec| spec.flags.contains(CommandFlags::READONLY))
}

fn is_blocking(command: &Command) -> bool {
    spec_of(command).is_some_and(|spec| spec.flags.contains(CommandFlags::BLOCKING))
        || matches!(name_of(command).as_str(), "wait" | "waitaof")
}

/// Whether the reply is a text of several lines for people, which redis-cli does not quote either.
fn replies_text(command: &Command) -> bool {
    let name = spec_of(command).map(kv::CommandSpec::full_name);
    matches!(
        name.as_deref(),
        Some(
            "info"
                | "lolwut"
                | "client|info"
                | "client|list"
                | "cluster|info"
                | "cluster|nodes"
                | "latency|doctor"
                | "latency|graph"
                | "memory|doctor"
                | "memory|malloc-stats"
        )
    )
}

/// Whether the reply of a command is itself a push in RESP3.
fn expects_push(command: &Command) -> bool {
    name_of(command).ends_with("subscribe")
}

fn spec_of(command: &Command) -> Option<&'static kv::CommandSpec> {
    let spec = kv::lookup(&command[0])?;
    let subcommand = command
        .get(1)
        .and_then(|name| kv::lookup_subcommand(spec, name));
    Some(subcommand.unwrap_or(spec))
}

fn name_of(command: &Command) -> String {
    String::from_utf8_lossy(&command[0]).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use server::config::Address;

    use super::*;

    fn command(line: &str) -> Command {
        line.split(' ')
            .map(|word| word.as_bytes().to_vec())
            .collect()
    }

    fn lost() -> ClientError {
        ClientError::Lost {
            address: Address::new("127.0.0.1", 1),
            reason: "closed".into(),
        }
    }

    fn fate(line: &str, in_transaction: bool) -> Option<String> {
        let mut in_transaction = in_transaction;
        match unanswered(&command(line), &mut in_transaction, &lost()) {
            None => None,
            Some(Answer::Failed(text)) => Some(text),
            Some(Answer::Reply(_)) => panic!("a reply out of nowhere"),
        }
    }

    #[test]
    fn reads_are_repeated_and_writes_are_not() {
        assert_eq!(fate("GET k", false), None);
        assert_eq!(fate("ping", false), None);
        let text = fate("SET k v", false).expect("not repeated");
        assert_eq!(
            text,
            "UNCERTAIN SET may or may not have taken effect: connection to 127.0.0.1:1 lost: closed"
        );
        assert!(fate("no-such-command", false).is_some());
    }

    #[test]
    fn a_transaction_ends_with_its_connection() {
        let text = fate("GET k", true).expect("not repeated");
        assert_eq!(
            text,
            "GET had no effect: the transaction ended with its connection"
        );
        assert!(
            fate("EXEC", true)
                .expect("unknown")
                .starts_with("UNCERTAIN EXEC")
        );
    }
}
