//! A node goes by the latest configuration in its log, committed or not (paper, section 6; thesis,
//! section 4.1): not by one that was truncated, nor by one from before a snapshot that it has
//! installed (openraft issue 1808). The log is what was handed to its disk.

use crate::judges::{Fact, Judge, Shadow, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct InForce {}

impl Judge for InForce {
    fn property(&self) -> &'static str {
        "conf_in_force"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        let Fact::Stepped { node, replica, .. } = *fact else {
            return Ok(());
        };
        let (has, says) = (replica.raft().conf(), shadow.conf(node));
        if has == says {
            return Ok(());
        }
        violation(self, || {
            let index = shadow.node(node).confs.latest_index();
            format!("{node} goes by {has}; its log says at {index}: {says}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, conf, conf_entry, leader};

    #[test]
    fn a_node_that_goes_by_its_log_is_well() {
        // The replica that is shown is a cluster of one that has done nothing.
        let mut made_up = MadeUp::new(1, InForce::default());
        made_up.step(1, leader(1, 0, 0));
        made_up.is_well();
    }

    #[test]
    fn a_node_that_goes_by_another_configuration_is_noticed() {
        let mut made_up = MadeUp::with_room(1, 2, InForce::default());
        made_up.hand(1, 1, &[conf_entry(1, 1, &conf(&[1], &[2]))]);
        made_up.step(1, leader(1, 1, 1));
        made_up.fired("n1 goes by voters {n1}; its log says at 1: voters {n1} learners {n2}");
    }
}
