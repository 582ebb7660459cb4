//! Replays the corpora of the fuzz targets that concern this crate.

#[path = "../../../fuzz/checks/compat_json.rs"]
mod compat_json;
#[path = "../../../fuzz/checks/config.rs"]
mod config;
#[path = "../../../fuzz/checks/replay.rs"]
mod replay;

#[test]
fn configurations() {
    replay::replay("config", config::check);
}

#[test]
fn bodies_of_the_compatible_routes() {
    replay::replay("compat_json", compat_json::check);
}
