//! The watch page in Chromium, as people use it: each test is a file of `e2e/scenarios`.
#![allow(clippy::print_stdout, reason = "a scenario tells what it measured")]

mod browser;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use browser::{Gateway, KEY};
use testkit::{Clip, Origin, Spec};

const CHANNELS: [&str; 5] = ["alfa", "bravo", "charlie", "delta", "echo"];
const SCENARIO: Duration = Duration::from_secs(240);

/// Plays it against a gateway with five channels of two sources each; what was seen is printed.
async fn check(scenario: &str) {
    let start = async |clip| {
        let spec = Spec {
            clip,
            ..Spec::default()
        };
        Origin::start(spec).await.expect("an origin")
    };
    let [a, b] = [start(Clip::A).await, start(Clip::B).await];
    let gateway = Gateway::serve(&CHANNELS, &[&a.url(), &b.url()]).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/page.mjs");
    let mut command = tokio::process::Command::new("node");
    command
        .arg(script)
        .args([scenario, &gateway.url("/"), "--key", KEY])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(SCENARIO, command.output()).await;
    let output = output
        .unwrap_or_else(|_| panic!("{scenario} takes longer than {SCENARIO:?}"))
        .expect("node is installed: scripts/install.sh test");
    let [seen, errors] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success(), "{errors}{seen}");
    println!("{seen}");
    assert!(
        !gateway.log().contains(KEY),
        "the gateway's log tells the key"
    );
}

#[tokio::test]
async fn four_tiles_play_and_none_disturbs_another() {
    check("tiles").await;
}

#[tokio::test]
async fn the_keyboard_is_enough() {
    check("keyboard").await;
}

#[tokio::test]
async fn the_administrator_sees_switches_and_kicks() {
    check("status").await;
}

#[tokio::test]
async fn every_part_is_listed_and_plays_and_a_refused_address_is_renewed() {
    check("parts").await;
}

#[tokio::test]
async fn a_share_opens_with_its_password() {
    check("share").await;
}

#[tokio::test]
async fn every_view_is_accessible_at_every_size() {
    check("looks").await;
}
