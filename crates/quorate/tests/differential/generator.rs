//! Commands drawn from a seed, so that any run can be repeated.
//!
//! Few keys and many commands: almost every command meets the traces of others. Times to live are so far
//! apart (see [`Generator::seconds`]) that neither the speed of a server nor its clock decides an answer.

/// SplitMix64: small, and good enough to draw test data.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

pub type Command = Vec<Vec<u8>>;

/// A command from words and byte strings.
macro_rules! command {
    ($($argument:expr),+ $(,)?) => { vec![$(Vec::<u8>::from($argument)),+] };
}
pub(crate) use command;

/// Integers, and what looks like one. The positive ones are no time to live that ends during a test.
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "-2",
    "-100",
    "100000",
    "250000",
    "-250000",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "4611686018427387904",
    "-4611686018427387905",
    "007",
    "+5",
    "-0",
    " 100000",
    "100000 ",
    "1e5",
    "0x10",
    "",
    "abc",
    "1.5",
    "--1",
    "100000a",
    "99999999999999999999999",
];

/// Floating point numbers, and what looks like one.
const FLOATS: &[&str] = &[
    "0",
    "1",
    "-1",
    "0.1",
    "0.5",
    "-0.25",
    "3.0",
    "1e3",
    "1E-3",
    "5.0e3",
    "1e400",
    "-1e400",
    "inf",
    "-inf",
    "+inf",
    "infinity",
    "nan",
    "-nan",
    "1e308",
    "1.7976931348623157e308",
    "5e-324",
    "1e-17",
    "123456789.123456789",
    "0x1p3",
    "0x10",
    " 1",
    "1 ",
    "",
    "abc",
    "1.5.5",
    ".5",
    "5.",
    "-.5",
    "9007199254740993",
    "1e17",
    "12345678901234567890",
    "3.14159265358979323846",
];

const OPTIONS: &[&str] = &[
    "NX",
    "XX",
    "GET",
    "KEEPTTL",
    "EX",
    "PX",
    "EXAT",
    "PXAT",
    "GT",
    "LT",
    "PERSIST",
    "REPLACE",
    "DB",
    "MATCH",
    "COUNT",
    "TYPE",
    "LEN",
    "IDX",
    "MINMATCHLEN",
    "WITHMATCHLEN",
    "SYNC",
    "ASYNC",
    "bogus",
];

#[derive(Debug, Clone)]
pub struct Generator {
    pub random: Random,
    /// Makes every time to live different from all others.
    times: u64,
}

impl Generator {
    pub fn new(seed: u64) -> Generator {
        Generator {
            random: Random::new(seed),
            times: 0,
        }
    }

    /// A command for a connection; `in_transaction` says whether MULTI was sent.
    pub fn command(&mut self, in_transaction: bool) -> Command {
        let mut command = match self.random.below(100) {
            0..40 => self.string(),
            40..62 => self.key_space(),
            62..76 => self.expiry(),
            76..84 => self.transaction(in_transaction),
            84..94 => self.connection(),
            _ => self.server(),
        };
        self.spoil(&mut command);
        command
    }

    /// Sometimes makes a command wrong.
    fn spoil(&mut self, command: &mut Command) {
        match self.random.below(100) {
            0 => command.truncate(1 + self.random.below(command.len())),
            1 => command.push(self.garbage()),
            2 if command.len() > 1 => {
                let index = 1 + self.random.below(command.len() - 1);
                command[index] = self.garbage();
            }
            3..8 => command[0] = self.mixed_case(&command[0].clone()),
            8 => *command = self.unknown(),
            _ => {}
        }
    }

    fn mixed_case(&mut self, word: &[u8]) -> Vec<u8> {
        let change = |byte: &u8| match self.random.below(2) {
            0 => byte.to_ascii_lowercase(),
            _ => byte.to_ascii_uppercase(),
        };
        word.iter().map(change).collect()
    }

