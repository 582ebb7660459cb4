//! hls.js in Chromium plays through every failure of a source, each in a tab of its own.

mod browser;
mod e2e;

use browser::{Picture, Play, SMOOTH};
use e2e::{FAILURES, Failing, Failure, Gateway, until_played};
use futures_util::future::join_all;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_plays_through_every_failure() {
    let made = |(_, failure): &(_, Failure)| matches!(failure, Failure::Of(_));
    let failures: Vec<_> = FAILURES.into_iter().filter(made).collect();
    let mut channels = Failing::all(&failures).await;
    let config: String = channels.iter().map(Failing::config).collect();
    let gateway = Gateway::serve(&config).await;
    let urls: Vec<_> = channels
        .iter()
        .map(|channel| gateway.url(&channel.path()))
        .collect();
    // Warm: a list that is as long as what a player holds back.
    let players = join_all(channels.iter().map(async |channel| {
        let player = gateway.player(&channel.path()).await;
        until_played(&player, 3).await;
    }));
    players.await;

    let mut play = Play::of(urls[0].as_str()).with("--seconds", 24);
    for url in &urls[1..] {
        play = play.and(url.as_str());
    }
    let mut playing = play.start(&format!("{SMOOTH},discontinuities=1,discontinuities_max=1"));
    playing.has_picture().await;
    channels.iter_mut().for_each(Failing::fail);
    let report = playing.finish().await;
    assert_eq!(report.pictures(), vec![Picture::B; urls.len()]);
}
