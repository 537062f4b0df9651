//! Names to addresses, off the reactor: the system's resolver blocks, for seconds if it must.
//!
//! Addresses given as numbers never come here.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use mio::Waker;

/// An answer: the index that was asked with, and what the name stands for.
pub(super) type Answer = (usize, io::Result<Vec<SocketAddr>>);

/// Asks in the background. The thread starts with the first question and ends with this value.
#[derive(Debug)]
pub(super) struct Resolver {
    waker: Arc<Waker>,
    questions: Option<Sender<(usize, String)>>,
    answers: Receiver<Answer>,
    answer_sender: Sender<Answer>,
}

impl Resolver {
    pub(super) fn new(waker: Arc<Waker>) -> Resolver {
        let (answer_sender, answers) = channel();
        Resolver {
            waker,
            questions: None,
            answers,
            answer_sender,
        }
    }

    /// Asks for `host:port`; the answer comes with `index`. At most one question an index is open,
    /// so the queue is as short as the list of members.
    pub(super) fn ask(&mut self, index: usize, address: &str) -> io::Result<()> {
        if self.questions.is_none() {
            self.questions = Some(self.spawn()?);
        }
        let questions = self.questions.as_ref().expect("set above");
        questions
            .send((index, address.to_owned()))
            .map_err(|_| io::Error::other("the resolver thread has ended"))
    }

    /// The next answer, if there is one.
    pub(super) fn answer(&mut self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }

    fn spawn(&self) -> io::Result<Sender<(usize, String)>> {
        let (sender, receiver) = channel::<(usize, String)>();
        let answers = self.answer_sender.clone();
        let waker = Arc::clone(&self.waker);
        thread::Builder::new()
            .name("resolver".into())
            .spawn(move || {
                while let Ok((index, address)) = receiver.recv() {
                    let resolved = address.to_socket_addrs().map(Iterator::collect);
                    if answers.send((index, resolved)).is_err() || waker.wake().is_err() {
                        return;
                    }
                }
            })?;
        Ok(sender)
    }
}
