//! Files that people name.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use sim::history::History;
use sim::report::{RunOptions, RunReport};
use sim::tape_file::TapeFile;
use sim::trace::html;

use crate::cli::{WrongUse, commit_or_version};

/// Reads a tape file.
pub(crate) fn read_tape(path: &Path) -> Result<TapeFile, WrongUse> {
    let text = fs::read_to_string(path).map_err(|error| wrong(path, &error))?;
    TapeFile::parse(&text).map_err(|error| wrong(path, &error))
}

/// Writes a text.
pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), WrongUse> {
    fs::write(path, text).map_err(|error| wrong(path, &error))
}

/// Writes the picture and the history of a run, as far as they are asked for.
pub(crate) fn write_artifacts(
    options: &RunOptions,
    report: &RunReport,
    trace: Option<&Path>,
    history: Option<&Path>,
) -> Result<(), WrongUse> {
    if let Some(path) = trace {
        write_text(path, &html::render(options, report, &commit_or_version()))?;
        eprintln!("trace: {}", path.display());
    }
    if let Some(path) = history {
        write_history(path, report.history.as_ref()).map_err(|error| wrong(path, &error))?;
        eprintln!("history: {}", path.display());
    }
    Ok(())
}

fn write_history(path: &Path, history: Option<&History>) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    if let Some(history) = history {
        history.write_json_lines(&mut out)?;
    }
    out.flush()
}

/// Refuses to run for an hour and then find out that the result cannot be written.
pub(crate) fn must_be_writable(path: &Path) -> Result<(), WrongUse> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() || parent.is_dir() => Ok(()),
        _ => Err(wrong(path, &"there is no such directory")),
    }
}

fn wrong(path: &Path, error: &dyn Display) -> WrongUse {
    WrongUse(format!("{}: {error}", path.display()))
}
