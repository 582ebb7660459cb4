//! `perennial live` in Chromium: hls.js as it comes plays every kind of source, over switches and restarts.

mod browser;

use browser::{Gateway, Picture, Play, SMOOTH};
use serde_json::json;
use testkit::gear::{Format, Live};
use testkit::origin::Iv;
use testkit::{Clip, Origin, Shape, Spec};

async fn origins(shape: Shape, first_number: u64) -> [Origin; 2] {
    let start = async |clip| {
        let spec = Spec {
            clip,
            shape,
            first_number,
            ..Spec::default()
        };
        Origin::start(spec).await.expect("an origin")
    };
    [start(Clip::A).await, start(Clip::B).await]
}

#[tokio::test]
async fn three_players_follow_a_switch() {
    let [a, b] = origins(Shape::Ts, 0).await;
    let gateway = Gateway::live(&[&a.url()]).await;
    let report = Play::of(&gateway.playlist())
        .with("--players", 3)
        .with("--seconds", 16)
        .at(4, gateway.change_stream(&b.url()))
        .run(&format!("{SMOOTH},discontinuities=1,discontinuities_max=1"))
        .await;
    assert_eq!(report.pictures(), [Picture::B; 3]);
}

/// Each lasts a segment at least, and so each is seen.
#[tokio::test]
async fn twenty_switches_in_a_minute_are_twenty_discontinuities() {
    let [a, b] = origins(Shape::Ts, 0).await;
    let gateway = Gateway::live(&[&a.url()]).await;
    let mut play = Play::of(&gateway.playlist());
    for switch in 1..=20 {
        let to = if switch % 2 == 1 { &b } else { &a };
        play = play.at(3 * switch, gateway.change_stream(&to.url()));
    }
    let report = play
        .then(json!({"reach": "discontinuities", "value": 20, "within": 60}))
        .run(&format!("{SMOOTH},discontinuities=20,latency<12"))
        .await;
    assert_eq!(report.pictures(), [Picture::A]);
}

/// Numbers differ between the source and us, so an implicit vector must have been made explicit.
#[tokio::test]
async fn encrypted_segments_are_decrypted_from_the_middle_and_over_a_switch() {
    let [a, b] = origins(Shape::Aes128(Iv::Implicit), 4711).await;
    let gateway = Gateway::live(&[&a.url()]).await;
    let report = Play::of(&gateway.playlist())
        .with("--seconds", 14)
        .at(3, gateway.change_stream(&b.url()))
        .run(&format!("{SMOOTH},discontinuities=1"))
        .await;
    assert_eq!(report.pictures(), [Picture::B]);
    assert!(a.stats().keys >= 1 && b.stats().keys >= 1);
    // The key came to the player through us: once from each source would be enough.
    assert!(a.stats().keys <= 2 && b.stats().keys <= 2, "{}", b.stats());
}

async fn plays(format: Format) {
    let live = Live::on_air(Clip::B, format)
        .await
        .expect("ffmpeg and nginx");
    let gateway = Gateway::live(&[live.url()]).await;
    let report = Play::of(&gateway.playlist())
        .with("--seconds", 10)
        .run(SMOOTH)
        .await;
    assert_eq!(report.pictures(), [Picture::B]);
}

#[tokio::test]
async fn fragmented_mp4_with_variants_and_a_sound_rendition_plays() {
    plays(Format::Fmp4).await;
}

/// A second player that shares no code with hls.js.
#[tokio::test]
async fn chromium_itself_follows_a_switch() {
    let [a, b] = origins(Shape::Ts, 0).await;
    let gateway = Gateway::live(&[&a.url()]).await;
    let report = Play::of(&gateway.playlist())
        .with("--as", "native")
        .with("--seconds", 16)
        .at(4, gateway.change_stream(&b.url()))
        .run(SMOOTH)
        .await;
    assert_eq!(report.pictures(), [Picture::B]);
}

#[tokio::test]
async fn chromium_itself_plays_fragmented_mp4_from_a_cold_start() {
    let live = Live::on_air(Clip::B, Format::Fmp4)
        .await
        .expect("ffmpeg and nginx");
    let gateway = Gateway::live(&[live.url()]).await;
    let report = Play::of(&gateway.playlist())
        .with("--as", "native")
        .with("--seconds", 10)
        .run(SMOOTH)
        .await;
    assert_eq!(report.pictures(), [Picture::B]);
}

#[tokio::test]
async fn byte_ranges_of_one_file_play() {
    plays(Format::ByteRange).await;
}

#[tokio::test]
async fn encrypted_by_ffmpeg_plays() {
    plays(Format::Aes128).await;
}

#[tokio::test]
async fn players_go_on_after_perennial_was_killed_and_started_again() {
    let [a, _] = origins(Shape::Ts, 0).await;
    let mut gateway = Gateway::live(&[&a.url()]).await;
    let mut playing = Play::of(&gateway.playlist())
        .with("--players", 3)
        .with("--seconds", 24)
        .start("no-fatal,no-reloads,ready_state>=3,stall_max_s<6,audio_bytes>0");
    playing.has_picture().await;
    gateway.restart().await;
    let report = playing.finish().await;
    for player in report.0["players"].as_array().unwrap() {
        assert!(player["advanced_s"].as_f64() > Some(18.0), "{player:#}");
    }
}
