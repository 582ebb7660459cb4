//! Links that die, in Chromium: hls.js as it comes plays the demo's on, and the watch page plays streams and
//! files of resolvers and says how they fare.

mod browser;
mod expiring_film;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use browser::{Gateway, Picture, Play, SMOOTH, use_page};
use expiring_film::ExpiringFilm;
use serde_json::json;
use testkit::http::Client;
use testkit::{Carrier, Clip, Origin, Signing, Spec, wait_until};

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

/// What is on, begun an hour ago.
fn calendar() -> String {
    let now_ms = std::time::UNIX_EPOCH
        .elapsed()
        .expect("the clock is right")
        .as_millis();
    let begun_ms = i64::try_from(now_ms).expect("before the end of time") - 3_600_000;
    let session = json!({"type": "race", "name": "Race", "start_utc": schedule::rfc3339(begun_ms), "duration_minutes": 180});
    json!({"season": "2026", "races": [{"round": 1, "race_name": "Grand Prix", "sessions": [session]}]}).to_string()
}

#[tokio::test]
async fn the_page_plays_streams_and_files_whose_links_expire_and_tells_of_them() {
    let signing = Signing {
        carrier: Carrier::Query,
        life: Duration::from_secs(12),
        exclusive: false,
    };
    let spec = Spec {
        clip: Clip::B,
        signing: Some(signing),
        ..Spec::default()
    };
    let origin = Origin::start(spec).await.expect("an origin");
    let film = ExpiringFilm::start(Duration::from_secs(12)).await;
    let folder = tempfile::tempdir().expect("a folder");
    let calendar_file = folder.path().join("calendar.json");
    std::fs::write(&calendar_file, calendar()).expect("a file");
    let resolver = |id: &str, name: &str, url: &url::Url| {
        format!(
            "[[resolver]]\nid = \"{id}\"\nname = \"{name}\"\nkind = \"http\"\nurl = \"{url}\"\nmin_interval_s = 1\n"
        )
    };
    let toml = format!(
        "[[channel]]\nid = \"expiring\"\n[[channel.source]]\nresolver = \"club\"\nentry = \"cam-1\"\n{}{}\
         [[schedule]]\nid = \"cup\"\nkind = \"json\"\npath = \"{}\"\nchannels = [\"expiring\"]\n",
        resolver("club", "Club TV", &origin.resolver_url()),
        resolver("films", "Film club", &film.resolver_url()),
        calendar_file.display(),
    );
    use_page("links", &Gateway::configured(&toml).await).await;
    let refused = (origin.stats().refused, film.refused());
    assert_eq!(refused, (0, 0), "no link was asked after its end");
}
