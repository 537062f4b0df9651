//! Asking the cluster to change something, wherever its leader is.
//!
//! Changes of members are made at the leader; any other node names it. What was refused had no effect and
//! may be asked again; what was sent and not answered may have had one, and the person who asked has to
//! know.

use std::{
    thread,
    time::{Duration, Instant},
};

use resp::Value;
use server::config::Address;

use crate::{
    client::{ClientError, Connection},
    failure::Failure,
    login::Login,
};

/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a change may take: more than a node's own `request-timeout`.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a leader is looked for, and another change waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait before asking again.
const PAUSE: Duration = Duration::from_millis(100);

/// The cluster, as one who administers it.
pub(crate) struct Admin {
    /// Where nodes were, the most promising first.
    addresses: Vec<Address>,
    login: Login,
}

/// How a request ended that was not carried out.
enum Refusal {
    /// It had no effect; ask there.
    Elsewhere(Option<Address>),
    /// It had no effect; ask again in a moment.
    NotNow(String),
    /// It is wrong.
    Never(String),
}

/// A member, as the leader describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: u64,
    pub(crate) peer_addr: String,
    pub(crate) client_addr: Option<Address>,
    pub(crate) is_voter: bool,
    pub(crate) is_alive: bool,
    pub(crate) matched: u64,
    /// What is to become of it; empty: nothing.
    pub(crate) intent: String,
}

/// The reply of QUORATE MEMBERS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Members {
    pub(crate) node: u64,
    pub(crate) leader: u64,
    pub(crate) commit: u64,
    /// Whether a change is under way.
    pub(crate) is_changing: bool,
    pub(crate) members: Vec<Member>,
}

impl Members {
    /// Reads the reply; `None` if it is something else.
    pub(crate) fn parse(value: &Value) -> Option<Members> {
        let number = |name: &str| u64::try_from(field(value, name)?.as_integer()?).ok();
        let members = field(value, "members")?.as_slice()?;
        Some(Members {
            node: number("node")?,
            leader: number("leader")?,
            commit: number("commit")?,
            is_changing: !text(value, "change")?.is_empty(),
            members: members.iter().map(member).collect::<Option<_>>()?,
        })
    }

    /// A member.
    pub(crate) fn find(&self, id: u64) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// The ids of those that vote, for people.
    pub(crate) fn voters(&self) -> String {
        let voters = self.members.iter().filter(|member| member.is_voter);
        let ids: Vec<String> = voters.map(|member| member.id.to_string()).collect();
        ids.join(", ")
    }
}

fn member(value: &Value) -> Option<Member> {
    let number = |name: &str| u64::try_from(field(value, name)?.as_integer()?).ok();
    Some(Member {
        id: number("id")?,
        peer_addr: text(value, "peer-address")?,
        client_addr: text(value, "client-address")?.parse().ok(),
        is_voter: text(value, "role")? == "voter",
        is_alive: text(value, "alive")? == "yes",
        matched: number("matched")?,
        intent: text(value, "intent")?,
    })
}

/// A field of a map, which RESP2 sends as a flat array.
fn field<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let mut pairs = value.as_slice()?.chunks_exact(2);
    let pair = pairs.find(|pair| pair[0].as_bytes() == Some(name.as_bytes()))?;
    Some(&pair[1])
}

