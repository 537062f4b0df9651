//! `quorate backup`: the state of a running cluster in a file, and whether such a file is good.
//!
//! Any node can be asked. It writes a snapshot (or has one of this very moment), and hands it out in
//! pieces through its client port. The file is as the node wrote it, checksums and all, so that it can
//! be checked anywhere and at any time.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use replica::BACKUP_PIECE_BYTES_MAX;
use resp::Value;
use server::config::Address;
use snapshot::{Report, format::finished_name, verify};
use vfs::{File, StdVfs, Vfs, parent_of};

use crate::{
    client::{ClientError, Connection},
    cluster::Cluster,
    failure::Failure,
    login::LoginArguments,
    progress::{Progress, bytes_text, grouped, per_second},
};

/// How long a node is looked for, and how long it may take to answer a request that asks little.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait when the node is busy with another snapshot.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// How often it is said that a snapshot is still being written.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// What stands behind the name of a file that is not complete.
const PARTIAL_SUFFIX: &str = ".partial";

/// What `quorate backup` is told.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "A backup is the whole state at one moment: every write that was acknowledged before the backup \
    was begun is in it. It is taken while the cluster works, and read again and checked when it is complete.\n\n\
    `quorate restore FILE` makes a new cluster of it."
)]
pub(crate) struct BackupArguments {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// The file to be written; or a directory, in which its name is its position in the log.
    #[arg(value_name = "DIR|FILE", required = true)]
    to: Option<PathBuf>,
    /// Nodes, of which the first that answers is asked.
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        value_delimiter = ',',
        default_value = "127.0.0.1:6379"
    )]
    cluster: Vec<Address>,
    #[command(flatten)]
    login: LoginArguments,
}

/// What else there is to do with a backup.
#[derive(Debug, Subcommand)]
enum BackupCommand {
    /// Check every byte of a backup.
    ///
    /// The exit code is 0 if it is good, else 1.
    Verify {
        /// The file.
        file: PathBuf,
    },
}

/// A snapshot that a node hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offer {
    index: u64,
    term: u64,
    bytes: u64,
    checksum: u32,
}

