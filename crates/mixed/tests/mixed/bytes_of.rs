//! What raft-rs carries as bytes: rounds, names of reads, and what our entries have beside their
//! payload.

use bytes::Bytes;
use raft::{Entry, EntryId, EntryKind, NodeId, Round};
use raft_rs::eraftpb::{self, EntryType};

/// The name of a read: who asks, and the number it has there.
pub(crate) fn encode_read(node: NodeId, number: u64) -> Bytes {
    Bytes::from([node.0.to_le_bytes(), number.to_le_bytes()].concat())
}

/// Reads back what [`encode_read`] wrote.
pub(crate) fn decode_read(context: &[u8]) -> Option<(NodeId, u64)> {
    let (&[node, number], []) = context.as_chunks::<8>() else {
        return None;
    };
    Some((NodeId(u64::from_le_bytes(node)), u64::from_le_bytes(number)))
}

/// A round, as raft-rs carries it in messages and echoes it.
pub(crate) fn encode_round(round: Round) -> Bytes {
    Bytes::copy_from_slice(&round.0.to_le_bytes())
}

/// Reads back what [`encode_round`] wrote; `None` for a context that is no round.
pub(crate) fn decode_round(context: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(context.try_into().ok()?))
}

/// Our entry in raft-rs: the payload is the data, kind and time are the context. One with which a
/// raft-rs leader opens its term has neither, so one that is equal to it must not have either.
pub(crate) fn encode(entry: &Entry) -> eraftpb::Entry {
    eraftpb::Entry {
        entry_type: EntryType::EntryNormal,
        term: entry.id.term.0,
        index: entry.id.index.0,
        data: entry.payload.clone(),
        context: encode_kind(entry.kind, entry.time_ms, &entry.payload),
        ..eraftpb::Entry::default()
    }
}

/// What goes into an entry's context, also when a raft-rs leader proposes it.
pub(crate) fn encode_kind(kind: EntryKind, time_ms: u64, payload: &[u8]) -> Bytes {
    if kind == EntryKind::Noop && time_ms == 0 && payload.is_empty() {
        return Bytes::new();
    }
    let mut context = vec![u8::from(kind)];
    context.extend(time_ms.to_le_bytes());
    Bytes::from(context)
}

/// A raft-rs entry in our words; the way back loses nothing.
pub(crate) fn decode(entry: &eraftpb::Entry) -> Result<Entry, String> {
    let decoded = match &*entry.context {
        [] => Some((EntryKind::Noop, 0)),
        [kind, time_ms @ ..] => EntryKind::try_from(*kind)
            .ok()
            .zip(time_ms.try_into().ok().map(u64::from_le_bytes)),
    };
    let (kind, time_ms) = decoded.ok_or_else(|| format!("{entry:?} is none of ours"))?;
    let decoded = Entry {
        id: EntryId::new(entry.term, entry.index),
        kind,
        time_ms,
        payload: entry.data.clone(),
    };
    let comes_back = encode(&decoded);
    if comes_back.context != entry.context || comes_back.entry_type != entry.entry_type {
        return Err(format!("{entry:?} does not survive being translated"));
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were() {
        let kinds = [EntryKind::Noop, EntryKind::Bootstrap, EntryKind::Batch];
        for (kind, time_ms, payload) in
            kinds
                .into_iter()
                .zip([0, 5, u64::MAX])
                .flat_map(|(kind, time_ms)| {
                    [("", kind), ("x", kind)].map(|(payload, kind)| (kind, time_ms, payload))
                })
        {
            let payload = Bytes::from_static(payload.as_bytes());
            let entry = Entry {
                id: EntryId::new(3, 4),
                kind,
                time_ms,
                payload,
            };
            assert_eq!(decode(&encode(&entry)), Ok(entry));
        }
        let bare = eraftpb::Entry {
            term: 3,
            index: 4,
            ..eraftpb::Entry::default()
        };
        let noop = decode(&bare).expect("the first entry of a term");
        assert_eq!((noop.kind, encode(&noop)), (EntryKind::Noop, bare));
    }
}
