//! Sources that are an MPEG-TS stream over HTTP: ffmpeg's, over one connection, cut into segments.

mod e2e;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write;
use std::time::{Duration, Instant};

use e2e::{Gateway, LATE, SOON, channel, check_clean, check_consecutive, command, until_played};
use hls::ts::{Packets, PesHeader, verify};
use serde_json::Value;
use testkit::gear::{Encoding, StreamFault, StreamServer};
use testkit::{Clip, Fault, Origin, Player, Report, Spec, wait_until};

/// What was sent before that a server keeps for new clients: three seconds or so of the clips.
const KEPT: usize = 70_000;

async fn server(encoding: Encoding) -> StreamServer {
    StreamServer::start(encoding).await.expect("ffmpeg runs")
}

async fn hls(clip: Clip) -> Origin {
    let spec = Spec {
        clip,
        ..Spec::default()
    };
    Origin::start(spec).await.expect("an origin starts")
}

/// Every segment of a channel, by number, as a player could have them.
async fn record(
    gateway: &Gateway,
    until: impl Fn(&BTreeMap<u64, Vec<u8>>) -> bool,
) -> Vec<Vec<u8>> {
    let mut segments = BTreeMap::new();
    let done = wait_until(LATE, "enough segments", async || {
        let playlist = gateway.playlist("/live/news/index.m3u8").await;
        for uri in playlist.lines().filter(|line| !line.starts_with('#')) {
            let name = uri.rsplit(['/', '.']).nth(1).expect("a file name");
            let number = name.parse().expect("a number");
            if let Entry::Vacant(unknown) = segments.entry(number) {
                let answer = gateway.get(&format!("/live/news/{uri}")).await;
                assert_eq!(answer.status, 200, "{uri}");
                unknown.insert(answer.body.to_vec());
            }
        }
        until(&segments).then_some(())
    });
    done.await.unwrap_or_else(|late| panic!("{late}"));
    let numbers: Vec<u64> = segments.keys().copied().collect();
    check_consecutive(&numbers);
    segments.into_values().collect()
}

/// The video's units: when each is shown, and its bytes.
fn pictures(stream: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let program = verify(stream).program.expect("a program");
    let video = program.video().expect("video").pid;
    let mut pictures: Vec<(u64, Vec<u8>)> = Vec::new();
    for (_, packet) in Packets::new(stream).filter(|(_, packet)| packet.pid() == video) {
        let payload = packet.payload().unwrap_or_default();
        if packet.unit_start() {
            let pts = PesHeader::parse(payload).and_then(|header| header.pts);
            pictures.push((pts.expect("ffmpeg writes times").get(), Vec::new()));
        }
        if let Some((_, bytes)) = pictures.last_mut() {
            bytes.extend_from_slice(payload);
        }
    }
    pictures
}

