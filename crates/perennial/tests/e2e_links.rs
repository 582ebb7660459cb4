//! Links that expire, behind channels: players play on and notice nothing.

mod e2e;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use e2e::{
    Answer, Canned, Gateway, SOON, check_clean, check_stretch, until_played, until_played_within,
};
use testkit::{Carrier, Origin, Report, Shape, Signing, Spec, wait_until};

/// Shortened; `make soak` takes the 20 s of the contract for five minutes.
const LIFE: Duration = Duration::from_secs(8);
const SEGMENTS: usize = 18;

async fn origin(carrier: Carrier, life: Duration, shape: Shape) -> Origin {
    let signing = Signing {
        carrier,
        life,
        exclusive: false,
    };
    let spec = Spec {
        signing: Some(signing),
        shape,
        ..Spec::default()
    };
    Origin::start(spec).await.expect("an origin starts")
}

/// A channel `id` whose source is the entry `cam-1` of a resolver of the same name.
fn channel_of(id: &str, resolver: &str) -> String {
    format!(
        "[[resolver]]\nid = \"{id}\"\nmin_interval_s = 1\n{resolver}\n\
         [[channel]]\nid = \"{id}\"\n[[channel.source]]\nresolver = \"{id}\"\nentry = \"cam-1\"\n"
    )
}

fn http(origin: &Origin) -> String {
    format!("kind = \"http\"\nurl = \"{}\"", origin.resolver_url())
}

fn index(channel: &str) -> String {
    format!("/live/{channel}/index.m3u8")
}

fn variant(channel: &str) -> String {
    format!("/live/{channel}/v0/index.m3u8")
}

/// Nothing but 200 for playlists and segments.
#[track_caller]
fn check_statuses(report: &Report) {
    let all = report
        .playlist_statuses
        .keys()
        .chain(report.segment_statuses.keys());
    assert!(all.clone().all(|status| *status == 200), "{report}");
}

