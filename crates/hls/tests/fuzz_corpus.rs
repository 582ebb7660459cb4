//! Replays the corpora of the fuzz targets that concern this crate.

#[path = "../../../fuzz/checks/playlist.rs"]
mod playlist;
#[path = "../../../fuzz/checks/replay.rs"]
mod replay;
#[path = "../../../fuzz/checks/ts.rs"]
mod ts;

#[test]
fn playlists() {
    replay::replay("playlist", playlist::check);
}

#[test]
fn transport_streams() {
    replay::replay("ts", ts::check);
}
