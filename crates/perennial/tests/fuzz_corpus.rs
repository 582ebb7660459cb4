//! Replays the corpora of the fuzz targets that concern this crate.

#[path = "../../../fuzz/checks/compat_json.rs"]
mod compat_json;
#[path = "../../../fuzz/checks/config.rs"]
mod config;
#[path = "../../../fuzz/checks/range.rs"]
mod range;
#[path = "../../../fuzz/checks/replay.rs"]
mod replay;
#[path = "../../../fuzz/checks/xml.rs"]
mod xml;

#[test]
fn configurations() {
    replay::replay("config", config::check);
}

#[test]
fn bodies_of_the_compatible_routes() {
    replay::replay("compat_json", compat_json::check);
}

#[test]
fn ranges() {
    replay::replay("range", range::check);
}

#[test]
fn xml_of_propfinds_and_feeds() {
    replay::replay("xml", xml::check);
}
