//! All sources of a channel are down: its players get a card until one is back, and never an error.

mod e2e;

use std::time::Duration;

use e2e::{Gateway, LATE, SOON, channel, check_consecutive, command, until_played};
use http::Method;
use serde_json::Value;
use testkit::gear::{Encoding, Format, Live, StreamFault, StreamServer};
use testkit::{Clip, Fault, Origin, Player, Report, Spec};

/// How long the sources are down.
const DOWN: Duration = Duration::from_secs(60);

fn is(state: &str) -> impl Fn(&Value) -> bool + use<'_> {
    move |info| info["state"] == state
}

/// No error, no stall, nothing lost, nothing twice; one discontinuity to the card and one back. An only
/// source may be asked by two sessions as it returns, and one of them takes over from the other.
#[track_caller]
fn check_bridged(what: &str, sources: usize, report: &Report) {
    assert!(report.is_clean(), "{what}: {report}");
    let marks = report.discontinuities();
    let most = if sources == 1 { 3 } else { 2 };
    assert!((2..=most).contains(&marks.len()), "{what}: {report}");
    let numbers: Vec<_> = report.segments.iter().map(|played| played.number).collect();
    check_consecutive(&numbers);
    let cards = report.segments.iter();
    let cards = cards.filter(|played| (marks[0]..marks[1]).contains(&played.number));
    let shown: Duration = cards.map(|played| played.duration).sum();
    assert!(
        shown > DOWN - Duration::from_secs(15),
        "{what}: {shown:?} of the card: {report}"
    );
}

