//! `quorate recover`: a new cluster out of what one node of a lost one has left.
//!
//! Of several nodes that are left, one has the most: the one whose last entry has the highest term, and
//! of those the one with the highest index (section 5.4.1 of the Raft paper). A long log alone says
//! nothing: a leader that was deposed may have many entries that were never committed, and lack those
//! that later leaders have acknowledged.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use raft::{EntryId, LogIndex};
use server::Remains;

use crate::failure::Failure;

/// What `quorate recover` is told.
#[derive(Debug, Args)]
#[command(
    after_help = "For the loss of a majority of the voters only: while a majority can be brought back, \
                  bring it back. The old directory is only read."
)]
pub(crate) struct RecoverArguments {
    /// Make a new cluster of what this one node has. Acknowledged writes that only the lost nodes had
    /// are lost with them.
    #[arg(long, required = true)]
    force_new_cluster: bool,
    /// The data directory of a node, which must not be running. Give it once for every node that is left:
    /// the one that has the most is taken, which is the one whose last entry has the highest term, and of
    /// those the highest index.
    #[arg(long, value_name = "DIR", required = true)]
    data_dir: Vec<PathBuf>,
    /// Where to put the new cluster's data: a directory that does not exist.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Name of the cluster, if it is not `quorate`.
    #[arg(long, value_name = "NAME", default_value = "quorate")]
    cluster_name: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Chooses a node, says what may be lost, asks, and makes the new cluster.
pub(crate) fn run(arguments: &RecoverArguments) -> Result<ExitCode, Failure> {
    let remains = look_at_all(arguments)?;
    let lasts: Vec<EntryId> = remains.iter().map(Remains::last).collect();
    let remains = &remains[choice(&lasts)];
    match lasts.len() {
        1 => eprintln!(
            "If data of other nodes is left, name it too, by a --data-dir for each: the node whose last \
             entry has the highest term, and of those the highest index, has the most, and is taken."
        ),
        _ => eprintln!(
            "Node {} is taken: its last entry has the highest term, and of those the highest index.",
            remains.node()
        ),
    }
    eprintln!(
        "Lost: every acknowledged write that only other nodes have.\n\
         {}\n\
         Nodes of the old cluster will never be let into the new one: stop them, and let them join with \
         empty directories.",
        doubtful(remains.last().index, remains.committed()),
    );
    if !arguments.yes && !is_confirmed()? {
        return Err(Failure::usage("nothing was done"));
    }
    let cluster = remains.found_cluster(&arguments.to);
    let cluster = cluster.map_err(Failure::running)?;
    writeln!(
        std::io::stdout(),
        "cluster {cluster:016x} of node {} alone is in {}; start it with --data-dir {}, and let others \
         --join it",
        remains.node(),
        arguments.to.display(),
        arguments.to.display()
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Opens what is left of each node, and says what it has.
fn look_at_all(arguments: &RecoverArguments) -> Result<Vec<Remains>, Failure> {
    let mut all: Vec<Remains> = Vec::new();
    for path in &arguments.data_dir {
        let remains = Remains::of(path, &arguments.cluster_name).map_err(Failure::usage)?;
        if let Some(first) = all.first()
            && first.cluster() != remains.cluster()
        {
            return Err(Failure::usage(format!(
                "{}: belongs to cluster {:016x}, and {} to cluster {:016x}: name directories of one",
                path.display(),
                remains.cluster(),
                arguments.data_dir[0].display(),
                first.cluster()
            )));
        }
        let last = remains.last();
        eprintln!(
            "{}: node {} of cluster {:016x} has entries up to {}, the last one of term {}, and knew those \
             up to {} to be committed.",
            path.display(),
            remains.node(),
            remains.cluster(),
            last.index,
            last.term,
            remains.committed()
        );
        all.push(remains);
    }
    Ok(all)
}

/// Which of them has the most, by the ids of their last entries: the order of ids is that of terms first.
/// It has every entry that is known to be committed on any of them. Of equals, the first.
fn choice(lasts: &[EntryId]) -> usize {
    let mut chosen = 0;
    for (at, last) in lasts.iter().enumerate() {
        if *last > lasts[chosen] {
            chosen = at;
        }
    }
    chosen
}

/// What is kept although nobody may have been told that it is.
fn doubtful(last: LogIndex, committed: LogIndex) -> String {
    if committed >= last {
        return format!("Kept: everything that it has, entries up to {last}; all are committed.");
    }
    let first = committed.next();
    format!("Kept, though perhaps never acknowledged: entries {first} to {last}.")
}

fn is_confirmed() -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(
            "nobody is there to be asked: give --yes if that is what you want",
        ));
    }
    eprint!("Type yes to go on: ");
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.map_err(|error| Failure::running(format!("cannot read the answer: {error}")))?;
    Ok(line.trim() == "yes")
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, sync::Arc};

    use vfs::{StdVfs, Vfs};
    use wal::{
        Record, Wal,
        data_dir::{IdentityFile, write_new_identity},
    };

    use super::*;

    #[test]
    fn the_highest_term_has_the_most_and_only_then_the_highest_index() {
        let ids = |ids: &[(u64, u64)]| -> Vec<EntryId> {
            let ids = ids.iter();
            ids.map(|(term, index)| EntryId::new(*term, *index))
                .collect()
        };
        // A leader that was deposed in term 5 has more entries, and not those of terms 6 and 7.
        assert_eq!(choice(&ids(&[(5, 2000), (7, 1500)])), 1);
        assert_eq!(choice(&ids(&[(7, 1500), (7, 1501), (5, 9000)])), 1);
        assert_eq!(choice(&ids(&[(7, 1500), (7, 1500)])), 0);
        assert_eq!(choice(&ids(&[(1, 1)])), 0);
    }

    /// The data directory of a node whose log has entries of these terms.
    fn directory(parent: &Path, cluster: u64, node: u64, terms: &[u64]) -> PathBuf {
        let vfs: Arc<dyn Vfs> = Arc::new(StdVfs::new());
        let path = parent.join(format!("{cluster}-{node}"));
        fs::create_dir(&path).expect("a directory");
        let identity = IdentityFile {
            cluster,
            node,
            incarnation: 1,
            log_exists: true,
            is_outdated: false,
            is_removed: false,
            directory: 7,
        };
        write_new_identity(vfs.as_ref(), &path, &identity).expect("written");
        let owner = wal::Identity { cluster, node };
        let log = Wal::open(vfs, &path.join("wal"), owner, wal::Options::default());
        let (mut log, _) = log.expect("a log");
        let noop = raft::EntryKind::Noop as u8;
        let records: Vec<Record> = (1..)
            .zip(terms)
            .map(|(index, term)| Record::entry(1, *term, index, noop, 0, Vec::new().into()))
            .collect();
        log.append(&records).expect("appended");
        log.sync().expect("synced");
        path
    }

    #[test]
    fn of_several_directories_the_command_takes_the_one_that_has_the_most() {
        let place = tempfile::tempdir().expect("a directory");
        let longer = directory(place.path(), 9, 1, &[1, 5, 5, 5, 5]);
        let later = directory(place.path(), 9, 2, &[1, 7]);
        let foreign = directory(place.path(), 8, 3, &[9]);
        let to = place.path().join("new");
        let mut arguments = RecoverArguments {
            force_new_cluster: true,
            data_dir: vec![longer, foreign, later],
            to: to.clone(),
            cluster_name: "quorate".into(),
            yes: true,
        };
        let refused = run(&arguments).expect_err("two clusters");
        let Failure::Usage(line) = refused else {
            panic!("{refused:?}");
        };
        assert!(line.contains("belongs to cluster"), "{line}");
        assert!(!to.exists());
        arguments.data_dir.remove(1);
        run(&arguments).expect("made");
        let made = Remains::of(&to, "quorate").expect("a node");
        assert_eq!(made.node(), 2);
        assert_eq!(made.last().index, LogIndex(3), "and who belongs");
    }

    #[test]
    fn what_is_committed_is_not_called_doubtful() {
        let said = |last, committed| doubtful(LogIndex(last), LogIndex(committed));
        assert!(said(9, 7).contains("never acknowledged: entries 8 to 9"));
        assert!(said(9, 8).contains("never acknowledged: entries 9 to 9"));
        assert!(!said(9, 9).contains("never acknowledged"), "{}", said(9, 9));
    }
}
