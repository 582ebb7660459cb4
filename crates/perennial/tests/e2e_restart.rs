//! The gateway dies, stops, or reads its configuration again; players go on.

mod e2e;

use std::time::{Duration, Instant};

use e2e::{
    Answer, Canned, Connection, Gateway, SOON, channel, check_clean, check_stretch, until_played,
};
use http::Method;
use serde_json::{Value, json};
use testkit::{Clip, Origin, Player, Spec, Watch, wait_until};

const INDEX: &str = "/live/news/index.m3u8";

async fn origin(clip: Clip) -> Origin {
    let spec = Spec {
        clip,
        window: 8,
        ..Spec::default()
    };
    Origin::start(spec).await.expect("an origin starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn players_go_on_after_a_kill() {
    let origin = origin(Clip::A).await;
    let mut gateway = Gateway::live(&[&origin.url()]).await;
    // What had left the list before the kill is gone with the memory that held it.
    let watch = Watch {
        check_removed: false,
        ..gateway.watch(INDEX)
    };
    drop(gateway.player(INDEX).await);
    let player = Player::start(watch);
    for round in 1..=2 {
        until_played(&player, 6 * round).await;
        gateway.kill();
        assert!(gateway.start().await, "its port is free");
    }
    until_played(&player, 20).await;
    let mut report = player.stop();
    // Connections were refused in between, and nothing worse.
    report.playlist_statuses.remove(&0);
    report.segment_statuses.remove(&0);
    check_clean(&report);
    check_stretch(&origin, &report);
}

/// Segments of two seconds, each with the bytes of a film.
async fn heavy_origin() -> Canned {
    const NULL_PACKETS: usize = 150_000;
    let null = [&[0x47, 0x1f, 0xff, 0x10][..], &[0xff; 184]].concat();
    let began = Instant::now();
    Canned::start(move |path| {
        if path == "/index.m3u8" {
            return Answer::live(began, |n| format!("{n}.ts"));
        }
        let number = path.trim_start_matches('/').trim_end_matches(".ts").parse();
        let Ok(number) = number else {
            return Answer::not_found();
        };
        let mut body = Clip::A.stream(number, 1).to_vec();
        body.extend(null.repeat(NULL_PACKETS));
        Answer::ts(body)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_bodies_finish_before_the_end() {
    let origin = heavy_origin().await;
    let mut gateway = Gateway::live(&[&origin.url("/index.m3u8")]).await;
    let playlist = gateway.playlist(INDEX).await;
    let segment = playlist
        .lines()
        .find(|line| !line.starts_with('#'))
        .expect("a segment");
    let request = format!("GET /live/news/{segment} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut slow = Connection::with_buffer(gateway.port(), 64 << 10).await;
    assert!(slow.send(request.as_bytes()).await);
    let head = slow.read_until(SOON, "\r\n\r\n").await.expect("an answer");
    let length = head.to_lowercase();
    let length = length
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    let length: usize = length
        .and_then(|length| length.parse().ok())
        .expect("a length");
    assert!(length > 20 << 20, "{length}");

    let asked = Instant::now();
    gateway.signal("TERM");
    let refused = wait_until(SOON, "no new connections", async || {
        let connection = tokio::net::TcpStream::connect(("127.0.0.1", gateway.port())).await;
        connection.is_err().then_some(())
    });
    refused.await.unwrap();
    let head = head.find("\r\n\r\n").expect("a whole head") + 4;
    while slow.read().len() < head + length {
        assert_ne!(
            slow.read_some(1 << 20).await,
            0,
            "cut after {}",
            slow.read().len()
        );
    }
    assert_eq!(slow.read().len(), head + length);
    let status = gateway.ended(SOON).await;
    assert_eq!(status.code(), Some(0));
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_nobody_reads_does_not_keep_it_from_ending() {
    let origin = heavy_origin().await;
    let mut gateway = Gateway::live(&[&origin.url("/index.m3u8")]).await;
    let playlist = gateway.playlist(INDEX).await;
    let segment = playlist
        .lines()
        .find(|line| !line.starts_with('#'))
        .expect("a segment");
    let request = format!("GET /live/news/{segment} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let mut stuck = Connection::with_buffer(gateway.port(), 64 << 10).await;
    assert!(stuck.send(request.as_bytes()).await);
    stuck.read_until(SOON, "\r\n\r\n").await.expect("an answer");
    let _idle = Connection::open(gateway.port()).await;
    gateway.signal("TERM");
    let status = gateway.ended(SOON).await;
    assert_eq!(status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_changes_what_changed_and_nothing_else() {
    let (a, b, c) = (
        origin(Clip::A).await,
        origin(Clip::B).await,
        origin(Clip::A).await,
    );
    let before = channel("keep", &[&a.url()])
        + &channel("change", &[&a.url()])
        + &channel("go", &[&b.url()]);
    let gateway = Gateway::serve(&before).await;
    let player = gateway.player("/live/keep/index.m3u8").await;
    gateway.playlist("/live/change/index.m3u8").await;
    gateway.playlist("/live/go/index.m3u8").await;
    until_played(&player, 4).await;
    let generation = gateway.channel("keep").await["generation"].clone();

    // Bad: refused as a whole, with each error and its place, by either way of asking.
    let bad = before.clone()
        + &channel("new", &[&c.url()])
        + "titel = \"x\"\n[live]\nidle_stop_s = \"soon\"\n";
    gateway.configure(&bad);
    let answer = gateway.admin(Method::POST, "/api/v1/reload", "").await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 422, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["code"], "bad_configuration");
    let errors = answer["errors"].as_array().expect("a list");
    let names = |line: usize, word: &str| {
        let place = format!("perennial.toml:{line}:");
        errors.iter().any(|error| {
            error
                .as_str()
                .is_some_and(|error| error.contains(&place) && error.contains(word))
        })
    };
    let lines = bad.lines().count();
    assert!(
        names(lines - 1, "titel") && names(lines + 1, "idle_stop_s"),
        "{errors:?}"
    );
    gateway.signal("HUP");
    let refused = async || gateway.log().contains("nothing changed").then_some(());
    wait_until(SOON, "a refusal in the log", refused)
        .await
        .unwrap();
    assert_eq!(gateway.get("/live/new/index.m3u8").await.status, 404);
    assert_eq!(gateway.get("/live/go/index.m3u8").await.status, 200);

    let after = channel("keep", &[&a.url()])
        + &channel("change", &[&b.url()])
        + &channel("new", &[&c.url()]);
    gateway.configure(&after);
    gateway.signal("HUP");
    let gone = async || (gateway.get("/live/go/index.m3u8").await.status == 404).then_some(());
    wait_until(SOON, "the removed channel's end", gone)
        .await
        .unwrap();
    gateway.player("/live/new/index.m3u8").await;
    assert_eq!(
        gateway.channel("change").await["sources"][0]["name"],
        json!(b.url())
    );
    assert_eq!(gateway.channel("keep").await["generation"], generation);
    let segments = player.report().segments.len();
    until_played(&player, segments + 3).await;
    let report = player.stop();
    check_clean(&report);
    check_stretch(&a, &report);

    let reloaded = async |file: &str| -> Value {
        gateway.configure(file);
        let answer = gateway.admin(Method::POST, "/api/v1/reload", "").await;
        assert_eq!(answer.status, 200);
        serde_json::from_slice(&answer.body).unwrap()
    };
    let other = "[usenet]\narticle_cache_memory = \"128MiB\"\n";
    let answer = reloaded(&(after + other)).await;
    let stays = "usenet.article_cache_memory stays \"256MiB\" until the next start, which makes it \"128MiB\"";
    assert_eq!(answer["restart_needed"], json!([stays]));
    // Put back, it is what runs, and needs no restart.
    let answer = reloaded(&before).await;
    let expected = json!({ "added": ["go"], "changed": ["change"], "removed": ["new"],
        "restart_needed": [], "channel_start_needed": [] });
    assert_eq!(answer, expected);
    assert_eq!(
        gateway
            .send(Method::POST, "/api/v1/reload", &[], "")
            .await
            .status,
        401
    );
}
