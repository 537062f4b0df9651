//! Files that are built byte by byte: what a Redis at hand cannot be made to write, and damage.

use super::{crc64::crc64, *};

/// A file under construction.
struct Builder(Vec<u8>);

impl Builder {
    fn new(version: u32) -> Builder {
        Builder(format!("REDIS{version:04}").into_bytes())
    }

    fn raw(mut self, bytes: &[u8]) -> Builder {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A short string.
    fn text(self, text: &str) -> Builder {
        let length = u8::try_from(text.len()).expect("short");
        assert!(length < 64);
        self.raw(&[length]).raw(text.as_bytes())
    }

    fn key(self, kind: u8, name: &str) -> Builder {
        self.raw(&[kind]).text(name)
    }

    /// The end mark and the checksum.
    fn end(mut self) -> Vec<u8> {
        self.0.push(255);
        let sum = crc64(0, &self.0);
        self.0.extend(sum.to_le_bytes());
        self.0
    }
}

fn read(bytes: &[u8]) -> Result<Vec<Item>, RdbError> {
    let mut reader = Reader::new(bytes, bytes.len() as u64)?;
    let mut items = Vec::new();
    while let Some(item) = reader.next_item()? {
        items.push(item);
    }
    Ok(items)
}

fn string(database: u32, key: &str, value: &str, expires_at_ms: Option<i64>) -> Item {
    Item::String(Record {
        database,
        key: key.into(),
        value: value.into(),
        expires_at_ms,
    })
}

/// A file with every kind of item that is about keys, and strings in every encoding.
fn strings() -> Vec<u8> {
    Builder::new(10)
        .raw(&[250])
        .text("redis-ver")
        .text("7.0.15")
        .raw(&[254, 3, 251, 10, 2])
        .key(0, "plain")
        .text("value")
        // Integers of 8, 16 and 32 bits.
        .key(0, "i8")
        .raw(&[0xc0, 0x85])
        .key(0, "i16")
        .raw(&[0xc1, 0x00, 0x80])
        .key(0, "i32")
        .raw(&[0xc2, 0xff, 0xff, 0xff, 0x7f])
        // Compressed: one byte and five from one back.
        .key(0, "lzf")
        .raw(&[0xc3, 4, 6, 0, b'a', 0x60, 0])
        // Lengths of 14, 32 and 64 bits.
        .key(0, "l14")
        .raw(&[0x40, 1, b'x'])
        .key(0, "l32")
        .raw(&[0x80, 0, 0, 0, 1, b'y'])
        .key(0, "l64")
        .raw(&[0x81, 0, 0, 0, 0, 0, 0, 0, 1, b'z'])
        // Seconds, milliseconds, and what is known of the next key's use.
        .raw(&[253, 10, 0, 0, 0])
        .key(0, "seconds")
        .text("s")
        .raw(&[252, 1, 2, 0, 0, 0, 0, 0, 0, 249, 7, 248, 9])
        .key(0, "milliseconds")
        .text("m")
        .raw(&[254, 0])
        .key(0, "")
        .text("")
        .end()
}

#[test]
fn strings_of_every_encoding() {
    let expected = vec![
        string(3, "plain", "value", None),
        string(3, "i8", "-123", None),
        string(3, "i16", "-32768", None),
        string(3, "i32", "2147483647", None),
        string(3, "lzf", "aaaaaa", None),
        string(3, "l14", "x", None),
        string(3, "l32", "y", None),
        string(3, "l64", "z", None),
        string(3, "seconds", "s", Some(10_000)),
        string(3, "milliseconds", "m", Some(513)),
        string(0, "", "", None),
    ];
    assert_eq!(read(&strings()).unwrap(), expected);
}

/// A value of every type that is passed over, with the name it is counted under.
fn others() -> Vec<(u8, &'static str, Vec<u8>)> {
    let group = |version: u8| {
        let mut bytes = vec![1, 16];
        bytes.extend([7; 16]);
        // The listpack, then length and last id.
        bytes.extend([2, 0, 0, 1, 2, 3]);
        if version >= 2 {
            bytes.extend([1, 2, 0, 0, 1]);
        }
        // One group.
        bytes.extend([1, 1, b'g', 2, 3]);
        if version >= 2 {
            bytes.push(1);
        }
        // One entry is pending.
        bytes.push(1);
        bytes.extend([8; 24]);
        bytes.push(5);
        // One consumer, with the same entry.
        bytes.extend([1, 1, b'c']);
        bytes.extend([9; 8]);
        if version >= 3 {
            bytes.extend([9; 8]);
        }
        bytes.push(1);
        bytes.extend([8; 16]);
        if version >= 4 {
            bytes.extend([10, 20]);
            bytes.extend([1, 1, b'p', 1, 1, b'i', 4, 5, 6, 7]);
        }
        bytes
    };
    let time = [1, 0, 0, 0, 0, 0, 0, 0].as_slice();
    vec![
        (1, "list", vec![2, 1, b'a', 0xc0, 5]),
        (2, "set", vec![1, 1, b'a']),
        (
            3,
            "zset",
            vec![2, 1, b'a', 3, b'1', b'.', b'5', 1, b'b', 254],
        ),
        (4, "hash", vec![1, 1, b'f', 1, b'v']),
        (5, "zset", [&[1, 1, b'a'], time].concat()),
        (
            7,
            "module",
            vec![
                0x40, 200, 1, 5, 2, 6, 3, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, b's', 0,
            ],
        ),
        (9, "hash", vec![1, 0xff]),
        (10, "list", vec![1, 0xff]),
        (11, "set", vec![1, 0xff]),
        (12, "zset", vec![1, 0xff]),
        (13, "hash", vec![1, 0xff]),
        (14, "list", vec![2, 1, 0xff, 0xc3, 4, 6, 0, b'a', 0x60, 0]),
        (15, "stream", group(1)),
        (16, "hash", vec![1, 0xff]),
        (17, "zset", vec![1, 0xff]),
        (18, "list", vec![2, 2, 1, 0xff, 1, 1, b'p']),
        (19, "stream", group(2)),
        (20, "set", vec![1, 0xff]),
        (21, "stream", group(3)),
        (22, "hash", vec![1, 9, 1, b'f', 1, b'v']),
        (23, "hash", vec![1, 0xff]),
        (24, "hash", [time, &[1, 9, 1, b'f', 1, b'v']].concat()),
        (25, "hash", [time, &[1, 0xff]].concat()),
        (26, "stream", group(4)),
    ]
}

fn with_others() -> Vec<u8> {
    let mut file = Builder::new(13);
    for (kind, _, value) in others() {
        file = file.key(kind, "k").raw(&value).key(0, "s").text("v");
    }
    file.end()
}

#[test]
fn every_other_type_is_passed_over_and_named() {
    for (kind, name, value) in others() {
        let file = Builder::new(13).key(kind, "k").raw(&value);
        let items = read(&file.key(0, "s").text("v").end());
        let skipped = Item::Skipped {
            database: 0,
            kind: name,
        };
        assert_eq!(
            items.as_deref(),
            Ok([skipped, string(0, "s", "v", None)].as_slice()),
            "type {kind}"
        );
    }
}

#[test]
fn what_is_no_key_is_passed_over() {
    let file = Builder::new(13)
        // A function, a module's data, a slot's sizes, what modules keep about a key.
        .raw(&[245])
        .text("#!lua name=f")
        .raw(&[247, 0x40, 200, 2, 1, 5, 1, b's', 0])
        .raw(&[244, 5, 1, 0])
        .raw(&[252, 1, 0, 0, 0, 0, 0, 0, 0, 243, 1, 1, 2, 3, 4, 1, 9, 0])
        .key(0, "s")
        .text("v")
        .end();
    let skipped = |kind| Item::Skipped { database: 0, kind };
    let expected = vec![
        skipped("function library"),
        skipped("module data"),
        string(0, "s", "v", Some(1)),
    ];
    assert_eq!(read(&file).unwrap(), expected);
}

#[test]
fn every_truncation_is_an_error_with_an_offset() {
    for file in [strings(), with_others()] {
        for length in 0..file.len() {
            let error = read(&file[..length]).expect_err("it is not whole");
            assert!(error.offset <= length as u64, "{error} in {length} bytes");
        }
    }
}

#[test]
fn every_flipped_bit_is_an_error() {
    for file in [strings(), with_others()] {
        for bit in 0..8 * file.len() {
            let mut damaged = file.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let error = read(&damaged).expect_err("it is damaged");
            assert!(error.offset <= file.len() as u64, "{error}, bit {bit}");
        }
    }
}

#[test]
fn lengths_reserve_no_more_than_there_is() {
    // A string of 2^63 bytes, a list of 2^32 - 1, and a compressed string that would be enormous.
    let length = |byte: u8, rest: &[u8]| [&[byte], rest].concat();
    let huge = length(0x81, &(1_u64 << 63).to_be_bytes());
    let file = Builder::new(10).key(0, "k").raw(&huge).end();
    assert!(matches!(
        read(&file).unwrap_err().damage,
        Damage::Ends { wanted, .. } if wanted == 1 << 63
    ));
    let many = length(0x80, &u32::MAX.to_be_bytes());
    let file = Builder::new(10).key(1, "k").raw(&many).end();
    let error = read(&file).unwrap_err();
    assert!(matches!(error.damage, Damage::Count { .. }), "{error}");
    let mut packed = vec![0xc3, 2];
    packed.extend(length(0x80, &(400_u32 << 20).to_be_bytes()));
    packed.extend([0, b'a']);
    let file = Builder::new(10).key(0, "k").raw(&packed).end();
    let error = read(&file).unwrap_err();
    assert!(matches!(error.damage, Damage::Compression(_)), "{error}");
}

#[test]
fn a_file_that_is_none_is_refused_by_name() {
    let damage = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert!(damage(b"").starts_with("at byte 0: not an RDB file"));
    assert!(damage(b"VALKEY080").starts_with("at byte 0: not an RDB file"));
    assert!(damage(b"REDIS00x0").starts_with("at byte 0: not an RDB file"));
    assert!(damage(b"REDIS0014").contains("RDB version 14 is newer"));
    assert!(damage(b"REDIS0000").contains("version 0"));
    let unknown = Builder::new(10).key(27, "k").end();
    assert!(damage(&unknown).starts_with("at byte 9: damaged, or made by a newer Redis"));
    let mut trailing = Builder::new(10).end();
    trailing.extend(b"*2\r\n");
    assert!(damage(&trailing).starts_with("at byte 18: 4 bytes follow the end"));
}

#[test]
fn old_files_have_no_checksum() {
    let mut file = Builder::new(3).key(0, "k").text("v").0;
    file.push(255);
    assert_eq!(read(&file).unwrap(), [string(0, "k", "v", None)]);
    let mut file = Builder::new(9).key(0, "k").text("v").0;
    file.extend([255, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mut reader = Reader::new(file.as_slice(), file.len() as u64).unwrap();
    while reader.next_item().unwrap().is_some() {}
    assert!(!reader.has_checksum());
}