/// While a channel with two dead sources shows its card, the API and the metrics say so, and why.
async fn check_told(gateway: &Gateway) {
    let info = gateway.channel("lists").await;
    assert_eq!(info["failover"]["step"], "slate", "{info:#}");
    assert!(info["failover"]["why"].is_string(), "{info:#}");
    assert!(
        info["slate_s"].as_f64() > Some(DOWN.as_secs_f64() - 5.0),
        "{info:#}"
    );
    for source in info["sources"].as_array().expect("a list") {
        assert!(
            source["why"].is_string() && source["health"] != "healthy",
            "{info:#}"
        );
        let open = source["breaker"] == "open";
        assert_eq!(source["retry_at_ms"].is_i64(), open, "{info:#}");
    }
    // The one that was on air is waited for; the other was tried and given up again and again.
    assert!(
        info["sources"][1]["failures"].as_u64() > Some(0),
        "{info:#}"
    );
    assert!(info["sources"][0]["last_good_at_ms"].is_i64(), "{info:#}");
    let metrics = gateway.admin(Method::GET, "/metrics", "").await;
    let metrics = String::from_utf8_lossy(&metrics.body);
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|value| value.trim().parse::<f64>().ok());
        value.unwrap_or_else(|| panic!("{name} is missing: {metrics}"))
    };
    assert!(value("perennial_channel_slate_seconds_total{channel=\"lists\"}") > 50.0);
    let labels = "{channel=\"lists\",source=\"0\",health=\"healthy\"}";
    assert_eq!(
        value(&format!("perennial_channel_source_health{labels}")),
        0.0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minute_without_any_source_is_a_minute_of_the_card() {
    let origin = async |clip| {
        let spec = Spec {
            clip,
            ..Spec::default()
        };
        Origin::start(spec).await.expect("an origin starts")
    };
    let lists = [origin(Clip::A).await, origin(Clip::B).await];
    let stream = StreamServer::start(Encoding::default())
        .await
        .expect("ffmpeg runs");
    let demuxed = Live::start(Clip::A, Format::Fmp4)
        .await
        .expect("ffmpeg and nginx run");
    let dead = format!("http://127.0.0.1:{}/x.ts", testkit::free_port().unwrap());
    let dead = dead.parse().expect("a URL");
    let toml = [
        channel("lists", &[&lists[0].url(), &lists[1].url()]),
        channel("stream", &[&stream.url(), &dead]),
        channel("demuxed", &[demuxed.url()]),
    ];
    let gateway = Gateway::serve(&toml.concat()).await;
    let tracks = [
        (2, "/live/lists/index.m3u8"),
        (2, "/live/stream/index.m3u8"),
        (1, "/live/demuxed/v0/index.m3u8"),
        (1, "/live/demuxed/a0/index.m3u8"),
    ];
    let mut players: Vec<Player> = Vec::new();
    for (_, path) in tracks {
        players.push(gateway.player(path).await);
    }
    for player in &players {
        until_played(player, 4).await;
    }

    let dead = Fault::Dead;
    lists.iter().for_each(|origin| origin.set_fault(Some(dead)));
    stream.set_fault(Some(StreamFault::Status(503)));
    demuxed.nginx().expect("it runs").pause().expect("kill");
    for id in ["lists", "stream", "demuxed"] {
        gateway.until(SOON, id, "the card", is("slate")).await;
    }
    // This is not waiting for anything: it is the fault that lasts so long.
    tokio::time::sleep(DOWN).await;
    check_told(&gateway).await;
    lists[1].set_fault(None);
    stream.set_fault(None);
    demuxed.nginx().expect("it runs").resume().expect("kill");
    for id in ["lists", "stream", "demuxed"] {
        gateway.until(LATE, id, "the picture", is("live")).await;
    }
    let info = gateway.channel("lists").await;
    assert!(info["failovers"].as_u64() > Some(0), "{info:#}");
    for ((sources, path), player) in tracks.into_iter().zip(players) {
        let have = player.report().segments.len();
        until_played(&player, have + 5).await;
        check_bridged(path, sources, &player.stop());
    }
}

/// The card `clip` was played at the end, round and round.
#[track_caller]
fn check_card(what: &str, report: &Report) {
    assert!(report.is_clean(), "{what}: {report}");
    // The clip's pictures are 2 s apart, and so are the card's segments.
    let shown = &report.segments[report.segments.len() - 13..];
    assert!(
        shown
            .iter()
            .all(|played| played.duration <= Duration::from_millis(2_499)),
        "{what}: {report}"
    );
    let unlike: std::collections::HashSet<_> = shown.iter().map(|played| played.hash).collect();
    assert_eq!(
        unlike.len(),
        shown.len(),
        "{what}: every round has times of its own"
    );
}

/// A card that is a file, and one that is an asset of a library: byte ranges of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_of_ones_own_is_shown_and_a_cold_channel_has_none() {
    let origin = Origin::start(Spec::default())
        .await
        .expect("an origin starts");
    let card = testkit::Clip::B.file();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("holding/card.ts");
    std::fs::create_dir(folder.path().join("holding")).unwrap();
    std::fs::write(&file, card).unwrap();
    let half = card.len() / 376 * 188;
    let rest = card.len() - half;
    let list = format!(
        "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:30\n#EXT-X-BYTERANGE:{half}@0\n#EXTINF:10,\ncard.ts\n\
         #EXT-X-BYTERANGE:{rest}\n#EXTINF:10,\ncard.ts\n#EXT-X-ENDLIST\n"
    );
    std::fs::write(folder.path().join("holding/master.m3u8"), list).unwrap();
    let with = |id: &str, slate: &str| {
        let slate = format!("slate = \"{slate}\"\n[[channel.source]]\n");
        channel(id, &[&origin.url()]).replacen("[[channel.source]]\n", &slate, 1)
    };
    let toml = [
        "[live]\nstart_timeout_s = 2\n".to_owned(),
        with("file", file.to_str().unwrap()),
        with("asset", "asset:holding"),
        format!(
            "[[library]]\nid = \"media\"\nkind = \"dir\"\npath = \"{}\"\n",
            folder.path().display()
        ),
    ];
    let gateway = Gateway::serve(&toml.concat()).await;
    let asset = r#"{"library":"media","kind":"video","prefix":"holding","name":"Back soon","slug":"holding"}"#;
    let made = gateway.admin(Method::POST, "/api/v1/assets", asset).await;
    assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
    origin.set_fault(Some(Fault::Dead));
    let cold = gateway.get("/live/file/index.m3u8").await;
    assert_eq!(cold.status, 503);
    origin.set_fault(None);
    let players = [
        ("file", gateway.player("/live/file/index.m3u8").await),
        ("asset", gateway.player("/live/asset/index.m3u8").await),
    ];
    for (_, player) in &players {
        until_played(player, 4).await;
    }
    origin.set_fault(Some(Fault::Dead));
    for (id, player) in players {
        gateway.until(SOON, id, "the card", is("slate")).await;
        let have = player.report().segments.len();
        until_played(&player, have + 15).await;
        check_card(id, &player.stop());
    }
    let check = command(gateway.folder(), &["check", "-c", "perennial.toml"]);
    let said = tokio::process::Command::from(check).output().await.unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("ok    asset slate asset:holding"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_that_cannot_be_shown_is_refused_by_name() {
    let gateway = Gateway::serve("").await;
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("card.ts");
    std::fs::write(&file, "<html>").unwrap();
    for (slate, reason, cure) in [
        (
            file.to_str().unwrap(),
            "it is no MPEG transport stream",
            "ffmpeg makes one",
        ),
        ("asset:holding", "there is no asset", "perennial asset add"),
    ] {
        let body = format!(
            r#"{{"id":"x","slate":"{slate}","sources":[{{"url":"http://127.0.0.1:9/x"}}]}}"#
        );
        let answer = gateway.admin(Method::POST, "/api/v1/channels", &body).await;
        let said = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 400, "{said}");
        assert!(said.contains(reason) && said.contains(cure), "{said}");
    }
}