    fn unknown(&mut self) -> Command {
        let name = [
            "FOO", "GETT", "", "SET\r\n", "\u{e9}", "get ", "a'b", "VERYLONG",
        ];
        let mut command = command![self.random.pick(&name)];
        if self.random.percent(5) {
            command[0] = vec![b'x'; 200];
        }
        for _ in 0..self.random.below(5) {
            command.push(self.garbage());
        }
        if self.random.percent(10) {
            command.push(vec![b'y'; 200]);
        }
        command
    }

    pub fn key(&mut self) -> Vec<u8> {
        match self.random.below(40) {
            0 => Vec::new(),
            1 => vec![0, 255, 13, 10],
            2 => b"key with spaces".to_vec(),
            3 => vec![b'l'; 300],
            4 => b"{tag}one".to_vec(),
            5 => b"{tag}two".to_vec(),
            6 => "schl\u{fc}ssel".into(),
            7 => b"a*b?c[d]".to_vec(),
            8..12 => format!("counter:{}", self.random.below(4)).into(),
            12..16 => format!("float:{}", self.random.below(3)).into(),
            _ => format!("key:{}", self.random.below(24)).into(),
        }
    }

    /// A key that is created and changed, and never removed: see the entry about WATCH in
    /// `differences.toml`.
    fn watched_key(&mut self) -> Vec<u8> {
        format!("watched:{}", self.random.below(4)).into()
    }

    fn watch(&mut self) -> Command {
        let mut command = command!["WATCH"];
        for _ in 0..1 + self.random.below(3) {
            command.push(self.watched_key());
        }
        command
    }

    fn keys(&mut self) -> Vec<Vec<u8>> {
        (0..1 + self.random.below(5)).map(|_| self.key()).collect()
    }

    pub fn value(&mut self) -> Vec<u8> {
        match self.random.below(12) {
            0 => Vec::new(),
            1 => self.number(),
            2 => self.float(),
            3 => vec![0, 1, 2, 255, 13, 10, 0],
            4 => vec![b'v'; 1 + self.random.below(1000)],
            5 => vec![b'e'; 43 + self.random.below(3)],
            6 => self.random.next().to_string().into(),
            7 => self.random.below(20_000).to_string().into(),
            8 => self.letters(60),
            9 => self
                .random
                .pick(&["ohmytext", "mynewtext", "OK", "nil", "true"])
                .into(),
            _ => format!("value-{}", self.random.below(1000)).into(),
        }
    }

    fn letters(&mut self, length_max: usize) -> Vec<u8> {
        (0..self.random.below(length_max))
            .map(|_| b'a' + self.random.below(4) as u8)
            .collect()
    }

    fn number(&mut self) -> Vec<u8> {
        self.random.pick(NUMBERS).into()
    }

    fn float(&mut self) -> Vec<u8> {
        self.random.pick(FLOATS).into()
    }

    fn small_number(&mut self) -> Vec<u8> {
        (self.random.below(41) as i64 - 20).to_string().into()
    }

    fn garbage(&mut self) -> Vec<u8> {
        match self.random.below(4) {
            0 => self.number(),
            1 => self.float(),
            2 => self.random.pick(OPTIONS).into(),
            _ => vec![b'\'', b'"', b'\\', 7, 200],
        }
    }

    /// A time to live unlike all others by more than a test takes.
    fn seconds(&mut self) -> u64 {
        self.times += 1;
        1000 * (1 + (self.times * 7919) % 30_011)
    }

    /// `EX`, `PX`, `EXAT` or `PXAT` with a value, mostly right.
    fn expiry_option(&mut self) -> [Vec<u8>; 2] {
        let seconds = self.seconds();
        let later = 4_102_444_800 + seconds;
        if self.random.percent(15) {
            return [
                self.random.pick(&["EX", "PX", "EXAT", "PXAT"]).into(),
                self.number(),
            ];
        }
        let (option, value) = match self.random.below(4) {
            0 => ("EX", seconds),
            1 => ("px", seconds * 1000),
            2 => ("EXAT", later),
            _ => ("PXAT", later * 1000),
        };
        [option.into(), value.to_string().into()]
    }

