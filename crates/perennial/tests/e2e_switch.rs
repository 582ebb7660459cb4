//! Another source under the players' feet: by the compatible routes, and who may do it.

mod e2e;

use std::time::Duration;

use e2e::{Gateway, KEY, LATE, SOON, channel, check_clean, check_consecutive, header, indexes};
use http::Method;
use serde_json::{Value, json};
use testkit::checker::Promises;
use testkit::http::Fetched;
use testkit::origin::Iv;
use testkit::{Clip, Origin, Player, Report, Shape, Spec, Watch, free_port, wait_until};
use url::Url;

async fn origin(clip: Clip) -> Origin {
    let spec = Spec {
        clip,
        ..Spec::default()
    };
    Origin::start(spec).await.expect("an origin starts")
}

async fn change(gateway: &Gateway, channel: &str, url: &Url, headers: &[(&str, &str)]) -> Fetched {
    let body = json!({ "url": url.as_str() }).to_string();
    let path = format!("/change_stream/{channel}");
    gateway.send(Method::POST, &path, headers, body).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

fn check_json(answer: &Fetched, status: u16, expected: &Value) {
    let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!((answer.status, &body), (status, expected));
    assert_eq!(header(answer, "content-type"), "application/json");
}

/// The numbers of a playlist's segments: first, and one after the last.
fn numbers(playlist: &str) -> (u64, u64) {
    let first = playlist
        .lines()
        .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"))
        .map_or(0, |number| number.parse().expect("a number"));
    let count = playlist.lines().filter(|line| line.starts_with("#EXTINF:"));
    (first, first + count.count() as u64)
}

/// Waits until the playlist has just grown: most of a segment's time is left until it does again.
async fn just_grown(gateway: &Gateway) -> u64 {
    let before = numbers(&gateway.playlist("/live/news/index.m3u8").await).1;
    let grown = wait_until(SOON, "a new segment", async || {
        let now = numbers(&gateway.playlist("/live/news/index.m3u8").await).1;
        (now > before).then_some(now)
    });
    grown.await.expect("the channel goes on")
}

async fn until_number(player: &Player, number: u64) {
    let has = |report: &Report| {
        report
            .segments
            .last()
            .is_some_and(|last| last.number >= number)
    };
    let waited = player.until(LATE, &format!("segment {number}"), has).await;
    waited.unwrap_or_else(|late| panic!("{late}"));
}

/// Before number `at` the player has a stretch of `a`'s segments, from there on of `b`'s.
#[track_caller]
fn check_spliced(report: &Report, a: &Origin, b: &Origin, at: u64) {
    check_clean(report);
    assert_eq!(report.discontinuities(), [at], "{report}");
    let cut = report.segments.partition_point(|played| played.number < at);
    let (before, after) = report.segments.split_at(cut);
    for (origin, part) in [(a, before), (b, after)] {
        let indexes: Option<Vec<u64>> = indexes(origin, part).into_iter().collect();
        check_consecutive(&indexes.unwrap_or_else(|| panic!("bytes of another source: {report}")));
    }
    let numbers: Vec<_> = report.segments.iter().map(|played| played.number).collect();
    check_consecutive(&numbers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_players_see_the_new_source_with_the_next_segment() {
    let (a, b) = (origin(Clip::A).await, origin(Clip::B).await);
    let gateway = Gateway::live(&[&a.url()]).await;
    let compatible = Watch {
        promises: Promises {
            relative_uris: false,
            ..Promises::PERENNIAL
        },
        ..gateway.watch("/stream/news")
    };
    let players = [
        gateway.player("/live/news/index.m3u8").await,
        gateway.player("/live/news/main/index.m3u8").await,
        Player::start(compatible),
    ];
    for player in &players {
        player
            .until(SOON, "a start", |report| report.segments.len() >= 4)
            .await
            .unwrap();
    }
    let next = just_grown(&gateway).await;
    let answer = change(&gateway, "news", &b.url(), &[JSON]).await;
    let expected = json!({ "message": "Stream URL updated", "channel": "news", "url": b.url() });
    check_json(&answer, 200, &expected);
    for player in &players {
        until_number(player, next + 4).await;
    }
    for player in players {
        check_spliced(&player.stop(), &a, &b, next);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_switches_in_a_minute_do_not_stall() {
    const SWITCHES: u64 = 20;
    let (a, b) = (origin(Clip::A).await, origin(Clip::B).await);
    let gateway = Gateway::serve(&channel("news", &[&a.url(), &b.url()])).await;
    let players = [
        gateway.player("/live/news/index.m3u8").await,
        gateway.player("/live/news/main/index.m3u8").await,
        gateway.player("/live/news/index.m3u8").await,
    ];
    for player in &players {
        player
            .until(SOON, "a start", |report| report.segments.len() >= 4)
            .await
            .unwrap();
    }
    let mut every = tokio::time::interval(Duration::from_secs(3));
    for turn in 1..=SWITCHES {
        every.tick().await;
        let to = if turn % 2 == 1 { &b } else { &a };
        let answer = change(&gateway, "news", &to.url(), &[("x-api-key", KEY)]).await;
        assert_eq!(answer.status, 200);
        let on_air = |info: &Value| info["source"]["index"] == turn % 2 && info["state"] == "live";
        gateway
            .until(SOON, "news", "the other source on air", on_air)
            .await;
    }
    let end = just_grown(&gateway).await;
    for player in players {
        until_number(&player, end).await;
        let report = player.stop();
        check_clean(&report);
        assert_eq!(report.discontinuities().len() as u64, SWITCHES, "{report}");
        let of_either = |origin| indexes(origin, &report.segments).iter().flatten().count();
        assert_eq!(
            of_either(&a) + of_either(&b),
            report.segments.len(),
            "{report}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_url_does_not_take_the_picture_away() {
    let a = origin(Clip::A).await;
    let gateway = Gateway::serve(&channel("news", &[&a.url()])).await;
    let player = gateway.player("/live/news/index.m3u8").await;
    player
        .until(SOON, "a start", |report| report.segments.len() >= 4)
        .await
        .unwrap();

    let dead = format!("http://127.0.0.1:{}/x.m3u8", free_port().unwrap());
    let answer = change(
        &gateway,
        "news",
        &dead.parse().unwrap(),
        &[("x-api-key", KEY)],
    )
    .await;
    assert_eq!(answer.status, 200);
    let failed = |info: &Value| {
        let errors = info["errors"].as_array().expect("a list");
        errors.iter().any(|error| error["code"] == "switch_failed")
    };
    gateway
        .until(SOON, "news", "the failed switch's error", failed)
        .await;
    let next = just_grown(&gateway).await;
    until_number(&player, next + 2).await;
    let report = player.stop();
    check_clean(&report);
    e2e::check_stretch(&a, &report);
    let info = gateway.channel("news").await;
    assert_eq!(
        (&info["state"], &info["source"]["index"]),
        (&json!("live"), &json!(0))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switch_may_change_how_segments_are_hidden() {
    let clear = origin(Clip::A).await;
    let hidden = Spec {
        clip: Clip::B,
        shape: Shape::Aes128(Iv::Implicit),
        first_number: 1000,
        ..Spec::default()
    };
    let hidden = Origin::start(hidden).await.expect("an origin starts");
    let gateway = Gateway::live(&[&clear.url()]).await;
    let player = gateway.player("/live/news/index.m3u8").await;
    for to in [&hidden, &clear] {
        let next = just_grown(&gateway).await;
        let answer = change(&gateway, "news", &to.url(), &[JSON]).await;
        assert_eq!(answer.status, 200);
        until_number(&player, next + 3).await;
    }
    let playlist = gateway.playlist("/live/news/index.m3u8").await;
    assert!(playlist.contains("#EXT-X-KEY:METHOD=NONE"), "{playlist}");
    let report = player.stop();
    check_clean(&report);
    assert_eq!(report.discontinuities().len(), 2, "{report}");
    // Only what was decrypted is what the origin says it is.
    let of = |origin| indexes(origin, &report.segments).iter().flatten().count();
    assert!(of(&hidden) >= 3, "{report}");
    assert_eq!(of(&clear) + of(&hidden), report.segments.len(), "{report}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_compatible_routes_are_as_their_contract_says() {
    let (a, b) = (origin(Clip::A).await, origin(Clip::B).await);
    let gateway = Gateway::live(&[&a.url()]).await;

    let playlist = gateway.playlist("/stream/news").await;
    let answer = gateway.get("/stream/news").await;
    assert_eq!(
        header(&answer, "content-type"),
        "application/vnd.apple.mpegurl"
    );
    let uris: Vec<&str> = playlist
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let (first, end) = numbers(&playlist);
    let expected: Vec<String> = (first..end)
        .map(|n| format!("/stream/news/segments/{n}.ts"))
        .collect();
    assert_eq!(uris, expected);
    let segment = gateway.get(uris[0]).await;
    assert_eq!(
        (segment.status, header(&segment, "content-type")),
        (200, "video/MP2T")
    );
    let known = a.expected_hashes(0..a.head());
    assert!(known.contains(&testkit::Sha256::of(&segment.body)));
    for gone in [
        "/stream/news/segments/999999.ts",
        "/stream/news/segments/x.ts",
        "/stream/nobody",
    ] {
        assert_eq!(gateway.get(gone).await.status, 404, "{gone}");
    }

    let no_channel = change(&gateway, "nobody", &b.url(), &[JSON]).await;
    check_json(&no_channel, 404, &json!({ "error": "Channel not found" }));
    let bodies = [
        "",
        "{",
        "[]",
        "{}",
        "{\"url\":7}",
        "{\"url\":\"\"}",
        "{\"url\":\"ftp://a/b\"}",
        "url=x",
    ];
    for body in bodies {
        let answer = gateway
            .send(Method::POST, "/change_stream/news", &[JSON], body)
            .await;
        check_json(&answer, 400, &json!({ "error": "No URL provided" }));
    }
    let unchanged = change(&gateway, "news", &a.url(), &[JSON]).await;
    let expected = json!({ "message": "URL unchanged", "channel": "news", "url": a.url() });
    check_json(&unchanged, 200, &expected);
    assert_eq!(gateway.get("/change_stream/news").await.status, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_this_machine_or_a_key_may_switch() {
    let (a, b) = (origin(Clip::A).await, origin(Clip::B).await);
    let gateway = Gateway::live(&[&a.url()]).await;
    gateway.playlist("/live/news/index.m3u8").await;
    let here = format!("http://127.0.0.1:{}", gateway.port());
    let refused: [(&[(&str, &str)], u16); 6] = [
        (&[JSON, ("origin", "https://evil.example")], 403),
        (&[JSON, ("origin", "null")], 403),
        (&[JSON, ("host", "rebound.example")], 403),
        (&[JSON, ("host", "localhost.evil.example")], 403),
        (&[("content-type", "text/plain")], 415),
        (&[], 415),
    ];
    for (headers, status) in refused {
        let answer = change(&gateway, "news", &b.url(), headers).await;
        assert_eq!(answer.status, status, "{headers:?}");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(body["error"].is_string(), "{body}");
    }
    let preflight = [
        ("origin", "https://evil.example"),
        ("access-control-request-method", "POST"),
    ];
    let answer = gateway
        .send(Method::OPTIONS, "/change_stream/news", &preflight, "")
        .await;
    assert_eq!(header(&answer, "access-control-allow-origin"), "");
    // Nothing of it has switched: the first who may is told that it is a change.
    for headers in [&[JSON][..], &[JSON, ("origin", &here)]] {
        assert_eq!(
            change(&gateway, "news", &b.url(), headers).await.status,
            200
        );
    }

    let gateway = Gateway::serve(&channel("news", &[&a.url()])).await;
    for headers in [
        &[JSON][..],
        &[JSON, ("x-api-key", "wrong")],
        &[("authorization", "Bearer x")],
    ] {
        let answer = change(&gateway, "news", &b.url(), headers).await;
        assert_eq!(answer.status, 401, "{headers:?}");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(body["error"].is_string(), "{body}");
    }
    let bearer = format!("Bearer {KEY}");
    for (key, message) in [
        (("x-api-key", KEY), "Stream URL updated"),
        (("authorization", &bearer), "URL unchanged"),
    ] {
        let answer = change(&gateway, "news", &b.url(), &[key]).await;
        check_json(
            &answer,
            200,
            &json!({ "message": message, "channel": "news", "url": b.url() }),
        );
    }
}

/// Its players do not notice what the list of sources becomes, as long as theirs is in it; then they cross
/// over as if it had failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_whose_sources_change_plays_on() {
    let (a, b) = (origin(Clip::A).await, origin(Clip::B).await);
    let gateway = Gateway::serve(&channel("file", &[&a.url()])).await;
    let put = async |sources: &[&Origin]| {
        let sources: Vec<_> = sources
            .iter()
            .map(|of| json!({ "url": of.url() }))
            .collect();
        let input = json!({ "title": sources.len().to_string(), "sources": sources }).to_string();
        let answer = gateway
            .admin(Method::PUT, "/api/v1/channels/news", &input)
            .await;
        assert!(matches!(answer.status, 200 | 201), "{}", answer.status);
        gateway.configure(&channel("file", &[&a.url(), &b.url()][2 - sources.len()..]));
        let reloaded = gateway.admin(Method::POST, "/api/v1/reload", "").await;
        assert_eq!(reloaded.status, 200);
    };
    put(&[&a]).await;
    gateway.configure(&channel("file", &[&a.url()]));
    gateway.admin(Method::POST, "/api/v1/reload", "").await;
    let players = [
        gateway.player("/live/news/index.m3u8").await,
        gateway.player("/live/file/index.m3u8").await,
    ];
    for player in &players {
        e2e::until_played(player, 5).await;
    }
    put(&[&b, &a]).await;
    let info = gateway.channel("news").await;
    assert_eq!(
        (&info["source"]["index"], &info["title"]),
        (&json!(1), &json!("2"))
    );
    for player in &players {
        let so_far = player.report().segments.len();
        e2e::until_played(player, so_far + 4).await;
        assert_eq!(player.report().discontinuities(), [0_u64; 0]);
    }
    put(&[&b]).await;
    for player in &players {
        let so_far = player.report().segments.len();
        e2e::until_played(player, so_far + 6).await;
    }
    for player in players {
        let report = player.stop();
        check_clean(&report);
        let at = report.discontinuities();
        assert_eq!(at.len(), 1, "{report}");
        check_spliced(&report, &a, &b, at[0]);
    }
    let info = gateway.channel("news").await;
    assert_eq!(info["failovers"], 0, "nothing failed: {info:#}");
}
