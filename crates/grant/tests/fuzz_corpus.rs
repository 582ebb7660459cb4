//! Replays the corpus of the fuzz target that concerns this crate.

#[path = "../../../fuzz/checks/replay.rs"]
mod replay;
#[path = "../../../fuzz/checks/token.rs"]
mod token;

#[test]
fn tokens() {
    replay::replay("token", token::check);
}
