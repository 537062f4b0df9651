//! What may follow what has been typed: hints and completions from the command table.

use super::line::PLAIN_WORDS;

/// The syntax of what is still missing of a line, to be shown faintly behind the cursor.
pub(super) fn hint(line: &str) -> Option<String> {
    let is_word_open = !line.ends_with(' ');
    let words: Vec<&str> = line.split_whitespace().collect();
    let name = words.first()?;
    let (syntax, typed) = match kv::lookup(name.as_bytes()) {
        Some(spec) if spec.subcommands.is_empty() => (spec.arguments, words.len() - 1),
        Some(spec) => match words.get(1) {
            Some(word) => {
                let subcommand = kv::lookup_subcommand(spec, word.as_bytes())?;
                (subcommand.arguments, words.len() - 2)
            }
            None => ("subcommand [argument ...]", 0),
        },
        None => {
            let word = PLAIN_WORDS
                .iter()
                .find(|word| word.name.eq_ignore_ascii_case(name))?;
            (word.arguments, words.len() - 1)
        }
    };
    let missing = skip_arguments(syntax, typed);
    if missing.is_empty() {
        return None;
    }
    let gap = if is_word_open { " " } else { "" };
    Some(format!("{gap}{missing}"))
}

/// A syntax without its first arguments. It stops at what is optional: what a typed word stands for
/// there, only the server knows.
fn skip_arguments(syntax: &str, typed: usize) -> String {
    let items = top_level_items(syntax);
    let is_plain = |item: &&&str| !item.starts_with('[');
    let skipped = items.iter().take(typed).take_while(is_plain).count();
    items[skipped..].join(" ")
}

/// Splits at the spaces outside of brackets.
fn top_level_items(syntax: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    for (at, letter) in syntax.char_indices() {
        match letter {
            '[' | '<' | '(' => depth += 1,
            ']' | '>' | ')' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 => {
                items.push(&syntax[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&syntax[start..]);
    items.retain(|item| !item.is_empty());
    items
}

/// A hint that fits into so many columns: one that wrapped would move the line being typed.
pub(super) fn shortened(hint: &str, columns: usize) -> String {
    if hint.chars().count() <= columns {
        return hint.to_owned();
    }
    match columns {
        0 => String::new(),
        _ => hint.chars().take(columns - 1).chain(['…']).collect(),
    }
}

/// Where the word at the end of a line begins, and what it can become. Names come in the case in
/// which they were begun.
pub(super) fn complete(line: &str) -> (usize, Vec<String>) {
    let start = line.rfind(' ').map_or(0, |space| space + 1);
    let word = &line[start..];
    let before: Vec<&str> = line[..start].split_whitespace().collect();
    let names: Vec<&str> = match before.as_slice() {
        [] => kv::all()
            .map(|spec| spec.name)
            .chain(PLAIN_WORDS.iter().map(|word| word.name))
            .collect(),
        [help] if help.eq_ignore_ascii_case("help") => kv::all().map(|spec| spec.name).collect(),
        [container] | [_, container] => match kv::lookup(container.as_bytes()) {
            Some(spec) => spec.subcommands.iter().map(|spec| spec.name).collect(),
            None => Vec::new(),
        },
        _ => Vec::new(),
    };
    let is_upper = word.chars().any(|letter| letter.is_ascii_uppercase());
    let mut matching: Vec<String> = names
        .into_iter()
        .filter(|name| name.len() >= word.len() && name.is_char_boundary(word.len()))
        .filter(|name| name[..word.len()].eq_ignore_ascii_case(word))
        .map(|name| {
            if is_upper {
                name.to_ascii_uppercase()
            } else {
                name.to_owned()
            }
        })
        .collect();
    matching.sort();
    matching.dedup();
    (start, matching)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_what_is_still_missing() {
        assert_eq!(hint("get").as_deref(), Some(" key"));
        assert_eq!(hint("get ").as_deref(), Some("key"));
        assert_eq!(hint("get k"), None);
        assert_eq!(hint("put k").as_deref(), Some(" value"));
        assert!(hint("set k v").is_some_and(|hint| hint.starts_with(" [")));
        assert_eq!(hint("nonsense "), None);
        assert_eq!(hint(""), None);
    }

    #[test]
    fn arguments_are_skipped_up_to_what_is_optional() {
        let syntax = "key value [NX | XX] [EX seconds]";
        assert_eq!(skip_arguments(syntax, 0), syntax);
        assert_eq!(skip_arguments(syntax, 1), "value [NX | XX] [EX seconds]");
        assert_eq!(skip_arguments(syntax, 4), "[NX | XX] [EX seconds]");
    }

    #[test]
    fn a_hint_is_cut_to_what_fits() {
        assert_eq!(shortened(" key value", 10), " key value");
        assert_eq!(shortened(" key value", 6), " key …");
        assert_eq!(shortened(" key", 0), "");
    }

    #[test]
    fn names_are_completed_in_the_case_they_were_begun() {
        assert!(complete("ge").1.contains(&"get".to_owned()));
        assert!(complete("GE").1.contains(&"GET".to_owned()));
        assert!(complete("de").1.contains(&"delete".to_owned()));
        assert_eq!(complete("get k"), (4, Vec::new()));
        let (start, names) = complete("config s");
        assert_eq!(start, 7);
        assert!(names.contains(&"set".to_owned()), "{names:?}");
        assert!(complete("help ge").1.contains(&"get".to_owned()));
    }
}
