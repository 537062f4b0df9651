//! SUBSCRIBE and its kin at a prompt: messages until Ctrl-C.

use std::time::Duration;

use resp::{RenderMode, encode_request};

use super::{line::Command, session::Session};
use crate::{client::ClientError, failure::Failure};

/// Subscribes, and writes messages until Ctrl-C. When the node dies it subscribes at another, and
/// says so, since messages published in between are not seen.
pub(super) fn run(session: &mut Session, command: &Command) -> Result<(), Failure> {
    if session.style().mode == RenderMode::Terminal {
        session.notice("reading messages, Ctrl-C to stop");
    }
    let ended = session.interruptible(|session, interrupted| {
        loop {
            if let Err(error) = session.connect() {
                let text = session.unreachable_text(&error);
                return session.print_failure(&text);
            }
            let mut request = Vec::new();
            encode_request(&mut request, command);
            let mut failure = None;
            if let Some(connection) = session.cluster_mut().connection() {
                failure = connection.send(&request).err();
            }
            while failure.is_none() {
                let Some(connection) = session.cluster_mut().connection() else {
                    break;
                };
                match connection.receive(None, Some(interrupted)) {
                    Ok(value) => {
                        let is_error = value.as_error().is_some();
                        session.print_value(&value)?;
                        std::io::Write::flush(&mut std::io::stdout())?;
                        if is_error {
                            return Ok(());
                        }
                    }
                    Err(error) => failure = Some(error),
                }
            }
            match failure {
                Some(ClientError::Interrupted) => return Ok(()),
                Some(error) => {
                    session.lose_connection(&format!("{error}; messages may have been missed"));
                }
                None => {}
            }
        }
    });
    // A connection that has subscriptions takes no other commands in RESP2.
    session.cluster_mut().close();
    if session.style().mode == RenderMode::Terminal {
        // For the next prompt to say where it leads; if this fails, the next command tries again.
        let _ = session.cluster_mut().connect(Duration::ZERO);
    }
    ended
}