    fn string(&mut self) -> Command {
        let (key, value) = (self.key(), self.value());
        match self.random.below(24) {
            0..4 => self.set(key, value),
            4..7 => command!["GET", key],
            7 => self
                .random
                .pick(&[&["SETNX"][..], &["GETSET"], &["APPEND"]])
                .iter()
                .copied()
                .map(Vec::from)
                .chain([key, value])
                .collect(),
            8 => command![self.random.pick(&["APPEND", "append"]), key, value],
            9 => command![self.random.pick(&["STRLEN", "GETDEL", "INCR", "DECR"]), key],
            10 => command![self.random.pick(&["INCR", "DECR"]), key],
            11 => {
                let number = if self.random.percent(50) {
                    self.small_number()
                } else {
                    self.number()
                };
                command![self.random.pick(&["INCRBY", "DECRBY"]), key, number]
            }
            12 | 13 => command!["INCRBYFLOAT", key, self.float()],
            14 => {
                let (start, end) = (self.offset(), self.offset());
                command![self.random.pick(&["GETRANGE", "SUBSTR"]), key, start, end]
            }
            15 => {
                let offset = match self.random.below(8) {
                    0 => self.number_unless_large(),
                    1 => b"536870912".to_vec(),
                    2 => b"600000000".to_vec(),
                    _ => self.random.below(300).to_string().into(),
                };
                let value = if self.random.percent(20) {
                    Vec::new()
                } else {
                    self.letters(30)
                };
                command!["SETRANGE", key, offset, value]
            }
            16 => [command!["MGET"], self.keys()].concat(),
            17 => {
                let mut command = command![self.random.pick(&["MSET", "MSETNX", "MSET"])];
                for key in self.keys() {
                    command.extend([key, self.value()]);
                }
                if self.random.percent(5) {
                    command.pop();
                }
                command
            }
            18 => {
                let seconds = self.seconds();
                let seconds = if self.random.percent(20) {
                    self.number()
                } else {
                    seconds.to_string().into()
                };
                command![
                    self.random.pick(&["SETEX", "PSETEX"]),
                    key,
                    at_least_thousand(seconds),
                    value
                ]
            }
            19 | 20 => {
                let mut command = command!["GETEX", key];
                match self.random.below(4) {
                    0 => command.push("PERSIST".into()),
                    1 | 2 => command.extend(self.expiry_option()),
                    _ => {}
                }
                if self.random.percent(8) {
                    command.push(self.random.pick(OPTIONS).into());
                }
                command
            }
            21 => self.lcs(),
            22 => command!["SET", key, self.letters(40)],
            _ => command![self.random.pick(&["STRLEN", "GETDEL", "GET"]), key],
        }
    }

    fn set(&mut self, key: Vec<u8>, value: Vec<u8>) -> Command {
        let mut command = command!["SET", key, value];
        for _ in 0..self.random.below(3) {
            match self.random.below(6) {
                0 => command.extend(self.expiry_option()),
                1 => command.push(self.random.pick(OPTIONS).into()),
                2 => command.push("KEEPTTL".into()),
                3 => command.push("GET".into()),
                _ => command.push(self.random.pick(&["nx", "XX", "xX", "NX"]).into()),
            }
        }
        command
    }

    fn lcs(&mut self) -> Command {
        let mut command = command!["LCS", self.key(), self.key()];
        for _ in 0..self.random.below(4) {
            match self.random.below(4) {
                0 => command.push("LEN".into()),
                1 => command.push("IDX".into()),
                2 => command.push("WITHMATCHLEN".into()),
                _ => command.extend([b"MINMATCHLEN".to_vec(), self.small_number()]),
            }
        }
        command
    }

    fn offset(&mut self) -> Vec<u8> {
        if self.random.percent(15) {
            self.number()
        } else {
            self.small_number()
        }
    }

