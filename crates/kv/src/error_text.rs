//! The errors that come before a command is executed, in the words of Redis 7.0.
//!
//! Clients match these texts: several fall back to an older dialect when they see `unknown command`.

use crate::command::CommandSpec;

/// How much of an unknown name is repeated.
const NAME_BYTES_MAX: usize = 128;
/// How many bytes of arguments are repeated after an unknown name.
const ARGUMENT_BYTES_MAX: usize = 128;

/// The error for a request whose first argument is no command: repeats it and the beginning of its
/// arguments.
#[must_use]
pub fn unknown_command(args: &[&[u8]]) -> Vec<u8> {
    let name = args.first().copied().unwrap_or_default();
    let mut text = b"ERR unknown command '".to_vec();
    text.extend_from_slice(shown(name, NAME_BYTES_MAX));
    text.extend_from_slice(b"', with args beginning with: ");
    let arguments_start = text.len();
    for argument in args.iter().skip(1) {
        let used = text.len() - arguments_start;
        if used >= ARGUMENT_BYTES_MAX {
            break;
        }
        text.push(b'\'');
        text.extend_from_slice(shown(argument, ARGUMENT_BYTES_MAX - used));
        text.extend_from_slice(b"' ");
    }
    text
}

/// The error for a container whose second argument is none of its subcommands.
#[must_use]
pub fn unknown_subcommand(args: &[&[u8]]) -> Vec<u8> {
    let container = args.first().copied().unwrap_or_default();
    let name = args.get(1).copied().unwrap_or_default();
    let mut text = b"ERR unknown subcommand '".to_vec();
    text.extend_from_slice(shown(name, NAME_BYTES_MAX));
    text.extend_from_slice(b"'. Try ");
    text.extend_from_slice(&container.to_ascii_uppercase());
    text.extend_from_slice(b" HELP.");
    text
}

/// The error for a request with too few or too many arguments.
#[must_use]
pub fn wrong_number_of_arguments(spec: &CommandSpec) -> String {
    crate::errors::wrong_number_of_arguments(&spec.full_name())
}

/// The error for a command of Redis that makes no sense here.
#[must_use]
pub fn refused(spec: &CommandSpec) -> Option<String> {
    let reason = spec.refusal?;
    let name = spec.full_name().replace('|', " ").to_ascii_uppercase();
    Some(format!("ERR {name} is not supported: {reason}"))
}

/// What C's `%.*s` prints: no more than `bytes_max`, and nothing from a NUL on.
fn shown(bytes: &[u8], bytes_max: usize) -> &[u8] {
    let bytes = &bytes[..bytes.len().min(bytes_max)];
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{lookup, lookup_request};

    #[test]
    fn an_unknown_command_is_repeated_with_the_beginning_of_its_arguments() {
        assert_eq!(
            unknown_command(&[b"X", b"a", b"b"]),
            b"ERR unknown command 'X', with args beginning with: 'a' 'b' "
        );
        assert_eq!(
            unknown_command(&[b"x\0y"]),
            b"ERR unknown command 'x', with args beginning with: "
        );
        let long = vec![b'a'; 500];
        let text = unknown_command(&[&long, &long, b"b"]);
        let expected = format!(
            "ERR unknown command '{}', with args beginning with: '{}' ",
            "a".repeat(128),
            "a".repeat(128)
        );
        assert_eq!(text, expected.as_bytes());
    }

    #[test]
    fn an_unknown_subcommand_points_to_help() {
        assert_eq!(
            unknown_subcommand(&[b"client", b"Nope", b"x"]),
            b"ERR unknown subcommand 'Nope'. Try CLIENT HELP."
        );
    }

    #[test]
    fn wrong_arity_names_container_and_subcommand() {
        let get = lookup(b"GET").expect("a command");
        assert_eq!(
            wrong_number_of_arguments(get),
            "ERR wrong number of arguments for 'get' command"
        );
        let kill = lookup_request(&[b"CLIENT", b"KILL"]).expect("a command");
        assert_eq!(
            wrong_number_of_arguments(kill),
            "ERR wrong number of arguments for 'client|kill' command"
        );
    }

    #[test]
    fn a_refusal_says_what_to_do_instead() {
        let meet = lookup_request(&[b"cluster", b"meet"]).expect("a command");
        assert_eq!(
            refused(meet).as_deref(),
            Some(
                "ERR CLUSTER MEET is not supported: members are named by \"quorate serve --cluster\" on every node"
            )
        );
        assert_eq!(refused(lookup(b"get").expect("a command")), None);
    }
}
