//! A frozen view costs a segment at a time, and the blocks say what they say.

use super::*;

#[test]
fn a_frozen_view_can_go_to_another_thread() {
    fn assert_send_and_sync<T: Send + Sync>() {}
    assert_send_and_sync::<Frozen>();
    assert_send_and_sync::<Blocks>();
    fn assert_send<T: Send>() {}
    assert_send::<SnapshotLoader>();
}

#[test]
fn a_segment_is_given_back_when_it_is_written_out() {
    let store = crate::SnapshotLoader::new([7; 16], 1, 1).finish();
    let mut filled = store;
    filled.begin_entry(2, 2);
    for number in 0..20_000 {
        let key = format!("a key that needs memory of its own: {number}");
        let value = crate::StringValue::from_bytes(b"v").into();
        let database = filled.database_mut(0);
        database.set(
            key.as_bytes(),
            value,
            crate::database::Expiry::Clear,
            1 << 20,
            2,
        );
    }
    let shared = |store: &crate::Store| store.database(0).keys().shared_segments();
    let all = shared(&filled);
    assert_eq!(all, 0);
    let mut blocks = filled.freeze().blocks();
    let all = shared(&filled);
    let mut left = all;
    while let Some(block) = blocks.next() {
        let now = shared(&filled);
        // A block has at most as many keys as its bytes allow: so at least so many segments are back.
        assert!(now <= left && block.len() < 2 * BLOCK_BYTES_TARGET);
        assert!(
            now * 400 <= blocks.keys_left() + 1_024,
            "{now} of {all} segments"
        );
        left = now;
    }
    assert_eq!((blocks.keys_left(), left), (0, 0));
}