    /// A number that makes no string of many megabytes when it is an offset.
    fn number_unless_large(&mut self) -> Vec<u8> {
        let number = self.number();
        if number.starts_with(b"100000") || number.starts_with(b"250000") {
            b"700".to_vec()
        } else {
            number
        }
    }

    fn key_space(&mut self) -> Command {
        let key = self.key();
        match self.random.below(21) {
            0..3 => [command![self.random.pick(&["DEL", "UNLINK"])], self.keys()].concat(),
            3..5 => [
                command![self.random.pick(&["EXISTS", "TOUCH"])],
                self.keys(),
            ]
            .concat(),
            5 => command!["TYPE", key],
            6 | 7 => command![self.random.pick(&["RENAME", "RENAMENX"]), key, self.key()],
            8 | 9 => {
                let mut command = command!["COPY", key, self.key()];
                for _ in 0..self.random.below(3) {
                    match self.random.below(4) {
                        0 => command.extend([b"DB".to_vec(), self.database()]),
                        1 => command.push(self.random.pick(OPTIONS).into()),
                        _ => command.push("REPLACE".into()),
                    }
                }
                command
            }
            10 => command!["MOVE", key, self.database()],
            11 | 12 => command!["KEYS", self.pattern()],
            13 => command!["RANDOMKEY"],
            14 => command!["DBSIZE"],
            15 | 16 => {
                let which = self
                    .random
                    .pick(&["ENCODING", "REFCOUNT", "IDLETIME", "FREQ", "encoding"]);
                command!["OBJECT", which, key]
            }
            17 => self.scan_error(),
            18 => command!["INCR", self.watched_key()],
            19 => command!["SET", self.watched_key(), self.value()],
            _ => command!["GET", self.watched_key()],
        }
    }

    pub fn pattern(&mut self) -> Vec<u8> {
        let patterns = [
            "*",
            "key:*",
            "key:1?",
            "*:1",
            "key:[0-9]",
            "key:[^1]*",
            "k[e-]y*",
            "{tag}*",
            "nothing",
            "",
            "counter:?",
            "\\*",
            "a\\*b*",
            "[",
            "[^",
            "key:[1",
            "*[*",
            "**t**",
        ];
        self.random.pick(&patterns).into()
    }

    /// A SCAN whose answer does not depend on where keys are: an error, or nothing to find.
    fn scan_error(&mut self) -> Command {
        let mut command = command![
            "SCAN",
            self.random.pick(&["0", "abc", "-1", "", "1e3", " 0"])
        ];
        match self.random.below(5) {
            0 => command.extend([
                b"COUNT".to_vec(),
                self.random.pick(&["0", "-1", "abc", ""]).into(),
            ]),
            1 => command.extend([b"MATCH".to_vec()]),
            2 => command.extend([b"bogus".to_vec(), b"x".to_vec()]),
            3 => command.extend([b"TYPE".to_vec()]),
            _ => command.extend(["COUNT", "1e2"].map(Vec::from)),
        }
        command
    }

    fn database(&mut self) -> Vec<u8> {
        match self.random.below(10) {
            0 => self.number(),
            1 => b"16".to_vec(),
            other => (other % 3).to_string().into(),
        }
    }

    fn expiry(&mut self) -> Command {
        let key = self.key();
        let seconds = self.seconds();
        let mut command = match self.random.below(12) {
            0 => command!["EXPIRE", key, seconds.to_string()],
            1 => command!["PEXPIRE", key, (seconds * 1000).to_string()],
            2 => command!["EXPIREAT", key, (4_102_444_800 + seconds).to_string()],
            3 => command![
                "PEXPIREAT",
                key,
                ((4_102_444_800 + seconds) * 1000).to_string()
            ],
            4 => {
                let name = self
                    .random
                    .pick(&["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT"]);
                command![name, key, self.number()]
            }
            5 | 6 => return command!["TTL", key],
            7 => return command!["PTTL", key],
            8 => return command!["EXPIRETIME", key],
            9 => return command!["PEXPIRETIME", key],
            _ => return command!["PERSIST", key],
        };
        for _ in 0..self.random.below(3) {
            command.push(
                self.random
                    .pick(&["NX", "XX", "GT", "LT", "gt", "bogus"])
                    .into(),
            );
        }
        command
    }

