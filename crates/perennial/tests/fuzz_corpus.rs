//! Replays the corpora of the fuzz targets that concern this crate.

#[path = "../../../fuzz/checks/config.rs"]
mod config;
#[path = "../../../fuzz/checks/replay.rs"]
mod replay;

#[test]
fn configurations() {
    replay::replay("config", config::check);
}
