//! The recovery tables, over all their inputs.

use wal::Why;
use wal::decision::{
    Behind, FileSeen, FileVerdict, HeaderSeen, Next, Stop, StopSeen, StopVerdict, judge_file,
    judge_stop,
};

const STOPS: [Stop; 6] = [
    Stop::End,
    Stop::Zeros,
    Stop::Header,
    Stop::Body,
    Stop::Chain,
    Stop::Content,
];
const BEHINDS: [Behind; 4] = [Behind::Zeros, Behind::Bytes, Behind::Records, Behind::Proof];
const NEXTS: [Next; 3] = [Next::None, Next::Continues, Next::Contradicts];
const HEADERS: [HeaderSeen; 8] = [
    HeaderSeen::Own,
    HeaderSeen::Newer,
    HeaderSeen::Foreign,
    HeaderSeen::Misplaced,
    HeaderSeen::Zeros,
    HeaderSeen::Partial,
    HeaderSeen::Garbage,
    HeaderSeen::Short,
];

fn all_stops() -> impl Iterator<Item = StopSeen> {
    STOPS.into_iter().flat_map(|stop| {
        BEHINDS.into_iter().flat_map(move |behind| {
            NEXTS.into_iter().flat_map(move |next| {
                [false, true].map(|is_torn_shape| StopSeen {
                    stop,
                    is_torn_shape,
                    behind,
                    next,
                })
            })
        })
    })
}

fn all_files() -> impl Iterator<Item = FileSeen> {
    HEADERS.into_iter().flat_map(|header| {
        (0..32).map(move |bits| FileSeen {
            header,
            length_is_right: bits & 1 != 0,
            rest_is_zeros: bits & 2 != 0,
            is_followed: bits & 4 != 0,
            is_obsolete: bits & 8 != 0,
            is_nearly_zeros: bits & 16 != 0,
        })
    })
}

/// The table of FORMAT.md, row by row; the first row that fits decides.
fn stop_by_rows(seen: StopSeen) -> StopVerdict {
    use StopVerdict::{Clean, CutTornTail, Damaged};
    let StopSeen {
        stop,
        is_torn_shape,
        behind,
        next,
    } = seen;
    match (stop, behind, next, is_torn_shape) {
        (Stop::End | Stop::Zeros, Behind::Zeros, Next::None | Next::Continues, _) => Clean,
        (Stop::End | Stop::Zeros, Behind::Zeros, Next::Contradicts, _) => {
            Damaged(Why::NextContradicts)
        }
        (_, _, Next::Continues, _) | (Stop::End, _, _, _) => Damaged(Why::BytesBehindEnd),
        (Stop::Chain, _, _, _) => Damaged(Why::RecordChain),
        (Stop::Content, _, _, _) => Damaged(Why::RecordContent),
        (
            Stop::Zeros | Stop::Header | Stop::Body,
            Behind::Zeros | Behind::Bytes | Behind::Records,
            Next::None,
            true,
        ) => CutTornTail,
        (Stop::Zeros, _, _, _) => Damaged(Why::RecordLost),
        (Stop::Header, _, _, _) => Damaged(Why::RecordHeader),
        (Stop::Body, _, _, _) => Damaged(Why::RecordBody),
    }
}

#[test]
fn every_stop_is_judged_as_the_table_says() {
    assert_eq!(all_stops().count(), 144);
    for seen in all_stops() {
        assert_eq!(judge_stop(seen), stop_by_rows(seen), "{seen:?}");
    }
}

#[test]
fn nothing_proven_durable_is_ever_cut() {
    let proven = all_stops().filter(|seen| seen.behind == Behind::Proof || seen.next != Next::None);
    for seen in proven {
        assert_ne!(judge_stop(seen), StopVerdict::CutTornTail, "{seen:?}");
    }
}

#[test]
fn nothing_that_was_written_completely_is_ever_cut() {
    for seen in all_stops().filter(|seen| !seen.is_torn_shape) {
        assert_ne!(judge_stop(seen), StopVerdict::CutTornTail, "{seen:?}");
    }
}

#[test]
fn a_segment_is_clean_only_if_nothing_stands_behind_its_last_record() {
    for seen in all_stops().filter(|seen| judge_stop(*seen) == StopVerdict::Clean) {
        assert!(matches!(seen.stop, Stop::End | Stop::Zeros), "{seen:?}");
        assert_eq!(seen.behind, Behind::Zeros, "{seen:?}");
    }
}

fn file_by_rows(seen: FileSeen) -> FileVerdict {
    use FileVerdict::{Damaged, Discard, DiscardRotten, InUse, Newer, Obsolete, Spare};
    let FileSeen {
        header,
        length_is_right,
        rest_is_zeros,
        is_nearly_zeros,
        is_followed,
        is_obsolete,
    } = seen;
    if is_obsolete {
        return Obsolete;
    }
    match (header, length_is_right, rest_is_zeros, is_followed) {
        (HeaderSeen::Newer, _, _, _) => Newer,
        (HeaderSeen::Foreign, _, _, _) => Damaged(Why::Foreign),
        (HeaderSeen::Misplaced, _, _, _) => Damaged(Why::Misplaced),
        (HeaderSeen::Own, true, _, _) => InUse,
        (HeaderSeen::Own, false, _, _) | (HeaderSeen::Short, _, _, _) => Damaged(Why::Length),
        (HeaderSeen::Zeros | HeaderSeen::Partial | HeaderSeen::Garbage, _, _, true) => {
            Damaged(Why::HeaderLost)
        }
        (HeaderSeen::Zeros, true, true, false) => Spare,
        (HeaderSeen::Zeros, false, true, false) => Discard,
        (HeaderSeen::Zeros | HeaderSeen::Partial | HeaderSeen::Garbage, _, _, false)
            if is_nearly_zeros =>
        {
            DiscardRotten
        }
        (HeaderSeen::Partial, _, true, false) => Discard,
        (HeaderSeen::Zeros | HeaderSeen::Partial | HeaderSeen::Garbage, _, _, false) => {
            Damaged(Why::HeaderLost)
        }
    }
}

#[test]
fn every_file_is_judged_as_the_table_says() {
    assert_eq!(all_files().count(), 256);
    for seen in all_files() {
        assert_eq!(judge_file(seen), file_by_rows(seen), "{seen:?}");
    }
}

#[test]
fn only_a_file_that_nobody_needs_is_obsolete() {
    for seen in all_files() {
        let is_obsolete = judge_file(seen) == FileVerdict::Obsolete;
        assert_eq!(is_obsolete, seen.is_obsolete, "{seen:?}");
    }
}

#[test]
fn a_file_that_holds_anything_is_never_a_spare_and_never_discarded() {
    let holds = |seen: &FileSeen| !(seen.rest_is_zeros || seen.is_nearly_zeros);
    for seen in all_files().filter(|seen| holds(seen) || seen.is_followed) {
        let verdict = judge_file(seen);
        assert!(
            !matches!(
                verdict,
                FileVerdict::Spare | FileVerdict::Discard | FileVerdict::DiscardRotten
            ),
            "{seen:?}"
        );
    }
}
