//! hls.js in Chromium while every source of its channel is down.

mod browser;

use std::time::Duration;

use browser::{Gateway, Picture, Play, SMOOTH};
use testkit::gear::{Format, Live};
use testkit::{Clip, Fault, Origin, Spec, wait_until};

/// How long the sources are down once the card is shown.
const DOWN: Duration = Duration::from_secs(20);

async fn says(gateway: &Gateway, state: &str) {
    let line = format!("channel state state=\"{state}\"");
    let said = wait_until(Duration::from_secs(40), &line, async || {
        let log = gateway.log();
        let last = log
            .lines()
            .rfind(|line| line.contains("channel state state="))?;
        last.contains(&line).then_some(())
    });
    said.await
        .unwrap_or_else(|late| panic!("{late}\n{}", gateway.log()));
}

#[tokio::test]
async fn the_card_bridges_playlists() {
    let origin = async |clip| {
        let spec = Spec {
            clip,
            ..Spec::default()
        };
        Origin::start(spec).await.expect("an origin")
    };
    let [a, b] = [origin(Clip::A).await, origin(Clip::B).await];
    let gateway = Gateway::live(&[&a.url(), &b.url()]).await;
    let mut playing = Play::of(&gateway.playlist())
        .with("--seconds", 60)
        .start(&format!("{SMOOTH},discontinuities=2,discontinuities_max=2"));
    playing.has_picture().await;
    a.set_fault(Some(Fault::Dead));
    b.set_fault(Some(Fault::Dead));
    says(&gateway, "slate").await;
    // Not waiting: the fault lasts so long.
    tokio::time::sleep(DOWN).await;
    b.set_fault(None);
    says(&gateway, "live").await;
    assert_eq!(playing.finish().await.pictures(), [Picture::B]);
}

/// A card in transport stream between fragmented MP4, in tracks of pictures and of sound.
#[tokio::test]
async fn the_card_bridges_fragmented_mp4_with_sound_of_its_own() {
    let mut live = Live::on_air(Clip::A, Format::Fmp4)
        .await
        .expect("ffmpeg and nginx");
    let gateway = Gateway::live(&[live.url()]).await;
    let mut playing = Play::of(&gateway.playlist())
        .with("--seconds", 70)
        .start(&format!("{SMOOTH},discontinuities=2"));
    playing.has_picture().await;
    live.kill_ffmpeg();
    says(&gateway, "slate").await;
    tokio::time::sleep(DOWN).await;
    live.restart_ffmpeg(Clip::B).await.expect("ffmpeg runs");
    says(&gateway, "live").await;
    assert_eq!(playing.finish().await.pictures(), [Picture::B]);
}
