//! Runs that are broken at one place: see [`crate::crash_points`].

use raft::Role;
use vfs::Crash;

use crate::crash_points::{CrashAt, CrashPoint, CrashReport, Struck};
use crate::judges::View;
use crate::report::FaultClass;
use crate::world::World;
use crate::world::queue::Event;

/// How long a process stays down in such a run, in the mean: the others have no time to elect, or
/// just so.
const RESTART_US: u64 = 50_000;

/// How large the segments of the log are: a short run shall begin new ones under load.
const SEGMENT_BYTES: u64 = 8 << 10;

/// How long until a leader is looked for again.
const LEADER_SOUGHT_US: u64 = 20_000;

impl World {
    /// Prepares a run of a scope.
    pub(super) fn begin_scope(&mut self) {
        if self.options.crash_scope.is_none() {
            return;
        }
        let nodes = self.nodes.len();
        self.swarm.restart_us = RESTART_US;
        self.swarm.segment_bytes = SEGMENT_BYTES;
        self.report.crash_report = Some(CrashReport {
            operations: vec![0; nodes],
            outputs: vec![0; nodes],
            struck: None,
        });
        let duration_us = self.options.duration_us;
        for (tenths, abruptly) in [(4, false), (7, true)] {
            self.queue
                .push(duration_us * tenths / 10, Event::Depose { abruptly });
        }
    }

    /// The leader is asked to stop, or its power fails. If there is none, soon.
    pub(super) fn depose(&mut self, abruptly: bool) {
        if self.is_healing {
            return;
        }
        let leader = self.nodes.iter().position(|node| {
            let process = node.process.as_ref();
            process.is_some_and(|process| View::of(&process.replica).role == Role::Leader)
        });
        let Some(leader) = leader else {
            self.queue
                .push(self.now_us + LEADER_SOUGHT_US, Event::Depose { abruptly });
            return;
        };
        if abruptly {
            self.struck(FaultClass::PowerLoss, &[leader], String::new);
            self.crash(leader, Crash::LoseUnsynced, "the leader's power failed");
            self.restart_later(leader);
        } else {
            self.struck(FaultClass::GracefulStop, &[leader], String::new);
            self.begin_stop(leader);
        }
    }

    /// The point that has not struck yet.
    fn coming_point(&self) -> Option<CrashPoint> {
        let has_struck = self.report.crash_report.as_ref()?.struck.is_some();
        let point = self.options.crash_scope?.point?;
        (!has_struck && !self.is_healing).then_some(point)
    }

    /// Plans the failure of the power in a node's disk: each crash forgets it.
    pub(super) fn arm_crash_point(&self, node: usize) {
        if let Some(point) = self.coming_point()
            && point.node == self.nodes[node].id
            && let CrashAt::Operation(number) = point.at
        {
            self.nodes[node].vfs.halt_at_operation(number);
        }
    }

    /// If the power has failed in a node's disk: what is left of what was not synced.
    pub(super) fn power_failed(&mut self, node: usize) -> Option<Crash> {
        let (kind, _) = self.nodes[node].vfs.halted_in()?;
        let Some(point) = self.coming_point() else {
            return Some(self.power_failure(node));
        };
        self.point_struck(node, Struck::Operation(kind));
        Some(point.how)
    }

    /// Counts an output of a node. Returns how the process ends before it, if it does.
    pub(super) fn crash_before_output(&mut self, node: usize, output: Struck) -> Option<Crash> {
        let is_healing = self.is_healing;
        let report = self.report.crash_report.as_mut()?;
        let outputs = &mut report.outputs[node];
        *outputs += u64::from(!is_healing);
        let at = CrashAt::Output(*outputs);
        let point = self.coming_point()?;
        if point.node != self.nodes[node].id || point.at != at {
            return None;
        }
        self.point_struck(node, output);
        Some(point.how)
    }

    fn point_struck(&mut self, node: usize, what: Struck) {
        if let Some(report) = &mut self.report.crash_report {
            report.struck = Some(what);
        }
        let class = match what {
            Struck::Operation(_) => FaultClass::CrashInDisk,
            _ => FaultClass::Crash,
        };
        self.struck(class, &[node], || what.to_string());
        let is_everywhere = self.options.crash_scope.and_then(|scope| scope.point);
        self.is_dark = is_everywhere.is_some_and(|point| point.everywhere);
    }

    /// After an event: the power may have failed without anybody noticing, or everywhere.
    pub(super) fn end_event_of_scope(&mut self) {
        let Some(point) = self.options.crash_scope.and_then(|scope| scope.point) else {
            return;
        };
        let node = point.node.0 as usize - 1;
        if node < self.nodes.len() && self.nodes[node].process.is_some() {
            // The code under test went on although its disk was dead.
            if let Some(how) = self.power_failed(node) {
                self.crash(node, how, "the power failed");
                self.restart_later(node);
            }
        }
        if std::mem::take(&mut self.is_dark) {
            for other in (0..self.nodes.len()).filter(|&other| other != node) {
                if self.nodes[other].process.is_some() {
                    self.crash(other, point.how, "the power failed everywhere");
                    self.restart_later(other);
                }
            }
        }
    }

    /// The safety phase is over: no more points.
    pub(super) fn end_scope(&mut self) {
        if let Some(report) = &mut self.report.crash_report {
            for (node, operations) in self.nodes.iter().zip(&mut report.operations) {
                *operations = node.vfs.operations();
            }
        }
    }
}
