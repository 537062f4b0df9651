//! `quorate import`: the keys of a Redis, from its RDB file or from itself while it runs.
//!
//! A file is read twice: first to its end, which shows whether it is whole and right, and what is in
//! it; then again to import it. So a damaged file changes nothing.

mod live;
mod rdb;
mod record;
mod tally;
mod target;
mod url;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{Seek, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use server::config::Address;

use self::{
    live::Source,
    rdb::{Item, Reader},
    target::{Existing, Target, run_id},
    url::RedisUrl,
};
use crate::{
    cluster::Cluster,
    failure::Failure,
    login::LoginArguments,
    progress::{Progress, grouped, per_second},
};

/// Items between two looks at the clock.
const ITEMS_BETWEEN_LOOKS: u64 = 256;

/// What `quorate import` is told.
#[derive(Debug, Args)]
#[command(
    after_help = "Strings are imported, with their expiry and into their database. Everything else is counted and \
    skipped. Without --replace or --keep, nothing is imported into a database that holds keys.\n\n\
    A file is checked to its end before the first key is sent. What is written to a running Redis during the import \
    may or may not be in the copy: stop its writers first if that matters.\n\n\
    An import that ended early may be begun again, with --replace or --keep. The exit code is 0 if nothing failed \
    (what was skipped has not failed), 1 if something did, 2 if nothing was sent."
)]
pub(crate) struct ImportArguments {
    /// RDB file, of Redis up to 8.
    #[arg(value_name = "DUMP.RDB", required_unless_present = "from")]
    file: Option<PathBuf>,
    /// A running Redis: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]`. Without /DB all its databases. The password may
    /// also be given in QUORATE_FROM_PASSWORD.
    #[arg(long, value_name = "URL", conflicts_with = "file")]
    from: Option<RedisUrl>,
    /// Nodes of the cluster to import into.
    #[arg(
        long,
        value_name = "HOST:PORT,...",
        value_delimiter = ',',
        default_value = "127.0.0.1:6379"
    )]
    to: Vec<Address>,
    #[command(flatten)]
    login: LoginArguments,
    /// Overwrite keys that exist.
    #[arg(long, conflicts_with = "keep")]
    replace: bool,
    /// Leave keys that exist as they are.
    #[arg(long)]
    keep: bool,
    /// At most so many keys each second.
    #[arg(long, value_name = "KEYS", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// How long the cluster, or the source, may be out of reach before the import is given up.
    #[arg(long, value_name = "SECONDS", default_value = "60")]
    patience: u64,
}

/// Imports.
pub(crate) fn run(arguments: &ImportArguments) -> Result<ExitCode, Failure> {
    let existing = match (arguments.replace, arguments.keep) {
        (true, _) => Existing::Replace,
        (_, true) => Existing::Keep,
        _ => Existing::Refuse,
    };
    let patience = Duration::from_secs(arguments.patience);
    let cluster = Cluster::new(arguments.to.clone(), arguments.login.login()?);
    let mut target = Target::new(cluster, existing, patience, arguments.rate);
    let started = match (&arguments.file, &arguments.from) {
        (Some(path), _) => from_file(path, &mut target)?,
        (None, Some(url)) => from_redis(url, patience, &mut target)?,
        (None, None) => return Err(Failure::usage("name an RDB file, or a Redis by --from")),
    };
    write!(
        std::io::stdout(),
        "{}",
        target.tally.summary(started.elapsed())
    )?;
    Ok(match target.tally.failed() {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// What the first reading of a file shows.
#[derive(Debug, Default)]
struct Survey {
    items: u64,
    /// Databases with strings.
    databases: BTreeSet<u32>,
}

fn from_file(path: &Path, target: &mut Target) -> Result<Instant, Failure> {
    let shown = path.display();
    let unreadable = |error| Failure::usage(format!("cannot read {shown}: {error}"));
    let mut file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err(Failure::usage(format!("{shown} is not a file")));
    }
    let length = about.len();
    let wrong = |error| Failure::usage(format!("{shown}, {error}; nothing was imported"));
    let survey = survey(&file, length).map_err(wrong)?;
    target.prepare(&survey.databases)?;
    file.rewind().map_err(unreadable)?;

    let started = Instant::now();
    let mut progress = Progress::new();
    let changed = |error| {
        Failure::running(format!(
            "{shown} changed while it was read, {error}; what is imported stays"
        ))
    };
    let mut reader = Reader::new(&file, length).map_err(changed)?;
    while let Some(item) = reader.next_item().map_err(changed)? {
        match item {
            Item::String(record) => target.put(record)?,
            Item::Skipped { kind, .. } => target.tally.skip_type(kind),
        }
        progress.show(|| line(target, survey.items, started));
    }
    target.flush()?;
    Ok(started)
}

/// Reads a file to its end.
fn survey(file: &File, length: u64) -> Result<Survey, rdb::RdbError> {
    let mut progress = Progress::new();
    let mut reader = Reader::new(file, length)?;
    let mut survey = Survey::default();
    while let Some(item) = reader.next_item()? {
        survey.items += 1;
        if let Item::String(record) = item {
            survey.databases.insert(record.database);
        }
        if survey.items.is_multiple_of(ITEMS_BETWEEN_LOOKS) {
            let percent = reader.position() * 100 / length.max(1);
            progress.show(|| format!("checking the file: {percent}%"));
        }
    }
    progress.clear();
    if !reader.has_checksum() {
        let version = reader.version();
        eprintln!(
            "note: the file (RDB version {version}) has no checksum, so not every damage would be noticed"
        );
    }
    Ok(survey)
}

fn from_redis(url: &RedisUrl, patience: Duration, target: &mut Target) -> Result<Instant, Failure> {
    let mut source = Source::open(url.clone(), patience)?;
    let source_id = run_id(source.connection()).map_err(Failure::running)?;
    if source_id.is_some() && source_id == target.run_id()? {
        return Err(Failure::usage(
            "the source is the cluster itself: name another with --to",
        ));
    }
    let databases: BTreeMap<u32, u64> = source.databases()?;
    let keys: u64 = databases.values().sum();
    target.prepare(&databases.keys().copied().collect())?;
    let started = Instant::now();
    let mut progress = Progress::new();
    for database in databases.into_keys() {
        source.copy(database, target, |target| {
            progress.show(|| line(target, keys, started));
        })?;
    }
    target.flush()?;
    Ok(started)
}

/// How far it is: `importing: 412,000 of 1,000,000 keys (41%), 98,000 a second, 6 s left`.
fn line(target: &Target, all: u64, started: Instant) -> String {
    let (done, time) = (target.tally.all(), started.elapsed());
    let rate = per_second(done, time);
    let percent = (done * 100 / all.max(1)).min(100);
    let left = all.saturating_sub(done) / rate.max(1);
    format!(
        "importing: {} of {} keys ({percent}%), {} a second, {left} s left",
        grouped(done),
        grouped(all),
        grouped(rate)
    )
}
