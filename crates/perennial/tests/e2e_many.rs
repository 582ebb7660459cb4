//! Many players of one channel, many channels at once, and nobody at all.

mod e2e;

use std::collections::HashMap;
use std::time::Duration;

use e2e::{
    Gateway, SOON, channel, check_clean, check_consecutive, check_stretch, header, until_played,
};
use http::{HeaderName, Method};
use serde_json::Value;
use testkit::origin::Target;
use testkit::{Clip, Fault, Origin, Player, Report, Sha256, Spec, Watch, wait_until};

async fn origin() -> Origin {
    Origin::start(Spec::default())
        .await
        .expect("an origin starts")
}

/// Requests to a host at once.
const AT_ONCE: u64 = 4;
/// Between the beginnings of two requests to a host there are 50 ms when they are sent. On their way a gap may
/// stretch or shrink, which evens out: nine of ten are about that long.
const GAP: Duration = Duration::from_millis(40);

/// One request for each segment that was due, and none of them in a hurry.
#[track_caller]
fn check_manners(origin: &Origin) {
    let stats = origin.stats();
    let again = stats.by_segment.iter().find(|(_, count)| **count != 1);
    assert_eq!(again, None, "asked for again: {stats}");
    let indexes: Vec<u64> = stats.by_segment.keys().copied().collect();
    check_consecutive(&indexes);
    assert!(stats.running_max <= AT_ONCE, "{stats}");
    let mut gaps = stats.gaps.clone();
    gaps.sort();
    assert!(gaps[gaps.len() / 10] >= GAP, "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_players_cost_one_request_a_segment() {
    const PLAYERS: usize = 500;
    let origin = origin().await;
    let gateway = Gateway::serve(&channel("news", &[&origin.url()])).await;
    let mut players = vec![gateway.player("/live/news/index.m3u8").await];
    // They come within four seconds: nobody's five hundred viewers begin at the same millisecond.
    let mut each = tokio::time::interval(Duration::from_secs(4) / PLAYERS as u32);
    while players.len() < PLAYERS {
        each.tick().await;
        players.push(Player::start(gateway.watch("/live/news/index.m3u8")));
    }
    for player in &players {
        until_played(player, 12).await;
    }
    check_manners(&origin);
    for player in players {
        let report = player.stop();
        check_clean(&report);
        check_stretch(&origin, &report);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_channels_play_at_once() {
    let mut origins = Vec::new();
    for n in 0..20 {
        let clip = if n % 2 == 0 { Clip::A } else { Clip::B };
        origins.push(
            Origin::start(Spec {
                clip,
                ..Spec::default()
            })
            .await
            .unwrap(),
        );
    }
    let config: String = origins
        .iter()
        .enumerate()
        .map(|(n, origin)| channel(&format!("c{n}"), &[&origin.url()]))
        .collect();
    let gateway = Gateway::serve(&config).await;
    let mut players = Vec::new();
    for n in 0..origins.len() {
        players.push(gateway.player(&format!("/live/c{n}/index.m3u8")).await);
    }
    for (player, origin) in players.into_iter().zip(&origins) {
        until_played(&player, 17).await;
        let report = player.stop();
        check_clean(&report);
        check_stretch(origin, &report);
        check_manners(origin);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_nobody_watches_stops_and_goes_on_with_its_numbers() {
    let origin = origin().await;
    let config = "[live]\nidle_stop_s = 2\n".to_owned() + &channel("news", &[&origin.url()]);
    let gateway = Gateway::serve(&config).await;
    assert_eq!(gateway.channel("news").await["state"], "idle");
    assert_eq!(origin.stats().requests, 0);

    let player = gateway.player("/live/news/index.m3u8").await;
    until_played(&player, 4).await;
    let before = player.stop();
    check_clean(&before);
    let idle = |info: &Value| info["state"] == "idle";
    gateway.until(SOON, "news", "the idle stop", idle).await;
    let asked = origin.stats().requests;
    let head = origin.head();
    let made = wait_until(SOON, "two segments", async || {
        (origin.head() > head + 1).then_some(())
    });
    made.await.unwrap();
    assert_eq!(
        origin.stats().requests,
        asked,
        "a stopped channel asks for nothing"
    );

    let player = gateway.player("/live/news/index.m3u8").await;
    until_played(&player, 4).await;
    let after = player.stop();
    check_clean(&after);
    // What is still listed has its old number, what is new the next ones.
    let known: HashMap<u64, Sha256> = before
        .segments
        .iter()
        .map(|played| (played.number, played.hash))
        .collect();
    let numbers: Vec<u64> = after.segments.iter().map(|played| played.number).collect();
    check_consecutive(&numbers);
    let last = before.segments.last().expect("it is clean").number;
    assert!(
        numbers[0] <= last + 1 && numbers.last() > Some(&last),
        "{before}{after}"
    );
    for played in &after.segments {
        let same = known.get(&played.number).map_or_else(
            || !known.values().any(|hash| *hash == played.hash),
            |hash| *hash == played.hash,
        );
        assert!(same, "segment {}: {before}{after}", played.number);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_are_listed_and_kicked() {
    let origin = origin().await;
    let gateway = Gateway::serve(&channel("news", &[&origin.url()])).await;
    gateway.player("/live/news/index.m3u8").await;
    let names = ["lounge", "kitchen"];
    let watch = |name: &str| Watch {
        headers: vec![(HeaderName::from_static("user-agent"), name.to_owned())],
        ..gateway.watch("/live/news/index.m3u8")
    };
    let players = names.map(|name| Player::start(watch(name)));
    for player in &players {
        until_played(player, 4).await;
    }
    let list = gateway.json("/api/v1/viewers").await;
    let list = list["viewers"].as_array().expect("a list").clone();
    let find = |name: &str| list.iter().find(|viewer| viewer["user_agent"] == name);
    for name in names {
        let viewer = find(name).unwrap_or_else(|| panic!("{name} is watching: {list:?}"));
        assert_eq!(
            (&viewer["channel"], &viewer["address"]),
            (&"news".into(), &"127.0.0.1".into())
        );
        assert!(viewer["bytes"].as_u64() > Some(100_000), "{viewer}");
    }
    assert!(gateway.channel("news").await["viewers"].as_u64() >= Some(2));

    let id = find("lounge")
        .and_then(|viewer| viewer["id"].as_str())
        .expect("an id");
    let path = format!("/api/v1/viewers/{id}");
    assert_eq!(
        gateway.send(Method::DELETE, &path, &[], "").await.status,
        401
    );
    assert_eq!(gateway.admin(Method::DELETE, &path, "").await.status, 204);
    assert_eq!(
        gateway
            .admin(Method::DELETE, "/api/v1/viewers/nobody", "")
            .await
            .status,
        404
    );
    let [lounge, kitchen] = players;
    let out = |report: &Report| report.playlist_statuses.keys().any(|status| *status == 403);
    lounge.until(SOON, "being out", out).await.unwrap();
    let so_far = kitchen.report().segments.len();
    until_played(&kitchen, so_far + 3).await;
    check_clean(&kitchen.stop());
    let list = gateway.json("/api/v1/viewers").await;
    assert!(!list.to_string().contains("lounge"), "{list}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_channel_without_a_source_says_when_to_come_again() {
    let origin = origin().await;
    origin.set_fault_on(Target::All, Fault::Stall);
    let config = "[live]\nstart_timeout_s = 1\n".to_owned() + &channel("news", &[&origin.url()]);
    let gateway = Gateway::serve(&config).await;
    for path in [
        "/live/news/index.m3u8",
        "/live/news/main/index.m3u8",
        "/stream/news",
    ] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        let after: u64 = header(&answer, "retry-after").parse().expect("seconds");
        assert!((1..=10).contains(&after), "{after}");
        assert_eq!(header(&answer, "content-type"), "application/problem+json");
    }
    for path in [
        "/live/nobody/index.m3u8",
        "/live/nobody/main/index.m3u8",
        "/stream/nobody",
    ] {
        assert_eq!(gateway.get(path).await.status, 404, "{path}");
    }
    origin.set_fault(None);
    let back = wait_until(SOON, "a playlist", async || {
        (gateway.get("/live/news/index.m3u8").await.status == 200).then_some(())
    });
    back.await.unwrap();
    let player = gateway.player("/live/news/index.m3u8").await;
    until_played(&player, 4).await;
    check_clean(&player.stop());
}
