//! `quorate-sim`: runs seeds, replays and shrinks failures, checks histories.

fn main() {}
