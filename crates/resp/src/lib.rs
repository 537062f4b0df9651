//! RESP2 and RESP3: bytes to requests and replies, and back.
//!
//! This crate is the only place of the project that knows how Redis looks on the wire. It has four parts, and
//! all of them are pure functions of the bytes they are handed: no sockets, no clocks, no threads, no knowledge
//! of a single command.
//!
//! * [`RequestParser`] turns what a client sent into argument ranges. It is the server's first line: every byte
//!   it sees is hostile until checked. It is incremental (it remembers how far it has looked, so feeding a
//!   request one byte at a time costs the same as feeding it whole), it allocates nothing per request once
//!   warm, and it never allocates by a length that a client merely announced.
//! * [`Encoder`] writes replies straight into a connection's output buffer, in the protocol version which that
//!   connection negotiated. A command's code says *what* it answers (a map, a double, a null); how that looks
//!   in RESP2 and in RESP3 is decided here, and is byte for byte what Redis 7.0 sends.
//! * [`ReplyParser`], [`ReplyBuffer`] and [`Value`] are the client's side of the same conversation, for the
//!   command-line client, the benchmarks and the tests, together with [`encode_request`].
//! * [`split_args`] and [`render`](Value::render) are what a person at a prompt needs: the quoting rules of
//!   `redis-cli` and of inline commands, and replies shown as `redis-cli` shows them.
//!
//! # The contract of the request parser
//!
//! The caller keeps unread bytes in a buffer whose first byte is the first byte of the current request, and
//! calls [`RequestParser::parse`] whenever more have arrived:
//!
//! ```
//! use resp::{Limits, RequestParser};
//!
//! let mut parser = RequestParser::new();
//! let mut buffer = b"*2\r\n$4\r\nECHO\r\n$2\r\n".to_vec();
//! assert_eq!(parser.parse(&buffer, &Limits::AUTHENTICATED), Ok(None));
//!
//! buffer.extend_from_slice(b"hi\r\n");
//! let consumed = parser.parse(&buffer, &Limits::AUTHENTICATED).unwrap().unwrap();
//! let source = parser.source(&buffer);
//! let words: Vec<&[u8]> = parser.args().iter().map(|range| &source[range.clone()]).collect();
//! assert_eq!(words, [b"ECHO".as_slice(), b"hi".as_slice()]);
//! buffer.drain(..consumed);
//! ```
//!
//! Whatever the sizes of the pieces in which the bytes arrive, the requests, and the error if there is one, are
//! the same. After an error the stream has no meaning any more: the caller answers it (see
//! [`Encoder::protocol_error`]) and closes the connection, as Redis does.
//!
//! # What is left out
//!
//! * The size of the whole query buffer, of the output buffer and of all clients together are the connection's
//!   and the process's to bound; this crate bounds what one header may announce.
//! * RESP3's streamed strings and aggregates (`$?`, `*?`). No Redis server sends them; [`ReplyParser`] refuses
//!   them by name.

mod double;
mod encode;
mod error;
mod inline;
mod limits;
mod number;
mod render;
mod reply;
mod request;
mod value;

pub use double::{format_double, write_double};
pub use encode::{Encoder, Protocol, encode_request};
pub use error::{ProtocolError, ReplyError, UnbalancedQuotes};
pub use inline::{quote, split_args};
pub use limits::{Limits, ReplyLimits};
pub use render::RenderMode;
pub use reply::{ReplyBuffer, ReplyParser};
pub use request::RequestParser;
pub use value::Value;