/// Takes or checks a backup.
pub(crate) fn run(arguments: &BackupArguments) -> Result<ExitCode, Failure> {
    if let Some(BackupCommand::Verify { file }) = &arguments.command {
        let report = verify(&StdVfs::new(), file).map_err(Failure::running)?;
        writeln!(std::io::stdout(), "{}", describe(file, &report)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let to = arguments.to.as_deref().unwrap_or(Path::new("."));
    let is_directory = to.is_dir();
    if !is_directory {
        check_name(to)?;
    }
    let mut cluster = Cluster::new(arguments.cluster.clone(), arguments.login.login()?);
    let connection = cluster.connect(PATIENCE).map_err(Failure::running)?;
    let offer = obtain(connection)?;
    let file = match is_directory {
        true => to.join(finished_name(offer.index, offer.term)),
        false => to.to_owned(),
    };
    check_name(&file)?;
    let report = fetch(connection, offer, &file)?;
    writeln!(std::io::stdout(), "{}", describe(&file, &report)?)?;
    Ok(ExitCode::SUCCESS)
}

/// What a good file holds, in one line.
fn describe(file: &Path, report: &Report) -> Result<String, Failure> {
    let summary = replica::summary(&report.meta.head);
    let summary = summary.map_err(|error| about(file, error))?;
    Ok(format!(
        "{}: good: {} keys at entry {} of cluster {:016x}, as of {} s ago, {}",
        file.display(),
        grouped(summary.keys),
        report.meta.index,
        report.meta.cluster,
        age_seconds(report.meta.time_ms),
        bytes_text(report.bytes),
    ))
}

fn age_seconds(time_ms: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_ms = now.map_or(0, |now| now.as_millis() as u64);
    now_ms.saturating_sub(time_ms) / 1_000
}

/// Refuses to write over anything.
fn check_name(file: &Path) -> Result<(), Failure> {
    if file.exists() {
        return Err(about_usage(
            file,
            "is there already; choose another name, or remove it",
        ));
    }
    let directory = parent_of(file);
    if !directory.is_dir() {
        return Err(about_usage(&directory, "is no directory; make it first"));
    }
    Ok(())
}

/// Has the node write a snapshot that is not older than this moment.
fn obtain(connection: &mut Connection) -> Result<Offer, Failure> {
    // A read is answered when the node has applied all that was acknowledged before.
    let read = connection.call(&["EXISTS", "x"], PATIENCE);
    accepted(connection, "EXISTS", read)?;
    let info = connection.call(&["INFO", "raft"], PATIENCE);
    let info = accepted(connection, "INFO", info)?;
    let info = String::from_utf8_lossy(info.as_bytes().unwrap_or_default()).into_owned();
    let applied = info
        .lines()
        .find_map(|line| line.trim_end().strip_prefix("raft_applied_index:"))
        .and_then(|index| index.parse::<u64>().ok())
        .ok_or_else(|| Failure::running(format!("{} is no Quorate node", connection.address())))?;
    let mut progress = Progress::new();
    loop {
        let is_saved = save(connection, &mut progress)?;
        if is_saved && let Some(offer) = begin(connection)?.filter(|offer| offer.index >= applied) {
            return Ok(offer);
        }
        // Another snapshot is on its way; it may have been begun before this moment.
        std::thread::sleep(BUSY_PAUSE);
    }
}

/// Asks for a snapshot and waits until it is durable. `false` if the node is busy with another.
fn save(connection: &mut Connection, progress: &mut Progress) -> Result<bool, Failure> {
    let started = Instant::now();
    let mut request = Vec::new();
    resp::encode_request(&mut request, &["SAVE"]);
    connection.send(&request).map_err(Failure::running)?;
    let reply = loop {
        match connection.receive(Some(LOOK_INTERVAL), None) {
            Ok(Value::Push(_)) => {}
            Err(ClientError::TimedOut { .. }) => {
                let seconds = started.elapsed().as_secs();
                let address = connection.address();
                progress.show(|| format!("{address} writes a snapshot: {seconds} s"));
            }
            other => break other,
        }
    };
    if let Ok(Value::Error(error)) = &reply
        && error.ends_with(b"already in progress")
    {
        return Ok(false);
    }
    accepted(connection, "SAVE", reply).map(|_| true)
}

fn begin(connection: &mut Connection) -> Result<Option<Offer>, Failure> {
    let reply = connection.call(&["QUORATE", "BACKUP", "BEGIN"], PATIENCE);
    let reply = accepted(connection, "QUORATE BACKUP", reply)?;
    let Value::Array(numbers) = &reply else {
        return Ok(None);
    };
    let number = |value: &Value| match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let numbers: Option<Vec<u64>> = numbers.iter().map(number).collect();
    Ok(match numbers.as_deref() {
        Some([index, term, bytes, checksum, ..]) => Some(Offer {
            index: *index,
            term: *term,
            bytes: *bytes,
            checksum: *checksum as u32,
        }),
        _ => None,
    })
}

/// Fetches a file, checks it, and gives it its name.
fn fetch(connection: &mut Connection, offer: Offer, file: &Path) -> Result<Report, Failure> {
    let mut name = file.as_os_str().to_os_string();
    name.push(PARTIAL_SUFFIX);
    let partial = Partial(PathBuf::from(name));
    let vfs = StdVfs::new();
    // What a backup that was interrupted has left.
    if partial.0.exists() {
        vfs.remove(&partial.0).map_err(failed(&partial.0))?;
    }
    let mut output = vfs.create(&partial.0).map_err(failed(&partial.0))?;
    fetch_pieces(connection, offer, &partial.0, output.as_mut())?;
    output.sync_data().map_err(failed(&partial.0))?;
    let report = verify(&vfs, &partial.0).map_err(Failure::running)?;
    let found = Offer {
        index: report.meta.index,
        term: report.meta.term,
        bytes: report.bytes,
        checksum: report.checksum,
    };
    if found != offer {
        return Err(about(&partial.0, "another snapshot arrived; try again"));
    }
    vfs.rename(&partial.0, file).map_err(failed(file))?;
    vfs.sync_dir(&parent_of(file)).map_err(failed(file))?;
    Ok(report)
}

fn fetch_pieces(
    connection: &mut Connection,
    offer: Offer,
    path: &Path,
    output: &mut dyn File,
) -> Result<(), Failure> {
    let started = Instant::now();
    let mut progress = Progress::new();
    let mut offset = 0;
    while offset < offer.bytes {
        let (from, count) = (offset.to_string(), BACKUP_PIECE_BYTES_MAX.to_string());
        let reply = connection.call(&["QUORATE", "BACKUP", "READ", &from, &count], PATIENCE);
        let reply = accepted(connection, "QUORATE BACKUP", reply)?;
        let piece = reply.as_bytes().unwrap_or_default();
        let end = offset + piece.len() as u64;
        if piece.is_empty() || end > offer.bytes {
            return Err(Failure::running(format!(
                "{} sent {} bytes at {offset} of a snapshot of {}; try again",
                connection.address(),
                piece.len(),
                offer.bytes
            )));
        }
        output.write_all_at(offset, piece).map_err(failed(path))?;
        offset = end;
        progress.show(|| {
            format!(
                "{} of {}, {}/s",
                bytes_text(offset),
                bytes_text(offer.bytes),
                bytes_text(per_second(offset, started.elapsed()))
            )
        });
    }
    Ok(())
}

/// The reply, if it is no error.
fn accepted(
    connection: &Connection,
    what: &str,
    reply: Result<Value, ClientError>,
) -> Result<Value, Failure> {
    let reply = reply.map_err(Failure::running)?;
    match reply.as_error() {
        None => Ok(reply),
        Some(error) if error.starts_with(b"NOAUTH") => {
            Err(Failure::running(ClientError::NeedsPassword {
                address: connection.address().clone(),
            }))
        }
        Some(error) => Err(Failure::running(format!(
            "{} refused {what}: {}",
            connection.address(),
            String::from_utf8_lossy(error)
        ))),
    }
}

/// A file that is removed unless it has got another name.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        // It is not there if all went well.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// For `map_err`: a file could not be written.
pub(crate) fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> Failure + use<> {
    let path = path.to_path_buf();
    move |error| about(&path, format!("cannot be written: {error}"))
}

/// Something went wrong with a file.
pub(crate) fn about(path: &Path, problem: impl std::fmt::Display) -> Failure {
    Failure::running(format!("{}: {problem}", path.display()))
}

/// A file that was named cannot be used.
pub(crate) fn about_usage(path: &Path, problem: impl std::fmt::Display) -> Failure {
    Failure::usage(format!("{}: {problem}", path.display()))
}