fn text(value: &Value, name: &str) -> Option<String> {
    let bytes = field(value, name)?.as_bytes()?;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

impl Admin {
    /// A cluster with nodes at these addresses. There is at least one.
    pub(crate) fn new(addresses: Vec<Address>, login: Login) -> Admin {
        Admin { addresses, login }
    }

    /// Asks the leader, and waits for the change. Asks again as long as nothing was done and it makes
    /// sense; a request that `is_repeatable` also if the connection was lost in the middle.
    pub(crate) fn ask(&mut self, args: &[&str], is_repeatable: bool) -> Result<Value, Failure> {
        let started = Instant::now();
        let mut at = 0;
        loop {
            let address = self.addresses[at % self.addresses.len()].clone();
            let problem = match self.call(&address, args) {
                Ok(value) => match refusal(&value) {
                    None => {
                        self.prefer(address);
                        return Ok(value);
                    }
                    Some(Refusal::Never(text)) => return Err(Failure::running(text)),
                    Some(Refusal::NotNow(text)) => text,
                    Some(Refusal::Elsewhere(leader)) => {
                        at += 1;
                        if let Some(leader) = leader {
                            self.prefer(leader);
                            at = 0;
                        }
                        "no leader answers".to_owned()
                    }
                },
                Err(CallError::BeforeSent(error)) => {
                    if error.is_of_the_login() {
                        return Err(Failure::usage(error));
                    }
                    at += 1;
                    error.to_string()
                }
                Err(CallError::AfterSent(error)) if !is_repeatable => {
                    return Err(Failure::running(format!(
                        "{error}: the change may or may not have been made; quorate status shows it"
                    )));
                }
                Err(CallError::AfterSent(error)) => {
                    at += 1;
                    error.to_string()
                }
            };
            if started.elapsed() > PATIENCE {
                return Err(Failure::running(problem));
            }
            thread::sleep(PAUSE);
        }
    }

    /// What the leader knows of the members.
    pub(crate) fn members(&mut self) -> Result<Members, Failure> {
        let started = Instant::now();
        loop {
            let mut problem = "no leader answers".to_owned();
            for address in self.addresses.clone() {
                match self.call(&address, &["QUORATE", "MEMBERS"]) {
                    Ok(value) => {
                        if let Some(members) = Members::parse(&value) {
                            self.learn(&members);
                            if members.node == members.leader {
                                self.prefer(address);
                                return Ok(members);
                            }
                        } else if let Some(error) = value.as_error() {
                            problem = String::from_utf8_lossy(error).into_owned();
                        }
                    }
                    Err(CallError::BeforeSent(error)) if error.is_of_the_login() => {
                        return Err(Failure::usage(error));
                    }
                    Err(CallError::BeforeSent(error) | CallError::AfterSent(error)) => {
                        problem = error.to_string();
                    }
                }
            }
            if started.elapsed() > PATIENCE {
                return Err(Failure::running(problem));
            }
            thread::sleep(PAUSE);
        }
    }

    /// The first address, to be shown to people.
    pub(crate) fn seed(&self) -> &Address {
        &self.addresses[0]
    }

    fn call(&self, address: &Address, args: &[&str]) -> Result<Value, CallError> {
        let mut connection = Connection::open(address, &self.login, CONNECT_TIMEOUT)
            .map_err(CallError::BeforeSent)?;
        connection
            .call(args, ANSWER_TIMEOUT)
            .map_err(CallError::AfterSent)
    }

    fn prefer(&mut self, address: Address) {
        self.addresses.retain(|other| *other != address);
        self.addresses.insert(0, address);
    }

    /// Takes note of where members are, the leader first.
    fn learn(&mut self, members: &Members) {
        for member in &members.members {
            let Some(address) = &member.client_addr else {
                continue;
            };
            if member.id == members.leader {
                self.prefer(address.clone());
            } else if !self.addresses.contains(address) {
                self.addresses.push(address.clone());
            }
        }
    }
}

/// Where in the conversation it broke.
enum CallError {
    /// Nothing was sent.
    BeforeSent(ClientError),
    /// It may have arrived.
    AfterSent(ClientError),
}

/// What an error reply means for one who could ask again.
fn refusal(value: &Value) -> Option<Refusal> {
    let text = String::from_utf8_lossy(value.as_error()?).into_owned();
    if let Some(rest) = text.strip_prefix("NOTLEADER ") {
        let leader = rest.rsplit_once(" at ").and_then(|(_, at)| at.parse().ok());
        return Some(Refusal::Elsewhere(leader));
    }
    let is_passing = [
        "a change of members is under way",
        "is still under way",
        "has not committed anything of its own term",
        "leadership is being transferred",
    ];
    let plain = text.strip_prefix("ERR ").unwrap_or(&text).to_owned();
    let plain = plain.replace("FORCE does it", "--force does it");
    Some(
        match is_passing.iter().any(|passing| text.contains(passing)) {
            true => Refusal::NotNow(plain),
            false => Refusal::Never(plain),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_where_or_when_to_ask_again() {
        let of = |text: &str| refusal(&Value::Error(text.into()));
        assert!(
            of("NOTLEADER the leader is n2 at 127.0.0.1:7002").is_some_and(
                |refusal| matches!(refusal, Refusal::Elsewhere(Some(at)) if at.port == 7002)
            )
        );
        assert!(matches!(
            of("NOTLEADER no leader is known at the moment, nothing was changed; try again"),
            Some(Refusal::Elsewhere(None))
        ));
        assert!(matches!(
            of("ERR a change of members is under way, nothing was changed: try again"),
            Some(Refusal::NotNow(_))
        ));
        assert!(matches!(
            of("ERR all 2 voters would be needed; FORCE does it all the same"),
            Some(Refusal::Never(text)) if text.ends_with("--force does it all the same")
        ));
        assert!(refusal(&Value::Integer(4)).is_none());
    }

    #[test]
    fn members_are_read_from_a_flat_array() {
        let word = |text: &str| Value::Bulk(text.into());
        let member = Value::Array(vec![
            word("id"),
            Value::Integer(4),
            word("peer-address"),
            word("h:8004"),
            word("client-address"),
            word(""),
            word("role"),
            word("learner"),
            word("alive"),
            word("no"),
            word("matched"),
            Value::Integer(7),
            word("intent"),
            word("votes when it has caught up"),
        ]);
        let reply = Value::Array(vec![
            word("node"),
            Value::Integer(1),
            word("leader"),
            Value::Integer(1),
            word("term"),
            Value::Integer(3),
            word("commit"),
            Value::Integer(9),
            word("change"),
            word(""),
            word("members"),
            Value::Array(vec![member]),
        ]);
        let members = Members::parse(&reply).expect("a reply");
        assert_eq!((members.commit, members.is_changing), (9, false));
        let fourth = members.find(4).expect("a member");
        assert_eq!((fourth.matched, fourth.is_voter), (7, false));
        assert_eq!(fourth.client_addr, None);
        assert!(Members::parse(&Value::Null).is_none());
    }
}
