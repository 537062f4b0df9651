//! The differences that are intended: `differences.toml` beside this file.

use crate::compare::{show, show_command};
use crate::generator::Command;

/// One intended difference.
pub struct Difference {
    /// The first words of the commands that it is about, or all words if `$` is the last.
    command: Vec<String>,
    /// How Redis's reply begins, as bytes on the wire; empty if it does not matter.
    redis: String,
    /// How our reply begins.
    quorate: String,
    /// Commands on one connection, the last of which shows it.
    pub example: Vec<Command>,
    /// Bytes that show it, instead of commands.
    pub raw: Option<Vec<u8>>,
}

pub struct Differences(Vec<Difference>);

impl Differences {
    pub fn read() -> Differences {
        let file: toml::Table = include_str!("differences.toml")
            .parse()
            .expect("differences.toml is TOML");
        let entries = file["difference"].as_array().expect("an array of tables");
        Differences(entries.iter().map(Difference::read).collect())
    }

    /// Whether a difference is intended.
    pub fn allow(&self, command: &[Vec<u8>], redis: &[u8], quorate: &[u8]) -> bool {
        self.0
            .iter()
            .any(|difference| difference.is_about(command) && difference.fits(redis, quorate))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Difference> {
        self.0.iter()
    }
}

impl Difference {
    fn read(entry: &toml::Value) -> Difference {
        let text = |key: &str| entry.get(key).and_then(toml::Value::as_str);
        assert!(
            text("reason").is_some_and(|reason| !reason.is_empty()),
            "no reason: {entry}"
        );
        let raw = text("raw").map(|raw| raw.as_bytes().to_vec());
        let words = |text: &str| text.split(' ').map(str::to_ascii_lowercase).collect();
        let example = text("example").unwrap_or_default();
        assert!(raw.is_some() || !example.is_empty(), "no example: {entry}");
        Difference {
            command: text("command").map(words).unwrap_or_default(),
            redis: text("redis").unwrap_or_default().to_owned(),
            quorate: text("quorate").unwrap_or_default().to_owned(),
            example: example
                .split("; ")
                .map(|command| command.split(' ').map(Vec::from).collect())
                .collect(),
            raw,
        }
    }

    /// Fails if this is no difference, or another one.
    pub fn check(&self, is_different: bool, redis: &[u8], quorate: &[u8]) {
        let example = match &self.raw {
            Some(raw) => show(raw),
            None => show_command(self.example.last().expect("an example has a command")),
        };
        let answers = format!(
            "{example}\n    redis   {}\n    quorate {}",
            show(redis),
            show(quorate)
        );
        assert!(
            is_different,
            "no longer different, remove it from differences.toml: {answers}"
        );
        assert!(
            self.fits(redis, quorate),
            "another difference than listed: {answers}"
        );
    }

    fn is_about(&self, command: &[Vec<u8>]) -> bool {
        let (words, is_whole) = match self.command.as_slice() {
            [] => return false,
            [words @ .., end] if end == "$" => (words, true),
            words => (words, false),
        };
        words.len() <= command.len()
            && (!is_whole || words.len() == command.len())
            && words
                .iter()
                .zip(command)
                .all(|(word, argument)| match word.strip_suffix('*') {
                    Some(prefix) => argument.starts_with(prefix.as_bytes()),
                    None => word == "?" || argument.eq_ignore_ascii_case(word.as_bytes()),
                })
    }

    fn fits(&self, redis: &[u8], quorate: &[u8]) -> bool {
        redis.starts_with(self.redis.as_bytes()) && quorate.starts_with(self.quorate.as_bytes())
    }
}
