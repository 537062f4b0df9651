//! `quorate restore`: a backup as the beginning of a new cluster.
//!
//! Each node of the new cluster is restored from the same file, and so begins with the same state at
//! the same position of the log. The new cluster has an id of its own, made of its settings and of the
//! file, whatever its name: it is another than that of the cluster in the file, since that goes into it. So
//! nodes of the old one, should any still run, and of the new one refuse each other; and so does
//! a node that was forgotten and begins with nothing, or with another backup: two such could elect each
//! other, and serve an empty database under the new cluster's name.

use std::{
    collections::BTreeMap, fs, io::Write, path::Path, path::PathBuf, process::ExitCode, sync::Arc,
};

use clap::Args;
use raft::NodeId;
use server::{config::Config, write_charter};
use snapshot::{Directory, Meta, Reader, Report, Writer, verify};
use vfs::{StdVfs, Vfs};
use wal::{Charter, DataDir};

use crate::{
    backup::{about, about_usage},
    failure::Failure,
    progress::{Progress, bytes_text, grouped},
    serve::ServeArguments,
};

/// Where a node looks for its snapshots, in its data directory.
const SNAPSHOTS_NAME: &str = "snapshots";

/// What `quorate restore` is told: the backup, and the settings with which the node will be started.
#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    serve: ServeArguments,
}

/// Makes the data directory of one node of a new cluster.
pub(crate) fn run(arguments: &RestoreArguments) -> Result<ExitCode, Failure> {
    let config = arguments.serve.load_from_environment()?;
    let file = &arguments.file;
    let vfs: Arc<dyn Vfs> = Arc::new(StdVfs::new());
    check_directory(&config.data_dir)?;
    let report = verify(vfs.as_ref(), file).map_err(Failure::running)?;
    let members: BTreeMap<NodeId, String> = config
        .members()
        .into_iter()
        .map(|(id, address)| (NodeId(id), address.to_string()))
        .collect();
    let head = replica::adopt(&report.meta.head, &members).map_err(|error| about(file, error))?;
    let meta = Meta {
        cluster: cluster_of(&config, &report),
        head,
        ..report.meta
    };
    if let Err(failure) = make_directory(&vfs, file, &config, &meta) {
        // What was made of it is gone already, or nothing that could be mistaken for a state.
        let _ = fs::remove_dir(config.data_dir.join(SNAPSHOTS_NAME));
        let _ = fs::remove_dir(&config.data_dir);
        return Err(failure);
    }
    writeln!(std::io::stdout(), "{}", outcome(&config, &meta, &members)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The id of the cluster that these settings make of this backup.
fn cluster_of(config: &Config, report: &Report) -> u64 {
    let Report { meta, checksum, .. } = report;
    let numbers = [meta.cluster, meta.term, meta.index, u64::from(*checksum)];
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
    // FNV-1a, going on from the hash of the settings.
    bytes.fold(config.cluster_id(), |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Refuses a directory that holds anything.
fn check_directory(dir: &Path) -> Result<(), Failure> {
    match fs::read_dir(dir).map(Iterator::count) {
        Ok(0) => Ok(()),
        Ok(_) => Err(about_usage(
            dir,
            "is not empty; a restored node begins with a new directory: choose another --data-dir",
        )),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(about_usage(dir, error)),
    }
}

/// First the state, then whose it is: a directory that says whose it is has its state.
fn make_directory(
    vfs: &Arc<dyn Vfs>,
    file: &Path,
    config: &Config,
    meta: &Meta,
) -> Result<(), Failure> {
    let dir = &config.data_dir;
    let directory = Directory::open(Arc::clone(vfs), &dir.join(SNAPSHOTS_NAME));
    let directory = directory.map_err(Failure::running)?;
    let mut writer = Writer::create(&directory, meta).map_err(Failure::running)?;
    let (_, mut reader) = Reader::open(vfs.as_ref(), file).map_err(Failure::running)?;
    let mut progress = Progress::new();
    while let Some(block) = reader.next_block().map_err(Failure::running)? {
        writer.block(&block).map_err(Failure::running)?;
        let (done, total) = (reader.offset(), reader.file_bytes());
        progress.show(|| format!("{} of {}", bytes_text(done), bytes_text(total)));
    }
    let found = writer.finish().map_err(Failure::running)?;
    verify(vfs.as_ref(), &found.path).map_err(Failure::running)?;
    let charter = Charter {
        cluster: meta.cluster,
        former_cluster: config.cluster_id(),
        node: config.node_id,
        cluster_name: config.cluster_name.clone(),
        members: config
            .members()
            .into_iter()
            .map(|(id, address)| (id, address.to_string()))
            .collect(),
        ..Charter::default()
    };
    write_charter(dir, &charter).map_err(Failure::running)?;
    DataDir::open(Arc::clone(vfs), dir, meta.cluster, config.node_id)
        .map(|_| ())
        .map_err(Failure::running)
}

/// What was made, and what is to be done next.
fn outcome(
    config: &Config,
    meta: &Meta,
    members: &BTreeMap<NodeId, String>,
) -> Result<String, Failure> {
    let summary = replica::summary(&meta.head).map_err(Failure::running)?;
    let mut text = format!(
        "{}: {} keys at entry {}, for node {} of the new cluster {:016x}",
        config.data_dir.display(),
        grouped(summary.keys),
        meta.index,
        config.node_id,
        meta.cluster,
    );
    let others = members.keys().filter(|id| id.0 != config.node_id);
    let others: Vec<String> = others.map(|id| id.0.to_string()).collect();
    if !others.is_empty() {
        text.push_str(&format!(
            "; restore the same file for node {} before any of them is started",
            others.join(" and node ")
        ));
    }
    text.push_str("; then start it by `quorate serve` with the same settings");
    Ok(text)
}
