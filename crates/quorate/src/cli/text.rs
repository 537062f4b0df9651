//! Words for people: colours, and help from the command table.

use std::collections::BTreeMap;

use kv::CommandSpec;

use super::line::PLAIN_WORDS;

/// Escape sequences, or nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Colours {
    /// Whether there are any.
    pub(super) is_on: bool,
}

impl Colours {
    /// An error reply.
    pub(super) fn error(self, text: &[u8]) -> Vec<u8> {
        self.paint("31", text)
    }

    /// What is there but says little.
    pub(super) fn faint(self, text: &[u8]) -> Vec<u8> {
        self.paint("2", text)
    }

    /// A heading or a name.
    pub(super) fn strong(self, text: &str) -> String {
        String::from_utf8_lossy(&self.paint("1", text.as_bytes())).into_owned()
    }

    /// Something said beside the replies.
    pub(super) fn notice(self, text: &str) -> String {
        String::from_utf8_lossy(&self.paint("33", text.as_bytes())).into_owned()
    }

    fn paint(self, code: &str, text: &[u8]) -> Vec<u8> {
        if !self.is_on {
            return text.to_vec();
        }
        let (text, line_end) = match text.strip_suffix(b"\n") {
            Some(text) => (text, "\n"),
            None => (text, ""),
        };
        [
            format!("\x1b[{code}m").as_bytes(),
            text,
            format!("\x1b[0m{line_end}").as_bytes(),
        ]
        .concat()
    }
}

/// The text of `help`, `help COMMAND` and `help GROUP`.
pub(super) fn help(words: &[String], colours: Colours) -> String {
    let Some(first) = words.first() else {
        return overview(colours);
    };
    let spec = kv::lookup(first.as_bytes());
    if let Some(spec) = spec {
        let subcommand = words
            .get(1)
            .and_then(|word| kv::lookup_subcommand(spec, word.as_bytes()));
        return describe(subcommand.unwrap_or(spec), colours);
    }
    if let Some(word) = PLAIN_WORDS
        .iter()
        .find(|word| word.name.eq_ignore_ascii_case(first))
    {
        return format!(
            "{} {}\n  {}\n",
            colours.strong(word.name),
            word.arguments,
            word.summary
        );
    }
    let group = first.trim_start_matches('@').to_ascii_lowercase();
    let mut text = String::new();
    for spec in kv::all().filter(|spec| spec.group.redis_name() == group) {
        text.push_str(&short_line(spec, colours));
    }
    if text.is_empty() {
        text = format!("No command or group is called {first:?}. `help` lists the groups.\n");
    }
    text
}

fn overview(colours: Colours) -> String {
    let mut text =
        String::from("Every Redis command of this list can be typed, and these plain words:\n\n");
    for word in PLAIN_WORDS {
        let syntax = format!("{} {}", word.name, word.arguments);
        text.push_str(&format!("  {syntax:24} {}\n", word.summary));
    }
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for spec in kv::all() {
        groups
            .entry(spec.group.redis_name())
            .or_default()
            .push(spec.name.to_ascii_uppercase());
    }
    for (group, names) in groups {
        text.push_str(&format!("\n{}\n", colours.strong(group)));
        text.push_str(&wrapped(&names, 96));
    }
    text.push_str("\n`help COMMAND` explains a command, `help GROUP` lists a group.\n");
    text
}

/// Names in lines of at most `width` characters, indented by two.
fn wrapped(names: &[String], width: usize) -> String {
    let mut text = String::new();
    let mut line = String::from(" ");
    for name in names {
        if line.len() + 1 + name.len() > width {
            text.push_str(&line);
            text.push('\n');
            line = String::from(" ");
        }
        line.push(' ');
        line.push_str(name);
    }
    text.push_str(&line);
    text.push('\n');
    text
}

fn describe(spec: &CommandSpec, colours: Colours) -> String {
    let mut text = format!("{} {}\n", colours.strong(&title(spec)), spec.arguments);
    text.push_str(&format!("  {}\n", spec.summary));
    for (label, value) in [
        ("since Redis", spec.since),
        ("complexity", spec.complexity),
        ("group", spec.group.redis_name()),
    ] {
        if !value.is_empty() {
            text.push_str(&format!("  {label}: {value}\n"));
        }
    }
    if let Some(instead) = spec.refusal {
        text.push_str(&format!("  not here: {instead}\n"));
    }
    for subcommand in spec.subcommands {
        text.push_str(&short_line(subcommand, colours));
    }
    text
}

fn short_line(spec: &CommandSpec, colours: Colours) -> String {
    format!(
        "  {} {}\n      {}\n",
        colours.strong(&title(spec)),
        spec.arguments,
        spec.summary
    )
}

/// The name as it is typed: `CONFIG SET`.
fn title(spec: &CommandSpec) -> String {
    spec.full_name().replace('|', " ").to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Colours = Colours { is_on: false };

    #[test]
    fn help_knows_commands_groups_and_plain_words() {
        assert!(help(&["get".into()], PLAIN).starts_with("GET key\n"));
        assert!(help(&["@string".into()], PLAIN).contains("  SET "));
        assert!(help(&["put".into()], PLAIN).starts_with("put key value\n"));
        assert!(help(&[], PLAIN).contains("\nstring\n"));
        assert!(help(&["nonsense".into()], PLAIN).contains("`help` lists the groups"));
    }

    #[test]
    fn colours_keep_the_end_of_the_line_outside() {
        let painted = Colours { is_on: true }.error(b"x\n");
        assert_eq!(painted, b"\x1b[31mx\x1b[0m\n");
        assert_eq!(PLAIN.error(b"x\n"), b"x\n");
    }
}
