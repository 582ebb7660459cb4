//! The watch page in Chromium, as people use it: each test is a file of `e2e/scenarios`.

mod browser;

use browser::{Gateway, use_page};
use testkit::gear::{Format, Live};
use testkit::{Clip, Origin, Spec};
use url::Url;

/// Plays it against a gateway with five channels of two sources each.
async fn check(scenario: &str) {
    let start = async |clip| {
        let spec = Spec {
            clip,
            ..Spec::default()
        };
        Origin::start(spec).await.expect("an origin")
    };
    let [a, b] = [start(Clip::A).await, start(Clip::B).await];
    let sources: &[&Url] = &[&a.url(), &b.url()];
    let channels = ["alfa", "bravo", "charlie", "delta", "echo"].map(|id| (id, sources));
    use_page(scenario, &Gateway::serve(&channels).await).await;
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

#[tokio::test]
async fn a_viewer_with_a_grant_and_one_with_the_key_get_in() {
    check("grants").await;
}

/// fMP4 in three qualities with the sound beside it, and WebVTT: what the page's own build of hls.js must know.
#[tokio::test]
async fn qualities_follow_the_size_and_subtitles_are_shown() {
    let start = async |format| Live::start(Clip::A, format).await.expect("ffmpeg, nginx");
    let [variants, subtitled] = [start(Format::Fmp4).await, start(Format::Subtitles).await];
    let channels: [(&str, &[&Url]); 2] = [
        ("subtitled", &[subtitled.url()]),
        ("variants", &[variants.url()]),
    ];
    use_page("qualities", &Gateway::serve(&channels).await).await;
}