    fn transaction(&mut self, is_open: bool) -> Command {
        match (is_open, self.random.below(20)) {
            (false, 0..9) => command!["MULTI"],
            (false, 9..15) => self.watch(),
            (false, 15 | 16) => command!["UNWATCH"],
            (false, 17) => command!["EXEC"],
            (false, 18) => command!["DISCARD"],
            (true, 0..15) => command!["EXEC"],
            (true, 15) => command!["DISCARD"],
            (true, 16) => command!["MULTI"],
            (true, 17) => command!["WATCH", self.key()],
            _ => command!["PING"],
        }
    }

    fn connection(&mut self) -> Command {
        match self.random.below(16) {
            0 | 1 => command!["PING"],
            2 => command!["PING", self.value()],
            3 | 4 => command!["ECHO", self.value()],
            5 => command!["SELECT", self.database()],
            6 => command!["SELECT", "0"],
            7 => command![
                "CLIENT",
                "SETNAME",
                self.random.pick(&["me", "", "with space", "a\nb", "you"])
            ],
            8 => command!["CLIENT", "GETNAME"],
            9 => command![
                "CLIENT",
                "NO-EVICT",
                self.random.pick(&["ON", "off", "maybe"])
            ],
            10 => command!["CLIENT", "ID"],
            11 => command![
                "CLIENT",
                self.random
                    .pick(&["UNBLOCK", "KILL", "PAUSE", "REPLY", "bogus"]),
                "abc"
            ],
            12 => command!["AUTH", self.value()],
            13 => command![
                "AUTH",
                self.random.pick(&["default", "nobody"]),
                self.value()
            ],
            14 => command!["HELLO", self.random.pick(&["4", "1", "abc", "-1", "0"])],
            _ => command!["PUBLISH", "nobody-listens", self.value()],
        }
    }

    fn server(&mut self) -> Command {
        let names = [
            "get",
            "SET",
            "nosuch",
            "object|encoding",
            "select",
            "mget",
            "lcs",
            "expire",
        ];
        match self.random.below(14) {
            0 => command![
                "COMMAND",
                "INFO",
                self.random.pick(&names),
                self.random.pick(&names)
            ],
            1 => [command!["COMMAND", "GETKEYS"], self.string()].concat(),
            2 => [command!["COMMAND", "GETKEYS"], self.key_space()].concat(),
            3 => [command!["COMMAND", "GETKEYSANDFLAGS"], self.string()].concat(),
            4 => command!["COMMAND", "DOCS", "nosuch"],
            5 => command!["TIME"],
            6 => command!["LASTSAVE"],
            7 => command!["MEMORY", "USAGE", self.key()],
            8 => command![
                "CONFIG",
                "GET",
                self.random.pick(&["nosuch", "x*y*z", "databases"])
            ],
            9 => command!["CONFIG", "SET", "nosuch", "1"],
            10 => command![
                "PUBSUB",
                self.random.pick(&["CHANNELS", "NUMPAT", "NUMSUB", "bogus"])
            ],
            11 => command!["OBJECT", self.random.pick(&["bogus", "FREQ", "ENCODING"])],
            12 => command!["CONFIG", self.random.pick(&["bogus", "GET", "SET"])],
            _ => command!["DBSIZE"],
        }
    }
}

/// SETEX with 1 s would end during the test.
fn at_least_thousand(seconds: Vec<u8>) -> Vec<u8> {
    match std::str::from_utf8(&seconds)
        .ok()
        .and_then(|text| text.parse::<i64>().ok())
    {
        Some(1..1000) => b"1000".to_vec(),
        _ => seconds,
    }
}
