//! Replays the corpora of the fuzz targets that concern this crate.

#[path = "../../../fuzz/checks/confine.rs"]
mod confine;
#[path = "../../../fuzz/checks/replay.rs"]
mod replay;
#[path = "../../../fuzz/checks/rewrite.rs"]
mod rewrite;

#[test]
fn paths() {
    replay::replay("confine", confine::check);
}

#[test]
fn playlists() {
    replay::replay("rewrite", rewrite::check);
}