/// `played` is a stretch of what ffmpeg sent, picture by picture, and all of it plays.
#[track_caller]
fn check_every_picture(played: &[Vec<u8>], sent: &[u8]) {
    for (number, segment) in played.iter().enumerate() {
        let report = verify(segment);
        assert_eq!(report.continuity_errors, 0, "segment {number}: {report:?}");
    }
    let ours = pictures(&played.concat());
    let theirs = pictures(sent);
    let from = theirs.iter().position(|picture| *picture == ours[0]);
    let from = from.expect("the first picture is one that was sent");
    assert!(ours.len() > 400, "{} pictures", ours.len());
    for (at, (ours, theirs)) in ours.iter().zip(&theirs[from..]).enumerate() {
        assert!(ours == theirs, "picture {at}: {} and {}", ours.0, theirs.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_played_whole_over_one_connection() {
    let server = server(Encoding::default()).await;
    let gateway = Gateway::live(&[&server.url()]).await;
    let player = gateway.player("/live/news/index.m3u8").await;
    let played = record(&gateway, |segments| segments.len() >= 14).await;
    check_every_picture(&played, &server.sent());
    until_played(&player, 8).await;
    let report = player.stop();
    check_clean(&report);
    assert_eq!(report.discontinuities(), [0_u64; 0], "{report}");
    let even = |segment: &testkit::player::Played| segment.duration == Duration::from_secs(2);
    assert!(report.segments.iter().all(even), "{report}");
    let connections = server.connections();
    assert_eq!((connections.most, connections.total), (1, 1));
    let info = gateway.get("/live/news/index.m3u8").await;
    assert!(String::from_utf8_lossy(&info.body).contains("#EXT-X-TARGETDURATION:2\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_that_it_is_a_stream() {
    let server = server(Encoding::default()).await;
    let folder = tempfile::TempDir::new().unwrap();
    let config = format!("version = 1\n{}", channel("news", &[&server.url()]));
    std::fs::write(folder.path().join("perennial.toml"), config).unwrap();
    let path = folder.path().to_owned();
    let output = tokio::task::spawn_blocking(move || command(&path, &["check"]).output());
    let output = output.await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("MPEG-TS stream, segments of 2.0s\n"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_off_and_comes_back_is_played_on() {
    let server = server(Encoding {
        kept: KEPT,
        ..Encoding::default()
    })
    .await;
    let gateway = Gateway::live(&[&server.url()]).await;
    let player = gateway.player("/live/news/index.m3u8").await;
    until_played(&player, 6).await;
    server.cut();
    until_played(&player, 12).await;
    // An encoder that begins anew on the same connection.
    server.restart_encoder().unwrap();
    until_played(&player, 18).await;
    let report = player.stop();
    check_clean(&report);
    assert_eq!(report.discontinuities().len(), 2, "{report}");
    let connections = server.connections();
    assert_eq!((connections.most, connections.total), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_stream_without_another_is_waited_out() {
    let server = server(Encoding::default()).await;
    let gateway = Gateway::serve(&channel("news", &[&server.url()])).await;
    let player = gateway.player("/live/news/index.m3u8").await;
    until_played(&player, 4).await;
    for fault in [
        StreamFault::Freeze,
        StreamFault::Trickle,
        StreamFault::Garbage,
    ] {
        server.set_fault(Some(fault));
        let troubled = |info: &Value| info["state"] != "live";
        gateway.until(SOON, "news", "trouble", troubled).await;
        server.set_fault(None);
        let live = |info: &Value| info["state"] == "live";
        gateway
            .until(SOON, "news", "the stream's return", live)
            .await;
        let have = player.report().segments.len();
        until_played(&player, have + 3).await;
    }
    let report = player.stop();
    let bad = report
        .playlist_statuses
        .keys()
        .chain(report.segment_statuses.keys());
    assert!(
        bad.into_iter().all(|status| (200..300).contains(status)),
        "{report}"
    );
    assert!(
        report.violations.is_empty() && report.lost.is_empty(),
        "{report}"
    );
    assert!(server.connections().open <= 1, "{:?}", server.connections());
}

/// Breaks the first source of each channel, waits for the second, and says how long each took.
async fn fail_over<F: std::fmt::Debug>(
    gateway: &Gateway,
    faults: &[F],
    players: Vec<Player>,
    break_it: impl Fn(usize),
) {
    for player in &players {
        until_played(player, 5).await;
    }
    let mut waits = Vec::new();
    for (n, fault) in faults.iter().enumerate() {
        let before = Instant::now();
        break_it(n);
        waits.push((fault, before));
    }
    for (n, (fault, broken)) in waits.into_iter().enumerate() {
        let on_air = |info: &Value| info["source"]["index"] == 1;
        let id = format!("c{n}");
        gateway.until(SOON, &id, "the second source", on_air).await;
        let took = broken.elapsed();
        let line = format!("{fault:?}: the second source on air after {took:.1?}");
        writeln!(std::io::stderr(), "{line}").expect("a test can write");
    }
    for (player, fault) in players.into_iter().zip(faults) {
        let crossed = |report: &Report| {
            let first = report.discontinuities().first().copied();
            let last = report.segments.last().map(|played| played.number);
            first
                .zip(last)
                .is_some_and(|(first, last)| last >= first + 5)
        };
        let waited = player
            .until(LATE, "five segments of the second source", crossed)
            .await;
        waited.unwrap_or_else(|late| panic!("{fault:?}: {late}"));
        let report = player.stop();
        assert!(report.is_clean(), "{fault:?}: {report}");
        assert_eq!(report.discontinuities().len(), 1, "{fault:?}: {report}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_broken_stream_to_playlists_inside_the_hold_back() {
    let faults = [
        StreamFault::Dead,
        StreamFault::Freeze,
        StreamFault::Trickle,
        StreamFault::Garbage,
        StreamFault::Status(404),
    ];
    let (mut servers, mut toml) = (Vec::new(), String::new());
    let backup = hls(Clip::B).await;
    for n in 0..faults.len() {
        let server = server(Encoding::default()).await;
        toml += &channel(&format!("c{n}"), &[&server.url(), &backup.url()]);
        servers.push(server);
    }
    let gateway = Gateway::serve(&toml).await;
    let mut players = Vec::new();
    for n in 0..faults.len() {
        players.push(gateway.player(&format!("/live/c{n}/index.m3u8")).await);
    }
    let break_it = |n: usize| servers[n].set_fault(Some(faults[n]));
    fail_over(&gateway, &faults, players, break_it).await;
    for server in &servers {
        assert!(server.connections().open == 0 || server.connections().most <= 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_broken_playlists_to_a_stream_inside_the_hold_back() {
    let status = Fault::Status {
        code: 404,
        retry_after: None,
    };
    let faults = [
        Fault::Dead,
        Fault::Freeze,
        Fault::Stall,
        status,
        Fault::Html,
        Fault::Garbage,
    ];
    let (mut origins, mut toml) = (Vec::new(), String::new());
    let backup = server(Encoding {
        clip: Clip::B,
        kept: KEPT,
        ..Encoding::default()
    })
    .await;
    for n in 0..faults.len() {
        let origin = hls(Clip::A).await;
        toml += &channel(&format!("c{n}"), &[&origin.url(), &backup.url()]);
        origins.push(origin);
    }
    let gateway = Gateway::serve(&toml).await;
    let mut players = Vec::new();
    for n in 0..faults.len() {
        players.push(gateway.player(&format!("/live/c{n}/index.m3u8")).await);
    }
    assert_eq!(backup.connections().total, 0, "nobody asked for it");
    let break_it = |n: usize| origins[n].set_fault(Some(faults[n]));
    fail_over(&gateway, &faults, players, break_it).await;
    let open = backup.connections().open;
    assert_eq!(open, faults.len(), "one connection a channel");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_of_one_stream_never_has_two() {
    let servers = [
        server(Encoding::default()).await,
        server(Encoding {
            clip: Clip::B,
            start: Duration::from_secs(50_000),
            pid: 0x300,
            kept: KEPT,
        })
        .await,
    ];
    let [a, b] = &servers;
    let sources = [a, b].map(|server| {
        format!(
            "[[channel.source]]\nurl = \"{}\"\naccount = \"one\"\n",
            server.url()
        )
    });
    let account = "[[account]]\nname = \"one\"\nmax_streams = 1\n";
    let toml = format!("{account}[[channel]]\nid = \"news\"\n{}", sources.concat());
    let gateway = Gateway::serve(&toml).await;
    let player = gateway.player("/live/news/index.m3u8").await;
    until_played(&player, 4).await;
    for (broken, index) in [(a, 1), (b, 0)] {
        broken.set_fault(Some(StreamFault::Freeze));
        let mut most = 0;
        let crossed = wait_until(LATE, "the other source", async || {
            most = most.max(a.connections().open + b.connections().open);
            let info = gateway.channel("news").await;
            (info["source"]["index"] == index && info["state"] == "live").then_some(())
        });
        crossed.await.unwrap_or_else(|late| panic!("{late}"));
        assert_eq!(most, 1, "two streams at once");
        broken.set_fault(None);
    }
    let report = player.stop();
    assert!(
        report.violations.is_empty() && report.lost.is_empty(),
        "{report}"
    );
}
