//! Requests: from bytes to the ranges of their arguments.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use resp::{Limits, RequestParser, encode_request};

fn main() {
    divan::main();
}

const REQUESTS: usize = 1000;

/// A pipeline of SETs with values of so many bytes, in one buffer.
#[divan::bench(args = [16, 128, 1024])]
fn set(bencher: Bencher, value_bytes: usize) {
    let value = vec![b'v'; value_bytes];
    let pipeline = pipeline(|number| {
        let key = format!("key:{number:012}").into_bytes();
        vec![b"SET".to_vec(), key, value.clone()]
    });
    parse_all(bencher, &pipeline);
}

/// A pipeline of GETs in one buffer.
#[divan::bench]
fn get(bencher: Bencher) {
    let pipeline = pipeline(|number| {
        let key = format!("key:{number:012}").into_bytes();
        vec![b"GET".to_vec(), key]
    });
    parse_all(bencher, &pipeline);
}

fn pipeline(request: impl Fn(usize) -> Vec<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..REQUESTS {
        encode_request(&mut bytes, &request(number));
    }
    bytes
}

fn parse_all(bencher: Bencher, pipeline: &[u8]) {
    let limits = Limits::AUTHENTICATED;
    let mut parser = RequestParser::new();
    bencher
        .counter(ItemsCount::new(REQUESTS))
        .counter(BytesCount::new(pipeline.len()))
        .bench_local(|| {
            let mut rest = black_box(pipeline);
            while !rest.is_empty() {
                let taken = parser.parse(rest, &limits);
                let taken = taken.expect("a good request").expect("a whole request");
                black_box(parser.args());
                rest = &rest[taken..];
            }
        });
}
