//! The prompt: a line editor with history, completion and hints.

use std::{borrow::Cow, path::PathBuf};

use rustyline::{
    CompletionType, Config, Context, Editor, Helper, completion::Completer, error::ReadlineError,
    highlight::Highlighter, hint::Hinter, history::FileHistory, validate::Validator,
};

use super::{hints, line::Line, session::Session, text::Colours};
use crate::failure::Failure;

/// Where lines are kept between sessions; empty for nowhere. Default: a file in the home directory.
const HISTORY_VARIABLE: &str = "QUORATE_CLI_HISTORY";
/// Lines that are kept.
const HISTORY_LINES_MAX: usize = 10_000;

/// Reads lines from a person until they leave.
pub(super) fn run(session: &mut Session) -> Result<(), Failure> {
    let failed = |error: ReadlineError| Failure::running(format!("the prompt failed: {error}"));
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY_LINES_MAX)
        .map_err(failed)?
        .history_ignore_space(true)
        .build();
    let mut editor: Editor<Assistant, FileHistory> = Editor::with_config(config).map_err(failed)?;
    editor.set_helper(Some(Assistant::new(session.colours())));
    let history = history_path();
    if let Some(path) = &history {
        // There is none at the first start.
        let _ = editor.load_history(path);
    }
    if let Err(error) = session.connect() {
        session.notice(&session.unreachable_text(&error));
    }
    loop {
        let prompt = session.prompt();
        let columns = editor.dimensions().map(|(columns, _)| usize::from(columns));
        if let Some(assistant) = editor.helper_mut() {
            assistant.line_columns =
                columns.map(|columns| columns.saturating_sub(prompt.len() + 1));
        }
        match editor.readline(&prompt) {
            Ok(text) => {
                let line = Line::parse(text.as_bytes());
                if !holds_password(&text) && editor.add_history_entry(&text).unwrap_or(false) {
                    // At once, so that a session that is killed leaves its lines.
                    if let Some(path) = &history {
                        let _ = editor.append_history(path);
                    }
                }
                if line == Line::Quit {
                    return Ok(());
                }
                session.execute(line)?;
            }
            // Ctrl-C drops the line that was begun; Ctrl-D leaves.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(failed(error)),
        }
    }
}

fn history_path() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(HISTORY_VARIABLE) {
        return (!path.is_empty()).then(|| path.into());
    }
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(PathBuf::from(home).join(".quorate_history"))
}

/// Whether a line must not be kept, as redis-cli decides it.
fn holds_password(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["auth", ..] | ["acl", "setuser" | "deluser", ..] => true,
        ["hello", rest @ ..] => rest.contains(&"auth"),
        ["config", "set", rest @ ..] => rest.contains(&"requirepass"),
        _ => false,
    }
}

/// What helps with the line being typed.
struct Assistant {
    colours: Colours,
    /// Columns for the line and its hint, if the width of the terminal is known.
    line_columns: Option<usize>,
}

impl Assistant {
    fn new(colours: Colours) -> Self {
        Self {
            colours,
            line_columns: None,
        }
    }
}

impl Helper for Assistant {}

impl Validator for Assistant {}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(hints::complete(&line[..position]))
    }
}

impl Hinter for Assistant {
    type Hint = Hint;

    fn hint(&self, line: &str, position: usize, _context: &Context<'_>) -> Option<Hint> {
        if position < line.len() {
            return None;
        }
        let hint = hints::hint(line)?;
        let columns = self
            .line_columns
            .unwrap_or(usize::MAX)
            .saturating_sub(line.chars().count());
        Some(Hint(hints::shortened(&hint, columns)))
    }
}

/// A hint is read and not taken over: it names arguments, it does not know them.
struct Hint(String);

impl rustyline::hint::Hint for Hint {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        _is_default: bool,
    ) -> Cow<'b, str> {
        Cow::Owned(self.colours.strong(prompt))
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(String::from_utf8_lossy(&self.colours.faint(hint.as_bytes())).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_kept() {
        assert!(holds_password("AUTH secret"));
        assert!(holds_password("hello 3 auth me secret"));
        assert!(holds_password("config set requirepass x"));
        assert!(!holds_password("set auth x"));
    }
}
