//! Where values come from: the TOML file, and the names of the other sources for messages.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{Config, ConfigError, Problem, Setting};

/// Where the value of a setting was said.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In the configuration file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// In the environment.
    Environment {
        /// The variable.
        variable: String,
    },
    /// On the command line.
    Flag {
        /// The flag without its dashes.
        key: &'static str,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, line } => write!(formatter, "{}:{line}", path.display()),
            Self::Environment { variable } => formatter.write_str(variable),
            Self::Flag { key } => write!(formatter, "--{key}"),
        }
    }
}

/// Reads a configuration file: settings, their values as text, and the line of each.
pub(super) fn read_file(
    path: &Path,
) -> Result<Vec<(&'static Setting, String, usize)>, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| Problem::Unreadable {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    let table = DeTable::parse(&text).map_err(|error| Problem::NotToml {
        path: path.to_owned(),
        line: error.span().map_or(1, |span| line_of(&text, span.start)),
        reason: error.message().lines().collect::<Vec<_>>().join("; "),
    })?;
    let mut values = Vec::new();
    for (key, value) in table.get_ref() {
        let line = line_of(&text, key.span().start);
        let setting = Setting::by_key(key.get_ref()).ok_or_else(|| Problem::UnknownKey {
            path: path.to_owned(),
            line,
            key: key.get_ref().to_string(),
            nearest: nearest(key.get_ref()),
        })?;
        let text = as_text(value.get_ref()).ok_or_else(|| Problem::BadValue {
            key: setting.key,
            value: String::new(),
            origin: Origin::File {
                path: path.to_owned(),
                line,
            },
            expected: format!(
                "not a value: write {} = {}",
                setting.key, setting.value_name
            ),
        })?;
        values.push((setting, text, line));
    }
    Ok(values)
}

/// A TOML value in the words of a flag: lists with commas, tables as `key=value`.
fn as_text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<_>> = items.iter().map(|item| as_text(item.get_ref())).collect();
            items.map(|items| items.join(","))
        }
        DeValue::Table(table) => {
            let items: Option<Vec<_>> = table
                .iter()
                .map(|(key, value)| {
                    Some(format!("{}={}", key.get_ref(), as_text(value.get_ref())?))
                })
                .collect();
            items.map(|items| items.join(","))
        }
        DeValue::Float(_) | DeValue::Datetime(_) => None,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

/// The setting whose name is most like a mistyped one, if one is like it at all.
fn nearest(key: &str) -> Option<&'static str> {
    let key = key.replace('_', "-").to_ascii_lowercase();
    Config::settings()
        .iter()
        .filter(|setting| !setting.is_hidden)
        .map(|setting| (edit_distance(&key, setting.key), setting.key))
        .min()
        .filter(|(distance, name)| *distance <= name.len() / 3)
        .map(|(_, name)| name)
}

/// The Levenshtein distance, by the two-row method.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
