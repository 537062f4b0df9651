//! The fuzz targets on stable: every stored input, and mutations of each that are the same on every run.
//!
//! `fuzz/` holds the targets themselves, for `cargo fuzz run`. An input that ever broke something is kept in
//! `fuzz/corpus/`, and so is tried here for ever.

#[path = "../../../fuzz/src/resp.rs"]
#[allow(dead_code, unreachable_pub)]
mod bodies;

use std::fs;
use std::path::{Path, PathBuf};

/// How many mutations of each stored input are tried.
const MUTATIONS_PER_INPUT: u64 = 500;

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut inputs: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    inputs.sort();
    assert!(
        inputs.len() >= 30,
        "only {} inputs in {}",
        inputs.len(),
        folder.display()
    );
    inputs
}

/// Deterministic numbers for mutations (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % bound.max(1)
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..start + self.below((length - start).min(40) + 1)
    }
}

/// What parsers of this protocol stumble over.
const TOKENS: [&[u8]; 20] = [
    b"\r\n",
    b"\r",
    b"\n",
    b"\0",
    b"*",
    b"$",
    b"-1",
    b"0",
    b"1",
    b"2147483648",
    b"9223372036854775807",
    b"*1\r\n",
    b"$0\r\n\r\n",
    b"*0\r\n",
    b"*-1\r\n",
    b"|1\r\n",
    b"%1\r\n",
    b"\"",
    b"'",
    b"\\x",
];

fn mutate(data: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    for _ in 0..=numbers.below(3) {
        let position = numbers.below(data.len());
        match numbers.below(7) {
            0 if !data.is_empty() => data[position] ^= 1 << numbers.below(8),
            1 if !data.is_empty() => data[position] = numbers.below(256) as u8,
            2 => {
                let cut = numbers.range(data.len());
                data.drain(cut);
            }
            3 => {
                let copied = data[numbers.range(data.len())].to_vec();
                data.splice(position..position, copied);
            }
            4 => {
                let borrowed = other[numbers.range(other.len())].to_vec();
                data.splice(position..position, borrowed);
            }
            5 => data.truncate(position),
            _ => {
                let token = TOKENS[numbers.below(TOKENS.len())];
                data.splice(position..position, token.iter().copied());
            }
        }
    }
}

fn run(target: &str, body: fn(&[u8])) {
    let inputs = corpus(target);
    for (place, (path, input)) in inputs.iter().enumerate() {
        for choice in [0, 1, 2, 7, 40, 255] {
            body(&[&[choice], input.get(1..).unwrap_or_default()].concat());
        }
        for mutation in 0..MUTATIONS_PER_INPUT {
            let seed = (place as u64 + 1) << 32 | (mutation + 1);
            let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let mut data = input.clone();
            let other = &inputs[numbers.below(inputs.len())].1;
            mutate(&mut data, other, &mut numbers);
            let outcome = std::panic::catch_unwind(|| body(&data));
            assert!(
                outcome.is_ok(),
                "mutation {mutation} of {}: {}",
                path.display(),
                data.escape_ascii()
            );
        }
    }
}

#[test]
fn resp_request() {
    run("resp_request", bodies::resp_request);
}

#[test]
fn resp_reply() {
    run("resp_reply", bodies::resp_reply);
}
