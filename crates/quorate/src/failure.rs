//! How a subcommand fails: one line and an exit code.

use std::{fmt::Display, io, process::ExitCode};

/// Why a subcommand did not do what was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The request was at fault; nothing was touched. Exit code 2.
    Usage(String),
    /// It went wrong while it was carried out. Exit code 1.
    Running(String),
    /// There is no use in trying again: the node was removed from its cluster. Exit code 3.
    Removed(String),
    /// Nobody reads what is written any more (`quorate wal dump | head`). Not worth a word.
    OutputClosed,
}

impl Failure {
    /// A fault of the request.
    pub(crate) fn usage(line: impl Display) -> Self {
        Self::Usage(line.to_string())
    }

    /// A failure while running.
    pub(crate) fn running(line: impl Display) -> Self {
        Self::Running(line.to_string())
    }

    /// Says it, and tells the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(line) => {
                eprintln!("quorate: {line}");
                ExitCode::from(2)
            }
            Self::Running(line) => {
                eprintln!("quorate: {line}");
                ExitCode::FAILURE
            }
            Self::Removed(line) => {
                eprintln!("quorate: {line}");
                ExitCode::from(3)
            }
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

/// For standard output only: every other use of files and sockets has words of its own.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::Running(format!("cannot write the output: {error}")),
        }
    }
}
