//! What clients do: writes to whoever leads, reads from anybody.

use bytes::Bytes;
use sim::tape::{Site, SiteKind};

use crate::checker::Violation;
use crate::cluster::{Cluster, Event};

impl Cluster {
    /// What clients do.
    pub(crate) fn client(&mut self) -> Result<(), Violation> {
        let choice = Site::new(SiteKind::ClientChoice, 0);
        let node = self.any_node(choice);
        let node = match self.leader() {
            Some(leader) if self.tape.chance(choice, 700_000) => leader,
            _ => node,
        };
        if self.tape.chance(choice, 250_000) {
            self.read(node)?;
        } else {
            self.propose(node)?;
        }
        if !self.is_calm {
            let gap = Site::new(SiteKind::ClientGap, 0);
            let gap_us = self.tape.exponential_us(gap, self.swarm.client_gap_us);
            self.at(gap_us + 100, Event::Client);
        }
        Ok(())
    }

    /// Returns whether the proposal was taken.
    pub(crate) fn propose(&mut self, node: usize) -> Result<bool, Violation> {
        let seat = &mut self.seats[node];
        let Some(member) = seat.running() else {
            return Ok(false);
        };
        self.next_payload += 1;
        let length = self.tape.below(Site::new(SiteKind::ClientChoice, 1), 100);
        let padding = ".".repeat(usize::try_from(length).unwrap_or(0));
        let payload = Bytes::from(format!("{}{padding}", self.next_payload));
        let taken = member.propose(payload, self.now_us / 1000);
        self.drain(node)?;
        Ok(taken)
    }

    /// Returns the name of the read.
    pub(crate) fn read(&mut self, node: usize) -> Result<u64, Violation> {
        self.next_token += 1;
        let token = self.next_token;
        self.checker.read_begins(token);
        let seat = &mut self.seats[node];
        if seat.is_paused {
            seat.inbox.reads.push(token);
        } else if let Some(member) = &mut seat.member {
            member.read(token);
            self.drain(node)?;
        }
        Ok(token)
    }
}