/// Plays each carrier's links for some lives, as a test and as a soak.
async fn each_carrier(life: Duration, segments: usize, within: Duration) {
    let mut origins = Vec::new();
    for carrier in Carrier::ALL {
        let shape = match carrier {
            Carrier::Query | Carrier::Path => Shape::Ts,
            _ => Shape::Multivariant(2),
        };
        origins.push((
            format!("c{}", origins.len()),
            origin(carrier, life, shape).await,
        ));
    }
    let channels = origins
        .iter()
        .map(|(id, origin)| channel_of(id, &http(origin)));
    let gateway = Gateway::serve(&channels.collect::<String>()).await;
    let began = Instant::now();
    let mut players = Vec::new();
    for (id, origin) in &origins {
        let is_multi = origin.is_multivariant();
        let path = if is_multi { variant(id) } else { index(id) };
        players.push(gateway.player(&path).await);
    }
    for (player, (id, origin)) in players.into_iter().zip(&origins) {
        until_played_within(within, &player, segments).await;
        let report = player.stop();
        check_clean(&report);
        check_stretch(origin, &report);
        check_statuses(&report);
        assert!(report.discontinuities().is_empty(), "{id}: {report}");
        let stats = origin.stats();
        assert_eq!(stats.refused, 0, "{id}: {stats}");
        let lives = began.elapsed().as_secs_f64() / life.as_secs_f64();
        // One to begin with, and one that is under way.
        let calls = 1.2 * lives + 2.0;
        assert!(
            stats.resolved as f64 <= calls,
            "{id}: {} calls in {lives} lives",
            stats.resolved
        );
        assert!(
            stats.resolved as f64 >= lives,
            "{id}: {} calls in {lives} lives",
            stats.resolved
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_carrier_is_renewed_before_it_is_over() {
    each_carrier(LIFE, SEGMENTS, Duration::from_secs(100)).await;
}

/// Five minutes with the contract's tokens; part of `make soak`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_twenty_seconds_for_five_minutes() {
    if std::env::var_os("PERENNIAL_LIVE_SECONDS").is_none() {
        return;
    }
    each_carrier(Duration::from_secs(20), 150, Duration::from_secs(400)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resolver_that_is_down_for_two_lives_costs_a_pause_and_no_more() {
    let origin = origin(Carrier::Query, LIFE, Shape::Multivariant(2)).await;
    let gateway = Gateway::serve(&channel_of("club", &http(&origin))).await;
    let player = gateway.player(&variant("club")).await;
    until_played(&player, 6).await;
    origin.set_resolver(false);
    tokio::time::sleep(LIFE * 2).await;
    origin.set_resolver(true);
    // Meanwhile there is the card that stands for a picture; then the picture is back.
    let is_back = |report: &Report| {
        let known = origin.expected_hashes(0..origin.head());
        let newest: Vec<_> = report.hashes().into_iter().rev().take(4).collect();
        report.segments.len() > 10 && newest.iter().all(|hash| known.contains(hash))
    };
    let waited = player.until(LIFE * 8, "the picture", is_back).await;
    waited.unwrap_or_else(|late| panic!("{late}"));
    let report = player.stop();
    let bad = report
        .playlist_statuses
        .keys()
        .chain(report.segment_statuses.keys());
    let mut bad = bad.filter(|status| ![200, 503].contains(*status));
    assert_eq!(bad.next(), None, "{report}");
    assert!(
        report.violations.is_empty() && report.repeated.is_empty(),
        "{report}"
    );
    assert_eq!(origin.stats().refused, 0, "{}", origin.stats());
    let channel = gateway.channel("club").await;
    assert_eq!(channel["sources"][0]["name"], "resolver://club/cam-1");
    let text = channel.to_string();
    assert!(
        text.contains("resolver club: transient") && !text.contains("sig="),
        "{text}"
    );
}

/// Whoever else asks the resolver ends our link: a 403 in the middle of the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_dies_early_is_replaced_before_the_player_knows() {
    let signing = Signing {
        carrier: Carrier::Query,
        life: Duration::from_secs(3600),
        exclusive: true,
    };
    let spec = Spec {
        signing: Some(signing),
        ..Spec::default()
    };
    let origin = Origin::start(spec).await.unwrap();
    let gateway = Gateway::serve(&channel_of("club", &http(&origin))).await;
    let player = gateway.player(&index("club")).await;
    for round in 1..=3 {
        until_played(&player, 5 * round).await;
        origin.sign();
    }
    until_played(&player, 20).await;
    let report = player.stop();
    check_clean(&report);
    check_stretch(&origin, &report);
    check_statuses(&report);
    assert!(report.discontinuities().is_empty(), "{report}");
    let stats = origin.stats();
    assert!(
        stats.refused >= 3 && stats.resolved <= 6,
        "{stats} {}",
        stats.resolved
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_the_middle_of_a_lease_asks_for_nothing_twice() {
    let life = Duration::from_secs(40);
    let origin = origin(Carrier::Jwt, life, Shape::Ts).await;
    let mut gateway = Gateway::serve(&channel_of("club", &http(&origin))).await;
    let player = gateway.player(&index("club")).await;
    until_played(&player, 6).await;
    assert_eq!(origin.stats().resolved, 1);
    assert!(gateway.start_again().await);
    until_played(&player, 12).await;
    assert_eq!(origin.stats().resolved, 1, "the link was kept");
    drop(player);
    // Nobody asks any more, and the lease of before goes on all the same.
    let renewed = wait_until(life, "a run for the lease", async || {
        (origin.stats().resolved >= 2).then_some(())
    });
    renewed.await.expect("the lease goes on");
    assert_eq!(origin.stats().refused, 0);
}

/// A document of two entries that differ in their ids alone, each with a link of its own origin.
async fn two_alike(
    a: &Arc<Origin>,
    b: &Arc<Origin>,
    moved: &Arc<AtomicBool>,
) -> (Canned, Arc<AtomicU64>) {
    let calls = Arc::new(AtomicU64::new(0));
    let (a, b, moved, counted) = (a.clone(), b.clone(), moved.clone(), calls.clone());
    let canned = Canned::start(move |_| {
        let round = counted.fetch_add(1, Ordering::Relaxed);
        let [mut first, mut second] = [("cam-1", a.sign()), ("cam-2", b.sign())];
        if moved.load(Ordering::Relaxed) {
            std::mem::swap(&mut first.1, &mut second.1);
        }
        // In another order each time.
        if round % 2 == 1 {
            std::mem::swap(&mut first, &mut second);
        }
        let entries = [first, second].map(|(id, url)| {
            format!(r#"{{"id":"{id}","title":"Race","quality":"1080p","url":"{url}"}}"#)
        });
        Answer::new(
            "application/json",
            format!(r#"{{"entries":[{}]}}"#, entries.join(",")),
        )
    });
    (canned.await, calls)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_one_title_are_never_taken_for_each_other_and_a_move_is_followed() {
    let start = async |clip| {
        let signing = Signing {
            carrier: Carrier::Akamai,
            life: Duration::from_secs(6),
            exclusive: false,
        };
        let spec = Spec {
            clip,
            signing: Some(signing),
            ..Spec::default()
        };
        Arc::new(Origin::start(spec).await.unwrap())
    };
    // The second one is elsewhere, and the same stream: its clip and its numbers.
    let (a, b) = (start(testkit::Clip::A).await, start(testkit::Clip::B).await);
    let moved = Arc::new(AtomicBool::new(false));
    let (canned, calls) = two_alike(&a, &b, &moved).await;
    let resolver = format!("kind = \"http\"\nurl = \"{}\"", canned.url("/streams.json"));
    let second =
        "[[channel]]\nid = \"two\"\n[[channel.source]]\nresolver = \"club\"\nentry = \"cam-2\"\n";
    let gateway = Gateway::serve(&(channel_of("club", &resolver) + second)).await;
    let players = [
        (gateway.player(&index("club")).await, &a),
        (gateway.player(&index("two")).await, &b),
    ];
    for (player, origin) in &players {
        until_played(player, 14).await;
        let report = player.report();
        check_clean(&report);
        check_stretch(origin, &report);
    }
    assert!(calls.load(Ordering::Relaxed) >= 4);
    // An entry moves to another edge: what comes from there is what players get.
    moved.store(true, Ordering::Relaxed);
    for (player, _) in &players {
        let played = player.report().segments.len();
        until_played(player, played + 10).await;
    }
    for ((player, _), now) in players.into_iter().zip([&b, &a]) {
        let report = player.stop();
        let last = report.hashes().pop().unwrap();
        assert!(
            now.expected_hashes(0..now.head()).contains(&last),
            "{report}"
        );
        assert!(
            report.lost.is_empty() && report.violations.is_empty(),
            "{report}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_is_a_resolver() {
    let origin = Origin::start(Spec::default()).await.unwrap();
    let script = tempfile::NamedTempFile::new().unwrap();
    let printed = format!(
        r#"{{"plugin":"club","metadata":{{"title":"Cup"}},"streams":{{"cam-1":{{"type":"hls","url":"{}","headers":{{"User-Agent":"Streamlink"}}}}}}}}"#,
        origin.url()
    );
    std::fs::write(script.path(), format!("printf '%s' '{printed}'\n")).unwrap();
    let resolver = format!(
        "kind = \"exec\"\nformat = \"streamlink\"\nargv = [\"sh\", \"{}\"]",
        script.path().display()
    );
    let gateway = Gateway::serve(&channel_of("cam", &resolver)).await;
    let player = gateway.player(&index("cam")).await;
    until_played(&player, 5).await;
    let report = player.stop();
    check_clean(&report);
    check_stretch(&origin, &report);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_that_nobody_returns_says_so_and_is_no_4xx() {
    let resolver = "kind = \"exec\"\nargv = [\"printf\", \"%s\", '{\"error\":{\"code\":\"geo\",\"detail\":\"not from here\"}}']";
    let gateway = Gateway::serve(&channel_of("cam", resolver)).await;
    let answer = gateway.get(&index("cam")).await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    let why = gateway.until(SOON, "cam", "the reason", |channel| {
        channel["errors"]
            .to_string()
            .contains("resolver cam: geo: not from here")
    });
    why.await;
}
