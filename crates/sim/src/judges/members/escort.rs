//! A leader sends to every member, by the latest configuration in its log and by all that may still hold:
//! one that a change removes goes on being sent to until the change is committed, for until then the
//! cluster may need it (thesis, sections 4.1 and 4.2.2; cockroachdb issue 42251).

use std::collections::BTreeSet;

use raft::{NodeId, Role};

use crate::judges::{Fact, Judge, Shadow, View, Violation, violation};

/// See the module.
#[derive(Debug, Default)]
pub struct Escort {}

impl Escort {
    fn leader(
        &self,
        node: NodeId,
        view: &View,
        peers: &BTreeSet<NodeId>,
        shadow: &Shadow,
    ) -> Result<(), Violation> {
        let of = shadow.node(node);
        let committed = shadow.conf_at(node, view.commit);
        let later = of.confs.iter().filter(|(index, _)| *index > view.commit);
        let confs = later.map(|(_, conf)| conf).chain([committed]);
        let mut members = confs.flat_map(|conf| conf.members());
        let missing = members.find(|member| *member != node && !peers.contains(member));
        match missing {
            Some(missing) => violation(self, || {
                let (commit, conf) = (view.commit, shadow.conf(node));
                format!(
                    "{node} leads and does not send to {missing}; it has {conf}, and knows that {commit} \
                     is committed, with {committed}"
                )
            }),
            None => Ok(()),
        }
    }
}

impl Judge for Escort {
    fn property(&self) -> &'static str {
        "escort"
    }

    fn see(&mut self, fact: &Fact<'_>, shadow: &Shadow) -> Result<(), Violation> {
        match *fact {
            Fact::Stepped {
                node,
                view,
                replica,
            } if view.role == Role::Leader && shadow.node(node).conf_changed => {
                let peers = replica.raft().status().peers;
                let peers = peers.iter().map(|peer| peer.id).collect();
                self.leader(node, &view, &peers, shadow)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judges::made_up::{MadeUp, conf, conf_entry, entry, leader};

    /// Learner 4 is removed by entry 3; the leader sends to these.
    fn removed(commit: u64, peers: &[u64]) -> Result<(), Violation> {
        let mut made_up = MadeUp::with_room(3, 4, Escort::default());
        let records = [
            entry(1, 1, "a"),
            conf_entry(1, 2, &conf(&[1, 2, 3], &[4])),
            conf_entry(1, 3, &conf(&[1, 2, 3], &[])),
        ];
        made_up.hand(1, 1, &records);
        let peers = peers.iter().copied().map(NodeId).collect();
        let view = leader(1, 3, commit);
        Escort::default().leader(NodeId(1), &view, &peers, &made_up.shadow)
    }

    #[test]
    fn a_removed_member_is_sent_to_until_that_is_committed() {
        assert_eq!(removed(2, &[2, 3, 4]), Ok(()));
        assert_eq!(removed(3, &[2, 3]), Ok(()));
        assert_eq!(removed(3, &[2, 3, 4]), Ok(()));
        assert!(removed(2, &[2, 3]).is_err());
        assert!(removed(3, &[3]).is_err());
    }
}
