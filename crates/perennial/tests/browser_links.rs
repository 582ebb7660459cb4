//! The demo's stream whose link dies every thirty seconds, in Chromium: hls.js as it comes plays on.

mod browser;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use browser::{Gateway, Picture, Play, SMOOTH};
use testkit::http::Client;
use testkit::wait_until;

/// Longer than a link lives; `make soak` gives it five minutes.
const SECONDS: u32 = 40;
const SOON: Duration = Duration::from_secs(20);

/// What the front end makes of a stream's `url`.
async fn proxied(gateway: &Gateway) -> String {
    let client = Client::new(SOON);
    let streams = gateway.url("/streams").parse().expect("a URL");
    let live = wait_until(SOON, "a live stream", async || {
        let answer = client.get(&streams).await.ok()?;
        let listed: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        let reference = listed["streams"][0]["url"].as_str()?;
        Some(URL_SAFE_NO_PAD.encode(reference))
    });
    let reference = live.await.expect("the demo's stream is live");
    gateway.url(&format!("/proxy?url={reference}"))
}

#[tokio::test]
async fn a_link_dies_and_the_picture_goes_on() {
    let gateway = Gateway::demo().await;
    let seconds = match std::env::var_os("PERENNIAL_LIVE_SECONDS") {
        Some(_) => 300,
        None => SECONDS,
    };
    let expect = format!("{SMOOTH},discontinuities_max=0");
    let channel = gateway.url("/live/expiring/index.m3u8");
    let proxy = proxied(&gateway).await;
    let play = |url: &str| {
        Play::of(url)
            .with("--as", "playlist")
            .with("--seconds", seconds)
    };
    let (channel, proxy) = tokio::join!(play(&channel).run(&expect), play(&proxy).run(&expect));
    for report in [channel, proxy] {
        assert_eq!(report.pictures(), [Picture::B]);
    }
}
