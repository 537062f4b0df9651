//! What each of the poll's tokens stands for.

use mio::Token;

/// Where the ranges of tokens begin. A range is as wide as the distance to the next one.
const PEER_LISTENER: usize = 2;
const CLIENT_LISTENERS: usize = 16;
const OUTBOUND: usize = 1 << 12;
const INBOUND: usize = 1 << 16;
const CLIENTS: usize = 1 << 20;

/// A source of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Another thread has something for the reactor.
    Waker,
    /// A signal came.
    Signals,
    /// A peer wants to connect.
    PeerListener,
    /// A client wants to connect, at the listener of this index.
    ClientListener(usize),
    /// A connection that this node dialled.
    Outbound(usize),
    /// A connection that a peer dialled.
    Inbound(usize),
    /// A client's connection, by the slot of its id.
    Client(usize),
}

impl Source {
    /// The most client listeners: one per address that `bind` names.
    pub(crate) const CLIENT_LISTENERS_MAX: usize = OUTBOUND - CLIENT_LISTENERS;

    /// The most peers that a process ever connects to.
    pub(crate) const OUTBOUND_MAX: usize = INBOUND - OUTBOUND;

    /// The most connections that peers may have dialled at once, greeted or not.
    pub(crate) const INBOUND_MAX: usize = 256;

    /// The source of a token.
    pub(crate) fn from_token(Token(token): Token) -> Source {
        match token {
            0 => Source::Waker,
            1 => Source::Signals,
            PEER_LISTENER..CLIENT_LISTENERS => Source::PeerListener,
            CLIENT_LISTENERS..OUTBOUND => Source::ClientListener(token - CLIENT_LISTENERS),
            OUTBOUND..INBOUND => Source::Outbound(token - OUTBOUND),
            INBOUND..CLIENTS => Source::Inbound(token - INBOUND),
            CLIENTS.. => Source::Client(token - CLIENTS),
        }
    }

    /// The token of a source.
    pub(crate) fn token(self) -> Token {
        Token(match self {
            Source::Waker => 0,
            Source::Signals => 1,
            Source::PeerListener => PEER_LISTENER,
            Source::ClientListener(index) => CLIENT_LISTENERS + index,
            Source::Outbound(index) => OUTBOUND + index,
            Source::Inbound(index) => INBOUND + index,
            Source::Client(slot) => CLIENTS + slot,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_sources_are_one_to_one() {
        for source in [
            Source::Waker,
            Source::Signals,
            Source::PeerListener,
            Source::ClientListener(0),
            Source::ClientListener(Source::CLIENT_LISTENERS_MAX - 1),
            Source::Outbound(0),
            Source::Inbound(Source::INBOUND_MAX - 1),
            Source::Client(0),
            Source::Client(1_000_000),
        ] {
            assert_eq!(Source::from_token(source.token()), source);
        }
    }
}
