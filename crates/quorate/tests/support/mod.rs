//! What the tests of the binary share: running it, ports, and a server that says what it is told to.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test file uses a part of this"
)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// No wait of a test is longer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How long between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// What a process has left.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The binary, in an environment that says nothing to it.
pub fn quorate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("QUORATE_") || name == "REDISCLI_AUTH" {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn output(command: &mut Command) -> Output {
    let output = command.output().expect("the binary runs");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a command to its end with something to read.
pub fn output_with_input(command: &mut Command, input: &str) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let writer = thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    // It may have ended without reading everything.
    let _ = writer.join().expect("the writer does not panic");
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Looks again and again until there is something, for a bounded time: the only sleep of these tests is
/// between two looks. `None` if there never was.
fn look_for<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        let seen = look();
        if seen.is_some() || started.elapsed() > PATIENCE {
            return seen;
        }
        thread::sleep(LOOK_INTERVAL);
    }
}

/// Waits until something is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let seen = look_for(|| is_so().then_some(()));
    assert!(seen.is_some(), "waited too long: {what}");
}

/// A child process that is killed at the end of its test.
pub struct Running {
    pub child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Running {
    /// Starts a command and collects the lines it writes, of both kinds.
    pub fn start(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let output = child.stdout.take().expect("a pipe");
        let errors = child.stderr.take().expect("a pipe");
        collect(output, Arc::clone(&lines));
        collect(errors, Arc::clone(&lines));
        Self { child, lines }
    }

    /// The lines written so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no panic holds it").clone()
    }

    /// Waits for a line with a text in it. It may come after the end: the line is read by a thread.
    pub fn wait_for(&mut self, text: &str) -> String {
        let line = || self.lines().into_iter().find(|line| line.contains(text));
        look_for(line).unwrap_or_else(|| panic!("no {text:?} in {:#?}", self.lines()))
    }

    /// Waits for the end and tells the exit code.
    pub fn wait(&mut self) -> i32 {
        let ended = look_for(|| self.child.try_wait().expect("a child of ours"));
        let Some(status) = ended else {
            panic!("it does not end: {:#?}", self.lines());
        };
        status.code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(source: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) {
    thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            lines.lock().expect("no panic holds it").push(line);
        }
    });
}

/// How a server answers a request: by these bytes, or by closing the connection.
pub enum Reply {
    Bytes(Vec<u8>),
    Close,
}

impl Reply {
    pub fn text(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

/// A server that speaks just enough RESP, on a port of its own.
pub struct FakeServer {
    pub port: u16,
    /// Every request that came, as words.
    pub requests: Arc<Mutex<Vec<Vec<String>>>>,
}

impl FakeServer {
    /// Starts a server that answers each request by `answer`. Its threads end with the test's process.
    pub fn start(answer: impl Fn(&[String]) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(answer);
        let log = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                thread::spawn(move || serve(stream, &*answer, &log));
            }
        });
        Self { port, requests }
    }

    /// The requests with this name.
    pub fn requests_named(&self, name: &str) -> Vec<Vec<String>> {
        let requests = self.requests.lock().expect("no panic holds it");
        requests
            .iter()
            .filter(|words| words[0].eq_ignore_ascii_case(name))
            .cloned()
            .collect()
    }
}

fn serve(stream: TcpStream, answer: &dyn Fn(&[String]) -> Reply, log: &Mutex<Vec<Vec<String>>>) {
    let mut writer = stream.try_clone().expect("a second handle");
    let mut reader = BufReader::new(stream);
    while let Some(words) = read_request(&mut reader) {
        log.lock().expect("no panic holds it").push(words.clone());
        match answer(&words) {
            Reply::Bytes(bytes) => {
                if writer.write_all(&bytes).is_err() {
                    return;
                }
            }
            Reply::Close => return,
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Vec<String>> {
    let count = read_number(reader, '*')?;
    let mut words = Vec::new();
    for _ in 0..count {
        let length = read_number(reader, '$')?;
        let mut bytes = vec![0; length + 2];
        reader.read_exact(&mut bytes).ok()?;
        bytes.truncate(length);
        words.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    Some(words)
}

fn read_number(reader: &mut BufReader<TcpStream>, kind: char) -> Option<usize> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    line.strip_prefix(kind)?.trim_end().parse().ok()
}
