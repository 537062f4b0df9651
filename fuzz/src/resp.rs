//! What is tried on the bytes of clients and servers.
//!
//! The first byte of the data chooses how the rest is fed; the rest is the stream. Each body feeds the stream
//! whole and in pieces, demands the same outcome, and then demands that what was understood survives being
//! written and read again.

use resp::{
    Encoder, Limits, Protocol, ProtocolError, RenderMode, ReplyError, ReplyParser, RequestParser,
    Value, encode_request, quote, split_args,
};

/// The arguments of one request.
pub type Request = Vec<Vec<u8>>;

/// Everything that a stream of requests holds, and the error that ended it, if one did.
pub type Requests = (Vec<Request>, Option<ProtocolError>);

/// Everything that a stream of replies holds, and the error that ended it, if one did.
pub type Replies = (Vec<Value>, Option<ReplyError>);

/// The body of the target `resp_request`: what any client can send.
pub fn resp_request(data: &[u8]) {
    let Some((choice, stream)) = data.split_first() else {
        return;
    };
    let limits = if choice & 1 == 0 {
        Limits::AUTHENTICATED
    } else {
        Limits::UNAUTHENTICATED
    };
    let whole = read_requests(std::iter::once(stream), &limits);
    assert_eq!(
        whole,
        read_requests(pieces(stream, *choice), &limits),
        "cut by {choice}"
    );

    let mut again = Vec::new();
    let requests: Vec<Request> = whole
        .0
        .into_iter()
        .filter(|request| !request.is_empty())
        .collect();
    for request in &requests {
        encode_request(&mut again, request);
        for argument in request {
            let mut quoted = Vec::new();
            quote(&mut quoted, argument);
            assert_eq!(
                split_args(&quoted).as_deref(),
                Ok([argument.clone()].as_slice())
            );
        }
    }
    let read_again = read_requests(std::iter::once(again.as_slice()), &Limits::AUTHENTICATED);
    assert_eq!(read_again, (requests, None));

    if let Some(error) = whole.1 {
        let mut last_words = Vec::new();
        Encoder::new(&mut last_words, Protocol::Resp2).protocol_error(&error);
        let (values, trouble) = read_replies(std::iter::once(last_words.as_slice()));
        assert_eq!(
            (values.len(), trouble),
            (usize::from(!error.is_silent()), None)
        );
    }
}

/// The body of the target `resp_reply`: what anything that listens on a port can answer.
pub fn resp_reply(data: &[u8]) {
    let Some((choice, stream)) = data.split_first() else {
        return;
    };
    let whole = read_replies(std::iter::once(stream));
    // Compared as text, since not-a-number is not equal to itself.
    let in_pieces = read_replies(pieces(stream, *choice));
    assert_eq!(
        format!("{whole:?}"),
        format!("{in_pieces:?}"),
        "cut by {choice}"
    );

    for value in &whole.0 {
        let mut text = Vec::new();
        value.render(&mut text, RenderMode::Terminal);
        value.render(&mut text, RenderMode::Raw);
        assert!(text.ends_with(b"\n"));
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let mut once = Vec::new();
            value.encode(&mut once, protocol);
            let (values, error) = read_replies(std::iter::once(once.as_slice()));
            assert_eq!((values.len(), error), (1, None), "{value:?}");
            let mut twice = Vec::new();
            values
                .iter()
                .for_each(|value| value.encode(&mut twice, protocol));
            assert_eq!(once, twice, "{value:?}");
        }
    }
}

/// Feeds pieces to a request parser as a connection would.
pub fn read_requests<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: &Limits) -> Requests {
    let mut parser = RequestParser::new();
    let mut buffer = Vec::new();
    let mut start = 0;
    let mut requests = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let input = &buffer[start..];
            match parser.parse(input, limits) {
                Ok(Some(consumed)) => {
                    assert!(
                        (1..=input.len()).contains(&consumed),
                        "{consumed} of {}",
                        input.len()
                    );
                    let source = parser.source(input);
                    requests.push(
                        parser
                            .args()
                            .iter()
                            .map(|range| source[range.clone()].to_vec())
                            .collect(),
                    );
                    start += consumed;
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(
                        parser.parse(input, limits),
                        Err(error),
                        "an error is for ever"
                    );
                    return (requests, Some(error));
                }
            }
        }
    }
    (requests, None)
}

/// Feeds pieces to a reply parser as a connection would.
pub fn read_replies<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Replies {
    let mut parser = ReplyParser::new();
    let mut buffer = Vec::new();
    let mut start = 0;
    let mut values = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let input = &buffer[start..];
            match parser.parse(input) {
                Ok(Some((value, consumed))) => {
                    assert!(
                        (1..=input.len()).contains(&consumed),
                        "{consumed} of {}",
                        input.len()
                    );
                    values.push(value);
                    start += consumed;
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(parser.parse(input), Err(error), "an error is for ever");
                    return (values, Some(error));
                }
            }
        }
    }
    (values, None)
}

/// Cuts a stream into pieces of one byte, or of sizes that `choice` decides.
pub fn pieces(stream: &[u8], choice: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream;
    let mut state = u64::from(choice).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let size = if choice < 2 {
            1
        } else {
            1 + (state >> 32) as usize % (usize::from(choice) / 2 + 1)
        };
        let (piece, left) = rest.split_at(size.min(rest.len()));
        rest = left;
        Some(piece)
    })
}
