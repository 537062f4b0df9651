//! The HELP subcommand of every container, printed from the table.

use resp::Encoder;

use crate::table::lookup;

/// Replies to `<container> HELP` in the form of Redis: a line for each subcommand with its syntax,
/// and what it does below. Subcommands that are refused here are left out.
pub fn help_reply(container: &str, out: &mut Encoder<'_>) {
    let upper = container.to_ascii_uppercase();
    let mut lines = vec![format!(
        "{upper} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    )];
    let subcommands = lookup(container.as_bytes()).map_or(&[][..], |spec| spec.subcommands);
    let offered = subcommands
        .iter()
        .filter(|spec| spec.refusal.is_none() && spec.name != "help");
    for spec in offered {
        let name = spec.name.to_ascii_uppercase();
        lines.push(format!("{name} {}", spec.arguments).trim_end().to_owned());
        lines.push(format!("    {}", spec.summary));
    }
    lines.push("HELP".to_owned());
    lines.push("    Prints this help.".to_owned());
    out.array(lines.len());
    for line in &lines {
        out.simple(line);
    }
}
