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
