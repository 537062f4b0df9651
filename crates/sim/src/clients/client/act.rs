//! One act of a client: what it asks, and whether it leaves in the middle.

use crate::clients::client::{Client, NEVER, Role, site};
use crate::clients::connection::{Expect, Requests};
use crate::clients::dice::Dice;
use crate::clients::{Scene, Shared};
use crate::history::Outcome;
use crate::report::FaultClass;
use crate::tape::{Site, SiteKind};

impl Client {
    pub(super) fn plan_act(&mut self, shared: &Shared, scene: &mut Scene<'_>) {
        let mut mean_us = shared.workload.gap_us;
        if scene.now_us < shared.burst_until_us {
            mean_us /= 10;
        }
        let site = Site::new(SiteKind::ClientGap, site::GAP + self.index);
        let gap_us = match scene.tape.exponential_us(site, mean_us) {
            // The benign choice is to do little.
            0 => 4 * mean_us,
            gap_us => gap_us,
        };
        self.act_at_us = scene.now_us + gap_us.max(50);
    }

    /// One act. Returns whether a burst begins with it.
    pub(super) fn act(&mut self, shared: &mut Shared, scene: &mut Scene<'_>) -> bool {
        let of = |of| Site::new(SiteKind::ClientChoice, of + self.index);
        let choice = scene.tape.below(of(site::ACT), 1 << 48);
        let depth = scene.tape.below(of(site::DEPTH), 1 << 16);
        let fault = scene.tape.below(of(site::FAULT), 1_000_000);
        self.plan_act(shared, scene);
        if choice == 0 {
            return false;
        }
        let mut dice = Dice::new(choice);
        let depth = shared.workload.depth(depth);
        if matches!(self.role, Role::Listener) {
            self.requests(shared, scene)
                .session(&[b"PING"], Expect::Pong);
        } else {
            self.operate(depth, &mut dice, shared, scene);
        }
        self.fault(fault, &mut dice, shared, scene)
    }

    /// Sends what an act asked, or a part of it if a fault strikes. Returns whether a burst begins.
    fn fault(
        &mut self,
        fault: u64,
        dice: &mut Dice,
        shared: &mut Shared,
        scene: &mut Scene<'_>,
    ) -> bool {
        let (cuts, bursts) = (
            shared.workload.cuts_per_million,
            shared.workload.bursts_per_million,
        );
        // The highest values are the hits, so that 0 never is one.
        let hit = 999_999 - fault;
        if hit >= cuts {
            self.send(scene);
            return hit < cuts + bursts && scene.now_us >= shared.burst_until_us;
        }
        match dice.below(3) {
            0 => {
                let length = dice.below(self.connection.out_bytes() as u64 + 1) as usize;
                let sent = self.connection.truncate_out(length);
                self.send(scene);
                self.fail_unsent(sent, shared, scene);
                scene.faults.add(FaultClass::ClientDisconnect);
                self.drop_connection(shared, scene, "the client left");
            }
            _ => {
                self.send(scene);
                self.cut_at_us = scene.now_us + dice.below(30_000);
            }
        }
        false
    }

    /// What was not sent to its end certainly has no effect.
    fn fail_unsent(&mut self, sent: u64, shared: &mut Shared, scene: &mut Scene<'_>) {
        while let Some(&pending) = self.connection.pending.back() {
            if pending.end <= sent {
                break;
            }
            self.connection.pending.pop_back();
            if let Some(op) = pending.op {
                shared.complete(scene, op, Outcome::Failed("not sent".to_owned()), None);
            }
        }
    }

    /// The requests of one act.
    fn operate(&mut self, depth: u64, dice: &mut Dice, shared: &mut Shared, scene: &mut Scene<'_>) {
        let process = self.process();
        let mut tokens = self.tokens;
        let Shared { workload, open, .. } = shared;
        let mut requests = Requests {
            connection: &mut self.connection,
            history: scene.history,
            open,
            now_us: scene.now_us,
            deadline_us: scene.now_us + self.timeout_us,
            process,
            node: self.node.0,
        };
        for _ in 0..depth {
            let optimistic = workload.operate(dice, &mut tokens, &mut requests);
            if optimistic.is_some() {
                self.optimistic = optimistic;
                break;
            }
        }
        self.tokens = tokens;
    }

    /// The watched keys are read: the transaction itself, or the end of it.
    pub(super) fn finish_optimistic(&mut self, shared: &mut Shared, scene: &mut Scene<'_>) {
        self.finish_at_us = NEVER;
        let Some(optimistic) = self.optimistic.take() else {
            return;
        };
        let mut tokens = self.tokens;
        let is_settled = shared.settled;
        let mut requests = self.requests(shared, scene);
        match optimistic.failed || is_settled {
            true => requests.session(&[b"UNWATCH"], Expect::Ok),
            false => optimistic.finish(&mut tokens, &mut requests),
        }
        self.tokens = tokens;
        self.send(scene);
    }
}
